//! Worker processes: `vigie-agent worker`, one for each heavy job.
//!
//! The agent writes one [`WorkerTask`] to the worker's standard input and reads [`Report`]s from
//! its standard output, both as [`frames`]. A worker opens neither the store nor a socket: it is
//! given paths and hashes, puts blobs itself, and says what it found; the agent commits.
//!
//! A worker ends
//! * by itself, after `Done` or `Failed`;
//! * on SIGTERM, at the next good place, with [`EXIT_STOPPED`];
//! * when its standard input closes: the agent is gone, and nobody would read the result.
//!
//! Memory is bounded by `RLIMIT_DATA` when the configuration says so (see the module `limits`), so that a
//! job that wants too much fails in its own process.

mod carry_out;
mod curate;
mod failure;
pub mod frames;
mod labels;
mod limits;
mod part;
mod pipe;
mod task;

use std::io::Write;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Context, Result};
use vigie_protocol::job::{FailureCause, JobFailure};

pub use task::{
    ImportInput, MadeModel, PackWork, Proposed, RelabelWork, Report, WindowWork, Work, WorkDone, WorkerTask,
};

/// The environment variable that names the job a worker process works for. A restarted agent
/// recognises the workers of its predecessor by it.
pub const JOB_VARIABLE: &str = "VIGIE_WORKER_JOB";

/// Exit code after `Failed` was reported.
pub const EXIT_FAILED: u8 = 1;

/// Exit code of a worker that stopped because it was asked to.
pub const EXIT_STOPPED: u8 = 3;

/// How long work may go on after the agent is gone before the process ends by force. Shorter than
/// it takes an agent to start and hand the same job out again.
const ORPHAN_GRACE: Duration = Duration::from_secs(5);

/// Runs the worker: the whole of `vigie-agent worker`.
pub fn main() -> ExitCode {
    match run() {
        Ok(code) => code,
        Err(error) => {
            // Nobody may be reading reports any more; the agent keeps standard error in the job's log.
            let _ = writeln!(std::io::stderr(), "worker: {error:#}");
            ExitCode::from(EXIT_FAILED)
        }
    }
}

fn run() -> Result<ExitCode> {
    let stop = Arc::new(AtomicBool::new(false));
    let reports = pipe::take_stdout().context("setting the report pipe apart from standard output")?;
    watch_signals(Arc::clone(&stop))?;
    let task: WorkerTask =
        frames::read(&mut std::io::stdin().lock()).context("reading the task from standard input")?;
    watch_parent(Arc::clone(&stop))?;
    limits::apply(&task).context("bounding the worker")?;

    let observer = pipe::PipeObserver::new(reports, Arc::clone(&stop));
    let (report, code) = match carry_out::carry_out(&task, &observer) {
        Ok(done) => (Report::Done { done: Box::new(done) }, ExitCode::SUCCESS),
        Err(_) if stop.load(Ordering::Relaxed) => return Ok(ExitCode::from(EXIT_STOPPED)),
        Err(failure) => (Report::Failed { failure }, ExitCode::from(EXIT_FAILED)),
    };
    match observer.report(&report) {
        Err(frames::FrameError::TooLong(bytes)) => {
            let message = format!("the result of {bytes} bytes is too large to hand over");
            let failure = JobFailure { cause: FailureCause::Refused, message, hint: None };
            observer.report(&Report::Failed { failure }).context("reporting the failure")?;
            Ok(ExitCode::from(EXIT_FAILED))
        }
        sent => {
            sent.context("reporting the result")?;
            Ok(code)
        }
    }
}

/// SIGTERM sets the flag. SIGINT is ignored: a Ctrl-C in the agent's terminal is the agent's.
fn watch_signals(stop: Arc<AtomicBool>) -> Result<()> {
    use tokio::signal::unix::{SignalKind, signal};

    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_io()
        .build()
        .context("starting the signal watcher")?;
    let (mut terminate, mut interrupt) = {
        let _inside = runtime.enter();
        (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?)
    };
    std::thread::Builder::new().name("signals".to_owned()).spawn(move || {
        runtime.block_on(async {
            loop {
                tokio::select! {
                    Some(()) = terminate.recv() => stop.store(true, Ordering::Relaxed),
                    Some(()) = interrupt.recv() => {}
                    else => return,
                }
            }
        });
    })?;
    Ok(())
}

/// Standard input stays open as long as the agent lives; its end means that the agent is gone.
///
/// (`PR_SET_PDEATHSIG` would fire when the *thread* that spawned the worker ends, and threads of
/// the agent's runtime come and go.)
fn watch_parent(stop: Arc<AtomicBool>) -> Result<()> {
    std::thread::Builder::new().name("parent".to_owned()).spawn(move || {
        // Nothing more is ever sent; whatever comes is drained.
        let _ = std::io::copy(&mut std::io::stdin().lock(), &mut std::io::sink());
        stop.store(true, Ordering::Relaxed);
        // The work ends the process before that when it finds a good place to stop.
        std::thread::park_timeout(ORPHAN_GRACE);
        std::process::exit(i32::from(EXIT_STOPPED));
    })?;
    Ok(())
}
