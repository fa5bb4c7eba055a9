//! What goes through the pipe between the agent and a worker.
//!
//! Both ends are the same executable (the agent starts its own image), so these types need no
//! compatibility over versions.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use vigie_core::data::collect::Offer;
use vigie_core::store::catalog::{Fate, Source};
use vigie_protocol::blob::GcReport;
use vigie_protocol::classes::{ClassList, ImageLabel, Rename, UnknownLabels};
use vigie_protocol::dataset::{ClassChange, DatasetRef, Quarantined, SplitCounts};
use vigie_protocol::exchange::ManifestFormat;
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{ImportSource, JobFailure};
use vigie_protocol::model::{Architecture, Proportion};
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::review::FindingCounts;
use vigie_protocol::rules::ClassRule;
use vigie_protocol::run::{EpochMetrics, Recipe};
use vigie_protocol::window::Window;
use vigie_protocol::{Hash, ModelNumber, PredictionId, RunId, Time};

/// Everything a worker is told.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WorkerTask {
    /// The most private memory, in MiB; absent leaves it to the system.
    pub memory_limit_mb: Option<u64>,
    /// Added to the process's niceness, 0–19, so that serving keeps its latency.
    pub nice: i32,
    /// How alike images of the project look that belong together, in bits
    /// ([`near_bits`](vigie_protocol::project::ProjectSettings::near_bits)).
    pub near_bits: u8,
    /// What to do.
    pub work: Work,
}

/// What a worker is to do. Paths are absolute; manifests are blobs under `blobs`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Work {
    /// Read images and work out what they change.
    Import {
        /// Where they are.
        input: ImportInput,
        /// What the import is called in notes.
        name: String,
        /// The manifest of the lineage's newest version.
        base: Option<Hash>,
        /// The blob folder.
        blobs: PathBuf,
        /// Shares of train, valid and test for new images.
        split_percent: [u8; 3],
        /// The most bytes that an archive may unpack to.
        max_unpacked: u64,
        /// The classes that the project knows.
        classes: ClassList,
        /// What becomes of labels that it does not know.
        unknown_labels: UnknownLabels,
        /// How the source is read.
        options: ImportOptions,
        /// Where what was measured is noted for another attempt.
        journal: PathBuf,
    },
    /// Read a manifest that was written to a file, and work out what it changes.
    ImportManifest {
        /// The file.
        file: PathBuf,
        /// Its form.
        format: ManifestFormat,
        /// What the import is called in notes.
        name: String,
        /// The folder with images that are no blobs yet.
        images: Option<PathBuf>,
        /// The manifest of the lineage's newest version.
        base: Option<Hash>,
        /// Whether images that it does not name leave.
        replace: bool,
        /// The project's class list.
        classes: ClassList,
        /// What becomes of images whose label it lacks.
        unknown_labels: UnknownLabels,
        /// The blob folder.
        blobs: PathBuf,
    },
    /// Work out new splits for a line.
    Resplit {
        /// The manifest of its newest version.
        manifest: Hash,
        /// Shares of train, valid and test.
        split_percent: [u8; 3],
        /// The blob folder.
        blobs: PathBuf,
    },
    /// Work out what one version has and another line lacks.
    Propose {
        /// The manifest to take from.
        from: Hash,
        /// Which version that is.
        from_ref: DatasetRef,
        /// The manifest of the other line's newest version.
        into: Option<Hash>,
        /// By which new classes enter; absent to let all in.
        rule: Option<ClassRule>,
        /// The manifest of the newest version of the line beside, which counts for the rule.
        beside: Option<Hash>,
        /// Leave what `into` has under another label as it is.
        only_add: bool,
        /// The part of the version that is taken, when not all of it.
        window: Option<WindowWork>,
        /// The project's class list.
        classes: ClassList,
        /// What becomes of images whose label it lacks.
        unknown_labels: UnknownLabels,
        /// The blob folder.
        blobs: PathBuf,
    },
    /// Work out what images with a class from people add to `production`.
    Collect {
        /// The images.
        offers: Vec<Offer>,
        /// Images that people differ on, for the job's log.
        differ: u64,
        /// Images that the line has under another class, for the job's log.
        contradict: u64,
        /// Whether more wait for the next job.
        more: bool,
        /// The manifest of the lineage's newest version.
        base: Option<Hash>,
        /// The blob folder.
        blobs: PathBuf,
        /// Shares of train, valid and test for new images.
        split_percent: [u8; 3],
    },
    /// Group deferred images by what a model sees in them.
    Cluster {
        /// Predictions and their images, at most [`MAX_IMAGES`](vigie_core::data::clusters::MAX_IMAGES).
        images: Vec<(PredictionId, Hash)>,
        /// The largest mean cosine distance within a cluster.
        distance: f32,
        /// The model version.
        model: ModelNumber,
        /// Its network.
        architecture: Architecture,
        /// Safetensors file with its weights.
        weights: PathBuf,
        /// How images become its input.
        preprocess: PreprocessSpec,
        /// The blob folder.
        blobs: PathBuf,
        /// `cpu` or `cuda:0`, as this process sees it.
        device: String,
    },
    /// Work out what other labels make of a version.
    Relabel {
        /// The manifest of the lineage's newest version.
        base: Hash,
        /// Which images, and which labels.
        relabelling: RelabelWork,
        /// The blob folder.
        blobs: PathBuf,
    },
    /// Work out which train images leave so that all classes have as many.
    Balance {
        /// The manifest of the lineage's newest version.
        base: Hash,
        /// The most train images that a class keeps.
        per_class: Option<u64>,
        /// Decides which ones stay.
        seed: u64,
        /// The blob folder.
        blobs: PathBuf,
    },
    /// Look for labels that are wrong, making the pack first when it is missing.
    LabelCheck {
        /// What is looked at.
        pack: PackWork,
        /// Network and input of the features, and how classifiers learn.
        recipe: Recipe,
        /// Safetensors file with the backbone.
        weights: PathBuf,
        /// Where features are kept.
        cache: PathBuf,
        /// Parts that the images are dealt to.
        folds: u32,
        /// `cpu` or `cuda:0`, as this process sees it.
        device: String,
        /// Threads for computing on the CPU.
        threads: usize,
    },
    /// Decode a version into a pack.
    Preprocess {
        /// What to decode.
        pack: PackWork,
    },
    /// Train, making the pack first when it is missing.
    Train {
        /// What to learn from.
        pack: PackWork,
        /// How.
        recipe: Recipe,
        /// Safetensors file that the weights start from.
        weights: PathBuf,
        /// The run's folder with its checkpoints.
        run_dir: PathBuf,
        /// `cpu` or `cuda:0`, as this process sees it.
        device: String,
        /// Threads for computing on the CPU.
        threads: usize,
    },
    /// Judge a run's best checkpoint on the held-out test split and write its passport.
    Evaluate {
        /// What to judge on; made first when it is missing.
        pack: PackWork,
        /// Safetensors file that the run's weights started from.
        weights: PathBuf,
        /// The run.
        run: RunId,
        /// Its folder.
        run_dir: PathBuf,
        /// The epoch whose checkpoint is judged.
        epoch: u32,
        /// The version it learnt from.
        dataset: DatasetRef,
        /// `cpu` or `cuda:0`, as this process sees it.
        device: String,
        /// Threads for computing on the CPU.
        threads: usize,
        /// Goes into the passport: agent version and device.
        made_by: String,
    },
}

/// A window, and what it needs to know of its line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WindowWork {
    /// Which images.
    pub window: Window,
    /// When it was asked for.
    pub asked: Time,
    /// The line's versions with their manifests, newest first, from the one that is taken from.
    pub history: Vec<(Time, Hash)>,
}

/// Which images get which labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum RelabelWork {
    /// Those of some classes.
    Classes(BTreeMap<String, String>),
    /// Some.
    Images(Vec<ImageLabel>),
    /// Those that a version relabelled.
    Undo {
        /// The manifest of the version before it.
        before: Option<Hash>,
        /// Its manifest.
        after: Hash,
    },
}

/// A pack and what it is made from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PackWork {
    /// The pack's identity.
    pub id: Hash,
    /// The manifest.
    pub manifest: Hash,
    /// How images become pixels.
    pub spec: PreprocessSpec,
    /// The blob folder.
    pub blobs: PathBuf,
    /// Where the pack is, or is to be.
    pub path: PathBuf,
}

/// Where an import reads from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum ImportInput {
    /// A folder of class folders, or a zip file of them: whichever is there.
    Path(PathBuf),
    /// A zip file.
    Zip(PathBuf),
    /// What the agent downloads before the worker starts, which then reads a zip file.
    Remote(ImportSource),
}

/// What a worker says.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Report {
    /// How far it is. Comes about ten times a second at most.
    Step {
        /// What is being done.
        stage: String,
        /// Units done in this stage.
        done: u64,
        /// Units in this stage; 0 when not known.
        total: u64,
        /// What the units are.
        unit: String,
        /// Share of the whole work that is done, 0–1.
        fraction: f32,
    },
    /// A line for the job's log.
    Note {
        /// `info`, `warn` or `error`.
        level: String,
        /// The text.
        text: String,
    },
    /// An epoch whose checkpoint is durable.
    Epoch {
        /// What it measured.
        metrics: EpochMetrics,
    },
    /// The work is done; the last report.
    Done {
        /// What came of it.
        done: Box<WorkDone>,
    },
    /// The work cannot be done, or went wrong; the last report.
    Failed {
        /// How and why.
        failure: JobFailure,
    },
}

/// What came of the work. Blobs that are named here are durable.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum WorkDone {
    /// Of an import or a proposal.
    Proposed(Proposed),
    /// Of a preprocess.
    Pack {
        /// The pack's identity.
        id: Hash,
        /// Images in it.
        images: u64,
        /// Its size.
        bytes: u64,
        /// Whether it was there already.
        reused: bool,
    },
    /// Of a training.
    Trained {
        /// The epoch with the lowest validation loss.
        best_epoch: u32,
        /// Every epoch, also those of earlier attempts.
        epochs: Vec<EpochMetrics>,
        /// The epoch this attempt went on from.
        resumed_from: Option<u32>,
    },
    /// Of an evaluation.
    Evaluated(MadeModel),
    /// Of a collection: the proposal, and what became of each that was offered.
    Gathered(Proposed, Vec<(Source, Fate)>),
    /// Of grouping deferred images.
    Clustered {
        /// The model version that looked at them.
        model: ModelNumber,
        /// The predictions of each cluster.
        clusters: Vec<Vec<PredictionId>>,
    },
    /// Of a check of labels.
    LabelsChecked {
        /// The blob with the candidates.
        report: Hash,
        /// Images that were looked at.
        images: u64,
        /// Share of images whose label is what the classifier says.
        agreement: Proportion,
        /// Candidates.
        issues: u64,
    },
    /// Of garbage collection, which the agent does itself.
    Collected(GcReport),
}

/// What an import or a proposal would change.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proposed {
    /// The blob with the manifest it would make.
    pub manifest: Hash,
    /// What it does to each class that it touches.
    pub classes: BTreeMap<String, ClassChange>,
    /// Images in the version it would make.
    pub result: BTreeMap<String, SplitCounts>,
    /// Bytes of all originals in the version it would make.
    pub bytes: u64,
    /// Images that the base already has.
    pub unchanged: u64,
    /// Files that were byte for byte the same as another.
    pub duplicates: u64,
    /// Files left out; at most 1,000.
    pub quarantine: Vec<Quarantined>,
    /// How many files were left out.
    pub quarantined: u64,
    /// Classes that wait and were left out; at most 100.
    pub waiting: Vec<String>,
    /// Images that got another label than they came with; at most 1,000 labels.
    pub renames: Vec<Rename>,
    /// How many of its images deserve a second look.
    pub findings: FindingCounts,
}

/// A model version that waits for its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MadeModel {
    /// The passport's blob.
    pub passport: Hash,
    /// The weights' blob.
    pub weights: Hash,
    /// The network.
    pub architecture: Architecture,
    /// Number of classes.
    pub classes: u32,
    /// Accuracy on the held-out test split.
    pub accuracy: Proportion,
}
