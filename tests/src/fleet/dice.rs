//! Chance that is the same in every run: numbers computed from a seed and a place, never drawn from a
//! generator with a state, so that the millionth row costs what the first one does.

use uuid::Uuid;
use vigie_protocol::{Hash, Time};

/// 64 random bits for the `n`-th place under `seed`: SplitMix64 (Steele, Lea & Flood 2014,
/// doi:10.1145/2714064.2660195), whose state is a plain counter.
pub(super) fn mix(seed: u64, n: u64) -> u64 {
    let mut z = seed.wrapping_add(n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// A number from 0 to just below 1.
pub(super) fn share(bits: u64) -> f64 {
    (bits >> 11) as f64 / (1_u64 << 53) as f64
}

/// A number from 0 to `n - 1`; 0 when `n` is 0.
pub(super) fn below(bits: u64, n: usize) -> usize {
    ((u128::from(bits) * n as u128) >> 64) as usize
}

/// One of several.
pub(super) fn pick<T>(bits: u64, of: &[T]) -> &T {
    &of[below(bits, of.len())]
}

/// A hash that names nothing but its own place.
pub(super) fn hash(seed: u64, n: u64) -> Hash {
    let mut bytes = [0; 32];
    for (k, eight) in (0_u64..).zip(bytes.chunks_exact_mut(8)) {
        eight.copy_from_slice(&mix(mix(seed, n), k).to_be_bytes());
    }
    Hash::from(bytes)
}

/// The lowest bits of an identity that are free: the others hold time, version and variant.
const FREE_BITS: u32 = 62;

/// A UUIDv7 of the time `at` whose free bits are `low`: identities of one kind sort by time.
pub(super) fn uuid(at: Time, low: u64) -> Uuid {
    let micros = u128::from(at.as_micros().max(0).cast_unsigned());
    let (millis, rest) = (micros / 1_000, micros % 1_000);
    let low = u128::from(low & ((1 << FREE_BITS) - 1));
    Uuid::from_u128((millis << 80) | (7 << 76) | (rest << 64) | (0b10 << FREE_BITS) | low)
}

/// The free bits of an identity.
pub(super) fn low_bits(uuid: Uuid) -> u64 {
    (uuid.as_u128() & ((1 << FREE_BITS) - 1)) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_sort_by_time_and_give_their_low_bits_back() {
        let at = |micros: i64| Time::from_micros(1_795_248_000_000_000 + micros);
        assert!(uuid(at(1), 9) < uuid(at(2), 3) && uuid(at(999), 9) < uuid(at(1_000), 3));
        let id = uuid(at(7), 0x3fff_ffff_ffff_fffe);
        assert_eq!((id.get_version_num(), low_bits(id)), (7, 0x3fff_ffff_ffff_fffe));
    }

    #[test]
    fn numbers_fill_their_range() {
        let drawn: Vec<usize> = (0..1_000).map(|n| below(mix(7, n), 10)).collect();
        for wanted in 0..10 {
            assert!((60..140).contains(&drawn.iter().filter(|&&n| n == wanted).count()), "{wanted}");
        }
        assert_eq!(below(u64::MAX, 0), 0);
        assert!((0.0..1.0).contains(&share(u64::MAX)));
    }
}
