//! What the fake agent believes in.

use std::collections::BTreeMap;
use std::sync::Arc;

use tokio::sync::Notify;
use vigie_protocol::access::{Principal, Role};
use vigie_protocol::blob::{BlobChunk, CHUNK_BYTES, UploadStatus};
use vigie_protocol::dataset::{
    ChangeSet, DatasetDifference, DatasetRef, DatasetVersion, Lineage, SplitCounts,
};
use vigie_protocol::event::{Event, Severity, Subject, Update, WatchCursor};
use vigie_protocol::health::{AgentHealth, Finding};
use vigie_protocol::job::{FailureCause, Job, JobFailure, JobOutcome, JobSpec, JobState, Progress};
use vigie_protocol::model::{
    Alias, AliasMove, Architecture, GateCheck, GateVerdict, ModelVersion, MoveKind, Proportion,
};
use vigie_protocol::page::Page;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::project::Project;
use vigie_protocol::run::{EpochMetrics, Run, RunState};
use vigie_protocol::samples::Sample;
use vigie_protocol::service::{
    AgentLog, AgentLogLine, AgentLogPage, AliasMoved, BackupMade, JobLogPage, ModelDetail, TrainSubmitted,
    UploadBegin, VigieRequest, VigieResponse, Watched,
};
use vigie_protocol::{
    AliasName, ApiError, ChangeSetId, ErrorCode, Hash, IdempotencyKey, JobId, ModelNumber, ProjectName,
    RunId, Time, UploadId,
};

use super::values::{CLASSES, changes, page, passport, prediction, project};

pub struct World {
    pub projects: Vec<Project>,
    pub datasets: Vec<DatasetVersion>,
    pub jobs: Vec<Job>,
    pub runs: Vec<Run>,
    pub models: Vec<ModelVersion>,
    pub production: Option<Alias>,
    /// The kinds of the jobs that were asked for.
    pub submitted: Vec<&'static str>,
    /// A kind of job that fails.
    pub fails: Option<&'static str>,
    /// Jobs stay where they are, and a watch waits until something is told.
    pub stands_still: bool,
    /// Whether the gate lets candidates through.
    pub gate_passes: bool,
    /// What the self-check finds.
    pub findings: Vec<Finding>,
    /// How often a promotion asked to override the gate.
    pub overrides: usize,
    /// What somebody else promotes while the gate is asked next.
    pub promoted_meanwhile: Option<ModelNumber>,
    /// What `whoami` answers instead; `Some(None)` is silence.
    pub whoami: Option<Option<ApiError>>,
    /// What happened; a watch tells it once.
    pub events: Vec<Event>,
    /// Told whenever an event is added.
    pub happens: Arc<Notify>,
    /// Blobs, and uploads on their way to be one.
    pub blobs: BTreeMap<Hash, Vec<u8>>,
    uploads: BTreeMap<UploadId, (UploadBegin, Vec<u8>)>,
    /// Every watch says that something was missed.
    pub resyncs: bool,
    /// The agent's start, and what it said since.
    pub log: (u64, Vec<AgentLogLine>),
    /// So many lines were lost before each page.
    pub log_dropped: u64,
    /// The keys under which backups were asked for.
    pub backups: Vec<IdempotencyKey>,
    /// So many of them take longer than the call.
    pub slow_backups: usize,
}

impl World {
    pub fn empty() -> Self {
        Self {
            projects: Vec::new(),
            datasets: Vec::new(),
            jobs: Vec::new(),
            runs: Vec::new(),
            models: Vec::new(),
            production: None,
            submitted: Vec::new(),
            fails: None,
            stands_still: false,
            gate_passes: true,
            findings: Vec::new(),
            overrides: 0,
            promoted_meanwhile: None,
            whoami: None,
            events: Vec::new(),
            happens: Arc::default(),
            blobs: BTreeMap::new(),
            uploads: BTreeMap::new(),
            resyncs: false,
            log: (1, Vec::new()),
            log_dropped: 0,
            backups: Vec::new(),
            slow_backups: 0,
        }
    }

    /// With one project, `birds`.
    pub fn birds() -> Self {
        let mut world = Self::empty();
        world.projects.push(project("birds"));
        world
    }

    /// The answer; nothing at all when the agent is to stay silent.
    pub fn answer(&mut self, request: VigieRequest) -> Option<VigieResponse> {
        use {VigieRequest as Q, VigieResponse as A};
        Some(match request {
            Q::Whoami { .. } => A::Whoami(match self.whoami.clone() {
                None => Ok(Principal {
                    name: "alice".to_owned(),
                    role: Role::Admin,
                    via: "unix socket".to_owned(),
                }),
                Some(Some(error)) => Err(error),
                Some(None) => return None,
            }),
            Q::ProjectList { .. } => A::ProjectList(Ok(self.projects.clone())),
            Q::ProjectGet { request } => {
                let found = self.projects.iter().find(|project| project.name == request.project);
                A::ProjectGet(found.cloned().ok_or_else(|| ApiError::not_found("that project")))
            }
            Q::ProjectCreate { request } => {
                self.projects.push(project(request.name.as_str()));
                A::ProjectCreate(Ok(project(request.name.as_str())))
            }
            Q::DatasetList { request } => {
                let line = self.datasets.iter().rev().filter(|version| {
                    request.lineage.is_none_or(|lineage| version.dataset.lineage == lineage)
                });
                A::DatasetList(Ok(page(line.cloned().collect(), &request.page)))
            }
            Q::DatasetGet { request } => {
                let found = self.datasets.iter().find(|version| version.dataset == request.dataset);
                A::DatasetGet(found.cloned().ok_or_else(|| ApiError::not_found(request.dataset)))
            }
            Q::JobSubmit { request } => {
                let job = self.submit(JobId::new(), request.project, request.spec);
                A::JobSubmit(Ok(job))
            }
            Q::TrainSubmit { request } => {
                let run = RunId::new();
                let id = JobId::new();
                self.runs.push(Run {
                    id: run,
                    job: id,
                    dataset: request.dataset,
                    manifest: Hash::of(b"manifest"),
                    preprocess: PreprocessSpec::for_network(
                        request.recipe.architecture,
                        request.recipe.input,
                    ),
                    recipe: request.recipe.clone(),
                    state: RunState::Running,
                    created: Time::now(),
                    by: "alice".to_owned(),
                    epochs: Vec::new(),
                    best_epoch: None,
                    resumed: 0,
                });
                let spec = JobSpec::Train { dataset: request.dataset, recipe: request.recipe, run };
                A::TrainSubmit(Ok(TrainSubmitted { job: self.submit(id, Some(request.project), spec), run }))
            }
            Q::JobGet { request } => {
                let found = self.jobs.iter().find(|job| job.id == request.job);
                A::JobGet(found.cloned().ok_or_else(|| ApiError::not_found(format!("job {}", request.job))))
            }
            Q::JobList { request } => {
                let wanted = |job: &&Job| request.state.is_none_or(|state| job.state == state);
                A::JobList(Ok(page(self.jobs.iter().rev().filter(wanted).cloned().collect(), &request.page)))
            }
            Q::JobRetry { request } => {
                let job = self.jobs.iter_mut().find(|job| job.id == request.job);
                A::JobRetry(job.ok_or_else(|| ApiError::not_found("that job")).map(|job| {
                    job.state = JobState::Queued;
                    job.clone()
                }))
            }
            Q::Health { .. } => A::Health(Ok(AgentHealth { now: Time::now(), ..AgentHealth::sample() })),
            Q::Doctor { .. } => A::Doctor(Ok(self.findings.clone())),
            Q::AgentLog { request } => A::AgentLog(Ok(self.log(request))),
            Q::DatasetImages { .. } => A::DatasetImages(Ok(Page::whole(Vec::sample()))),
            Q::DatasetDiff { request } => A::DatasetDiff(Ok(DatasetDifference {
                classes: DatasetDifference::sample().classes,
                images: page(changes(&request), &request.page),
            })),
            Q::ChangeSetList { .. } => A::ChangeSetList(Ok(Page::whole(Vec::sample()))),
            Q::ChangeSetGet { .. } => A::ChangeSetGet(Ok(ChangeSet::sample())),
            Q::SourceList { .. } => A::SourceList(Ok(Vec::sample())),
            Q::LeaseList { .. } => A::LeaseList(Ok(Vec::sample())),
            Q::AliasHistory { .. } => A::AliasHistory(Ok(Page::whole(Vec::sample()))),
            Q::PredictionList { .. } => A::PredictionList(Ok(Page::whole(vec![prediction(None)]))),
            Q::PredictionCounts { .. } => A::PredictionCounts(Ok(Vec::sample())),
            Q::JobLog { request } => {
                A::JobLog(Ok(JobLogPage { lines: Vec::new(), offset: request.offset, end: true }))
            }
            Q::RunList { request } => {
                A::RunList(Ok(page(self.runs.iter().rev().cloned().collect(), &request.page)))
            }
            Q::RunGet { request } => {
                let found = self.runs.iter().find(|run| run.id == request.run);
                A::RunGet(found.cloned().ok_or_else(|| ApiError::not_found("that run")))
            }
            Q::ModelList { request } => {
                A::ModelList(Ok(page(self.models.iter().rev().cloned().collect(), &request.page)))
            }
            Q::ModelGet { request } => A::ModelGet(self.model(request.number)),
            Q::GateTest { request } => {
                let verdict = self.verdict(request.candidate);
                if let Some(other) = self.promoted_meanwhile.take() {
                    self.move_alias(other, MoveKind::Promote, None);
                }
                A::GateTest(Ok(verdict))
            }
            Q::AliasList { .. } => A::AliasList(Ok(self.production.clone().into_iter().collect())),
            Q::Promote { request } => {
                self.overrides += usize::from(request.override_gate);
                if let Some(conflict) = self.conflict(request.expected_generation) {
                    return Some(A::Promote(Err(conflict)));
                }
                let verdict = self.verdict(request.candidate);
                let kind = match (verdict.passed(), request.override_gate) {
                    (true, _) => MoveKind::Promote,
                    (false, true) => MoveKind::Override,
                    (false, false) => {
                        let refused = ApiError::new(ErrorCode::GateRefused, "the gate refused");
                        return Some(A::Promote(Err(refused)));
                    }
                };
                A::Promote(Ok(self.move_alias(request.candidate, kind, Some(verdict))))
            }
            Q::Rollback { request } => {
                if let Some(conflict) = request.expected_generation.and_then(|seen| self.conflict(seen)) {
                    return Some(A::Rollback(Err(conflict)));
                }
                let previous = self.production.as_ref().and_then(|alias| alias.previous);
                A::Rollback(match previous {
                    Some(previous) => Ok(self.move_alias(previous, MoveKind::Rollback, None)),
                    None => Err(ApiError::new(ErrorCode::Precondition, "there is no previous holder")),
                })
            }
            Q::Predict { request } => A::Predict(if request.image.starts_with(b"not an image") {
                Err(ApiError::new(ErrorCode::BadImage, "neither JPEG, PNG nor WebP"))
            } else {
                Ok(prediction(request.name))
            }),
            Q::PredictionGet { request } => {
                let mut found = prediction(None);
                found.id = request.prediction;
                A::PredictionGet(Ok(found))
            }
            Q::UploadBegin { request } => {
                let upload = UploadId::new();
                self.uploads.insert(upload, (request, Vec::new()));
                A::UploadBegin(Ok(UploadStatus { upload, offset: 0, size: request.size }))
            }
            Q::UploadChunk { request } => {
                let (begun, bytes) = self.uploads.get_mut(&request.upload).expect("begun");
                bytes.extend(&request.bytes);
                let (upload, offset) = (request.upload, bytes.len() as u64);
                A::UploadChunk(Ok(UploadStatus { upload, offset, size: begun.size }))
            }
            Q::UploadCommit { request } => {
                let (begun, bytes) = self.uploads.remove(&request.upload).expect("begun");
                assert_eq!(Hash::of(&bytes), begun.hash);
                self.blobs.insert(begun.hash, bytes);
                let status = UploadStatus { upload: request.upload, offset: begun.size, size: begun.size };
                A::UploadCommit(Ok(status))
            }
            Q::BlobRead { request } => A::BlobRead(match self.blobs.get(&request.hash) {
                Some(bytes) => Ok(BlobChunk {
                    offset: request.offset,
                    bytes: bytes.iter().skip(request.offset as usize).take(CHUNK_BYTES).copied().collect(),
                    size: bytes.len() as u64,
                }),
                None => Err(ApiError::not_found(format!("blob {}", request.hash))),
            }),
            Q::Backup { request } => {
                self.backups.push(request.key);
                if self.backups.len() <= self.slow_backups {
                    return None;
                }
                A::Backup(Ok(BackupMade { path: request.path, files: 1, bytes: 2, seconds: 3.0, damaged: 0 }))
            }
            Q::EventList { request } => {
                A::EventList(Ok(page(self.events.iter().rev().cloned().collect(), &request.page)))
            }
            Q::Watch { request } => A::Watch(Ok(self.watch(request.cursor)?)),
            other => panic!("the fake agent has no answer to {other:?}"),
        })
    }

    /// Lines from the cursor on; this agent has dropped nothing.
    fn log(&self, request: AgentLog) -> AgentLogPage {
        let (epoch, lines) = &self.log;
        let cursor = request.cursor.unwrap_or(0);
        let after = lines.iter().filter(|line| line.seq >= cursor);
        let lines: Vec<AgentLogLine> = after.take(request.limit as usize).cloned().collect();
        let next = lines.last().map_or(cursor, |line| line.seq + 1);
        AgentLogPage { lines, next, dropped: self.log_dropped, epoch: *epoch }
    }

    /// The agent says something.
    pub fn says(&mut self, level: &str, text: &str) {
        let (_, lines) = &mut self.log;
        lines.push(AgentLogLine {
            seq: lines.len() as u64 + 1,
            at: Time::from_micros(1_795_219_200_000_000),
            level: level.to_owned(),
            target: "vigie_agent::run".to_owned(),
            text: text.to_owned(),
        });
    }

    /// What is new since the cursor; nothing while there is nothing to tell.
    fn watch(&mut self, cursor: Option<WatchCursor>) -> Option<Watched> {
        let mut updates = Vec::new();
        if let Some(cursor) = cursor {
            if !self.stands_still {
                self.tell(Subject::Agent, "somebody watched");
                updates.extend(self.step().into_iter().map(|job| Update::Job { job: Box::new(job) }));
            }
            let new = self.events.iter().filter(|event| event.seq > cursor.seq);
            updates.extend(new.map(|event| Update::Event { event: event.clone() }));
            if updates.is_empty() {
                return None;
            }
        }
        if self.resyncs {
            updates.clear();
        }
        let next = WatchCursor { epoch: 1, seq: self.events.last().map_or(0, |event| event.seq) };
        Some(Watched { updates, next, resync: self.resyncs })
    }

    /// Something happens: whoever watches is told.
    pub fn tell(&mut self, subject: Subject, text: &str) {
        self.events.push(Event {
            seq: self.events.len() as u64 + 1,
            at: Time::now(),
            project: None,
            severity: Severity::Info,
            subject,
            text: text.to_owned(),
        });
        self.happens.notify_waiters();
    }

    fn submit(&mut self, id: JobId, project: Option<ProjectName>, spec: JobSpec) -> Job {
        self.submitted.push(spec.kind());
        let job = Job {
            id,
            project,
            spec,
            after: Vec::new(),
            state: JobState::Queued,
            waits_for: Vec::new(),
            progress: Progress::default(),
            attempts: 0,
            outcome: None,
            failure: None,
            created: Time::now(),
            started: None,
            finished: None,
            by: "alice".to_owned(),
            worker_pid: None,
            generation: 1,
        };
        self.jobs.push(job.clone());
        job
    }

    /// Every unfinished job goes one step: queued, running, done.
    fn step(&mut self) -> Vec<Job> {
        let mut moved = Vec::new();
        for i in 0..self.jobs.len() {
            let mut job = self.jobs[i].clone();
            match job.state {
                JobState::Queued => {
                    job.state = JobState::Running;
                    job.attempts += 1;
                    job.progress = Progress {
                        stage: "working".to_owned(),
                        done: 5,
                        total: 10,
                        unit: "images".to_owned(),
                        fraction: 0.5,
                        eta_s: Some(1.0),
                        rate: None,
                    };
                }
                JobState::Running if self.fails == Some(job.spec.kind()) => {
                    job.state = JobState::Failed;
                    job.failure = Some(JobFailure {
                        cause: FailureCause::OutOfMemory,
                        message: "the worker used 9 GiB".to_owned(),
                        hint: None,
                    });
                    self.run_ends(&job, RunState::Failed);
                }
                JobState::Running => {
                    job.state = JobState::Succeeded;
                    job.progress.fraction = 1.0;
                    job.outcome = Some(self.outcome(&job.spec));
                    self.run_ends(&job, RunState::Finished);
                }
                _ => continue,
            }
            job.generation += 1;
            self.jobs[i] = job.clone();
            moved.push(job);
        }
        moved
    }

    fn run_ends(&mut self, job: &Job, state: RunState) {
        for run in self.runs.iter_mut().filter(|run| run.job == job.id) {
            run.state = state;
            run.best_epoch = Some(1);
            run.epochs = vec![EpochMetrics {
                epoch: 1,
                train_loss: 0.5,
                valid_loss: 0.4,
                valid_accuracy: 0.9,
                learning_rate: 1e-3,
                seconds: 1.0,
                at: Time::now(),
            }];
        }
    }

    fn outcome(&mut self, spec: &JobSpec) -> JobOutcome {
        match spec {
            JobSpec::Import { lineage, .. } | JobSpec::Resplit { lineage } => self.version(*lineage),
            JobSpec::Propose { into, .. } => self.version(*into),
            JobSpec::Relabel { lineage, .. } | JobSpec::Balance { lineage, .. } => self.version(*lineage),
            JobSpec::LabelCheck { .. } => JobOutcome::LabelCheck { images: 20, issues: 2 },
            JobSpec::Preprocess { .. } => {
                JobOutcome::Pack { pack: Hash::of(b"pack"), images: 20, bytes: 3_000_000, reused: false }
            }
            JobSpec::Train { run, .. } => JobOutcome::Run { run: *run, best_epoch: 1 },
            JobSpec::Evaluate { run } => {
                let number = ModelNumber(self.models.len() as u32 + 1);
                self.models.push(ModelVersion {
                    number,
                    passport: Hash::of(b"passport"),
                    weights: Hash::of(b"weights"),
                    architecture: Architecture::EfficientnetLite0,
                    classes: 2,
                    dataset: DatasetRef { lineage: Lineage::Reference, number: 1 },
                    run: *run,
                    accuracy: Proportion { value: 0.9, low: 0.7, high: 0.97, n: 20 },
                    created: Time::now(),
                    by: "alice".to_owned(),
                });
                JobOutcome::Model { number }
            }
            JobSpec::Collect { .. } => self.version(Lineage::Production),
            JobSpec::Cluster { .. } => JobOutcome::Clusters { clusters: 0, images: 0 },
            JobSpec::Gc { .. } | JobSpec::Unknown => JobOutcome::Unknown,
        }
    }

    /// A second import of the same finds nothing new.
    fn version(&mut self, lineage: Lineage) -> JobOutcome {
        let dataset = DatasetRef { lineage, number: 1 };
        if self.datasets.iter().any(|version| version.dataset == dataset) {
            return JobOutcome::NoChange { dataset: Some(dataset) };
        }
        let change_set = ChangeSetId::new();
        let counts = SplitCounts { train: 7, valid: 1, test: 2 };
        self.datasets.push(DatasetVersion {
            dataset,
            manifest: Hash::of(b"manifest"),
            created: Time::now(),
            by: "alice".to_owned(),
            change_set,
            classes: CLASSES.map(|class| (class.to_owned(), counts)).into_iter().collect::<BTreeMap<_, _>>(),
            bytes: 12_345,
            window: None,
        });
        JobOutcome::ChangeSet { change_set, dataset: Some(dataset) }
    }

    fn model(&self, number: ModelNumber) -> Result<ModelDetail, ApiError> {
        let model = self.models.iter().find(|model| model.number == number).cloned();
        let model = model.ok_or_else(|| ApiError::not_found(format!("model {number}")))?;
        Ok(ModelDetail { passport: passport(&model), model, aliases: vec![AliasName::production()] })
    }

    /// Whether the alias moved since it was looked at.
    fn conflict(&self, seen: u64) -> Option<ApiError> {
        let generation = self.production.as_ref().map_or(0, |alias| alias.generation);
        let moved = || ApiError::new(ErrorCode::Conflict, "production moved meanwhile");
        (seen != generation).then(moved)
    }

    fn verdict(&self, candidate: ModelNumber) -> GateVerdict {
        let check = GateCheck {
            name: "test-accuracy".to_owned(),
            passed: self.gate_passes,
            detail: "90.0 % of 20".to_owned(),
        };
        let against = self.production.as_ref().map(|alias| alias.model);
        GateVerdict { candidate, against, checks: vec![check], at: Time::now() }
    }

    fn move_alias(&mut self, to: ModelNumber, kind: MoveKind, verdict: Option<GateVerdict>) -> AliasMoved {
        let before = self.production.take();
        let (from, generation) = before.map_or((None, 1), |alias| (Some(alias.model), alias.generation + 1));
        let alias = Alias {
            project: "birds".parse().expect("a name"),
            name: AliasName::production(),
            model: to,
            previous: from,
            generation,
            since: Time::now(),
        };
        self.production = Some(alias.clone());
        let text = format!("{} is {to} now", alias.name);
        self.tell(Subject::Alias { alias: alias.name.clone(), to }, &text);
        let moved = AliasMove {
            alias: alias.name.clone(),
            generation,
            kind,
            from,
            to,
            at: Time::now(),
            by: "alice".to_owned(),
            reason: None,
            verdict,
        };
        AliasMoved { alias, moved, swap_ms: 12 }
    }
}
