//! The wire: what two processes of Vigie say to each other and how.
//!
//! A connection is a byte stream: a Unix socket, or the standard streams of a command such as
//! `ssh host vigie stdio`. One JSON [`handshake`] frame goes each way, settling version, codec and
//! identity; then tarpc speaks over length-delimited frames of the [`codec`] agreed on. Clients keep
//! one [`client::AgentClient`] for each agent; agents accept streams and hand them to
//! [`transport::server`]. The methods themselves are in [`crate::service`].

pub mod blobs;
pub mod client;
pub mod codec;
#[cfg(test)]
pub(crate) mod fake;
pub mod frame;
pub mod handshake;
pub mod stdio;
pub mod target;
pub mod transport;
pub mod unix;
pub mod watch;

pub use client::{AgentClient, ClientOptions, LinkState};
pub use codec::WireCodec;
pub use handshake::{ClientHello, Greeting, HandshakeError, Limits, ServerHello, Welcome};
pub use target::Target;

use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite};

/// The oldest and newest protocol this build speaks. The number rises only when an old peer could no
/// longer be understood; added fields, variants and methods do not raise it.
pub const PROTOCOL: (u16, u16) = (1, 1);

/// The most bytes of one frame after the handshake. Lists are paged and blobs chunked to stay below.
pub const MAX_FRAME: usize = 4 * 1024 * 1024;

/// The longest a `watch` waits for news. Below the 30 s after which the agent ends a watch, so that
/// an answer, even an empty one, always comes before the deadline.
pub const MAX_WAIT: Duration = Duration::from_secs(25);

/// The longest an agent works at one request, however patient its caller.
pub const MAX_DEADLINE: Duration = Duration::from_secs(60);

/// The longest an agent holds a `watch`.
pub const MAX_WATCH_DEADLINE: Duration = Duration::from_secs(30);

/// A byte stream that can carry a connection.
pub trait WireStream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<S: AsyncRead + AsyncWrite + Send + Unpin> WireStream for S {}

/// A byte stream of whatever kind.
pub type BoxStream = Box<dyn WireStream>;
