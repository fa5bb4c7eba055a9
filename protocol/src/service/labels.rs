//! Requests about class names and labels.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::balance::Balance;
use crate::classes::ImageLabel;
use crate::dataset::DatasetRef;
use crate::page::PageRequest;
use crate::{IdempotencyKey, JobId, ModelNumber, ProjectName};

/// Replaces the class list of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassListSet {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// The generation the caller saw.
    pub expected_generation: u64,
    /// The canonical names.
    pub classes: BTreeSet<String>,
    /// Other names, each with the canonical name that it stands for.
    #[serde(default)]
    pub aliases: BTreeMap<String, String>,
}

/// Asks what the class list says of labels: of those named, or of all that a dataset version has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCheck {
    /// Of which project.
    pub project: ProjectName,
    /// Labels, at most 1,000.
    #[serde(default)]
    pub labels: Vec<String>,
    /// A version whose labels are looked at too.
    #[serde(default)]
    pub dataset: Option<DatasetRef>,
}

/// Asks what a way of balancing would come to. Nothing is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetBalance {
    /// Of which project.
    pub project: ProjectName,
    /// Which version.
    pub dataset: DatasetRef,
    /// Which way.
    pub balance: Balance,
}

/// Asks for all that is known of a dataset version and a model version together.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatasetMetadata {
    /// Of which project.
    pub project: ProjectName,
    /// The model version.
    pub model: ModelNumber,
    /// The dataset version; the one that the model learnt from when absent.
    #[serde(default)]
    pub dataset: Option<DatasetRef>,
}

/// Lists label checks, newest first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCheckList {
    /// Of which project.
    pub project: ProjectName,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Lists candidates of a label check that nobody decided on yet, the least credible labels first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelIssueList {
    /// Of which project.
    pub project: ProjectName,
    /// Of which check; the newest when absent.
    #[serde(default)]
    pub check: Option<JobId>,
    /// Only images that have this label.
    #[serde(default)]
    pub class: Option<String>,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Says that labels are right, so that no check brings them up again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelKeep {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// The images and the labels they have, at most 1,000.
    pub labels: Vec<ImageLabel>,
}
