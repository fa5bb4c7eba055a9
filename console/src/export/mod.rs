//! Dataset versions written to files: manifests, folders of pictures, tables of what is known of them.
//!
//! Nothing that is there already is overwritten, and a file appears whole under its name or not at all.

pub mod folder;
mod names;
pub mod rows;
pub mod tables;

use std::io::{ErrorKind, Write};
use std::path::Path;

use tempfile::NamedTempFile;

use crate::exit::{Exit, Failure};

/// What became of a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrote {
    /// It is new.
    New,
    /// It was there, and the same.
    Same,
}

/// Writes a file that is not there yet.
///
/// # Errors
/// When another file has its name, or the disk refuses.
pub fn write_new(path: &Path, content: &[u8]) -> Result<Wrote, Failure> {
    let refused = |error: &std::io::Error| {
        Failure::new(Exit::Failed, format!("cannot write {}: {error}", path.display()))
    };
    if path.symlink_metadata().is_ok() {
        return there_already(path, content);
    }
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = NamedTempFile::with_prefix_in(".vigie-", folder).map_err(|error| refused(&error))?;
    file.write_all(content).map_err(|error| refused(&error))?;
    match file.persist_noclobber(path) {
        Ok(_) => Ok(Wrote::New),
        Err(error) if error.error.kind() == ErrorKind::AlreadyExists => there_already(path, content),
        Err(error) => Err(refused(&error.error)),
    }
}

fn there_already(path: &Path, content: &[u8]) -> Result<Wrote, Failure> {
    let length = path.metadata().map_or(0, |metadata| metadata.len());
    // A look at the content only where it can be the same.
    if length == content.len() as u64 && std::fs::read(path).is_ok_and(|found| found == content) {
        return Ok(Wrote::Same);
    }
    Err(Failure::new(Exit::Conflict, format!("{} is there already, and is something else", path.display()))
        .hint("nothing is overwritten; name another place"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("a.csv");
        assert_eq!(write_new(&path, b"one"), Ok(Wrote::New));
        assert_eq!(write_new(&path, b"one"), Ok(Wrote::Same));
        assert_eq!(write_new(&path, b"two").map_err(|failure| failure.exit), Err(Exit::Conflict));
        assert_eq!(std::fs::read(&path).expect("read"), b"one");
        let link = folder.path().join("link");
        std::os::unix::fs::symlink("nowhere", &link).expect("link");
        assert!(write_new(&link, b"one").is_err(), "a link that leads nowhere is there too");
        assert!(write_new(&folder.path().join("none/b.csv"), b"").is_err());
        let left = std::fs::read_dir(folder.path()).expect("listed").count();
        assert_eq!(left, 2, "no temporary file stays");
    }
}
