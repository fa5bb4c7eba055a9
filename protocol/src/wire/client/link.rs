//! One live connection as a stub that the generated client speaks through, and what its errors mean
//! to a person.

use std::error::Error;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use tarpc::client::stub::Stub;
use tarpc::client::{Channel, RpcError};
use tarpc::context::Context;
use tarpc::{RequestName, ServerError};
use tokio::time::Instant;

use crate::service::{VigieClient, VigieRequest, VigieResponse};
use crate::wire::{MAX_FRAME, Welcome};
use crate::{ApiError, ErrorCode};

/// The generated client over a [`Link`].
pub type Client = VigieClient<Link>;

/// One live connection. Refuses methods that the agent does not have before they reach it: an
/// unknown method would make it drop the whole connection.
#[derive(Clone, Debug)]
pub struct Link {
    channel: Channel<VigieRequest, VigieResponse>,
    welcome: Arc<Welcome>,
    heard: Heard,
    /// Tells connections of one client apart.
    pub(super) serial: u64,
}

impl Link {
    pub(super) fn new(
        channel: Channel<VigieRequest, VigieResponse>,
        welcome: Arc<Welcome>,
        heard: Heard,
        serial: u64,
    ) -> Self {
        Self { channel, welcome, heard, serial }
    }

    pub(super) fn welcome(&self) -> &Arc<Welcome> {
        &self.welcome
    }
}

impl Stub for Link {
    type Req = VigieRequest;
    type Resp = VigieResponse;

    async fn call(&self, context: Context, request: VigieRequest) -> Result<VigieResponse, RpcError> {
        let name = request.name();
        let name = name.strip_prefix("Vigie.").unwrap_or(name);
        if !self.welcome.methods.iter().any(|method| method == name) {
            let detail = format!("the agent ({}) is too old for {name}", self.welcome.version);
            return Err(RpcError::Server(ServerError::new(io::ErrorKind::Unsupported, detail)));
        }
        let answer = self.channel.call(context, request).await;
        if matches!(answer, Ok(_) | Err(RpcError::Server(_))) {
            self.heard.now();
        }
        answer
    }
}

/// When the agent was last heard.
#[derive(Clone, Debug, Default)]
pub(super) struct Heard(Arc<Mutex<Option<Instant>>>);

impl Heard {
    pub(super) fn now(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    pub(super) fn last(&self) -> Option<Instant> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How one attempt at a call went wrong.
pub(super) enum Failure {
    /// The connection broke under it; another one may carry it.
    Disconnected,
    /// Anything else; asking again would not help.
    Final(ApiError),
}

impl From<RpcError> for Failure {
    fn from(error: RpcError) -> Self {
        match error {
            RpcError::Shutdown | RpcError::Channel(_) => Failure::Disconnected,
            RpcError::DeadlineExceeded => Failure::Final(timed_out()),
            RpcError::Send(source) => Failure::Final(unsendable(source.as_ref())),
            RpcError::Server(error) => Failure::Final(server_error(error)),
        }
    }
}

pub(super) fn timed_out() -> ApiError {
    ApiError::new(ErrorCode::Timeout, "the agent did not answer in time")
        .with_hint("it may be busy or the link slow; what was asked may still be carried out")
}

pub(super) fn disconnected() -> ApiError {
    ApiError::new(ErrorCode::Unavailable, "the connection to the agent broke")
        .with_hint("it is being restored; try again")
}

/// What generated code does with an answer to another question is to panic.
pub(super) fn misbehaved() -> ApiError {
    ApiError::new(ErrorCode::Internal, "the agent misbehaved: it answered another question than was asked")
        .with_hint("bring vigie and vigie-agent to the same version")
}

fn unsendable(source: &(dyn Error + 'static)) -> ApiError {
    let mut cause = Some(source);
    while let Some(error) = cause {
        if error.is::<tokio_util::codec::LengthDelimitedCodecError>() {
            return ApiError::new(
                ErrorCode::TooLarge,
                format!("the request is larger than a frame ({MAX_FRAME} bytes)"),
            )
            .with_hint("upload large content as a blob first");
        }
        // An `io::Error` made of another error names that error's source, not the error itself.
        cause = match error.downcast_ref::<io::Error>() {
            Some(io) => io.get_ref().map(|inner| inner as &(dyn Error + 'static)),
            None => error.source(),
        };
    }
    ApiError::invalid(format!("the request cannot be sent: {source}"))
}

fn server_error(error: ServerError) -> ApiError {
    let (code, hint) = match error.kind {
        io::ErrorKind::PermissionDenied => (ErrorCode::Forbidden, None),
        io::ErrorKind::WouldBlock => {
            let busy = ApiError::new(ErrorCode::Overloaded, "too many requests at once on this connection");
            return busy.with_hint("wait for some to finish").retry_after_ms(250);
        }
        io::ErrorKind::TimedOut => (ErrorCode::Timeout, Some("what was asked may still be carried out")),
        io::ErrorKind::Unsupported => (ErrorCode::Unsupported, Some("update vigie-agent on that machine")),
        io::ErrorKind::InvalidData => (ErrorCode::TooLarge, Some("ask for a smaller page")),
        io::ErrorKind::NotConnected => (ErrorCode::Unavailable, Some("try again in a moment")),
        _ => (ErrorCode::Internal, Some("the agent's log has more")),
    };
    let error = ApiError::new(code, error.detail);
    match hint {
        Some(hint) => error.with_hint(hint),
        None => error,
    }
}
