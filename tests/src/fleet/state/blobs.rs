//! Blobs: the fleet's pictures, and what was uploaded.

use std::collections::{BTreeMap, HashMap, VecDeque};

use vigie_protocol::access::Principal;
use vigie_protocol::blob::{BlobChunk, CHUNK_BYTES, UploadStatus};
use vigie_protocol::service::{Backup, BackupMade, BlobRead, UploadBegin, UploadChunk, UploadGet};
use vigie_protocol::{ApiError, ErrorCode, Hash, UploadId};

use super::State;
use super::once::Change;
use super::refusal::{missing, precondition};

/// Uploads under way at once.
const MAX_UPLOADS: usize = 16;

/// Largest blob, in bytes. Far smaller than the real agent's: it is kept in memory.
const MAX_BLOB: u64 = 32 << 20;

/// Bytes of blobs that are kept; the oldest go first.
const KEPT: usize = 64 << 20;

/// What was uploaded or sent, and what is on its way.
#[derive(Debug, Default)]
pub(super) struct Store {
    kept: HashMap<Hash, Vec<u8>>,
    order: VecDeque<Hash>,
    bytes: usize,
    uploads: BTreeMap<UploadId, Upload>,
}

#[derive(Debug)]
struct Upload {
    hash: Hash,
    size: u64,
    /// Absent when the blob was there all along.
    bytes: Option<Vec<u8>>,
}

impl Upload {
    fn status(&self, upload: UploadId) -> UploadStatus {
        let offset = self.bytes.as_ref().map_or(self.size, |bytes| bytes.len() as u64);
        UploadStatus { upload, offset, size: self.size }
    }
}

impl Store {
    pub(super) fn keep(&mut self, hash: Hash, bytes: Vec<u8>) {
        self.bytes += bytes.len();
        if let Some(same) = self.kept.insert(hash, bytes) {
            self.bytes -= same.len();
        } else {
            self.order.push_back(hash);
        }
        while self.bytes > KEPT
            && let Some(oldest) = self.order.pop_front()
        {
            self.bytes -= self.kept.remove(&oldest).map_or(0, |bytes| bytes.len());
        }
    }

    /// A restart forgets what was not committed.
    pub(super) fn forget_uploads(&mut self) {
        self.uploads.clear();
    }
}

impl State {
    /// The whole blob, if it is there.
    pub(super) fn blob(&self, hash: Hash) -> Option<Vec<u8>> {
        let kept = self.blobs.kept.get(&hash).cloned();
        kept.or_else(|| self.projects.values().find_map(|project| project.plan.pictures().find(hash)))
    }

    pub(in super::super) fn blob_read(
        &mut self,
        _: &Principal,
        request: BlobRead,
    ) -> Result<BlobChunk, ApiError> {
        let BlobRead { hash, offset } = request;
        let bytes = self.blob(hash).ok_or_else(|| missing(format_args!("blob {hash}")))?;
        let start = usize::try_from(offset).unwrap_or(usize::MAX).min(bytes.len());
        let end = bytes.len().min(start + CHUNK_BYTES);
        Ok(BlobChunk { offset, bytes: bytes[start..end].to_vec(), size: bytes.len() as u64 })
    }

    pub(in super::super) fn upload_begin(
        &mut self,
        _: &Principal,
        request: UploadBegin,
    ) -> Result<UploadStatus, ApiError> {
        let UploadBegin { hash, size } = request;
        if size > MAX_BLOB {
            return Err(ApiError::new(ErrorCode::TooLarge, format!("a blob has at most {MAX_BLOB} bytes")));
        }
        // The same blob again is the same upload: this is how a client takes one up.
        let mut uploads = self.blobs.uploads.iter();
        if let Some((id, upload)) = uploads.find(|(_, upload)| upload.hash == hash && upload.size == size) {
            return Ok(upload.status(*id));
        }
        if self.blobs.uploads.len() >= MAX_UPLOADS {
            let text = "too many uploads are under way";
            return Err(ApiError::new(ErrorCode::Overloaded, text).retry_after_ms(5_000));
        }
        let there = self.blob(hash).is_some_and(|bytes| bytes.len() as u64 == size);
        let upload = Upload { hash, size, bytes: (!there).then(Vec::new) };
        let id = self.fresh_id(self.now);
        let status = upload.status(id);
        self.blobs.uploads.insert(id, upload);
        Ok(status)
    }

    pub(in super::super) fn upload_chunk(
        &mut self,
        _: &Principal,
        request: UploadChunk,
    ) -> Result<UploadStatus, ApiError> {
        let UploadChunk { upload: id, offset, bytes: chunk } = request;
        if chunk.len() > CHUNK_BYTES {
            let text = format!("a chunk has at most {CHUNK_BYTES} bytes");
            return Err(ApiError::new(ErrorCode::TooLarge, text));
        }
        let upload = self.blobs.uploads.get_mut(&id).ok_or_else(|| unknown(id))?;
        let here = upload.status(id).offset;
        if offset != here {
            let text = format!("the upload is at byte {here}, the chunk at {offset}");
            return Err(ApiError::new(ErrorCode::Conflict, text)
                .with_hint("ask for upload_status and go on from there"));
        }
        let end = offset + chunk.len() as u64;
        if end > upload.size {
            return Err(ApiError::invalid(format!("the chunk ends at {end}, the blob at {}", upload.size)));
        }
        if let Some(bytes) = &mut upload.bytes {
            bytes.extend_from_slice(&chunk);
        }
        Ok(upload.status(id))
    }

    pub(in super::super) fn upload_status(
        &mut self,
        _: &Principal,
        request: UploadGet,
    ) -> Result<UploadStatus, ApiError> {
        let id = request.upload;
        Ok(self.blobs.uploads.get(&id).ok_or_else(|| unknown(id))?.status(id))
    }

    pub(in super::super) fn upload_commit(
        &mut self,
        _: &Principal,
        request: UploadGet,
    ) -> Result<UploadStatus, ApiError> {
        let id = request.upload;
        let status = self.blobs.uploads.get(&id).ok_or_else(|| unknown(id))?.status(id);
        if status.offset != status.size {
            return Err(precondition(format!("{} of {} bytes are there", status.offset, status.size)));
        }
        if let Some(Upload { hash, bytes: Some(bytes), .. }) = self.blobs.uploads.remove(&id) {
            if Hash::of(&bytes) != hash {
                return Err(ApiError::invalid(format!("the content is not that of blob {hash}"))
                    .with_hint("the file changed while it was sent; send it again"));
            }
            self.blobs.keep(hash, bytes);
        }
        Ok(status)
    }

    pub(in super::super) fn backup(
        &mut self,
        who: &Principal,
        request: Backup,
    ) -> Result<BackupMade, ApiError> {
        let Backup { key, ref path } = request;
        if !path.starts_with('/') {
            let text = format!("{path:?} is not an absolute path on the agent's machine");
            return Err(ApiError::invalid(text));
        }
        let target = path.clone();
        let change = Change { key, method: "backup", request: &request, target, reason: None, who };
        self.once(&change, |state| {
            if !state.backups.insert(path.clone()) {
                return Err(ApiError::new(ErrorCode::Conflict, format!("{path} exists already")));
            }
            let files = 40 + state.projects.len() as u64;
            Ok(BackupMade { path: path.clone(), files, bytes: files * 1_048_576, seconds: 2.5, damaged: 0 })
        })
    }
}

fn unknown(id: UploadId) -> ApiError {
    missing(format_args!("upload {id}")).with_hint("begin it again; the agent may have restarted")
}
