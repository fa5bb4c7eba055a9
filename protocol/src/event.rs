//! What happened, for those who watch.

use serde::{Deserialize, Serialize};

use crate::dataset::DatasetRef;
use crate::health::ServiceState;
use crate::job::JobState;
use crate::{
    AliasName, ChangeSetId, FiringId, JobId, ModelNumber, ProjectName, RunId, ScheduleName, SourceName, Time,
};

/// How much an event matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// For the record.
    Info,
    /// Someone should look.
    Warning,
    /// Someone must act.
    Error,
    /// A severity this build does not know; better taken too seriously than not enough.
    #[serde(other)]
    Unknown,
}

/// What an event is about, for programs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Subject {
    /// The agent started, stops, or has a finding.
    Agent,
    /// A service changed its state.
    Service {
        /// Which.
        name: String,
        /// To what.
        state: ServiceState,
    },
    /// A project was created or changed.
    Project,
    /// A job changed its state.
    Job {
        /// Which.
        job: JobId,
        /// To what.
        state: JobState,
    },
    /// A change-set was proposed or decided.
    ChangeSet {
        /// Which.
        change_set: ChangeSetId,
    },
    /// A dataset version was made.
    Dataset {
        /// Which.
        dataset: DatasetRef,
    },
    /// A run finished an epoch.
    Epoch {
        /// Which run.
        run: RunId,
        /// Which epoch.
        epoch: u32,
    },
    /// A model version was registered.
    Model {
        /// Which.
        number: ModelNumber,
    },
    /// An alias moved.
    Alias {
        /// Which.
        alias: AliasName,
        /// To what.
        to: ModelNumber,
    },
    /// A schedule fired, or was changed.
    Schedule {
        /// Which.
        schedule: ScheduleName,
        /// The firing; absent when somebody changed the schedule.
        #[serde(default)]
        firing: Option<FiringId>,
        /// The job that it submitted.
        #[serde(default)]
        job: Option<JobId>,
    },
    /// The rules looked at a dataset version.
    Rules {
        /// Which.
        dataset: DatasetRef,
        /// The job that they submitted.
        #[serde(default)]
        job: Option<JobId>,
    },
    /// Reference changed and is preprocessed: a training may be worth it.
    DataChanged {
        /// The version of reference.
        dataset: DatasetRef,
        /// The job that preprocessed it.
        #[serde(default)]
        job: Option<JobId>,
    },
    /// A source was found in another state, or has a new version.
    Source {
        /// Which.
        source: SourceName,
    },
    /// A subject this build does not know.
    #[serde(other)]
    Unknown,
}

/// Something that happened on an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// Rises by one with every event of an agent, for its whole life.
    pub seq: u64,
    /// When.
    pub at: Time,
    /// In which project.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// How much it matters.
    pub severity: Severity,
    /// What it is about.
    pub subject: Subject,
    /// What happened, for people.
    pub text: String,
}

/// Where a watcher stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct WatchCursor {
    /// Random for each start of the agent.
    pub epoch: u64,
    /// The last thing seen.
    pub seq: u64,
}

/// What a watcher is told. Rows that change often (a job's progress) come as their newest value
/// only: whoever watches slowly misses steps, never the end.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Update {
    /// Something happened.
    Event {
        /// What.
        event: Event,
    },
    /// A job's newest state and progress.
    Job {
        /// The whole row.
        job: Box<crate::job::Job>,
    },
    /// An update this build does not know.
    #[serde(other)]
    Unknown,
}
