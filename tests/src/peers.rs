//! Peers of an agent: one that behaves and measures how it is served, and the hands with which others
//! misbehave.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use tokio::io::{AsyncReadExt, Interest};
use tokio::net::UnixStream;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use vigie_protocol::service::Empty;
use vigie_protocol::wire::client::{AgentClient, ClientOptions};
use vigie_protocol::wire::target::Target;
use vigie_protocol::wire::{ClientHello, WireCodec, frame, handshake};

use crate::Agent;

/// Between two calls of a [`Steady`] client.
const PACE: Duration = Duration::from_millis(2);

/// A client that asks the cheapest question again and again, and takes the times.
pub struct Steady {
    stop: oneshot::Sender<()>,
    task: JoinHandle<Result<Vec<Duration>>>,
}

impl Steady {
    /// Starts asking, once the first question was answered.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub async fn start(agent: &Agent) -> Result<Self> {
        let client = agent.new_client("steady");
        ask(&client).await?;
        let (stop, mut stopped) = oneshot::channel();
        let task = tokio::spawn(async move {
            let mut pace = tokio::time::interval(PACE);
            pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            let mut times = Vec::new();
            loop {
                tokio::select! {
                    _ = &mut stopped => return Ok(times),
                    _ = pace.tick() => times.push(ask(&client).await?),
                }
            }
        });
        Ok(Self { stop, task })
    }

    /// Stops asking. Every question must have been answered, and 99 of 100 within a second: far more
    /// than it takes, so that a busy machine does not fail the test. Prints what it took.
    ///
    /// # Errors
    /// When that does not hold.
    pub async fn served(self, during: &str) -> Result<()> {
        // The task ends by itself only with an error, which it then returns.
        let _ = self.stop.send(());
        let mut times = self.task.await?.with_context(|| format!("a good client failed during {during}"))?;
        ensure!(!times.is_empty(), "no question was asked during {during}");
        times.sort_unstable();
        let at = |percent: usize| times[(times.len() - 1) * percent / 100];
        let (median, p99, worst) = (at(50), at(99), at(100));
        eprintln!(
            "a good client during {during}: {} calls, median {median:?}, p99 {p99:?}, worst {worst:?}",
            times.len()
        );
        ensure!(p99 < Duration::from_secs(1), "p99 of a good client during {during}: {p99:?}");
        Ok(())
    }
}

async fn ask(client: &AgentClient) -> Result<Duration> {
    let asked = Instant::now();
    client.call(|client, context| async move { client.whoami(context, Empty {}).await }).await?;
    Ok(asked.elapsed())
}

impl Agent {
    /// One more client with a connection of its own.
    pub fn new_client(&self, name: &str) -> AgentClient {
        let options = ClientOptions { timeout: Duration::from_secs(60), ..ClientOptions::new(name) };
        AgentClient::spawn(Target::Unix(self.socket()), options)
    }

    /// A connection without a handshake.
    ///
    /// # Errors
    /// When the socket does not take it.
    pub async fn raw(&self) -> Result<UnixStream> {
        UnixStream::connect(self.socket()).await.context("cannot connect")
    }

    /// A connection after the handshake, on which frames are JSON.
    ///
    /// # Errors
    /// When the agent turns it away.
    pub async fn greeted(&self) -> Result<UnixStream> {
        let mut stream = self.raw().await?;
        let codec = vec![WireCodec::Json.as_str().to_owned()];
        let hello = ClientHello { codec, ..ClientHello::new("raw") };
        handshake::connect(&mut stream, &hello).await?;
        Ok(stream)
    }

    /// Its resident memory now, and the most it ever was, in MiB.
    ///
    /// # Errors
    /// When it does not run.
    pub fn memory(&self) -> Result<(u64, u64)> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid()))?;
        let figure = |name: &str| -> Result<u64> {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()).context("no such figure")?;
            Ok(kib.parse::<u64>()? / 1024)
        };
        Ok((figure("VmRSS:")?, figure("VmHWM:")?))
    }
}

/// A request as tarpc frames it, in JSON.
///
/// # Errors
/// When it cannot be written.
pub async fn send(
    stream: &mut UnixStream,
    id: u64,
    deadline_s: u64,
    method: &str,
    request: Value,
) -> Result<()> {
    let message = serde_json::json!({"Request": {
        "context": {"deadline": {"secs": deadline_s, "nanos": 0}},
        "id": id,
        "message": {method: {"request": request}},
    }});
    Ok(frame::write(stream, message.to_string().as_bytes()).await?)
}

/// Waits until the agent has closed the connection, reading what it says before.
///
/// # Errors
/// When it does not within a minute.
pub async fn closed(stream: &mut UnixStream) -> Result<Vec<u8>> {
    let mut heard = Vec::new();
    let end = tokio::time::timeout(Duration::from_secs(60), stream.read_to_end(&mut heard)).await;
    // A reset is an end like any other: the agent had not read all that was sent.
    let _ = end.context("the agent keeps the connection")?;
    Ok(heard)
}

/// Waits until the agent has closed the connection, without taking a byte of what it sent.
///
/// # Errors
/// When it does not within a minute.
pub async fn closed_unread(stream: &UnixStream) -> Result<()> {
    let hung_up = async {
        // Nobody sends urgent data here: this wakes when the other end hangs up.
        while !stream.ready(Interest::PRIORITY).await?.is_read_closed() {}
        anyhow::Ok(())
    };
    tokio::time::timeout(Duration::from_secs(60), hung_up).await.context("the agent keeps the connection")?
}
