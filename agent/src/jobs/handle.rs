//! What the rest of the agent holds: asks the engine for changes, reads jobs with their progress.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};

use tokio::sync::{mpsc, oneshot};
use vigie_core::store::catalog::{Catalog, Receipt};
use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::job::{Job, JobSpec, JobState, Lease};
use vigie_protocol::page::Page;
use vigie_protocol::run::Recipe;
use vigie_protocol::service::{JobList, JobLogPage, TrainSubmitted};
use vigie_protocol::{ApiError, ErrorCode, JobId, ProjectName};

use super::error::internal;
use super::log::JobLogs;
use crate::fault::api_error;

/// A job that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct JobDraft {
    /// In which project; absent for jobs of the whole agent.
    pub project: Option<ProjectName>,
    /// What it is to do.
    pub spec: JobSpec,
    /// Jobs that must succeed first.
    pub after: Vec<JobId>,
    /// Who asks.
    pub by: String,
}

/// A training that is asked for.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainDraft {
    /// In which project.
    pub project: ProjectName,
    /// On what; the version must exist.
    pub dataset: DatasetRef,
    /// How.
    pub recipe: Recipe,
    /// Jobs that must succeed first.
    pub after: Vec<JobId>,
    /// Who asks.
    pub by: String,
}

/// The newest rows of the jobs that have not ended, with progress that is not on disk yet.
pub(super) type Live = Arc<RwLock<HashMap<JobId, Job>>>;

/// What the engine is asked.
pub(super) enum Command {
    Submit(JobDraft, Option<Receipt>, Reply<Job>),
    SubmitTraining(TrainDraft, Option<Receipt>, Reply<TrainSubmitted>),
    Cancel(JobId, Reply<Job>),
    Retry(JobId, Option<Receipt>, Reply<Job>),
}

pub(super) type Reply<T> = oneshot::Sender<Result<T, ApiError>>;

/// The job engine, to those who use it. Cheap to clone.
#[derive(Clone, Debug)]
pub struct JobsHandle {
    pub(super) commands: mpsc::Sender<Command>,
    pub(super) catalog: Catalog,
    pub(super) logs: JobLogs,
    pub(super) live: Live,
}

impl JobsHandle {
    /// Lays a job down and queues it. A receipt that was used before returns the first answer.
    ///
    /// # Errors
    /// `Invalid`, `NotFound` (project, a job of `after`), `Overloaded`, `Unavailable`.
    pub async fn submit(&self, draft: JobDraft, receipt: Option<Receipt>) -> Result<Job, ApiError> {
        self.ask(|reply| Command::Submit(draft, receipt, reply)).await
    }

    /// Lays a training down, its job and its run together, and queues it.
    ///
    /// # Errors
    /// As [`JobsHandle::submit`]; also `NotFound` for the dataset version.
    pub async fn submit_training(
        &self,
        draft: TrainDraft,
        receipt: Option<Receipt>,
    ) -> Result<TrainSubmitted, ApiError> {
        self.ask(|reply| Command::SubmitTraining(draft, receipt, reply)).await
    }

    /// Asks a job to stop. One that is queued is cancelled at once, one that runs stops at its next
    /// good place or is killed after the grace. Asking again changes nothing.
    ///
    /// # Errors
    /// `NotFound`; `Precondition` when it succeeded or failed already.
    pub async fn cancel(&self, job: JobId) -> Result<Job, ApiError> {
        self.ask(|reply| Command::Cancel(job, reply)).await
    }

    /// Queues a failed or cancelled job again. It goes on from what is durable.
    ///
    /// # Errors
    /// `NotFound`; `Precondition` when it is neither failed nor cancelled.
    pub async fn retry(&self, job: JobId, receipt: Option<Receipt>) -> Result<Job, ApiError> {
        self.ask(|reply| Command::Retry(job, receipt, reply)).await
    }

    /// A job with its newest progress.
    ///
    /// # Errors
    /// `NotFound`.
    pub async fn get(&self, job: JobId) -> Result<Job, ApiError> {
        if let Some(job) = self.live().get(&job) {
            return Ok(job.clone());
        }
        self.read(move |catalog| catalog.job(job)).await
    }

    /// A page of jobs, newest first, with their newest progress.
    ///
    /// # Errors
    /// `Invalid` for a cursor of another list.
    pub async fn list(&self, list: JobList) -> Result<Page<Job>, ApiError> {
        let mut page = self
            .read(move |catalog| {
                let JobList { project, state, page } = list;
                catalog.jobs(project.as_ref(), state, page.cursor.as_ref(), page.capped_limit())
            })
            .await?;
        let live = self.live();
        for job in &mut page.items {
            // Never an older row over a newer one: it may have ended since the page was read.
            if let Some(newest) = live.get(&job.id).filter(|newest| newest.generation >= job.generation) {
                job.clone_from(newest);
            }
        }
        Ok(page)
    }

    /// Every lease that is held, by resource.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn leases(&self) -> Result<Vec<Lease>, ApiError> {
        self.read(Catalog::leases).await
    }

    /// A page of a job's log from a byte offset.
    ///
    /// # Errors
    /// When its file cannot be read.
    pub async fn log(&self, job: JobId, offset: u64) -> Result<JobLogPage, ApiError> {
        let logs = self.logs.clone();
        let page = tokio::task::spawn_blocking(move || logs.read(job, offset)).await.map_err(internal)?;
        page.map_err(|error| {
            ApiError::new(ErrorCode::Storage, format!("reading the log of job {job}: {error}"))
        })
    }

    /// How many jobs run and how many wait.
    pub fn counts(&self) -> JobCounts {
        let live = self.live();
        let running = live.values().filter(|job| job.state != JobState::Queued).count();
        JobCounts { running, waiting: live.len() - running }
    }

    fn live(&self) -> std::sync::RwLockReadGuard<'_, HashMap<JobId, Job>> {
        self.live.read().unwrap_or_else(PoisonError::into_inner)
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, ApiError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| stopping())?;
        answer.await.map_err(|_| stopping())?
    }

    async fn read<T: Send + 'static>(
        &self,
        read: impl FnOnce(&Catalog) -> vigie_core::store::Result<T> + Send + 'static,
    ) -> Result<T, ApiError> {
        let catalog = self.catalog.clone();
        tokio::task::spawn_blocking(move || read(&catalog)).await.map_err(internal)?.map_err(api_error)
    }
}

/// How many jobs there are that have not ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct JobCounts {
    /// At work, or stopping.
    pub running: usize,
    /// Queued.
    pub waiting: usize,
}

pub(super) fn stopping() -> ApiError {
    ApiError::new(ErrorCode::Unavailable, "the agent is stopping")
        .with_hint("try again when it is up")
        .retry_after_ms(2_000)
}
