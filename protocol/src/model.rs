//! Model versions: weights with their passport, the gate, aliases and their history.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::dataset::DatasetRef;
use crate::preprocess::PreprocessSpec;
use crate::{AliasName, Hash, ModelNumber, ProjectName, RunId, Time};

/// A network Vigie can build.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Architecture {
    /// EfficientNet-Lite0: no squeeze-and-excite, ReLU6, TensorFlow's "same" padding. 4.7 M weights.
    EfficientnetLite0,
    /// EfficientNet-B0 as in torchvision (Tan & Le 2019, arXiv:1905.11946). 5.3 M weights.
    EfficientnetB0,
    /// A network this build does not know: it can be listed, not built.
    #[serde(other)]
    Unknown,
}

impl Architecture {
    /// Every network this build can build.
    pub const ALL: [Architecture; 2] = [Architecture::EfficientnetLite0, Architecture::EfficientnetB0];

    /// The word used in recipes and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            Architecture::EfficientnetLite0 => "efficientnet-lite0",
            Architecture::EfficientnetB0 => "efficientnet-b0",
            Architecture::Unknown => "unknown",
        }
    }
}

impl fmt::Display for Architecture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Architecture {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Architecture::ALL.into_iter().find(|architecture| architecture.as_str() == text).ok_or_else(|| {
            format!("{text:?} is not an architecture; they are efficientnet-lite0, efficientnet-b0")
        })
    }
}

/// A share of `n` trials with its 95 % Wilson interval.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Proportion {
    /// Successes over trials; 0 when there were none.
    pub value: f64,
    /// Lower end of the interval.
    pub low: f64,
    /// Upper end of the interval.
    pub high: f64,
    /// Trials.
    pub n: u64,
}

impl fmt::Display for Proportion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, low, high, n } = self;
        write!(f, "{:.1} % [{:.1}–{:.1}, n={n}]", value * 100.0, low * 100.0, high * 100.0)
    }
}

/// What became of one test image. Kept for every image, so that two models can be compared pairwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The image.
    pub image: Hash,
    /// Its true class, as an index into the passport's classes.
    pub truth: u32,
    /// The model's top class.
    pub predicted: u32,
    /// Calibrated probability of the top class.
    pub confidence: f32,
    /// Calibrated probability of the true class.
    pub truth_probability: f32,
}

/// One class of a classification report.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassReport {
    /// The class.
    pub class: String,
    /// Right among those predicted as this class.
    pub precision: Proportion,
    /// Right among those that are this class.
    pub recall: Proportion,
    /// Harmonic mean of the two; 0 when both are.
    pub f1: f64,
}

/// What a model did on a held-out split.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Evaluation {
    /// The dataset version whose test split was used.
    pub dataset: DatasetRef,
    /// Its manifest.
    pub manifest: Hash,
    /// Share of images whose top class is right.
    pub accuracy: Proportion,
    /// Share of images whose true class is among the top three.
    pub top3_accuracy: Proportion,
    /// Mean of the classes' recalls.
    pub balanced_accuracy: f64,
    /// Mean of the classes' F1.
    pub macro_f1: f64,
    /// Mean negative log-likelihood, calibrated, in nats.
    pub log_loss: f64,
    /// Expected calibration error over 15 equal-width bins, after the temperature.
    pub calibration_error: f64,
    /// The same before the temperature.
    pub calibration_error_raw: f64,
    /// A row for each class.
    pub classes: Vec<ClassReport>,
    /// `confusion[truth][predicted]`, counts.
    pub confusion: Vec<Vec<u64>>,
    /// Every test image.
    pub outcomes: Vec<Outcome>,
}

/// An image kept with a model, and what the model said of it when it was registered. An engine must
/// say the same before it may serve.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Golden {
    /// The image's blob.
    pub image: Hash,
    /// Raw logits, one a class.
    pub logits: Vec<f32>,
}

/// All that travels with weights.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Passport {
    /// The network.
    pub architecture: Architecture,
    /// Class names, in the order of the logits.
    pub classes: Vec<String>,
    /// How images become tensors.
    pub preprocess: PreprocessSpec,
    /// Hash of the above as the training's pack carried it; a mismatch refuses to load.
    pub preprocess_hash: Hash,
    /// The safetensors blob.
    pub weights: Hash,
    /// What it learnt from.
    pub dataset: DatasetRef,
    /// The manifest of that version.
    pub manifest: Hash,
    /// The training it came from.
    pub run: RunId,
    /// The epoch whose checkpoint it is.
    pub epoch: u32,
    /// Divides the logits before the softmax (Guo et al. 2017, arXiv:1706.04599).
    pub temperature: f64,
    /// What it did on the held-out test split.
    pub evaluation: Evaluation,
    /// Images of the test split with their logits.
    pub golden: Vec<Golden>,
    /// `vigie-agent` version and device that made it.
    pub made_by: String,
}

/// An immutable, numbered model version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelVersion {
    /// Its number in the project.
    pub number: ModelNumber,
    /// The passport's blob.
    pub passport: Hash,
    /// The weights' blob.
    pub weights: Hash,
    /// The network.
    pub architecture: Architecture,
    /// Number of classes.
    pub classes: u32,
    /// What it learnt from.
    pub dataset: DatasetRef,
    /// The training it came from.
    pub run: RunId,
    /// Accuracy on the held-out test split.
    pub accuracy: Proportion,
    /// When it was registered.
    pub created: Time,
    /// By whom.
    pub by: String,
}

/// One check of the gate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateCheck {
    /// Its name: `golden-set`, `preprocess-hash`, `test-accuracy`.
    pub name: String,
    /// Whether it passed.
    pub passed: bool,
    /// The evidence, for people, with numbers.
    pub detail: String,
}

/// What the gate said of a candidate.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct GateVerdict {
    /// The candidate.
    pub candidate: ModelNumber,
    /// What it was compared with: the holder of the alias.
    pub against: Option<ModelNumber>,
    /// Every check, passed or not.
    pub checks: Vec<GateCheck>,
    /// When.
    pub at: Time,
}

impl GateVerdict {
    /// Whether every check passed.
    pub fn passed(&self) -> bool {
        self.checks.iter().all(|check| check.passed)
    }
}

/// How an alias came to move.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MoveKind {
    /// A promotion that the gate let through.
    Promote,
    /// A promotion against the gate, with a typed reason.
    Override,
    /// Back to the previous holder.
    Rollback,
    /// A kind this build does not know.
    #[serde(other)]
    Unknown,
}

/// One move of an alias, kept for ever.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AliasMove {
    /// The alias.
    pub alias: AliasName,
    /// 1 for the first move of this alias, rising by one. Also the alias's generation after it.
    pub generation: u64,
    /// How.
    pub kind: MoveKind,
    /// The holder before.
    pub from: Option<ModelNumber>,
    /// The holder since.
    pub to: ModelNumber,
    /// When.
    pub at: Time,
    /// By whom.
    pub by: String,
    /// Why, as typed.
    #[serde(default)]
    pub reason: Option<String>,
    /// What the gate said; absent on a rollback.
    #[serde(default)]
    pub verdict: Option<GateVerdict>,
}

/// An alias and who holds it now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Alias {
    /// Its project.
    pub project: ProjectName,
    /// Its name.
    pub name: AliasName,
    /// The holder.
    pub model: ModelNumber,
    /// Whom a rollback would give it to.
    pub previous: Option<ModelNumber>,
    /// Rises with every move; what a move must name.
    pub generation: u64,
    /// Since when.
    pub since: Time,
}
