//! A connection to one agent, and the ways commands ask it.

mod transfer;

use std::path::PathBuf;
use std::time::Duration;

use vigie_protocol::ApiError;
use vigie_protocol::event::WatchCursor;
use vigie_protocol::page::{Page, PageRequest};
use vigie_protocol::service::{Watch, Watched};
use vigie_protocol::wire::client::{AgentClient, Client, ClientOptions};
use vigie_protocol::wire::target::Target;
use vigie_protocol::wire::{MAX_DEADLINE, MAX_WAIT};

use crate::config::state_home;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;

/// The sockets of an agent that runs as a service: under systemd, and where it puts it by itself.
const SERVICE_SOCKETS: [&str; 2] = ["/run/vigie/agent.sock", "/var/lib/vigie/agent.sock"];

/// A connected agent. Clones share the connection.
#[derive(Clone)]
pub struct Session {
    client: AgentClient,
    interrupt: Interrupt,
    local: bool,
}

/// Calls one method of the agent: `ask!(session, job_get, JobGet { job }).await?`.
// A macro, because a method taken as a value cannot promise that its future is `Send`.
macro_rules! ask {
    ($session:expr, $method:ident, $request:expr) => {{
        let request = $request;
        $session.call(move |client, context| {
            let request = request.clone();
            async move { client.$method(context, request).await }
        })
    }};
}
pub(crate) use ask;

/// As [`ask!`], for a change that may take longer than the agent works at one call: the same request
/// is sent again until there is an answer.
macro_rules! ask_to_the_end {
    ($session:expr, $method:ident, $request:expr) => {{
        let request = $request;
        $session.call_to_the_end(move |client, context| {
            let request = request.clone();
            async move { client.$method(context, request).await }
        })
    }};
}
pub(crate) use ask_to_the_end;

impl Session {
    /// Connects, or says at once why it cannot.
    pub async fn connect(target: Target, timeout: Duration, interrupt: Interrupt) -> Result<Self, Failure> {
        let options = ClientOptions { timeout, ..options() };
        let local = matches!(target, Target::Unix(_));
        let session = Self { client: AgentClient::spawn(target, options), interrupt, local };
        let welcome = session.interrupt.or(session.client.first_attempt()).await??;
        tracing::debug!(agent = %welcome.agent_id, version = welcome.version, "connected");
        Ok(session)
    }

    /// Waits for an agent that is coming up, as long as calls may take.
    pub async fn connect_patiently(
        target: Target,
        timeout: Duration,
        interrupt: Interrupt,
    ) -> Result<Self, Failure> {
        let local = matches!(target, Target::Unix(_));
        let session = Self {
            client: AgentClient::spawn(target, ClientOptions { timeout, ..options() }),
            interrupt,
            local,
        };
        ask!(session, whoami, vigie_protocol::service::Empty {}).await?;
        Ok(session)
    }

    /// Whether the agent sees the same files as this process.
    pub fn is_local(&self) -> bool {
        self.local
    }

    /// Carries out one call; [`ask!`] is the short way to write it.
    pub async fn call<A, F, Fut>(&self, rpc: F) -> Result<A, Failure>
    where
        A: Send + 'static,
        F: Fn(Client, tarpc::context::Context) -> Fut,
        Fut: Future<Output = Result<Result<A, ApiError>, tarpc::client::RpcError>> + Send + 'static,
    {
        Ok(self.interrupt.or(self.client.call(rpc)).await??)
    }

    /// Carries out one call, and when its time runs out, again: the change goes on at the agent, and
    /// whoever asks under the same key waits for its end. Ends at an answer, with the connection, or
    /// interrupted.
    pub async fn call_to_the_end<A, F, Fut>(&self, rpc: F) -> Result<A, Failure>
    where
        A: Send + 'static,
        F: Fn(Client, tarpc::context::Context) -> Fut,
        Fut: Future<Output = Result<Result<A, ApiError>, tarpc::client::RpcError>> + Send + 'static,
    {
        loop {
            match self.call(&rpc).await {
                Err(late) if late.exit == Exit::Timeout => {
                    tracing::info!("the agent is still at it");
                }
                done => return done,
            }
        }
    }

    /// The same session for one read that may take as long as the agent works at one call.
    pub fn patient(&self) -> Self {
        Self { client: self.client.with_timeout(MAX_DEADLINE + Duration::from_secs(5)), ..self.clone() }
    }

    /// Waits for what happens after `cursor`, for as long as the agent holds a watch.
    pub async fn watch(&self, cursor: WatchCursor) -> Result<Watched, Failure> {
        // The answer comes after `MAX_WAIT` at the latest, however short other calls are meant to be.
        let patient = self.client.with_timeout(MAX_WAIT + Duration::from_secs(5));
        let max_wait_ms = u32::try_from(MAX_WAIT.as_millis()).unwrap_or(u32::MAX);
        let watched = patient.call(move |client, context| async move {
            client.watch(context, Watch { cursor: Some(cursor), max_wait_ms }).await
        });
        Ok(self.interrupt.or(watched).await??)
    }

    /// Waits a moment, unless interrupted.
    pub async fn pause(&self, span: Duration) -> Result<(), Failure> {
        self.interrupt.or(tokio::time::sleep(span)).await
    }

    /// Reads a list page by page until `limit` rows are there; 0 means all of them.
    pub async fn pages<T>(
        &self,
        limit: usize,
        mut page: impl AsyncFnMut(PageRequest) -> Result<Page<T>, Failure>,
    ) -> Result<Vec<T>, Failure> {
        let mut rows = Vec::new();
        let mut cursor = None;
        loop {
            let missing = if limit == 0 { usize::MAX } else { limit - rows.len() };
            // The agent caps a page at 1,000 rows whatever is asked for.
            let wanted = u32::try_from(missing.min(1_000)).unwrap_or(1_000);
            let Page { items, next } = page(PageRequest { cursor, limit: wanted }).await?;
            rows.extend(items.into_iter().take(missing));
            cursor = next;
            if cursor.is_none() || rows.len() == limit {
                return Ok(rows);
            }
        }
    }
}

fn options() -> ClientOptions {
    ClientOptions::new(concat!("console ", env!("CARGO_PKG_VERSION")))
}

/// Where the agent is: `target`, or the agent of this machine in its usual places.
pub fn target(target: Option<&str>) -> Result<Target, Failure> {
    if let Some(target) = target {
        return target.parse().map_err(|error| Failure::usage(format!("{error}")));
    }
    let own = state_home().map(|home| home.join("agent.sock"));
    let service = SERVICE_SOCKETS.map(PathBuf::from);
    let there = own.iter().chain(&service).find(|socket| socket.exists());
    // When there is none, the person's own is the one to speak of.
    let [first_service, _] = &service;
    let socket = there.or(own.as_ref()).unwrap_or(first_service).clone();
    Ok(Target::Unix(socket))
}
