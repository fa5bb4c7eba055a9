//! Runs and what their epochs measure.

use vigie_protocol::access::Principal;
use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::page::Page;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::run::{EpochMetrics, Recipe, Run, RunState};
use vigie_protocol::service::{RunGet, RunList};
use vigie_protocol::{ApiError, JobId, RunId, Time};

use super::super::dice::{mix, share};
use super::State;
use super::page::{cursor, page};
use super::projects::InState;
use super::refusal::missing;

/// Ended runs kept in a project, those of models not counted.
const KEPT: usize = 6;

/// A run, and how its numbers come about.
#[derive(Clone, Debug)]
pub(super) struct RunRow {
    pub(super) run: Run,
    pub(super) seed: u64,
}

impl RunRow {
    pub(super) fn new(id: RunId, job: JobId, dataset: DatasetRef, recipe: Recipe, made: &Made<'_>) -> Self {
        let &Made { manifest, at, by, seed } = made;
        let preprocess = PreprocessSpec::for_network(recipe.architecture, recipe.input);
        let run = Run {
            id,
            job,
            dataset,
            manifest,
            recipe,
            preprocess,
            state: RunState::Running,
            created: at,
            by: by.to_owned(),
            epochs: Vec::new(),
            best_epoch: None,
            resumed: 0,
        };
        Self { run, seed }
    }

    /// What an epoch measures: losses fall, then the valid one rises again; noise on both.
    pub(super) fn epoch(&self, epoch: u32, seconds: f64, at: Time) -> EpochMetrics {
        let last = f64::from(self.run.recipe.epochs.max(1));
        let done = f64::from(epoch) / last;
        let noise = |n: u64| (share(mix(self.seed, u64::from(epoch) * 8 + n)) - 0.5) * 0.06;
        let quality = 0.1 * share(mix(self.seed, 1_000_003));
        let train_loss = 0.18 + 2.6 * (-5.0 * done).exp() + noise(0);
        let overfit = 0.35 * (done - 0.6).max(0.0);
        let valid_loss = 0.42 - quality + 2.4 * (-4.5 * done).exp() + overfit + noise(1);
        let valid_accuracy =
            (0.95 + quality / 4.0 - 0.8 * (-4.0 * done).exp() + noise(2) / 2.0).clamp(0.0, 1.0);
        // Cosine decay to 1 % of the peak, as in training.
        let decay = 0.01 + 0.99 * 0.5 * (1.0 + (std::f64::consts::PI * done).cos());
        let learning_rate = self.run.recipe.learning_rate * decay;
        EpochMetrics { epoch, train_loss, valid_loss, valid_accuracy, learning_rate, seconds, at }
    }

    /// Takes an epoch in and keeps track of the best one. A loss that is no number is never the best.
    pub(super) fn push(&mut self, metrics: EpochMetrics) {
        self.run.epochs.push(metrics);
        let measured = self.run.epochs.iter().filter(|epoch| epoch.valid_loss.is_finite());
        self.run.best_epoch =
            measured.min_by(|a, b| a.valid_loss.total_cmp(&b.valid_loss)).map(|epoch| epoch.epoch);
    }
}

/// How a run came to be.
pub(super) struct Made<'a> {
    pub(super) manifest: vigie_protocol::Hash,
    pub(super) at: Time,
    pub(super) by: &'a str,
    pub(super) seed: u64,
}

impl InState {
    pub(super) fn run(&self, id: RunId) -> Result<&RunRow, ApiError> {
        self.runs.get(&id).ok_or_else(|| missing(format_args!("run {id}")))
    }

    /// Drops the oldest runs that nothing needs any more.
    pub(super) fn prune_runs(&mut self) {
        let idle: Vec<RunId> = self
            .runs
            .values()
            .filter(|row| row.run.state != RunState::Running)
            .map(|row| row.run.id)
            .filter(|id| !self.models.iter().any(|model| model.version.run == *id))
            .collect();
        for id in idle.iter().take(idle.len().saturating_sub(KEPT)) {
            self.runs.remove(id);
        }
    }
}

impl State {
    pub(in super::super) fn run_list(
        &mut self,
        _: &Principal,
        request: RunList,
    ) -> Result<Page<Run>, ApiError> {
        let RunList { project, page: wanted } = request;
        let project = self.project(&project)?;
        let after: Option<RunId> = cursor(&wanted)?;
        let rows = project.runs.values().rev().filter(|row| after.is_none_or(|after| row.run.id < after));
        Ok(page(&wanted, rows.map(|row| (row.run.id, Some(row.run.clone())))))
    }

    pub(in super::super) fn run_get(&mut self, _: &Principal, request: RunGet) -> Result<Run, ApiError> {
        Ok(self.project(&request.project)?.run(request.run)?.run.clone())
    }
}
