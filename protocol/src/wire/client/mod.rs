//! The client of one agent: a cheap handle on a task that keeps a connection while anybody holds
//! the handle. Calls wait for the connection, survive its loss, and speak of failures in
//! [`ApiError`]s.

mod actor;
mod backoff;
mod dial;
mod link;

use std::sync::Arc;
use std::time::Duration;

use tarpc::client::RpcError;
use tarpc::context::{self, Context};
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, timeout_at};
use tokio_util::task::AbortOnDropHandle;

pub use backoff::Backoff;
pub use dial::{Dialed, Dialer};
pub use link::{Client, Link};

use super::target::Target;
use super::{Welcome, WireCodec};
use crate::ApiError;
use link::{Failure, Heard};

/// How a client behaves.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// What it calls itself: `console 0.1.0`.
    pub name: String,
    /// The codecs it offers, the preferred one first.
    pub codecs: Vec<WireCodec>,
    /// How long a call may take, waiting for a connection included. Agents work at most
    /// [`super::MAX_DEADLINE`] at one request.
    pub timeout: Duration,
    /// How long it waits between attempts to connect: 100 ms to 15 s.
    pub backoff: Backoff,
}

impl ClientOptions {
    /// The defaults: both codecs, calls of at most 15 s.
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            codecs: WireCodec::ALL.into(),
            timeout: Duration::from_secs(15),
            backoff: Backoff::default(),
        }
    }
}

/// How the connection to an agent stands.
#[derive(Clone, Debug)]
pub enum LinkState {
    /// Being made.
    Connecting,
    /// There.
    Connected(Arc<Welcome>),
    /// Lost, or never made.
    Waiting {
        /// When it is tried again.
        until: Instant,
        /// What went wrong.
        error: ApiError,
    },
    /// The agent, or the system it runs on, turned us away. Calls fail at once; it is tried again
    /// now and then.
    Refused {
        /// Why.
        error: ApiError,
    },
}

/// A handle on the client of one agent. Clones share one connection; it is closed when the last of
/// them is dropped.
#[derive(Clone, Debug)]
pub struct AgentClient {
    shared: Arc<Shared>,
    timeout: Duration,
}

#[derive(Debug)]
struct Shared {
    heard: Heard,
    link: watch::Receiver<Option<Link>>,
    state: watch::Receiver<LinkState>,
    nudge: Arc<Notify>,
    _actor: AbortOnDropHandle<()>,
}

impl AgentClient {
    /// Starts a client of the agent at `target`. Returns at once; the connection is made in the
    /// background. Must be called within a tokio runtime.
    pub fn spawn(target: Target, options: ClientOptions) -> Self {
        Self::with_dialer(target.into(), options)
    }

    /// Starts a client of the agent that `dialer` reaches.
    pub fn with_dialer(dialer: Dialer, options: ClientOptions) -> Self {
        let heard = Heard::default();
        let nudge = Arc::new(Notify::new());
        let (link_sender, link) = watch::channel(None);
        let (state_sender, state) = watch::channel(LinkState::Connecting);
        let timeout = options.timeout;
        let actor = actor::Actor {
            dialer,
            options,
            heard: heard.clone(),
            link: link_sender,
            state: state_sender,
            nudge: Arc::clone(&nudge),
        };
        let actor = AbortOnDropHandle::new(tokio::spawn(actor.run()));
        Self { shared: Arc::new(Shared { heard, link, state, nudge, _actor: actor }), timeout }
    }

    /// The same client with another limit on the duration of each call.
    #[must_use]
    pub fn with_timeout(&self, timeout: Duration) -> Self {
        Self { shared: Arc::clone(&self.shared), timeout }
    }

    /// How the connection stands, to be watched.
    pub fn status(&self) -> watch::Receiver<LinkState> {
        self.shared.state.clone()
    }

    /// When the agent last answered anything: the age of what is shown.
    pub fn last_heard(&self) -> Option<Instant> {
        self.shared.heard.last()
    }

    /// Ends a wait between attempts: somebody asks for it now.
    pub fn reconnect_now(&self) {
        self.shared.nudge.notify_one();
    }

    /// The outcome of the first attempt to connect, for commands that should rather fail at once
    /// than wait for an agent to come up.
    ///
    /// # Errors
    /// Why the attempt failed.
    pub async fn first_attempt(&self) -> Result<Arc<Welcome>, ApiError> {
        let mut state = self.status();
        let settled = state.wait_for(|state| !matches!(state, LinkState::Connecting)).await;
        match settled.as_deref() {
            Ok(LinkState::Connected(welcome)) => Ok(Arc::clone(welcome)),
            Ok(LinkState::Waiting { error, .. } | LinkState::Refused { error }) => Err(error.clone()),
            Ok(LinkState::Connecting) | Err(_) => Err(link::disconnected()),
        }
    }

    /// What the agent said of itself when it took us in. Waits for a connection as a call does.
    ///
    /// # Errors
    /// Why there is none.
    pub async fn welcome(&self) -> Result<Arc<Welcome>, ApiError> {
        let link = self.link(Instant::now() + self.timeout, None).await?;
        Ok(Arc::clone(link.welcome()))
    }

    /// Calls a method:
    ///
    /// ```no_run
    /// # use vigie_protocol::{ApiError, service::Empty, wire::AgentClient};
    /// # async fn example(client: AgentClient) -> Result<(), ApiError> {
    /// let me = client.call(|c, ctx| async move { c.whoami(ctx, Empty {}).await }).await?;
    /// # Ok(()) }
    /// ```
    ///
    /// Waits for a connection if there is none. When the connection breaks under the call, it is
    /// made once more over the next one: reads change nothing, and a mutation carries an idempotency
    /// key, so that `rpc` must send the same request both times.
    ///
    /// # Errors
    /// The agent's own error; `Timeout`; `Unavailable` with the reason there is no connection;
    /// `Unsupported` when the agent does not have the method; `Forbidden` when the role does not
    /// suffice; `Overloaded`, `TooLarge` or `Internal` as the wire says.
    pub async fn call<T, F, Fut>(&self, rpc: F) -> Result<T, ApiError>
    where
        T: Send + 'static,
        F: Fn(Client, Context) -> Fut,
        Fut: Future<Output = Result<Result<T, ApiError>, RpcError>> + Send + 'static,
    {
        let deadline = Instant::now() + self.timeout;
        let first = self.link(deadline, None).await?;
        let broken = first.serial;
        match attempt(&rpc, first, deadline).await {
            Ok(answer) => return Ok(answer),
            Err(Failure::Final(error)) => return Err(error),
            Err(Failure::Disconnected) => {}
        }
        let second = self.link(deadline, Some(broken)).await?;
        attempt(&rpc, second, deadline).await.map_err(|failure| match failure {
            Failure::Disconnected => link::disconnected(),
            Failure::Final(error) => error,
        })
    }

    /// A live connection, other than the one known to be broken.
    async fn link(&self, deadline: Instant, broken: Option<u64>) -> Result<Link, ApiError> {
        let mut state = self.shared.state.clone();
        loop {
            // Marked as seen before the link is looked at: a connection made in between wakes us.
            let refused = match &*state.borrow_and_update() {
                LinkState::Refused { error } => Some(error.clone()),
                LinkState::Connecting | LinkState::Connected(_) | LinkState::Waiting { .. } => None,
            };
            let usable = self.shared.link.borrow().clone().filter(|link| Some(link.serial) != broken);
            match (usable, refused) {
                (Some(link), _) => return Ok(link),
                (None, Some(error)) => return Err(error),
                (None, None) => {}
            }
            match timeout_at(deadline, state.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) => return Err(link::disconnected()),
                Err(_) => {
                    return Err(match &*state.borrow() {
                        LinkState::Waiting { error, .. } | LinkState::Refused { error } => error.clone(),
                        LinkState::Connecting | LinkState::Connected(_) => link::timed_out(),
                    });
                }
            }
        }
    }
}

/// Carries one call out over one connection.
async fn attempt<T, F, Fut>(rpc: &F, link: Link, deadline: Instant) -> Result<T, Failure>
where
    T: Send + 'static,
    F: Fn(Client, Context) -> Fut,
    Fut: Future<Output = Result<Result<T, ApiError>, RpcError>> + Send + 'static,
{
    let mut context = context::current();
    // A little longer than we wait ourselves, so that giving up is a cancellation that the agent
    // hears of, not an expiry that both peers log as an error.
    let patience = deadline.saturating_duration_since(Instant::now()) + Duration::from_secs(1);
    context.deadline = std::time::Instant::now() + patience;
    let task = AbortOnDropHandle::new(tokio::spawn(rpc(Client::from(link), context)));
    match timeout_at(deadline, task).await {
        Err(_) => Err(Failure::Final(link::timed_out())),
        Ok(Err(_)) => Err(Failure::Final(link::misbehaved())),
        Ok(Ok(Err(error))) => Err(Failure::from(error)),
        Ok(Ok(Ok(Err(error)))) => Err(Failure::Final(error)),
        Ok(Ok(Ok(Ok(answer)))) => Ok(answer),
    }
}

#[cfg(test)]
mod tests;
