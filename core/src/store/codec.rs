//! How rows lie on disk: one version byte, then MessagePack with named fields.
//!
//! Fields are only ever added with defaults, so the byte rises only when a row's meaning changes.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{Result, StoreError};

const VERSION: u8 = 1;

/// The bytes of a row.
pub(super) fn encode<T: Serialize + ?Sized>(row: &T) -> Vec<u8> {
    let mut bytes = vec![VERSION];
    rmp_serde::encode::write_named(&mut bytes, row).expect("plain structs in memory always encode");
    bytes
}

/// Reads a row; `what` names it in the error.
///
/// # Errors
/// [`StoreError::Damaged`] when the bytes are not a row of this kind.
pub(super) fn decode<T: DeserializeOwned>(what: &str, bytes: &[u8]) -> Result<T> {
    let damaged = |detail: String| StoreError::Damaged { what: what.to_owned(), detail };
    match bytes.split_first() {
        Some((&VERSION, body)) => rmp_serde::from_slice(body).map_err(|error| damaged(error.to_string())),
        Some((version, _)) => Err(damaged(format!("row version {version} is unknown"))),
        None => Err(damaged("the row is empty".to_owned())),
    }
}
