//! Folders that become a backup or a state once they are complete.

use std::fs::{self, File, TryLockError};
use std::path::Path;

use tempfile::TempDir;

use super::{io_error, sync_folder};
use crate::store::Result;

/// A folder under a name of its own, removed when it is dropped. When its process is killed it stays,
/// and the next of its kind in the same place removes it: nobody holds its lock any more.
pub(super) struct Partial {
    folder: TempDir,
    _lock: File,
}

impl Partial {
    /// Makes one in `parent` whose name starts with `prefix`, without what killed processes left.
    pub(super) fn new_in(parent: &Path, prefix: &str) -> Result<Self> {
        remove_left(parent, prefix);
        loop {
            let folder = tempfile::Builder::new()
                .prefix(prefix)
                .tempdir_in(parent)
                .map_err(|e| io_error("creating a folder in", parent, e))?;
            let lock = match File::open(folder.path()) {
                Ok(lock) => lock,
                Err(_) if !folder.path().exists() => continue, // see below
                Err(error) => return Err(io_error("opening", folder.path(), error)),
            };
            // Before the lock was ours, another process may have taken the folder for one that was left.
            // A file system without locks has nobody who removes anything.
            let taken = matches!(lock.try_lock(), Err(TryLockError::WouldBlock));
            if !taken && folder.path().exists() {
                return Ok(Self { folder, _lock: lock });
            }
        }
    }

    /// Where it is.
    pub(super) fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Gives it its name, beside it, for good.
    pub(super) fn becomes(self, target: &Path) -> Result<()> {
        fs::rename(self.path(), target).map_err(|e| io_error("renaming to", target, e))?;
        let old = self.folder.keep(); // it is `target` now
        old.parent().map_or(Ok(()), sync_folder)
    }
}

/// Best effort: what cannot be removed keeps nobody from making another.
fn remove_left(parent: &Path, prefix: &str) {
    let Ok(entries) = fs::read_dir(parent) else { return };
    for entry in entries.flatten() {
        let ours = entry.file_name().to_string_lossy().starts_with(prefix);
        if !ours || !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        let (path, lock) = (entry.path(), File::open(entry.path()));
        if lock.as_ref().is_ok_and(|lock| lock.try_lock().is_ok()) {
            match fs::remove_dir_all(&path) {
                Ok(()) => tracing::info!(path = %path.display(), "removed what a killed process left behind"),
                Err(error) => {
                    tracing::warn!(path = %path.display(), %error, "what a killed process left behind cannot be removed");
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn what_a_killed_process_left_goes_and_what_is_being_made_stays() {
        let parent = tempfile::tempdir().unwrap();
        let parent = parent.path();
        let under_way = Partial::new_in(parent, ".half-").unwrap();
        fs::write(under_way.path().join("file"), b"more to come").unwrap();
        for other in [".half-left/blobs", "half-made", ".hidden"] {
            fs::create_dir_all(parent.join(other)).unwrap();
        }
        fs::write(parent.join(".half-a-file"), b"not ours").unwrap();

        let second = Partial::new_in(parent, ".half-").unwrap();
        for (name, stays) in
            [(".half-left", false), ("half-made", true), (".hidden", true), (".half-a-file", true)]
        {
            assert_eq!(parent.join(name).exists(), stays, "{name}");
        }
        assert!(under_way.path().join("file").exists());

        under_way.becomes(&parent.join("whole")).unwrap();
        assert!(parent.join("whole/file").exists());
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists());
    }
}
