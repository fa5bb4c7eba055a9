//! A store in a temporary folder, workers that do what the test says, a sink that remembers.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use tokio::sync::{Mutex as AsyncMutex, mpsc, watch};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vigie_core::store::catalog::{Catalog, EventDraft, Receipt};
use vigie_core::store::facts::RedbFacts;
use vigie_core::store::{self, Batch, Fact, Facts, StoreError};
use vigie_protocol::blob::GcReport;
use vigie_protocol::dataset::{ClassChange, DatasetRef, Lineage, SplitCounts};
use vigie_protocol::event::Event;
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{FailureCause, ImportSource, Job, JobFailure, JobSpec, JobState};
use vigie_protocol::project::Project;
use vigie_protocol::review::FindingCounts;
use vigie_protocol::run::{EpochMetrics, Recipe};
use vigie_protocol::service::TrainSubmitted;
use vigie_protocol::{Hash, IdempotencyKey, JobId, ProjectName, Time};

use super::super::*;
use crate::worker::{Proposed, Report, WorkDone, WorkerTask};

/// A worker that was launched.
pub(super) struct Launched {
    pub(super) job: JobId,
    pub(super) task: WorkerTask,
    pub(super) orders: mpsc::Receiver<Order>,
    events: mpsc::Sender<WorkerEvent>,
}

impl Launched {
    pub(super) async fn say(&self, report: Report) {
        self.events.send(WorkerEvent::Report(report)).await.unwrap();
    }

    pub(super) async fn print(&self, line: &str) {
        self.events.send(WorkerEvent::Line(line.to_owned())).await.unwrap();
    }

    pub(super) async fn step(&self, fraction: f32) {
        let (stage, unit) = ("reading".to_owned(), "images".to_owned());
        self.say(Report::Step { stage, done: 1, total: 2, unit, fraction }).await;
    }

    pub(super) async fn done(self, done: WorkDone) {
        self.say(Report::Done { done: Box::new(done) }).await;
        self.end(Ending { code: Some(0), ..Ending::default() }).await;
    }

    pub(super) async fn fail(self, cause: FailureCause, message: &str) {
        let failure = JobFailure { cause, message: message.to_owned(), hint: None };
        self.say(Report::Failed { failure }).await;
        self.end(Ending { code: Some(1), ..Ending::default() }).await;
    }

    pub(super) async fn killed(self) {
        self.end(Ending { signal: Some(9), ..Ending::default() }).await;
    }

    pub(super) async fn end(self, ending: Ending) {
        self.events.send(WorkerEvent::Ended(ending)).await.unwrap();
    }
}

struct Script(mpsc::UnboundedSender<Launched>);

impl Launcher for Script {
    fn launch(&self, job: JobId, task: WorkerTask) -> io::Result<Worker> {
        let (events, inbox) = mpsc::channel(8);
        let (orders, outbox) = mpsc::channel(2);
        let launched = Launched { job, task, orders: outbox, events };
        self.0.send(launched).map_err(|_| io::Error::other("the test is over"))?;
        Ok(Worker { pid: Some(4), events: inbox, orders })
    }
}

/// Remembers the newest row of each job, and events.
pub(super) struct Memory {
    pub(super) events: Mutex<Vec<String>>,
    changes: watch::Sender<u64>,
}

impl EventSink for Memory {
    fn event(&self, draft: EventDraft) {
        self.events.lock().unwrap().push(draft.text);
    }

    fn recorded(&self, event: Event) {
        self.events.lock().unwrap().push(event.text);
    }

    fn job(&self, _: &Job) {
        self.changes.send_modify(|count| *count += 1);
    }
}

/// Facts on a disk that may be full.
struct Disk {
    facts: RedbFacts,
    full: AtomicBool,
}

impl Facts for Disk {
    fn get(&self, key: &[u8]) -> Result<Option<Fact>, StoreError> {
        self.facts.get(key)
    }

    fn scan(
        &self,
        prefix: &[u8],
        after: Option<&[u8]>,
        order: store::Order,
        limit: usize,
    ) -> Result<Vec<(Vec<u8>, Fact)>, StoreError> {
        self.facts.scan(prefix, after, order, limit)
    }

    fn commit(&self, batch: &Batch) -> Result<u64, StoreError> {
        if self.full.load(Ordering::Relaxed) {
            let what = "committing".to_owned();
            return Err(StoreError::Io { what, source: io::ErrorKind::StorageFull.into() });
        }
        self.facts.commit(batch)
    }
}

pub(super) struct World {
    pub(super) folder: tempfile::TempDir,
    pub(super) catalog: Catalog,
    pub(super) jobs: JobsHandle,
    pub(super) memory: Arc<Memory>,
    disk: Arc<Disk>,
    workers: AsyncMutex<mpsc::UnboundedReceiver<Launched>>,
    engine: JoinHandle<()>,
    shutdown: CancellationToken,
}

pub(super) fn birds() -> ProjectName {
    "birds".parse().unwrap()
}

pub(super) fn receipt(method: &'static str) -> Receipt {
    Receipt { key: IdempotencyKey::new(), method, request: None, at: Time::now(), audit: None }
}

impl World {
    pub(super) fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let facts = RedbFacts::open(&folder.path().join("meta.redb"), None).unwrap();
        let disk = Arc::new(Disk { facts, full: AtomicBool::new(false) });
        let catalog = Catalog::new(disk.clone());
        let project = Project::new(birds(), Time::now(), "ada");
        catalog.create_project(&project, None).unwrap();
        std::fs::create_dir(folder.path().join("weights")).unwrap();
        std::fs::write(folder.path().join("weights/efficientnet-lite0.safetensors"), b"").unwrap();
        Self::begin(folder, catalog, disk)
    }

    fn begin(folder: tempfile::TempDir, catalog: Catalog, disk: Arc<Disk>) -> Self {
        let (sender, workers) = mpsc::unbounded_channel();
        let memory = Arc::new(Memory { events: Mutex::default(), changes: watch::Sender::new(0) });
        let collector: Collector =
            Arc::new(|dry_run| Ok(GcReport { orphans: 3, removed: !dry_run, ..GcReport::default() }));
        let sink: Arc<dyn EventSink> = memory.clone();
        let (engine, jobs) = JobEngine::with_launcher(
            JobOptions::new(folder.path()),
            catalog.clone(),
            Arc::new(Script(sender)),
            collector,
            sink,
        )
        .unwrap();
        let shutdown = CancellationToken::new();
        let engine = tokio::spawn(engine.run(shutdown.clone()));
        Self { folder, catalog, jobs, memory, disk, workers: AsyncMutex::new(workers), engine, shutdown }
    }

    /// Whether the disk takes nothing more.
    pub(super) fn disk_is_full(&self, full: bool) {
        self.disk.full.store(full, Ordering::Relaxed);
    }

    /// The agent dies without a word, and another one starts on its state.
    pub(super) async fn killed_and_started(self) -> Self {
        self.engine.abort();
        assert!(self.engine.await.unwrap_err().is_cancelled());
        Self::begin(self.folder, self.catalog, self.disk)
    }

    /// The agent is asked to stop; `meanwhile` runs while it does.
    pub(super) async fn stopped_and_started(self, meanwhile: impl Future<Output = ()>) -> Self {
        self.shutdown.cancel();
        let (ended, ()) = tokio::join!(self.engine, meanwhile);
        ended.unwrap();
        Self::begin(self.folder, self.catalog, self.disk)
    }

    /// The next worker that the engine launches.
    pub(super) async fn worker(&self) -> Launched {
        self.workers.lock().await.recv().await.unwrap()
    }

    pub(super) async fn no_worker(&self) {
        assert!(self.workers.lock().await.try_recv().is_err(), "a worker was launched");
    }

    pub(super) async fn import(&self, lineage: Lineage, after: &[JobId]) -> JobId {
        let source = ImportSource::Path { path: "/pictures/birds.zip".to_owned() };
        self.submit(
            JobSpec::Import { source, lineage, accept: true, options: ImportOptions::default() },
            after,
        )
        .await
    }

    pub(super) async fn submit(&self, spec: JobSpec, after: &[JobId]) -> JobId {
        let project = (!matches!(spec, JobSpec::Gc { .. })).then(birds);
        let draft = JobDraft { project, spec, after: after.to_vec(), by: "ada".to_owned() };
        self.jobs.submit(draft, None).await.unwrap().id
    }

    /// A training on a version that is made for it.
    pub(super) async fn train(&self) -> TrainSubmitted {
        let import = self.import(Lineage::Reference, &[]).await;
        self.worker().await.done(proposed("training")).await;
        self.until(import, |job| job.state == JobState::Succeeded).await;
        let draft = TrainDraft {
            project: birds(),
            dataset: DatasetRef { lineage: Lineage::Reference, number: 1 },
            recipe: Recipe::default(),
            after: Vec::new(),
            by: "ada".to_owned(),
        };
        self.jobs.submit_training(draft, Some(receipt("train_submit"))).await.unwrap()
    }

    /// Waits until a job's newest row is as wanted, and returns it.
    pub(super) async fn until(&self, id: JobId, wanted: impl Fn(&Job) -> bool) -> Job {
        let mut changes = self.memory.changes.subscribe();
        let patience = tokio::time::Duration::from_secs(3_600);
        tokio::time::timeout(patience, async {
            loop {
                changes.mark_unchanged();
                let job = self.jobs.get(id).await.unwrap();
                if wanted(&job) {
                    return job;
                }
                changes.changed().await.unwrap();
            }
        })
        .await
        .unwrap()
    }

    pub(super) async fn log(&self, id: JobId) -> String {
        let page = self.jobs.log(id, 0).await.unwrap();
        page.lines.into_iter().map(|line| line.text + "\n").collect()
    }
}

/// Two owls and a manifest of this name.
pub(super) fn proposed(name: &str) -> WorkDone {
    let added = ClassChange { added: 2, ..ClassChange::default() };
    WorkDone::Proposed(Proposed {
        manifest: Hash::of(name.as_bytes()),
        classes: [("owl".to_owned(), added)].into(),
        result: [("owl".to_owned(), SplitCounts { train: 2, valid: 0, test: 0 })].into(),
        bytes: 10,
        unchanged: 0,
        duplicates: 0,
        quarantine: Vec::new(),
        quarantined: 0,
        waiting: Vec::new(),
        renames: Vec::new(),
        findings: FindingCounts::default(),
    })
}

pub(super) fn epoch(epoch: u32, valid_loss: f64) -> EpochMetrics {
    EpochMetrics {
        epoch,
        train_loss: 1.0,
        valid_loss,
        valid_accuracy: 0.5,
        learning_rate: 1e-3,
        seconds: 1.5,
        at: Time::now(),
    }
}
