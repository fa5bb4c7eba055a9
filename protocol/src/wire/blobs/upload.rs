//! A blob's way up: begun or taken up, sent in chunks, committed.

use std::io::{self, SeekFrom};
use std::path::Path;

use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncSeek, AsyncSeekExt};

use super::{CHUNK_TIMEOUT, Tries};
use crate::blob::{CHUNK_BYTES, UploadStatus};
use crate::service::{UploadBegin, UploadChunk, UploadGet};
use crate::wire::client::AgentClient;
use crate::{ApiError, ErrorCode, Hash};

/// Uploads `size` bytes of `reader`, whose hash is `hash`. Sends only what the agent does not have.
/// `progress` hears how many bytes the agent has. When this returns, the blob is durable there.
///
/// # Errors
/// What the agent says, after several tries where trying helps; `Invalid` when the reader fails or
/// holds less than promised.
pub async fn upload(
    client: &AgentClient,
    mut reader: impl AsyncRead + AsyncSeek + Unpin,
    hash: Hash,
    size: u64,
    mut progress: impl FnMut(u64),
) -> Result<(), ApiError> {
    let client = client.with_timeout(CHUNK_TIMEOUT);
    let mut tries = Tries::new();
    // Which upload is under way, and how far it came.
    let (mut current, mut reached) = (None, 0);
    // Beginnings anew since one came further than any before: an agent that restarts forgets its uploads.
    let (mut beginnings, mut furthest) = (Tries::new(), 0);
    'begin: loop {
        let begin = UploadBegin { hash, size };
        let mut status =
            match client.call(move |c, ctx| async move { c.upload_begin(ctx, begin).await }).await {
                Ok(status) => status,
                Err(error) => {
                    tries.again(error).await?;
                    continue;
                }
            };
        if current.replace(status.upload).is_some_and(|before| before != status.upload) {
            reached = status.offset;
            beginnings.again(forgotten()).await?;
        }
        while status.offset < size {
            progress(status.offset);
            let chunk = read_chunk(&mut reader, &status, size).await?;
            status = match send(&client, chunk).await {
                Ok(status) => status,
                Err(error) => {
                    tries.again(error).await?;
                    continue 'begin;
                }
            };
            if status.offset > furthest {
                furthest = status.offset;
                beginnings.progress();
            }
            if status.offset > reached {
                reached = status.offset;
                tries.progress();
            } else {
                tries.again(ApiError::new(ErrorCode::Conflict, "the upload does not advance")).await?;
            }
        }
        progress(size);
        let commit = UploadGet { upload: status.upload };
        match client.call(move |c, ctx| async move { c.upload_commit(ctx, commit).await }).await {
            Ok(_) => return Ok(()),
            Err(error) => tries.again(error).await?,
        }
    }
}

/// Uploads a file and says by which hash and of what length.
///
/// # Errors
/// Those of [`upload`]; `Invalid` when the file cannot be read.
pub async fn upload_file(
    client: &AgentClient,
    path: &Path,
    progress: impl FnMut(u64),
) -> Result<(Hash, u64), ApiError> {
    let unreadable = |error: io::Error| ApiError::invalid(format!("cannot read {}: {error}", path.display()));
    let to_hash = path.to_owned();
    let hash = tokio::task::spawn_blocking(move || {
        let mut hasher = blake3::Hasher::new();
        hasher.update_mmap_rayon(to_hash).map(|hasher| Hash::from(hasher.finalize()))
    })
    .await
    .map_err(|_| ApiError::new(ErrorCode::Internal, "hashing the file failed"))?
    .map_err(unreadable)?;
    let file = File::open(path).await.map_err(unreadable)?;
    let size = file.metadata().await.map_err(unreadable)?.len();
    upload(client, file, hash, size, progress).await?;
    Ok((hash, size))
}

async fn read_chunk(
    reader: &mut (impl AsyncRead + AsyncSeek + Unpin),
    status: &UploadStatus,
    size: u64,
) -> Result<UploadChunk, ApiError> {
    let UploadStatus { upload, offset, .. } = *status;
    let length = (size - offset).min(CHUNK_BYTES as u64);
    let mut bytes = vec![0; length as usize];
    reader.seek(SeekFrom::Start(offset)).await.map_err(changed)?;
    reader.read_exact(&mut bytes).await.map_err(changed)?;
    Ok(UploadChunk { upload, offset, bytes })
}

async fn send(client: &AgentClient, chunk: UploadChunk) -> Result<UploadStatus, ApiError> {
    client
        .call(move |c, ctx| {
            let chunk = chunk.clone();
            async move { c.upload_chunk(ctx, chunk).await }
        })
        .await
}

fn forgotten() -> ApiError {
    ApiError::new(ErrorCode::Unavailable, "the agent forgets the upload before it is whole")
        .with_hint("does it restart again and again?")
}

fn changed(error: io::Error) -> ApiError {
    ApiError::invalid(format!("the content cannot be read to its end: {error}"))
        .with_hint("was the file changed meanwhile? try again")
}
