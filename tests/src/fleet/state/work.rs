//! What a job does while it runs: how long it takes, what it shows, how it ends.

use std::time::Duration;

use vigie_protocol::dataset::Lineage;
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::{FailureCause, Job, JobFailure, JobSpec, JobState, LogLine, Progress};
use vigie_protocol::run::RunState;
use vigie_protocol::{ApiError, JobId, ProjectName, RunId, Time};

use super::super::dice::{mix, share};
use super::super::words;
use super::State;
use super::jobs::JobRow;

/// Pauses after the first and the second failed attempt; a third is the last.
const BACKOFF: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// The work of one job.
#[derive(Clone, Debug)]
pub(super) struct Work {
    pub(super) seed: u64,
    /// How long it takes when nothing happens.
    pub(super) total: Duration,
    /// How much of it is done.
    pub(super) done: Duration,
    /// What it claims while it runs.
    pub(super) resources: Vec<String>,
    /// Its claim's number, and since when it has it.
    pub(super) token: u64,
    pub(super) since: Option<Time>,
    /// The version of its line when it began.
    pub(super) base: Option<u32>,
    /// How its attempts fail; nothing when they do not.
    pub(super) fault: Option<Fault>,
    failures: usize,
    /// The end of its back-off.
    pub(super) until: Option<Time>,
    /// Since when it is asked to stop.
    pub(super) stopping: Option<Time>,
    /// Whether it finds something new.
    pub(super) finds: bool,
    /// The second of its last news.
    told: i64,
}

/// How attempts at a job fail.
#[derive(Clone, Debug)]
pub(super) struct Fault {
    /// After this share of the work.
    pub(super) at: f64,
    pub(super) failure: JobFailure,
}

impl Work {
    pub(super) fn new(spec: &JobSpec, project: Option<&ProjectName>, device: &str, seed: u64) -> Self {
        let seconds = match spec {
            JobSpec::Import { .. } => 180,
            JobSpec::Propose { .. } | JobSpec::Relabel { .. } | JobSpec::Balance { .. } => 45,
            JobSpec::LabelCheck { .. } => 240,
            JobSpec::Resplit { .. } => 45,
            JobSpec::Preprocess { .. } => 120,
            // Half a minute an epoch.
            JobSpec::Train { recipe, .. } => u64::from(recipe.epochs) * 30,
            JobSpec::Evaluate { .. } => 60,
            JobSpec::Collect { .. } | JobSpec::Cluster { .. } => 30,
            JobSpec::Gc { .. } | JobSpec::Unknown => 20,
        };
        let project = project.map_or("", |project| project.as_str());
        let device = format!("device:{device}");
        let resources = match spec {
            JobSpec::Import { lineage, .. }
            | JobSpec::Propose { into: lineage, .. }
            | JobSpec::Relabel { lineage, .. }
            | JobSpec::Balance { lineage, .. }
            | JobSpec::Resplit { lineage } => {
                vec![format!("lineage:{project}/{lineage}")]
            }
            JobSpec::Preprocess { dataset, .. } => vec![format!("pack:{project}/{dataset}")],
            JobSpec::LabelCheck { dataset, .. } => vec![format!("pack:{project}/{dataset}"), device],
            JobSpec::Train { run, .. } | JobSpec::Evaluate { run } => vec![format!("run:{run}"), device],
            JobSpec::Collect { .. } => vec![format!("lineage:{project}/{}", Lineage::Production)],
            JobSpec::Cluster { .. } => vec![format!("clusters:{project}"), device],
            JobSpec::Gc { .. } => vec!["blobs".to_owned()],
            JobSpec::Unknown => Vec::new(),
        };
        // Up to a third longer or shorter.
        let total = Duration::from_secs(seconds).mul_f64(0.67 + 0.66 * share(mix(seed, 0)));
        Self {
            seed,
            total,
            done: Duration::ZERO,
            resources,
            token: 0,
            since: None,
            base: None,
            fault: None,
            failures: 0,
            until: None,
            stopping: None,
            finds: true,
            told: 0,
        }
    }

    /// Share of the work that is done.
    pub(super) fn fraction(&self) -> f64 {
        (self.done.as_secs_f64() / self.total.as_secs_f64().max(1e-3)).clamp(0.0, 1.0)
    }

    /// Somebody wants it tried again: from the beginning, but for what is durable, and without whatever
    /// made it fail.
    pub(super) fn again(&mut self) {
        (self.failures, self.fault, self.until, self.stopping) = (0, None, None, None);
    }

    fn progress(&self, spec: &JobSpec) -> Progress {
        let fraction = self.fraction();
        let (stage, units, unit) = match spec {
            JobSpec::Import { .. } => ("reading images".to_owned(), 12_000_u32, "images"),
            JobSpec::Propose { .. } | JobSpec::Relabel { .. } | JobSpec::Balance { .. } => {
                ("comparing".to_owned(), 24_000, "images")
            }
            JobSpec::LabelCheck { .. } => ("computing features".to_owned(), 24_000, "images"),
            JobSpec::Resplit { .. } => ("comparing".to_owned(), 24_000, "images"),
            JobSpec::Preprocess { .. } => ("decoding".to_owned(), 18_000, "images"),
            JobSpec::Train { recipe, .. } => {
                let epochs = recipe.epochs.max(1);
                let epoch = ((fraction * f64::from(epochs)) as u32 + 1).min(epochs);
                (format!("epoch {epoch} of {epochs}"), 14_700, "images")
            }
            JobSpec::Evaluate { .. } => ("answering the test split".to_owned(), 3_150, "images"),
            JobSpec::Collect { .. } | JobSpec::Cluster { .. } => {
                ("looking at images".to_owned(), 500, "images")
            }
            JobSpec::Gc { .. } => ("looking through references".to_owned(), 0, "blobs"),
            JobSpec::Unknown => (String::new(), 0, ""),
        };
        let within = match spec {
            JobSpec::Train { recipe, .. } => (fraction * f64::from(recipe.epochs.max(1))).fract(),
            _ => fraction,
        };
        let left = self.total.saturating_sub(self.done);
        Progress {
            stage,
            done: (within * f64::from(units)) as u64,
            total: u64::from(units),
            unit: unit.to_owned(),
            fraction: fraction as f32,
            // The first moments are no ground for a guess.
            eta_s: (fraction > 0.02).then_some(left.as_secs_f32()),
            rate: None,
        }
    }

    /// The log of the job so far: a line for each fiftieth of the work.
    pub(super) fn log(&self, job: &Job) -> Vec<LogLine> {
        let Some(since) = self.since else { return Vec::new() };
        let line = |n: u64, level: &str, text: String| {
            let at = since.plus(self.total.mul_f64(n as f64 / 50.0));
            LogLine { at, level: level.to_owned(), text }
        };
        let mut lines = vec![line(0, "info", format!("attempt {} begins", job.attempts.max(1)))];
        for n in 1..=(self.fraction() * 50.0) as u64 {
            lines.push(match mix(self.seed, n) % 40 {
                0 => line(n, "warn", words::hostile(mix(self.seed, n))),
                1 => line(n, "warn", format!("odd/{n}.jpg: {}", words::endless())),
                2..6 => line(n, "warn", format!("left out images/{n:05}.txt: neither JPEG, PNG nor WebP")),
                _ => line(n, "info", format!("{} % done", n * 2)),
            });
        }
        if let Some(failure) = &job.failure {
            lines.push(line(50, "error", failure.message.clone()));
        }
        if job.state == JobState::Succeeded {
            lines.push(line(50, "info", "done".to_owned()));
        }
        lines
    }
}

impl State {
    /// A running job is worked at for `span`.
    pub(super) fn work_at(&mut self, id: JobId, span: Duration) {
        let now = self.now;
        let Some(JobRow { job, work }) = self.jobs.row_mut(id) else { return };
        let before = work.fraction();
        work.done = (work.done + span).min(work.total);
        let (after, fails) = (work.fraction(), work.fault.clone());
        if let Some(Fault { failure, .. }) = fails.filter(|fault| fault.at <= after) {
            return self.attempt_failed(id, failure);
        }
        let told = now.as_micros() / 1_000_000;
        let news = work.told != told;
        if news {
            work.told = told;
            job.progress = work.progress(&job.spec);
        }
        let finished = work.done == work.total;
        if let (JobSpec::Train { run, recipe, .. }, Some(project)) = (&job.spec, &job.project) {
            let (run, project) = (*run, project.clone());
            let epochs = f64::from(recipe.epochs);
            let seconds = work.total.as_secs_f64() / epochs.max(1.0);
            for epoch in (before * epochs) as u32 + 1..=(after * epochs) as u32 {
                self.epoch_ends(&project, run, epoch, seconds);
            }
        }
        if finished {
            self.job_done(id);
        } else if news {
            self.publish_job(id);
        }
    }

    fn epoch_ends(&mut self, name: &ProjectName, run: RunId, epoch: u32, seconds: f64) {
        let now = self.now;
        let Ok(project) = self.project_mut(name) else { return };
        let Some(row) = project.runs.get_mut(&run) else { return };
        // An epoch that was durable before the agent restarted is not measured again.
        if row.run.epochs.last().is_some_and(|last| last.epoch >= epoch) {
            return;
        }
        let metrics = row.epoch(epoch, seconds, now);
        let text = format!(
            "epoch {epoch} of {}: valid accuracy {:.1} %, valid loss {:.3}, {seconds:.1} s",
            row.run.recipe.epochs,
            metrics.valid_accuracy * 100.0,
            metrics.valid_loss,
        );
        row.push(metrics);
        self.event(Some(name), Severity::Info, Subject::Epoch { run, epoch }, text);
    }

    fn attempt_failed(&mut self, id: JobId, failure: JobFailure) {
        let now = self.now;
        let Some(JobRow { job, work }) = self.jobs.row_mut(id) else { return };
        let again = !matches!(
            failure.cause,
            FailureCause::Refused
                | FailureCause::Dependency
                | FailureCause::Interrupted
                | FailureCause::Remote
        );
        let pause = BACKOFF.get(work.failures).filter(|_| again).copied();
        work.failures += 1;
        let Some(pause) = pause else { return self.fail(id, failure) };
        // What was not durable is lost: half of the attempt.
        work.done /= 2;
        work.until = Some(now.plus(pause));
        let text = format!("{}; tried again in {} s", failure.message, pause.as_secs());
        job.failure = Some(failure);
        self.change_state(id, JobState::Queued, &text);
    }

    fn job_done(&mut self, id: JobId) {
        let Some(job) = self.jobs.get(id).cloned() else { return };
        match self.outcome(&job) {
            Ok(outcome) => {
                if let Some(JobRow { job, work }) = self.jobs.row_mut(id) {
                    job.progress = Progress { eta_s: None, ..work.progress(&job.spec) };
                    job.outcome = Some(outcome);
                    job.failure = None;
                }
                self.close_run(id, RunState::Finished);
                self.change_state(id, JobState::Succeeded, "done");
            }
            Err(ApiError { message, hint, .. }) => {
                self.fail(id, JobFailure { cause: FailureCause::Refused, message, hint });
            }
        }
    }

    /// The run of a training ends, or goes on, with it.
    pub(super) fn close_run(&mut self, id: JobId, state: RunState) {
        let Some(job) = self.jobs.get(id) else { return };
        let (JobSpec::Train { run, .. }, Some(name)) = (&job.spec, &job.project) else { return };
        let (run, name) = (*run, name.clone());
        if let Some(row) = self.projects.get_mut(&name).and_then(|project| project.runs.get_mut(&run)) {
            row.run.state = state;
        }
    }
}
