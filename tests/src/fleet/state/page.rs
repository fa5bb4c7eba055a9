//! Pages of rows with the limits of the real store.

use std::fmt::Display;
use std::str::FromStr;

use serde::Serialize;
use vigie_protocol::page::{Page, PageCursor, PageRequest};
use vigie_protocol::wire::WireCodec;
use vigie_protocol::{ApiError, ErrorCode};

/// A page ends once its rows have this many bytes.
const BYTES: usize = 1 << 20;

/// A page ends after this many rows were looked at, wanted or not.
pub(in super::super) const ROWS_READ: usize = 5_000;

/// Where the page begins: past the row with this key.
///
/// # Errors
/// `Invalid` for a cursor of another list.
pub(super) fn cursor<K: FromStr>(request: &PageRequest) -> Result<Option<K>, ApiError> {
    let parsed = request.cursor.as_ref().map(|cursor| cursor.0.parse());
    parsed.transpose().map_err(|_| foreign_cursor())
}

/// What the agent says of a cursor it did not make for this list.
pub(super) fn foreign_cursor() -> ApiError {
    ApiError::new(ErrorCode::Invalid, "not a cursor of this list")
        .with_hint("a cursor is only good for the list it came from; start from the first page")
}

/// One page of `rows`, which begin past the cursor; those that are not wanted come without content.
pub(super) fn page<K: Display, T: Serialize>(
    request: &PageRequest,
    rows: impl Iterator<Item = (K, Option<T>)>,
) -> Page<T> {
    let mut items = Vec::new();
    let (mut bytes, mut read, mut last) = (0, 0, None);
    for (key, row) in rows {
        if items.len() >= request.capped_limit() || bytes >= BYTES || read >= ROWS_READ {
            return Page { items, next: last.map(|last: K| PageCursor(last.to_string())) };
        }
        read += 1;
        if let Some(row) = row {
            // What cannot be encoded cannot be sent either, and fails there with its reason.
            bytes += WireCodec::MsgPack.encode(&row).map_or(0, |encoded| encoded.len());
            items.push(row);
        }
        last = Some(key);
    }
    Page::whole(items)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The pages of `rows` numbers, of which one in `keep` is wanted: their lengths.
    fn lengths(rows: usize, keep: usize, limit: u32) -> Vec<usize> {
        let mut request = PageRequest { cursor: None, limit };
        let (mut lengths, mut seen) = (Vec::new(), Vec::new());
        loop {
            let after = cursor::<usize>(&request).expect("our own");
            let rest = (after.map_or(0, |after| after + 1)..rows)
                .map(|row| (row, row.is_multiple_of(keep).then_some(row)));
            let Page { items, next } = page(&request, rest);
            lengths.push(items.len());
            seen.extend(items);
            request.cursor = next;
            if request.cursor.is_none() {
                assert_eq!(seen, (0..rows).step_by(keep).collect::<Vec<_>>());
                return lengths;
            }
        }
    }

    #[test]
    fn pages_end_by_rows_and_by_work() {
        assert_eq!(lengths(0, 1, 0), [0]);
        assert_eq!(lengths(250, 1, 0), [100, 100, 50]);
        assert_eq!(lengths(200, 1, 100), [100, 100]);
        assert_eq!(lengths(1_500, 1, 5_000), [1_000, 500]);
        assert_eq!(lengths(11_000, 4_000, 100), [2, 1, 0]);
        assert!(cursor::<u64>(&PageRequest { cursor: Some(PageCursor("here".into())), limit: 0 }).is_err());
    }
}
