//! What each kind of job claims, and what its worker is told.

use std::path::{Path, PathBuf};

use vigie_core::data::pack;
use vigie_core::store::blobs::FolderBlobs;
use vigie_core::store::catalog::Catalog;
use vigie_core::store::{Blobs, StoreError};
use vigie_protocol::dataset::Lineage;
use vigie_protocol::job::{FailureCause, ImportSource, Job, JobFailure, JobSpec};
use vigie_protocol::run::{Init, Run};
use vigie_protocol::{Hash, ProjectName, RunId};

use super::error::with_source;
use super::options::JobOptions;
use crate::worker::{ImportInput, PackWork, Work, WorkerTask};

/// What a job's next attempt is to do.
#[derive(Debug)]
pub(super) struct Plan {
    /// The work.
    pub(super) task: Task,
    /// For imports and proposals: the number of the version that is added to.
    pub(super) base: Option<u32>,
}

/// Where an attempt's work is done.
#[derive(Debug)]
pub(super) enum Task {
    /// In a worker process.
    Worker(Box<WorkerTask>),
    /// Garbage collection, which needs the store and so happens in the agent.
    Gc {
        /// Only report.
        dry_run: bool,
    },
}

/// Why a job cannot begin.
#[derive(Debug, thiserror::Error)]
pub(super) enum PlanError {
    /// It never can.
    #[error("{0}")]
    Refused(String),
    /// The store failed; later it may not.
    #[error(transparent)]
    Store(StoreError),
}

impl PlanError {
    pub(super) fn failure(&self) -> JobFailure {
        let cause = match self {
            PlanError::Refused(_) => FailureCause::Refused,
            PlanError::Store(_) => FailureCause::Error,
        };
        JobFailure { cause, message: with_source(self), hint: None }
    }
}

impl From<StoreError> for PlanError {
    fn from(error: StoreError) -> Self {
        match error {
            // What a job names does not come into being by trying again.
            StoreError::NotFound { .. } => PlanError::Refused(error.to_string()),
            error => PlanError::Store(error),
        }
    }
}

/// The resources a job claims while it runs.
pub(super) fn resources(
    catalog: &Catalog,
    options: &JobOptions,
    job: &Job,
) -> Result<Vec<String>, PlanError> {
    let lineage = |lineage: Lineage| Ok::<_, PlanError>(format!("lineage:{}/{lineage}", project(job)?));
    let device = format!("device:{}", options.device);
    Ok(match &job.spec {
        JobSpec::Import { lineage: into, .. }
        | JobSpec::Propose { into, .. }
        | JobSpec::Resplit { lineage: into } => vec![lineage(*into)?],
        JobSpec::Preprocess { dataset, spec } => {
            let manifest = catalog.dataset(project(job)?, *dataset)?.manifest;
            vec![pack_resource(pack::id(manifest, spec))]
        }
        JobSpec::Train { run, .. } => {
            let run = catalog.run(project(job)?, *run)?;
            vec![run_resource(run.id), pack_resource(pack_id(&run)), device]
        }
        JobSpec::Evaluate { run } => {
            let run = catalog.run(project(job)?, *run)?;
            vec![run_resource(run.id), pack_resource(pack_id(&run)), device]
        }
        JobSpec::Gc { .. } => vec!["blobs".to_owned()],
        JobSpec::Unknown => return Err(unknown_kind()),
    })
}

/// What a job's next attempt is to do. Called when the job holds its leases.
pub(super) fn plan(catalog: &Catalog, options: &JobOptions, job: &Job) -> Result<Plan, PlanError> {
    let mut base = None;
    let mut head = |project: &ProjectName, lineage| -> Result<Option<Hash>, StoreError> {
        let head = catalog.dataset_head(project, lineage)?;
        base = head.as_ref().map(|head| head.dataset.number);
        Ok(head.map(|head| head.manifest))
    };
    let work = match &job.spec {
        JobSpec::Import { source, lineage, accept: _, options: how } => {
            let project = project(job)?;
            Work::Import {
                input: import_input(options, source)?,
                name: source.name().to_owned(),
                base: head(project, *lineage)?,
                blobs: options.blobs(),
                split_percent: catalog.project(project)?.settings.split_percent,
                max_unpacked: options.max_unpacked_bytes,
                options: how.clone(),
                journal: options.journal(job.id),
            }
        }
        JobSpec::Resplit { lineage } => {
            let project = project(job)?;
            let nothing =
                || refused(format!("{lineage} has no version yet, so there is nothing to re-split"));
            Work::Resplit {
                manifest: head(project, *lineage)?.ok_or_else(nothing)?,
                split_percent: catalog.project(project)?.settings.split_percent,
                blobs: options.blobs(),
            }
        }
        JobSpec::Propose { from, into, .. } => {
            let project = project(job)?;
            Work::Propose {
                from: catalog.dataset(project, *from)?.manifest,
                from_ref: *from,
                into: head(project, *into)?,
                blobs: options.blobs(),
            }
        }
        JobSpec::Preprocess { dataset, spec } => {
            let manifest = catalog.dataset(project(job)?, *dataset)?.manifest;
            let id = pack::id(manifest, spec);
            let (blobs, path) = (options.blobs(), options.pack(id));
            Work::Preprocess { pack: PackWork { id, manifest, spec: spec.clone(), blobs, path } }
        }
        JobSpec::Train { run, .. } => {
            let project = project(job)?;
            let run = catalog.run(project, *run)?;
            Work::Train {
                pack: pack_work(options, &run),
                weights: initial_weights(catalog, options, project, &run.recipe.init)?,
                run_dir: options.run(run.id),
                recipe: run.recipe,
                device: options.worker_device(),
                threads: options.worker_threads,
            }
        }
        JobSpec::Evaluate { run } => {
            let project = project(job)?;
            let run = catalog.run(project, *run)?;
            let epoch = run
                .best_epoch
                .ok_or_else(|| refused("the run has no finished epoch to evaluate; train it first"))?;
            Work::Evaluate {
                pack: pack_work(options, &run),
                run: run.id,
                run_dir: options.run(run.id),
                epoch,
                dataset: run.dataset,
                weights: initial_weights(catalog, options, project, &run.recipe.init)?,
                device: options.worker_device(),
                threads: options.worker_threads,
                made_by: format!("vigie-agent {} on {}", env!("CARGO_PKG_VERSION"), options.device),
            }
        }
        JobSpec::Gc { dry_run } => return Ok(Plan { task: Task::Gc { dry_run: *dry_run }, base }),
        JobSpec::Unknown => return Err(unknown_kind()),
    };
    let JobOptions { memory_limit_mb, nice, .. } = *options;
    let task = Task::Worker(Box::new(WorkerTask { memory_limit_mb, nice, work }));
    Ok(Plan { task, base })
}

fn project(job: &Job) -> Result<&ProjectName, PlanError> {
    job.project.as_ref().ok_or_else(|| refused("a job of this kind needs a project"))
}

fn import_input(options: &JobOptions, source: &ImportSource) -> Result<ImportInput, PlanError> {
    match source {
        ImportSource::Path { path } if Path::new(path).is_absolute() => Ok(ImportInput::Path(path.into())),
        ImportSource::Path { path } => Err(refused(format!("{path:?} is not an absolute path"))),
        ImportSource::Blob { hash, name } => {
            let blobs = FolderBlobs::open(&options.blobs())?;
            match blobs.size(*hash)? {
                Some(_) => Ok(ImportInput::Zip(blobs.path_of(*hash))),
                None => Err(refused(format!("the upload of {name:?} is not there; upload it again"))),
            }
        }
        ImportSource::Unknown => Err(refused("this agent does not know that kind of source; update it")),
    }
}

fn initial_weights(
    catalog: &Catalog,
    options: &JobOptions,
    project: &ProjectName,
    init: &Init,
) -> Result<PathBuf, PlanError> {
    match init {
        Init::Random => {
            Err(refused("this agent trains from pretrained weights or a model, not from random weights"))
        }
        Init::Pretrained { name } => {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
            if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
                return Err(refused(format!("{name:?} is not a name of pretrained weights")));
            }
            let file = options.weights.join(format!("{name}.safetensors"));
            if !file.is_file() {
                let folder = options.weights.display();
                return Err(refused(format!("there is no {name}.safetensors in {folder}; put it there")));
            }
            Ok(file)
        }
        Init::Model { number } => {
            let weights = catalog.model(project, *number)?.weights;
            Ok(FolderBlobs::open(&options.blobs())?.path_of(weights))
        }
        Init::Unknown => Err(refused("this agent does not know that start of a training; update it")),
    }
}

fn pack_id(run: &Run) -> Hash {
    pack::id(run.manifest, &run.preprocess)
}

fn pack_work(options: &JobOptions, run: &Run) -> PackWork {
    let id = pack_id(run);
    PackWork {
        id,
        manifest: run.manifest,
        spec: run.preprocess.clone(),
        blobs: options.blobs(),
        path: options.pack(id),
    }
}

fn pack_resource(id: Hash) -> String {
    format!("pack:{id}")
}

fn run_resource(run: RunId) -> String {
    format!("run:{run}")
}

fn unknown_kind() -> PlanError {
    refused("this build of the agent does not know this kind of job")
}

fn refused(text: impl Into<String>) -> PlanError {
    PlanError::Refused(text.into())
}
