//! The engine's state and its loop.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Arc, PoisonError};
use std::time::Duration;
use std::{fs, io};

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use vigie_core::store::StoreError;
use vigie_core::store::catalog::{Catalog, EventDraft};
use vigie_protocol::blob::GcReport;
use vigie_protocol::event::{Event, Severity, Subject};
use vigie_protocol::job::{Job, JobFailure, JobSpec, JobState, Lease};
use vigie_protocol::{JobId, Time};

use super::attempt::{self, News, What};
use super::eta::{Eta, Rate};
use super::handle::{Command, JobsHandle, Live};
use super::land::Happened;
use super::launch::{Launcher, Order};
use super::log::JobLogs;
use super::options::JobOptions;
use super::retry::Failures;

/// Requests that wait for the engine: a burst of a console's clicks, not a queue of work.
const COMMANDS: usize = 64;

/// News of all attempts; workers throttle themselves, and a full channel slows them down.
const NEWS: usize = 256;

/// Progress is on disk this often.
const SAVE_PROGRESS: Duration = Duration::from_secs(5);

/// Pause before a row that the store refused is tried again.
const SAVE_AGAIN: Duration = Duration::from_secs(1);

/// Who is told what happens. Called by the engine's task, in order; may take as long as a commit.
pub trait EventSink: Send + Sync + 'static {
    /// Something happened: to be recorded and told to watchers.
    fn event(&self, draft: EventDraft);
    /// Something happened and is recorded: to be told to watchers.
    fn recorded(&self, event: Event);
    /// A job's newest row.
    fn job(&self, job: &Job);
}

/// Collects garbage: only reports when the argument (`dry_run`) says so. Blocks.
pub type Collector = Arc<dyn Fn(bool) -> Result<GcReport, StoreError> + Send + Sync>;

/// Owns every job that has not ended.
pub struct JobEngine {
    pub(super) options: JobOptions,
    pub(super) catalog: Catalog,
    pub(super) launcher: Arc<dyn Launcher>,
    pub(super) collector: Collector,
    pub(super) sink: Arc<dyn EventSink>,
    pub(super) logs: JobLogs,
    pub(super) live: Live,
    /// By identity, hence oldest first.
    pub(super) jobs: BTreeMap<JobId, Active>,
    pub(super) draining: bool,
    pub(super) news_sender: mpsc::Sender<News>,
    commands: mpsc::Receiver<Command>,
    news: mpsc::Receiver<News>,
}

/// A job that has not ended.
pub(super) struct Active {
    pub(super) job: Job,
    /// Jobs that must succeed first and have not yet.
    pub(super) pending: BTreeSet<JobId>,
    /// What it claims; known once nothing is pending.
    pub(super) resources: Option<Vec<String>>,
    /// What the store may hold for it, until it has taken it back.
    pub(super) held: Vec<String>,
    /// No attempt before this moment.
    pub(super) backoff: Option<(Instant, Time)>,
    pub(super) failures: Failures,
    pub(super) attempt: Option<Attempt>,
    /// Why it cannot begin any more: a job it needed failed.
    pub(super) doomed: Option<JobFailure>,
    /// Since when the store lacks something that matters: its newest row, or that its leases are given
    /// back.
    pub(super) unsaved: Option<Instant>,
}

/// An attempt under way.
pub(super) struct Attempt {
    pub(super) leases: Vec<Lease>,
    /// The version that a proposal is made against.
    pub(super) base: Option<u32>,
    /// Orders to the worker; garbage collection takes none.
    pub(super) orders: Option<mpsc::Sender<Order>>,
    pub(super) began: Instant,
    pub(super) eta: Eta,
    /// Of its present stage.
    pub(super) rate: Rate,
    pub(super) saved: Instant,
    /// Whether an epoch became durable.
    pub(super) got_further: bool,
    /// Whether its worker said how far it is.
    pub(super) stepped: bool,
    /// Whether it was asked to stop.
    pub(super) stopping: bool,
    /// When a worker that was asked to stop is killed.
    pub(super) kill_at: Option<Instant>,
}

impl Active {
    pub(super) fn new(job: Job, pending: BTreeSet<JobId>) -> Self {
        Self {
            job,
            pending,
            resources: None,
            held: Vec::new(),
            backoff: None,
            failures: Failures::default(),
            attempt: None,
            doomed: None,
            unsaved: None,
        }
    }
}

impl Attempt {
    /// Asks the worker to stop, and to be killed when it has not by `kill_at`.
    pub(super) fn stop(&mut self, kill_at: Instant) {
        self.stopping = true;
        if let Some(orders) = &self.orders {
            self.kill_at = Some(kill_at);
            // It is empty before the first order.
            let _ = orders.try_send(Order::Stop);
        }
    }
}

impl JobEngine {
    /// An engine that starts its workers with `launcher`, and the handle to it. Nothing happens
    /// before [`JobEngine::run`].
    ///
    /// # Errors
    /// When the folder of the job logs cannot be made.
    pub fn with_launcher(
        options: JobOptions,
        catalog: Catalog,
        launcher: Arc<dyn Launcher>,
        collector: Collector,
        sink: Arc<dyn EventSink>,
    ) -> io::Result<(Self, JobsHandle)> {
        let logs = JobLogs::open(&options.logs())?;
        let live = Live::default();
        let (sender, commands) = mpsc::channel(COMMANDS);
        let (news_sender, news) = mpsc::channel(NEWS);
        let handle = JobsHandle {
            commands: sender,
            catalog: catalog.clone(),
            logs: logs.clone(),
            live: Arc::clone(&live),
        };
        let engine = Self {
            options,
            catalog,
            launcher,
            collector,
            sink,
            logs,
            live,
            jobs: BTreeMap::new(),
            draining: false,
            news_sender,
            commands,
            news,
        };
        Ok((engine, handle))
    }

    /// Takes up unfinished jobs, then works until `shutdown`; then stops its workers, whose jobs
    /// are queued for the next start.
    pub async fn run(mut self, shutdown: CancellationToken) {
        if let Err(error) = self.recover().await {
            tracing::error!(%error, "unfinished jobs cannot be taken up");
        }
        let mut asked = true;
        let mut drained_by = None;
        loop {
            self.start_what_may().await;
            if self.draining && self.running() == 0 {
                break;
            }
            let wake = self.next_wake();
            tokio::select! {
                () = shutdown.cancelled(), if !self.draining => {
                    drained_by = Some(Instant::now() + self.options.drain_grace + SAVE_AGAIN * 2);
                    self.drain().await;
                }
                Some(news) = self.news.recv() => self.hear(news).await,
                command = self.commands.recv(), if asked => match command {
                    Some(command) => self.obey(command).await,
                    None => asked = false,
                },
                () = sleep_until(wake) => self.on_time().await,
                () = sleep_until(drained_by) => break,
            }
        }
        // What did not end in time is taken up at the next start as after a crash.
        self.save_unsaved().await;
    }

    pub(super) fn running(&self) -> usize {
        self.jobs.values().filter(|active| active.attempt.is_some()).count()
    }

    /// The nearest moment at which time alone changes something.
    fn next_wake(&self) -> Option<Instant> {
        let moments = self.jobs.values().flat_map(|active| {
            let kill = active.attempt.as_ref().and_then(|attempt| attempt.kill_at);
            let save = active.unsaved.map(|since| since + SAVE_AGAIN);
            let backoff = active.backoff.filter(|_| !self.draining).map(|(moment, _)| moment);
            [kill, save, backoff].into_iter().flatten()
        });
        moments.min()
    }

    async fn on_time(&mut self) {
        let now = Instant::now();
        for active in self.jobs.values_mut() {
            if active.backoff.is_some_and(|(moment, _)| moment <= now) {
                active.backoff = None;
            }
            if let Some(attempt) = &mut active.attempt
                && attempt.kill_at.is_some_and(|moment| moment <= now)
            {
                attempt.kill_at = None;
                if let Some(orders) = &attempt.orders {
                    // Full only when the same order is in it.
                    let _ = orders.try_send(Order::Kill);
                }
            }
        }
        if self.jobs.values().any(|active| active.unsaved.is_some_and(|since| since + SAVE_AGAIN <= now)) {
            self.save_unsaved().await;
        }
    }

    async fn hear(&mut self, news: News) {
        let News { job: id, attempt: number, what } = news;
        let current = self
            .jobs
            .get(&id)
            .is_some_and(|active| active.attempt.is_some() && active.job.attempts == number);
        if !current {
            tracing::debug!(job = %id, number, "news of an earlier attempt is void");
            return;
        }
        match what {
            What::Step { stage, done, total, unit, fraction } => {
                self.step(id, stage, done, total, unit, fraction).await;
            }
            What::Epoch(metrics) => self.epoch(id, metrics).await,
            What::Started { pid } => {
                if let Some(active) = self.jobs.get_mut(&id) {
                    active.job.worker_pid = pid;
                }
                self.publish(id);
            }
            What::Ended { ending, verdict } => self.ended(id, &ending, verdict.map(|of| *of)).await,
        }
    }

    async fn step(&mut self, id: JobId, stage: String, done: u64, total: u64, unit: String, fraction: f32) {
        let Some(active) = self.jobs.get_mut(&id) else { return };
        let Some(attempt) = &mut active.attempt else { return };
        let progress = &mut active.job.progress;
        let fraction = if fraction.is_finite() { fraction.clamp(0.0, 1.0) } else { 0.0 };
        // The first step of an attempt may lie behind where the one before ended.
        let first = !std::mem::replace(&mut attempt.stepped, true);
        progress.fraction = if first { fraction } else { fraction.max(progress.fraction) };
        let elapsed = attempt.began.elapsed();
        progress.eta_s = attempt.eta.observe(elapsed, progress.fraction);
        if progress.stage != stage || progress.done > done {
            attempt.rate = Rate::default();
        }
        progress.rate = attempt.rate.observe(elapsed, done);
        (progress.stage, progress.done, progress.total, progress.unit) = (stage, done, total, unit);
        let save = first || attempt.saved.elapsed() >= SAVE_PROGRESS;
        if save {
            attempt.saved = Instant::now();
        }
        self.publish(id);
        if save {
            self.save(id).await;
        }
    }

    /// Stops everything that runs, to be queued again.
    async fn drain(&mut self) {
        self.draining = true;
        let kill_at = Instant::now() + self.options.drain_grace;
        for active in self.jobs.values_mut() {
            if let Some(attempt) = &mut active.attempt
                && !attempt.stopping
            {
                attempt.stop(kill_at);
            }
        }
        tracing::info!(running = self.running(), "stopping the workers");
    }

    /// Shows a job's newest row to those who read and watch.
    pub(super) fn publish(&self, id: JobId) {
        if let Some(active) = self.jobs.get(&id) {
            let mut live = self.live.write().unwrap_or_else(PoisonError::into_inner);
            live.insert(id, active.job.clone());
            drop(live);
            self.sink.job(&active.job);
        }
    }

    /// Changes a job's state, everywhere: in memory, on disk, to those who watch.
    pub(super) async fn change_state(&mut self, id: JobId, state: JobState, text: String) {
        let Some(active) = self.jobs.get_mut(&id) else { return };
        let job = &mut active.job;
        job.state = state;
        job.generation += 1;
        if state != JobState::Queued {
            job.waits_for.clear();
        }
        if state.is_final() {
            job.finished = Some(Time::now());
            (job.progress.eta_s, job.progress.rate) = (None, None);
        }
        active.unsaved = Some(Instant::now());
        let severity = match state {
            JobState::Failed => Severity::Error,
            // Queued again after an attempt that failed.
            JobState::Queued if job.failure.is_some() => Severity::Warning,
            _ => Severity::Info,
        };
        let level = match severity {
            Severity::Info => "info",
            Severity::Warning => "warn",
            Severity::Error | Severity::Unknown => "error",
        };
        let draft = EventDraft {
            at: Time::now(),
            project: job.project.clone(),
            severity,
            subject: Subject::Job { job: id, state },
            text: format!("{}: {text}", job.name()),
        };
        attempt::write(&self.logs, id, vec![attempt::line(level, text)]).await;
        self.save(id).await;
        if state.is_final() || state == JobState::Queued {
            // Before anyone hears of it: whoever then asks for the same resource finds it free.
            self.release(id).await;
        }
        self.publish(id);
        self.tell(Happened::New(draft)).await;
        if state.is_final() {
            self.settle_dependants(id, state);
            self.forget_if_settled(id);
        }
    }

    /// Records and tells an event.
    pub(super) async fn tell(&self, happened: Happened) {
        let sink = Arc::clone(&self.sink);
        let told = tokio::task::spawn_blocking(move || match happened {
            Happened::New(draft) => sink.event(draft),
            Happened::Recorded(event) => sink.recorded(event),
        })
        .await;
        if let Err(error) = told {
            tracing::error!(%error, "an event was lost");
        }
    }

    /// Writes a job's row. What the store refuses is tried again.
    pub(super) async fn save(&mut self, id: JobId) {
        let Some(active) = self.jobs.get_mut(&id) else { return };
        let row = active.job.clone();
        let saved = self.store(move |catalog| catalog.save_job(&row)).await;
        let Some(active) = self.jobs.get_mut(&id) else { return };
        match saved {
            Ok(()) => active.unsaved = None,
            Err(error) => {
                tracing::error!(job = %id, %error, "a job's state cannot be saved; trying again");
                active.unsaved = Some(Instant::now());
            }
        }
    }

    async fn save_unsaved(&mut self) {
        let ids: Vec<JobId> =
            self.jobs.iter().filter(|(_, active)| active.unsaved.is_some()).map(|(&id, _)| id).collect();
        for id in ids {
            self.save(id).await;
            self.release(id).await;
            self.forget_if_settled(id);
        }
    }

    /// A job that ended is the store's once its last row is on disk and its leases are given back.
    fn forget_if_settled(&mut self, id: JobId) {
        let settled =
            self.jobs.get(&id).is_some_and(|active| active.job.state.is_final() && active.unsaved.is_none());
        if settled {
            if let Some(active) = self.jobs.remove(&id)
                && active.job.state == JobState::Succeeded
                && matches!(active.job.spec, JobSpec::Import { .. })
            {
                let journal = self.options.journal(id);
                // One that was cancelled or failed may be asked for again, and goes on then.
                tokio::task::spawn_blocking(move || fs::remove_file(journal));
            }
            self.live.write().unwrap_or_else(PoisonError::into_inner).remove(&id);
        }
    }

    /// Carries out a blocking call of the store.
    pub(super) async fn store<T: Send + 'static>(
        &self,
        call: impl FnOnce(&Catalog) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let catalog = self.catalog.clone();
        match tokio::task::spawn_blocking(move || call(&catalog)).await {
            Ok(answer) => answer,
            Err(error) => Err(StoreError::Database {
                what: "a call of the store".to_owned(),
                detail: error.to_string(),
            }),
        }
    }

    /// Resources and the jobs that have them: those that run on them, and those that could not give them
    /// back yet.
    pub(super) fn held(&self) -> HashMap<String, JobId> {
        let jobs = self.jobs.iter();
        jobs.flat_map(|(&id, active)| active.held.iter().map(move |resource| (resource.clone(), id)))
            .collect()
    }

    pub(super) async fn obey(&mut self, command: Command) {
        // Whoever asked may have gone; what was asked is done all the same.
        match command {
            Command::Submit(draft, receipt, reply) => drop(reply.send(self.submit(draft, receipt).await)),
            Command::SubmitTraining(draft, receipt, reply) => {
                drop(reply.send(self.submit_training(draft, receipt).await));
            }
            Command::Cancel(id, reply) => drop(reply.send(self.cancel(id).await)),
            Command::Retry(id, receipt, reply) => drop(reply.send(self.retry(id, receipt).await)),
        }
    }
}

impl std::fmt::Debug for JobEngine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JobEngine").field("jobs", &self.jobs.len()).finish_non_exhaustive()
    }
}

async fn sleep_until(moment: Option<Instant>) {
    match moment {
        Some(moment) => tokio::time::sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
