//! A byte stream as tarpc's transport, on either side.
//!
//! The server's side does not hand bytes to tarpc's own message type unread: tarpc computes
//! `Instant::now() + deadline` with whatever the peer sent, and panics when that overflows its clock
//! or its timer wheel. It also keeps the promise that an answer too large for a frame fails its own
//! request and no other.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tarpc::serde_transport::{self, Transport};
use tarpc::{ClientMessage, Request, Response, ServerError, context, trace};
use tokio_util::bytes::{Bytes, BytesMut};

use super::{MAX_DEADLINE, MAX_FRAME, WireCodec, WireStream, frame};
use crate::service::{VigieRequest, VigieResponse};

/// How long tarpc itself keeps a request at most. Longer than [`MAX_DEADLINE`], so that the agent
/// still answers a request that ran into that limit.
const KEPT_AT_MOST: Duration = MAX_DEADLINE.saturating_mul(2);

/// A client's transport.
pub type ClientTransport<S> = Transport<S, Response<VigieResponse>, ClientMessage<VigieRequest>, WireCodec>;

/// A server's transport.
pub type ServerTransport<S> = Transport<S, ClientMessage<VigieRequest>, Response<VigieResponse>, ServerCodec>;

/// What a client speaks after the handshake.
pub fn client<S: WireStream>(stream: S, codec: WireCodec) -> ClientTransport<S> {
    serde_transport::new(frame::framed(stream), codec)
}

/// What a server speaks after the handshake.
pub fn server<S: WireStream>(stream: S, codec: impl Into<ServerCodec>) -> ServerTransport<S> {
    serde_transport::new(frame::framed(stream), codec.into())
}

/// A [`WireCodec`] that distrusts the deadlines it reads and minds the size of what it writes. It
/// also remembers the size of what it read last.
#[derive(Clone, Debug)]
pub struct ServerCodec {
    codec: WireCodec,
    last_read: Arc<AtomicUsize>,
}

impl ServerCodec {
    /// Bytes of the message that was read last: of the request that the transport has just given.
    pub fn last_read(&self) -> usize {
        self.last_read.load(Ordering::Relaxed)
    }
}

impl From<WireCodec> for ServerCodec {
    fn from(codec: WireCodec) -> Self {
        Self { codec, last_read: Arc::default() }
    }
}

impl<T: DeserializeOwned> tokio_serde::Deserializer<ClientMessage<T>> for ServerCodec {
    type Error = io::Error;

    fn deserialize(self: Pin<&mut Self>, bytes: &BytesMut) -> io::Result<ClientMessage<T>> {
        self.last_read.store(bytes.len(), Ordering::Relaxed);
        self.codec.decode::<Inbound<T>>(bytes).map(ClientMessage::from)
    }
}

impl<T: Serialize> tokio_serde::Serializer<Response<T>> for ServerCodec {
    type Error = io::Error;

    fn serialize(self: Pin<&mut Self>, response: &Response<T>) -> io::Result<Bytes> {
        let bytes = self.codec.encode(response)?;
        if bytes.len() <= MAX_FRAME {
            return Ok(bytes.into());
        }
        let detail = format!("the answer has {} bytes, more than the {MAX_FRAME} of a frame", bytes.len());
        let error = ServerError::new(io::ErrorKind::InvalidData, detail);
        let request_id = response.request_id;
        self.codec.encode(&Response::<()> { request_id, message: Err(error) }).map(Bytes::from)
    }
}

/// tarpc's `ClientMessage` as it is written, with the deadline still a duration.
#[derive(Deserialize)]
enum Inbound<T> {
    Request {
        context: InboundContext,
        id: u64,
        message: T,
    },
    Cancel {
        #[serde(default)]
        trace_context: trace::Context,
        request_id: u64,
    },
}

#[derive(Deserialize)]
struct InboundContext {
    #[serde(default = "default_deadline")]
    deadline: Duration,
    #[serde(default)]
    trace_context: trace::Context,
}

/// What tarpc assumes when a message names none.
fn default_deadline() -> Duration {
    Duration::from_secs(10)
}

impl<T> From<Inbound<T>> for ClientMessage<T> {
    fn from(message: Inbound<T>) -> Self {
        match message {
            Inbound::Request { context: InboundContext { deadline, trace_context }, id, message } => {
                let mut context = context::current();
                context.deadline = Instant::now() + deadline.min(KEPT_AT_MOST);
                context.trace_context = trace_context;
                ClientMessage::Request(Request { context, id, message })
            }
            Inbound::Cancel { trace_context, request_id } => {
                ClientMessage::Cancel { trace_context, request_id }
            }
        }
    }
}
