//! Jobs: asked for, listed, stopped, tried again.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use vigie_core::train::recipe;
use vigie_protocol::access::{Principal, Role};
use vigie_protocol::job::{ImportSource, Job, JobSpec, JobState, Lease, Progress};
use vigie_protocol::page::Page;
use vigie_protocol::run::RunState;
use vigie_protocol::service::{
    Empty, JobChange, JobGet, JobList, JobLog, JobLogPage, JobSubmit, TrainSubmit, TrainSubmitted,
};
use vigie_protocol::{ApiError, ErrorCode, JobId, ProjectName, RunId, Time};

use super::State;
use super::once::Change;
use super::page::{cursor, page};
use super::refusal::{missing, precondition};
use super::runs::{Made, RunRow};
use super::work::Work;

/// Ended jobs that are kept. The real agent keeps all; a fleet must not grow under a test that measures
/// memory.
const ENDED_KEPT: usize = 60;

/// Unfinished jobs at one time.
const UNFINISHED: usize = 200;

/// Lines of a log on one page.
const LOG_PAGE: usize = 100;

/// All jobs of an agent.
#[derive(Debug, Default)]
pub(super) struct Jobs {
    rows: BTreeMap<JobId, JobRow>,
    /// Those that have not ended.
    unfinished: BTreeSet<JobId>,
    leases: u64,
}

/// A job and the work behind it.
#[derive(Clone, Debug)]
pub(super) struct JobRow {
    pub(super) job: Job,
    pub(super) work: Work,
}

impl Jobs {
    pub(super) fn get(&self, id: JobId) -> Option<&Job> {
        self.rows.get(&id).map(|row| &row.job)
    }

    /// All of them, oldest first.
    pub(super) fn all(&self) -> impl Iterator<Item = &Job> {
        self.rows.values().map(|row| &row.job)
    }

    pub(super) fn row(&self, id: JobId) -> Option<&JobRow> {
        self.rows.get(&id)
    }

    pub(super) fn row_mut(&mut self, id: JobId) -> Option<&mut JobRow> {
        self.rows.get_mut(&id)
    }

    /// How many have not ended.
    pub(super) fn unfinished(&self) -> usize {
        self.unfinished.len()
    }

    /// Puts a job in as it is.
    pub(super) fn insert(&mut self, row: JobRow) {
        if !row.job.state.is_final() {
            self.unfinished.insert(row.job.id);
        }
        self.rows.insert(row.job.id, row);
    }

    /// Those that have not ended and are in a wanted state, oldest first.
    pub(super) fn in_state(&self, wanted: impl Fn(JobState) -> bool) -> Vec<JobId> {
        self.unfinished
            .iter()
            .copied()
            .filter(|id| self.get(*id).is_some_and(|job| wanted(job.state)))
            .collect()
    }

    /// Who has which resource.
    pub(super) fn held(&self) -> HashMap<String, JobId> {
        let at_work = self.unfinished.iter().filter_map(|id| self.rows.get(id));
        let at_work = at_work.filter(|row| matches!(row.job.state, JobState::Running | JobState::Cancelling));
        at_work
            .flat_map(|row| row.work.resources.iter().map(move |resource| (resource.clone(), row.job.id)))
            .collect()
    }

    /// The number of the next claim.
    pub(super) fn next_token(&mut self) -> u64 {
        self.leases += 1;
        self.leases
    }

    /// A job has ended; the oldest such go.
    pub(super) fn end(&mut self, id: JobId) {
        self.unfinished.remove(&id);
        let ended = self.rows.len() - self.unfinished.len();
        let oldest: Vec<JobId> = self
            .rows
            .keys()
            .filter(|id| !self.unfinished.contains(id))
            .take(ended.saturating_sub(ENDED_KEPT))
            .copied()
            .collect();
        for id in oldest {
            self.rows.remove(&id);
        }
    }
}

impl State {
    pub(in super::super) fn job_submit(
        &mut self,
        who: &Principal,
        request: JobSubmit,
    ) -> Result<Job, ApiError> {
        let JobSubmit { key, ref project, ref spec, ref after } = request;
        match (spec, project) {
            (JobSpec::Train { .. }, _) => {
                return Err(ApiError::invalid("a training is asked for with train_submit"));
            }
            (JobSpec::Unknown | JobSpec::Import { source: ImportSource::Unknown, .. }, _) => {
                let text = "this agent does not know that kind of job";
                return Err(ApiError::new(ErrorCode::Unsupported, text).with_hint("update the agent"));
            }
            (JobSpec::Gc { dry_run: false }, _) if who.role < Role::Admin => {
                let text = "removing blobs needs the role admin";
                return Err(ApiError::new(ErrorCode::Forbidden, text).with_hint("a dry run does not"));
            }
            (JobSpec::Gc { .. }, _) => {}
            (_, None) => return Err(ApiError::invalid("this kind of job needs a project")),
            (_, Some(name)) => drop(self.project(name)?),
        }
        let target =
            project.as_ref().map_or_else(|| spec.kind().to_owned(), |p| format!("{p} {}", spec.kind()));
        let change = Change { key, method: "job_submit", request: &request, target, reason: None, who };
        self.once(&change, |state| state.submit(project.clone(), spec.clone(), after, &who.name))
    }

    pub(in super::super) fn train_submit(
        &mut self,
        who: &Principal,
        request: TrainSubmit,
    ) -> Result<TrainSubmitted, ApiError> {
        let TrainSubmit { key, ref project, dataset, ref recipe, ref after } = request;
        self.project(project)?.dataset(dataset)?;
        recipe::validate(recipe).map_err(|error| ApiError::invalid(error.to_string()))?;
        let target = format!("{project} on {dataset}");
        let change = Change { key, method: "train_submit", request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let run: RunId = state.fresh_id(state.now);
            let spec = JobSpec::Train { dataset, recipe: recipe.clone(), run };
            let job = state.submit(Some(project.clone()), spec, after, &who.name)?;
            Ok(TrainSubmitted { job, run })
        })
    }

    /// Queues a job; a training gets its run.
    ///
    /// # Errors
    /// `NotFound` for what it comes after, `Overloaded` when too many wait.
    pub(super) fn submit(
        &mut self,
        project: Option<ProjectName>,
        spec: JobSpec,
        after: &[JobId],
        by: &str,
    ) -> Result<Job, ApiError> {
        if self.jobs.unfinished() >= UNFINISHED {
            let text = format!("{} jobs are waiting already", self.jobs.unfinished());
            return Err(ApiError::new(ErrorCode::Overloaded, text)
                .with_hint("cancel some, or wait until some are done")
                .retry_after_ms(60_000));
        }
        if let Some(other) = after.iter().find(|other| self.jobs.get(**other).is_none()) {
            return Err(missing(format_args!("job {other}")));
        }
        let (id, seed): (JobId, u64) = (self.fresh_id(self.now), self.fresh_bits());
        if let (JobSpec::Train { dataset, recipe, run }, Some(name)) = (&spec, &project) {
            let at = self.now;
            let project = self.project_mut(name)?;
            let manifest = project.plan.manifest(project.dataset(*dataset)?.content);
            let made = Made { manifest, at, by, seed };
            project.runs.insert(*run, RunRow::new(*run, id, *dataset, recipe.clone(), &made));
            project.prune_runs();
        }
        let work = Work::new(&spec, project.as_ref(), self.identity.character.device(), seed);
        let job = Job {
            id,
            project,
            spec,
            after: after.to_vec(),
            state: JobState::Queued,
            waits_for: Vec::new(),
            progress: Progress::default(),
            attempts: 0,
            outcome: None,
            failure: None,
            created: self.now,
            started: None,
            finished: None,
            by: by.to_owned(),
            worker_pid: None,
            generation: 1,
        };
        self.jobs.insert(JobRow { job, work });
        self.publish_job(id);
        self.start_what_may();
        self.jobs.get(id).cloned().ok_or_else(|| missing(format_args!("job {id}")))
    }

    pub(in super::super) fn job_list(
        &mut self,
        _: &Principal,
        request: JobList,
    ) -> Result<Page<Job>, ApiError> {
        let JobList { project, state, page: wanted } = request;
        let before: Option<JobId> = cursor(&wanted)?;
        let rows =
            self.jobs.rows.values().rev().filter(|row| before.is_none_or(|before| row.job.id < before));
        let rows = rows.map(|JobRow { job, .. }| {
            let ours =
                (project.is_none() || job.project == project) && state.is_none_or(|state| job.state == state);
            (job.id, ours.then(|| job.clone()))
        });
        Ok(page(&wanted, rows))
    }

    pub(in super::super) fn job_get(&mut self, _: &Principal, request: JobGet) -> Result<Job, ApiError> {
        Ok(self.job_row(request.job)?.job.clone())
    }

    /// Offsets count lines: to the caller they are what the last page said.
    pub(in super::super) fn job_log(
        &mut self,
        _: &Principal,
        request: JobLog,
    ) -> Result<JobLogPage, ApiError> {
        let row = self.job_row(request.job)?;
        let all = row.work.log(&row.job);
        let start = usize::try_from(request.offset).unwrap_or(usize::MAX).min(all.len());
        let end = all.len().min(start + LOG_PAGE);
        let page = all.get(start..end).unwrap_or_default();
        Ok(JobLogPage { lines: page.to_vec(), offset: end as u64, end: end == all.len() })
    }

    pub(in super::super) fn job_cancel(
        &mut self,
        who: &Principal,
        request: JobChange,
    ) -> Result<Job, ApiError> {
        let id = request.job;
        let (key, target) = (request.key, id.to_string());
        let change = Change { key, method: "job_cancel", request: &request, target, reason: None, who };
        self.once(&change, |state| {
            match state.job_row(id)?.job.state {
                JobState::Cancelled | JobState::Cancelling => {}
                JobState::Queued => state.cancelled(id, "cancelled before it began"),
                JobState::Running => {
                    let now = state.now;
                    if let Some(row) = state.jobs.row_mut(id) {
                        row.work.stopping = Some(now);
                    }
                    state.change_state(id, JobState::Cancelling, "asked to stop");
                }
                other @ (JobState::Succeeded | JobState::Failed | JobState::Unknown) => {
                    return Err(precondition(format!("job {id} cannot be cancelled: it is {other}")));
                }
            }
            // What needed it fails with it; what waited for it may begin.
            state.start_what_may();
            Ok(state.job_row(id)?.job.clone())
        })
    }

    pub(in super::super) fn job_retry(
        &mut self,
        who: &Principal,
        request: JobChange,
    ) -> Result<Job, ApiError> {
        let id = request.job;
        let (key, target) = (request.key, id.to_string());
        let change = Change { key, method: "job_retry", request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let found = state.job_row(id)?.job.state;
            if !matches!(found, JobState::Failed | JobState::Cancelled) {
                return Err(precondition(format!("job {id} cannot be tried again: it is {found}")));
            }
            if let Some(row) = state.jobs.row_mut(id) {
                row.job.attempts = 0;
                row.job.finished = None;
                row.work.again();
            }
            state.jobs.unfinished.insert(id);
            state.close_run(id, RunState::Running);
            state.change_state(id, JobState::Queued, "queued again on request");
            state.start_what_may();
            Ok(state.job_row(id)?.job.clone())
        })
    }

    pub(in super::super) fn lease_list(&mut self, _: &Principal, _: Empty) -> Result<Vec<Lease>, ApiError> {
        let held: BTreeMap<String, JobId> = self.jobs.held().into_iter().collect();
        let lease = |(resource, holder): (String, JobId)| {
            let row = self.jobs.row(holder)?;
            Some(Lease { resource, holder, token: row.work.token, since: row.work.since? })
        };
        Ok(held.into_iter().filter_map(lease).collect())
    }

    fn job_row(&self, id: JobId) -> Result<&JobRow, ApiError> {
        self.jobs.row(id).ok_or_else(|| missing(format_args!("job {id}")))
    }
}

impl JobRow {
    /// A job that ended in the past.
    pub(super) fn ended(job: Job, seed: u64, at: Time) -> Self {
        let mut work = Work::new(&job.spec, job.project.as_ref(), "cpu", seed);
        work.since = Some(at);
        work.done = work.total.mul_f64(f64::from(job.progress.fraction).clamp(0.0, 1.0));
        Self { job, work }
    }
}
