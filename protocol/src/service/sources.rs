//! Requests about sources.

use serde::{Deserialize, Serialize};

use crate::dataset::Lineage;
use crate::job::Job;
use crate::source::{Acceptance, Source, SourceOrigin};
use crate::{IdempotencyKey, ProjectName, SourceName};

/// Sets a source up, or changes it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceSet {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// In which project.
    pub project: ProjectName,
    /// The source.
    pub name: SourceName,
    /// The generation the caller saw; absent for a source that is not there yet.
    #[serde(default)]
    pub expected_generation: Option<u64>,
    /// Where the images are. Another origin starts the source's history anew; one that was read
    /// without its URL's secrets and comes back unchanged keeps them.
    pub origin: SourceOrigin,
    /// Into which line they go.
    pub lineage: Lineage,
    /// Who decides on a new version's change-set.
    #[serde(default)]
    pub acceptance: Acceptance,
    /// Whether the version that was made is decoded into a pack at once.
    #[serde(default)]
    pub preprocess: bool,
}

/// Removes a source. What was imported from it stays.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceRemove {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// The source.
    pub name: SourceName,
    /// The generation the caller saw.
    pub expected_generation: u64,
}

/// Looks whether a source has something new, and imports it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceCheck {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// The source.
    pub name: SourceName,
}

/// What a check came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SourceChecked {
    /// The source as it is now.
    pub source: Source,
    /// The job that imports what is new, if there is something new.
    #[serde(default)]
    pub job: Option<Box<Job>>,
}
