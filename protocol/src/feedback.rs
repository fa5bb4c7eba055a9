//! Feedback: what people said of predictions, what follows from it, and the queues in which they are
//! asked.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::model::Proportion;
use crate::prediction::{Prediction, Scored};
use crate::{ChangeSetId, Hash, ModelNumber, PredictionId, Time};

/// What a person said of a prediction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Said {
    /// The best class is right.
    Correct,
    /// It is wrong: the image is of this class.
    Wrong {
        /// The class.
        class: String,
    },
    /// It is wrong, and this person does not know what the image shows. Of an answer given blind
    /// only the latter holds.
    WrongUnknown,
    /// Something this build does not know; it counts for nothing.
    #[serde(other)]
    Unknown,
}

impl Said {
    /// What is said of an answer `predicted` by who names a class.
    pub fn class(class: &str, predicted: &str) -> Self {
        if class == predicted { Said::Correct } else { Said::Wrong { class: class.to_owned() } }
    }
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Said::Correct => f.write_str("correct"),
            Said::Wrong { class } => write!(f, "wrong, it is {class}"),
            Said::WrongUnknown => f.write_str("wrong, unknown"),
            Said::Unknown => f.write_str("something this build does not know"),
        }
    }
}

/// One person's word on one prediction. Saying something else replaces it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vote {
    /// Who.
    pub by: String,
    /// When.
    pub at: Time,
    /// What.
    pub said: Said,
    /// Whether the prediction was hidden from them: only such votes count in the audit.
    #[serde(default)]
    pub blind: bool,
}

/// What all votes on a prediction come to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Consensus {
    /// The best class is right.
    Correct,
    /// It is wrong: the image is of this class.
    Wrong {
        /// The class.
        class: String,
    },
    /// It is wrong, and nobody knows what the image shows.
    WrongUnknown,
    /// There is no strict majority.
    Disputed,
    /// Something this build does not know.
    #[serde(other)]
    Unknown,
}

impl Consensus {
    /// What votes come to: what all who name a class, or a strict majority of them, agree on. Who says
    /// "wrong, unknown" names no class and speaks only against "correct".
    pub fn of<'a>(votes: impl Iterator<Item = &'a Vote> + Clone) -> Self {
        let count = |wanted: &Said| votes.clone().filter(|vote| vote.said == *wanted).count();
        let unknown = count(&Said::WrongUnknown);
        let named = votes.clone().filter(|vote| matches!(vote.said, Said::Correct | Said::Wrong { .. }));
        let total = named.clone().count();
        if total == 0 {
            return if unknown > 0 { Consensus::WrongUnknown } else { Consensus::Disputed };
        }
        let against = |said: &Said| if *said == Said::Correct { unknown } else { 0 };
        named.map(|vote| &vote.said).find(|said| 2 * count(said) > total + against(said)).map_or(
            Consensus::Disputed,
            |said| match said {
                Said::Wrong { class } => Consensus::Wrong { class: class.clone() },
                Said::Correct | Said::WrongUnknown | Said::Unknown => Consensus::Correct,
            },
        )
    }

    /// Whether the prediction was right; nothing when that is open.
    pub fn right(&self) -> Option<bool> {
        match self {
            Consensus::Correct => Some(true),
            Consensus::Wrong { .. } | Consensus::WrongUnknown => Some(false),
            Consensus::Disputed | Consensus::Unknown => None,
        }
    }
}

impl fmt::Display for Consensus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Consensus::Correct => f.write_str("correct"),
            Consensus::Wrong { class } => write!(f, "wrong, it is {class}"),
            Consensus::WrongUnknown => f.write_str("wrong, unknown"),
            Consensus::Disputed => f.write_str("disputed"),
            Consensus::Unknown => f.write_str("something this build does not know"),
        }
    }
}

/// What becomes of the image that feedback is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum FeedbackState {
    /// Its class is known; the next collection takes it.
    Open,
    /// Nobody knows its class, or people differ: it is in the deferred queue.
    Deferred,
    /// It is in a change-set that waits for review.
    Taken {
        /// Which.
        change_set: ChangeSetId,
    },
    /// It is in `production`, or was turned down with its change-set.
    Settled,
    /// Its picture was not kept: it counts in figures, and can be neither shown nor learnt from.
    NoPicture,
    /// A state this build does not know.
    #[serde(other)]
    Unknown,
}

impl FeedbackState {
    /// Whether the picture is still needed.
    pub fn needs_picture(self) -> bool {
        matches!(self, FeedbackState::Open | FeedbackState::Deferred | FeedbackState::Taken { .. })
    }
}

/// What people said of one prediction. Holds all that follows from it, so that it outlives the
/// prediction's own record.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Feedback {
    /// The prediction.
    pub prediction: PredictionId,
    /// When it was answered.
    pub at: Time,
    /// The model version that made it.
    pub model: ModelNumber,
    /// The weights of that version.
    pub weights: Hash,
    /// The image's bytes.
    pub image: Hash,
    /// Its best classes, best first; at most five.
    pub top: Vec<Scored>,
    /// What the caller called the image.
    #[serde(default)]
    pub name: Option<String>,
    /// One vote a person, the oldest first.
    pub votes: Vec<Vote>,
    /// What the votes come to.
    pub consensus: Consensus,
    /// What becomes of the image.
    pub state: FeedbackState,
    /// Whether the prediction was drawn for the audit sample.
    #[serde(default)]
    pub audit: bool,
    /// Rises with every change.
    pub generation: u64,
}

/// Best classes that feedback remembers.
const TOP: usize = 5;
/// Bytes of an image's name that feedback remembers.
const NAME_BYTES: usize = 200;

impl Feedback {
    /// Feedback on a prediction on which nobody has voted yet.
    pub fn about(prediction: &Prediction) -> Self {
        let Prediction { id, at, model, weights, image, top, name, .. } = prediction;
        Self {
            prediction: *id,
            at: *at,
            model: *model,
            weights: *weights,
            image: *image,
            top: top.iter().take(TOP).cloned().collect(),
            name: name.as_deref().map(|name| name[..name.floor_char_boundary(NAME_BYTES)].to_owned()),
            votes: Vec::new(),
            consensus: Consensus::Disputed,
            state: FeedbackState::NoPicture,
            audit: false,
            generation: 0,
        }
    }

    /// The class that was predicted.
    pub fn predicted(&self) -> &str {
        self.top.first().map_or("", |best| &best.class)
    }

    /// The class that people agree on.
    pub fn label(&self) -> Option<&str> {
        match &self.consensus {
            Consensus::Correct => Some(self.predicted()),
            Consensus::Wrong { class } => Some(class),
            Consensus::WrongUnknown | Consensus::Disputed | Consensus::Unknown => None,
        }
    }

    /// What is shown of it beside the prediction.
    pub fn note(&self) -> FeedbackNote {
        let votes = u32::try_from(self.votes.len()).unwrap_or(u32::MAX);
        FeedbackNote { consensus: self.consensus.clone(), votes }
    }
}

/// Feedback as a prediction carries it in lists.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FeedbackNote {
    /// What the votes come to.
    pub consensus: Consensus,
    /// How many there are.
    pub votes: u32,
}

/// Which predictions are wanted, by their feedback.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FeedbackFilter {
    /// Those with feedback.
    Any,
    /// Those without.
    None,
    /// Those found correct.
    Correct,
    /// Those found wrong, with the class it is.
    Wrong,
    /// Those found wrong, without knowing what it is.
    WrongUnknown,
    /// A filter this build does not know.
    #[serde(other)]
    Unknown,
}

impl FeedbackFilter {
    /// The words of commands and screens.
    pub const WORDS: [(&'static str, FeedbackFilter); 5] = [
        ("any", FeedbackFilter::Any),
        ("none", FeedbackFilter::None),
        ("correct", FeedbackFilter::Correct),
        ("wrong", FeedbackFilter::Wrong),
        ("unknown", FeedbackFilter::WrongUnknown),
    ];

    /// Whether a prediction with this consensus, or without feedback, is wanted.
    pub fn matches(self, consensus: Option<&Consensus>) -> bool {
        match self {
            FeedbackFilter::Any => consensus.is_some(),
            FeedbackFilter::None => consensus.is_none(),
            FeedbackFilter::Correct => consensus == Some(&Consensus::Correct),
            FeedbackFilter::Wrong => matches!(consensus, Some(Consensus::Wrong { .. })),
            FeedbackFilter::WrongUnknown => consensus == Some(&Consensus::WrongUnknown),
            FeedbackFilter::Unknown => false,
        }
    }
}

impl fmt::Display for FeedbackFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = FeedbackFilter::WORDS.iter().find(|(_, filter)| filter == self);
        f.write_str(word.map_or("?", |(word, _)| word))
    }
}

impl FromStr for FeedbackFilter {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = FeedbackFilter::WORDS.iter().find(|(word, _)| *word == text);
        found.map(|(_, filter)| *filter).ok_or_else(|| {
            format!("{text:?} is no feedback to filter by; there are any, none, correct, wrong, unknown")
        })
    }
}

/// How often predictions were right, as far as people said.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeedbackAccuracy {
    /// By feedback people gave of themselves: of the newest predictions that have some.
    pub feedback: AccuracyOf,
    /// By the audit sample, labelled blind: the only figure that is not biased.
    pub audit: AccuracyOf,
    /// Predictions of the audit sample that nobody labelled yet; counted up to 10,000.
    pub audit_due: u64,
    /// What is to be known about these figures.
    pub caveat: String,
}

/// How often predictions were right, overall and by model version.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AccuracyOf {
    /// Of all models.
    pub overall: Proportion,
    /// Of each, the newest first.
    pub models: Vec<ModelAccuracy>,
    /// Predictions that are left out because people differ or do not know.
    pub undecided: u64,
}

/// How often one model version was right.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ModelAccuracy {
    /// Which.
    pub model: ModelNumber,
    /// How often.
    pub accuracy: Proportion,
}

/// What came in since the production model was promoted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewImages {
    /// The production model.
    pub model: ModelNumber,
    /// Since when it is that.
    pub since: Time,
    /// Predictions it answered, from the beginning of the hour of its promotion.
    pub predictions: u64,
    /// Images with a class that people agree on, answered since then.
    pub labelled: u64,
    /// Images that entered `production` since then.
    pub collected: u64,
    /// Images that entered `reference` since then: those it has not learnt from.
    pub reference: u64,
}

/// A queue in which people are asked for the class of images.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LabelQueue {
    /// Images whose class nobody knows, or on which people differ.
    Deferred,
    /// The audit sample: predictions are hidden.
    Audit,
    /// One cluster of the deferred images.
    Cluster,
    /// A queue this build does not know.
    #[serde(other)]
    Unknown,
}

impl LabelQueue {
    /// Those there are.
    pub const ALL: [LabelQueue; 3] = [LabelQueue::Deferred, LabelQueue::Audit, LabelQueue::Cluster];

    /// The word used in commands and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            LabelQueue::Deferred => "deferred",
            LabelQueue::Audit => "audit",
            LabelQueue::Cluster => "cluster",
            LabelQueue::Unknown => "unknown",
        }
    }
}

impl fmt::Display for LabelQueue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for LabelQueue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        LabelQueue::ALL
            .into_iter()
            .find(|queue| queue.as_str() == text)
            .ok_or_else(|| format!("{text:?} is not a queue; they are deferred, audit, cluster"))
    }
}

/// An image whose class is asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct LabelItem {
    /// The prediction that it was sent for.
    pub prediction: PredictionId,
    /// When that was answered.
    pub at: Time,
    /// The model version that made it.
    pub model: ModelNumber,
    /// The image's blob.
    pub image: Hash,
    /// What the caller called the image, which may give its class away; withheld in an audit as the
    /// classes are.
    #[serde(default)]
    pub name: Option<String>,
    /// Its best classes, best first; none in an audit unless they were asked for.
    pub top: Vec<Scored>,
    /// What people said of it so far.
    #[serde(default)]
    pub votes: Vec<Vote>,
}

impl LabelItem {
    /// Takes out what gives the prediction or the class away: who labels it then is blind.
    pub fn blind(&mut self) {
        (self.name, self.top, self.votes) = (None, Vec::new(), Vec::new());
    }
}

/// Deferred images that look alike.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Cluster {
    /// Its number among those made together, from 1; the largest cluster first.
    pub number: u32,
    /// Its images that are still deferred.
    pub images: u64,
    /// Some of them, the one in its middle first; at most 24.
    pub examples: Vec<Hash>,
    /// What was predicted for them most often.
    pub predicted: Vec<String>,
}

/// The clusters of the deferred images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clusters {
    /// When they were made: names them, since later ones take their place. Absent before the first.
    pub made: Option<Time>,
    /// The model version whose features they were made from.
    pub model: Option<ModelNumber>,
    /// Those with images that are still deferred, by number.
    pub clusters: Vec<Cluster>,
    /// Deferred images in none of them; counted up to 10,000.
    pub outside: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `=` correct, `?` wrong and unknown, else the class it is.
    fn votes(said: &str) -> Vec<Vote> {
        let said = said.split_whitespace().map(|word| match word {
            "=" => Said::Correct,
            "?" => Said::WrongUnknown,
            class => Said::Wrong { class: class.to_owned() },
        });
        said.map(|said| Vote { by: String::new(), at: Time::default(), said, blind: false }).collect()
    }

    #[test]
    fn a_strict_majority_of_those_who_name_a_class_decides() {
        for (said, expected) in [
            ("=", "correct"),
            ("owl", "wrong, it is owl"),
            ("?", "wrong, unknown"),
            ("? ?", "wrong, unknown"),
            ("= =", "correct"),
            ("= owl", "disputed"),
            ("= = owl", "correct"),
            ("owl jay owl", "wrong, it is owl"),
            ("owl jay", "disputed"),
            // Who does not know stands in nobody's way but who says that it was right.
            ("? owl", "wrong, it is owl"),
            ("? ? ? owl", "wrong, it is owl"),
            ("? =", "disputed"),
            ("? = =", "correct"),
            ("", "disputed"),
        ] {
            assert_eq!(Consensus::of(votes(said).iter()).to_string(), expected, "{said}");
        }
    }

    #[test]
    fn what_a_newer_peer_says_counts_for_nothing() {
        let said: Said = serde_json::from_str(r#"{"kind":"maybe"}"#).expect("tolerated");
        let mut all = votes("owl");
        all.push(Vote { by: "eve".to_owned(), at: Time::default(), said, blind: false });
        assert_eq!(Consensus::of(all.iter()), Consensus::Wrong { class: "owl".to_owned() });
    }
}
