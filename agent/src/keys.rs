//! Keys of changes that the agent makes by itself: the same each time it comes to the same change, so
//! that a change which a crash cut off is not carried out twice.

use vigie_core::store::catalog::Receipt;
use vigie_protocol::{IdempotencyKey, Time};

/// The receipt of a change that follows from these parts alone.
pub(crate) fn derived(method: &'static str, parts: &[&[u8]], at: Time) -> Receipt {
    let mut hasher = blake3::Hasher::new_derive_key("vigie derived change v1");
    for part in [method.as_bytes()].iter().chain(parts) {
        hasher.update(&(part.len() as u64).to_le_bytes());
        hasher.update(part);
    }
    let mut bytes = [0; 16];
    hasher.finalize_xof().fill(&mut bytes);
    // Made by its maker's own rule: version 8 of the UUIDs.
    let key = IdempotencyKey::from(uuid::Builder::from_custom_bytes(bytes).into_uuid());
    Receipt { key, method, request: None, at, audit: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_that_of_its_parts() {
        let key = |method, parts: &[&[u8]]| derived(method, parts, Time::now()).key;
        assert_eq!(key("a", &[b"x", b"y"]), key("a", &[b"x", b"y"]));
        let all = [key("a", &[b"xy"]), key("a", &[b"x", b"y"]), key("b", &[b"xy"]), key("a", &[b"xy", b""])];
        for (n, one) in all.iter().enumerate() {
            assert!(!all[..n].contains(one), "{n}");
        }
    }
}
