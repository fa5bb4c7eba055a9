//! Requests about dataset versions and change-sets.

use serde::{Deserialize, Serialize};

use crate::dataset::{DatasetRef, Lineage, Split};
use crate::page::PageRequest;
use crate::{ChangeSetId, IdempotencyKey, ProjectName};

/// Lists dataset versions, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetList {
    /// Of which project.
    pub project: ProjectName,
    /// Of which line; all three when absent.
    #[serde(default)]
    pub lineage: Option<Lineage>,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Names a dataset version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetGet {
    /// Of which project.
    pub project: ProjectName,
    /// Which.
    pub dataset: DatasetRef,
}

/// Lists the images of a dataset version, by image hash.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetImages {
    /// Of which project.
    pub project: ProjectName,
    /// Which version.
    pub dataset: DatasetRef,
    /// Only this class.
    #[serde(default)]
    pub class: Option<String>,
    /// Only this split.
    #[serde(default)]
    pub split: Option<Split>,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Tells two dataset versions of a project apart; their lines may differ.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetDiff {
    /// Of which project.
    pub project: ProjectName,
    /// The earlier version; absent for the empty set, so that everything is added.
    #[serde(default)]
    pub from: Option<DatasetRef>,
    /// The later version.
    pub to: DatasetRef,
    /// Only images that have this class in one of the two; the figures of the classes stay whole.
    #[serde(default)]
    pub class: Option<String>,
    /// Which page of the images that changed.
    #[serde(default)]
    pub page: PageRequest,
}

/// Lists change-sets, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSetList {
    /// Of which project.
    pub project: ProjectName,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Names a change-set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSetGet {
    /// Of which project.
    pub project: ProjectName,
    /// Which.
    pub change_set: ChangeSetId,
}

/// Accepts or rejects a change-set.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSetDecide {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// Which.
    pub change_set: ChangeSetId,
    /// The generation the caller saw.
    pub expected_generation: u64,
    /// `true` makes it a version.
    pub accept: bool,
    /// Why.
    #[serde(default)]
    pub reason: Option<String>,
}
