//! What `vigie-agent` does besides running: backups through a running agent, restores without one.

use std::io::Write;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use vigie_protocol::service::Backup;
use vigie_protocol::wire::client::{AgentClient, ClientOptions};
use vigie_protocol::wire::target::Target;
use vigie_protocol::{ApiError, IdempotencyKey};

use crate::config::Config;

/// A backup copies everything: hours for large states.
const BACKUP_TIMEOUT: Duration = Duration::from_secs(6 * 3_600);

/// Asks the agent that runs on this state for a backup.
///
/// # Errors
/// When no agent answers, or it cannot make the backup.
pub fn backup(config: &Config, target: &Path) -> anyhow::Result<()> {
    let path = std::path::absolute(target)?.to_str().context("the path is not valid UTF-8")?.to_owned();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let made = runtime.block_on(async {
        let options = ClientOptions {
            timeout: BACKUP_TIMEOUT,
            ..ClientOptions::new(concat!("vigie-agent ", env!("CARGO_PKG_VERSION")))
        };
        let client = AgentClient::spawn(Target::Unix(config.agent.socket.clone()), options);
        client.first_attempt().await?;
        let request = Backup { key: IdempotencyKey::new(), path };
        client
            .call(move |client, context| {
                let request = request.clone();
                async move { client.backup(context, request).await }
            })
            .await
    });
    let made = made.map_err(|error: ApiError| with_hint(&error))?;
    eprintln!("{}: {} files, {} bytes, {:.1} s", made.path, made.files, made.bytes, made.seconds);
    Ok(())
}

/// Makes a state directory from a backup.
///
/// # Errors
/// When the backup is incomplete or damaged, or the state directory is not empty.
pub fn restore(config: &Config, backup: &Path) -> anyhow::Result<()> {
    let state = &config.agent.state;
    vigie_core::store::backup::restore(backup, state)?;
    eprintln!("restored to {}", state.display());
    Ok(())
}

/// Prints data on standard output.
///
/// # Errors
/// When standard output is closed.
pub fn print(text: &str) -> anyhow::Result<()> {
    Ok(std::io::stdout().lock().write_all(text.as_bytes())?)
}

fn with_hint(error: &ApiError) -> anyhow::Error {
    match &error.hint {
        Some(hint) => anyhow!("{error}; {hint}"),
        None => anyhow!("{error}"),
    }
}
