//! One attempt at a job: listens to its worker, writes the job's log, passes on what matters.

use tokio::sync::mpsc;
use vigie_protocol::job::LogLine;
use vigie_protocol::run::EpochMetrics;
use vigie_protocol::{JobId, Time};

use super::ending::{Ending, Verdict};
use super::launch::WorkerEvent;
use super::log::JobLogs;
use crate::worker::Report;

/// Events that are taken at once: lines that come together are written together.
const TOGETHER: usize = 64;

/// News of an attempt, for the engine.
#[derive(Debug)]
pub(super) struct News {
    pub(super) job: JobId,
    /// Which attempt: news of an earlier one is void.
    pub(super) attempt: u32,
    pub(super) what: What,
}

#[derive(Debug)]
pub(super) enum What {
    Step { stage: String, done: u64, total: u64, unit: String, fraction: f32 },
    Epoch(EpochMetrics),
    Started { pid: Option<u32> },
    Ended { ending: Ending, verdict: Option<Box<Verdict>> },
}

/// Follows a worker to its end.
pub(super) async fn follow(
    job: JobId,
    attempt: u32,
    mut events: mpsc::Receiver<WorkerEvent>,
    logs: JobLogs,
    news: mpsc::Sender<News>,
) {
    let tell = |what| news.send(News { job, attempt, what });
    let mut verdict = None;
    let mut batch = Vec::with_capacity(TOGETHER);
    while events.recv_many(&mut batch, TOGETHER).await > 0 {
        let mut lines = Vec::new();
        let mut end = None;
        for event in batch.drain(..) {
            match event {
                WorkerEvent::Started { pid } => {
                    let _ = tell(What::Started { pid }).await;
                }
                WorkerEvent::Line(text) => lines.push(line("info", text)),
                WorkerEvent::Report(Report::Note { level, text }) => lines.push(line(&level, text)),
                WorkerEvent::Report(Report::Step { stage, done, total, unit, fraction }) => {
                    let _ = tell(What::Step { stage, done, total, unit, fraction }).await;
                }
                WorkerEvent::Report(Report::Epoch { metrics }) => {
                    let _ = tell(What::Epoch(metrics)).await;
                }
                WorkerEvent::Report(Report::Done { done }) => verdict = Some(Ok(*done)),
                WorkerEvent::Report(Report::Failed { failure }) => verdict = Some(Err(failure)),
                WorkerEvent::Ended(ending) => end = Some(ending),
            }
        }
        write(&logs, job, lines).await;
        if let Some(ending) = end {
            let _ = tell(What::Ended { ending, verdict: verdict.map(Box::new) }).await;
            return;
        }
    }
    // The launcher gave up on it without a word.
    let ending = Ending { garbled: Some("nothing more came".to_owned()), ..Ending::default() };
    let _ = tell(What::Ended { ending, verdict: verdict.map(Box::new) }).await;
}

/// A line of a job's log, as of now.
pub(super) fn line(level: &str, text: String) -> LogLine {
    LogLine { at: Time::now(), level: level.to_owned(), text }
}

/// Writes lines to a job's log. A log that cannot be written stops no job.
pub(super) async fn write(logs: &JobLogs, job: JobId, lines: Vec<LogLine>) {
    if lines.is_empty() {
        return;
    }
    let logs = logs.clone();
    match tokio::task::spawn_blocking(move || logs.append(job, &lines)).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::warn!(%job, %error, "cannot write the job's log"),
        Err(error) => tracing::warn!(%job, %error, "writing the job's log failed"),
    }
}
