//! The engine: who may start, what the others wait for, how states change.

use std::collections::HashMap;
use std::time::Duration;

use vigie_protocol::JobId;
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::{FailureCause, Job, JobFailure, JobSpec, JobState, Wait};
use vigie_protocol::run::RunState;

use super::State;
use super::jobs::JobRow;

/// Jobs that are worked at together.
const SLOTS: usize = 3;

/// How long a worker takes to stop.
const STOPPING: Duration = Duration::from_secs(2);

/// Whether a queued job starts now.
enum Turn {
    Now,
    Later(Vec<Wait>),
    Never(JobFailure),
}

impl State {
    /// What happens to jobs while `span` passes, at whose end the clock shows now.
    pub(super) fn work_for(&mut self, span: Duration) {
        for id in self.jobs.in_state(|state| state == JobState::Running) {
            self.work_at(id, span);
        }
        for id in self.jobs.in_state(|state| state == JobState::Cancelling) {
            let since = self.jobs.row(id).and_then(|row| row.work.stopping);
            if since.is_none_or(|since| self.now.since(since) >= STOPPING) {
                self.cancelled(id, "stopped as asked");
            }
        }
        self.start_what_may();
    }

    /// Starts every queued job that may, oldest first, and says what the others wait for.
    pub(super) fn start_what_may(&mut self) {
        let mut held = self.jobs.held();
        let at_work = self.jobs.in_state(|state| matches!(state, JobState::Running | JobState::Cancelling));
        let mut free = SLOTS.saturating_sub(at_work.len());
        for id in self.jobs.in_state(|state| state == JobState::Queued) {
            let Some(row) = self.jobs.row(id) else { continue };
            match self.turn(row, &mut held, free) {
                Turn::Never(failure) => self.fail(id, failure),
                Turn::Now => {
                    free -= 1;
                    self.begin(id);
                }
                Turn::Later(waits) => {
                    if let Some(row) = self.jobs.row_mut(id)
                        && row.job.waits_for != waits
                    {
                        row.job.waits_for = waits;
                        row.job.generation += 1;
                        self.publish_job(id);
                    }
                }
            }
        }
    }

    /// Whether a queued job may start. It keeps its claim on all it needs while it waits for one thing.
    fn turn(&self, row: &JobRow, held: &mut HashMap<String, JobId>, free: usize) -> Turn {
        let JobRow { job, work } = row;
        // What ended so long ago that it is not kept any more is not waited for.
        let after = job.after.iter().filter_map(|id| Some((*id, self.jobs.get(*id)?.state)));
        let pending: Vec<(JobId, JobState)> =
            after.filter(|(_, state)| *state != JobState::Succeeded).collect();
        if let Some(&(other, state)) = pending.iter().find(|(_, state)| state.is_final()) {
            return Turn::Never(needed(other, state));
        }
        if !pending.is_empty() {
            return Turn::Later(pending.into_iter().map(|(job, _)| Wait::Job { job }).collect());
        }
        if let Some(until) = work.until.filter(|&until| until > self.now) {
            return Turn::Later(vec![Wait::Backoff { until }]);
        }
        let mut waits = Vec::new();
        for resource in &work.resources {
            match held.get(resource) {
                Some(&holder) => waits.push(Wait::Lease { resource: resource.clone(), holder }),
                None => drop(held.insert(resource.clone(), job.id)),
            }
        }
        match (waits.is_empty(), free) {
            (false, _) => Turn::Later(waits),
            (true, 0) => Turn::Later(vec![Wait::Slot]),
            (true, _) => Turn::Now,
        }
    }

    fn begin(&mut self, id: JobId) {
        let now = self.now;
        let token = self.jobs.next_token();
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
        let (project, text) = (job.project.clone(), format!("{}: {text}", job.name()));
        if state.is_final() {
            self.jobs.end(id);
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

    pub(super) fn cancelled(&mut self, id: JobId, text: &str) {
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
        let (JobSpec::Import { lineage, .. }
        | JobSpec::Propose { into: lineage, .. }
        | JobSpec::Relabel { lineage, .. }
        | JobSpec::Balance { lineage, .. }
        | JobSpec::Resplit { lineage }) = &job.spec
        else {
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
