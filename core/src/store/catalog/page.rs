//! Pages of rows in key order.

use std::fmt::Write as _;

use serde::de::DeserializeOwned;
use vigie_protocol::page::{Page, PageCursor};

use super::{Catalog, Key, readable};
use crate::store::codec::decode;
use crate::store::{Order, Result, StoreError};

/// A page ends once its rows have this many bytes: its answer must fit a frame.
const PAGE_BYTES: usize = 1 << 20;
/// A page ends after this many rows were looked at, wanted or not.
const PAGE_ROWS_READ: usize = 5_000;
/// Rows read from the store at once.
const STRIDE: usize = 64;

impl Catalog {
    /// Up to `limit` rows under `prefix` that `keep` wants, largest key first.
    pub(super) fn page_down<T: DeserializeOwned>(
        &self,
        prefix: Key,
        cursor: Option<&PageCursor>,
        limit: usize,
        keep: impl Fn(&T) -> bool,
    ) -> Result<Page<T>> {
        let prefix = prefix.bytes();
        let mut after = cursor.map(|cursor| decode_cursor(cursor, &prefix)).transpose()?;
        let mut items = Vec::new();
        let (mut bytes, mut read) = (0, 0);
        loop {
            let rows = self.facts().scan(&prefix, after.as_deref(), Order::Descending, STRIDE)?;
            let exhausted = rows.len() < STRIDE;
            for (key, fact) in rows {
                if items.len() >= limit.max(1) || bytes >= PAGE_BYTES || read >= PAGE_ROWS_READ {
                    let next = after.map(|key| encode_cursor(&key, &prefix));
                    return Ok(Page { items, next });
                }
                read += 1;
                let row = decode(&readable(&key), &fact.value)?;
                if keep(&row) {
                    bytes += fact.value.len();
                    items.push(row);
                }
                after = Some(key);
            }
            if exhausted {
                return Ok(Page::whole(items));
            }
        }
    }

    /// Every row under `prefix`, smallest key first: for short lists.
    pub(super) fn all<T: DeserializeOwned>(&self, prefix: Key) -> Result<Vec<T>> {
        let rows = self.facts().scan(&prefix.bytes(), None, Order::Ascending, usize::MAX)?;
        rows.iter().map(|(key, fact)| decode(&readable(key), &fact.value)).collect()
    }
}

/// The part of the last row's key that the prefix does not say, as hex.
fn encode_cursor(key: &[u8], prefix: &[u8]) -> PageCursor {
    let mut text = String::new();
    for byte in &key[prefix.len()..] {
        let _ = write!(text, "{byte:02x}");
    }
    PageCursor(text)
}

fn decode_cursor(cursor: &PageCursor, prefix: &[u8]) -> Result<Vec<u8>> {
    let digits = cursor.0.as_bytes();
    if digits.is_empty() || digits.len() > 256 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(StoreError::BadCursor);
    }
    let mut key = prefix.to_vec();
    for pair in digits.chunks(2) {
        let byte = std::str::from_utf8(pair).ok().filter(|_| pair.len() == 2);
        let byte = byte.and_then(|pair| u8::from_str_radix(pair, 16).ok());
        key.push(byte.ok_or(StoreError::BadCursor)?);
    }
    Ok(key)
}
