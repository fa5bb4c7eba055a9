//! Jobs: asked for, waiting for each other, worked at as time passes, ended.
//!
//! The rules are those of the agent's engine: three worker slots, leases that are all or nothing, a job
//! that waits keeps its claim on what it needs.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use vigie_core::train::recipe;
use vigie_protocol::access::{Principal, Role};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::{
    FailureCause, ImportSource, Job, JobFailure, JobSpec, JobState, Lease, Progress, Wait,
};
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
use super::work::{Work, name};

/// Jobs that are worked at together.
const SLOTS: usize = 3;

/// Ended jobs that are kept. Fewer than the real agent keeps, so that a fleet stays small.
const ENDED_KEPT: usize = 120;

/// Unfinished jobs at one time.
const UNFINISHED: usize = 200;

/// How long a worker takes to stop.
const STOPPING: Duration = Duration::from_secs(2);

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

    fn in_state(&self, wanted: impl Fn(JobState) -> bool) -> Vec<JobId> {
        self.unfinished
            .iter()
            .copied()
            .filter(|id| self.get(*id).is_some_and(|job| wanted(job.state)))
            .collect()
    }

    /// Who has which resource.
    fn held(&self) -> HashMap<String, JobId> {
        let at_work = self.unfinished.iter().filter_map(|id| self.rows.get(id));
        let at_work = at_work.filter(|row| matches!(row.job.state, JobState::Running | JobState::Cancelling));
        at_work
            .flat_map(|row| row.work.resources.iter().map(move |resource| (resource.clone(), row.job.id)))
            .collect()
    }

    fn prune(&mut self) {
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
            let row = self.jobs.rows.get(&holder)?;
            Some(Lease { resource, holder, token: row.work.token, since: row.work.since? })
        };
        Ok(held.into_iter().filter_map(lease).collect())
    }

    fn job_row(&self, id: JobId) -> Result<&JobRow, ApiError> {
        self.jobs.rows.get(&id).ok_or_else(|| missing(format_args!("job {id}")))
    }

    /// What happens to jobs while `span` passes, at whose end the clock shows now.
    pub(super) fn work_for(&mut self, span: Duration) {
        for id in self.jobs.in_state(|state| state == JobState::Running) {
            self.work_at(id, span);
        }
        for id in self.jobs.in_state(|state| state == JobState::Cancelling) {
            let since = self.jobs.rows.get(&id).and_then(|row| row.work.stopping);
            if since.is_none_or(|since| self.now.since(since) >= STOPPING) {
                self.cancelled(id, "stopped as asked");
            }
        }
        self.start_what_may();
    }

    /// Starts every queued job that may, and says what the others wait for.
    pub(super) fn start_what_may(&mut self) {
        let queue = self.jobs.in_state(|state| state == JobState::Queued);
        if queue.is_empty() {
            return;
        }
        let mut held = self.jobs.held();
        let at_work = self.jobs.in_state(|state| matches!(state, JobState::Running | JobState::Cancelling));
        let mut free = SLOTS.saturating_sub(at_work.len());
        for id in queue {
            let Some(row) = self.jobs.rows.get(&id) else { continue };
            let states =
                row.job.after.iter().map(|other| (*other, self.jobs.get(*other).map(|job| job.state)));
            let pending: Vec<(JobId, JobState)> =
                states.filter_map(|(other, state)| Some((other, state?))).collect();
            if let Some(&(other, state)) =
                pending.iter().find(|(_, state)| matches!(state, JobState::Failed | JobState::Cancelled))
            {
                self.fail(id, needed(other, state));
                continue;
            }
            let pending = pending.iter().filter(|(_, state)| *state != JobState::Succeeded);
            let mut waits: Vec<Wait> = pending.map(|&(job, _)| Wait::Job { job }).collect();
            if waits.is_empty() {
                match row.work.until.filter(|&until| until > self.now) {
                    Some(until) => waits.push(Wait::Backoff { until }),
                    None => {
                        for resource in &row.work.resources {
                            match held.get(resource) {
                                Some(&holder) => {
                                    waits.push(Wait::Lease { resource: resource.clone(), holder });
                                }
                                None => drop(held.insert(resource.clone(), id)),
                            }
                        }
                        if waits.is_empty() && free == 0 {
                            waits.push(Wait::Slot);
                        }
                    }
                }
            }
            if waits.is_empty() {
                free -= 1;
                self.begin(id);
            } else if let Some(row) = self.jobs.row_mut(id)
                && row.job.waits_for != waits
            {
                row.job.waits_for = waits;
                row.job.generation += 1;
                self.publish_job(id);
            }
        }
    }

    fn begin(&mut self, id: JobId) {
        let now = self.now;
        self.jobs.leases += 1;
        let token = self.jobs.leases;
        let base = self.jobs.get(id).and_then(|job| self.head_for(job));
        let Some(JobRow { job, work }) = self.jobs.row_mut(id) else { return };
        job.attempts += 1;
        job.started = job.started.or(Some(now));
        job.worker_pid = Some(4_000 + u32::try_from(token % 28_000).unwrap_or(0));
        (work.token, work.since, work.until, work.base) = (token, Some(now), None, base);
        let text = format!("attempt {} begins", job.attempts);
        self.change_state(id, JobState::Running, &text);
    }

    /// Changes a job's state, for itself and those who watch.
    pub(super) fn change_state(&mut self, id: JobId, state: JobState, text: &str) {
        let now = self.now;
        let Some(JobRow { job, .. }) = self.jobs.row_mut(id) else { return };
        job.state = state;
        job.generation += 1;
        if state != JobState::Queued {
            job.waits_for.clear();
        }
        if state != JobState::Running && state != JobState::Cancelling {
            job.worker_pid = None;
        }
        if state.is_final() {
            job.finished = Some(now);
            job.progress.eta_s = None;
        }
        let severity = match state {
            JobState::Failed => Severity::Error,
            // Queued again after an attempt that failed.
            JobState::Queued if job.failure.is_some() => Severity::Warning,
            _ => Severity::Info,
        };
        let (project, text) = (job.project.clone(), format!("{}: {text}", name(job)));
        if state.is_final() {
            self.jobs.unfinished.remove(&id);
            self.jobs.prune();
        }
        self.publish_job(id);
        self.event(project.as_ref(), severity, Subject::Job { job: id, state }, text);
    }

    pub(super) fn fail(&mut self, id: JobId, failure: JobFailure) {
        let text = failure.message.clone();
        if let Some(row) = self.jobs.row_mut(id) {
            row.job.failure = Some(failure);
        }
        self.close_run(id, RunState::Failed);
        self.change_state(id, JobState::Failed, &text);
    }

    fn cancelled(&mut self, id: JobId, text: &str) {
        self.close_run(id, RunState::Cancelled);
        self.change_state(id, JobState::Cancelled, text);
    }

    /// The agent started again: what was running goes on from what is durable, what was stopping has
    /// stopped.
    pub(super) fn take_up_jobs(&mut self) {
        for id in self.jobs.in_state(|state| state == JobState::Cancelling) {
            self.cancelled(id, "its worker ended with the agent");
        }
        for id in self.jobs.in_state(|state| state == JobState::Running) {
            let Some(row) = self.jobs.row_mut(id) else { continue };
            let message = format!("the agent ended during attempt {}", row.job.attempts);
            let text = format!("{message}; goes on from what is durable");
            row.job.failure = Some(JobFailure { cause: FailureCause::Interrupted, message, hint: None });
            self.change_state(id, JobState::Queued, &text);
        }
        self.start_what_may();
    }

    /// The number of the version that an import or a proposal would add to.
    fn head_for(&self, job: &Job) -> Option<u32> {
        let (JobSpec::Import { lineage, .. } | JobSpec::Propose { into: lineage, .. }) = &job.spec else {
            return None;
        };
        let project = self.projects.get(job.project.as_ref()?)?;
        project.head(*lineage).map(|head| head.dataset.number)
    }
}

fn needed(other: JobId, state: JobState) -> JobFailure {
    JobFailure {
        cause: FailureCause::Dependency,
        message: format!("job {other}, which it needs, was {state}").replace("was failed", "failed"),
        hint: Some("retry that job first, then this one".to_owned()),
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
