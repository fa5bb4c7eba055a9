//! Blobs in a folder: `ab/abcd…`, named by their BLAKE3 hash.
//!
//! A blob is written under a temporary name and renamed, so that whoever sees it sees it whole, and
//! several processes may put at once. Putting does not wait for the disk: [`FolderBlobs::sync`]
//! does, once for many blobs, before the commit that names them. Putting a blob that is there
//! already refreshes its time, which protects it from a garbage collection that runs meanwhile.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, Timespec, Timestamps, UTIME_NOW, utimensat};
use tempfile::NamedTempFile;
use vigie_protocol::{Hash, Time};

use super::flush::flush;
use super::{Blobs, Result, StoreError};

const TEMPORARY: &str = "tmp";
const COPY_BYTES: usize = 256 << 10;

/// Blobs in a folder.
#[derive(Debug)]
pub struct FolderBlobs {
    root: PathBuf,
    /// Put through this handle and not yet durable.
    unsynced: Mutex<BTreeSet<Hash>>,
    /// Held while syncing: a second caller's blobs may be in the first one's batch.
    syncing: Mutex<()>,
}

impl FolderBlobs {
    /// Opens the folder, creating it when it is missing.
    ///
    /// # Errors
    /// [`StoreError::Io`] when it cannot be created.
    pub fn open(root: &Path) -> Result<Self> {
        let temporary = root.join(TEMPORARY);
        fs::create_dir_all(&temporary).map_err(|e| io_error("creating", &temporary, e))?;
        Ok(Self { root: root.to_owned(), unsynced: Mutex::default(), syncing: Mutex::default() })
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
            file.write_all(&buffer[..read]).map_err(|e| io_error("writing", file.path(), e))?;
        }
        let hash = Hash::from(hasher.finalize());
        check_content(hash, expected)?;
        if !self.refresh(hash, size)? {
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

    /// Takes a finished file of the same file system over by renaming it: for uploads and weights
    /// that need not be copied. Nobody may write to the file any more.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when the content is not `expected` (the file then stays where it
    /// is), [`StoreError::Io`].
    pub fn adopt(&self, path: &Path, expected: Option<Hash>) -> Result<(Hash, u64)> {
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap_rayon(path).map_err(|e| io_error("reading", path, e))?;
        let hash = Hash::from(hasher.finalize());
        let size = hasher.count();
        check_content(hash, expected)?;
        if self.refresh(hash, size)? {
            fs::remove_file(path).map_err(|e| io_error("removing", path, e))?;
        } else {
            let target = self.make_room(hash)?;
            fs::rename(path, &target).map_err(|e| io_error("renaming", path, e))?;
            self.remember(hash);
        }
        Ok((hash, size))
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
            if metadata.is_file() && modified(&metadata) < older_than && fs::remove_file(entry.path()).is_ok()
            {
                removed += 1;
            }
        }
        Ok(removed)
    }

    /// Removes a blob unless it was put at or after `since`; returns whether it went. A put that runs
    /// at the same moment either keeps the blob or writes it anew.
    pub(super) fn delete_older(&self, hash: Hash, since: Time) -> Result<bool> {
        let path = self.path_of(hash);
        // Moved away first: looking and then deleting would lose a blob refreshed in between.
        let aside = self.temporary()?.into_temp_path();
        match fs::rename(&path, &aside) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            Err(error) => return Err(io_error("renaming", &path, error)),
        }
        let metadata = fs::metadata(&aside).map_err(|e| io_error("reading", &aside, e))?;
        if modified(&metadata) >= since {
            aside.persist(&path).map_err(|e| io_error("renaming", &path, e.error))?;
            return Ok(false);
        }
        aside.close().map_err(|e| io_error("removing", &path, e))?;
        Ok(true)
    }

    fn temporary(&self) -> Result<NamedTempFile> {
        let folder = self.root.join(TEMPORARY);
        NamedTempFile::new_in(&folder).map_err(|e| io_error("creating a file in", &folder, e))
    }

    /// Sets a blob's time to now; `false` when it is not there whole.
    fn refresh(&self, hash: Hash, size: u64) -> Result<bool> {
        let path = self.path_of(hash);
        match fs::metadata(&path) {
            Ok(metadata) if metadata.len() == size => {}
            _ => return Ok(false),
        }
        let now = Timespec { tv_sec: 0, tv_nsec: UTIME_NOW };
        let both = Timestamps { last_access: now, last_modification: now };
        match utimensat(CWD, &path, &both, AtFlags::empty()) {
            Ok(()) => {
                // Another process may have put it and not have synced it yet.
                self.remember(hash);
                Ok(true)
            }
            Err(rustix::io::Errno::NOENT) => Ok(false),
            Err(error) => Err(io_error("touching", &path, error.into())),
        }
    }

    fn place(&self, file: NamedTempFile, hash: Hash) -> Result<()> {
        let target = self.make_room(hash)?;
        file.persist(&target).map_err(|e| io_error("renaming", &target, e.error))?;
        self.remember(hash);
        Ok(())
    }

    fn make_room(&self, hash: Hash) -> Result<PathBuf> {
        let target = self.path_of(hash);
        let shard = shard_of(&target);
        match fs::create_dir(shard) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(io_error("creating", shard, error)),
        }
        Ok(target)
    }

    fn remember(&self, hash: Hash) {
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).insert(hash);
    }
}

impl Blobs for FolderBlobs {
    fn put(&self, bytes: &[u8]) -> Result<Hash> {
        let hash = Hash::of(bytes);
        if !self.refresh(hash, bytes.len() as u64)? {
            let mut file = self.temporary()?;
            file.write_all(bytes).map_err(|e| io_error("writing", file.path(), e))?;
            self.place(file, hash)?;
        }
        Ok(hash)
    }

    fn sync(&self) -> Result<()> {
        let _alone = self.syncing.lock().unwrap_or_else(PoisonError::into_inner);
        let batch = std::mem::take(&mut *self.unsynced.lock().unwrap_or_else(PoisonError::into_inner));
        let files: Vec<PathBuf> = batch.iter().map(|&hash| self.path_of(hash)).collect();
        let done = flush(&self.root, &files);
        if done.is_err() {
            // One that was removed meanwhile fails this sync, not every later one.
            let left = batch.into_iter().filter(|&hash| self.path_of(hash).exists());
            self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).extend(left);
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
        self.unsynced.lock().unwrap_or_else(PoisonError::into_inner).remove(&hash);
        let path = self.path_of(hash);
        match fs::remove_file(&path) {
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

fn modified(metadata: &fs::Metadata) -> Time {
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
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn folder() -> (tempfile::TempDir, FolderBlobs) {
        let dir = tempfile::tempdir().unwrap();
        let blobs = FolderBlobs::open(&dir.path().join("blobs")).unwrap();
        (dir, blobs)
    }

    fn listed(blobs: &FolderBlobs) -> Vec<(Hash, u64)> {
        let mut found = Vec::new();
        blobs.list(&mut |hash, size, _| found.push((hash, size))).unwrap();
        found.sort();
        found
    }

    #[test]
    fn what_was_put_is_there() {
        let (_dir, blobs) = folder();
        let owl = blobs.put(b"owl").unwrap();
        assert_eq!(blobs.put(b"owl").unwrap(), owl);
        let (wren, size) = blobs.put_reader(&mut &b"wren"[..], 4, None).unwrap();
        assert_eq!((wren, size), (Hash::of(b"wren"), 4));
        blobs.sync().unwrap();

        assert_eq!(blobs.get(owl).unwrap().as_deref(), Some(&b"owl"[..]));
        assert_eq!(blobs.read_range(wren, 1, 2).unwrap(), Some((b"re".to_vec(), 4)));
        assert_eq!(blobs.read_range(wren, 9, usize::MAX).unwrap(), Some((Vec::new(), 4)));
        assert_eq!(blobs.size(wren).unwrap(), Some(4));
        let mut both = vec![(owl, 3), (wren, 4)];
        both.sort();
        assert_eq!(listed(&blobs), both);

        blobs.delete(owl).unwrap();
        blobs.delete(owl).unwrap();
        assert_eq!(blobs.get(owl).unwrap(), None);
        assert_eq!(blobs.read_range(owl, 0, 1).unwrap(), None);
        assert_eq!(blobs.size(owl).unwrap(), None);
    }

    #[test]
    fn damage_is_noticed() {
        let (_dir, blobs) = folder();
        let hash = blobs.put(b"owl").unwrap();
        fs::write(blobs.path_of(hash), b"0wl").unwrap();
        assert!(matches!(blobs.get(hash), Err(StoreError::Damaged { .. })));
    }

    #[test]
    fn streams_are_bounded_and_leave_nothing_behind() {
        let (_dir, blobs) = folder();
        let endless = blobs.put_reader(&mut io::repeat(7), 1 << 20, None);
        assert!(matches!(endless, Err(StoreError::TooLarge { limit: 1_048_576, .. })));
        let other = blobs.put_reader(&mut &b"wren"[..], 9, Some(Hash::of(b"owl")));
        assert!(matches!(other, Err(StoreError::Damaged { .. })));
        assert_eq!(listed(&blobs), []);
        assert_eq!(fs::read_dir(blobs.root.join(TEMPORARY)).unwrap().count(), 0);
    }

    #[test]
    fn a_finished_file_is_taken_over() {
        let (dir, blobs) = folder();
        for round in 0..2 {
            let path = dir.path().join(format!("upload-{round}"));
            fs::write(&path, b"weights").unwrap();
            assert!(blobs.adopt(&path, Some(Hash::of(b"other"))).is_err());
            assert_eq!(blobs.adopt(&path, None).unwrap(), (Hash::of(b"weights"), 7));
            assert!(!path.exists());
        }
        assert_eq!(blobs.get(Hash::of(b"weights")).unwrap().as_deref(), Some(&b"weights"[..]));
    }

    #[test]
    fn many_threads_put_the_same_blobs() {
        let (_dir, blobs) = folder();
        let payload = |n: u32| n.to_le_bytes().repeat(100);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for n in 0..50 {
                        blobs.put(&payload(n)).unwrap();
                    }
                    blobs.sync().unwrap();
                });
            }
        });
        assert_eq!(listed(&blobs).len(), 50);
        assert!((0..50).all(|n| blobs.get(Hash::of(&payload(n))).unwrap().is_some()));
    }

    #[test]
    fn a_refreshed_blob_is_not_deleted() {
        let (_dir, blobs) = folder();
        let hash = blobs.put(b"owl").unwrap();
        let old = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
        let age = || File::open(blobs.path_of(hash)).unwrap().set_modified(old).unwrap();
        let limit = Time::from_micros(2_000_000_000);

        age();
        blobs.put(b"owl").unwrap();
        assert!(!blobs.delete_older(hash, limit).unwrap());
        assert!(blobs.get(hash).unwrap().is_some());
        age();
        assert!(blobs.delete_older(hash, limit).unwrap());
        assert!(blobs.get(hash).unwrap().is_none());
        assert!(!blobs.delete_older(hash, limit).unwrap());
    }

    #[test]
    fn stale_temporaries_go_and_fresh_ones_stay() {
        let (_dir, blobs) = folder();
        let stale = blobs.root.join(TEMPORARY).join("stale");
        fs::write(&stale, b"half").unwrap();
        File::open(&stale).unwrap().set_modified(SystemTime::UNIX_EPOCH).unwrap();
        let fresh = blobs.temporary().unwrap();
        assert_eq!(blobs.clean_temporaries(Time::from_micros(1_000_000)).unwrap(), 1);
        assert!(fresh.path().exists());
    }
}
