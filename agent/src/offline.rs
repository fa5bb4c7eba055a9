//! What `vigie-agent` does besides running: backups through a running agent, restores without one.

use std::io::{IsTerminal, Write};
use std::path::Path;
use std::time::Duration;

use anyhow::{Context, anyhow};
use vigie_core::observe::{Level, Observer, Step};
use vigie_core::store::StoreError;
use vigie_core::store::check::{self, Depth, Report, Weight};
use vigie_protocol::run::EpochMetrics;
use vigie_protocol::service::{Backup, BackupMade};
use vigie_protocol::wire::MAX_DEADLINE;
use vigie_protocol::wire::client::{AgentClient, Client, ClientOptions};
use vigie_protocol::wire::target::Target;
use vigie_protocol::{ApiError, ErrorCode, IdempotencyKey, Time};

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
            timeout: MAX_DEADLINE + Duration::from_secs(5),
            ..ClientOptions::new(concat!("vigie-agent ", env!("CARGO_PKG_VERSION")))
        };
        let client = AgentClient::spawn(Target::Unix(config.agent.socket.clone()), options);
        client.first_attempt().await?;
        tokio::time::timeout(BACKUP_TIMEOUT, made(&client, Backup { key: IdempotencyKey::new(), path }))
            .await
            .unwrap_or_else(|_| {
                let text = "the agent was not done in six hours";
                Err(ApiError::new(ErrorCode::Timeout, text).with_hint("it may still be at it; see its log"))
            })
    });
    let made = made.map_err(|error: ApiError| with_hint(&error))?;
    eprintln!("{}: {} files, {} bytes, {:.1} s", made.path, made.files, made.bytes, made.seconds);
    if made.damaged > 0 {
        eprintln!("{} damaged files were left out: `vigie-agent store check` says which", made.damaged);
    }
    Ok(())
}

/// The agent works at one request for a minute at most; who asks again under the same key waits for the
/// backup that is being made.
async fn made(client: &AgentClient, request: Backup) -> Result<BackupMade, ApiError> {
    loop {
        let request = request.clone();
        let ask = move |client: Client, context| {
            let request = request.clone();
            async move { client.backup(context, request).await }
        };
        match client.call(ask).await {
            Err(error) if error.code == ErrorCode::Timeout => {}
            answered => return answered,
        }
    }
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

/// Checks a state directory or a backup and prints what was found; whether it is whole.
///
/// # Errors
/// When it cannot be checked: an agent runs on it, or it is no state.
pub fn check(dir: &Path, depth: Depth, json: bool) -> anyhow::Result<bool> {
    let progress = Progress { shown: std::io::stderr().is_terminal() };
    let report = check::check(dir, depth, Time::now(), &progress).map_err(|error| match error {
        StoreError::Locked(_) => {
            anyhow!("an agent runs on {}; stop it, or make a backup and check that", dir.display())
        }
        error => anyhow::Error::new(error),
    })?;
    if json {
        print(&(serde_json::to_string_pretty(&report)? + "\n"))?;
        return Ok(report.is_whole());
    }
    for finding in &report.findings {
        let weight = match finding.weight {
            Weight::Broken => "BROKEN",
            Weight::Note => "note  ",
        };
        print(&format!("{weight} {finding}\n"))?;
    }
    let Report { rows, blobs, blob_bytes, orphans, predictions, audit_lines, broken, .. } = report;
    let verdict = match broken {
        0 => "whole".to_owned(),
        broken => format!("{broken} broken"),
    };
    print(&format!(
        "{verdict}: {rows} rows, {blobs} blobs ({:.1} MiB) and {orphans} that nothing names, \
         {predictions} predictions, {audit_lines} audit lines\n",
        blob_bytes as f64 / f64::from(1 << 20),
    ))?;
    Ok(broken == 0)
}

/// Tells a person at a terminal what is looked at.
struct Progress {
    shown: bool,
}

impl Observer for Progress {
    fn step(&self, step: Step<'_>) {
        if self.shown {
            eprintln!("checking {}", step.stage);
        }
    }

    fn note(&self, _: Level, text: &str) {
        eprintln!("{text}");
    }

    fn epoch(&self, _: &EpochMetrics) {}

    fn cancelled(&self) -> bool {
        false
    }
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
