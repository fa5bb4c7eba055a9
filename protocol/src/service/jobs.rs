//! Requests about jobs and runs.

use serde::{Deserialize, Serialize};

use crate::dataset::DatasetRef;
use crate::job::{Job, JobSpec, JobState, LogLine};
use crate::page::PageRequest;
use crate::run::{Recipe, Run};
use crate::{IdempotencyKey, JobId, ProjectName, RunId};

/// Asks for a job. Trainings are asked for by [`TrainSubmit`], which makes their run too.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct JobSubmit {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// In which project; absent for jobs of the whole agent.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// What it is to do.
    pub spec: JobSpec,
    /// Jobs that must succeed first.
    #[serde(default)]
    pub after: Vec<JobId>,
}

/// Asks for a training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSubmit {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// In which project.
    pub project: ProjectName,
    /// On what.
    pub dataset: DatasetRef,
    /// How.
    #[serde(default)]
    pub recipe: Recipe,
    /// Jobs that must succeed first.
    #[serde(default)]
    pub after: Vec<JobId>,
}

/// A training as it was accepted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TrainSubmitted {
    /// The job.
    pub job: Job,
    /// The run it fills.
    pub run: RunId,
}

impl From<(Job, Run)> for TrainSubmitted {
    fn from((job, run): (Job, Run)) -> Self {
        Self { job, run: run.id }
    }
}

/// Lists jobs, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct JobList {
    /// Of which project; all when absent.
    pub project: Option<ProjectName>,
    /// In which state; all when absent.
    pub state: Option<JobState>,
    /// Which page.
    pub page: PageRequest,
}

/// Names a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobGet {
    /// Which.
    pub job: JobId,
}

/// Cancels or retries a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobChange {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Which.
    pub job: JobId,
}

/// Reads a job's log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLog {
    /// Whose.
    pub job: JobId,
    /// From which byte; what the last page said, 0 at first.
    #[serde(default)]
    pub offset: u64,
}

/// A piece of a job's log.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct JobLogPage {
    /// Its lines.
    pub lines: Vec<LogLine>,
    /// Where to read on.
    pub offset: u64,
    /// Whether this was the end, as of now.
    pub end: bool,
}

/// Lists runs, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunList {
    /// Of which project.
    pub project: ProjectName,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Names a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RunGet {
    /// Of which project.
    pub project: ProjectName,
    /// Which.
    pub run: RunId,
}
