//! Changes that are carried out once for their key, and the audit log that they land in.

use std::any::Any;
use std::collections::{HashMap, VecDeque};

use serde::Serialize;
use vigie_protocol::access::Principal;
use vigie_protocol::page::Page;
use vigie_protocol::service::{AuditEntry, AuditList, AuditVerdict, Empty};
use vigie_protocol::wire::WireCodec;
use vigie_protocol::{ApiError, Hash, IdempotencyKey};

use super::State;
use super::page::{cursor, page};
use super::refusal::precondition;

/// Keys that are remembered; the oldest is forgotten first.
const KEYS: usize = 1_000;

/// Lines of the audit log that are kept; its chain is checked from the oldest of these.
const LINES: usize = 300;

/// A change that somebody asks for.
pub(super) struct Change<'a, R> {
    pub(super) key: IdempotencyKey,
    pub(super) method: &'static str,
    /// The whole request: the same key with another one is a mistake.
    pub(super) request: &'a R,
    pub(super) target: String,
    pub(super) reason: Option<String>,
    pub(super) who: &'a Principal,
}

/// The answers to the changes that were carried out.
#[derive(Default)]
pub(super) struct Receipts {
    answers: HashMap<IdempotencyKey, (Hash, Box<dyn Any + Send>)>,
    order: VecDeque<IdempotencyKey>,
}

impl State {
    /// Carries a change out, unless it was under the same key; both times the answer is the same.
    ///
    /// # Errors
    /// The change's own, and those may be asked for again under the same key; `Precondition` for a key
    /// of another request.
    pub(super) fn once<R: Serialize, T: Clone + Send + 'static>(
        &mut self,
        change: &Change<'_, R>,
        carry_out: impl FnOnce(&mut Self) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        // A request of the wire can be encoded.
        let encoded = WireCodec::MsgPack.encode(change.request).unwrap_or_default();
        let digest = Hash::of(&[change.method.as_bytes(), &encoded].concat());
        if let Some((first, answer)) = self.receipts.answers.get(&change.key) {
            return match answer.downcast_ref::<T>() {
                Some(answer) if *first == digest => Ok(answer.clone()),
                _ => {
                    let text = "the idempotency key was used for another request before; use a fresh one";
                    Err(precondition(text))
                }
            };
        }
        let result = carry_out(self);
        self.note(change, result.as_ref().err());
        if let Ok(answer) = &result {
            self.receipts.answers.insert(change.key, (digest, Box::new(answer.clone())));
            self.receipts.order.push_back(change.key);
            if self.receipts.order.len() > KEYS
                && let Some(oldest) = self.receipts.order.pop_front()
            {
                self.receipts.answers.remove(&oldest);
            }
        }
        result
    }

    fn note<R>(&mut self, change: &Change<'_, R>, error: Option<&ApiError>) {
        let Principal { name, role, via } = change.who;
        let last = self.audit.back();
        let entry = AuditEntry {
            seq: last.map_or(0, |last| last.seq) + 1,
            at: self.now,
            principal: name.clone(),
            role: role.to_string(),
            via: via.clone(),
            method: change.method.to_owned(),
            target: change.target.clone(),
            outcome: error.map_or_else(|| "ok".to_owned(), ToString::to_string),
            reason: change.reason.clone(),
            prev: last.map_or_else(|| Hash::of(b""), digest_of),
        };
        self.audit.push_back(entry);
        while self.audit.len() > LINES {
            self.audit.pop_front();
        }
    }

    pub(in super::super) fn audit_list(
        &mut self,
        _: &Principal,
        request: AuditList,
    ) -> Result<Page<AuditEntry>, ApiError> {
        let before: Option<u64> = cursor(&request.page)?;
        let rows = self.audit.iter().rev().filter(|entry| before.is_none_or(|before| entry.seq < before));
        Ok(page(&request.page, rows.map(|entry| (entry.seq, Some(entry.clone())))))
    }

    pub(in super::super) fn audit_verify(
        &mut self,
        _: &Principal,
        _: Empty,
    ) -> Result<AuditVerdict, ApiError> {
        let pairs = self.audit.iter().zip(self.audit.iter().skip(1));
        let broken = pairs.into_iter().find(|(line, next)| next.prev != digest_of(line));
        Ok(AuditVerdict {
            lines: self.audit.back().map_or(0, |last| last.seq),
            broken_at: broken.map(|(_, next)| format!("line {} does not follow", next.seq)),
            head: self.audit.back().map_or_else(|| Hash::of(b""), digest_of),
        })
    }
}

fn digest_of(entry: &AuditEntry) -> Hash {
    Hash::of(&WireCodec::MsgPack.encode(entry).unwrap_or_default())
}
