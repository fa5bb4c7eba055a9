//! Jobs: units of background work with a persisted state.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::blob::GcReport;
use crate::classes::Relabelling;
use crate::dataset::{DatasetRef, Lineage};
use crate::exchange::ManifestFormat;
use crate::import::ImportOptions;
use crate::preprocess::PreprocessSpec;
use crate::run::Recipe;
use crate::source::{Checksum, KaggleDataset, redacted_url};
use crate::window::Window;
use crate::{ChangeSetId, Hash, JobId, ModelNumber, ProjectName, RunId, Time};

/// Where an import reads from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ImportSource {
    /// A folder or zip file on the agent's machine.
    Path {
        /// Absolute path.
        path: String,
    },
    /// A zip file that was uploaded as a blob.
    Blob {
        /// Its hash.
        hash: Hash,
        /// What to call it.
        name: String,
    },
    /// A manifest that was uploaded as a blob: its images are blobs already, or lie in a folder.
    Manifest {
        /// Its hash.
        hash: Hash,
        /// What to call it.
        name: String,
        /// Its form.
        format: ManifestFormat,
        /// The folder on the agent's machine that its files lie in; absolute.
        #[serde(default)]
        images: Option<String>,
        /// Whether images that it does not name leave the line.
        #[serde(default)]
        replace: bool,
    },
    /// A zip file that the agent downloads first.
    Url {
        /// An `http` or `https` URL; a user and password in it are sent to its host alone.
        url: String,
        /// What its bytes must come to.
        #[serde(default)]
        checksum: Option<Checksum>,
    },
    /// A Kaggle dataset that the agent downloads first.
    Kaggle {
        /// Which.
        dataset: KaggleDataset,
        /// Which of its versions; the newest when absent.
        #[serde(default)]
        version: Option<u64>,
    },
    /// A source this build does not know; it imports nothing.
    #[serde(other)]
    Unknown,
}

impl ImportSource {
    /// The name shown to people; without what is secret in a URL.
    pub fn name(&self) -> Cow<'_, str> {
        match self {
            ImportSource::Path { path } => path.into(),
            ImportSource::Blob { name, .. } | ImportSource::Manifest { name, .. } => name.into(),
            ImportSource::Url { url, .. } => redacted_url(url).into(),
            ImportSource::Kaggle { dataset, version: Some(version) } => {
                format!("kaggle:{dataset} version {version}").into()
            }
            ImportSource::Kaggle { dataset, version: None } => format!("kaggle:{dataset}").into(),
            ImportSource::Unknown => "an unknown source".into(),
        }
    }

    /// Whether the agent has to download it.
    pub fn is_remote(&self) -> bool {
        match self {
            ImportSource::Url { .. } | ImportSource::Kaggle { .. } => true,
            ImportSource::Path { .. }
            | ImportSource::Blob { .. }
            | ImportSource::Manifest { .. }
            | ImportSource::Unknown => false,
        }
    }
}

/// What a job is to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobSpec {
    /// Read images and propose them as a change-set.
    Import {
        /// From where.
        source: ImportSource,
        /// Into which line.
        lineage: Lineage,
        /// Accept the change-set at once when nothing but additions is in it.
        accept: bool,
        /// How the source is read.
        #[serde(default)]
        options: ImportOptions,
    },
    /// Propose new splits for a line whose shares are off or whose groups cross splits: as few
    /// images as possible move, and groups move whole.
    Resplit {
        /// Of which line.
        lineage: Lineage,
    },
    /// Propose (and, if asked, accept) what one line has and another lacks. Into reference, classes
    /// that the project's class rule lets wait stay out.
    Propose {
        /// What to take from.
        from: DatasetRef,
        /// Into which line.
        into: Lineage,
        /// Accept the change-set at once.
        accept: bool,
        /// Let every class in, whatever the class rule says.
        #[serde(default)]
        admit_all: bool,
        /// Only add images: what both lines have keeps the label it has in `into`.
        #[serde(default)]
        only_add: bool,
        /// Take only this part of it.
        #[serde(default)]
        window: Option<Window>,
    },
    /// Give images of a line other labels.
    Relabel {
        /// Which line.
        lineage: Lineage,
        /// Which images, and which labels.
        relabelling: Relabelling,
        /// Accept the change-set at once.
        accept: bool,
    },
    /// Take train images of large classes out of a line, so that all classes have as many.
    Balance {
        /// Which line.
        lineage: Lineage,
        /// The most train images that a class keeps; those of the smallest class when absent.
        #[serde(default)]
        per_class: Option<u64>,
        /// Decides which ones stay.
        #[serde(default)]
        seed: u64,
        /// Accept the change-set at once.
        accept: bool,
    },
    /// Look for images whose label is wrong.
    LabelCheck {
        /// In which version.
        dataset: DatasetRef,
        /// Parts that the images are dealt to, 2–20.
        folds: u32,
        /// Network, weights and input of the features, and how each part's classifier learns.
        recipe: Recipe,
    },
    /// Decode a dataset version into a pack.
    Preprocess {
        /// Which.
        dataset: DatasetRef,
        /// How.
        spec: PreprocessSpec,
    },
    /// Train; the pack is made first when it is missing.
    Train {
        /// On what.
        dataset: DatasetRef,
        /// How.
        recipe: Recipe,
        /// The run it fills.
        run: RunId,
    },
    /// Evaluate a run's best checkpoint on the held-out test split and register it as a model version.
    Evaluate {
        /// Which run.
        run: RunId,
    },
    /// Propose the images that people confirmed or corrected as the next version of `production`.
    Collect {
        /// Accept the change-set at once; it only ever adds.
        accept: bool,
    },
    /// Group the images of the deferred queue by what the production model sees in them.
    Cluster {
        /// The largest mean cosine distance within a cluster, 0–2; absent for the usual one.
        #[serde(default)]
        distance: Option<f32>,
    },
    /// Find blobs that nothing refers to and files that can be made again and that no job needs, and
    /// remove them unless it is a dry run.
    Gc {
        /// Only report.
        dry_run: bool,
    },
    /// A kind this build does not know.
    #[serde(other)]
    Unknown,
}

impl JobSpec {
    /// One word for lists.
    pub fn kind(&self) -> &'static str {
        match self {
            JobSpec::Import { .. } => "import",
            JobSpec::Resplit { .. } => "resplit",
            JobSpec::Propose { .. } => "propose",
            JobSpec::Relabel { .. } => "relabel",
            JobSpec::Balance { .. } => "balance",
            JobSpec::LabelCheck { .. } => "label_check",
            JobSpec::Preprocess { .. } => "preprocess",
            JobSpec::Train { .. } => "train",
            JobSpec::Evaluate { .. } => "evaluate",
            JobSpec::Collect { .. } => "collect",
            JobSpec::Cluster { .. } => "cluster",
            JobSpec::Gc { .. } => "gc",
            JobSpec::Unknown => "unknown",
        }
    }
}

/// Where a job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum JobState {
    /// Waits for another job, a lease or a worker slot; `waits_for` says which.
    Queued,
    /// A worker is at it.
    Running,
    /// Was asked to stop; its worker is stopping.
    Cancelling,
    /// Done.
    Succeeded,
    /// Ended with a failure.
    Failed,
    /// Stopped on request.
    Cancelled,
    /// A state this build does not know.
    #[serde(other)]
    Unknown,
}

impl JobState {
    /// Whether nothing more will happen.
    pub fn is_final(self) -> bool {
        matches!(self, JobState::Succeeded | JobState::Failed | JobState::Cancelled)
    }
}

impl fmt::Display for JobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            JobState::Queued => "queued",
            JobState::Running => "running",
            JobState::Cancelling => "cancelling",
            JobState::Succeeded => "succeeded",
            JobState::Failed => "failed",
            JobState::Cancelled => "cancelled",
            JobState::Unknown => "unknown",
        })
    }
}

/// How far a job is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// What it is doing: `reading images`, `epoch 3 of 30`.
    pub stage: String,
    /// Units done in this stage.
    pub done: u64,
    /// Units in this stage; 0 when not known yet.
    pub total: u64,
    /// What the units are: `images`.
    pub unit: String,
    /// Share of the whole job that is done, 0–1. Never falls, except that an attempt that cannot
    /// resume starts again, which the job's log says.
    pub fraction: f32,
    /// Seconds until the whole job is done, when there is ground for a guess.
    pub eta_s: Option<f32>,
    /// Units a second in this stage, of late; absent before there is ground for it.
    #[serde(default)]
    pub rate: Option<f32>,
}

/// What a job waits for, and who holds it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Wait {
    /// Another job that must succeed first.
    Job {
        /// Which.
        job: JobId,
    },
    /// A resource that another job holds.
    Lease {
        /// Which resource: `lineage:birds/reference`, `device:cpu`.
        resource: String,
        /// Who holds it.
        holder: JobId,
    },
    /// A free worker slot.
    Slot,
    /// A back-off before the next attempt.
    Backoff {
        /// Until when.
        until: Time,
    },
    /// A reason this build does not know.
    #[serde(other)]
    Unknown,
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobFailure {
    /// The kind of end.
    pub cause: FailureCause,
    /// What happened, for people.
    pub message: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
}

/// How a worker ended that did not succeed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FailureCause {
    /// The work itself says it cannot be done; trying again would not help.
    Refused,
    /// The worker reported an error that another attempt may not meet.
    Error,
    /// The worker was killed by a signal.
    Killed,
    /// The worker was killed because memory ran out.
    OutOfMemory,
    /// The worker panicked or aborted.
    Crashed,
    /// A job it needed failed or was cancelled.
    Dependency,
    /// The agent stopped and the job could not be taken up again.
    Interrupted,
    /// What was to be downloaded is not there, not for us or not whole; later it may be.
    Remote,
    /// A cause this build does not know.
    #[serde(other)]
    Unknown,
}

/// What a job that succeeded made.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum JobOutcome {
    /// A change-set, and the version it became if it was accepted.
    ChangeSet {
        /// The change-set.
        change_set: ChangeSetId,
        /// The version.
        dataset: Option<DatasetRef>,
    },
    /// The proposal found nothing to change.
    NoChange {
        /// The version that already holds everything.
        dataset: Option<DatasetRef>,
    },
    /// A pack.
    Pack {
        /// Its identity: manifest and pixels' spec.
        pack: Hash,
        /// Images in it.
        images: u64,
        /// Its size.
        bytes: u64,
        /// Whether it was there already.
        reused: bool,
    },
    /// A finished run.
    Run {
        /// Which.
        run: RunId,
        /// Its best epoch.
        best_epoch: u32,
    },
    /// A registered model version.
    Model {
        /// Its number.
        number: ModelNumber,
    },
    /// A check of labels.
    LabelCheck {
        /// Images that were looked at.
        images: u64,
        /// Those whose label may be wrong.
        issues: u64,
    },
    /// Clusters of the deferred queue.
    Clusters {
        /// How many.
        clusters: u32,
        /// Images in them.
        images: u64,
    },
    /// What garbage collection found.
    Gc {
        /// The figures.
        report: GcReport,
    },
    /// An outcome this build does not know.
    #[serde(other)]
    Unknown,
}

/// One job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Job {
    /// Its identity.
    pub id: JobId,
    /// Its project; absent for jobs of the whole agent (gc).
    pub project: Option<ProjectName>,
    /// What it is to do.
    pub spec: JobSpec,
    /// Jobs that must succeed first.
    #[serde(default)]
    pub after: Vec<JobId>,
    /// Where it stands.
    pub state: JobState,
    /// What it waits for, when queued.
    #[serde(default)]
    pub waits_for: Vec<Wait>,
    /// How far it is.
    #[serde(default)]
    pub progress: Progress,
    /// Attempts begun.
    #[serde(default)]
    pub attempts: u32,
    /// What it made.
    #[serde(default)]
    pub outcome: Option<JobOutcome>,
    /// Why it failed; on a job that is queued or running again, why the last attempt did.
    #[serde(default)]
    pub failure: Option<JobFailure>,
    /// When it was asked for.
    pub created: Time,
    /// When its first attempt began.
    #[serde(default)]
    pub started: Option<Time>,
    /// When it ended.
    #[serde(default)]
    pub finished: Option<Time>,
    /// Who asked for it.
    pub by: String,
    /// The worker's process, while one runs.
    #[serde(default)]
    pub worker_pid: Option<u32>,
    /// Rises with every change of state.
    #[serde(default)]
    pub generation: u64,
}

impl Job {
    /// The same for whoever may look: without what is secret in the URL that it downloads, and of a
    /// long relabelling only the beginning.
    #[must_use]
    pub fn redacted(mut self) -> Self {
        match &mut self.spec {
            JobSpec::Import { source: ImportSource::Url { url, .. }, .. } => *url = redacted_url(url),
            JobSpec::Relabel { relabelling, .. } => {
                *relabelling = std::mem::replace(relabelling, Relabelling::Unknown).shortened();
            }
            _ => {}
        }
        self
    }

    /// What it is called in events: `train of reference@v3`.
    pub fn name(&self) -> String {
        let kind = self.spec.kind();
        match &self.spec {
            JobSpec::Import { source, .. } => format!("{kind} of {}", source.name()),
            JobSpec::Propose { from, into, .. } => format!("{kind} from {from} into {into}"),
            JobSpec::Relabel { lineage, .. }
            | JobSpec::Balance { lineage, .. }
            | JobSpec::Resplit { lineage } => {
                format!("{kind} of {lineage}")
            }
            JobSpec::Preprocess { dataset, .. }
            | JobSpec::LabelCheck { dataset, .. }
            | JobSpec::Train { dataset, .. } => format!("{kind} of {dataset}"),
            JobSpec::Evaluate { run } => format!("{kind} of run {run}"),
            JobSpec::Collect { .. } => format!("{kind} of feedback"),
            JobSpec::Cluster { .. } => format!("{kind} of the deferred images"),
            JobSpec::Gc { .. } | JobSpec::Unknown => kind.to_owned(),
        }
    }
}

/// A job's claim on a resource.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lease {
    /// What is claimed: `lineage:birds/reference`, `pack:ab12…`, `device:cpu`.
    pub resource: String,
    /// By which job.
    pub holder: JobId,
    /// Rises with every holder of this resource; what is written under an older token is refused.
    pub token: u64,
    /// Since when.
    pub since: Time,
}

/// One line of a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When.
    pub at: Time,
    /// `info`, `warn` or `error`.
    pub level: String,
    /// The text.
    pub text: String,
}
