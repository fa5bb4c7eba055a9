//! Requests for and about predictions.

use serde::{Deserialize, Serialize};

use crate::page::PageRequest;
use crate::prediction::PredictionFilter;
use crate::{Hash, IdempotencyKey, PredictionId, ProjectName, Time};

/// Asks for a prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Predict {
    /// In which project.
    pub project: ProjectName,
    /// The image file's bytes, at most what the agent's configuration allows (16 MiB unless set,
    /// and never more than a frame holds; larger files go up as a blob).
    #[serde(default, with = "serde_bytes")]
    pub image: Vec<u8>,
    /// Or the image as a blob that the agent holds.
    #[serde(default)]
    pub blob: Option<Hash>,
    /// How many classes are wanted; 0 means 5.
    #[serde(default)]
    pub top: u32,
    /// What to call the image in the log.
    #[serde(default)]
    pub name: Option<String>,
}

/// Lists predictions, newest first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionList {
    /// Of which project.
    pub project: ProjectName,
    /// Which of them.
    #[serde(default)]
    pub filter: PredictionFilter,
    /// Which page.
    #[serde(default)]
    pub page: PageRequest,
}

/// Names a prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PredictionGet {
    /// Of which project.
    pub project: ProjectName,
    /// Which.
    pub prediction: PredictionId,
}

/// Erases a prediction, and its picture when nothing else refers to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PredictionForget {
    /// Carried out once.
    pub key: IdempotencyKey,
    /// Of which project.
    pub project: ProjectName,
    /// Which.
    pub prediction: PredictionId,
}

/// Counts predictions by the hour.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PredictionCounts {
    /// Of which project.
    pub project: ProjectName,
    /// From the hour that holds this time.
    pub since: Time,
    /// To the hour that holds this time.
    pub until: Time,
}
