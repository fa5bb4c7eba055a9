//! Jobs: units of background work with a persisted state.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::blob::GcReport;
use crate::dataset::{DatasetRef, Lineage};
use crate::import::ImportOptions;
use crate::preprocess::PreprocessSpec;
use crate::run::Recipe;
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
    /// A source this build does not know; it imports nothing.
    #[serde(other)]
    Unknown,
}

impl ImportSource {
    /// The name shown to people.
    pub fn name(&self) -> &str {
        match self {
            ImportSource::Path { path } => path,
            ImportSource::Blob { name, .. } => name,
            ImportSource::Unknown => "an unknown source",
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
    /// Propose (and, if asked, accept) what one line has and another lacks.
    Propose {
        /// What to take from.
        from: DatasetRef,
        /// Into which line.
        into: Lineage,
        /// Accept the change-set at once.
        accept: bool,
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
    /// Find blobs that nothing refers to, and remove them unless it is a dry run.
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
            JobSpec::Preprocess { .. } => "preprocess",
            JobSpec::Train { .. } => "train",
            JobSpec::Evaluate { .. } => "evaluate",
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
