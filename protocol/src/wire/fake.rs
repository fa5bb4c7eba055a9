//! A scripted agent over memory or sockets, for the tests of this room.

use std::sync::{Arc, Mutex};

use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt};
use tarpc::ServerError;
use tarpc::server::{BaseChannel, Channel, serve};
use tokio::io::duplex;
use tokio::task::JoinHandle;

use super::client::{Dialed, Dialer};
use super::{Greeting, WireStream, handshake, transport};
use crate::access::{Principal, Role};
use crate::service::{VigieRequest, VigieResponse};
use crate::{AgentId, ApiError, ErrorCode, Time};

/// What a scripted agent answers to one request.
pub(crate) type Answer = BoxFuture<'static, Result<VigieResponse, ServerError>>;

/// An agent that answers as a function says, and takes note of every connection.
#[derive(Clone)]
pub(crate) struct FakeAgent {
    answer: Arc<dyn Fn(VigieRequest) -> Answer + Send + Sync>,
    greeting: Greeting,
    connections: Arc<Mutex<Vec<JoinHandle<()>>>>,
}

pub(crate) fn alice() -> Principal {
    Principal { name: "alice".to_owned(), role: Role::Operator, via: "test".to_owned() }
}

impl FakeAgent {
    pub(crate) fn new(
        answer: impl Fn(VigieRequest) -> Result<VigieResponse, ServerError> + Send + Sync + 'static,
    ) -> Self {
        Self::with_futures(move |request| std::future::ready(answer(request)).boxed())
    }

    pub(crate) fn with_futures(answer: impl Fn(VigieRequest) -> Answer + Send + Sync + 'static) -> Self {
        let greeting = Greeting { agent_id: AgentId::new(), epoch: 1, version: "9.9".to_owned() };
        Self { answer: Arc::new(answer), greeting, connections: Arc::default() }
    }

    /// Serves one stream in the background.
    pub(crate) fn accept(&self, mut stream: impl WireStream + 'static) {
        let agent = self.clone();
        let task = tokio::spawn(async move {
            let now = Time::from_micros(0);
            let (_, welcome) =
                handshake::accept(&mut stream, &agent.greeting, Ok(alice()), now).await.expect("handshake");
            let answer = agent.answer;
            BaseChannel::with_defaults(transport::server(stream, welcome.codec))
                .execute(serve(move |_, request| answer(request)))
                .for_each_concurrent(None, |handler| handler)
                .await;
        });
        self.connections.lock().expect("lock").push(task);
    }

    /// Connects over memory.
    pub(crate) fn dialer(&self) -> Dialer {
        let agent = self.clone();
        Dialer::new(move || {
            let (near, far) = duplex(64 * 1024);
            agent.accept(far);
            async move { Ok(Dialed::new(near)) }
        })
    }

    /// How often somebody connected.
    pub(crate) fn connections(&self) -> usize {
        self.connections.lock().expect("lock").len()
    }

    /// Drops every connection, as a killed agent does.
    pub(crate) fn drop_connections(&self) {
        self.connections.lock().expect("lock").iter().for_each(JoinHandle::abort);
    }
}

/// What the scripted agents answer to what they were not scripted for.
pub(crate) fn unscripted(request: &VigieRequest) -> ServerError {
    ServerError::new(std::io::ErrorKind::Other, format!("unscripted: {request:?}"))
}

/// A dialer that never gets anywhere.
pub(crate) fn dead_dialer() -> Dialer {
    Dialer::new(|| async { Err(ApiError::new(ErrorCode::Unavailable, "nobody there")) })
}
