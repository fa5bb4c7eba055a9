//! Trainings and what they measure.

use serde::{Deserialize, Serialize};

use crate::dataset::DatasetRef;
use crate::model::Architecture;
use crate::preprocess::PreprocessSpec;
use crate::{Hash, JobId, ModelNumber, RunId, Time};

/// Where a training's weights start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Init {
    /// Pretrained weights that the agent holds: a safetensors file in its weights folder, by name
    /// (`efficientnet-lite0`).
    Pretrained {
        /// File name without `.safetensors`.
        name: String,
    },
    /// A model version of the same project.
    Model {
        /// Which.
        number: ModelNumber,
    },
    /// Random weights from the recipe's seed.
    Random,
    /// A start this build does not know; it trains nothing.
    #[serde(other)]
    Unknown,
}

/// How much each class counts in what is learnt. Valid and test keep the shares that the world has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ClassWeights {
    /// As much as it has train images.
    #[default]
    Even,
    /// As much as any other by weights: errors count in inverse proportion to the class's train images.
    Balanced,
    /// As much as any other by repetition: images of smaller classes are learnt from several times an
    /// epoch, until each class has as many draws as the largest.
    Over,
    /// A way this build does not know; it trains nothing.
    #[serde(other)]
    Unknown,
}

impl ClassWeights {
    /// The word used on screens and in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            ClassWeights::Even => "even",
            ClassWeights::Balanced => "balanced",
            ClassWeights::Over => "over",
            ClassWeights::Unknown => "unknown",
        }
    }
}

/// Everything that decides what a training does, but for the data.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Recipe {
    /// The network.
    pub architecture: Architecture,
    /// Where its weights start.
    pub init: Init,
    /// Input side in pixels, a multiple of 32 from 32 to 512.
    pub input: u32,
    /// Passes over the train split, 1–1,000.
    pub epochs: u32,
    /// Images a step, 1–1,024; a repeated image counts each time.
    pub batch: u32,
    /// Peak learning rate of AdamW (cosine decay to 1 % of it), above 0 and at most 1.
    pub learning_rate: f64,
    /// Decoupled weight decay, 0–1.
    pub weight_decay: f64,
    /// Share of the target spread over the other classes, 0–0.5.
    pub label_smoothing: f64,
    /// Dropout before the classifier, 0–0.9.
    pub dropout: f64,
    /// Whether mirrored copies of the train images are learnt from too.
    pub mirror: bool,
    /// How much each class counts in what is learnt.
    pub class_weights: ClassWeights,
    /// Epochs without a better validation loss before the training stops; 0 never stops it.
    pub patience: u32,
    /// Seeds initial weights, order and dropout.
    pub seed: u64,
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            architecture: Architecture::EfficientnetLite0,
            init: Init::Pretrained { name: "efficientnet-lite0".to_owned() },
            input: 224,
            epochs: 30,
            batch: 64,
            learning_rate: 1e-3,
            weight_decay: 1e-2,
            label_smoothing: 0.05,
            dropout: 0.5,
            mirror: true,
            class_weights: ClassWeights::Even,
            patience: 10,
            seed: 1,
        }
    }
}

/// What one epoch measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EpochMetrics {
    /// From 1.
    pub epoch: u32,
    /// Mean loss over the train split, as trained.
    pub train_loss: f64,
    /// Mean cross-entropy over the valid split.
    pub valid_loss: f64,
    /// Share of the valid split whose top class is right.
    pub valid_accuracy: f64,
    /// Learning rate at the epoch's end.
    pub learning_rate: f64,
    /// Seconds the epoch took.
    pub seconds: f64,
    /// When it ended.
    pub at: Time,
}

/// Where a run stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RunState {
    /// Its job is queued or running.
    Running,
    /// All epochs, or stopped early by patience.
    Finished,
    /// Its job failed; the checkpoints so far remain.
    Failed,
    /// Its job was cancelled; the checkpoints so far remain.
    Cancelled,
    /// A state this build does not know.
    #[serde(other)]
    Unknown,
}

/// One training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// Its identity.
    pub id: RunId,
    /// The job that carries it out.
    pub job: JobId,
    /// What it learns from.
    pub dataset: DatasetRef,
    /// The manifest of that version.
    pub manifest: Hash,
    /// How.
    pub recipe: Recipe,
    /// How images become tensors.
    pub preprocess: PreprocessSpec,
    /// Where it stands.
    pub state: RunState,
    /// When it was asked for.
    pub created: Time,
    /// By whom.
    pub by: String,
    /// What each finished epoch measured.
    pub epochs: Vec<EpochMetrics>,
    /// The epoch with the lowest validation loss so far.
    pub best_epoch: Option<u32>,
    /// Times it went on from a checkpoint after an interruption.
    #[serde(default)]
    pub resumed: u32,
}
