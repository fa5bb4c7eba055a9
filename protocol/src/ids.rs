//! Names and identities. An identity is a UUIDv7 or a content hash, so that two machines can never
//! hand out the same one; the small numbers people see (`v7`) are allotted by the store.

use std::fmt;
use std::str::FromStr;

use serde::de::{self, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::{NoContext, Timestamp, Uuid};

use crate::Time;

/// A text that is not the identity or name it was given for.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is not {expected}")]
pub struct InvalidId {
    text: String,
    expected: &'static str,
}

impl InvalidId {
    fn new(text: &str, expected: &'static str) -> Self {
        // A hostile text may be of any length; the message need not be.
        Self { text: text.chars().take(80).collect(), expected }
    }
}

/// A BLAKE3-256 digest: the name of a blob and of everything content-addressed.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Hash([u8; 32]);

impl Hash {
    /// The digest of `bytes`.
    pub fn of(bytes: &[u8]) -> Self {
        Self(*blake3::hash(bytes).as_bytes())
    }

    /// The raw digest.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first eight hex digits, for people.
    pub fn short(&self) -> String {
        self.to_string().chars().take(8).collect()
    }
}

impl From<[u8; 32]> for Hash {
    fn from(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }
}

impl From<blake3::Hash> for Hash {
    fn from(hash: blake3::Hash) -> Self {
        Self(*hash.as_bytes())
    }
}

impl fmt::Display for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&blake3::Hash::from_bytes(self.0).to_hex())
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hash({})", self.short())
    }
}

impl FromStr for Hash {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        blake3::Hash::from_hex(text)
            .map(Self::from)
            .map_err(|_| InvalidId::new(text, "a BLAKE3 hash of 64 hex digits"))
    }
}

impl Serialize for Hash {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_bytes(&self.0)
        }
    }
}

impl<'de> Deserialize<'de> for Hash {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BytesOrText::<32, Self> { from_bytes: Self, expected: "a BLAKE3 hash" })
    }
}

/// Reads a fixed-width identity from bytes or from text, whichever the format holds: inside an
/// internally tagged enum `is_human_readable` cannot be trusted.
struct BytesOrText<const N: usize, T> {
    from_bytes: fn([u8; N]) -> T,
    expected: &'static str,
}

impl<'de, const N: usize, T: FromStr<Err = InvalidId>> Visitor<'de> for BytesOrText<N, T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.expected)
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<T, E> {
        text.parse().map_err(E::custom)
    }

    fn visit_bytes<E: de::Error>(self, bytes: &[u8]) -> Result<T, E> {
        let bytes = bytes.try_into().map_err(|_| E::invalid_length(bytes.len(), &self))?;
        Ok((self.from_bytes)(bytes))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<T, A::Error> {
        let mut bytes = [0; N];
        for (i, byte) in bytes.iter_mut().enumerate() {
            *byte = seq.next_element()?.ok_or_else(|| de::Error::invalid_length(i, &self.expected))?;
        }
        Ok((self.from_bytes)(bytes))
    }
}

macro_rules! uuid_ids {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Uuid);

        impl $name {
            /// A fresh identity; later ones sort after earlier ones of the same machine.
            #[expect(clippy::new_without_default, reason = "a default identity would be a trap")]
            pub fn new() -> Self {
                Self(Uuid::now_v7())
            }

            /// The UUID itself.
            pub fn uuid(self) -> Uuid {
                self.0
            }
        }

        impl From<Uuid> for $name {
            fn from(uuid: Uuid) -> Self {
                Self(uuid)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                Uuid::parse_str(text).map(Self).map_err(|_| InvalidId::new(text, $what))
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    serializer.serialize_bytes(self.0.as_bytes())
                }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                deserializer.deserialize_any(BytesOrText::<16, Self> {
                    from_bytes: |bytes| Self(Uuid::from_bytes(bytes)),
                    expected: $what,
                })
            }
        }
    )*};
}

uuid_ids! {
    /// One agent's state directory, for its whole life.
    AgentId, "an agent id (a UUID)";
    /// One unit of background work.
    JobId, "a job id (a UUID)";
    /// One training.
    RunId, "a run id (a UUID)";
    /// One proposed next dataset version.
    ChangeSetId, "a change-set id (a UUID)";
    /// One logged answer.
    PredictionId, "a prediction id (a UUID)";
    /// One time that a schedule fired.
    FiringId, "a firing id (a UUID)";
    /// One blob upload under way.
    UploadId, "an upload id (a UUID)";
    /// Made by the client for each mutation; the agent carries a key out once, however often it is
    /// sent.
    IdempotencyKey, "an idempotency key (a UUID)";
}

macro_rules! names {
    ($($(#[$doc:meta])* $name:ident, $what:literal;)*) => {$(
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
        #[serde(transparent)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl FromStr for $name {
            type Err = InvalidId;

            fn from_str(text: &str) -> Result<Self, InvalidId> {
                if is_slug(text) { Ok(Self(text.to_owned())) } else { Err(InvalidId::new(text, $what)) }
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
            }
        }
    )*};
}

names! {
    /// A project's name, unique on its agent: 1 to 63 of `a–z`, `0–9`, `-`, `_`, starting with a
    /// letter or digit. It is part of file names and keys, hence the narrow alphabet.
    ProjectName, "a name of 1 to 63 of a-z, 0-9, '-', '_', starting with a letter or digit";
    /// An alias on a model version (`production`, `shadow`, `canary`, or the user's own).
    AliasName, "a name of 1 to 63 of a-z, 0-9, '-', '_', starting with a letter or digit";
    /// A schedule's name, unique in its project, or among the schedules of the agent.
    ScheduleName, "a name of 1 to 63 of a-z, 0-9, '-', '_', starting with a letter or digit";
    /// A source's name, unique in its project.
    SourceName, "a name of 1 to 63 of a-z, 0-9, '-', '_', starting with a letter or digit";
}

impl AliasName {
    /// The alias that answers predictions.
    pub fn production() -> Self {
        Self("production".to_owned())
    }
}

fn is_slug(text: &str) -> bool {
    let alphabet = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'_';
    (1..=63).contains(&text.len())
        && text.bytes().all(alphabet)
        && text.bytes().next().is_some_and(|b| b.is_ascii_alphanumeric())
}

/// A model version's number within its project: 1, 2, 3 … Written `v7`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ModelNumber(pub u32);

impl fmt::Display for ModelNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "v{}", self.0)
    }
}

impl FromStr for ModelNumber {
    type Err = InvalidId;

    fn from_str(text: &str) -> Result<Self, InvalidId> {
        parse_number(text).map(Self).ok_or_else(|| InvalidId::new(text, "a model version such as v7"))
    }
}

pub(crate) fn parse_number(text: &str) -> Option<u32> {
    text.strip_prefix('v').unwrap_or(text).parse().ok().filter(|&n| n > 0)
}

impl PredictionId {
    /// A fresh identity for an answer given at `at`. The log looks for it in the days around the time
    /// that it tells; [`PredictionId::new`] tells the latest time there ever was, which after a clock
    /// was set back is not the answer's.
    pub fn given_at(at: Time) -> Self {
        let micros = u64::try_from(at.as_micros()).unwrap_or(0);
        let nanos = u32::try_from(micros % 1_000_000 * 1_000).unwrap_or(0);
        Self(Uuid::new_v7(Timestamp::from_unix(NoContext, micros / 1_000_000, nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    #[serde(tag = "kind", rename_all = "snake_case")]
    enum Tagged {
        Blob { hash: Hash, job: JobId },
    }

    #[test]
    fn identities_survive_tagged_enums_in_both_formats() {
        let value = Tagged::Blob { hash: Hash::of(b"owl"), job: JobId::new() };
        let json = serde_json::to_vec(&value).expect("json");
        assert_eq!(serde_json::from_slice::<Tagged>(&json).expect("back"), value);
        let packed = rmp_serde::to_vec_named(&value).expect("msgpack");
        assert_eq!(rmp_serde::from_slice::<Tagged>(&packed).expect("back"), value);
    }

    #[test]
    fn a_prediction_tells_its_time_whatever_came_before() {
        let later = Time::from_micros(1_800_000_000_000_000);
        let earlier = Time::from_micros(1_700_000_000_123_000);
        for at in [later, earlier] {
            let (seconds, nanos) = PredictionId::given_at(at).uuid().get_timestamp().expect("v7").to_unix();
            assert_eq!(seconds * 1_000_000 + u64::from(nanos) / 1_000, at.as_micros().cast_unsigned());
        }
        assert_ne!(PredictionId::given_at(later), PredictionId::given_at(later));
    }

    #[test]
    fn names_are_slugs() {
        for good in ["birds", "x-ray_2", "0a"] {
            assert!(good.parse::<ProjectName>().is_ok(), "{good}");
        }
        for bad in ["", "-a", "Birds", "a/b", "..", "é", &"a".repeat(64)] {
            assert!(bad.parse::<ProjectName>().is_err(), "{bad}");
        }
        assert!(serde_json::from_str::<ProjectName>("\"../etc\"").is_err());
    }

    #[test]
    fn model_numbers_read_with_and_without_v() {
        assert_eq!("v7".parse(), Ok(ModelNumber(7)));
        assert_eq!("7".parse(), Ok(ModelNumber(7)));
        assert!("v0".parse::<ModelNumber>().is_err());
    }
}
