//! Label checks: images whose label contradicts what a classifier says that did not learn from them.

use serde::{Deserialize, Serialize};

use crate::dataset::{DatasetRef, Split};
use crate::model::Proportion;
use crate::page::Page;
use crate::{Hash, JobId, Time};

/// One check of a dataset version's labels.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelCheck {
    /// The job that did it; names the check.
    pub job: JobId,
    /// The version.
    pub dataset: DatasetRef,
    /// Its manifest.
    pub manifest: Hash,
    /// Images that were looked at; those of a class whose images all belong together cannot be.
    pub images: u64,
    /// Parts that the images were dealt to; each was judged by a classifier that learnt from the
    /// others. Images that belong together are in one part.
    pub folds: u32,
    /// Share of images whose label is what the classifier says.
    pub agreement: Proportion,
    /// Candidates that it found.
    pub issues: u64,
    /// The blob with the candidates.
    pub report: Hash,
    /// When it ended.
    pub created: Time,
    /// Who asked for it.
    pub by: String,
}

/// An image whose label may be wrong.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelIssue {
    /// The image.
    pub image: Hash,
    /// The label it has.
    pub label: String,
    /// The label that the classifier gives it.
    pub suggested: String,
    /// How well the label stands: the margin of its probability over the best other one, from 0
    /// (surely wrong) over 0.5 (undecided) to 1.
    pub score: f32,
    /// Probability of the label it has.
    pub label_probability: f32,
    /// Probability of the suggested label.
    pub suggested_probability: f32,
    /// Where it serves.
    pub split: Split,
    /// Where it came from.
    pub origin: String,
}

/// Candidates of one check, the least credible labels first.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelIssues {
    /// The check they come from.
    pub check: LabelCheck,
    /// Those that nobody decided on yet.
    pub issues: Page<LabelIssue>,
}
