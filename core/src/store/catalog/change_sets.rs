//! Change-sets, and how they become dataset versions.

use std::cell::Cell;
use std::collections::BTreeMap;

use vigie_protocol::dataset::{
    ChangeSet, ChangeSetState, ClassChange, DatasetRef, DatasetVersion, Decision, SplitCounts,
};
use vigie_protocol::event::{Event, Severity, Subject};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::{ChangeSetId, Hash, ProjectName};

use super::change::Change;
use super::{Catalog, EventDraft, Key, Receipt, check_generation, missing};
use crate::store::{Result, StoreError};

/// What is taken of a change-set, and what is left.
#[derive(Clone, Debug, PartialEq)]
pub struct AcceptedPart {
    /// The blob with the manifest of the version it makes.
    pub manifest: Hash,
    /// What it does to each class that it touches.
    pub classes: BTreeMap<String, ClassChange>,
    /// What was left, by class.
    pub left: BTreeMap<String, ClassChange>,
    /// Images of the version, per class and split.
    pub result: BTreeMap<String, SplitCounts>,
    /// Bytes of all originals of the version.
    pub bytes: u64,
}

fn in_project(project: &ProjectName) -> Key {
    Key::of("change-set").word(project.as_str())
}

fn key(project: &ProjectName, id: ChangeSetId) -> Vec<u8> {
    in_project(project).uuid(id.uuid()).bytes()
}

fn announcement(set: &ChangeSet, version: &DatasetVersion) -> EventDraft {
    let DatasetVersion { dataset, by, created, .. } = version;
    let part = if set.left.is_empty() { "" } else { "a part of " };
    EventDraft {
        at: *created,
        project: Some(set.project.clone()),
        severity: Severity::Info,
        subject: Subject::Dataset { dataset: *dataset },
        text: format!("{dataset} was made from {part}{} by {by}", set.origin),
    }
}

fn what(id: ChangeSetId) -> String {
    format!("change-set {id}")
}

impl Catalog {
    /// Lays a change-set down for review; its generation becomes 1.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without its project, [`StoreError::Exists`].
    pub fn propose(&self, proposed: &ChangeSet, receipt: Option<&Receipt>) -> Result<ChangeSet> {
        let proposed = ChangeSet {
            state: ChangeSetState::Proposed,
            accepted_as: None,
            decided: None,
            generation: 1,
            ..proposed.clone()
        };
        let key = key(&proposed.project, proposed.id);
        self.change(receipt, |change| {
            change.project(&proposed.project)?;
            if change.read::<ChangeSet>(key.clone())?.is_some() {
                return Err(StoreError::Exists { what: what(proposed.id) });
            }
            change.put(key.clone(), &proposed);
            Ok(proposed.clone())
        })
    }

    /// One change-set.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn change_set(&self, project: &ProjectName, id: ChangeSetId) -> Result<ChangeSet> {
        self.need(key(project, id), what(id))
    }

    /// A project's change-sets, newest first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub fn change_sets(
        &self,
        project: &ProjectName,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<ChangeSet>> {
        self.page_down(in_project(project), cursor, limit, |_| true)
    }

    /// Makes a change-set the next version of its line, `accepted_as` says which, with the event that
    /// tells of it: all appear together. The event is left out when it was accepted under this receipt
    /// before.
    ///
    /// # Errors
    /// [`StoreError::Precondition`] when it was decided before or its line has moved on,
    /// [`StoreError::Conflict`] when its generation is not `expected_generation`.
    pub fn accept(
        &self,
        project: &ProjectName,
        id: ChangeSetId,
        expected_generation: Option<u64>,
        decision: &Decision,
        receipt: Option<&Receipt>,
    ) -> Result<(ChangeSet, Option<Event>)> {
        self.accept_part(project, id, expected_generation, None, decision, receipt)
    }

    /// As [`Catalog::accept`]; with a `part` only that enters, and the row tells what it holds and what
    /// was left. The part's manifest is a durable blob.
    ///
    /// # Errors
    /// Those of [`Catalog::accept`].
    pub fn accept_part(
        &self,
        project: &ProjectName,
        id: ChangeSetId,
        expected_generation: Option<u64>,
        part: Option<&AcceptedPart>,
        decision: &Decision,
        receipt: Option<&Receipt>,
    ) -> Result<(ChangeSet, Option<Event>)> {
        // Beside the answer: receipts of earlier builds hold a change-set alone.
        let told = Cell::new(None);
        let set = self.change(receipt, |change| {
            let mut set = change.undecided(project, id, expected_generation)?;
            if let Some(AcceptedPart { manifest, classes, left, result, bytes }) = part {
                set.manifest = *manifest;
                set.classes.clone_from(classes);
                set.left.clone_from(left);
                set.result.clone_from(result);
                set.bytes = *bytes;
            }
            let head = change.dataset_head(project, set.lineage)?.map(|head| head.dataset.number);
            if head != set.base {
                let text = format!(
                    "{} moved on since {} was made; propose it again against the newest version",
                    set.lineage,
                    what(id)
                );
                return Err(StoreError::Precondition(text));
            }
            let version = DatasetVersion {
                dataset: DatasetRef { lineage: set.lineage, number: head.unwrap_or(0) + 1 },
                manifest: set.manifest,
                created: decision.at,
                by: decision.by.clone(),
                change_set: id,
                classes: set.result.clone(),
                bytes: set.bytes,
                window: set.window,
            };
            set.state = ChangeSetState::Accepted;
            set.accepted_as = Some(version.dataset.number);
            change.decide(&mut set, decision);
            change.add_dataset(project, &version);
            told.set(Some(change.add_event(&announcement(&set, &version))?));
            Ok(set)
        })?;
        Ok((set, told.into_inner()))
    }

    /// Turns a change-set down.
    ///
    /// # Errors
    /// As [`Catalog::accept`].
    pub fn reject(
        &self,
        project: &ProjectName,
        id: ChangeSetId,
        expected_generation: Option<u64>,
        decision: &Decision,
        receipt: Option<&Receipt>,
    ) -> Result<ChangeSet> {
        self.change(receipt, |change| {
            let mut set = change.undecided(project, id, expected_generation)?;
            set.state = ChangeSetState::Rejected;
            change.decide(&mut set, decision);
            Ok(set)
        })
    }
}

impl Change<'_> {
    fn undecided(
        &mut self,
        project: &ProjectName,
        id: ChangeSetId,
        expected_generation: Option<u64>,
    ) -> Result<ChangeSet> {
        let set: ChangeSet = self.read(key(project, id))?.ok_or_else(|| missing(what(id)))?;
        if set.state != ChangeSetState::Proposed {
            return Err(StoreError::Precondition(format!("{} was decided before", what(id))));
        }
        if let Some(expected) = expected_generation {
            check_generation(what(id), set.generation, expected)?;
        }
        Ok(set)
    }

    fn decide(&mut self, set: &mut ChangeSet, decision: &Decision) {
        set.decided = Some(decision.clone());
        set.generation += 1;
        self.put(key(&set.project, set.id), set);
    }
}
