//! Requests about schedules and about the rules by which data enters reference.

use serde::{Deserialize, Serialize};

use crate::page::PageRequest;
use crate::schedule::ScheduleSpec;
use crate::{IdempotencyKey, ProjectName, ScheduleName};

/// Lists schedules: those of the agent first, then by project and name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ScheduleList {
    /// Of which project; all, and those of the agent, when absent.
    pub project: Option<ProjectName>,
}

/// Sets a schedule: a new one, or another content for one that is there. What was due before is
/// settled: a schedule begins anew when it is set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ScheduleSet {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project; absent for a schedule of the whole agent.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// Its name.
    pub name: ScheduleName,
    /// The generation the caller saw; 0 when there is none of this name yet.
    pub expected_generation: u64,
    /// What it does, and when.
    pub spec: ScheduleSpec,
}

/// Removes a schedule with its history. What it submitted goes on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRemove {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project; absent for a schedule of the whole agent.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// Its name.
    pub name: ScheduleName,
}

/// Pauses or resumes a schedule. What falls due meanwhile is not made up for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SchedulePause {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project; absent for a schedule of the whole agent.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// Its name.
    pub name: ScheduleName,
    /// `true` pauses, `false` resumes.
    pub pause: bool,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}

/// Fires a schedule now, besides its own times; a paused one too.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleRun {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project; absent for a schedule of the whole agent.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// Its name.
    pub name: ScheduleName,
}

/// Reads the firings of a schedule, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScheduleHistory {
    /// Of which project; absent for a schedule of the whole agent.
    #[serde(default)]
    pub project: Option<ProjectName>,
    /// Its name.
    pub name: ScheduleName,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Asks which classes wait to enter reference, and what for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassWaiting {
    /// Of which project.
    pub project: ProjectName,
    /// What if a class needed so many images? Changes nothing; the project's own rule when absent.
    #[serde(default)]
    pub threshold: Option<u32>,
}
