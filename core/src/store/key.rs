//! Keys of facts: readable words that each end in `/`, then fixed-width numbers or identities.
//!
//! A word never holds a `/`, so the prefix of project `a` (`model/a/`) is no prefix of project
//! `a-b` (`model/a-b/`). Numbers are big-endian, so that keys sort as the numbers do; UUIDv7 sort
//! by the time they were made.

use uuid::Uuid;
use vigie_protocol::Time;

/// Builds a key, or the prefix of many, from left to right.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// A key that starts with the kind of fact.
    pub(super) fn of(kind: &str) -> Self {
        Self(Vec::with_capacity(64)).word(kind)
    }

    /// Adds a word: a name of the narrow alphabet of `ProjectName`, or one of our own.
    pub(super) fn word(mut self, word: &str) -> Self {
        debug_assert!(!word.contains('/'), "{word:?} would end its segment early");
        self.0.extend_from_slice(word.as_bytes());
        self.0.push(b'/');
        self
    }

    /// Adds a free text, which must be the key's last part.
    pub(super) fn text(mut self, text: &str) -> Vec<u8> {
        self.0.extend_from_slice(text.as_bytes());
        self.0
    }

    /// Adds a number.
    pub(super) fn u32(mut self, number: u32) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Adds a number.
    pub(super) fn u64(mut self, number: u64) -> Self {
        self.0.extend_from_slice(&number.to_be_bytes());
        self
    }

    /// Adds an identity.
    pub(super) fn uuid(mut self, uuid: Uuid) -> Self {
        self.0.extend_from_slice(uuid.as_bytes());
        self
    }

    /// Adds a time; earlier ones sort first, those before 1970 too.
    pub(super) fn time(self, time: Time) -> Self {
        self.u64(time.as_micros().cast_unsigned() ^ (1 << 63))
    }

    /// The bytes.
    pub(super) fn bytes(self) -> Vec<u8> {
        self.0
    }
}

/// A key as people can read it in an error: bytes that are no text as hex.
pub(super) fn readable(key: &[u8]) -> String {
    key.iter()
        .map(
            |&byte| {
                if byte.is_ascii_graphic() { char::from(byte).to_string() } else { format!("\\x{byte:02x}") }
            },
        )
        .collect()
}

/// The smallest key after every key that starts with `prefix`; none when there is no such key.
pub(super) fn end_of_prefix(prefix: &[u8]) -> Option<Vec<u8>> {
    let last = prefix.iter().rposition(|&byte| byte != u8::MAX)?;
    let mut end = prefix[..=last].to_vec();
    end[last] += 1;
    Some(end)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn projects_with_a_common_start_stay_apart() {
        let prefix = Key::of("model").word("a").bytes();
        let other = Key::of("model").word("a-b").u32(1).bytes();
        assert!(!other.starts_with(&prefix));
    }

    #[test]
    fn keys_sort_as_their_numbers_and_times_do() {
        let times = [i64::MIN, -1, 0, 1, i64::MAX].map(Time::from_micros);
        assert!(times.map(|time| Key::of("t").time(time).bytes()).is_sorted());
        assert!([1, 9, 10, 255, 256, u32::MAX].map(|n| Key::of("n").u32(n).bytes()).is_sorted());
    }

    #[test]
    fn a_prefix_ends_before_its_successor() {
        for (prefix, end) in
            [(&b"ab"[..], Some(&b"ac"[..])), (b"a\xff", Some(b"b")), (b"\xff\xff", None), (b"", None)]
        {
            assert_eq!(end_of_prefix(prefix).as_deref(), end);
        }
    }
}
