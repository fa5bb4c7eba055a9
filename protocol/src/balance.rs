//! Plans that make the classes of a train split weigh the same.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::dataset::DatasetRef;

/// How the classes of the train split are to weigh the same. Valid and test keep the shares that the
/// world has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Balance {
    /// Images of larger classes leave the dataset.
    Down {
        /// The most train images that a class keeps; those of the smallest class when absent.
        #[serde(default)]
        per_class: Option<u64>,
    },
    /// Images of smaller classes are learnt from several times an epoch:
    /// [`ClassWeights::Over`](crate::run::ClassWeights::Over) of a recipe.
    Over,
    /// Errors count the more, the smaller the class:
    /// [`ClassWeights::Balanced`](crate::run::ClassWeights::Balanced) of a recipe.
    Weights,
    /// A way this build does not know.
    #[serde(other)]
    Unknown,
}

/// What a way of balancing would come to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct BalancePlan {
    /// The version it is about.
    pub dataset: DatasetRef,
    /// The way.
    pub balance: Balance,
    /// Every class.
    pub classes: BTreeMap<String, ClassBalance>,
    /// Images an epoch learns from as things are.
    pub epoch: u64,
    /// Images an epoch would learn from; a repeated image counts each time.
    pub epoch_after: u64,
}

/// What becomes of one class.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct ClassBalance {
    /// Its train images now.
    pub now: u64,
    /// Its images in an epoch then.
    pub after: u64,
    /// The weight of each of its images in the loss then: 1 unless classes are weighted, 0 for a class
    /// without train images.
    pub weight: f64,
}
