//! One redb file: opened with a bounded cache, opened anew when an I/O error has spoilt the handle.
//!
//! redb refuses all further work on a handle after a failed read, write or fsync, because memory
//! and disk may differ. A full disk must not take the agent down for good, so the next call after
//! such an error closes the file, opens it again (redb then falls back to the last durable commit)
//! and goes on.
//!
//! redb trusts some bytes of its file so far that a flipped bit makes it panic. Whoever asked hears that
//! the file is damaged, as of every other damage; the handle stays as usable as it was.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

use redb::{Builder, Durability, ReadTransaction, ReadableDatabase, WriteTransaction};

use super::disk::Disk;
use super::disk::looking::LookingDisk;
use super::{Result, StoreError};

/// Told how far the repair of a file is, 0–1, after a crash.
pub type RepairProgress = Box<dyn Fn(f64)>;

/// A redb file that survives I/O errors.
pub(super) struct Database {
    disk: Arc<dyn Disk>,
    path: PathBuf,
    cache_bytes: usize,
    handle: RwLock<Option<redb::Database>>,
    spoilt: AtomicBool,
    quick_repair: bool,
}

impl Database {
    /// Opens or creates the file.
    ///
    /// # Errors
    /// [`StoreError::Locked`] when another process has it, [`StoreError::Damaged`] when it cannot be
    /// repaired.
    pub(super) fn open(
        disk: &Arc<dyn Disk>,
        path: &Path,
        cache_bytes: usize,
        repair: Option<RepairProgress>,
    ) -> Result<Self> {
        let mut builder = Builder::new();
        builder.set_cache_size(cache_bytes);
        if let Some(report) = repair {
            builder.set_repair_callback(move |session| report(session.progress()));
        }
        if !path.exists() {
            make(&**disk, &builder, path)?;
        }
        let handle = guarded(path, || disk.database(&builder, path))?;
        Ok(Self {
            disk: disk.clone(),
            path: path.to_owned(),
            cache_bytes,
            handle: RwLock::new(Some(handle)),
            spoilt: AtomicBool::new(false),
            quick_repair: false,
        })
    }

    /// The disk it lies on.
    pub(super) fn disk(&self) -> &Arc<dyn Disk> {
        &self.disk
    }

    /// Has each commit leave the file so that it opens at once after a crash, where redb otherwise
    /// reads the whole of it. Costs a second flush a commit: for large files whose commits are shared.
    pub(super) fn with_quick_repair(mut self) -> Self {
        self.quick_repair = true;
        self
    }

    /// Runs `body` on a snapshot.
    pub(super) fn read<T>(&self, body: impl FnOnce(&ReadTransaction) -> Result<T, Failure>) -> Result<T> {
        self.with(|database| body(&database.begin_read()?))
    }

    /// Runs `body` in a transaction and commits it durably, or not at all when `body` fails.
    pub(super) fn write<T>(&self, body: impl FnOnce(&WriteTransaction) -> Result<T, Failure>) -> Result<T> {
        self.with(|database| {
            let mut transaction = database.begin_write()?;
            transaction.set_durability(Durability::Immediate)?;
            transaction.set_quick_repair(self.quick_repair);
            let value = body(&transaction)?;
            transaction.commit()?;
            Ok(value)
        })
    }

    fn with<T>(&self, body: impl FnOnce(&redb::Database) -> Result<T, Failure>) -> Result<T> {
        if self.spoilt.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let handle = self.handle.read().unwrap_or_else(PoisonError::into_inner);
        let Some(database) = handle.as_ref() else {
            self.spoilt.store(true, Ordering::Release);
            return Err(StoreError::Database {
                what: self.path.display().to_string(),
                detail: "it could not be opened again after an I/O error".to_owned(),
            });
        };
        let Ok(done) = catch_unwind(AssertUnwindSafe(|| body(database))) else {
            return Err(damaged(&self.path, "a page makes no sense"));
        };
        done.map_err(|failure| match failure {
            Failure::Store(error) => error,
            Failure::Redb(error) => {
                if matches!(
                    error,
                    redb::Error::Io(_) | redb::Error::PreviousIo | redb::Error::LockPoisoned(_)
                ) {
                    self.spoilt.store(true, Ordering::Release);
                }
                failed(&self.path, error)
            }
        })
    }

    fn reopen(&self) -> Result<()> {
        let mut handle = self.handle.write().unwrap_or_else(PoisonError::into_inner);
        if !self.spoilt.load(Ordering::Acquire) {
            return Ok(()); // another thread was faster
        }
        // The old handle holds the file's lock: it must be closed first.
        close(handle.take());
        if !self.path.exists() {
            // Opening would make an empty one, and everything in it would seem never to have been.
            return Err(damaged(&self.path, "the file was removed while it was in use"));
        }
        let mut builder = Builder::new();
        builder.set_cache_size(self.cache_bytes);
        *handle = Some(guarded(&self.path, || self.disk.database(&builder, &self.path))?);
        self.spoilt.store(false, Ordering::Release);
        tracing::warn!(file = %self.path.display(), "opened anew after an I/O error");
        Ok(())
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        close(self.handle.get_mut().unwrap_or_else(PoisonError::into_inner).take());
    }
}

/// Closes a database: redb writes a last commit, and reads for it what may be damaged.
fn close(handle: Option<redb::Database>) {
    if catch_unwind(AssertUnwindSafe(|| drop(handle))).is_err() {
        tracing::warn!("a damaged database could not be closed; its next opening repairs it");
    }
}

/// Makes an empty database file, whole or not at all: what a full disk leaves of a file that was
/// begun could not be told from a damaged one.
fn make(disk: &dyn Disk, builder: &Builder, path: &Path) -> Result<()> {
    let fresh = path.with_extension("new");
    let io_error = |source| StoreError::Io { what: format!("making {}", path.display()), source };
    if fresh.exists() {
        disk.remove(&fresh).map_err(io_error)?;
    }
    drop(guarded(&fresh, || disk.database(builder, &fresh))?);
    disk.rename(&fresh, path).map_err(io_error)
}

/// Checks every page of a database file against its checksum, without changing the file: redb itself
/// looks at checksums only when it repairs after a crash.
///
/// # Errors
/// [`StoreError::Damaged`] when a page is not what was written; [`StoreError::Io`].
pub(super) fn verify(path: &Path, cache_bytes: usize) -> Result<()> {
    let mut builder = Builder::new();
    builder.set_cache_size(cache_bytes);
    let whole = guarded(path, || LookingDisk.database(&builder, path)?.check_integrity())?;
    if whole { Ok(()) } else { Err(damaged(path, "a page is not what was written")) }
}

/// Opens a database.
fn guarded<T>(path: &Path, open: impl FnOnce() -> Result<T, redb::DatabaseError>) -> Result<T> {
    match catch_unwind(AssertUnwindSafe(open)) {
        Ok(opened) => opened.map_err(|error| failed(path, error.into())),
        Err(_) => Err(damaged(path, "its own description of itself makes no sense")),
    }
}

fn damaged(path: &Path, detail: &str) -> StoreError {
    StoreError::Damaged { what: path.display().to_string(), detail: detail.to_owned() }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Database").field("path", &self.path).finish_non_exhaustive()
    }
}

/// Why a transaction's body failed: the database's fault or the store's own refusal.
pub(super) enum Failure {
    Redb(redb::Error),
    Store(StoreError),
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        Failure::Store(error)
    }
}

macro_rules! failures {
    ($($error:ty),*) => {$(
        impl From<$error> for Failure {
            fn from(error: $error) -> Self {
                Failure::Redb(error.into())
            }
        }
    )*};
}

failures!(
    redb::TransactionError,
    redb::TableError,
    redb::StorageError,
    redb::CommitError,
    redb::SetDurabilityError,
    redb::CursorError
);

fn failed(path: &Path, error: redb::Error) -> StoreError {
    match error {
        redb::Error::DatabaseAlreadyOpen => StoreError::Locked(path.to_owned()),
        // What redb answers for a file that is no database.
        redb::Error::Io(source) if source.kind() == std::io::ErrorKind::InvalidData => {
            StoreError::Damaged { what: path.display().to_string(), detail: source.to_string() }
        }
        redb::Error::Io(source) => StoreError::Io { what: path.display().to_string(), source },
        redb::Error::Corrupted(detail) => StoreError::Damaged { what: path.display().to_string(), detail },
        other => StoreError::Database { what: path.display().to_string(), detail: other.to_string() },
    }
}
