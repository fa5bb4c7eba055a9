//! Blobs: immutable bytes named by their BLAKE3 hash. Both ways in chunks, both ways resumable.

use serde::{Deserialize, Serialize};

use crate::{Hash, UploadId};

/// The most bytes of one chunk, up or down.
pub const CHUNK_BYTES: usize = 512 * 1024;

/// An upload under way. Survives a dropped connection; forgotten when the agent restarts or after
/// an hour in which nobody asked for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadStatus {
    /// Names the upload in later requests.
    pub upload: UploadId,
    /// Bytes already there: where the next chunk goes. Equal to `size` when the blob was there all
    /// along, and nothing need be sent.
    pub offset: u64,
    /// Bytes promised.
    pub size: u64,
}

/// One piece of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobChunk {
    /// Where in the blob these bytes lie.
    pub offset: u64,
    /// The bytes, at most [`CHUNK_BYTES`].
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
    /// The whole blob's length.
    pub size: u64,
}

/// What garbage collection found, or removed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GcReport {
    /// Blobs that something refers to.
    pub referenced: u64,
    /// Their bytes.
    pub referenced_bytes: u64,
    /// Blobs nothing refers to.
    pub orphans: u64,
    /// Their bytes.
    pub orphan_bytes: u64,
    /// Whether the orphans were removed (`false`: a dry run).
    pub removed: bool,
    /// Up to 20 orphans, as examples.
    #[serde(default)]
    pub examples: Vec<Hash>,
    /// Blobs that something refers to and that are not there.
    #[serde(default)]
    pub missing: Vec<Hash>,
    /// Files of downloads that no unfinished job needs any more, removed with the orphans.
    #[serde(default)]
    pub downloads: u64,
    /// Their bytes.
    #[serde(default)]
    pub download_bytes: u64,
    /// Files that are made again when a job needs them, and that none needs now: packs and the features
    /// beside them, what trainings computed on their way. Removed with the orphans.
    #[serde(default)]
    pub rebuildable: u64,
    /// Their bytes.
    #[serde(default)]
    pub rebuildable_bytes: u64,
    /// The largest of them, up to 100.
    #[serde(default)]
    pub rebuildable_files: Vec<RebuildableFile>,
}

/// A file that is made again when a job needs it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildableFile {
    /// Where it lies, from the agent's state directory on.
    pub path: String,
    /// Its bytes.
    pub bytes: u64,
}
