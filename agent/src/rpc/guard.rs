//! What stands before every handler: the role check, the limit on time, the net under a panic.

use std::any::Any;
use std::io::ErrorKind;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures::FutureExt;
use futures::future::BoxFuture;
use tarpc::context::Context;
use tarpc::server::Serve;
use tarpc::{RequestName, ServerError};
use tokio_util::sync::CancellationToken;
use vigie_protocol::access::Role;
use vigie_protocol::service::{self, MethodInfo, VigieRequest, VigieResponse};
use vigie_protocol::wire::{MAX_DEADLINE, MAX_WATCH_DEADLINE};

use super::session::Session;

/// The method that waits for news.
const WATCH: &str = "watch";

/// What answers a session's requests.
///
/// tarpc's own traits do not say that their futures can move between threads, so that generic code
/// cannot spawn them. Where the type is known, the implementation is one line:
///
/// ```ignore
/// impl Handler for Api {
///     fn handle(self, context: Context, request: VigieRequest) -> Answer {
///         Box::pin(self.serve().serve(context, request))
///     }
/// }
/// ```
pub trait Handler: Clone + Send + Sync + 'static {
    /// Answers one request that the session's role allows.
    fn handle(self, context: Context, request: VigieRequest) -> Answer;
}

/// A handler's answer on its way.
pub type Answer = BoxFuture<'static, Result<VigieResponse, ServerError>>;

/// A handler with its guard.
#[derive(Clone)]
pub(super) struct Guarded<H> {
    pub handler: H,
    pub session: Arc<Session>,
    /// The peer will ask nothing more, or the agent stops: who only waits for news need not.
    pub gone: CancellationToken,
}

impl<H: Handler> Serve for Guarded<H> {
    type Req = VigieRequest;
    type Resp = VigieResponse;

    async fn serve(self, mut context: Context, request: VigieRequest) -> Result<VigieResponse, ServerError> {
        let method = self.authorise(request.name())?;
        let waits = method.name == WATCH;
        let limit = if waits { MAX_WATCH_DEADLINE } else { MAX_DEADLINE };
        context.deadline = context.deadline.min(Instant::now() + limit);

        let gone = self.gone;
        let nobody_waits =
            async { if waits { gone.cancelled().await } else { std::future::pending().await } };
        // In a block, so that a handler's panic before its first await is caught as well.
        let handler = self.handler;
        let work = AssertUnwindSafe(async move { handler.handle(context, request).await }).catch_unwind();
        tokio::select! {
            done = work => done.unwrap_or_else(|panic| Err(panicked(method, panic.as_ref()))),
            () = tokio::time::sleep_until(context.deadline.into()) => {
                let detail = format!("{} took longer than it may", method.name);
                Err(ServerError::new(ErrorKind::TimedOut, detail))
            }
            () = nobody_waits => {
                Err(ServerError::new(ErrorKind::NotConnected, "the agent is stopping".to_owned()))
            }
        }
    }
}

impl<H> Guarded<H> {
    /// Looks the method up and holds its least role against the session's. What is not in the table
    /// is nobody's to call.
    pub(super) fn authorise(&self, name: &str) -> Result<&'static MethodInfo, ServerError> {
        let refused = |detail| Err(ServerError::new(ErrorKind::PermissionDenied, detail));
        let principal = &self.session.principal;
        let Some(method) = service::method(name) else {
            return refused(format!("{name} is not in the table of methods"));
        };
        if principal.role < method.role {
            tracing::info!(method = method.name, caller = %principal.name, role = %principal.role, "refused");
            return refused(format!(
                "{} needs the role {}; {} has the role {}",
                method.name, method.role, principal.name, principal.role
            ));
        }
        Ok(method)
    }
}

/// Refuses a request whose sender has too many bytes of requests under way already.
#[derive(Clone, Copy, Debug)]
pub(super) struct TooMuch;

impl Serve for TooMuch {
    type Req = VigieRequest;
    type Resp = VigieResponse;

    async fn serve(self, _: Context, _: VigieRequest) -> Result<VigieResponse, ServerError> {
        Err(ServerError::new(ErrorKind::WouldBlock, "too much is under way".to_owned()))
    }
}

/// Whether a method only reads, and its answer may be large. What labellers may do beside reading
/// (a prediction, a piece of an upload) answers with a row; and who watches mostly waits.
pub(super) fn is_read(name: &str) -> bool {
    service::method(name)
        .is_some_and(|method| !method.mutation && method.role != Role::Labeller && method.name != WATCH)
}

fn panicked(method: &MethodInfo, panic: &(dyn Any + Send)) -> ServerError {
    let text = panic.downcast_ref::<&str>().copied();
    let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
    tracing::error!(method = method.name, panic = text, "a handler panicked");
    ServerError::new(ErrorKind::Other, format!("the agent failed at {}", method.name))
}
