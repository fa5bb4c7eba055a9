//! What is set aside when predictions are logged: the audit sample, and images that a project keeps
//! for their confidence.
//!
//! Whether a prediction is drawn is decided by its identity alone: uniformly, the same on every
//! machine, and again after a crash.

use std::collections::HashMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::prediction::{Prediction, PredictionFilter};
use vigie_protocol::project::ProjectSettings;
use vigie_protocol::{Hash, ModelNumber, PredictionId, ProjectName, Time};

use super::change::Change;
use super::{Catalog, Key};
use crate::store::{Order, PredictionLog, Result, StoreError};

/// How far back a start looks for predictions that were logged and not drawn from.
const CATCH_UP: Duration = Duration::from_secs(24 * 3600);
/// The log may be so far behind the newest draw: records wait while a disk is full.
const OVERLAP: Duration = Duration::from_secs(600);
const PAGE: usize = 1_000;

/// Whether a prediction is part of an audit sample of `percent`.
pub fn is_drawn(id: PredictionId, percent: f32) -> bool {
    let share = f64::from(percent) / 100.0;
    let digest = Hash::of(&[b"vigie audit sample v1".as_slice(), id.uuid().as_bytes()].concat());
    let (head, _) = digest.as_bytes().split_at(8);
    // The first eight bytes as a number from 0 to just below 1; a share that is no number draws none.
    let place = head.iter().rev().fold(0.0, |place, &byte| (place + f64::from(byte)) / 256.0);
    place < share
}

/// A prediction of the audit sample.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Drawn {
    prediction: PredictionId,
    at: Time,
}

/// An image that nobody looked at and that the model was sure of.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Confident {
    /// The prediction.
    pub prediction: PredictionId,
    /// The model version that made it.
    pub model: ModelNumber,
    /// Its image.
    pub image: Hash,
    /// The class that was predicted.
    pub class: String,
    /// How sure it was, 0–1.
    pub confidence: f32,
    /// What the caller called the image.
    pub name: Option<String>,
}

fn sample(project: &ProjectName) -> Key {
    Key::of("audit-sample").word(project.as_str())
}

pub(super) fn sample_key(project: &ProjectName, id: PredictionId) -> Vec<u8> {
    sample(project).uuid(id.uuid()).bytes()
}

/// Those of the sample that nobody labelled yet and whose picture is kept.
fn due(project: &ProjectName) -> Key {
    Key::of("audit-sample-due").word(project.as_str())
}

fn confident(project: &ProjectName) -> Key {
    Key::of("confident").word(project.as_str())
}

impl Catalog {
    /// Draws from predictions that were logged. Drawing twice from the same ones changes nothing.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn set_aside(&self, logged: &[(ProjectName, Prediction)]) -> Result<()> {
        let mut known: HashMap<&ProjectName, Option<ProjectSettings>> = HashMap::new();
        let mut drawn = Vec::new();
        let mut sure = Vec::new();
        for (project, prediction) in logged {
            if !known.contains_key(project) {
                let settings = match self.project(project) {
                    Ok(project) => Some(project.settings),
                    Err(StoreError::NotFound { .. }) => None,
                    Err(error) => return Err(error),
                };
                known.insert(project, settings);
            }
            let Some(Some(settings)) = known.get(project) else { continue };
            if is_drawn(prediction.id, settings.audit_percent) {
                drawn.push((project, prediction));
            }
            let limit = settings.keep_confident;
            if prediction.picture_kept && limit.is_some_and(|limit| prediction.confidence() >= limit) {
                sure.push((project, prediction));
            }
        }
        if drawn.is_empty() && sure.is_empty() {
            return Ok(());
        }
        self.change(None, |change| {
            for (project, prediction) in &drawn {
                let key = sample_key(project, prediction.id);
                if change.read::<Drawn>(key.clone())?.is_none() {
                    change.put(key, &Drawn { prediction: prediction.id, at: prediction.at });
                    change.audit_due(project, prediction.id, prediction.picture_kept);
                }
            }
            for (project, prediction) in &sure {
                let key = confident(project).uuid(prediction.id.uuid()).bytes();
                change.put(key, &Confident::of(prediction));
            }
            Ok(())
        })
    }

    /// Draws from what was logged before a crash and not drawn from: at the start.
    ///
    /// # Errors
    /// Those of the facts and of the log.
    pub fn catch_up_draws(&self, log: &dyn PredictionLog, now: Time) -> Result<()> {
        for project in self.projects()? {
            if project.settings.audit_percent <= 0.0 && project.settings.keep_confident.is_none() {
                continue;
            }
            let newest = self.facts().scan(&sample(&project.name).bytes(), None, Order::Descending, 1)?.pop();
            let newest: Option<Drawn> = newest
                .map(|(_, fact)| crate::store::codec::decode("a drawn prediction", &fact.value))
                .transpose()?;
            let since = newest.map_or(Time::from_micros(i64::MIN), |drawn| drawn.at.minus(OVERLAP));
            let since = Some(since.max(now.minus(CATCH_UP)));
            let filter = PredictionFilter { since, ..PredictionFilter::default() };
            let mut cursor: Option<PageCursor> = None;
            loop {
                let page = log.page(&project.name, &filter, cursor.as_ref(), PAGE, Duration::MAX)?;
                let group: Vec<_> =
                    page.items.into_iter().map(|prediction| (project.name.clone(), prediction)).collect();
                self.set_aside(&group)?;
                cursor = page.next;
                if cursor.is_none() {
                    break;
                }
            }
        }
        Ok(())
    }

    /// Predictions of the audit sample that nobody labelled yet, newest first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub fn audit_sample_due(
        &self,
        project: &ProjectName,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<PredictionId>> {
        self.page_down(due(project), cursor, limit, |_| true)
    }

    /// How many those are, counted up to `most`.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn count_audit_due(&self, project: &ProjectName, most: usize) -> Result<u64> {
        Ok(self.facts().scan(&due(project).bytes(), None, Order::Ascending, most)?.len() as u64)
    }

    /// Ids due that were never drawn; for checks.
    ///
    /// # Errors
    /// Those of the facts.
    pub(in crate::store) fn audit_due_undrawn(&self, project: &ProjectName) -> Result<Vec<PredictionId>> {
        let ids: Vec<PredictionId> = self.all(due(project))?;
        let mut strange = Vec::new();
        for id in ids {
            if self.row::<Drawn>(sample_key(project, id))?.is_none() {
                strange.push(id);
            }
        }
        Ok(strange)
    }

    /// Up to `limit` images kept for their confidence, oldest first, past one of them.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn confident(
        &self,
        project: &ProjectName,
        after: Option<PredictionId>,
        limit: usize,
    ) -> Result<Vec<Confident>> {
        let after = after.map(|id| confident(project).uuid(id.uuid()).bytes());
        let rows =
            self.facts().scan(&confident(project).bytes(), after.as_deref(), Order::Ascending, limit)?;
        rows.iter().map(|(_, fact)| crate::store::codec::decode("a kept image", &fact.value)).collect()
    }
}

impl Confident {
    fn of(prediction: &Prediction) -> Self {
        Self {
            prediction: prediction.id,
            model: prediction.model,
            image: prediction.image,
            class: prediction.class().to_owned(),
            confidence: prediction.confidence(),
            name: prediction.name.clone(),
        }
    }
}

impl Change<'_> {
    /// Lists a drawn prediction as one that waits for its label, or no longer.
    pub(super) fn audit_due(&mut self, project: &ProjectName, id: PredictionId, waits: bool) {
        let key = due(project).uuid(id.uuid()).bytes();
        if waits { self.put(key, &id) } else { self.delete(key) }
    }

    /// Forgets an image that was kept for its confidence.
    pub(super) fn strike_confident(&mut self, project: &ProjectName, id: PredictionId) {
        self.delete(confident(project).uuid(id.uuid()).bytes());
    }

    pub(super) fn erase_draw(&mut self, project: &ProjectName, id: PredictionId) {
        for list in [sample(project), due(project), confident(project)] {
            self.delete(list.uuid(id.uuid()).bytes());
        }
    }
}
