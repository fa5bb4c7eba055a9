//! What a download says on its way: the same reports as a worker's.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;

use crate::jobs::WorkerEvent;
use crate::worker::Report;

/// Share of an import that its download is.
pub(super) const SHARE: f32 = 0.5;

/// The least time between two steps that are told.
const STEP_INTERVAL: Duration = Duration::from_millis(100);

/// Tells whoever follows the job.
#[derive(Debug)]
pub(super) struct Teller {
    events: mpsc::Sender<WorkerEvent>,
    told: Option<Instant>,
}

impl Teller {
    pub(super) fn new(events: mpsc::Sender<WorkerEvent>) -> Self {
        Self { events, told: None }
    }

    /// So many bytes came, of so many if that is known.
    pub(super) async fn step(&mut self, done: u64, total: Option<u64>) {
        let now = Instant::now();
        let due = self.told.is_none_or(|told| now.duration_since(told) >= STEP_INTERVAL);
        if !due && total != Some(done) {
            return;
        }
        self.told = Some(now);
        let fraction = match total {
            Some(total) if total > 0 => SHARE * (done as f64 / total as f64).min(1.0) as f32,
            _ => 0.0,
        };
        let (stage, unit) = ("downloading".to_owned(), "bytes".to_owned());
        self.tell(Report::Step { stage, done, total: total.unwrap_or(0), unit, fraction }).await;
    }

    /// A line for the job's log.
    pub(super) async fn note(&self, text: &str) {
        self.tell(Report::Note { level: "info".to_owned(), text: text.to_owned() }).await;
    }

    /// A line that someone should see.
    pub(super) async fn warn(&self, text: &str) {
        self.tell(Report::Note { level: "warn".to_owned(), text: text.to_owned() }).await;
    }

    async fn tell(&self, report: Report) {
        // Nobody follows when the engine is gone; the download then ends with it.
        let _ = self.events.send(WorkerEvent::Report(report)).await;
    }
}
