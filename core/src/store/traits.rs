//! The three traits a store stands behind, and its error.

use std::path::PathBuf;
use std::time::Duration;

use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::prediction::{HourCount, Prediction, PredictionFilter};
use vigie_protocol::{Hash, PredictionId, ProjectName, Time};

/// Why the store did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A precondition of a batch did not hold: someone else was faster.
    #[error("{what} changed since it was read")]
    Conflict {
        /// What changed.
        what: String,
    },
    /// Something that must be there is not.
    #[error("{what} does not exist")]
    NotFound {
        /// What is missing.
        what: String,
    },
    /// Something that must not be there is.
    #[error("{what} exists already")]
    Exists {
        /// What is there.
        what: String,
    },
    /// The state of things does not allow it.
    #[error("{0}")]
    Precondition(String),
    /// More than the store takes.
    #[error("{what} is larger than {limit} bytes")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The most bytes it may have.
        limit: u64,
    },
    /// Bytes on disk are not what was written.
    #[error("{what} is damaged: {detail}")]
    Damaged {
        /// What is damaged.
        what: String,
        /// How it shows.
        detail: String,
    },
    /// The state directory was written by a newer build.
    #[error("the state has schema {found}, this build knows schemas up to {known}")]
    Newer {
        /// Schema on disk.
        found: u32,
        /// Newest schema of this build.
        known: u32,
    },
    /// Another process has the state directory open.
    #[error("{0} is in use by another process")]
    Locked(PathBuf),
    /// A cursor this store did not make.
    #[error("not a cursor of this list")]
    BadCursor,
    /// The disk or the file system refused.
    #[error("{what}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The database refused.
    #[error("{what}: {detail}")]
    Database {
        /// What was being done.
        what: String,
        /// What the database said.
        detail: String,
    },
}

/// Shorthand of this room.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

/// A fact as it was read: its bytes and the generation that a later change can name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// What was put.
    pub value: Vec<u8>,
    /// The commit that put it: rises over the store's whole life.
    pub generation: u64,
}

/// What must hold for a batch to be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expect {
    /// Nothing is at this key.
    Absent(Vec<u8>),
    /// What is at this key was put by this commit.
    Generation(Vec<u8>, u64),
}

/// Puts and deletes that happen together or not at all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Batch {
    /// What must hold.
    pub expects: Vec<Expect>,
    /// What is put.
    pub puts: Vec<(Vec<u8>, Vec<u8>)>,
    /// What is deleted; a key that is not there is no error.
    pub deletes: Vec<Vec<u8>>,
}

/// Which way a scan runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Smallest key first.
    Ascending,
    /// Largest key first.
    Descending,
}

/// Small facts under ordered keys.
pub trait Facts: Send + Sync {
    /// The fact at a key.
    fn get(&self, key: &[u8]) -> Result<Option<Fact>>;

    /// Up to `limit` facts whose keys start with `prefix`, from just past `after` in `order`.
    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        order: Order,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Fact)>>;

    /// Carries a batch out in one durable commit and returns its generation.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] or [`StoreError::Exists`] when an expectation does not hold; then
    /// nothing was changed.
    fn commit(&self, batch: &Batch) -> Result<u64>;
}

/// The log of predictions.
pub trait PredictionLog: Send + Sync {
    /// Appends a group in one durable commit.
    fn append(&self, group: &[(ProjectName, Prediction)]) -> Result<()>;

    /// Predictions that `filter` wants, newest first. A page may be short, even empty, with a
    /// cursor, when `budget` ran out first.
    fn page(
        &self,
        project: &ProjectName,
        filter: &PredictionFilter,
        cursor: Option<&PageCursor>,
        limit: usize,
        budget: Duration,
    ) -> Result<Page<Prediction>>;

    /// One prediction.
    fn get(&self, project: &ProjectName, id: PredictionId) -> Result<Option<Prediction>>;

    /// Removes one prediction from log and counters; returns it.
    fn forget(&self, project: &ProjectName, id: PredictionId) -> Result<Option<Prediction>>;

    /// Counters of each hour and model from the hour of `since` to the hour of `until`.
    fn counts(&self, project: &ProjectName, since: Time, until: Time) -> Result<Vec<HourCount>>;

    /// The UTC days on disk, as `2026-11-21`, oldest first.
    fn days(&self) -> Result<Vec<String>>;

    /// Drops a whole day.
    fn drop_day(&self, day: &str) -> Result<()>;
}

/// Immutable bytes under their hash.
pub trait Blobs: Send + Sync {
    /// Stores bytes. Visible whole at once; durable only after [`Blobs::sync`].
    fn put(&self, bytes: &[u8]) -> Result<Hash>;

    /// Makes every blob put so far by this handle durable. Called before the commit that names
    /// them. After an error they must be put again.
    fn sync(&self) -> Result<()>;

    /// The whole blob, checked against its hash.
    fn get(&self, hash: Hash) -> Result<Option<Vec<u8>>>;

    /// Up to `len` bytes from `offset` and the blob's whole length; not checked against the hash.
    fn read_range(&self, hash: Hash, offset: u64, len: usize) -> Result<Option<(Vec<u8>, u64)>>;

    /// The blob's length, if it is there.
    fn size(&self, hash: Hash) -> Result<Option<u64>>;

    /// Removes a blob; one that is not there is no error.
    fn delete(&self, hash: Hash) -> Result<()>;

    /// Calls `each` with every blob: its hash, length, and when it was last put.
    fn list(&self, each: &mut dyn FnMut(Hash, u64, Time)) -> Result<()>;
}
