//! What each kind of job claims, and what its worker is told.

use std::path::{Path, PathBuf};

use vigie_core::data::{clusters, pack, relabel};
use vigie_core::store::blobs::FolderBlobs;
use vigie_core::store::catalog::Catalog;
use vigie_core::store::manifest::Manifest;
use vigie_core::store::{Blobs, StoreError, passport};
use vigie_protocol::classes::Relabelling;
use vigie_protocol::dataset::{DatasetRef, Lineage};
use vigie_protocol::job::{FailureCause, ImportSource, Job, JobFailure, JobSpec};
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::project::ProjectSettings;
use vigie_protocol::run::{Init, Recipe, Run};
use vigie_protocol::window::Window;
use vigie_protocol::{AliasName, Hash, ProjectName, RunId};

use super::error::with_source;
use super::gather::{Gathered, gather};
use super::options::JobOptions;
use super::rebuildable;
use crate::worker::{ImportInput, PackWork, RelabelWork, WindowWork, Work, WorkerTask};

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
        | JobSpec::Relabel { lineage: into, .. }
        | JobSpec::Balance { lineage: into, .. }
        | JobSpec::Resplit { lineage: into } => vec![lineage(*into)?],
        JobSpec::LabelCheck { dataset, recipe, .. } => {
            let manifest = catalog.dataset(project(job)?, *dataset)?.manifest;
            vec![pack_resource(pack::id(manifest, &preprocess(recipe))), device]
        }
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
        JobSpec::Collect { .. } => vec![lineage(Lineage::Production)?],
        JobSpec::Cluster { .. } => vec![format!("clusters:{}", project(job)?), device],
        JobSpec::Gc { dry_run } => {
            let mut claims = vec!["blobs".to_owned()];
            if !dry_run {
                // Nobody reads what it is about to remove.
                claims.extend(rebuildable::claims(catalog, options)?);
            }
            claims
        }
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
        JobSpec::Import {
            source: ImportSource::Manifest { hash, name, format, images, replace },
            lineage,
            ..
        } => {
            let project = project(job)?;
            Work::ImportManifest {
                file: uploaded(options, *hash, name)?,
                format: *format,
                name: name.clone(),
                images: images.as_deref().map(absolute).transpose()?,
                base: head(project, *lineage)?,
                replace: *replace,
                classes: catalog.class_list(project)?,
                unknown_labels: catalog.project(project)?.settings.unknown_labels,
                blobs: options.blobs(),
            }
        }
        JobSpec::Import { source, lineage, accept: _, options: how } => {
            let project = project(job)?;
            let settings = catalog.project(project)?.settings;
            Work::Import {
                input: import_input(options, source)?,
                name: source.name().into_owned(),
                base: head(project, *lineage)?,
                blobs: options.blobs(),
                split_percent: settings.split_percent,
                max_unpacked: options.max_unpacked_bytes,
                classes: catalog.class_list(project)?,
                unknown_labels: settings.unknown_labels,
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
        JobSpec::Propose { from, into, accept: _, admit_all, only_add, window } => {
            let project = project(job)?;
            let by_rule = *into == Lineage::Reference && !admit_all;
            let beside = match from.lineage {
                Lineage::Source => Some(Lineage::Production),
                Lineage::Production => Some(Lineage::Source),
                Lineage::Reference => None,
            };
            let newest = |lineage| catalog.dataset_head(project, lineage);
            let settings = catalog.project(project)?.settings;
            Work::Propose {
                from: catalog.dataset(project, *from)?.manifest,
                from_ref: *from,
                rule: by_rule.then_some(settings.class_rule),
                beside: beside.map(newest).transpose()?.flatten().map(|head| head.manifest),
                only_add: *only_add,
                into: head(project, *into)?,
                window: window.map(|window| window_work(catalog, job, project, *from, window)).transpose()?,
                classes: catalog.class_list(project)?,
                unknown_labels: settings.unknown_labels,
                blobs: options.blobs(),
            }
        }
        JobSpec::Relabel { lineage, relabelling, .. } => {
            let project = project(job)?;
            Work::Relabel {
                base: head(project, *lineage)?.ok_or_else(|| nothing_there(*lineage))?,
                relabelling: relabel_work(catalog, project, *lineage, relabelling)?,
                blobs: options.blobs(),
            }
        }
        JobSpec::Balance { lineage, per_class, seed, .. } => Work::Balance {
            base: head(project(job)?, *lineage)?.ok_or_else(|| nothing_there(*lineage))?,
            per_class: *per_class,
            seed: *seed,
            blobs: options.blobs(),
        },
        JobSpec::LabelCheck { dataset, folds, recipe } => {
            let project = project(job)?;
            let manifest = catalog.dataset(project, *dataset)?.manifest;
            let spec = preprocess(recipe);
            let id = pack::id(manifest, &spec);
            let (blobs, path) = (options.blobs(), options.pack(id));
            Work::LabelCheck {
                cache: options.features(id),
                pack: PackWork { id, manifest, spec, blobs, path },
                weights: initial_weights(catalog, options, project, &recipe.init)?,
                recipe: recipe.clone(),
                folds: *folds,
                device: options.worker_device(),
                threads: options.worker_threads,
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
        JobSpec::Collect { .. } => {
            let project = project(job)?;
            let settings = catalog.project(project)?.settings;
            let base = head(project, Lineage::Production)?;
            let known = base.map(|hash| manifest(options, hash)).transpose()?;
            let Gathered { offers, differ, contradict, more, .. } =
                gather(catalog, project, settings.keep_confident, known.as_ref())?;
            Work::Collect {
                offers,
                differ,
                contradict,
                more,
                base,
                blobs: options.blobs(),
                split_percent: settings.split_percent,
            }
        }
        JobSpec::Cluster { distance } => cluster(catalog, options, project(job)?, *distance)?,
        JobSpec::Gc { dry_run } => return Ok(Plan { task: Task::Gc { dry_run: *dry_run }, base }),
        JobSpec::Unknown => return Err(unknown_kind()),
    };
    let JobOptions { memory_limit_mb, nice, .. } = *options;
    let settings = match &job.project {
        Some(project) => catalog.project(project)?.settings,
        None => ProjectSettings::default(),
    };
    let near_bits = settings.near_bits;
    let task = Task::Worker(Box::new(WorkerTask { memory_limit_mb, nice, near_bits, work }));
    Ok(Plan { task, base })
}

/// What the deferred images are grouped by: the features of the production model.
fn cluster(
    catalog: &Catalog,
    options: &JobOptions,
    project: &ProjectName,
    distance: Option<f32>,
) -> Result<Work, PlanError> {
    let distance = distance.unwrap_or(clusters::DISTANCE);
    if !(0.0..=2.0).contains(&distance) {
        return Err(refused("a cosine distance is 0 to 2"));
    }
    let production = match catalog.alias(project, &AliasName::production()) {
        Err(StoreError::NotFound { .. }) => {
            return Err(refused("nothing is in production that could look at the images; promote a model"));
        }
        held => held?.model,
    };
    let model = catalog.model(project, production)?;
    let blobs = FolderBlobs::open(&options.blobs())?;
    let passport = blobs.get(model.passport)?.ok_or_else(|| refused("the model's passport is missing"))?;
    let preprocess = passport::decode(&passport)?.preprocess;
    // Of an image that several predictions are about one is enough; answers are for predictions.
    let deferred = catalog.deferred(project, None, clusters::MAX_IMAGES)?.items;
    let images = deferred.into_iter().map(|row| (row.prediction, row.image)).collect();
    Ok(Work::Cluster {
        images,
        distance,
        model: production,
        architecture: model.architecture,
        weights: blobs.path_of(model.weights),
        preprocess,
        blobs: options.blobs(),
        device: options.worker_device(),
    })
}

fn project(job: &Job) -> Result<&ProjectName, PlanError> {
    job.project.as_ref().ok_or_else(|| refused("a job of this kind needs a project"))
}

fn import_input(options: &JobOptions, source: &ImportSource) -> Result<ImportInput, PlanError> {
    match source {
        ImportSource::Path { path } => Ok(ImportInput::Path(absolute(path)?)),
        ImportSource::Blob { hash, name } => Ok(ImportInput::Zip(uploaded(options, *hash, name)?)),
        ImportSource::Url { .. } | ImportSource::Kaggle { .. } => Ok(ImportInput::Remote(source.clone())),
        ImportSource::Manifest { .. } | ImportSource::Unknown => {
            Err(refused("this agent does not know that kind of source; update it"))
        }
    }
}

fn absolute(path: &str) -> Result<PathBuf, PlanError> {
    let absolute = Path::new(path).is_absolute();
    absolute.then(|| path.into()).ok_or_else(|| refused(format!("{path:?} is not an absolute path")))
}

/// Where an upload lies.
fn uploaded(options: &JobOptions, hash: Hash, name: &str) -> Result<PathBuf, PlanError> {
    let blobs = FolderBlobs::open(&options.blobs())?;
    match blobs.size(hash)? {
        Some(_) => Ok(blobs.path_of(hash)),
        None => Err(refused(format!("the upload of {name:?} is not there; upload it again"))),
    }
}

/// A window with what it needs to know of its line: the versions up to the one that is taken from.
fn window_work(
    catalog: &Catalog,
    job: &Job,
    project: &ProjectName,
    from: DatasetRef,
    window: Window,
) -> Result<WindowWork, PlanError> {
    let mut history = Vec::new();
    let mut cursor = None;
    loop {
        let page = catalog.datasets(project, Some(from.lineage), cursor.as_ref(), 1_000)?;
        let versions = page.items.into_iter().filter(|version| version.dataset.number <= from.number);
        history.extend(versions.map(|version| (version.created, version.manifest)));
        match page.next {
            Some(next) => cursor = Some(next),
            // Whenever it runs, the days are counted from when it was asked for.
            None => return Ok(WindowWork { window, asked: job.created, history }),
        }
    }
}

fn manifest(options: &JobOptions, hash: Hash) -> Result<Manifest, PlanError> {
    let bytes = FolderBlobs::open(&options.blobs())?.get(hash)?;
    let bytes = bytes.ok_or_else(|| refused(format!("the manifest {} is missing", hash.short())))?;
    Ok(Manifest::decode(&bytes)?)
}

fn relabel_work(
    catalog: &Catalog,
    project: &ProjectName,
    lineage: Lineage,
    relabelling: &Relabelling,
) -> Result<RelabelWork, PlanError> {
    relabel::check(relabelling).map_err(PlanError::Refused)?;
    Ok(match relabelling {
        Relabelling::Classes { renames, .. } => RelabelWork::Classes(renames.clone()),
        Relabelling::Images { labels, .. } => RelabelWork::Images(labels.clone()),
        Relabelling::Undo { version } => {
            let manifest = |number| -> Result<Hash, StoreError> {
                Ok(catalog.dataset(project, DatasetRef { lineage, number })?.manifest)
            };
            let before = (*version > 1).then(|| manifest(version - 1)).transpose()?;
            RelabelWork::Undo { before, after: manifest(*version)? }
        }
        Relabelling::Unknown => return Err(unknown_kind()),
    })
}

fn nothing_there(lineage: Lineage) -> PlanError {
    refused(format!("{lineage} has no version yet"))
}

fn preprocess(recipe: &Recipe) -> PreprocessSpec {
    PreprocessSpec::for_network(recipe.architecture, recipe.input)
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

pub(super) fn pack_resource(id: Hash) -> String {
    format!("pack:{id}")
}

pub(super) fn run_resource(run: RunId) -> String {
    format!("run:{run}")
}

fn unknown_kind() -> PlanError {
    refused("this build of the agent does not know this kind of job")
}

fn refused(text: impl Into<String>) -> PlanError {
    PlanError::Refused(text.into())
}
