//! The codecs a connection can agree on. MessagePack with named fields is the normal one: compact,
//! and an unknown field or a new method does not disturb it. JSON serves scripts and debugging.
//!
//! tokio-serde's own MessagePack writes structs as arrays, where an added field breaks every old
//! peer; hence this one.

use std::fmt;
use std::io;
use std::pin::Pin;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use tokio_util::bytes::{Bytes, BytesMut};

/// Deepest nesting of maps and arrays that is read. Our deepest type needs about 12.
const MAX_DEPTH: usize = 64;

/// How values become bytes on a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum WireCodec {
    /// MessagePack, structs as maps with named fields.
    MsgPack,
    /// JSON.
    Json,
}

impl WireCodec {
    /// Every codec, the preferred one first.
    pub const ALL: [WireCodec; 2] = [WireCodec::MsgPack, WireCodec::Json];

    /// The name used in the handshake.
    pub fn as_str(self) -> &'static str {
        match self {
            WireCodec::MsgPack => "msgpack",
            WireCodec::Json => "json",
        }
    }

    /// The codec of that name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.as_str() == name)
    }

    /// Encodes one value.
    ///
    /// # Errors
    /// When the value's `Serialize` refuses.
    pub fn encode<T: Serialize + ?Sized>(self, value: &T) -> io::Result<Vec<u8>> {
        match self {
            WireCodec::MsgPack => rmp_serde::to_vec_named(value).map_err(invalid),
            WireCodec::Json => serde_json::to_vec(value).map_err(invalid),
        }
    }

    /// Decodes one value.
    ///
    /// # Errors
    /// When the bytes are not such a value, or are nested too deep.
    pub fn decode<T: DeserializeOwned>(self, bytes: &[u8]) -> io::Result<T> {
        match self {
            WireCodec::MsgPack => {
                let mut reader = rmp_serde::Deserializer::from_read_ref(bytes);
                reader.set_max_depth(MAX_DEPTH);
                T::deserialize(&mut reader).map_err(invalid)
            }
            // serde_json limits itself to 128 levels.
            WireCodec::Json => serde_json::from_slice(bytes).map_err(invalid),
        }
    }
}

impl fmt::Display for WireCodec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

fn invalid(error: impl std::error::Error + Send + Sync + 'static) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, error)
}

impl<T: Serialize> tokio_serde::Serializer<T> for WireCodec {
    type Error = io::Error;

    fn serialize(self: Pin<&mut Self>, value: &T) -> io::Result<Bytes> {
        self.encode(value).map(Bytes::from)
    }
}

impl<T: DeserializeOwned> tokio_serde::Deserializer<T> for WireCodec {
    type Error = io::Error;

    fn deserialize(self: Pin<&mut Self>, bytes: &BytesMut) -> io::Result<T> {
        self.decode(bytes)
    }
}

#[cfg(test)]
mod tests;
