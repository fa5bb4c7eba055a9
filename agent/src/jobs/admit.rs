//! What people ask of the engine: new jobs, cancelling, trying again.

use std::collections::BTreeSet;

use tokio::time::Instant;
use vigie_core::store::StoreError;
use vigie_core::store::catalog::Receipt;
use vigie_core::train::recipe;
use vigie_protocol::job::{FailureCause, Job, JobFailure, JobSpec, JobState, Progress};
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::run::{Run, RunState};
use vigie_protocol::service::TrainSubmitted;
use vigie_protocol::{ApiError, ErrorCode, JobId, RunId, Time};

use super::engine::{Active, JobEngine};
use super::handle::{JobDraft, TrainDraft, stopping};
use super::retry::Failures;
use crate::fault::api_error;

/// The most jobs that one job may wait for.
const MAX_AFTER: usize = 64;

impl JobEngine {
    pub(super) async fn submit(
        &mut self,
        draft: JobDraft,
        receipt: Option<Receipt>,
    ) -> Result<Job, ApiError> {
        let JobDraft { project, spec, after, by } = draft;
        match &spec {
            JobSpec::Train { .. } => {
                return Err(ApiError::invalid(
                    "a training is asked for with its recipe, which makes its run too",
                ));
            }
            JobSpec::Unknown => {
                return Err(ApiError::new(
                    ErrorCode::Unsupported,
                    "this agent does not know that kind of job",
                ));
            }
            JobSpec::Gc { .. } => {}
            _ if project.is_none() => return Err(ApiError::invalid("this kind of job needs a project")),
            _ => {}
        }
        let (pending, doomed) = self.admit(&after).await?;
        let job = new_job(JobId::new(), project, spec, after, by);
        let row = job.clone();
        let laid =
            self.store(move |catalog| catalog.insert_job(&row, receipt.as_ref())).await.map_err(api_error)?;
        if laid.id == job.id {
            self.take_in(job, pending, doomed);
        }
        Ok(laid)
    }

    pub(super) async fn submit_training(
        &mut self,
        draft: TrainDraft,
        receipt: Option<Receipt>,
    ) -> Result<TrainSubmitted, ApiError> {
        let TrainDraft { project, dataset, recipe, after, by } = draft;
        recipe::validate(&recipe).map_err(|error| ApiError::invalid(error.to_string()))?;
        let (pending, doomed) = self.admit(&after).await?;
        let (job, run) = (JobId::new(), RunId::new());
        let spec = JobSpec::Train { dataset, recipe: recipe.clone(), run };
        let job = new_job(job, Some(project.clone()), spec, after, by.clone());
        let row = job.clone();
        let laid = self
            .store(move |catalog| {
                let run = Run {
                    id: run,
                    job: row.id,
                    dataset,
                    manifest: catalog.dataset(&project, dataset)?.manifest,
                    preprocess: PreprocessSpec::for_network(recipe.architecture, recipe.input),
                    recipe,
                    state: RunState::Running,
                    created: row.created,
                    by,
                    epochs: Vec::new(),
                    best_epoch: None,
                    resumed: 0,
                };
                catalog.insert_training(&project, &row, &run, receipt.as_ref())
            })
            .await
            .map_err(api_error)?;
        if laid.0.id == job.id {
            self.take_in(job, pending, doomed);
        }
        Ok(laid.into())
    }

    pub(super) async fn cancel(&mut self, id: JobId) -> Result<Job, ApiError> {
        let kill_at = Instant::now() + self.options.cancel_grace;
        let Some(active) = self.jobs.get_mut(&id) else {
            let job = self.store(move |catalog| catalog.job(id)).await.map_err(api_error)?;
            return match job.state {
                JobState::Cancelled => Ok(job),
                state => Err(ApiError::new(
                    ErrorCode::Precondition,
                    format!("job {id} cannot be cancelled: it is {state}"),
                )),
            };
        };
        match &mut active.attempt {
            Some(_) if active.job.state == JobState::Cancelling => {}
            Some(attempt) => {
                attempt.stop(kill_at);
                self.change_state(id, JobState::Cancelling, "asked to stop".to_owned()).await;
            }
            None => self.cancelled(id, "cancelled before it began").await,
        }
        self.row(id).await
    }

    /// Ends a job as cancelled, and its run with it.
    pub(super) async fn cancelled(&mut self, id: JobId, text: &str) {
        self.close_run(id, RunState::Cancelled).await;
        self.change_state(id, JobState::Cancelled, text.to_owned()).await;
    }

    pub(super) async fn retry(&mut self, id: JobId, receipt: Option<Receipt>) -> Result<Job, ApiError> {
        if let Some(receipt) = receipt.clone() {
            let first =
                self.store(move |catalog| catalog.receipt::<Job>(&receipt)).await.map_err(api_error)?;
            if let Some(first) = first {
                return Ok(first);
            }
        }
        let mut job = self.row(id).await?;
        if !matches!(job.state, JobState::Failed | JobState::Cancelled) {
            return Err(ApiError::new(
                ErrorCode::Precondition,
                format!("job {id} cannot be tried again: it is {}", job.state),
            ));
        }
        let (pending, doomed) = self.admit(&job.after).await?;
        job.state = JobState::Queued;
        job.attempts = 0;
        job.finished = None;
        job.generation += 1;
        let row = job.clone();
        self.store(move |catalog| catalog.change_job(&row, receipt.as_ref())).await.map_err(api_error)?;
        self.take_in(job, pending, doomed);
        self.close_run(id, RunState::Running).await;
        self.change_state(id, JobState::Queued, "queued again on request".to_owned()).await;
        self.row(id).await
    }

    /// Whether another job that comes after these may be taken in; which of them are still to
    /// succeed, and whether one of them never will.
    async fn admit(&self, after: &[JobId]) -> Result<(BTreeSet<JobId>, Option<JobFailure>), ApiError> {
        if self.draining {
            return Err(stopping());
        }
        if self.jobs.len() >= self.options.max_unfinished {
            return Err(ApiError::new(
                ErrorCode::Overloaded,
                format!("{} jobs are waiting already", self.jobs.len()),
            )
            .with_hint("cancel some, or wait until some are done")
            .retry_after_ms(60_000));
        }
        if after.len() > MAX_AFTER {
            return Err(ApiError::invalid(format!("a job may wait for at most {MAX_AFTER} others")));
        }
        let (mut pending, mut doomed) = (BTreeSet::new(), None);
        for &other in after {
            let state = match self.jobs.get(&other) {
                Some(active) => active.job.state,
                None => self.store(move |catalog| catalog.job(other)).await.map_err(api_error)?.state,
            };
            match state {
                JobState::Succeeded => {}
                JobState::Failed | JobState::Cancelled => doomed = Some(needed(other, state)),
                JobState::Queued | JobState::Running | JobState::Cancelling | JobState::Unknown => {
                    pending.insert(other);
                }
            }
        }
        Ok((pending, doomed))
    }

    fn take_in(&mut self, job: Job, pending: BTreeSet<JobId>, doomed: Option<JobFailure>) {
        let id = job.id;
        // One that is tried again may not have given back all of it.
        let held = self.jobs.remove(&id).map(|before| before.held).unwrap_or_default();
        let active = Active { failures: Failures::default(), doomed, held, ..Active::new(job, pending) };
        self.jobs.insert(id, active);
        self.publish(id);
    }

    /// A job's newest row.
    async fn row(&self, id: JobId) -> Result<Job, ApiError> {
        match self.jobs.get(&id) {
            Some(active) => Ok(active.job.clone()),
            None => self.store(move |catalog| catalog.job(id)).await.map_err(api_error),
        }
    }

    /// Tells those who wait for a job that it ended.
    pub(super) fn settle_dependants(&mut self, id: JobId, state: JobState) {
        for active in self.jobs.values_mut().filter(|active| active.job.after.contains(&id)) {
            if state == JobState::Succeeded {
                active.pending.remove(&id);
            } else if active.pending.contains(&id) {
                active.doomed = Some(needed(id, state));
            }
        }
    }

    /// Gives the run of a training the state that its job has come to.
    pub(super) async fn close_run(&mut self, id: JobId, state: RunState) {
        let Some(Active {
            job: Job { project: Some(project), spec: JobSpec::Train { run, .. }, .. }, ..
        }) = self.jobs.get(&id)
        else {
            return;
        };
        let (project, run) = (project.clone(), *run);
        let saved = self
            .store(move |catalog| {
                let mut run = catalog.run(&project, run)?;
                if run.state != state {
                    run.state = state;
                    catalog.save_run(&project, &run)?;
                }
                Ok::<_, StoreError>(())
            })
            .await;
        if let Err(error) = saved {
            tracing::error!(job = %id, %error, "the run's state cannot be saved; the next start mends it");
        }
    }
}

/// The failure of a job that needed another.
pub(super) fn needed(other: JobId, state: JobState) -> JobFailure {
    JobFailure {
        cause: FailureCause::Dependency,
        message: format!("job {other}, which it needs, was {state}").replace("was failed", "failed"),
        hint: Some("retry that job first, then this one".to_owned()),
    }
}

fn new_job(
    id: JobId,
    project: Option<vigie_protocol::ProjectName>,
    spec: JobSpec,
    after: Vec<JobId>,
    by: String,
) -> Job {
    Job {
        id,
        project,
        spec,
        after,
        state: JobState::Queued,
        waits_for: Vec::new(),
        progress: Progress::default(),
        attempts: 0,
        outcome: None,
        failure: None,
        created: Time::now(),
        started: None,
        finished: None,
        by,
        worker_pid: None,
        generation: 1,
    }
}
