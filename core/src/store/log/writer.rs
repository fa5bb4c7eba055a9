//! The thread that writes the prediction log: many records, one durable commit.
//!
//! Serving hands a record over and goes on. A full queue, because the disk is slow or refuses,
//! sheds records and counts them: answers never wait for their log.

use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError, SyncSender};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use vigie_protocol::ProjectName;
use vigie_protocol::prediction::{LogHealth, Prediction};

use crate::store::{PredictionLog, Result, StoreError};

/// Records that usually may wait for the writer: some 8 MB, and less than a second at the rate it
/// writes.
pub const QUEUE_RECORDS: usize = 8_192;
/// The longest a record waits for others to share its commit. With what its picture may have waited
/// before, no more than the 50 ms that a crash may cost.
pub const WINDOW: Duration = Duration::from_millis(30);

const GROUP_RECORDS: usize = 1_000;
/// Between two attempts while the disk refuses: doubled from the first to the last.
const RETRY_FIRST: Duration = Duration::from_millis(100);
const RETRY_LAST: Duration = Duration::from_secs(5);

type Record = (ProjectName, Prediction);

/// Told of every group once it is durable, on the log's thread; what it takes, the next group waits.
pub type Logged = Box<dyn FnMut(&[(ProjectName, Prediction)]) + Send>;

/// Hands predictions to the log's thread. Dropping it writes what is queued and ends the thread.
pub struct LogWriter {
    queue: Option<SyncSender<Record>>,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

#[derive(Default)]
struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// Records taken into the queue.
    accepted: u64,
    /// Of which durable or given up.
    settled: u64,
    /// Records dropped, at the door or given up.
    shed: u64,
    /// Why the last attempt failed, while it does.
    error: Option<String>,
    closing: bool,
}

impl LogWriter {
    /// Starts the thread. `waiting` records may wait for it, [`QUEUE_RECORDS`] as a rule.
    ///
    /// # Errors
    /// [`StoreError::Io`] when the system has no thread left.
    pub fn start(log: Arc<dyn PredictionLog>, waiting: usize) -> Result<Self> {
        Self::start_and_tell(log, waiting, Box::new(|_| {}))
    }

    /// As [`LogWriter::start`]; `logged` is told of what became durable.
    ///
    /// # Errors
    /// As [`LogWriter::start`].
    pub fn start_and_tell(log: Arc<dyn PredictionLog>, waiting: usize, logged: Logged) -> Result<Self> {
        let (queue, records) = mpsc::sync_channel(waiting);
        let shared = Arc::new(Shared::default());
        let writer = Writer { log, records, shared: shared.clone(), logged };
        let thread = thread::Builder::new()
            .name("prediction-log".to_owned())
            .spawn(move || writer.run())
            .map_err(|source| StoreError::Io { what: "starting the log's thread".to_owned(), source })?;
        Ok(Self { queue: Some(queue), shared, thread: Some(thread) })
    }

    /// Queues a record. Never waits; `false` when the record was shed.
    pub fn submit(&self, project: ProjectName, prediction: Prediction) -> bool {
        let mut state = self.shared.lock();
        let taken = self.queue.as_ref().is_some_and(|queue| queue.try_send((project, prediction)).is_ok());
        if taken {
            state.accepted += 1;
        } else {
            state.shed += 1;
        }
        taken
    }

    /// How well the log keeps up.
    pub fn health(&self) -> LogHealth {
        let state = self.shared.lock();
        LogHealth {
            pending: state.accepted.saturating_sub(state.settled),
            shed: state.shed,
            window_ms: u32::try_from(WINDOW.as_millis()).unwrap_or(u32::MAX),
        }
    }

    /// Why the disk refuses, while it does.
    pub fn error(&self) -> Option<String> {
        self.shared.lock().error.clone()
    }

    /// Waits until everything submitted so far is durable; `false` when that took longer than
    /// `timeout`.
    pub fn flush(&self, timeout: Duration) -> bool {
        let state = self.shared.lock();
        let goal = state.accepted;
        let (state, _) = self
            .shared
            .changed
            .wait_timeout_while(state, timeout, |state| state.settled < goal)
            .unwrap_or_else(PoisonError::into_inner);
        state.settled >= goal
    }
}

impl Drop for LogWriter {
    fn drop(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_all();
        drop(self.queue.take());
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the prediction log's thread panicked");
        }
    }
}

impl fmt::Debug for LogWriter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LogWriter").field("health", &self.health()).finish_non_exhaustive()
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

struct Writer {
    log: Arc<dyn PredictionLog>,
    records: Receiver<Record>,
    shared: Arc<Shared>,
    logged: Logged,
}

impl Writer {
    /// Ends when the queue is closed and empty.
    fn run(mut self) {
        while let Ok(first) = self.records.recv() {
            let group = self.gather(first);
            let durable = self.append(&group);
            if durable && catch_unwind(AssertUnwindSafe(|| (self.logged)(&group))).is_err() {
                tracing::error!(records = group.len(), "whoever is told of what was logged panicked");
            }
            let mut state = self.shared.lock();
            state.settled += group.len() as u64;
            if !durable {
                state.shed += group.len() as u64;
            }
            drop(state);
            self.shared.changed.notify_all();
        }
    }

    /// Waits for more records until the group is full or its time is up.
    fn gather(&self, first: Record) -> Vec<Record> {
        let mut group = vec![first];
        let deadline = Instant::now() + WINDOW;
        while group.len() < GROUP_RECORDS {
            match self.records.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(record) => group.push(record),
                Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
            }
        }
        group
    }

    /// Tries until the group is durable; gives it up only when the writer closes.
    fn append(&self, group: &[Record]) -> bool {
        let mut pause = RETRY_FIRST;
        loop {
            let Err(error) = self.try_append(group) else {
                self.shared.lock().error = None;
                return true;
            };
            let text = with_source(&error);
            tracing::warn!(error = text, records = group.len(), "the prediction log could not be written");
            let mut state = self.shared.lock();
            state.error = Some(text);
            let (state, _) = self
                .shared
                .changed
                .wait_timeout_while(state, pause, |state| !state.closing)
                .unwrap_or_else(PoisonError::into_inner);
            if state.closing {
                drop(state);
                return self.try_append(group).is_ok();
            }
            pause = (pause * 2).min(RETRY_LAST);
        }
    }

    /// A panic is a failure like any other: without its thread the log would shed all that comes, and
    /// nobody would hear of it.
    fn try_append(&self, group: &[Record]) -> Result<()> {
        catch_unwind(AssertUnwindSafe(|| self.log.append(group))).unwrap_or_else(|_| {
            let what = "the prediction log".to_owned();
            Err(StoreError::Database { what, detail: "writing it panicked".to_owned() })
        })
    }
}

fn with_source(error: &StoreError) -> String {
    match std::error::Error::source(error) {
        Some(source) => format!("{error}: {source}"),
        None => error.to_string(),
    }
}
