//! Bytes to and from the agent's blob store, with progress.

use std::path::Path;

use vigie_protocol::Hash;

use super::Session;
use crate::exit::Failure;

impl Session {
    /// Sends a file, and says how far it is as `title`.
    pub async fn upload(&self, _path: &Path, _title: &str) -> Result<Hash, Failure> {
        Err(Failure::usage("waits for the wire"))
    }

    /// Sends bytes at hand.
    pub async fn upload_bytes(&self, _bytes: &[u8]) -> Result<Hash, Failure> {
        Err(Failure::usage("waits for the wire"))
    }

    /// Fetches a whole blob.
    pub async fn download(&self, _hash: Hash) -> Result<Vec<u8>, Failure> {
        Err(Failure::usage("waits for the wire"))
    }
}
