//! A private agent as a child process.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::Context as _;
use rustix::process::{Pid, Signal, kill_process};
use tokio::process::{Child, Command};
use tokio::time::timeout;
use vigie_protocol::wire::target::Target;

use super::assets::Assets;
use crate::app::App;
use crate::exit::{Exit, Failure};
use crate::out::{note, warn};
use crate::session::Session;

/// A fresh agent is up within a second; a loaded machine gets its time.
const START: Duration = Duration::from_secs(60);
/// How long it may drain its work before it is killed.
const STOP: Duration = Duration::from_secs(20);
/// How much of its log is shown when something failed.
const LAST_LINES: usize = 20;
/// The longest path of a Unix socket on Linux, without the closing zero.
const LONGEST_SOCKET: usize = 107;

/// The agent, and a session with it.
pub struct Agent {
    child: Option<Child>,
    session: Session,
    log: PathBuf,
}

impl Agent {
    /// Starts one on `state` and waits until it answers; one that runs there already is used. It ends
    /// with this process unless `keep` says that it should outlive it.
    pub async fn start(assets: &Assets, state: &Path, keep: bool, app: &App) -> anyhow::Result<Self> {
        let socket = state.join("agent.sock");
        let log = state.join("agent.log");
        if socket.as_os_str().len() > LONGEST_SOCKET {
            return Err(Failure::usage(format!("{} is too long for a socket", socket.display()))
                .hint("choose a shorter path for --keep")
                .into());
        }
        let target = Target::Unix(socket.clone());
        if socket.exists()
            && let Ok(session) = Session::connect(target.clone(), START, app.interrupt.clone()).await
        {
            note("an agent runs there already, going on with it");
            return Ok(Self { child: None, session, log });
        }
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(&assets.agent);
        // What configures another agent of this person's must not configure the private one.
        for (name, _) in std::env::vars_os() {
            if name.as_encoded_bytes().starts_with(b"VIGIE_") {
                command.env_remove(name);
            }
        }
        let mut child = command
            .args(["run".as_ref(), "--state".as_ref(), state.as_os_str()])
            .env("VIGIE_AGENT_WEIGHTS", &assets.weights)
            .stdin(Stdio::null())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C is for us; we end the agent in our own order.
            .process_group(0)
            .kill_on_drop(!keep)
            .spawn()
            .with_context(|| format!("cannot start {}", assets.agent.display()))?;
        let answering = Session::connect_patiently(target, START, app.interrupt.clone());
        let session = tokio::select! {
            biased;
            status = child.wait() => Err(died(&status?)),
            session = answering => session,
        };
        match session {
            Ok(session) => Ok(Self { child: Some(child), session, log }),
            Err(failure) => {
                let _ = child.kill().await;
                last_words(&log).iter().for_each(|line| note(format!("  {}", crate::out::safe(line))));
                Err(failure.into())
            }
        }
    }

    /// The way to ask it.
    pub fn session(&self) -> &Session {
        &self.session
    }

    /// Its process, when it is ours.
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().and_then(Child::id)
    }

    /// Returns when it ended although nobody asked it to.
    pub async fn ended(&mut self) -> Failure {
        match &mut self.child {
            Some(child) => match child.wait().await {
                Ok(status) => {
                    Failure::new(Exit::Failed, format!("the agent ended unexpectedly with {status}"))
                }
                Err(error) => Failure::new(Exit::Failed, format!("the agent cannot be waited for: {error}")),
            },
            None => std::future::pending().await,
        }
    }

    /// Asks it to stop and waits until it has; one that does not is killed.
    pub async fn stop(&mut self) {
        let Some(child) = &mut self.child else { return };
        if let Some(pid) = child.id().and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?)) {
            // It may have ended by itself meanwhile.
            let _ = kill_process(pid, Signal::TERM);
        }
        match timeout(STOP, child.wait()).await {
            Ok(Ok(status)) if status.success() => {}
            Ok(Ok(status)) => warn(format!("the agent ended with {status}")),
            Ok(Err(error)) => warn(format!("the agent cannot be waited for: {error}")),
            Err(_) => {
                warn(format!("the agent did not stop within {} s and is killed", STOP.as_secs()));
                let _ = child.kill().await;
            }
        }
    }

    /// The end of its log.
    pub fn last_words(&self) -> Vec<String> {
        last_words(&self.log)
    }
}

fn died(status: &ExitStatus) -> Failure {
    Failure::new(Exit::Failed, format!("the agent ended at once with {status}"))
}

fn last_words(log: &Path) -> Vec<String> {
    const TAIL: u64 = 16 * 1024;
    let read = || -> std::io::Result<String> {
        let mut file = File::open(log)?;
        let start = file.metadata()?.len().saturating_sub(TAIL);
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(TAIL).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.lines().collect();
    lines[lines.len().saturating_sub(LAST_LINES)..].iter().map(|&line| line.to_owned()).collect()
}
