//! The first frame each way, before tarpc sees the stream: JSON, because a peer of any age must be
//! able to read why it is turned away. It settles version, codec and identity.

use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use tokio::time::timeout;

use super::frame::{self, FrameError};
use super::{MAX_FRAME, MAX_WAIT, PROTOCOL, WireCodec, WireStream};
use crate::access::Principal;
use crate::{AgentId, ApiError, ErrorCode, Time};

/// The most bytes of a hello.
pub const MAX_HELLO: usize = 16 * 1024;

/// How long a peer may take for its half of the handshake. A client whose way to the agent is still being
/// made gives it longer: [`connect_within`].
pub const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(5);

const MAGIC: &str = "vigie";

/// What a client opens with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClientHello {
    /// Always `vigie`.
    pub magic: String,
    /// The oldest and the newest protocol it speaks.
    pub proto: (u16, u16),
    /// The codecs it speaks, the preferred one first.
    pub codec: Vec<String>,
    /// What it is: `console 0.1.0`.
    #[serde(default)]
    pub client: String,
    /// How it wants to be recognised.
    #[serde(default)]
    pub auth: Auth,
}

impl ClientHello {
    /// The hello of this build.
    pub fn new(client: impl Into<String>) -> Self {
        Self {
            magic: MAGIC.to_owned(),
            proto: PROTOCOL,
            codec: WireCodec::ALL.map(|codec| codec.as_str().to_owned()).into(),
            client: client.into(),
            auth: Auth::Peer,
        }
    }
}

/// How a client wants to be recognised.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Auth {
    /// By what the transport says of it: the user at the other end of the Unix socket.
    #[default]
    Peer,
    /// In a way this build does not know.
    Unknown,
}

impl Serialize for Auth {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(match self {
            Auth::Peer => "peer",
            Auth::Unknown => "unknown",
        })
    }
}

impl<'de> Deserialize<'de> for Auth {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Later ways carry data (`{"token": …}`), which serde's `other` cannot skip.
        let value = serde_json::Value::deserialize(deserializer)?;
        Ok(if value == "peer" { Auth::Peer } else { Auth::Unknown })
    }
}

/// What the agent says to a client it takes in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Welcome {
    /// The protocol both speak from here on.
    pub proto: u16,
    /// The codec both speak from here on.
    pub codec: WireCodec,
    /// Which agent this is.
    pub agent_id: AgentId,
    /// Random for each start of the agent.
    pub epoch: u64,
    /// Who the caller is to this agent.
    pub principal: Principal,
    /// The methods the agent answers.
    pub methods: Vec<String>,
    /// What it bears.
    #[serde(default)]
    pub limits: Limits,
    /// Its clock.
    pub server_time: Time,
    /// Its build.
    pub version: String,
}

/// What an agent bears.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// The most bytes of one frame.
    pub frame: u32,
    /// The longest `watch` waits, in milliseconds.
    pub wait_ms: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { frame: MAX_FRAME as u32, wait_ms: MAX_WAIT.as_millis() as u32 }
    }
}

/// What an agent says of itself in every handshake.
#[derive(Clone, Debug)]
pub struct Greeting {
    /// Which agent this is.
    pub agent_id: AgentId,
    /// Random for each start of the agent.
    pub epoch: u64,
    /// Its build.
    pub version: String,
}

/// Why a handshake failed.
#[derive(Debug, thiserror::Error)]
pub enum HandshakeError {
    /// The peer did not finish its half in time.
    #[error("the peer said nothing for {} s", .0.as_secs())]
    Timeout(Duration),
    /// The peer speaks something else.
    #[error("the peer does not speak Vigie's protocol: {0}")]
    NotVigie(String),
    /// The agent turned the client away.
    #[error("{0}")]
    Refused(ApiError),
    /// The stream ended or failed.
    #[error("the connection broke during the handshake: {0}")]
    Broken(String),
}

impl From<FrameError> for HandshakeError {
    fn from(error: FrameError) -> Self {
        match error {
            // Whoever opens with `GET ` or a shell's greeting claims a frame of hundreds of megabytes.
            FrameError::TooLong { .. } => Self::NotVigie(error.to_string()),
            FrameError::Closed | FrameError::Io(_) => Self::Broken(error.to_string()),
        }
    }
}

/// The agent's half of the handshake.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ServerHello {
    /// Come in.
    Ok(Welcome),
    /// Why not.
    Err(ApiError),
}

/// The client's half: says `hello`, hears what the agent answers.
///
/// # Errors
/// See [`HandshakeError`]; [`HandshakeError::Refused`] carries the agent's own words.
pub async fn connect<S: WireStream>(stream: &mut S, hello: &ClientHello) -> Result<Welcome, HandshakeError> {
    connect_within(HANDSHAKE_TIMEOUT, stream, hello).await
}

/// The same for an agent that may take so long to answer.
///
/// # Errors
/// Those of [`connect`].
pub async fn connect_within<S: WireStream>(
    limit: Duration,
    stream: &mut S,
    hello: &ClientHello,
) -> Result<Welcome, HandshakeError> {
    in_time(limit, async {
        // An agent without room hangs up without hearing us, but not without a word: what it said is
        // there even when the hello cannot be sent any more.
        let sent = send(stream, hello).await;
        match (receive(stream).await, sent) {
            (Ok(ServerHello::Ok(welcome)), Ok(())) => check(hello, welcome),
            (Ok(ServerHello::Err(error)), _) => Err(HandshakeError::Refused(error)),
            (_, Err(error)) | (Err(error), Ok(())) => Err(error),
        }
    })
    .await
}

/// The agent's half: hears the client, and welcomes it as `principal` or says why not.
///
/// # Errors
/// See [`HandshakeError`]; on [`HandshakeError::Refused`] the client was told the reason.
pub async fn accept<S: WireStream>(
    stream: &mut S,
    greeting: &Greeting,
    principal: Result<Principal, ApiError>,
    now: Time,
) -> Result<(ClientHello, Welcome), HandshakeError> {
    in_time(HANDSHAKE_TIMEOUT, async {
        let hello: ClientHello = receive(stream).await?;
        let answer = settle(&hello).and_then(|(proto, codec)| {
            let Greeting { agent_id, epoch, version } = greeting.clone();
            let methods = crate::service::METHODS.iter().map(|method| method.name.to_owned()).collect();
            let (limits, principal) = (Limits::default(), principal?);
            Ok(Welcome {
                proto,
                codec,
                agent_id,
                epoch,
                principal,
                methods,
                limits,
                server_time: now,
                version,
            })
        });
        match answer {
            Ok(welcome) => {
                send(stream, &ServerHello::Ok(welcome.clone())).await?;
                Ok((hello, welcome))
            }
            Err(error) => {
                send(stream, &ServerHello::Err(error.clone())).await?;
                Err(HandshakeError::Refused(error))
            }
        }
    })
    .await
}

/// Turns a client away without hearing it, for an agent that has no room for it.
///
/// # Errors
/// When the client does not take even that.
pub async fn refuse<S: WireStream>(stream: &mut S, error: ApiError) -> Result<(), HandshakeError> {
    in_time(HANDSHAKE_TIMEOUT, send(stream, &ServerHello::Err(error))).await
}

/// Which protocol and codec both sides speak.
fn settle(hello: &ClientHello) -> Result<(u16, WireCodec), ApiError> {
    if hello.magic != MAGIC {
        return Err(ApiError::invalid("the hello does not say it is Vigie's"));
    }
    let proto = common_protocol(hello.proto, PROTOCOL)?;
    let codec = hello.codec.iter().find_map(|name| WireCodec::named(name)).ok_or_else(|| {
        ApiError::new(ErrorCode::Unsupported, "no common codec")
            .with_hint("this agent speaks msgpack and json")
    })?;
    match hello.auth {
        Auth::Peer => Ok((proto, codec)),
        Auth::Unknown => Err(ApiError::new(
            ErrorCode::Unauthenticated,
            "this agent recognises callers by their socket only",
        )),
    }
}

/// The newest protocol that lies in both ranges.
fn common_protocol(client: (u16, u16), agent: (u16, u16)) -> Result<u16, ApiError> {
    let unsupported = |what: &str, hint: &str| {
        let message = format!(
            "{what}: it speaks protocol {}–{}, this agent {}–{}",
            client.0, client.1, agent.0, agent.1
        );
        Err(ApiError::new(ErrorCode::Unsupported, message).with_hint(hint))
    };
    if client.0 > client.1 {
        Err(ApiError::invalid(format!("the protocol range {}–{} is empty", client.0, client.1)))
    } else if client.1 < agent.0 {
        unsupported("the client is too old", "install a newer vigie")
    } else if client.0 > agent.1 {
        unsupported("the client is too new", "update vigie-agent on that machine")
    } else {
        Ok(client.1.min(agent.1))
    }
}

/// An agent must have chosen among what was offered.
fn check(hello: &ClientHello, welcome: Welcome) -> Result<Welcome, HandshakeError> {
    let (oldest, newest) = hello.proto;
    let offered = hello.codec.iter().any(|name| name == welcome.codec.as_str());
    if !(oldest..=newest).contains(&welcome.proto) || !offered {
        return Err(HandshakeError::NotVigie("it chose what was not offered".to_owned()));
    }
    Ok(welcome)
}

async fn in_time<T>(
    limit: Duration,
    half: impl Future<Output = Result<T, HandshakeError>>,
) -> Result<T, HandshakeError> {
    timeout(limit, half).await.unwrap_or(Err(HandshakeError::Timeout(limit)))
}

async fn send<S: WireStream>(stream: &mut S, hello: &impl Serialize) -> Result<(), HandshakeError> {
    let broken = |error: std::io::Error| HandshakeError::Broken(error.to_string());
    let bytes = serde_json::to_vec(hello).map_err(|error| HandshakeError::Broken(error.to_string()))?;
    frame::write(stream, &bytes).await.map_err(broken)
}

async fn receive<S: WireStream, T: serde::de::DeserializeOwned>(stream: &mut S) -> Result<T, HandshakeError> {
    let bytes = frame::read(stream, MAX_HELLO).await?;
    serde_json::from_slice(&bytes).map_err(|error| HandshakeError::NotVigie(error.to_string()))
}

#[cfg(test)]
mod tests;
