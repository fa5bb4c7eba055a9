//! Making many new files durable at once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use rustix::fs::{fstatfs, syncfs};

use super::{Result, StoreError};

/// The most files that are flushed one by one. A flush of a new file costs a commit of the file
/// system's journal, ten times what the file's share of one flush of everything costs; but that
/// one also waits for what other programs have written lately, which a prediction's few pictures
/// should not.
const ONE_BY_ONE: usize = 64;

/// Flushes files, the folders that name them, and `root`, in which those lie.
///
/// # Errors
/// [`StoreError::Io`] when one of them did not reach the disk, or may not have.
pub(super) fn flush(root: &Path, files: &[PathBuf]) -> Result<()> {
    if files.is_empty() {
        return Ok(());
    }
    if files.len() > ONE_BY_ONE && flush_file_system(root)? {
        return Ok(());
    }
    // In parallel: the file system then joins the flushes of many files into few commits.
    files.par_iter().try_for_each(|file| flush_one(file))?;
    let folders: BTreeSet<&Path> = files.iter().filter_map(|file| file.parent()).collect();
    folders.par_iter().try_for_each(|folder| flush_one(folder))?;
    flush_one(root)
}

/// Flushes all that was written to the file system `root` lies on: data, names and all. `false`
/// where that says nothing.
///
/// Only on file systems known to flush their disk and to report every failed write, since the last
/// report, to `syncfs` (Linux 5.8 and later). Over FUSE the server is not even asked, and overlayfs
/// leaves out the errors of what lies below it.
fn flush_file_system(root: &Path) -> Result<bool> {
    const EXT4: u32 = 0xef53;
    const XFS: u32 = 0x5846_5342;
    const BTRFS: u32 = 0x9123_683e;
    const F2FS: u32 = 0xf2f5_2010;
    let flushed = File::open(root).and_then(|folder| {
        // The type is a 32-bit number whatever the width of the field.
        let known = matches!(fstatfs(&folder)?.f_type as u32, EXT4 | XFS | BTRFS | F2FS);
        if known {
            syncfs(&folder)?;
        }
        Ok(known)
    });
    flushed.map_err(|e| io_error(root, e))
}

/// Flushes a file or folder. Only its content: a refreshed time alone need not reach the disk.
fn flush_one(path: &Path) -> Result<()> {
    File::open(path).and_then(|file| file.sync_data()).map_err(|e| io_error(path, e))
}

fn io_error(path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what: format!("syncing {}", path.display()), source }
}
