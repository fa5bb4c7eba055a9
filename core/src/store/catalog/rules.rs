//! How far the rules of each project have come.

use serde::{Deserialize, Serialize};
use vigie_protocol::classes::UnknownLabels;
use vigie_protocol::event::Event;
use vigie_protocol::rules::{ClassRule, UpdatePolicy};
use vigie_protocol::{JobId, ProjectName};

use super::{Catalog, EventDraft, Key};
use crate::store::{Result, StoreError};

fn key(project: &ProjectName) -> Vec<u8> {
    Key::of("rules").word(project.as_str()).bytes()
}

/// How far the rules of a project have come.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct RulesProgress {
    /// Their look at source.
    pub source: Option<Looked>,
    /// Their look at production.
    pub production: Option<Looked>,
    /// What they did with reference.
    pub reference: Option<Followed>,
}

/// A look of the rules at a version: everything that their word depends on, and what came of it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Looked {
    /// The version of the line.
    pub number: u32,
    /// The version of reference that it was held against.
    #[serde(default)]
    pub against: Option<u32>,
    /// The version of the other feeding line, which counts for the class rule.
    #[serde(default)]
    pub beside: Option<u32>,
    /// The class rule.
    pub class_rule: ClassRule,
    /// New images that are worth an update, in percent of reference.
    pub percent: f64,
    /// The policy.
    pub policy: UpdatePolicy,
    /// The generation of the class list, by which images enter or do not.
    #[serde(default)]
    pub class_list: u64,
    /// What becomes of images whose label it lacks.
    #[serde(default)]
    pub unknown_labels: UnknownLabels,
    /// The job that was submitted.
    #[serde(default)]
    pub job: Option<JobId>,
}

impl Looked {
    /// Whether another look would come to the same.
    pub fn is_same(&self, other: &Self) -> bool {
        *self == Self { job: self.job, ..other.clone() }
    }
}

/// What the rules did with a version of reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Followed {
    /// The version.
    pub number: u32,
    /// The job that preprocesses it; absent when nothing was to be done.
    #[serde(default)]
    pub job: Option<JobId>,
    /// Whether the job's end was told.
    pub told: bool,
}

impl Catalog {
    /// How far the rules of a project have come.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn rules_progress(&self, project: &ProjectName) -> Result<RulesProgress> {
        Ok(self.row(key(project))?.unwrap_or_default())
    }

    /// Moves the rules of a project on, and records what happened, in one commit.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when they are not where they were seen any more,
    /// [`StoreError::NotFound`] without the project.
    pub fn move_rules(
        &self,
        project: &ProjectName,
        seen: &RulesProgress,
        to: &RulesProgress,
        event: Option<&EventDraft>,
    ) -> Result<Option<Event>> {
        self.change(None, |change| {
            change.project(project)?;
            let found: RulesProgress = change.read(key(project))?.unwrap_or_default();
            if found != *seen {
                return Err(StoreError::Conflict { what: format!("the rules of {project}") });
            }
            change.put(key(project), to);
            event.map(|event| change.add_event(event)).transpose()
        })
    }
}
