//! Blobs in and out, in chunks.

mod uploads;

use vigie_core::store::Blobs;
use vigie_protocol::ApiError;
use vigie_protocol::blob::{BlobChunk, CHUNK_BYTES, UploadStatus};
use vigie_protocol::service::{BlobRead, UploadBegin, UploadChunk, UploadGet};

use super::Api;
use crate::fault::api_error;

pub use uploads::Uploads;

pub(super) async fn begin(api: Api, request: UploadBegin) -> Result<UploadStatus, ApiError> {
    api.app
        .blocking(move |app| {
            let blobs = &app.state.blobs;
            let size = blobs.size(request.hash).map_err(api_error)?;
            // Not read: an archive of many gigabytes takes longer than anybody waits. Who uses it reads it.
            let present = size == Some(request.size) && blobs.keep(request.hash).map_err(api_error)?;
            app.uploads.begin(request, present)
        })
        .await
}

pub(super) async fn chunk(api: Api, request: UploadChunk) -> Result<UploadStatus, ApiError> {
    api.app.blocking(move |app| app.uploads.chunk(&request)).await
}

pub(super) async fn status(api: Api, request: UploadGet) -> Result<UploadStatus, ApiError> {
    api.app.blocking(move |app| app.uploads.status(request.upload)).await
}

pub(super) async fn commit(api: Api, request: UploadGet) -> Result<UploadStatus, ApiError> {
    api.app.blocking(move |app| app.uploads.commit(request.upload, &app.state.blobs)).await
}

pub(super) async fn read(api: Api, request: BlobRead) -> Result<BlobChunk, ApiError> {
    let BlobRead { hash, offset } = request;
    let (bytes, size) = api
        .read(move |state| state.blobs.read_range(hash, offset, CHUNK_BYTES))
        .await?
        .ok_or_else(|| ApiError::not_found(format_args!("blob {hash}")))?;
    Ok(BlobChunk { offset, bytes, size })
}
