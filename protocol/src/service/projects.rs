//! Requests about projects, and those of no noun.

use serde::{Deserialize, Serialize};

use crate::project::ProjectSettings;
use crate::{IdempotencyKey, ProjectName};

/// A request without content.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Empty {}

impl From<()> for Empty {
    fn from((): ()) -> Self {
        Self {}
    }
}

/// Names a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InProject {
    /// Which.
    pub project: ProjectName,
}

/// Creates a project.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectCreate {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Its name.
    pub name: ProjectName,
    /// What it is about.
    #[serde(default)]
    pub description: String,
    /// Its settings.
    #[serde(default)]
    pub settings: ProjectSettings,
}

/// Changes a project's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ProjectUpdate {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Which.
    pub project: ProjectName,
    /// The generation the caller saw.
    pub expected_generation: u64,
    /// Its new description.
    pub description: String,
    /// Its new settings.
    pub settings: ProjectSettings,
}
