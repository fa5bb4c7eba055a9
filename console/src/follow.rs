//! Following a job to its end.

use std::time::{Duration, Instant};

use vigie_protocol::JobId;
use vigie_protocol::event::{Update, WatchCursor};
use vigie_protocol::job::{FailureCause, Job, JobState, Wait};
use vigie_protocol::service::{JobGet, Watch, Watched};

use crate::exit::{Exit, Failure};
use crate::out::{Progress, note};
use crate::session::{Session, ask};

/// How long an agent may be away (it restarts, the link drops) before following it is given up.
const PATIENCE: Duration = Duration::from_secs(120);

/// An agent holds a watch while there is nothing to tell. One that does not must not keep us, and
/// itself, spinning.
const SUSPICIOUSLY_FAST: Duration = Duration::from_millis(50);

/// A job as it changes.
pub struct Follower<'a> {
    session: &'a Session,
    cursor: WatchCursor,
    job: Job,
}

impl<'a> Follower<'a> {
    /// Follows `job` from its present state.
    pub async fn start(session: &'a Session, job: JobId) -> Result<Self, Failure> {
        // The cursor first: what changes between the two is then told again, not missed.
        let cursor = ask!(session, watch, Watch { cursor: None, max_wait_ms: 0 }).await?.next;
        let job = ask!(session, job_get, JobGet { job }).await?;
        Ok(Self { session, cursor, job })
    }

    /// Its newest state.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Waits until it changed. An agent that is away is waited for.
    pub async fn changed(&mut self) -> Result<(), Failure> {
        let mut away: Option<Instant> = None;
        loop {
            match self.news().await {
                Ok(true) => return Ok(()),
                Ok(false) => away = None,
                Err(failure) if failure.is_away() => {
                    let since = *away.get_or_insert_with(|| {
                        note(format!("{failure}; waiting for the agent to come back"));
                        Instant::now()
                    });
                    if since.elapsed() > PATIENCE {
                        return Err(failure);
                    }
                    self.session.pause(Duration::from_secs(1)).await?;
                }
                Err(failure) => return Err(failure),
            }
        }
    }

    /// One look at what happened; whether the job changed.
    async fn news(&mut self) -> Result<bool, Failure> {
        let asked = Instant::now();
        let Watched { updates, next, resync } = self.session.watch(self.cursor).await?;
        if updates.is_empty() && !resync && asked.elapsed() < SUSPICIOUSLY_FAST {
            self.session.pause(Duration::from_secs(1)).await?;
        }
        let newest = updates.into_iter().rev().find_map(|update| match update {
            Update::Job { job } if job.id == self.job.id => Some(*job),
            Update::Job { .. } | Update::Event { .. } | Update::Unknown => None,
        });
        // The cursor moves only once the answer was used: an error in between must not lose news.
        let job = match newest {
            Some(job) if !resync => job,
            _ => ask!(self.session, job_get, JobGet { job: self.job.id }).await?,
        };
        self.cursor = next;
        let changed = job != self.job;
        self.job = job;
        Ok(changed)
    }
}

/// Stays with a job until it ends, showing its progress as `title`. An end other than success is a
/// failure; an interruption leaves the job running and says so.
pub async fn to_the_end(session: &Session, job: JobId, title: &str) -> Result<Job, Failure> {
    let mut progress = Progress::new(title);
    let followed = async {
        let mut follower = Follower::start(session, job).await?;
        let mut attempts = follower.job().attempts;
        loop {
            let job = follower.job();
            if job.attempts > attempts.max(1) {
                let reason = job.failure.as_ref().map_or("its worker ended", |failure| &failure.message);
                progress.say(format!(
                    "{title}: attempt {} begins: {}",
                    job.attempts,
                    crate::out::safe(reason)
                ));
            }
            attempts = job.attempts;
            progress.update(&shown(job), Instant::now());
            if job.state.is_final() {
                return Ok(job.clone());
            }
            follower.changed().await?;
        }
    }
    .await;
    drop(progress);
    ended(followed.map_err(|failure| detached(failure, job))?)
}

/// A job's progress; while it waits, what for.
fn shown(job: &Job) -> vigie_protocol::job::Progress {
    let mut progress = job.progress.clone();
    match job.state {
        JobState::Queued => {
            progress.stage = match job.waits_for.first() {
                Some(wait) => format!("waits for {}", waits_for(wait)),
                None => "queued".to_owned(),
            };
            (progress.done, progress.total) = (0, 0);
        }
        JobState::Cancelling => progress.stage = "stopping".to_owned(),
        JobState::Running
        | JobState::Succeeded
        | JobState::Failed
        | JobState::Cancelled
        | JobState::Unknown => {}
    }
    progress
}

/// What a queued job waits for, for people.
pub fn waits_for(wait: &Wait) -> String {
    match wait {
        Wait::Job { job } => format!("job {job}"),
        Wait::Lease { resource, holder } => format!("{resource}, held by job {holder}"),
        Wait::Slot => "a free worker".to_owned(),
        Wait::Backoff { until } => format!("its next attempt at {until}"),
        Wait::Unknown => "something this console does not know".to_owned(),
    }
}

/// Who stops watching should know that the work goes on.
fn detached(failure: Failure, job: JobId) -> Failure {
    match failure.exit {
        Exit::Interrupted => {
            Failure::new(Exit::Interrupted, format!("no longer watching; job {job} goes on"))
                .hint(format!("`vigie jobs watch {job}` watches again, `vigie jobs cancel {job}` stops it"))
        }
        _ => failure,
    }
}

/// A job that ended, or why it did not end well.
pub fn ended(job: Job) -> Result<Job, Failure> {
    let (kind, id) = (job.spec.kind(), job.id);
    match job.state {
        JobState::Succeeded => Ok(job),
        JobState::Cancelled => Err(Failure::new(Exit::Failed, format!("{kind} job {id} was cancelled"))
            .hint(format!("`vigie jobs retry {id}` queues it again"))),
        JobState::Failed
        | JobState::Queued
        | JobState::Running
        | JobState::Cancelling
        | JobState::Unknown => {
            let (message, hint) = match job.failure {
                Some(failure) => {
                    let cause = cause(failure.cause).map(|cause| format!("{cause}: ")).unwrap_or_default();
                    (format!("{cause}{}", failure.message), failure.hint)
                }
                None => ("without a reason".to_owned(), None),
            };
            let hint = hint.unwrap_or_else(|| {
                format!("`vigie jobs log {id}` has more; `vigie jobs retry {id}` queues it again")
            });
            Err(Failure::new(Exit::Failed, format!("{kind} job {id} failed: {message}")).hint(hint))
        }
    }
}

/// What kind of end it was, when the message alone would not say.
pub fn cause(cause: FailureCause) -> Option<&'static str> {
    match cause {
        FailureCause::Refused | FailureCause::Error | FailureCause::Unknown => None,
        FailureCause::Killed => Some("its worker was killed"),
        FailureCause::OutOfMemory => Some("out of memory"),
        FailureCause::Crashed => Some("its worker crashed"),
        FailureCause::Dependency => Some("a job it needs did not succeed"),
        FailureCause::Interrupted => Some("the agent stopped"),
        FailureCause::Remote => Some("the download failed"),
    }
}
