//! Requests about events, blobs, the audit log and backups.

use serde::{Deserialize, Serialize};

use crate::event::{Update, WatchCursor};
use crate::page::PageRequest;
use crate::{Hash, IdempotencyKey, ProjectName, Time, UploadId};

/// Lists events, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct EventList {
    /// Of which project; all when absent.
    pub project: Option<ProjectName>,
    /// Which page.
    pub page: PageRequest,
}

/// Waits for something to happen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Watch {
    /// Where the watcher stands; absent to start from now.
    pub cursor: Option<WatchCursor>,
    /// How long to wait when there is nothing new, at most 25,000 ms.
    pub max_wait_ms: u32,
}

/// What happened since the cursor.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Watched {
    /// What, oldest first.
    pub updates: Vec<Update>,
    /// Where to go on.
    pub next: WatchCursor,
    /// The cursor was too old or from another start of the agent: fetch what is shown anew.
    #[serde(default)]
    pub resync: bool,
}

/// Reads the agent's own log: the newest lines, which it keeps in memory.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AgentLog {
    /// From which line: what the last page said, 0 for the first that is still there. Absent for the
    /// newest lines. A number that no line has yet (the agent was restarted) counts as 0.
    pub cursor: Option<u64>,
    /// At most this many lines; 0 means the agent's default (100), and the agent caps it at 1,000.
    pub limit: u32,
}

/// A piece of the agent's own log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentLogPage {
    /// Its lines, oldest first.
    pub lines: Vec<AgentLogLine>,
    /// The number of the line after these: where to read on.
    pub next: u64,
    /// Lines from the cursor on that the agent has dropped already to make room for newer ones.
    #[serde(default)]
    pub dropped: u64,
    /// Random for each start of the agent; each start numbers its lines anew.
    #[serde(default)]
    pub epoch: u64,
}

/// One line of the agent's own log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AgentLogLine {
    /// Its number: from 1 at the agent's start, rising by one with every line.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// `error`, `warn`, `info`, `debug` or `trace`.
    pub level: String,
    /// Which part of the agent says it: `vigie_agent::run`.
    pub target: String,
    /// What it says: the message, then its fields (`the store failed error="no space left"`).
    pub text: String,
}

/// Begins an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadBegin {
    /// The blob's hash.
    pub hash: Hash,
    /// Its length.
    pub size: u64,
}

/// Sends a piece.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadChunk {
    /// Of which upload.
    pub upload: UploadId,
    /// Where it goes: what the last answer said.
    pub offset: u64,
    /// The bytes, at most [`crate::blob::CHUNK_BYTES`].
    #[serde(with = "serde_bytes")]
    pub bytes: Vec<u8>,
}

/// Names an upload.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UploadGet {
    /// Which.
    pub upload: UploadId,
}

/// Reads a piece of a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRead {
    /// Which.
    pub hash: Hash,
    /// From where.
    #[serde(default)]
    pub offset: u64,
}

/// Reads the audit log, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct AuditList {
    /// Which page.
    pub page: PageRequest,
}

/// One line of the audit log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditEntry {
    /// Rises by one with every line.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// Who.
    pub principal: String,
    /// In which role.
    pub role: String,
    /// From where.
    pub via: String,
    /// The method.
    pub method: String,
    /// What it was done to.
    pub target: String,
    /// `ok`, or the error's code and message.
    pub outcome: String,
    /// Why, as typed.
    #[serde(default)]
    pub reason: Option<String>,
    /// BLAKE3 of the line before: the chain.
    pub prev: Hash,
}

/// What a check of the audit log's chain found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditVerdict {
    /// Lines read.
    pub lines: u64,
    /// The first line that does not follow from the one before, and why.
    #[serde(default)]
    pub broken_at: Option<String>,
    /// BLAKE3 of the last line: keep it elsewhere, and a cut log is noticed too.
    pub head: Hash,
}

/// Makes a backup while the agent runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Backup {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// An absolute path on the agent's machine that does not exist yet.
    pub path: String,
}

/// A finished backup.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BackupMade {
    /// Where it lies.
    pub path: String,
    /// Files in it.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Seconds it took.
    pub seconds: f64,
    /// Blobs and days of predictions that were damaged and are not in it.
    #[serde(default)]
    pub damaged: u64,
}
