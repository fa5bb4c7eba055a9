//! Requests about dataset versions and change-sets.

use serde::{Deserialize, Serialize};

use crate::dataset::{ChangeKind, DatasetRef, Lineage, Split};
use crate::page::PageRequest;
use crate::review::Selection;
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

/// Lists the images that a change-set changes, by image hash, with what was found about them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChangeSetImages {
    /// Of which project.
    pub project: ProjectName,
    /// Which change-set.
    pub change_set: ChangeSetId,
    /// Only images that have this class before or after.
    #[serde(default)]
    pub class: Option<String>,
    /// Only images of which this becomes.
    #[serde(default)]
    pub kind: Option<ChangeKind>,
    /// Only images with findings.
    #[serde(default)]
    pub only_findings: bool,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
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
    /// Accept only this part of it; the rest is turned down with the same word. Nothing can be
    /// rejected in part.
    #[serde(default)]
    pub selection: Option<Box<Selection>>,
}
