//! What a picture looks like, in 64 bits.

use std::fmt;
use std::num::NonZeroU64;
use std::str::FromStr;

use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A perceptual fingerprint: pictures that look alike have fingerprints that differ in few bits,
/// whatever their size and encoding. A flat picture, whose bits would be noise, has none.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fingerprint(NonZeroU64);

impl Fingerprint {
    /// A fingerprint of these bits; none for zero, which no picture has.
    pub fn new(bits: u64) -> Option<Self> {
        NonZeroU64::new(bits).map(Self)
    }

    /// The bits.
    pub fn bits(self) -> u64 {
        self.0.get()
    }

    /// In how many of their 64 bits two differ.
    pub fn distance(self, other: Self) -> u32 {
        (self.bits() ^ other.bits()).count_ones()
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Fingerprint({self})")
    }
}

impl FromStr for Fingerprint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let digits = text.len() == 16 && text.bytes().all(|digit| digit.is_ascii_hexdigit());
        let bits = digits.then(|| u64::from_str_radix(text, 16).ok()).flatten();
        bits.and_then(Self::new).ok_or_else(|| "not a fingerprint of 16 hex digits".to_owned())
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // As text where people read: JSON's numbers lose bits past the 53rd in many readers.
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u64(self.bits())
        }
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BitsOrText)
    }
}

struct BitsOrText;

impl Visitor<'_> for BitsOrText {
    type Value = Fingerprint;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a fingerprint")
    }

    fn visit_u64<E: de::Error>(self, bits: u64) -> Result<Fingerprint, E> {
        Fingerprint::new(bits).ok_or_else(|| E::invalid_value(de::Unexpected::Unsigned(bits), &self))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Fingerprint, E> {
        text.parse().map_err(E::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_and_bits_are_one() {
        let print = Fingerprint::new(0x00ff_0000_0000_0001);
        assert_eq!("00ff000000000001".parse().ok(), print);
        assert_eq!(print.map(|print| print.to_string()).as_deref(), Some("00ff000000000001"));
        for text in ["", "0000000000000000", "ff", "+0ff000000000001", "00ff00000000000g"] {
            assert!(text.parse::<Fingerprint>().is_err(), "{text}");
        }
        let other = Fingerprint::new(1);
        assert_eq!(print.zip(other).map(|(a, b)| a.distance(b)), Some(8));
    }
}
