//! From feedback to `production`: what a collection looks at, and what became of it.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};
use vigie_protocol::dataset::{ChangeSet, ChangeSetState, Lineage};
use vigie_protocol::feedback::{Feedback, FeedbackState};
use vigie_protocol::{ChangeSetId, PredictionId, ProjectName};

use super::Catalog;
use super::feedback::open;
use crate::store::{Order, Result, StoreError};

/// Rows changed in one commit.
const AT_ONCE: usize = 500;

/// Why an image is offered to a collection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Source {
    /// People agree on its class.
    Feedback {
        /// The prediction.
        prediction: PredictionId,
        /// The row's generation when it was looked at.
        generation: u64,
    },
    /// The model was sure of it.
    Confident {
        /// The prediction.
        prediction: PredictionId,
    },
}

/// What became of an image that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fate {
    /// It is in the proposal.
    Taken,
    /// The line has it already, under the same class.
    AlreadyThere,
    /// The line has it under another class, and a collection only adds.
    Contradicts,
    /// Its picture is not kept any more, or cannot be decoded.
    Gone,
}

impl Catalog {
    /// Up to `limit` rows of feedback that a collection has to look at, oldest first, past one of
    /// them.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn open_feedback(
        &self,
        project: &ProjectName,
        after: Option<PredictionId>,
        limit: usize,
    ) -> Result<Vec<Feedback>> {
        let after = after.map(|id| open(project).uuid(id.uuid()).bytes());
        let ids = self.facts().scan(&open(project).bytes(), after.as_deref(), Order::Ascending, limit)?;
        let mut rows = Vec::with_capacity(ids.len());
        for (_, fact) in ids {
            let id: PredictionId = crate::store::codec::decode("open feedback", &fact.value)?;
            rows.extend(self.feedback(project, id)?);
        }
        Ok(rows)
    }

    /// Settles feedback whose change-set was decided. What was rejected is not offered again, unless
    /// the change-set could not have been accepted any more: then nobody decided about its images.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn settle_taken(&self, project: &ProjectName) -> Result<()> {
        let mut sets: HashMap<ChangeSetId, Option<FeedbackState>> = HashMap::new();
        let mut after = None;
        loop {
            let rows = self.open_feedback(project, after, AT_ONCE)?;
            let Some(last) = rows.last() else { return Ok(()) };
            after = Some(last.prediction);
            let mut decided = Vec::new();
            for row in rows {
                let FeedbackState::Taken { change_set } = row.state else { continue };
                let state = match sets.get(&change_set) {
                    Some(known) => *known,
                    None => *sets.entry(change_set).or_insert(self.came_to(project, change_set)?),
                };
                if let Some(state) = state {
                    decided.push((row.prediction, row.generation, state));
                }
            }
            self.move_feedback(project, &decided)?;
        }
    }

    /// Notes what became of what a collection was offered: `into` is the change-set that took it, and
    /// whether that was accepted at once.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn note_fates(
        &self,
        project: &ProjectName,
        fates: &[(Source, Fate)],
        into: Option<(ChangeSetId, bool)>,
    ) -> Result<()> {
        let mut moved = Vec::new();
        let mut struck = Vec::new();
        for (source, fate) in fates {
            let state = match (fate, into) {
                (Fate::Taken, Some((change_set, false))) => FeedbackState::Taken { change_set },
                (Fate::Taken, Some((_, true)) | None) | (Fate::AlreadyThere, _) => FeedbackState::Settled,
                (Fate::Gone, _) => FeedbackState::NoPicture,
                (Fate::Contradicts, _) => continue,
            };
            match source {
                Source::Feedback { prediction, generation } => moved.push((*prediction, *generation, state)),
                Source::Confident { prediction } => struck.push(*prediction),
            }
        }
        self.move_feedback(project, &moved)?;
        for some in struck.chunks(AT_ONCE) {
            self.change(None, |change| {
                some.iter().for_each(|id| change.strike_confident(project, *id));
                Ok(())
            })?;
        }
        Ok(())
    }

    /// What the decision about a change-set makes of its feedback; nothing while it is open.
    fn came_to(&self, project: &ProjectName, id: ChangeSetId) -> Result<Option<FeedbackState>> {
        let set = match self.change_set(project, id) {
            Ok(set) => set,
            Err(StoreError::NotFound { .. }) => return Ok(Some(FeedbackState::Open)),
            Err(error) => return Err(error),
        };
        Ok(match set.state {
            ChangeSetState::Accepted => Some(FeedbackState::Settled),
            ChangeSetState::Rejected if self.was_stale(project, &set)? => Some(FeedbackState::Open),
            ChangeSetState::Rejected => Some(FeedbackState::Settled),
            ChangeSetState::Proposed | ChangeSetState::Unknown => None,
        })
    }

    /// Whether its line had moved on before a change-set was decided.
    fn was_stale(&self, project: &ProjectName, set: &ChangeSet) -> Result<bool> {
        let (next, decided) = (set.base.unwrap_or(0) + 1, set.decided.as_ref().map(|decision| decision.at));
        let next = vigie_protocol::dataset::DatasetRef { lineage: Lineage::Production, number: next };
        match self.dataset(project, next) {
            Ok(version) => Ok(decided.is_some_and(|decided| version.created <= decided)),
            Err(StoreError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Gives rows another state, unless somebody voted since they were looked at.
    fn move_feedback(
        &self,
        project: &ProjectName,
        moved: &[(PredictionId, u64, FeedbackState)],
    ) -> Result<()> {
        for some in moved.chunks(AT_ONCE) {
            self.change(None, |change| {
                for (id, generation, state) in some {
                    if let Some(mut row) = change.read_feedback(project, *id)?
                        && row.generation == *generation
                        && row.state != *state
                    {
                        row.state = *state;
                        row.generation += 1;
                        change.put_feedback(project, &row);
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }
}
