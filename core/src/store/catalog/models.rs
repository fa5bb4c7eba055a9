//! Model versions. They are only ever added.

use std::cell::Cell;

use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::event::{Event, Severity, Subject};
use vigie_protocol::model::{Architecture, ModelVersion, Proportion};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::{Hash, ModelNumber, ProjectName, RunId, Time};

use super::change::Change;
use super::{Catalog, EventDraft, Key};
use crate::store::Result;

/// A model version before it has its number.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelDraft {
    /// The passport's blob.
    pub passport: Hash,
    /// The weights' blob.
    pub weights: Hash,
    /// The network.
    pub architecture: Architecture,
    /// Number of classes.
    pub classes: u32,
    /// What it learnt from.
    pub dataset: DatasetRef,
    /// The training it came from.
    pub run: RunId,
    /// Accuracy on the held-out test split.
    pub accuracy: Proportion,
    /// When.
    pub created: Time,
    /// By whom.
    pub by: String,
}

fn in_project(project: &ProjectName) -> Key {
    Key::of("model").word(project.as_str())
}

fn key(project: &ProjectName, number: ModelNumber) -> Vec<u8> {
    in_project(project).u32(number.0).bytes()
}

/// The number that a run's model got.
fn by_run(project: &ProjectName, run: RunId) -> Vec<u8> {
    Key::of("model-by-run").word(project.as_str()).uuid(run.uuid()).bytes()
}

fn announcement(project: &ProjectName, model: &ModelVersion) -> EventDraft {
    let ModelVersion { number, accuracy, created, .. } = model;
    EventDraft {
        at: *created,
        project: Some(project.clone()),
        severity: Severity::Info,
        subject: Subject::Model { number: *number },
        text: format!("model {number}: test accuracy {accuracy}"),
    }
}

impl Catalog {
    /// Registers a model version under the project's next number, with the event that tells of it. A run
    /// that was registered before gives the version it got then, and no event: an evaluation that ran
    /// twice makes no twin.
    ///
    /// # Errors
    /// [`StoreError::NotFound`](crate::store::StoreError::NotFound) without its project.
    pub fn register_model(
        &self,
        project: &ProjectName,
        draft: &ModelDraft,
    ) -> Result<(ModelVersion, Option<Event>)> {
        let told = Cell::new(None);
        let model = self.change(None, |change| {
            change.project(project)?;
            if let Some(number) = change.read::<ModelNumber>(by_run(project, draft.run))?
                && let Some(model) = change.model(project, number)?
            {
                return Ok(model);
            }
            let last: Option<ModelVersion> = change.last(in_project(project))?;
            let model = draft.numbered(ModelNumber(last.map_or(0, |last| last.number.0) + 1));
            change.add(key(project, model.number), &model);
            change.put(by_run(project, draft.run), &model.number);
            told.set(Some(change.add_event(&announcement(project, &model))?));
            Ok(model)
        })?;
        Ok((model, told.into_inner()))
    }

    /// One model version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`](crate::store::StoreError::NotFound).
    pub fn model(&self, project: &ProjectName, number: ModelNumber) -> Result<ModelVersion> {
        self.need(key(project, number), format_args!("model {number}"))
    }

    /// A project's model versions, newest first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`](crate::store::StoreError::BadCursor).
    pub fn models(
        &self,
        project: &ProjectName,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<ModelVersion>> {
        self.page_down(in_project(project), cursor, limit, |_| true)
    }
}

impl Change<'_> {
    pub(super) fn model(
        &mut self,
        project: &ProjectName,
        number: ModelNumber,
    ) -> Result<Option<ModelVersion>> {
        self.read(key(project, number))
    }
}

impl ModelDraft {
    fn numbered(&self, number: ModelNumber) -> ModelVersion {
        let Self { passport, weights, architecture, classes, dataset, run, accuracy, created, by } = self;
        ModelVersion {
            number,
            passport: *passport,
            weights: *weights,
            architecture: *architecture,
            classes: *classes,
            dataset: *dataset,
            run: *run,
            accuracy: *accuracy,
            created: *created,
            by: by.clone(),
        }
    }
}
