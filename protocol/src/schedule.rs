//! Schedules: what an agent does by itself, when, and what became of it.

use serde::{Deserialize, Serialize};

use crate::dataset::{Decision, Lineage};
use crate::job::JobState;
use crate::{AliasName, FiringId, JobId, ProjectName, ScheduleName, SourceName, Time};

/// A schedule of a project, or of the whole agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Its name, unique in its project (or among those of the agent).
    pub name: ScheduleName,
    /// Its project; absent for a schedule of the whole agent.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// What it does, and when.
    pub spec: ScheduleSpec,
    /// Who paused it, while it is paused: nothing fires by itself then.
    #[serde(default)]
    pub paused: Option<Decision>,
    /// When it was first set.
    pub created: Time,
    /// Who set it last.
    pub by: String,
    /// Rises whenever somebody changes it; what a change must name.
    pub generation: u64,
    /// How far it has come.
    pub progress: ScheduleProgress,
}

/// What a schedule does, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSpec {
    /// What makes it fire.
    pub trigger: Trigger,
    /// What it does then.
    pub action: ScheduleAction,
    /// What becomes of firings that were missed while the agent was down.
    #[serde(default)]
    pub catch_up: CatchUp,
    /// Each firing comes up to so many seconds late, 0–86,400, so that a fleet does not ask one server
    /// all at once. How late a firing comes is decided by its schedule and its time, not drawn anew; it
    /// never comes later than the next one is due. Triggers by event have none.
    #[serde(default)]
    pub jitter_s: u32,
    /// What it is for, for people.
    #[serde(default)]
    pub description: String,
}

/// What makes a schedule fire.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Trigger {
    /// The calendar. A time that the clock leaps over in spring fires once, as soon as the clock has
    /// leapt; one that comes twice in autumn fires the first time. An expression for every hour of the
    /// day goes by elapsed time instead: it skips no hour and doubles none.
    Cron {
        /// Minute, hour, day of the month, month, day of the week: `30 2 * * MON-FRI`.
        expression: String,
        /// The IANA time zone it is read in: `Europe/Paris`.
        time_zone: String,
    },
    /// Every so many seconds, counted from when it was set.
    Interval {
        /// Seconds, 60–31,622,400 (366 days).
        seconds: u32,
    },
    /// Something happened; in the schedule's project when it has one.
    Event {
        /// What.
        on: EventFilter,
        /// Fires once no such event has come for so many seconds, 0–86,400; at the latest ten times as
        /// long after the first.
        #[serde(default)]
        debounce_s: u32,
    },
    /// A trigger this build does not know; it never fires.
    #[serde(other)]
    Unknown,
}

/// Which events fire a schedule.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum EventFilter {
    /// A dataset version was made.
    Dataset {
        /// Of this line; of any when absent.
        #[serde(default)]
        lineage: Option<Lineage>,
    },
    /// A change-set was proposed or rejected.
    ChangeSet,
    /// A model version was registered.
    Model,
    /// An alias moved.
    Alias {
        /// This one; any when absent.
        #[serde(default)]
        alias: Option<AliasName>,
    },
    /// The rules say that the data changed, and that a training may be worth it.
    DataChanged,
    /// Events this build does not know; nothing is one of them.
    #[serde(other)]
    Unknown,
}

/// What a schedule does.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ScheduleAction {
    /// Looks whether a source has a newer version, and brings it in as the source says.
    CheckSource {
        /// The source's name.
        source: SourceName,
    },
    /// Makes a change-set of production from the images that people confirmed or corrected.
    Collect {
        /// Accept it at once; it only ever adds.
        #[serde(default)]
        accept: bool,
    },
    /// Proposes what the newest version of a line has and reference lacks.
    UpdateReference {
        /// The line: source or production.
        from: Lineage,
        /// Accept the change-set at once when nothing but additions is in it.
        #[serde(default)]
        accept: bool,
    },
    /// Decodes the newest version of reference into a pack, as the newest run reads it.
    Preprocess,
    /// Removes blobs that nothing refers to, and files that can be made again and that no job needs. Of
    /// the whole agent.
    Gc,
    /// Makes a copy of the agent's state in a new folder. Of the whole agent.
    Backup {
        /// The folder that holds the copies: an absolute path on the agent's machine.
        folder: String,
    },
    /// An action this build does not know; its firings fail.
    #[serde(other)]
    Unknown,
}

impl ScheduleAction {
    /// A few words for lists: `check source birds`.
    pub fn name(&self) -> String {
        match self {
            ScheduleAction::CheckSource { source } => format!("check source {source}"),
            ScheduleAction::Collect { accept: true } => "collect feedback into production".to_owned(),
            ScheduleAction::Collect { accept: false } => "collect feedback, for review".to_owned(),
            ScheduleAction::UpdateReference { from, accept: true } => {
                format!("update reference from {from}, accept additions")
            }
            ScheduleAction::UpdateReference { from, accept: false } => {
                format!("update reference from {from}, for review")
            }
            ScheduleAction::Preprocess => "preprocess reference".to_owned(),
            ScheduleAction::Gc => "remove blobs that nothing refers to".to_owned(),
            ScheduleAction::Backup { folder } => format!("backup into {folder}"),
            ScheduleAction::Unknown => "something this build does not know".to_owned(),
        }
    }

    /// Whether it works on the whole agent rather than on a project.
    pub fn of_agent(&self) -> bool {
        match self {
            ScheduleAction::Gc | ScheduleAction::Backup { .. } => true,
            ScheduleAction::CheckSource { .. }
            | ScheduleAction::Collect { .. }
            | ScheduleAction::UpdateReference { .. }
            | ScheduleAction::Preprocess
            | ScheduleAction::Unknown => false,
        }
    }
}

/// What becomes of firings that were missed: the agent was down, or the clock was set forward.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum CatchUp {
    /// None of them fires; the history says how many there were.
    Skip,
    /// One firing stands for all of them.
    #[default]
    Once,
    /// Each of them fires, at most so many of the newest.
    All {
        /// How many, 1–100.
        at_most: u32,
    },
    /// A way this build does not know; nothing is caught up.
    #[serde(other)]
    Unknown,
}

/// How far a schedule has come. The agent's own; nobody sets it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleProgress {
    /// Whatever was due until then has fired, or was skipped.
    pub through: Time,
    /// What an interval is counted from.
    pub anchor: Time,
    /// The number of the newest event that was taken into account.
    pub event: u64,
    /// Firings so far: the number of the newest.
    pub firings: u64,
}

/// A firing to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedFiring {
    /// When it is due.
    pub due: Time,
    /// When it comes: then, plus its jitter.
    pub at: Time,
}

/// A schedule with what it will do and what it did last.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleStatus {
    /// The schedule.
    pub schedule: Schedule,
    /// The next five firings; none while it is paused, or when it waits for events.
    #[serde(default)]
    pub next: Vec<PlannedFiring>,
    /// The newest firing that its history holds.
    #[serde(default)]
    pub last: Option<Firing>,
}

/// One time that a schedule fired, or should have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Firing {
    /// Its identity; the keys of what it submits are made from it, so that nothing is submitted twice.
    pub id: FiringId,
    /// The schedule.
    pub schedule: ScheduleName,
    /// The schedule's project.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// From 1, rising by one with every firing of the schedule.
    pub number: u64,
    /// Why it fired.
    pub cause: FiringCause,
    /// What it does.
    pub action: ScheduleAction,
    /// When it was due.
    pub due: Time,
    /// When it began.
    pub began: Time,
    /// When its action was carried out, or handed over to jobs.
    #[serde(default)]
    pub ended: Option<Time>,
    /// Where it stands.
    pub state: FiringState,
    /// The jobs that it submitted.
    #[serde(default)]
    pub jobs: Vec<FiredJob>,
    /// What came of it, for people.
    #[serde(default)]
    pub detail: String,
}

/// Why a schedule fired.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FiringCause {
    /// It was due.
    Due,
    /// It was due while the agent was down, or the clock was set forward.
    Missed {
        /// How many firings it stands for; 1,000 may be more.
        firings: u32,
    },
    /// Something happened.
    Event {
        /// The number of the newest such event.
        seq: u64,
        /// How many there were since the last firing.
        events: u64,
    },
    /// Somebody asked for it.
    Asked {
        /// Who.
        by: String,
    },
    /// A cause this build does not know.
    #[serde(other)]
    Unknown,
}

/// Where a firing stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FiringState {
    /// Its action is on its way; a restart takes it up again.
    Begun,
    /// Its action was handed over to jobs, which say the rest.
    Submitted,
    /// Its action was carried out.
    Done,
    /// There was nothing to do, or it was missed and is not caught up.
    Skipped,
    /// Its action could not be carried out or handed over.
    Failed,
    /// A state this build does not know.
    #[serde(other)]
    Unknown,
}

impl FiringState {
    /// The word used in commands and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            FiringState::Begun => "begun",
            FiringState::Submitted => "submitted",
            FiringState::Done => "done",
            FiringState::Skipped => "skipped",
            FiringState::Failed => "failed",
            FiringState::Unknown => "unknown",
        }
    }
}

/// A job that a firing submitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FiredJob {
    /// Which.
    pub job: JobId,
    /// Where it stands, as of this answer.
    #[serde(default)]
    pub state: Option<JobState>,
}
