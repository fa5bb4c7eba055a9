//! What is known of a dataset version beside its images: how it came about, and what a model made
//! of it.

use serde::{Deserialize, Serialize};

use crate::dataset::{ClassChange, DatasetRef, DatasetVersion, Split};
use crate::model::{Architecture, Proportion};
use crate::run::Recipe;
use crate::{Hash, ModelNumber, ProjectName, RunId, Time};

/// A row of a line's history: a version and the change-set that made it.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetHistory {
    /// The version.
    pub version: DatasetVersion,
    /// What proposed it.
    pub origin: String,
    /// What it did, all classes together.
    pub change: ClassChange,
    /// Images offered that the version before had already.
    pub unchanged: u64,
    /// Files left out.
    pub quarantined: u64,
    /// Why it was accepted.
    #[serde(default)]
    pub reason: Option<String>,
}

/// A split of a dataset version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SplitFigures {
    /// Which.
    pub split: Split,
    /// Its images.
    pub images: u64,
    /// Hash of its images and their labels: equal hashes mean the same split.
    pub hash: Hash,
}

/// A dataset version and a model version together.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DatasetModelMetadata {
    /// The project.
    pub project: ProjectName,
    /// The dataset version.
    pub dataset: DatasetRef,
    /// Its manifest.
    pub manifest: Hash,
    /// When it was accepted.
    pub dataset_created: Time,
    /// Its classes.
    pub dataset_classes: Vec<String>,
    /// Bytes of all its originals.
    pub bytes: u64,
    /// Its splits.
    pub splits: Vec<SplitFigures>,
    /// The model version.
    pub model: ModelNumber,
    /// The version that the model learnt from; the figures below are of its test split.
    pub trained_on: DatasetRef,
    /// The classes that the model knows.
    pub model_classes: Vec<String>,
    /// The network.
    pub architecture: Architecture,
    /// The training.
    pub run: RunId,
    /// The epoch whose checkpoint the model is.
    pub epoch: u32,
    /// How it was trained.
    pub recipe: Recipe,
    /// Hash of how images become tensors.
    pub preprocess: Hash,
    /// The weights' blob.
    pub weights: Hash,
    /// The passport's blob.
    pub passport: Hash,
    /// Divides the logits before the softmax.
    pub temperature: f64,
    /// Accuracy.
    pub accuracy: Proportion,
    /// Share of images whose class is among the top three.
    pub top3_accuracy: Proportion,
    /// Mean of the classes' recalls.
    pub balanced_accuracy: f64,
    /// Mean of the classes' F1.
    pub macro_f1: f64,
    /// Mean negative log-likelihood, in nats.
    pub log_loss: f64,
    /// Expected calibration error.
    pub calibration_error: f64,
    /// Agent version and device that made the model.
    pub made_by: String,
    /// When the model was registered.
    pub model_created: Time,
}
