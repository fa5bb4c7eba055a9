//! Downloads over real connections on this machine: through a proxy, and over TLS.

#![expect(clippy::unwrap_used, reason = "tests")]

mod proxy;
mod server;
mod tls;

use std::path::PathBuf;
use std::time::Duration;

use tokio::sync::mpsc;
use vigie_protocol::{Hash, JobId};

use super::download::{Bounds, Download};
use super::error::SourceError;
use super::http::{Ask, Http};
use super::part::Place;
use super::teller::Teller;
use crate::config::SourcesConfig;

/// Attempts of a download.
const ATTEMPTS: u32 = 4;

/// A certificate or key of the fixtures.
fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("src/sources/fixtures/tls").join(name)
}

/// What servers here have: it begins like a zip file, and is longer than what is read at once.
fn archive() -> Vec<u8> {
    let mut bytes = b"PK\x03\x04".to_vec();
    bytes.extend((0..300_000_u32).flat_map(u32::to_le_bytes));
    bytes
}

/// Downloads `url` as configured; what came, or why nothing did.
async fn download(config: &SourcesConfig, url: &str) -> Result<Vec<u8>, SourceError> {
    let folder = tempfile::tempdir().unwrap();
    let http = Http::new(config)?;
    let (events, nobody) = mpsc::channel(1);
    drop(nobody);
    let download = Download {
        http: &http,
        bounds: Bounds {
            max_bytes: 1 << 30,
            reserve: 0,
            attempts: ATTEMPTS,
            max_pause: Duration::from_millis(1),
        },
        ask: Ask::of(url)?,
        source: Hash::of(url.as_bytes()),
        checksum: None,
        announced: false,
        place: Place::new(folder.path(), JobId::new()),
    };
    let whole = download.run(&mut Teller::new(events)).await?;
    Ok(std::fs::read(whole).unwrap())
}
