//! Getting a byte stream to an agent.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use tokio::net::UnixStream;

use crate::wire::handshake::HANDSHAKE_TIMEOUT;
use crate::wire::stdio::{self, LastWords};
use crate::wire::target::Target;
use crate::wire::{BoxStream, WireStream};
use crate::{ApiError, ErrorCode};

/// How long a command may take until the agent behind it has answered: starting it is done at once, but
/// then ssh looks a name up, passes jump hosts, logs in and starts `vigie stdio` before a byte comes
/// through. With a machine that is off it would wait for minutes.
const COMMAND_PATIENCE: Duration = Duration::from_secs(30);

/// A stream to an agent, before the handshake.
pub struct Dialed {
    pub(super) stream: BoxStream,
    pub(super) last_words: Option<LastWords>,
    /// How long the agent may take for its half of the handshake.
    pub(super) patience: Duration,
}

impl Dialed {
    /// A stream that is there already.
    pub fn new(stream: impl WireStream + 'static) -> Self {
        Self { stream: Box::new(stream), last_words: None, patience: HANDSHAKE_TIMEOUT }
    }

    /// What a command that was just started says and hears.
    fn of_command(stream: impl WireStream + 'static, last_words: LastWords) -> Self {
        Self { last_words: Some(last_words), patience: COMMAND_PATIENCE, ..Self::new(stream) }
    }
}

/// Something that can reach one agent again and again.
#[derive(Clone)]
pub struct Dialer(Arc<dyn Fn() -> BoxFuture<'static, Result<Dialed, ApiError>> + Send + Sync>);

impl Dialer {
    /// A dialer from a function: how tests connect over memory.
    pub fn new<F, Fut>(dial: F) -> Self
    where
        F: Fn() -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<Dialed, ApiError>> + Send + 'static,
    {
        Self(Arc::new(move || Box::pin(dial())))
    }

    pub(super) async fn dial(&self) -> Result<Dialed, ApiError> {
        (self.0)().await
    }
}

impl From<Target> for Dialer {
    fn from(target: Target) -> Self {
        Self::new(move || {
            let target = target.clone();
            async move { dial(&target).await }
        })
    }
}

async fn dial(target: &Target) -> Result<Dialed, ApiError> {
    match (target, target.command()) {
        (Target::Unix(path), _) => {
            UnixStream::connect(path).await.map(Dialed::new).map_err(|error| unreachable_socket(path, &error))
        }
        (Target::Ssh(_) | Target::Exec(_), command) => {
            let command = command.unwrap_or_default();
            let (stream, last_words) = stdio::spawn(&command).map_err(|error| {
                let program = command.first().map_or("", String::as_str);
                ApiError::new(ErrorCode::Unavailable, format!("cannot run {program}: {error}"))
                    .with_hint("install it, or correct the agent's address")
            })?;
            Ok(Dialed::of_command(stream, last_words))
        }
    }
}

fn unreachable_socket(path: &Path, error: &io::Error) -> ApiError {
    let path = path.display();
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused => {
            ApiError::new(ErrorCode::Unavailable, format!("no agent listens on {path}"))
                .with_hint("start vigie-agent, or name another agent with --agent")
        }
        io::ErrorKind::PermissionDenied => {
            ApiError::new(ErrorCode::Forbidden, format!("{path} may not be opened by this user"))
                .with_hint("ask to be added to the socket's group, then log in again")
        }
        _ => ApiError::new(ErrorCode::Unavailable, format!("cannot connect to {path}: {error}")),
    }
}
