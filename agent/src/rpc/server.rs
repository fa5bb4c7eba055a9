//! The accept loop and the life of one connection.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use futures::{SinkExt, StreamExt};
use tarpc::RequestName;
use tarpc::server::{BaseChannel, Channel, Config};
use tokio::net::UnixStream;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use vigie_protocol::wire::transport::ServerCodec;
use vigie_protocol::wire::unix::{Listener, Peer};
use vigie_protocol::wire::{Greeting, HandshakeError, handshake, transport};
use vigie_protocol::{ApiError, ErrorCode, Time};

use super::guard::{self, Guarded, Handler};
use super::room::{Budget, Place, Room};
use super::session::Session;
use super::stream::PeerStream;
use crate::access::Access;

/// Answers that may wait to be written on one connection; then its handlers wait.
const PENDING_RESPONSES: usize = 4;

/// Reads that one connection may have under way. Their answers may be large, up to a frame, and are
/// held until the peer takes them: this is what bounds the memory of a peer that asks and does not
/// read.
const READS: usize = 8;

/// Clients that may be told at one time that there is no room; the rest just find the door shut.
const REFUSALS: usize = 16;

/// What the server bears.
#[derive(Clone, Debug)]
pub struct ServerOptions {
    /// Connections at one time, handshakes included.
    pub max_connections: usize,
    /// Of which of one user.
    pub max_per_user: usize,
    /// Requests at one time on one connection, long polls included.
    pub max_requests: usize,
    /// How long a peer may take to finish a frame that it began, or to take an answer.
    pub patience: Duration,
    /// How long requests under way may take once the agent stops.
    pub drain: Duration,
}

impl Default for ServerOptions {
    fn default() -> Self {
        Self {
            max_connections: 256,
            max_per_user: 64,
            max_requests: 64,
            patience: Duration::from_secs(60),
            drain: Duration::from_secs(10),
        }
    }
}

/// Answers on one Unix socket. `F` makes the handler of each session.
pub struct Server<F> {
    listener: Listener,
    shared: Arc<Shared<F>>,
}

/// What every connection needs.
pub(super) struct Shared<F> {
    options: ServerOptions,
    greeting: Greeting,
    access: Access,
    factory: F,
}

impl<F> Shared<F> {
    pub(super) fn new(greeting: Greeting, access: Access, options: ServerOptions, factory: F) -> Self {
        Self { options, greeting, access, factory }
    }
}

impl<F, H> Server<F>
where
    F: Fn(Arc<Session>) -> H + Send + Sync + 'static,
    H: Handler,
{
    /// A server on `listener` that says of itself what `greeting` says.
    pub fn new(
        listener: Listener,
        greeting: Greeting,
        access: Access,
        options: ServerOptions,
        factory: F,
    ) -> Self {
        Self { listener, shared: Arc::new(Shared::new(greeting, access, options, factory)) }
    }

    /// Serves until `shutdown`; then takes no more connections, removes the socket, and gives the
    /// requests under way the time the options allow.
    pub async fn run(self, shutdown: CancellationToken) {
        let Self { listener, shared } = self;
        let room = Room::new(shared.options.max_connections, shared.options.max_per_user);
        let refusals = Arc::new(Semaphore::new(REFUSALS));
        let mut connections = JoinSet::new();
        let mut serial = 0;
        let mut failures = 0;
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept() => accepted,
                Some(ended) = connections.join_next() => {
                    note_panic(ended);
                    continue;
                }
                () = shutdown.cancelled() => break,
            };
            let (stream, peer) = match accepted {
                Ok(accepted) => accepted,
                Err(error) => {
                    failures += 1;
                    rest_after(&error, failures).await;
                    continue;
                }
            };
            failures = 0;
            match room.enter(peer.uid, shared.access.is_keeper(peer.uid)) {
                Ok(place) => {
                    serial += 1;
                    let requests = place.requests().clone();
                    let connection =
                        connection(Arc::clone(&shared), stream, peer, serial, requests, shutdown.clone());
                    connections.spawn(at_place(place, connection));
                }
                Err(error) => {
                    if let Ok(permit) = Arc::clone(&refusals).try_acquire_owned() {
                        connections.spawn(refuse(stream, error, permit));
                    }
                }
            }
        }
        drop(listener);
        let all_ended = async { while connections.join_next().await.map(note_panic).is_some() {} };
        // The connections end by themselves when their requests are done or their time is over; the
        // margin is for a peer that does not take its answers.
        if timeout(shared.options.drain + Duration::from_secs(1), all_ended).await.is_err() {
            tracing::warn!(connections = connections.len(), "connections cut off at shutdown");
            connections.shutdown().await;
        }
    }
}

async fn at_place(place: Place, connection: impl Future<Output = ()>) {
    connection.await;
    drop(place);
}

/// Waits after a failed accept: out of file descriptors, an immediate retry would only spin.
async fn rest_after(error: &io::Error, failures: u32) {
    tracing::warn!(%error, "cannot take a connection");
    sleep(Duration::from_millis(10).saturating_mul(1 << failures.min(7)).min(Duration::from_secs(1))).await;
}

fn note_panic(ended: Result<(), JoinError>) {
    if let Err(error) = ended
        && error.is_panic()
    {
        tracing::error!(%error, "a connection panicked");
    }
}

async fn refuse(mut stream: UnixStream, error: ApiError, _permit: OwnedSemaphorePermit) {
    // A client that does not even hear this has gone already.
    let _ = handshake::refuse(&mut stream, error).await;
}

/// Serves one connection to its end.
pub(super) async fn connection<F, H>(
    shared: Arc<Shared<F>>,
    mut stream: UnixStream,
    peer: Peer,
    serial: u64,
    requests: Budget,
    shutdown: CancellationToken,
) where
    F: Fn(Arc<Session>) -> H,
    H: Handler,
{
    let access = shared.access.clone();
    let principal = tokio::task::spawn_blocking(move || access.principal(&peer))
        .await
        .unwrap_or_else(|_| Err(ApiError::new(ErrorCode::Internal, "the caller could not be looked up")));
    let welcomed = tokio::select! {
        welcomed = handshake::accept(&mut stream, &shared.greeting, principal, Time::now()) => welcomed,
        () = shutdown.cancelled() => return,
    };
    let (hello, welcome) = match welcomed {
        Ok(welcomed) => welcomed,
        Err(HandshakeError::Refused(error)) => {
            tracing::info!(uid = peer.uid, pid = peer.pid, %error, "turned away");
            return;
        }
        Err(error) => {
            tracing::debug!(uid = peer.uid, pid = peer.pid, %error, "no handshake");
            return;
        }
    };
    let session = Arc::new(Session {
        serial,
        principal: welcome.principal,
        peer,
        client: hello.client.chars().filter(|c| !c.is_control()).take(80).collect(),
        codec: welcome.codec,
    });
    tracing::debug!(serial, caller = %session.principal.name, client = %session.client, "connected");
    let handler = (shared.factory)(Arc::clone(&session));
    answer(&shared.options, stream, session, handler, requests, shutdown).await;
    tracing::debug!(serial, "disconnected");
}

/// Answers requests until the peer is gone, or the agent stops and they are done.
async fn answer<H: Handler>(
    options: &ServerOptions,
    stream: UnixStream,
    session: Arc<Session>,
    handler: H,
    budget: Budget,
    shutdown: CancellationToken,
) {
    let gone = shutdown.child_token();
    let codec = ServerCodec::from(session.codec);
    let stream = PeerStream::new(stream, gone.clone(), options.patience);
    let guarded = Guarded { handler, session, gone };
    let requests = BaseChannel::new(
        Config { pending_response_buffer: PENDING_RESPONSES },
        transport::server(stream, codec.clone()),
    )
    .max_concurrent_requests(options.max_requests)
    .requests();
    let mut requests = pin!(requests);
    // Dropping the set aborts what still runs when the connection breaks; changes are in owned tasks.
    let mut handlers = JoinSet::new();
    let reads = Arc::new(Semaphore::new(READS));
    loop {
        tokio::select! {
            request = requests.next() => match request {
                // Who cancels what it asked, and asks again and again before that has come to its end, gets
                // no answer: each would need a place of its own to wait in.
                Some(Ok(request)) if handlers.len() >= 2 * options.max_requests => drop(request),
                Some(Ok(request)) => {
                    let Some(held) = budget.take(codec.last_read()) else {
                        handlers.spawn(request.execute(guard::TooMuch));
                        continue;
                    };
                    let (guarded, reads) = (guarded.clone(), Arc::clone(&reads));
                    let is_read = guard::is_read(request.get().message.name());
                    handlers.spawn(async move {
                        // Held until the answer is on its way out, not only until it is there.
                        let _permit = if is_read { reads.acquire_owned().await.ok() } else { None };
                        request.execute(guarded).await;
                        drop(held);
                    });
                }
                Some(Err(error)) => {
                    tracing::debug!(%error, "the connection broke");
                    return;
                }
                None => return,
            },
            Some(ended) = handlers.join_next() => note_panic(ended),
            () = shutdown.cancelled() => break,
        }
    }
    // Requests that still come in are dropped unanswered: the connection's end tells their client to
    // ask again.
    let answered = std::future::poll_fn(|cx| {
        loop {
            match requests.poll_next_unpin(cx) {
                Poll::Ready(Some(Ok(late))) => drop(late),
                Poll::Ready(Some(Err(_)) | None) => return Poll::Ready(()),
                Poll::Pending if requests.channel().in_flight_requests() == 0 => return Poll::Ready(()),
                Poll::Pending => return Poll::Pending,
            }
        }
    });
    if timeout(options.drain, answered).await.is_ok() {
        let _ = timeout(Duration::from_secs(1), requests.channel_pin_mut().close()).await;
    }
}
