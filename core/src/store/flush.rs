//! Making many new files durable at once.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;

use super::disk::Disk;
use super::{Result, StoreError};

/// Flushes files, the folders that name them, and `root`, in which those lie.
///
/// # Errors
/// [`StoreError::Io`] when one of them did not reach the disk, or may not have.
pub(super) fn flush(disk: &dyn Disk, root: &Path, files: &[PathBuf]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    if files.len() > disk.few() && disk.sync_everything(root).map_err(|e| io_error(root, e))? {
        return Ok(());
    }
    // In parallel: the file system then joins the flushes of many files into few commits.
    files.par_iter().try_for_each(|file| flush_one(disk, file))?;
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    folders.par_iter().try_for_each(|folder| flush_one(disk, folder))?;
    flush_one(disk, root)
}

fn flush_one(disk: &dyn Disk, path: &Path) -> Result<()> {
    disk.sync(path).map_err(|e| io_error(path, e))
}

fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what: format!("syncing {}", path.display()), source }
}
