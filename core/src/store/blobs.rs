//! Blobs in a folder: `ab/abcd…`, named by their BLAKE3 hash.
//!
//! A blob is written under a temporary name and renamed, so that whoever sees it sees it whole, and
//! several processes may put at once. Putting does not wait for the disk: [`FolderBlobs::sync`]
//! does, once for many blobs, before the commit that names them. Putting a blob that is there
//! already refreshes its time, which protects it from a garbage collection that runs meanwhile. One
//! that is there but damaged, by a power cut or by age, is written anew.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use uuid::Uuid;
use vigie_protocol::{Hash, Time};

use super::disk::looking::LookingDisk;
use super::disk::{Disk, DiskFile, RealDisk};
use super::flush::flush;
use super::{Blobs, Result, StoreError};
use crate::fail_point::{self, FailPoint};

const TEMPORARY: &str = "tmp";
const COPY_BYTES: usize = 256 << 10;

/// Blobs in a folder.
#[derive(Debug)]
pub struct FolderBlobs {
    disk: Arc<dyn Disk>,
    root: PathBuf,
    /// Put through this handle and not yet durable.
    unsynced: Mutex<BTreeMap<Hash, Put>>,
    /// Held while syncing: a second caller's blobs may be in the first one's batch.
    syncing: Mutex<()>,
    /// Held for writing by who removes blobs that nothing names, for reading by who needs them all to
    /// stay meanwhile.
    removals: Arc<RwLock<()>>,
}

/// How a put found its blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Put {
    /// It wrote it, and the file has this time.
    Written(Time),
    /// It was there; another process may not have flushed it yet.
    Found,
}

impl FolderBlobs {
    /// Opens the folder, creating it when it is missing.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be created.
    pub fn open(root: &Path) -> Result<Self> {
        let temporary = root.join(TEMPORARY);
        fs::create_dir_all(&temporary).map_err(|e| io_error("creating", &temporary, e))?;
        Ok(Self::open_on(Arc::new(RealDisk), root))
    }

    /// Opens a folder that nothing is written to.
    pub(super) fn open_to_look(root: &Path) -> Self {
        Self::open_on(Arc::new(LookingDisk), root)
    }

    /// Opens a folder that is there.
    pub(super) fn open_on(disk: Arc<dyn Disk>, root: &Path) -> Self {
        Self {
            disk,
            root: root.to_owned(),
            unsynced: Mutex::default(),
            syncing: Mutex::default(),
            removals: Arc::default(),
        }
    }

    /// The same folder with a list of its own of what is not durable yet: its [`Blobs::sync`] then
    /// answers for what was put through it, whatever becomes of what others put at the same time.
    #[must_use]
    pub fn apart(&self) -> Self {
        Self { removals: self.removals.clone(), ..Self::open_on(self.disk.clone(), &self.root) }
    }

    /// While it is held no collection removes anything.
    pub(super) fn all_stay(&self) -> RwLockReadGuard<'_, ()> {
        self.removals.read().unwrap_or_else(PoisonError::into_inner)
    }

    /// Held by a collection while it removes.
    pub(super) fn removing(&self) -> RwLockWriteGuard<'_, ()> {
        self.removals.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where a blob lies, whether it is there or not.
    pub fn path_of(&self, hash: Hash) -> PathBuf {
        let name = hash.to_string();
        self.root.join(&name[..2]).join(name)
    }

    /// Stores what a reader gives, without holding it in memory. `expected` refuses other content.
    ///
    /// # Errors
    /// [`StoreError::TooLarge`] past `max_bytes`, [`StoreError::Damaged`] when the content is not
    /// `expected`, [`StoreError::Io`] from either side.
    pub fn put_reader(
        &self,
        reader: &mut dyn Read,
        max_bytes: u64,
        expected: Option<Hash>,
    ) -> Result<(Hash, u64)> {
        let mut file = self.temporary()?;
        let mut hasher = blake3::Hasher::new();
        let mut buffer = vec![0; COPY_BYTES];
        let mut size = 0;
        loop {
            let read = match reader.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(StoreError::Io { what: "reading a new blob".to_owned(), source }),
            };
            size += read as u64;
            if size > max_bytes {
                return Err(too_large(max_bytes));
            }
            hasher.update(&buffer[..read]);
            file.write(&buffer[..read])?;
        }
        let hash = Hash::from(hasher.finalize());
        check_content(hash, expected)?;
        if !self.refresh(hash)? {
            self.place(file, hash)?;
        }
        Ok((hash, size))
    }

    /// The folder of unfinished blobs: what is written there can be taken over with
    /// [`FolderBlobs::adopt`].
    pub fn temporaries(&self) -> PathBuf {
        self.root.join(TEMPORARY)
    }

    /// Stores a copy of a file; see [`FolderBlobs::put_reader`].
    ///
    /// # Errors
    /// Those of [`FolderBlobs::put_reader`].
    pub fn put_file(&self, path: &Path, max_bytes: u64, expected: Option<Hash>) -> Result<(Hash, u64)> {
        let mut file = File::open(path).map_err(|e| io_error("opening", path, e))?;
        self.put_reader(&mut file, max_bytes, expected)
    }

    /// Takes a finished file of the same file system over by renaming it: for uploads, which need not be
    /// copied. Its bytes have the hash `hash`: whoever wrote them hashed them on their way, and they are
    /// not read again. Nobody may write to the file any more.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn adopt(&self, path: &Path, hash: Hash) -> Result<()> {
        if self.refresh(hash)? {
            return self.disk.remove(path).map_err(|e| io_error("removing", path, e));
        }
        let target = self.make_room(hash)?;
        self.disk.rename(path, &target).map_err(|e| io_error("renaming", path, e))?;
        self.written(hash)
    }

    /// Removes temporary files last written before `older_than`: what killed processes left behind.
    /// Returns how many.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the folder cannot be read.
    pub fn clean_temporaries(&self, older_than: Time) -> Result<u64> {
        let folder = self.root.join(TEMPORARY);
        let mut removed = 0;
        for entry in fs::read_dir(&folder).map_err(|e| io_error("reading", &folder, e))? {
            let entry = entry.map_err(|e| io_error("reading", &folder, e))?;
            let Ok(metadata) = entry.metadata() else { continue };
            if metadata.is_file()
                && modified(&metadata) < older_than
                && self.disk.remove(&entry.path()).is_ok()
            {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes a blob for good unless it was put at or after `since`; returns whether it went.
    pub(super) fn erase(&self, hash: Hash, since: Time) -> Result<bool> {
        let gone = self.delete_older(hash, since)?;
        // Who asks for one blob to be gone wants it to stay gone.
        self.flush(&self.temporaries())?;
        let path = self.path_of(hash);
        if shard_of(&path).is_dir() {
            self.flush(shard_of(&path))?;
        }
        Ok(gone)
    }

    /// Removes a blob unless it was put at or after `since`; returns whether it went. A put that runs
    /// at the same moment either keeps the blob or writes it anew.
    pub(super) fn delete_older(&self, hash: Hash, since: Time) -> Result<bool> {
        let path = self.path_of(hash);
        // Moved away first: looking and then deleting would lose a blob refreshed in between.
        let aside = self.temporaries().join(Uuid::now_v7().to_string());
        match self.disk.rename(&path, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io_error("renaming", &path, error)),
        }
        let metadata = fs::metadata(&aside).map_err(|e| io_error("reading", &aside, e))?;
        if modified(&metadata) >= since {
            self.disk.rename(&aside, &path).map_err(|e| io_error("renaming", &path, e))?;
            return Ok(false);
        }
        self.disk.remove(&aside).map_err(|e| io_error("removing", &path, e))?;
        Ok(true)
    }

    fn temporary(&self) -> Result<Temporary<'_>> {
        let path = self.temporaries().join(Uuid::now_v7().to_string());
        let file = self.disk.create(&path).map_err(|e| io_error("creating", &path, e))?;
        Ok(Temporary { disk: &*self.disk, path, file, placed: false })
    }

    /// As [`FolderBlobs::touch`], for a put: what is found is flushed with what is written.
    fn refresh(&self, hash: Hash) -> Result<bool> {
        let there = self.touch(hash)?;
        if there {
            let before = self.unsynced().get(&hash).copied();
            match before {
                // Who wrote it and then finds it has written it.
                Some(Put::Written(_)) => self.written(hash)?,
                Some(Put::Found) | None => self.remember(hash, Put::Found),
            }
        }
        Ok(there)
    }

    /// Sets a blob's time to now, so that no collection of garbage takes it for a while; `false` when it
    /// is not there whole. Its length alone would not do: what a power cut leaves of a blob that was not
    /// flushed can have the right one.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn touch(&self, hash: Hash) -> Result<bool> {
        let path = self.path_of(hash);
        match blake3::Hasher::new().update_mmap(&path).map(|there| Hash::from(there.finalize())) {
            Ok(there) if there == hash => {}
            Ok(_) => return Ok(false),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io_error("reading", &path, error)),
        }
        self.keep(hash)
    }

    /// Sets a blob's time to now without looking at its content; `false` when it is not there.
    ///
    /// # Errors
    /// [`StoreError::Io`].
    pub fn keep(&self, hash: Hash) -> Result<bool> {
        let path = self.path_of(hash);
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let both = Timestamps { last_access: now, last_modification: now };
        match utimensat(CWD, &path, &both, AtFlags::empty()) {
            Ok(()) => Ok(true),
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(io_error("touching", &path, error.into())),
        }
    }

    fn place(&self, file: Temporary<'_>, hash: Hash) -> Result<()> {
        let target = self.make_room(hash)?;
        file.place(&target)?;
        fail_point::pass(FailPoint::BlobRenamed);
        self.written(hash)
    }

    fn make_room(&self, hash: Hash) -> Result<PathBuf> {
        let target = self.path_of(hash);
        let shard = shard_of(&target);
        if !shard.is_dir() {
            self.disk.create_folder(shard).map_err(|e| io_error("creating", shard, e))?;
        }
        Ok(target)
    }

    /// Flushes a file or folder. Only its content: a refreshed time alone need not reach the disk.
    fn flush(&self, path: &Path) -> Result<()> {
        self.disk.sync(path).map_err(|e| io_error("syncing", path, e))
    }

    fn written(&self, hash: Hash) -> Result<()> {
        let path = self.path_of(hash);
        let metadata = fs::metadata(&path).map_err(|e| io_error("reading", &path, e))?;
        self.remember(hash, Put::Written(modified(&metadata)));
        Ok(())
    }

    fn remember(&self, hash: Hash, put: Put) {
        self.unsynced().insert(hash, put);
    }

    /// Takes back what may not have reached the disk. A flush that failed is not reported again: the
    /// next one would say that all is well with bytes that are lost. So what was written here goes, and
    /// whoever puts it again writes it again; unless somebody else has found it since, who may have
    /// flushed it and named it. What was found, and is gone, fails this flush only.
    fn take_back(&self, hash: Hash, put: Put) {
        let removed = match put {
            Put::Written(at) => self.delete_older(hash, at.plus(Duration::from_micros(1))).unwrap_or(false),
            Put::Found => false,
        };
        if !removed && self.path_of(hash).exists() {
            self.remember(hash, put);
        }
    }

    fn unsynced(&self) -> MutexGuard<'_, BTreeMap<Hash, Put>> {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A blob on its way in; its file goes with it unless it gets its place.
struct Temporary<'a> {
    disk: &'a dyn Disk,
    path: PathBuf,
    file: Box<dyn DiskFile>,
    placed: bool,
}

impl Temporary<'_> {
    fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|e| io_error("writing", &self.path, e))
    }

    fn place(mut self, target: &Path) -> Result<()> {
        self.disk.rename(&self.path, target).map_err(|e| io_error("renaming", target, e))?;
        self.placed = true;
        Ok(())
    }
}

impl Drop for Temporary<'_> {
    fn drop(&mut self) {
        if !self.placed {
            // What cannot be removed now is removed when the state is opened some day.
            let _ = self.disk.remove(&self.path);
        }
    }
}

impl Blobs for FolderBlobs {
    fn put(&self, bytes: &[u8]) -> Result<Hash> {
        let hash = Hash::of(bytes);
        if !self.refresh(hash)? {
            let mut file = self.temporary()?;
            file.write(bytes)?;
            self.place(file, hash)?;
        }
        Ok(hash)
    }

    fn sync(&self) -> Result<()> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = std::mem::take(&mut *self.unsynced());
        let files: Vec<PathBuf> = batch.keys().map(|&hash| self.path_of(hash)).collect();
        let done = flush(&*self.disk, &self.root, &files);
        if done.is_err() {
            batch.into_iter().for_each(|(hash, put)| self.take_back(hash, put));
        }
        done
    }

    fn get(&self, hash: Hash) -> Result<Option<Vec<u8>>> {
        let path = self.path_of(hash);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("reading", &path, error)),
        };
        check_content(Hash::of(&bytes), Some(hash))?;
        Ok(Some(bytes))
    }

    fn read_range(&self, hash: Hash, offset: u64, len: usize) -> Result<Option<(Vec<u8>, u64)>> {
        let path = self.path_of(hash);
        let file = match File::open(&path) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(io_error("opening", &path, error)),
        };
        let size = file.metadata().map_err(|e| io_error("reading", &path, e))?.len();
        let len = usize::try_from(size.saturating_sub(offset)).unwrap_or(usize::MAX).min(len);
        let mut bytes = vec![0; len];
        file.read_exact_at(&mut bytes, offset).map_err(|e| io_error("reading", &path, e))?;
        Ok(Some((bytes, size)))
    }

    fn size(&self, hash: Hash) -> Result<Option<u64>> {
        let path = self.path_of(hash);
        match fs::metadata(&path) {
            Ok(metadata) => Ok(Some(metadata.len())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_error("reading", &path, error)),
        }
    }

    fn delete(&self, hash: Hash) -> Result<()> {
        self.unsynced().remove(&hash);
        let path = self.path_of(hash);
        match self.disk.remove(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(io_error("removing", &path, error)),
            _ => Ok(()),
        }
    }

    fn list(&self, each: &mut dyn FnMut(Hash, u64, Time)) -> Result<()> {
        for shard in read_folder(&self.root)? {
            let name = shard.file_name();
            if name.len() != 2 {
                continue; // the temporary folder, or a stranger's
            }
            for blob in read_folder(&shard.path())? {
                let Some(hash) = blob.file_name().to_str().and_then(|name| name.parse().ok()) else {
                    continue;
                };
                // It may have been removed since the folder was read.
                if let Ok(metadata) = blob.metadata() {
                    each(hash, metadata.len(), modified(&metadata));
                }
            }
        }
        Ok(())
    }
}

fn read_folder(path: &Path) -> Result<Vec<fs::DirEntry>> {
    fs::read_dir(path).and_then(Iterator::collect).map_err(|e| io_error("reading", path, e))
}

fn check_content(found: Hash, expected: Option<Hash>) -> Result<()> {
    match expected {
        Some(expected) if expected != found => Err(StoreError::Damaged {
            what: format!("blob {}", expected.short()),
            detail: format!("its bytes have the hash {}", found.short()),
        }),
        _ => Ok(()),
    }
}

fn too_large(limit: u64) -> StoreError {
    StoreError::TooLarge { what: "the blob".to_owned(), limit }
}

fn shard_of(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

/// When a file was last written, as far as the system can tell.
pub(super) fn modified(metadata: &fs::Metadata) -> Time {
    let since_epoch = metadata
        .modified()
        .ok()
        .and_then(|time| time.duration_since(SystemTime::UNIX_EPOCH).ok())
        .unwrap_or(Duration::ZERO);
    Time::from_micros(0).plus(since_epoch)
}

fn io_error(doing: &str, path: &Path, source: io::Error) -> StoreError {
    StoreError::Io { what: format!("{doing} {}", path.display()), source }
}

#[cfg(test)]
mod tests;
