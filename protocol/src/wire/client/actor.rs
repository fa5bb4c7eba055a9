//! The task behind an [`super::AgentClient`]: dials, shakes hands, holds the connection, notices its
//! end, waits, dials again.

use std::sync::Arc;
use std::time::Duration;

use tarpc::context;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until, timeout};
use tokio_util::task::AbortOnDropHandle;

use super::dial::{Dialed, Dialer};
use super::link::{Client, Heard, Link};
use super::{ClientOptions, LinkState};
use crate::service::Empty;
use crate::wire::stdio::LastWords;
use crate::wire::{ClientHello, HandshakeError, Welcome, handshake, transport};
use crate::{ApiError, ErrorCode};

/// How long it may take until there is a stream: a socket whose agent takes nobody in, a program on a
/// disk that does not answer.
const DIAL_TIMEOUT: Duration = Duration::from_secs(10);

/// After so much silence the agent is asked whether it is still there: tarpc has no ping, and a
/// link whose other end vanished stays open for hours.
const SILENCE: Duration = Duration::from_secs(20);

/// How long it may take to answer that.
const PING_TIMEOUT: Duration = Duration::from_secs(10);

/// A connection that lasted so long was a good one; the next failure starts from the shortest wait.
const GOOD_CONNECTION: Duration = Duration::from_secs(5);

pub(super) struct Actor {
    pub dialer: Dialer,
    pub options: ClientOptions,
    pub heard: Heard,
    /// Set before the state says `Connected`, cleared before it says anything else.
    pub link: watch::Sender<Option<Link>>,
    pub state: watch::Sender<LinkState>,
    /// Ends a wait early.
    pub nudge: Arc<Notify>,
}

/// A connection after the handshake.
struct Connection {
    link: Link,
    welcome: Arc<Welcome>,
    dispatch: AbortOnDropHandle<Result<(), String>>,
    last_words: Option<LastWords>,
}

impl Actor {
    pub(super) async fn run(self) {
        let mut backoff = self.options.backoff;
        for serial in 0.. {
            self.state.send_replace(LinkState::Connecting);
            let error = match self.connect(serial).await {
                Ok(connection) => {
                    let since = Instant::now();
                    let error = self.hold(connection).await;
                    if since.elapsed() >= GOOD_CONNECTION {
                        backoff.reset();
                    }
                    error
                }
                Err(error) => error,
            };
            tracing::debug!(%error, "no connection to the agent");
            let (wait, state) = if is_refusal(&error) {
                // The agent would say the same at once, but an administrator may change its mind.
                (backoff.longest, LinkState::Refused { error })
            } else {
                let wait = backoff.wait();
                (wait, LinkState::Waiting { until: Instant::now() + wait, error })
            };
            let until = Instant::now() + wait;
            self.state.send_replace(state);
            tokio::select! {
                () = sleep_until(until) => {}
                () = self.nudge.notified() => backoff.reset(),
            }
        }
    }

    async fn connect(&self, serial: u64) -> Result<Connection, ApiError> {
        let dialed = timeout(DIAL_TIMEOUT, self.dialer.dial()).await.unwrap_or_else(|_| {
            Err(ApiError::new(ErrorCode::Unavailable, "the connection could not be made in time"))
        })?;
        let Dialed { mut stream, last_words, patience } = dialed;
        let hello = ClientHello {
            codec: self.options.codecs.iter().map(|codec| codec.as_str().to_owned()).collect(),
            ..ClientHello::new(self.options.name.clone())
        };
        let welcome = match handshake::connect_within(patience, &mut stream, &hello).await {
            Ok(welcome) => Arc::new(welcome),
            Err(error) => {
                drop(stream);
                return Err(with_last_words(handshake_failure(error), last_words).await);
            }
        };
        self.heard.now();
        let transport = transport::client(stream, welcome.codec);
        let tarpc::client::NewClient { client, dispatch } =
            tarpc::client::new(tarpc::client::Config::default(), transport);
        // In a task of its own: a mad peer must not be able to panic this one.
        let dispatch = tokio::spawn(async { dispatch.await.map_err(|error| chain(&error)) });
        let link = Link::new(client, Arc::clone(&welcome), self.heard.clone(), serial);
        Ok(Connection { link, welcome, dispatch: AbortOnDropHandle::new(dispatch), last_words })
    }

    /// Publishes the connection and watches over it until it ends.
    async fn hold(&self, connection: Connection) -> ApiError {
        let Connection { link, welcome, dispatch, last_words } = connection;
        self.link.send_replace(Some(link.clone()));
        self.state.send_replace(LinkState::Connected(welcome));
        let reason = tokio::select! {
            ended = dispatch => match ended {
                Ok(Ok(())) => "the agent closed the connection".to_owned(),
                Ok(Err(error)) => format!("the connection broke: {error}"),
                Err(_) => "the connection broke: the agent sent something absurd".to_owned(),
            },
            () = self.silence(link) => "the agent fell silent".to_owned(),
        };
        // The dispatch task, and with it the stream and its command, is gone by now.
        self.link.send_replace(None);
        with_last_words(ApiError::new(ErrorCode::Unavailable, reason), last_words).await
    }

    /// Returns when the agent no longer answers at all.
    async fn silence(&self, link: Link) {
        let client = Client::from(link);
        loop {
            let quiet_since = self.heard.last().unwrap_or_else(Instant::now);
            if quiet_since.elapsed() < SILENCE {
                sleep_until(quiet_since + SILENCE).await;
                continue;
            }
            let mut context = context::current();
            context.deadline = std::time::Instant::now() + 2 * PING_TIMEOUT;
            let answered = timeout(PING_TIMEOUT, client.whoami(context, Empty {})).await;
            // Even a refusal is a sign of life, and a big transfer may have overtaken the ping.
            if answered.is_err() && self.heard.last().is_none_or(|last| last <= quiet_since) {
                return;
            }
            if matches!(answered, Ok(Err(tarpc::client::RpcError::Shutdown))) {
                // The dispatch task has ended too and tells why.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// Whether the agent, or the system in its name, said no to this caller.
fn is_refusal(error: &ApiError) -> bool {
    matches!(
        error.code,
        ErrorCode::Forbidden | ErrorCode::Unauthenticated | ErrorCode::Unsupported | ErrorCode::Invalid
    )
}

fn handshake_failure(error: HandshakeError) -> ApiError {
    match error {
        HandshakeError::Refused(error) => error,
        HandshakeError::NotVigie(_) => ApiError::new(ErrorCode::Unavailable, error.to_string())
            .with_hint("is that an agent's address? a remote shell must not print anything at login"),
        HandshakeError::Timeout(_) | HandshakeError::Broken(_) => {
            ApiError::new(ErrorCode::Unavailable, error.to_string())
        }
    }
}

async fn with_last_words(mut error: ApiError, last_words: Option<LastWords>) -> ApiError {
    if let Some(words) = match last_words {
        Some(last_words) => last_words.hear().await,
        None => None,
    } {
        error.message = format!("{}: {words}", error.message);
    }
    error
}

/// An error with its causes on one line.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}
