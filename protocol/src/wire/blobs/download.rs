//! A blob's way down: into a file, resuming a partial one, or into memory.

use std::io;
use std::path::{Path, PathBuf};

use tokio::fs::{self, File, OpenOptions};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::{CHUNK_TIMEOUT, Tries};
use crate::blob::BlobChunk;
use crate::service::BlobRead;
use crate::wire::client::AgentClient;
use crate::{ApiError, ErrorCode, Hash};

/// Downloads a blob into the file `path`. Until it is whole and verified it lies beside it as
/// `….partial`; an earlier partial file is taken up. `progress` hears bytes done and bytes in all.
///
/// # Errors
/// What the agent says, after several tries where trying helps; `Storage` when the file cannot be
/// written; `Internal` when the content does not match its hash.
pub async fn download(
    client: &AgentClient,
    hash: Hash,
    path: &Path,
    mut progress: impl FnMut(u64, u64),
) -> Result<u64, ApiError> {
    let mut partial = Partial::open(path).await?;
    let mut tries = Tries::new();
    loop {
        let chunk = match read(client, hash, partial.length).await {
            Ok(chunk) => chunk,
            Err(error) if error.code == ErrorCode::NotFound => return Err(error),
            Err(error) => {
                tries.again(error).await?;
                continue;
            }
        };
        if partial.length > chunk.size {
            // Left over from something else.
            partial = partial.restart().await?;
            continue;
        }
        check_place(&chunk, partial.length)?;
        partial.append(&chunk.bytes).await?;
        tries.progress();
        progress(partial.length, chunk.size);
        if partial.length == chunk.size {
            return partial.finish(hash, path).await;
        }
    }
}

/// Downloads a blob of at most `limit` bytes into memory.
///
/// # Errors
/// Those of [`download`]; `TooLarge` when the blob is larger than `limit`.
pub async fn fetch(client: &AgentClient, hash: Hash, limit: u64) -> Result<Vec<u8>, ApiError> {
    let mut bytes = Vec::new();
    let mut tries = Tries::new();
    loop {
        let chunk = match read(client, hash, bytes.len() as u64).await {
            Ok(chunk) => chunk,
            Err(error) if error.code == ErrorCode::NotFound => return Err(error),
            Err(error) => {
                tries.again(error).await?;
                continue;
            }
        };
        if chunk.size > limit {
            let message = format!("the blob has {} bytes, more than the {limit} wanted", chunk.size);
            return Err(ApiError::new(ErrorCode::TooLarge, message));
        }
        check_place(&chunk, bytes.len() as u64)?;
        bytes.extend_from_slice(&chunk.bytes);
        tries.progress();
        if bytes.len() as u64 == chunk.size {
            return if Hash::of(&bytes) == hash { Ok(bytes) } else { Err(mismatch(hash)) };
        }
    }
}

async fn read(client: &AgentClient, hash: Hash, offset: u64) -> Result<BlobChunk, ApiError> {
    let request = BlobRead { hash, offset };
    client
        .with_timeout(CHUNK_TIMEOUT)
        .call(move |c, ctx| async move { c.blob_read(ctx, request).await })
        .await
}

/// An agent must send what was asked for, and something of it while there is more.
fn check_place(chunk: &BlobChunk, offset: u64) -> Result<(), ApiError> {
    let end = offset.saturating_add(chunk.bytes.len() as u64);
    let stuck = chunk.bytes.is_empty() && offset < chunk.size;
    if chunk.offset != offset || end > chunk.size || stuck {
        return Err(ApiError::new(ErrorCode::Internal, "the agent sent another piece than was asked for"));
    }
    Ok(())
}

fn mismatch(hash: Hash) -> ApiError {
    ApiError::new(
        ErrorCode::Internal,
        format!("what the agent sent does not match the hash {}", hash.short()),
    )
    .with_hint("try again; if it stays so, run doctor on the agent")
}

/// A file on its way to be whole.
struct Partial {
    file: File,
    path: PathBuf,
    length: u64,
    hasher: blake3::Hasher,
}

impl Partial {
    async fn open(whole: &Path) -> Result<Self, ApiError> {
        let mut name = whole.file_name().unwrap_or_default().to_owned();
        name.push(".partial");
        let path = whole.with_file_name(name);
        let storage = |error| unwritable(&path, &error);
        let options = OpenOptions::new().read(true).append(true).create(true).clone();
        let mut file = options.open(&path).await.map_err(storage)?;
        let mut hasher = blake3::Hasher::new();
        let mut length = 0;
        let mut buffer = vec![0; 256 * 1024];
        loop {
            match file.read(&mut buffer).await.map_err(storage)? {
                0 => break,
                n => {
                    hasher.update(&buffer[..n]);
                    length += n as u64;
                }
            }
        }
        Ok(Self { file, path, length, hasher })
    }

    async fn append(&mut self, bytes: &[u8]) -> Result<(), ApiError> {
        self.file.write_all(bytes).await.map_err(|error| unwritable(&self.path, &error))?;
        self.hasher.update(bytes);
        self.length += bytes.len() as u64;
        Ok(())
    }

    async fn restart(self) -> Result<Self, ApiError> {
        self.file.set_len(0).await.map_err(|error| unwritable(&self.path, &error))?;
        Ok(Self { length: 0, hasher: blake3::Hasher::new(), ..self })
    }

    async fn finish(mut self, hash: Hash, whole: &Path) -> Result<u64, ApiError> {
        if Hash::from(self.hasher.finalize()) != hash {
            // Taking this up again would never end well.
            let _ = fs::remove_file(&self.path).await;
            return Err(mismatch(hash));
        }
        let durable = async {
            self.file.flush().await?;
            self.file.sync_all().await?;
            fs::rename(&self.path, whole).await
        };
        durable.await.map_err(|error| unwritable(whole, &error))?;
        Ok(self.length)
    }
}

fn unwritable(path: &Path, error: &io::Error) -> ApiError {
    ApiError::new(ErrorCode::Storage, format!("cannot write {}: {error}", path.display()))
}
