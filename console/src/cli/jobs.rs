//! `vigie jobs`, and what other nouns show of the jobs they start.

use std::time::Duration;

use clap::{Args, Subcommand, ValueEnum};
use tokio::time::timeout;
use vigie_protocol::job::{FailureCause, Job, JobOutcome, JobSpec, JobState, LogLine};
use vigie_protocol::service::{JobChange, JobGet, JobList, JobLog, JobLogPage};
use vigie_protocol::{IdempotencyKey, JobId};

use crate::app::App;
use crate::cli::{Limit, Waiting};
use crate::follow::{self, Follower};
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, bytes, count, duration, note, percent, when};
use crate::session::{Session, ask};

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
                let mut table = Table::new(
                    [
                        Column::flexible("RESOURCE"),
                        Column::text("HELD BY"),
                        Column::text("SINCE"),
                        Column::figure("TOKEN"),
                    ],
                    "no resource is held",
                );
                let now = app.out.style().now;
                for lease in &leases {
                    table.row([
                        lease.resource.as_str().into(),
                        lease.holder.to_string().into(),
                        age(now, lease.since).into(),
                        lease.token.to_string().into(),
                    ]);
                }
                return Ok(app.out.value(&leases, |style| table.render(style))?);
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
        Ok(app.out.value(&job, |style| sheet(&job, style).render(style))?)
    }
}

/// Waits for a job that was just started, unless that is not wanted, and prints it.
pub async fn finish(app: &App, session: &Session, job: Job, waiting: Waiting) -> anyhow::Result<()> {
    if waiting.no_wait {
        return Ok(app.out.value(&job, |_| job.id.to_string())?);
    }
    let job = follow::to_the_end(session, job.id, job.spec.kind()).await?;
    Ok(app.out.value(&job, |_| job.outcome.as_ref().map_or_else(|| "done".to_owned(), outcome))?)
}

async fn list(app: &App, session: &Session, state: Option<JobState>, limit: Limit) -> anyhow::Result<()> {
    let project = app.named_project()?;
    let jobs = session
        .pages(limit.limit, async |page| {
            ask!(session, job_list, JobList { project: project.clone(), state, page }).await
        })
        .await?;
    Ok(app.out.value(&jobs, |style| table(&jobs, style).render(style))?)
}

async fn watch(app: &App, session: &Session, job: JobId) -> anyhow::Result<()> {
    if !app.out.is_json() {
        let job = follow::to_the_end(session, job, "job").await?;
        return Ok(app
            .out
            .value(&job, |_| job.outcome.as_ref().map_or_else(|| "done".to_owned(), outcome))?);
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
                app.out.line(line, |style| log_line(line, style))?;
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

fn log_line(line: &LogLine, style: &Style) -> String {
    let tone = match line.level.as_str() {
        "error" => Tone::Bad,
        "warn" => Tone::Warn,
        _ => Tone::Plain,
    };
    let at = line.at.timestamp().strftime("%H:%M:%S");
    format!("{at} {:<5} {}", crate::out::safe(&line.level), tone.paint(&crate::out::safe(&line.text), style))
}

fn table(jobs: &[Job], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("ID"),
            Column::text("KIND"),
            Column::text("PROJECT"),
            Column::text("STATE"),
            Column::figure("DONE"),
            Column::text("CREATED"),
            Column::text("BY"),
            Column::flexible("REMARK"),
        ],
        "no jobs",
    );
    for job in jobs {
        table.row([
            job.id.to_string().into(),
            job.spec.kind().into(),
            Cell::maybe(job.project.as_ref()),
            state(job.state),
            format!("{:.0} %", f64::from(job.progress.fraction) * 100.0).into(),
            age(style.now, job.created).into(),
            job.by.as_str().into(),
            remark(job).into(),
        ]);
    }
    table
}

/// A job's state in its colour.
fn state(state: JobState) -> Cell {
    let tone = match state {
        JobState::Succeeded => Tone::Good,
        JobState::Failed => Tone::Bad,
        JobState::Cancelling => Tone::Warn,
        JobState::Queued | JobState::Running => Tone::Plain,
        JobState::Cancelled | JobState::Unknown => Tone::Dim,
    };
    Cell::toned(state.to_string(), tone)
}

/// The one thing worth knowing of a job in its state.
fn remark(job: &Job) -> String {
    match job.state {
        JobState::Queued => {
            job.waits_for.first().map(|wait| format!("waits for {}", follow::waits_for(wait)))
        }
        JobState::Running | JobState::Cancelling => Some(job.progress.stage.clone()),
        JobState::Succeeded => job.outcome.as_ref().map(outcome),
        JobState::Failed => job.failure.as_ref().map(|failure| failure.message.clone()),
        JobState::Cancelled | JobState::Unknown => None,
    }
    .unwrap_or_default()
}

/// What a job made, in one line.
pub fn outcome(outcome: &JobOutcome) -> String {
    match outcome {
        JobOutcome::ChangeSet { dataset: Some(dataset), change_set: _ } => format!("made {dataset}"),
        JobOutcome::ChangeSet { dataset: None, change_set } => {
            format!("proposed change-set {change_set}; `vigie changesets show {change_set}` shows it")
        }
        JobOutcome::NoChange { dataset: Some(dataset) } => {
            format!("nothing to change, {dataset} holds everything already")
        }
        JobOutcome::NoChange { dataset: None } => "nothing to change".to_owned(),
        JobOutcome::Pack { pack, images, bytes: size, reused } => {
            let verb = if *reused { "reused" } else { "packed" };
            format!("{verb} {} images, {} (pack {})", count(*images), bytes(*size), pack.short())
        }
        JobOutcome::Run { run, best_epoch } => format!("run {run}, best epoch {best_epoch}"),
        JobOutcome::Model { number } => format!("registered model {number}"),
        JobOutcome::Gc { report } => super::blobs::gc_line(report),
        JobOutcome::Unknown => "made something this console does not know".to_owned(),
    }
}

fn sheet(job: &Job, style: &Style) -> Sheet {
    let Job {
        id,
        project,
        spec,
        after,
        state: job_state,
        waits_for,
        progress,
        attempts,
        outcome: made,
        failure,
        created,
        started,
        finished,
        by,
        worker_pid,
        generation: _,
    } = job;
    let mut sheet = Sheet::new()
        .field("Job", id.to_string())
        .field("Does", does(spec))
        .maybe("Project", project.as_ref())
        .field("State", state(*job_state))
        .field("Created", format!("{} by {by}", when(style.now, *created)));
    for job in after {
        sheet = sheet.field("After", job.to_string());
    }
    for wait in waits_for {
        sheet = sheet.field("Waits for", follow::waits_for(wait));
    }
    if let Some(started) = started {
        let until = finished.unwrap_or(style.now);
        sheet = sheet
            .field("Started", when(style.now, *started))
            .field(if finished.is_some() { "Took" } else { "For" }, duration(until.since(*started)));
    }
    if matches!(job_state, JobState::Running | JobState::Cancelling) {
        sheet = sheet
            .field("Progress", format!("{} · {}", percent(f64::from(progress.fraction)), progress.stage));
    }
    sheet = sheet
        .maybe("Attempts", (*attempts > 1).then_some(attempts))
        .maybe("Worker", worker_pid.map(|pid| format!("pid {pid}")))
        .maybe("Made", made.as_ref().map(outcome));
    if let Some(failure) = failure {
        let cause = follow::cause(failure.cause).map(|cause| format!("{cause}: ")).unwrap_or_default();
        let tone = if failure.cause == FailureCause::Unknown { Tone::Plain } else { Tone::Bad };
        sheet = sheet
            .field("Failure", Cell::toned(format!("{cause}{}", failure.message), tone))
            .maybe("Hint", failure.hint.as_ref());
    }
    sheet
}

/// What a job is to do, in one line.
fn does(spec: &JobSpec) -> String {
    match spec {
        JobSpec::Import { source, lineage, accept } => {
            format!("import {} into {lineage}{}", source.name(), accepting(*accept))
        }
        JobSpec::Propose { from, into, accept } => {
            format!("bring what {from} has into {into}{}", accepting(*accept))
        }
        JobSpec::Preprocess { dataset, spec } => format!("pack {dataset} at {0}×{0} pixels", spec.crop),
        JobSpec::Train { dataset, recipe, run } => {
            format!("train {} on {dataset}, run {run}", recipe.architecture)
        }
        JobSpec::Evaluate { run } => format!("evaluate run {run}"),
        JobSpec::Gc { dry_run: true } => "look for blobs that nothing refers to".to_owned(),
        JobSpec::Gc { dry_run: false } => "remove blobs that nothing refers to".to_owned(),
        JobSpec::Unknown => "something this console does not know".to_owned(),
    }
}

fn accepting(accept: bool) -> &'static str {
    if accept { "" } else { ", for review" }
}
