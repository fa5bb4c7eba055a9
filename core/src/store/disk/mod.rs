//! What the store asks of a disk where order and durability matter.
//!
//! Only changes and flushes go through [`Disk`]; what is merely read is read from the file system.
//! So a test can lose what was not flushed, tear it, or refuse the k-th operation, while everything
//! else stays as it is.

#[cfg(test)]
pub(super) mod faulty;
pub(super) mod looking;
pub(super) mod overlay;

use std::fmt::Debug;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{fstatfs, syncfs};

/// A disk.
pub(super) trait Disk: Debug + Send + Sync {
    /// A new, empty file that only its owner reads.
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A file that grows at its end, made when it is missing.
    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>>;

    /// A database in a file, which is made when it is missing.
    fn database(&self, builder: &redb::Builder, path: &Path) -> Result<redb::Database, redb::DatabaseError>;

    /// A new folder; one that is there is no error.
    fn create_folder(&self, path: &Path) -> io::Result<()>;

    /// Renames, replacing what is at `to`.
    fn rename(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Removes a file.
    fn remove(&self, path: &Path) -> io::Result<()>;

    /// Makes a file's content, or a folder's names, durable.
    fn sync(&self, path: &Path) -> io::Result<()>;

    /// Makes durable all that was written to the file system of `path`: data, names and all. `false`
    /// where that says nothing, and nothing was done.
    fn sync_everything(&self, path: &Path) -> io::Result<bool>;

    /// The most new files that are flushed one by one. A flush of a new file costs a commit of the file
    /// system's journal, ten times what the file's share of one flush of everything costs; but that
    /// one also waits for what other programs have written lately, which a prediction's few pictures
    /// should not.
    fn few(&self) -> usize {
        64
    }
}

/// A file of a [`Disk`] that is being written.
pub(super) trait DiskFile: Write + Debug + Send {
    /// Cuts it to this length.
    fn set_len(&self, len: u64) -> io::Result<()>;

    /// Makes its content durable.
    fn sync(&self) -> io::Result<()>;
}

/// The disk of the machine.
#[derive(Clone, Copy, Debug)]
pub(super) struct RealDisk;

impl Disk for RealDisk {
    fn create(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn append(&self, path: &Path) -> io::Result<Box<dyn DiskFile>> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        Ok(Box::new(file))
    }

    fn database(&self, builder: &redb::Builder, path: &Path) -> Result<redb::Database, redb::DatabaseError> {
        builder.create(path)
    }

    fn create_folder(&self, path: &Path) -> io::Result<()> {
        match fs::create_dir(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
            _ => Ok(()),
        }
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        fs::rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        fs::remove_file(path)
    }

    fn sync(&self, path: &Path) -> io::Result<()> {
        File::open(path)?.sync_data()
    }

    /// Only on file systems known to flush their disk and to report every failed write, since the
    /// last report, to `syncfs` (Linux 5.8 and later). Over FUSE the server is not even asked, and
    /// overlayfs leaves out the errors of what lies below it.
    fn sync_everything(&self, path: &Path) -> io::Result<bool> {
        const EXT4: u32 = 0xef53;
        const XFS: u32 = 0x5846_5342;
        const BTRFS: u32 = 0x9123_683e;
        const F2FS: u32 = 0xf2f5_2010;
        let folder = File::open(path)?;
        // The type is a 32-bit number whatever the width of the field.
        let known = matches!(fstatfs(&folder)?.f_type as u32, EXT4 | XFS | BTRFS | F2FS);
        if known {
            syncfs(&folder)?;
        }
        Ok(known)
    }
}

impl DiskFile for File {
    fn set_len(&self, len: u64) -> io::Result<()> {
        Self::set_len(self, len)
    }

    fn sync(&self) -> io::Result<()> {
        self.sync_data()
    }
}
