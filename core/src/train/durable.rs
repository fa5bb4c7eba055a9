//! Files that are whole or not there, whatever is killed when.

use std::fs::File;
use std::io::Write;
use std::path::Path;

use super::TrainError;

/// Writes a file so that a crash leaves the old one or the new one: a temporary name, synced,
/// renamed, and the folder synced.
///
/// # Errors
/// [`TrainError::Io`].
pub fn write(path: &Path, bytes: &[u8]) -> Result<(), TrainError> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let write = || {
        let mut file = tempfile::NamedTempFile::new_in(folder)?;
        file.write_all(bytes)?;
        file.as_file().sync_all()?;
        file.persist(path)?;
        sync_folder(folder)
    };
    write().map_err(TrainError::io("write", path))
}

/// Makes the names in a folder durable.
///
/// # Errors
/// What the system says.
pub fn sync_folder(folder: &Path) -> std::io::Result<()> {
    File::open(folder)?.sync_all()
}
