//! The catalog: typed rows over [`Facts`], one file a noun.
//!
//! Every change is one batch: what it read must still stand when it is written, what it writes
//! appears together, and the answer lies beside it under the caller's receipt. So a change happens
//! once, whole, however often it is asked for.

mod aliases;
mod change;
mod change_sets;
mod class_lists;
mod collecting;
mod datasets;
mod draws;
mod erasures;
mod events;
mod feedback;
mod jobs;
mod label_checks;
mod labels;
mod leases;
mod models;
mod page;
mod projects;
mod receipts;
mod rules;
mod runs;
mod schedules;
mod sources;

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};

use serde::Serialize;
use serde::de::DeserializeOwned;

use self::change::Change;
use super::codec::decode;
use super::key::{Key, readable};
use super::{Facts, Result, StoreError};

pub use aliases::AliasMoveDraft;
pub(in crate::store) use aliases::holders_after;
pub use change_sets::AcceptedPart;
pub use collecting::{Fate, Source};
pub use draws::{Confident, is_drawn};
pub use events::{EVENTS_KEPT, EventDraft};
pub use feedback::Voted;
pub use labels::Clustering;
pub use models::ModelDraft;
pub use receipts::{RECEIPTS_KEPT, Receipt};
pub use rules::{Followed, Looked, RulesProgress};
pub use schedules::{FIRINGS_KEPT, FIRINGS_OPEN, FiringDraft, MAX_SCHEDULES, ScheduleDraft};
pub use sources::{MAX_SOURCES, SourceDraft};

/// How often a change is tried when another writer of the same facts is faster.
const ATTEMPTS: usize = 16;

/// What exists on an agent. Cheap to clone.
#[derive(Clone)]
pub struct Catalog {
    facts: Arc<dyn Facts>,
    /// Changes of this process take turns, so that they never lose a race against each other.
    turn: Arc<Mutex<()>>,
}

impl Catalog {
    /// A catalog over these facts.
    pub fn new(facts: Arc<dyn Facts>) -> Self {
        Self { facts, turn: Arc::default() }
    }

    /// The facts beneath.
    pub fn facts(&self) -> &Arc<dyn Facts> {
        &self.facts
    }

    /// Carries a change out. With a receipt that was used before, returns the first answer instead.
    fn change<T: Serialize + DeserializeOwned>(
        &self,
        receipt: Option<&Receipt>,
        body: impl Fn(&mut Change<'_>) -> Result<T>,
    ) -> Result<T> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        let mut attempts = ATTEMPTS;
        loop {
            let mut change = Change::new(&*self.facts);
            if let Some(receipt) = receipt
                && let Some(first) = change.replay(receipt)?
            {
                return Ok(first);
            }
            let answer = body(&mut change)?;
            if let Some(receipt) = receipt {
                change.keep_receipt(receipt, &answer);
            }
            attempts -= 1;
            match change.commit() {
                Err(StoreError::Conflict { .. } | StoreError::Exists { .. }) if attempts > 0 => {}
                done => return done.map(|()| answer),
            }
        }
    }

    /// The row at a key.
    fn row<T: DeserializeOwned>(&self, key: Vec<u8>) -> Result<Option<T>> {
        self.facts.get(&key)?.map(|fact| decode(&readable(&key), &fact.value)).transpose()
    }

    /// The row at a key, which must exist; `what` names it.
    fn need<T: DeserializeOwned>(&self, key: Vec<u8>, what: impl fmt::Display) -> Result<T> {
        self.row(key)?.ok_or_else(|| missing(what))
    }
}

impl fmt::Debug for Catalog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Catalog").finish_non_exhaustive()
    }
}

fn missing(what: impl fmt::Display) -> StoreError {
    StoreError::NotFound { what: what.to_string() }
}

fn check_generation(what: impl fmt::Display, found: u64, expected: u64) -> Result<()> {
    if found == expected { Ok(()) } else { Err(StoreError::Conflict { what: what.to_string() }) }
}

#[cfg(test)]
mod schedules_tests;
#[cfg(test)]
mod tests;
