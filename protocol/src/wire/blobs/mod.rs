//! Blobs over the wire, in chunks: up ([`upload`]) and down ([`download`]). Both go on where they
//! stopped when the connection breaks, and both hold the content against its hash.

mod download;
mod upload;

pub use download::{download, fetch};
pub use upload::{upload, upload_file};

use std::time::Duration;

use tokio::time::sleep;

use super::WireCodec;
use super::client::{AgentClient, Backoff};
use crate::prediction::Prediction;
use crate::service::Predict;
use crate::{ApiError, ErrorCode, Hash};

/// Chunks in a row that may fail before a transfer is given up.
const PATIENCE: u32 = 6;

/// How long one chunk may take: half a megabyte over a slow line.
const CHUNK_TIMEOUT: Duration = Duration::from_secs(45);

/// Asks for a prediction of an image of any size: what would not fit a frame goes up as a blob
/// first.
///
/// # Errors
/// The agent's, and those of [`AgentClient::call`] and [`upload`].
pub async fn predict(client: &AgentClient, mut request: Predict) -> Result<Prediction, ApiError> {
    let room = match client.welcome().await?.codec {
        WireCodec::MsgPack => 3 * 1024 * 1024,
        // Bytes are arrays of numbers in JSON, up to four characters each.
        WireCodec::Json => 768 * 1024,
    };
    if request.image.len() > room {
        let image = std::mem::take(&mut request.image);
        let (hash, size) = (Hash::of(&image), image.len() as u64);
        upload(client, std::io::Cursor::new(image), hash, size, |_| {}).await?;
        request.blob = Some(hash);
    }
    client
        .call(move |c, ctx| {
            let request = request.clone();
            async move { c.predict(ctx, request).await }
        })
        .await
}

/// Counts failures in a row and waits between them.
struct Tries {
    left: u32,
    backoff: Backoff,
}

impl Tries {
    fn new() -> Self {
        Self { left: PATIENCE, backoff: Backoff::default() }
    }

    fn progress(&mut self) {
        *self = Self::new();
    }

    /// Waits before another try.
    ///
    /// # Errors
    /// `error` itself when it will not pass, or enough was tried.
    async fn again(&mut self, error: ApiError) -> Result<(), ApiError> {
        let passes = match error.code {
            ErrorCode::Unavailable | ErrorCode::Timeout | ErrorCode::Overloaded => true,
            // An upload the agent forgot, or a chunk it has already: ask where it stands.
            ErrorCode::NotFound | ErrorCode::Conflict | ErrorCode::Precondition => true,
            ErrorCode::Invalid
            | ErrorCode::Forbidden
            | ErrorCode::Unauthenticated
            | ErrorCode::GateRefused
            | ErrorCode::TooLarge
            | ErrorCode::BadImage
            | ErrorCode::Storage
            | ErrorCode::Unsupported
            | ErrorCode::Internal
            | ErrorCode::Unknown => false,
        };
        self.left = self.left.saturating_sub(1);
        if !passes || self.left == 0 {
            return Err(error);
        }
        tracing::debug!(%error, "the transfer is tried again");
        sleep(self.backoff.wait()).await;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
