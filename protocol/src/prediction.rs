//! Predictions: answers, their log, and counters of them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::feedback::{FeedbackFilter, FeedbackNote};
use crate::{Hash, ModelNumber, PredictionId, Time};

/// A class with its calibrated probability.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scored {
    /// The class.
    pub class: String,
    /// Its probability, 0–1.
    pub probability: f32,
}

/// Where the time of one answer went, in microseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Timings {
    /// Waiting for a decoder and the engine.
    pub queue: u32,
    /// Decoding and preprocessing.
    pub decode: u32,
    /// The network.
    pub infer: u32,
    /// From the request's arrival to its answer.
    pub total: u32,
}

/// One logged answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prediction {
    /// Its identity.
    pub id: PredictionId,
    /// When it was answered.
    pub at: Time,
    /// The model version that made it.
    pub model: ModelNumber,
    /// The weights of that version: names the model for ever, on any machine.
    pub weights: Hash,
    /// The image's bytes.
    pub image: Hash,
    /// Whether the image is kept as a blob.
    #[serde(default)]
    pub picture_kept: bool,
    /// The best classes, best first; at least one.
    pub top: Vec<Scored>,
    /// Where the time went.
    #[serde(default)]
    pub timings: Timings,
    /// Who asked.
    #[serde(default)]
    pub by: String,
    /// What the caller called the image: a file name, an order number.
    #[serde(default)]
    pub name: Option<String>,
    /// What people said of it. Filled in where predictions are shown; the log itself never has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub feedback: Option<FeedbackNote>,
}

impl Prediction {
    /// The best class; empty only for a record that breaks the rule that `top` has one.
    pub fn class(&self) -> &str {
        self.top.first().map_or("", |best| &best.class)
    }

    /// The best class's probability.
    pub fn confidence(&self) -> f32 {
        self.top.first().map_or(0.0, |best| best.probability)
    }
}

/// Which predictions are wanted; all conditions must hold.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct PredictionFilter {
    /// Made by this version.
    pub model: Option<ModelNumber>,
    /// Top class is this one.
    pub class: Option<String>,
    /// Confidence is below this.
    pub confidence_below: Option<f32>,
    /// Answered at or after this time.
    pub since: Option<Time>,
    /// Answered before this time.
    pub until: Option<Time>,
    /// What people said of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub feedback: Option<FeedbackFilter>,
}

impl PredictionFilter {
    /// Whether a prediction is wanted.
    pub fn matches(&self, prediction: &Prediction) -> bool {
        let Self { model, class, confidence_below, since, until, feedback } = self;
        model.is_none_or(|model| prediction.model == model)
            && class.as_deref().is_none_or(|class| prediction.class() == class)
            && confidence_below.is_none_or(|limit| prediction.confidence() < limit)
            && since.is_none_or(|since| prediction.at >= since)
            && until.is_none_or(|until| prediction.at < until)
            && feedback
                .is_none_or(|wanted| wanted.matches(prediction.feedback.as_ref().map(|f| &f.consensus)))
    }
}

/// Predictions of one model version in one hour.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HourCount {
    /// The hour's first instant.
    pub hour: Time,
    /// The model version.
    pub model: ModelNumber,
    /// Predictions in it.
    pub predictions: u64,
    /// Sum of their confidences: over `predictions`, the mean.
    pub confidence_sum: f64,
    /// Sum of their total times in microseconds.
    pub total_us_sum: u64,
    /// How many had each top class.
    pub classes: BTreeMap<String, u64>,
}

/// How well the prediction log keeps up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogHealth {
    /// Records accepted and not yet durable: what a crash now would lose.
    pub pending: u64,
    /// Records dropped since the agent started, because the queue was full or the disk refused.
    pub shed: u64,
    /// Longest time a record waits for its group to be durable, in milliseconds.
    pub window_ms: u32,
}
