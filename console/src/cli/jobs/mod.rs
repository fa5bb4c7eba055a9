//! `vigie jobs`, and what other nouns show of the jobs they start.

mod show;

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tokio::time::timeout;
use vigie_protocol::job::{Job, JobState};
use vigie_protocol::service::{JobChange, JobGet, JobList, JobLog, JobLogPage};
use vigie_protocol::{IdempotencyKey, JobId};

use crate::app::App;
use crate::cli::{Limit, Waiting};
use crate::follow::{self, Follower};
use crate::out::note;
use crate::session::{Session, ask};

pub use show::{ended, log_tone, outcome};

/// How often a followed log is looked at.
const LOG_EVERY: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  vigie jobs list --state running
  vigie jobs watch 01932f6c-…            stay until it ends; Ctrl-C only stops watching
  vigie jobs log -f 01932f6c-…
  vigie jobs retry 01932f6c-…
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Jobs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List jobs, newest first (of all projects unless one is named)
    List {
        /// Only in this state
        #[arg(long)]
        state: Option<State>,
        #[command(flatten)]
        limit: Limit,
    },
    /// Show one job in full
    Show {
        /// The job
        job: JobId,
    },
    /// Print a job's log
    Log {
        /// The job
        job: JobId,
        /// Go on printing until the job ends
        #[arg(long, short)]
        follow: bool,
    },
    /// Stay with a job until it ends
    Watch {
        /// The job
        job: JobId,
    },
    /// Ask a job to stop
    Cancel {
        /// The job
        job: JobId,
    },
    /// Queue a failed or cancelled job again
    Retry {
        /// The job
        job: JobId,
        #[command(flatten)]
        waiting: Waiting,
    },
    /// Show which job holds which resource
    Leases,
}

/// A state to filter by.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum State {
    /// Waits for another job, a resource or a worker
    Queued,
    /// A worker is at it
    Running,
    /// Was asked to stop
    Cancelling,
    /// Done
    Succeeded,
    /// Ended with a failure
    Failed,
    /// Stopped on request
    Cancelled,
}

impl From<State> for JobState {
    fn from(state: State) -> Self {
        match state {
            State::Queued => JobState::Queued,
            State::Running => JobState::Running,
            State::Cancelling => JobState::Cancelling,
            State::Succeeded => JobState::Succeeded,
            State::Failed => JobState::Failed,
            State::Cancelled => JobState::Cancelled,
        }
    }
}

impl Jobs {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let job = match self.verb {
            Verb::List { state, limit } => return list(app, session, state.map(JobState::from), limit).await,
            Verb::Log { job, follow } => return log(app, session, job, follow).await,
            Verb::Watch { job } => return watch(app, session, job).await,
            Verb::Leases => {
                let leases = ask!(session, lease_list, vigie_protocol::service::Empty {}).await?;
                return Ok(app.out.value(&leases, |style| show::leases(&leases, style).render(style))?);
            }
            Verb::Retry { job, waiting } => {
                let request = JobChange { key: IdempotencyKey::new(), job };
                let job = ask!(session, job_retry, request).await?;
                return finish(app, session, job, waiting).await;
            }
            Verb::Show { job } => ask!(session, job_get, JobGet { job }).await?,
            Verb::Cancel { job } => {
                let request = JobChange { key: IdempotencyKey::new(), job };
                let job = ask!(session, job_cancel, request).await?;
                note(format!("job {} is {}", job.id, job.state));
                job
            }
        };
        Ok(app.out.value(&job, |style| show::sheet(&job, style).render(style))?)
    }
}

/// Waits for a job that was just started, unless that is not wanted, and prints it.
pub async fn finish(app: &App, session: &Session, job: Job, waiting: Waiting) -> anyhow::Result<()> {
    if waiting.no_wait {
        return Ok(app.out.value(&job, |_| job.id.to_string())?);
    }
    let job = follow::to_the_end(session, job.id, job.spec.kind()).await?;
    Ok(app.out.value(&job, |style| ended(job.outcome.as_ref(), style))?)
}

async fn list(app: &App, session: &Session, state: Option<JobState>, limit: Limit) -> anyhow::Result<()> {
    let project = app.named_project()?;
    let jobs = session
        .pages(limit.limit, async |page| {
            ask!(session, job_list, JobList { project: project.clone(), state, page }).await
        })
        .await?;
    Ok(app.out.value(&jobs, |style| show::table(&jobs, style).render(style))?)
}

async fn watch(app: &App, session: &Session, job: JobId) -> anyhow::Result<()> {
    if !app.out.is_json() {
        let job = follow::to_the_end(session, job, "job").await?;
        return Ok(app.out.value(&job, |style| ended(job.outcome.as_ref(), style))?);
    }
    let mut follower = Follower::start(session, job).await?;
    loop {
        app.out.line(follower.job(), |_| String::new())?;
        if follower.job().state.is_final() {
            follow::ended(follower.job().clone())?;
            return Ok(());
        }
        follower.changed().await?;
    }
}

async fn log(app: &App, session: &Session, job: JobId, follow: bool) -> anyhow::Result<()> {
    let mut follower = if follow { Some(Follower::start(session, job).await?) } else { None };
    let mut offset = 0;
    loop {
        // Asked before reading on: what the job wrote until it ended is then all there to be read.
        let over = follower.as_ref().is_none_or(|follower| follower.job().state.is_final());
        loop {
            let JobLogPage { lines, offset: next, end } =
                ask!(session, job_log, JobLog { job, offset }).await?;
            for line in &lines {
                app.out.line(line, |style| show::log_line(line, style))?;
            }
            // An agent that says there is more but does not move on would keep us here for ever.
            let stuck = next <= offset;
            offset = next;
            if end || stuck {
                break;
            }
        }
        match &mut follower {
            Some(follower) if !over => {
                // Lines come between the job's changes too.
                if let Ok(changed) = timeout(LOG_EVERY, follower.changed()).await {
                    changed?;
                }
            }
            _ => return Ok(()),
        }
    }
}
