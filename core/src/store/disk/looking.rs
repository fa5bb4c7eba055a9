//! A disk that is only looked at.

use std::io;
use std::path::Path;

use super::overlay::Overlay;
use super::{Disk, DiskFile};

/// Refuses every change. Databases open all the same, repaired in memory when they have to be.
#[derive(Clone, Copy, Debug)]
pub(in crate::store) struct LookingDisk;

fn refused<T>() -> io::Result<T> {
    Err(io::Error::new(io::ErrorKind::ReadOnlyFilesystem, "this state is only looked at"))
}

impl Disk for LookingDisk {
    fn create(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        refused()
    }

    fn append(&self, _: &Path) -> io::Result<Box<dyn DiskFile>> {
        refused()
    }

    fn database(&self, builder: &redb::Builder, path: &Path) -> Result<redb::Database, redb::DatabaseError> {
        builder.create_with_backend(Overlay::open(path)?)
    }

    fn create_folder(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn rename(&self, _: &Path, _: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _: &Path) -> io::Result<()> {
        refused()
    }

    fn sync(&self, _: &Path) -> io::Result<()> {
        Ok(())
    }

    fn sync_everything(&self, _: &Path) -> io::Result<bool> {
        Ok(true)
    }
}
