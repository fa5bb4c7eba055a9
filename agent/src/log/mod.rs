//! What the agent says of itself: to where its configuration sends it, and beside that into a
//! bounded memory, where an operator reads it without a shell on the machine.

mod layer;
mod ring;

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::{EnvFilter, fmt, layer::SubscriberExt, util::SubscriberInitExt};

pub use ring::LogRing;

use crate::config::{LogConfig, LogFormat};

/// Begins to log. What the filter lets through is kept in the memory that is returned, too.
///
/// # Errors
/// When the filter cannot be used, or the journal does not listen.
pub fn start(config: &LogConfig) -> anyhow::Result<LogRing> {
    let filter = EnvFilter::try_new(&config.filter).context("log.filter cannot be used")?;
    let ring = LogRing::default();
    let registry = tracing_subscriber::registry().with(filter).with(ring.clone());
    match config.format {
        LogFormat::Text => {
            // Colours are for people at a terminal, not for files and pipes.
            let colours = std::io::stderr().is_terminal();
            registry
                .with(fmt::layer().with_writer(std::io::stderr).with_target(false).with_ansi(colours))
                .init();
        }
        LogFormat::Json => registry.with(fmt::layer().json().with_writer(std::io::stderr)).init(),
        LogFormat::Journald => registry
            .with(tracing_journald::layer().context("the systemd journal does not listen; set log.format")?)
            .init(),
    }
    Ok(ring)
}
