//! Blobs in and out, in chunks.

use std::collections::HashMap;
use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use vigie_core::store::{Blobs, StoreError};
use vigie_protocol::blob::{BlobChunk, CHUNK_BYTES, UploadStatus};
use vigie_protocol::service::{BlobRead, UploadBegin, UploadChunk, UploadGet};
use vigie_protocol::{ApiError, ErrorCode, Hash, UploadId};

use super::Api;
use crate::fault::api_error;

/// Uploads under way at once, over all connections.
const MAX_UPLOADS: usize = 64;
/// Largest blob, in bytes: an archive of images.
const MAX_BLOB: u64 = 1 << 40;
/// An upload without a chunk for this long is forgotten.
const IDLE: Duration = Duration::from_secs(3_600);

/// Blobs on their way in, in temporary files of the state directory.
#[derive(Debug)]
pub struct Uploads {
    folder: PathBuf,
    under_way: Mutex<HashMap<UploadId, Arc<Mutex<Upload>>>>,
}

#[derive(Debug)]
struct Upload {
    hash: Hash,
    size: u64,
    offset: u64,
    touched: Instant,
    /// Absent when the agent holds the blob already.
    file: Option<NamedTempFile>,
}

impl Upload {
    fn status(&self, upload: UploadId) -> UploadStatus {
        UploadStatus { upload, offset: self.offset, size: self.size }
    }
}

impl Uploads {
    /// Uploads whose files lie in `folder`, which must be on the blobs' file system.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, under_way: Mutex::default() }
    }

    fn begin(&self, request: UploadBegin, present: bool) -> Result<UploadStatus, ApiError> {
        let UploadBegin { hash, size } = request;
        if size > MAX_BLOB {
            return Err(ApiError::new(ErrorCode::TooLarge, format!("a blob has at most {MAX_BLOB} bytes")));
        }
        let mut under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.retain(|_, upload| lock(upload).touched.elapsed() < IDLE);
        // The same blob again is the same upload: this is how a client takes one up.
        let same = under_way.iter().find(|(_, upload)| {
            let upload = lock(upload);
            upload.hash == hash && upload.size == size
        });
        if let Some((id, upload)) = same {
            return Ok(lock(upload).status(*id));
        }
        if under_way.len() >= MAX_UPLOADS {
            return Err(
                ApiError::new(ErrorCode::Overloaded, "too many uploads are under way").retry_after_ms(5_000)
            );
        }
        let file = if present {
            None
        } else {
            Some(NamedTempFile::new_in(&self.folder).map_err(|error| disk("beginning an upload", &error))?)
        };
        let upload =
            Upload { hash, size, offset: if present { size } else { 0 }, touched: Instant::now(), file };
        let id = UploadId::new();
        let status = upload.status(id);
        under_way.insert(id, Arc::new(Mutex::new(upload)));
        Ok(status)
    }

    fn find(&self, id: UploadId) -> Result<Arc<Mutex<Upload>>, ApiError> {
        let under_way = self.under_way.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.get(&id).cloned().ok_or_else(|| {
            ApiError::not_found(format_args!("upload {id}"))
                .with_hint("begin it again; the agent may have restarted")
        })
    }

    fn forget(&self, id: UploadId) {
        self.under_way.lock().unwrap_or_else(PoisonError::into_inner).remove(&id);
    }
}

pub(super) async fn begin(api: Api, request: UploadBegin) -> Result<UploadStatus, ApiError> {
    api.app
        .blocking(move |app| {
            let present = app.state.blobs.size(request.hash).map_err(api_error)?;
            app.uploads.begin(request, present == Some(request.size))
        })
        .await
}

pub(super) async fn chunk(api: Api, request: UploadChunk) -> Result<UploadStatus, ApiError> {
    api.app
        .blocking(move |app| {
            let upload = app.uploads.find(request.upload)?;
            let mut upload = lock(&upload);
            write_chunk(&mut upload, request.offset, &request.bytes)?;
            Ok(upload.status(request.upload))
        })
        .await
}

fn write_chunk(upload: &mut Upload, offset: u64, bytes: &[u8]) -> Result<(), ApiError> {
    if bytes.len() > CHUNK_BYTES {
        return Err(ApiError::new(ErrorCode::TooLarge, format!("a chunk has at most {CHUNK_BYTES} bytes")));
    }
    if offset != upload.offset {
        return Err(ApiError::new(
            ErrorCode::Conflict,
            format!("the upload is at byte {}, the chunk at {offset}", upload.offset),
        )
        .with_hint("ask for upload_status and go on from there"));
    }
    let end = offset + bytes.len() as u64;
    if end > upload.size {
        return Err(ApiError::invalid(format!("the chunk ends at {end}, the blob at {}", upload.size)));
    }
    if let Some(file) = &mut upload.file {
        file.write_all(bytes).map_err(|error| disk("writing an upload", &error))?;
    }
    upload.offset = end;
    upload.touched = Instant::now();
    Ok(())
}

pub(super) async fn status(api: Api, request: UploadGet) -> Result<UploadStatus, ApiError> {
    Ok(lock(api.app.uploads.find(request.upload)?.as_ref()).status(request.upload))
}

pub(super) async fn commit(api: Api, request: UploadGet) -> Result<UploadStatus, ApiError> {
    api.app
        .blocking(move |app| {
            let upload = app.uploads.find(request.upload)?;
            let mut upload = lock(&upload);
            if upload.offset != upload.size {
                return Err(ApiError::new(
                    ErrorCode::Precondition,
                    format!("{} of {} bytes are there", upload.offset, upload.size),
                ));
            }
            let status = upload.status(request.upload);
            app.uploads.forget(request.upload);
            if let Some(file) = upload.file.take() {
                let path = file.into_temp_path();
                app.state.blobs.adopt(&path, Some(upload.hash)).map_err(|error| match error {
                    StoreError::Damaged { .. } => ApiError::invalid(error.to_string())
                        .with_hint("the file changed while it was sent; send it again"),
                    error => api_error(error),
                })?;
                // The file was renamed away: there is nothing left for the guard to remove.
                path.keep().map_err(|error| disk("keeping an upload", &error.error))?;
                app.state.blobs.sync().map_err(api_error)?;
            }
            Ok(status)
        })
        .await
}

pub(super) async fn read(api: Api, request: BlobRead) -> Result<BlobChunk, ApiError> {
    let BlobRead { hash, offset } = request;
    let (bytes, size) = api
        .read(move |state| state.blobs.read_range(hash, offset, CHUNK_BYTES))
        .await?
        .ok_or_else(|| ApiError::not_found(format_args!("blob {hash}")))?;
    Ok(BlobChunk { offset, bytes, size })
}

fn lock(upload: &Mutex<Upload>) -> std::sync::MutexGuard<'_, Upload> {
    upload.lock().unwrap_or_else(PoisonError::into_inner)
}

fn disk(what: &str, error: &std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Storage, format!("{what}: {error}")).with_hint("is the disk full?")
}
