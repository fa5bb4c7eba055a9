//! Passports as blobs: a version byte, then MessagePack.

use vigie_protocol::model::Passport;

use super::{Result, codec};

/// The bytes of a passport's blob.
pub fn encode(passport: &Passport) -> Vec<u8> {
    codec::encode(passport)
}

/// Reads the bytes of a passport's blob.
///
/// # Errors
/// [`StoreError::Damaged`](super::StoreError::Damaged) when they are no passport.
pub fn decode(bytes: &[u8]) -> Result<Passport> {
    codec::decode("a passport", bytes)
}
