//! Passports: what travels with a model's weights, as one blob.
//!
//! A version byte, then MessagePack.

use vigie_protocol::model::Passport;

use super::Result;
use super::codec;

/// The bytes of a passport's blob.
pub fn encode(passport: &Passport) -> Vec<u8> {
    codec::encode(passport)
}

/// Reads the bytes of a passport's blob.
///
/// # Errors
/// [`StoreError::Damaged`](super::StoreError::Damaged) when they are not a passport of a known
/// format.
pub fn decode(bytes: &[u8]) -> Result<Passport> {
    codec::decode("a passport", bytes)
}
