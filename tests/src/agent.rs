//! A real agent on a private state directory.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use rustix::process::{WaitId, WaitIdOptions, waitid};
use tempfile::TempDir;
use vigie_protocol::event::WatchCursor;
use vigie_protocol::job::{Job, JobState};
use vigie_protocol::service::{Empty, JobGet, Watch};
use vigie_protocol::wire::client::{AgentClient, ClientOptions};
use vigie_protocol::wire::target::Target;
use vigie_protocol::{ApiError, JobId};

use crate::{Said, ask, binary, data, run};

/// How an agent is started.
#[derive(Clone, Debug, Default)]
pub struct AgentOptions {
    /// Environment variables: `VIGIE_JOBS_MAX_WORKERS=1`.
    pub environment: Vec<(String, String)>,
    /// A command that starts the agent it is given, and becomes it.
    pub under: Vec<String>,
}

impl AgentOptions {
    /// With one more variable.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A running agent. Killed, and its state removed, when dropped.
pub struct Agent {
    state: PathBuf,
    child: Child,
    client: AgentClient,
    // Dropped last: the agent is gone before its state is.
    _folder: Option<TempDir>,
}

impl Agent {
    /// Starts an agent on a fresh state directory and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up; the error holds its log.
    pub async fn start(options: &AgentOptions) -> Result<Self> {
        // A short path: a Unix socket's name has at most 107 bytes.
        let folder = tempfile::Builder::new().prefix("vigie-").tempdir_in("/tmp")?;
        let mut agent = Self::start_on(folder.path().to_owned(), options).await?;
        agent._folder = Some(folder);
        Ok(agent)
    }

    /// Starts an agent on a state directory that stays when the agent is dropped.
    ///
    /// # Errors
    /// When it does not come up; the error holds its log.
    pub async fn start_on(state: PathBuf, options: &AgentOptions) -> Result<Self> {
        let child = spawn(&state, options)?;
        let client = AgentClient::spawn(
            Target::Unix(state.join("agent.sock")),
            ClientOptions { timeout: Duration::from_secs(60), ..ClientOptions::new("tests") },
        );
        let agent = Self { state, child, client, _folder: None };
        agent.answers().await?;
        Ok(agent)
    }

    /// Kills it as a power cut would, and starts it again on the same state.
    ///
    /// # Errors
    /// When it does not come up again.
    pub async fn kill_and_restart(&mut self, options: &AgentOptions) -> Result<()> {
        self.kill()?;
        self.child = spawn(&self.state, options)?;
        self.answers().await
    }

    /// Kills it with SIGKILL.
    ///
    /// # Errors
    /// When it cannot be waited for.
    pub fn kill(&mut self) -> Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Whether its process has ended.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn has_ended(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_some())
    }

    /// Checks its state as a user would after it has ended: `vigie-agent store check`.
    ///
    /// # Errors
    /// When the agent is not built.
    pub fn store_check(&self) -> Result<Said> {
        run(Command::new(binary("vigie-agent")?).args(["store", "check", "--state"]).arg(&self.state))
    }

    /// Fails unless [`Agent::store_check`] finds its state whole.
    ///
    /// # Errors
    /// With all that was found.
    pub fn is_whole(&self) -> Result<()> {
        let said = self.store_check()?;
        ensure!(said.code == 0, "{said:?}\n{}", self.log());
        Ok(())
    }

    /// Asks it to stop, waits until it has, and returns its exit code.
    ///
    /// # Errors
    /// When it cannot be signalled.
    pub fn stop(&mut self) -> Result<Option<i32>> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        Ok(self.child.wait()?.code())
    }

    /// Its client.
    pub fn client(&self) -> &AgentClient {
        &self.client
    }

    /// Its state directory.
    pub fn state(&self) -> &Path {
        &self.state
    }

    /// Its socket.
    pub fn socket(&self) -> PathBuf {
        self.state.join("agent.sock")
    }

    /// Its process.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// What it wrote to standard error so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.state.join("stderr.log")).unwrap_or_default()
    }

    /// The console on this agent: `vigie --agent … ARGUMENTS`.
    ///
    /// # Errors
    /// When the console is not built.
    pub fn console(&self) -> Result<Command> {
        let mut command = Command::new(binary("vigie")?);
        command
            .arg("--agent")
            .arg(format!("unix:{}", self.socket().display()))
            .env("VIGIE_CONFIG", self.state.join("no-such-config.toml"))
            .stdin(Stdio::null());
        Ok(command)
    }

    /// Runs a console command to its end.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn vigie(&self, arguments: &[&str]) -> Result<Said> {
        run(self.console()?.args(arguments))
    }

    /// Runs a console command to its end, or until the agent has ended: then nothing, and the command
    /// is killed.
    ///
    /// # Errors
    /// When it cannot be started.
    pub async fn vigie_while_alive(&self, arguments: &[&str]) -> Result<Option<Said>> {
        let mut console = tokio::process::Command::from(self.console()?);
        console.args(arguments).kill_on_drop(true);
        Ok(self.while_alive(console.output()).await.transpose()?.map(Said::from))
    }

    /// Does something to its end, or until the agent has ended: then nothing.
    pub async fn while_alive<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        let pid = rustix::process::Pid::from_child(&self.child);
        // Without taking its exit status away from whoever waits for it properly.
        let end = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
        let ended = tokio::task::spawn_blocking(move || waitid(WaitId::Pid(pid), end));
        tokio::select! {
            done = work => Some(done),
            _ = ended => None,
        }
    }

    /// Runs a console command that must succeed, with JSON output.
    ///
    /// # Errors
    /// When it fails or its output is no JSON.
    pub fn vigie_json(&self, arguments: &[&str]) -> Result<serde_json::Value> {
        let said = run(self.console()?.args(["--output", "json"]).args(arguments))?;
        ensure!(said.code == 0, "vigie {arguments:?} failed: {said:?}\nagent:\n{}", self.log());
        said.json()
    }

    /// What `look` finds, as soon as it finds something. Looks again whenever the agent has news.
    ///
    /// # Errors
    /// When `look` fails or the agent does not answer.
    pub async fn when<T>(&self, look: impl AsyncFn() -> Result<Option<T>>) -> Result<T> {
        let mut news = News::default();
        loop {
            news.wait(&self.client).await?;
            if let Some(found) = look().await? {
                return Ok(found);
            }
        }
    }

    /// A job once it satisfies `wanted`.
    ///
    /// # Errors
    /// When the job ends without ever satisfying it.
    pub async fn job_when(&self, id: JobId, wanted: impl Fn(&Job) -> bool) -> Result<Job> {
        self.when(async || {
            let job = self
                .client
                .call(move |client, context| async move { client.job_get(context, JobGet { job: id }).await })
                .await?;
            if wanted(&job) {
                return Ok(Some(job));
            }
            ensure!(!job.state.is_final(), "job ended first: {job:?}\nagent:\n{}", self.log());
            Ok(None)
        })
        .await
    }

    /// A job once it has ended.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub async fn job_end(&self, id: JobId) -> Result<Job> {
        self.job_when(id, |job| job.state.is_final()).await
    }

    /// A job that must succeed.
    ///
    /// # Errors
    /// When it does not.
    pub async fn job_succeeds(&self, id: JobId) -> Result<Job> {
        let job = self.job_end(id).await?;
        ensure!(job.state == JobState::Succeeded, "{job:?}\nagent:\n{}", self.log());
        Ok(job)
    }

    async fn answers(&self) -> Result<()> {
        let answer: Result<_, ApiError> =
            self.client.call(|client, context| async move { client.whoami(context, Empty {}).await }).await;
        answer.with_context(|| format!("the agent does not answer; its log:\n{}", self.log()))?;
        Ok(())
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        // It may have ended already; either way nothing is left to do about it.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What an agent tells its watchers, from where it was last listened to.
#[derive(Debug, Default)]
pub struct News(Option<WatchCursor>);

impl News {
    /// Waits until there is something new; at once the first time.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub async fn wait(&mut self, client: &AgentClient) -> Result<()> {
        let request = Watch { cursor: self.0.take(), max_wait_ms: 5_000 };
        self.0 = Some(ask!(client, watch, request).await?.next);
        Ok(())
    }
}

fn spawn(state: &Path, options: &AgentOptions) -> Result<Child> {
    let log = std::fs::File::options().create(true).append(true).open(state.join("stderr.log"))?;
    let agent = binary("vigie-agent")?;
    let mut command = match options.under.split_first() {
        Some((program, arguments)) => {
            let mut command = Command::new(program);
            command.args(arguments).arg(agent);
            command
        }
        None => Command::new(agent),
    };
    command
        .args(["run", "--state"])
        .arg(state)
        .env("VIGIE_AGENT_WEIGHTS", data("weights"))
        .envs(options.environment.iter().map(|(name, value)| (name, value)))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("cannot start vigie-agent")
}
