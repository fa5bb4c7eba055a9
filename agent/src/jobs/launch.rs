//! Starting worker processes and listening to them.

use std::io;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};

use futures::StreamExt;
use rustix::process::{Pid, Signal, kill_process};
use tokio::io::{AsyncRead, AsyncWriteExt};
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::mpsc;
use tokio_util::codec::{FramedRead, LengthDelimitedCodec};
use vigie_core::fail_point;
use vigie_protocol::JobId;

use super::ending::Ending;
use super::lines::Lines;
use super::oom;
use crate::worker::{JOB_VARIABLE, Report, WorkerTask, frames};

/// Reports and lines that wait for the engine; a worker that is faster blocks on its pipe.
const EVENTS: usize = 64;

/// Lines of standard error kept to explain an end without a report.
const LAST_WORDS: usize = 20;

/// Starts workers.
pub trait Launcher: Send + Sync + 'static {
    /// Starts a worker for a job. Called on the runtime; does not block for long.
    ///
    /// # Errors
    /// When no process can be started.
    fn launch(&self, job: JobId, task: WorkerTask) -> io::Result<Worker>;
}

/// A worker that runs.
#[derive(Debug)]
pub struct Worker {
    /// Its process, when it has one of its own.
    pub pid: Option<u32>,
    /// What it says; [`WorkerEvent::Ended`] is the last.
    pub events: mpsc::Receiver<WorkerEvent>,
    /// Takes orders. Dropping it has the worker killed.
    pub orders: mpsc::Sender<Order>,
}

/// What a worker is told after its task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Stop at the next good place (SIGTERM).
    Stop,
    /// Be gone (SIGKILL).
    Kill,
}

/// What comes from a worker.
#[derive(Debug)]
pub enum WorkerEvent {
    /// A report.
    Report(Report),
    /// Its process, when it did not begin with one.
    Started {
        /// The process.
        pid: Option<u32>,
    },
    /// A line it wrote to standard error.
    Line(String),
    /// It ended, and everything it said has been passed on.
    Ended(Ending),
}

/// Starts `vigie-agent worker` processes.
#[derive(Clone, Debug)]
pub struct ProcessLauncher {
    program: PathBuf,
    variables: Vec<(String, String)>,
}

impl ProcessLauncher {
    /// Workers are this very executable, even when its file was replaced meanwhile by an upgrade.
    /// `device` (`cpu`, `cuda:1`) is the only one they see; `threads` bounds their thread pools.
    pub fn new(device: &str, threads: usize) -> Self {
        let visible = device.strip_prefix("cuda:").unwrap_or("");
        Self {
            program: PathBuf::from("/proc/self/exe"),
            variables: vec![
                ("CUDA_DEVICE_ORDER".to_owned(), "PCI_BUS_ID".to_owned()),
                ("CUDA_VISIBLE_DEVICES".to_owned(), visible.to_owned()),
                ("RAYON_NUM_THREADS".to_owned(), threads.to_string()),
            ],
        }
    }
}

impl Launcher for ProcessLauncher {
    fn launch(&self, job: JobId, task: WorkerTask) -> io::Result<Worker> {
        let body = frames::encode(&task).map_err(io::Error::other)?;
        let oom_kills = oom::kills();
        let mut child = Command::new(&self.program)
            .arg0("vigie-agent")
            .arg("worker")
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .env(JOB_VARIABLE, job.to_string())
            .envs(fail_point::bound_to_me())
            // A Ctrl-C in the agent's terminal is for the agent, which then stops its workers.
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        let pid = child.id();
        let pipes = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let (Some(mut stdin), Some(stdout), Some(stderr)) = pipes else {
            return Err(io::Error::other("the worker has no pipes"));
        };
        let (events, inbox) = mpsc::channel(EVENTS);
        // Room for each order; a third would say nothing new.
        let (orders, mut outbox) = mpsc::channel(2);
        tokio::spawn(async move {
            let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_be_bytes();
            // A worker that dies before it has read its task shows that by its end.
            let _ = stdin.write_all(&[&length[..], &body[..]].concat()).await;
            let _ = stdin.flush().await;
            let reports = tokio::spawn(pass_reports(stdout, events.clone()));
            let lines = tokio::spawn(pass_lines(stderr, events.clone()));
            let (status, garbled) = supervise(&mut child, reports, &mut outbox).await;
            // Open until here: its end tells a worker that the agent is gone.
            drop(stdin);
            let last_words = lines.await.unwrap_or_default();
            let oom_kill = oom::kills() > oom_kills;
            let (code, signal) = match status {
                Ok(status) => (status.code(), status.signal()),
                Err(_) => (None, None),
            };
            let ending = Ending { code, signal, oom_kill, garbled, last_words };
            let _ = events.send(WorkerEvent::Ended(ending)).await;
        });
        Ok(Worker { pid, events: inbox, orders })
    }
}

/// Carries orders out until the process has ended and its reports are read. Signals are sent only
/// while the process has not been waited for, so they never reach another one with its number.
async fn supervise(
    child: &mut Child,
    mut reports: tokio::task::JoinHandle<Result<(), String>>,
    orders: &mut mpsc::Receiver<Order>,
) -> (io::Result<ExitStatus>, Option<String>) {
    let mut garbled = None;
    let mut reading = true;
    let status = loop {
        tokio::select! {
            status = child.wait() => break status,
            read = &mut reports, if reading => {
                reading = false;
                if let Ok(Err(why)) = read {
                    garbled = Some(why);
                    let _ = child.start_kill();
                }
            }
            order = orders.recv() => match order {
                Some(Order::Stop) => signal(child, Signal::TERM),
                Some(Order::Kill) | None => {
                    let _ = child.start_kill();
                    break child.wait().await;
                }
            },
        }
    };
    if reading && let Ok(Err(why)) = reports.await {
        garbled = Some(why);
    }
    (status, garbled)
}

fn signal(child: &Child, signal: Signal) {
    let pid = child.id().and_then(|id| i32::try_from(id).ok()).and_then(Pid::from_raw);
    if let Some(pid) = pid {
        // Fails only when it has just ended, which is as good.
        let _ = kill_process(pid, signal);
    }
}

async fn pass_reports(stdout: ChildStdout, events: mpsc::Sender<WorkerEvent>) -> Result<(), String> {
    let codec = LengthDelimitedCodec::builder().max_frame_length(frames::MAX_FRAME).new_codec();
    let mut reports = FramedRead::new(stdout, codec);
    while let Some(frame) = reports.next().await {
        let frame = match frame {
            Ok(frame) => frame,
            // Too long a promise. (A frame that its worker's death cut short is `Other`, and that
            // death explains it.)
            Err(error) if error.kind() == io::ErrorKind::InvalidData => return Err(error.to_string()),
            Err(_) => return Ok(()),
        };
        let report: Report = frames::decode(&frame).map_err(|error| error.to_string())?;
        if events.send(WorkerEvent::Report(report)).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

async fn pass_lines(stderr: impl AsyncRead + Unpin, events: mpsc::Sender<WorkerEvent>) -> Vec<String> {
    let mut lines = Lines::new(stderr);
    let mut last = std::collections::VecDeque::with_capacity(LAST_WORDS);
    while let Some(line) = lines.next().await {
        if last.len() == LAST_WORDS {
            last.pop_front();
        }
        last.push_back(line.clone());
        if events.send(WorkerEvent::Line(line)).await.is_err() {
            break;
        }
    }
    last.into()
}
