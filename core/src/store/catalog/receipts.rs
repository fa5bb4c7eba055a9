//! Receipts: the answer of each change under its caller's key, so that asking again changes nothing.

use std::collections::BTreeSet;
use std::time::Duration;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_bytes::ByteBuf;
use vigie_protocol::{Hash, IdempotencyKey, Time};

use super::change::Change;
use super::{Catalog, Key, readable};
use crate::store::audit::AuditDraft;
use crate::store::codec::{decode, encode};
use crate::store::{Batch, Order, Result, StoreError};

/// How long a key is remembered.
pub const RECEIPTS_KEPT: Duration = Duration::from_secs(7 * 24 * 3600);

/// What a caller gave to have a change happen once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The caller's key.
    pub key: IdempotencyKey,
    /// The method it was given for.
    pub method: &'static str,
    /// The digest of what was asked, where somebody asked: the same key with another request is a
    /// caller's mistake that must not be answered with the first one's success.
    pub request: Option<Hash>,
    /// When.
    pub at: Time,
    /// What the audit log will say of it: kept with the change until it is written there, so that no
    /// crash comes between the two.
    pub audit: Option<AuditDraft>,
}

#[derive(Serialize, Deserialize)]
struct ReceiptRow {
    method: String,
    #[serde(default)]
    request: Option<Hash>,
    answer: ByteBuf,
}

impl ReceiptRow {
    /// The first answer, if it was one to the same request.
    fn answer<T: DeserializeOwned>(&self, receipt: &Receipt) -> Result<T> {
        let other_request = self.request.zip(receipt.request).is_some_and(|(first, now)| first != now);
        if self.method != receipt.method || other_request {
            let text =
                format!("the idempotency key was used for another {} before; use a fresh one", self.method);
            return Err(StoreError::Precondition(text));
        }
        decode("the answer of an earlier request", &self.answer)
    }
}

fn receipt_key(key: IdempotencyKey) -> Vec<u8> {
    Key::of("receipt").uuid(key.uuid()).bytes()
}

/// Receipts by time, for pruning: the caller's key says nothing reliable about its age.
fn by_time() -> Key {
    Key::of("receipt-by-time")
}

/// Lines of the audit log that are not written yet, oldest first.
fn due() -> Key {
    Key::of("audit-due")
}

impl Catalog {
    /// What the audit log does not say yet, oldest first, with what [`Catalog::audit_written`] takes.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn audit_due(&self) -> Result<Vec<(Vec<u8>, AuditDraft)>> {
        let rows = self.facts().scan(&due().bytes(), None, Order::Ascending, usize::MAX)?;
        rows.into_iter()
            .map(|(key, fact)| Ok((key, decode("a line of the audit log", &fact.value)?)))
            .collect()
    }

    /// The audit log says it now.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn audit_written(&self, rows: Vec<Vec<u8>>) -> Result<()> {
        self.facts().commit(&Batch { deletes: rows, ..Batch::default() }).map(drop)
    }

    /// Receipts and their list by time that do not tell the same; for checks.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn receipts_without_twin(&self) -> Result<Vec<String>> {
        let keys = |prefix: Key| -> Result<BTreeSet<Vec<u8>>> {
            let rows = self.facts().scan(&prefix.bytes(), None, Order::Ascending, usize::MAX)?;
            Ok(rows.into_iter().map(|(key, _)| key[key.len().saturating_sub(16)..].to_vec()).collect())
        };
        let (receipts, listed) = (keys(Key::of("receipt"))?, keys(by_time())?);
        Ok(receipts
            .symmetric_difference(&listed)
            .map(|identity| format!("{} is only in one of two lists", readable(identity)))
            .collect())
    }

    /// The answer that a change gave under this receipt's key, if there was one in the last seven
    /// days.
    ///
    /// # Errors
    /// [`StoreError::Precondition`] when the key was used for something else.
    pub fn receipt<T: DeserializeOwned>(&self, receipt: &Receipt) -> Result<Option<T>> {
        let row: Option<ReceiptRow> = self.row(receipt_key(receipt.key))?;
        row.map(|row| row.answer(receipt)).transpose()
    }

    /// Lays down the answer of a change that has no row of its own here to lie beside (a backup, a
    /// prediction forgotten).
    ///
    /// # Errors
    /// As [`Catalog::receipt`], and those of the facts.
    pub fn keep<T: Serialize + DeserializeOwned + Clone>(&self, receipt: &Receipt, answer: &T) -> Result<T> {
        self.change(Some(receipt), |_| Ok(answer.clone()))
    }

    /// Forgets receipts older than [`RECEIPTS_KEPT`]; returns how many.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn prune_receipts(&self, now: Time) -> Result<u64> {
        let prefix = by_time().bytes();
        let end = by_time().time(now.minus(RECEIPTS_KEPT)).bytes();
        let mut pruned = 0;
        loop {
            let mut old = self.facts().scan(&prefix, None, Order::Ascending, 1_000)?;
            old.retain(|(key, _)| *key < end);
            if old.is_empty() {
                return Ok(pruned);
            }
            pruned += old.len() as u64;
            let mut batch = Batch::default();
            for (key, _) in old {
                let identity = &key[key.len().saturating_sub(16)..];
                batch.deletes.push([&Key::of("receipt").bytes()[..], identity].concat());
                batch.deletes.push(key);
            }
            self.facts().commit(&batch)?;
        }
    }
}

impl Change<'_> {
    /// The first answer under this receipt's key.
    pub(super) fn replay<T: DeserializeOwned>(&mut self, receipt: &Receipt) -> Result<Option<T>> {
        let row: Option<ReceiptRow> = self.read(receipt_key(receipt.key))?;
        row.map(|row| row.answer(receipt)).transpose()
    }

    /// Lays the answer down under the receipt's key.
    pub(super) fn keep_receipt<T: Serialize>(&mut self, receipt: &Receipt, answer: &T) {
        let row = ReceiptRow {
            method: receipt.method.to_owned(),
            request: receipt.request,
            answer: ByteBuf::from(encode(answer)),
        };
        self.put(receipt_key(receipt.key), &row);
        self.put(by_time().time(receipt.at).uuid(receipt.key.uuid()).bytes(), &());
        if let Some(draft) = &receipt.audit {
            self.put(due().time(receipt.at).uuid(receipt.key.uuid()).bytes(), draft);
        }
    }
}
