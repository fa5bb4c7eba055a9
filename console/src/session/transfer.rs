//! Bytes to and from the agent's blob store, with progress.

use std::path::Path;
use std::time::Instant;

use vigie_protocol::Hash;
use vigie_protocol::prediction::Prediction;
use vigie_protocol::service::Predict;
use vigie_protocol::wire::blobs;

use super::Session;
use crate::exit::Failure;
use crate::out::Progress;

impl Session {
    /// Sends a file, and says how far it is as `title`. What the agent has already is not sent.
    pub async fn upload(&self, path: &Path, title: &str) -> Result<Hash, Failure> {
        let size = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
        let mut bar = Bar::new(title, "sending");
        let sent = blobs::upload_file(&self.client, path, |done| bar.at(done, size));
        let (hash, _) = self.interrupt.or(sent).await??;
        Ok(hash)
    }

    /// Fetches a blob into a file: whole or not at all.
    pub async fn download(&self, hash: Hash, path: &Path) -> Result<u64, Failure> {
        let mut bar = Bar::new(&hash.short(), "receiving");
        let received = blobs::download(&self.client, hash, path, |done, size| bar.at(done, size));
        Ok(self.interrupt.or(received).await??)
    }

    /// Fetches a blob of at most `limit` bytes.
    pub async fn fetch(&self, hash: Hash, limit: u64) -> Result<Vec<u8>, Failure> {
        Ok(self.interrupt.or(blobs::fetch(&self.client, hash, limit)).await??)
    }

    /// Asks for a prediction; a large image goes up as a blob first.
    pub async fn predict(&self, request: Predict) -> Result<Prediction, Failure> {
        Ok(self.interrupt.or(blobs::predict(&self.client, request)).await??)
    }
}

/// The progress of one transfer.
struct Bar {
    progress: Progress,
    stage: &'static str,
}

impl Bar {
    fn new(title: &str, stage: &'static str) -> Self {
        Self { progress: Progress::new(title), stage }
    }

    fn at(&mut self, done: u64, total: u64) {
        let state = vigie_protocol::job::Progress {
            stage: self.stage.to_owned(),
            done,
            total,
            unit: "bytes".to_owned(),
            fraction: done as f32 / total.max(1) as f32,
            eta_s: None,
            rate: None,
        };
        self.progress.update(&state, Instant::now());
    }
}
