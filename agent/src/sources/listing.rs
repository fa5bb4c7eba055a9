//! What tells one state of a folder, or of a zip file, from the next: the names, sizes and times of
//! its files. Nothing of them is read.

use std::fs::{self, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use vigie_protocol::Hash;
use vigie_protocol::source::Revision;

/// The most files and folders of a source; an import refuses more as well.
const MAX_ENTRIES: usize = 5_000_000;

/// The state of a folder, as deep as it goes. Hidden files and links are left aside, as imports do.
/// Blocks.
///
/// # Errors
/// When something cannot be looked at, or there is too much of it.
pub(super) fn of_folder(folder: &Path) -> io::Result<Revision> {
    let mut files: Vec<(PathBuf, Metadata)> = Vec::new();
    let mut folders = vec![folder.to_owned()];
    let mut entries = 0;
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next)? {
            let entry = entry?;
            entries += 1;
            if entries > MAX_ENTRIES {
                return Err(io::Error::other(format!("it has more than {MAX_ENTRIES} files and folders")));
            }
            if entry.file_name().as_encoded_bytes().starts_with(b".") {
                continue;
            }
            // Of the link itself, when it is one.
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Removed since the folder was listed.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(error),
            };
            let path = entry.path();
            if metadata.is_dir() {
                folders.push(path);
            } else if metadata.is_file() {
                files.push((path.strip_prefix(folder).map(Path::to_owned).unwrap_or(path), metadata));
            }
        }
    }
    // The order of a folder is its file system's whim.
    files.sort_by(|(a, _), (b, _)| a.cmp(b));
    Ok(of(&files))
}

/// The state of one file. Blocks.
///
/// # Errors
/// When it cannot be looked at or is no file.
pub(super) fn of_file(path: &Path) -> io::Result<Revision> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "it is no file"));
    }
    Ok(of(&[(PathBuf::new(), metadata)]))
}

fn of(files: &[(PathBuf, Metadata)]) -> Revision {
    let mut hasher = blake3::Hasher::new_derive_key("vigie source listing v1");
    let mut bytes = 0;
    for (path, metadata) in files {
        let path = path.as_os_str().as_encoded_bytes();
        hasher.update(&(path.len() as u64).to_le_bytes());
        hasher.update(path);
        hasher.update(&metadata.size().to_le_bytes());
        hasher.update(&metadata.mtime().to_le_bytes());
        hasher.update(&metadata.mtime_nsec().to_le_bytes());
        bytes += metadata.size();
    }
    Revision::Listing { digest: Hash::from(hasher.finalize()), files: files.len() as u64, bytes }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::fs::File;
    use std::time::{Duration, SystemTime};

    use super::*;

    #[test]
    fn every_change_that_an_import_would_see_tells() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let seen = || of_folder(folder.path()).unwrap();
        let touch = |name: &str, seconds| {
            let at = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            File::options().append(true).open(path(name)).unwrap().set_modified(at).unwrap();
        };
        fs::create_dir(path("owl")).unwrap();
        fs::write(path("owl/1.jpg"), b"1").unwrap();
        touch("owl/1.jpg", 1);
        let first = seen();
        assert!(matches!(first, Revision::Listing { files: 1, bytes: 1, .. }), "{first:?}");
        assert_eq!(seen(), first);

        fs::write(path(".notes"), b"hidden").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", path("owl/2.jpg")).unwrap();
        fs::create_dir(path("empty")).unwrap();
        assert_eq!(seen(), first, "nothing of it is imported");

        touch("owl/1.jpg", 2);
        let touched = seen();
        fs::write(path("owl/3.jpg"), b"33").unwrap();
        let added = seen();
        fs::rename(path("owl/3.jpg"), path("owl/4.jpg")).unwrap();
        let renamed = seen();
        let all = [first, touched, added, renamed];
        for (i, one) in all.iter().enumerate() {
            assert!(all[..i].iter().all(|before| before != one), "{one:?}");
        }
        assert!(of_folder(&path("none")).is_err() && of_file(folder.path()).is_err());
        assert!(matches!(of_file(&path("owl/1.jpg")).unwrap(), Revision::Listing { files: 1, .. }));
    }
}
