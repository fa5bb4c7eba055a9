//! Requests about feedback and labelling.

use serde::{Deserialize, Serialize};

use crate::feedback::{Feedback, LabelItem, LabelQueue, Said};
use crate::page::{Page, PageRequest};
use crate::{IdempotencyKey, PredictionId, ProjectName, Time};

/// Says something of a prediction; what the same person said before is replaced.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackGive {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// Of which prediction.
    pub prediction: PredictionId,
    /// What.
    pub said: Said,
    /// Whether the prediction was hidden from who says it.
    #[serde(default)]
    pub blind: bool,
    /// Whether a class that the project does not know may be founded. A class that is spelt wrong
    /// would found another one.
    #[serde(default)]
    pub new_class: bool,
}

/// Takes back what the caller said of a prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackWithdraw {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// Of which prediction.
    pub prediction: PredictionId,
}

/// What is left of the feedback on a prediction.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedbackLeft {
    /// What others said; absent when nobody did.
    pub feedback: Option<Feedback>,
}

impl From<Option<Feedback>> for FeedbackLeft {
    fn from(feedback: Option<Feedback>) -> Self {
        Self { feedback }
    }
}

/// Lists feedback, that on the newest predictions first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackList {
    /// Of which project.
    pub project: ProjectName,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Asks how often predictions were right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackAccuracyGet {
    /// Of which project.
    pub project: ProjectName,
    /// Of so many of the newest predictions with feedback; 0 means 1,000, and at most 100,000.
    #[serde(default)]
    pub last: u32,
}

/// Asks for the next images of a queue.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelNext {
    /// Of which project.
    pub project: ProjectName,
    /// Which queue.
    pub queue: LabelQueue,
    /// Which cluster, of the queue of clusters.
    #[serde(default)]
    pub cluster: Option<u32>,
    /// Of the audit: with what was predicted, and what the caller called the image. Who has seen that
    /// does not answer blind.
    #[serde(default)]
    pub reveal: bool,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// The next images of a queue.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelPage {
    /// The images.
    pub items: Page<LabelItem>,
    /// Images in the whole queue; counted up to 10,000.
    pub waiting: u64,
    /// Those that were left out of this page because their picture is gone.
    pub gone: u64,
}

/// Says what all images of a cluster show.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelCluster {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// When the clusters were made that the number is of.
    pub made: Time,
    /// Which cluster.
    pub cluster: u32,
    /// Images of it that are left out; at most 2,000.
    #[serde(default)]
    pub except: Vec<PredictionId>,
    /// The class.
    pub class: String,
    /// Whether a class that the project does not know may be founded.
    #[serde(default)]
    pub new_class: bool,
}

/// What came of an answer for a cluster.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClusterLabelled {
    /// Images that got a vote.
    pub images: u64,
    /// Images that are no longer deferred.
    pub settled: u64,
}

impl From<(u64, u64)> for ClusterLabelled {
    fn from((images, settled): (u64, u64)) -> Self {
        Self { images, settled }
    }
}
