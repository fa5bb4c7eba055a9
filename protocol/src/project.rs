//! Projects: one classification problem each.

use std::ops::RangeInclusive;

use serde::{Deserialize, Serialize};

use crate::classes::UnknownLabels;
use crate::rules::{ClassRule, UpdatePolicy};
use crate::{ProjectName, Time};

/// One classification problem on an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Project {
    /// Its name, unique on the agent.
    pub name: ProjectName,
    /// What it is about, for people.
    #[serde(default)]
    pub description: String,
    /// When it was created.
    pub created: Time,
    /// By whom.
    pub by: String,
    /// Its settings.
    pub settings: ProjectSettings,
    /// Rises with every change; what a change must name.
    pub generation: u64,
}

impl Project {
    /// One that nobody has described or changed yet, with the usual settings.
    pub fn new(name: ProjectName, created: Time, by: &str) -> Self {
        let (description, settings) = (String::new(), ProjectSettings::default());
        Self { name, description, created, by: by.to_owned(), settings, generation: 1 }
    }
}

/// What a project's owner may set.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct ProjectSettings {
    /// Which pictures of predictions are kept as blobs.
    pub keep_pictures: PicturePolicy,
    /// For how many days; 0 keeps them for ever.
    pub picture_days: u32,
    /// Shares of train, valid and test in a new dataset version, in percent; their sum is 100.
    pub split_percent: [u8; 3],

    /// When a class that reference lacks may enter it.
    pub class_rule: ClassRule,
    /// New images that make an update of reference worth it, in percent of reference, 0–100.
    pub update_percent: f64,
    /// What happens by itself when there are so many.
    pub update_policy: UpdatePolicy,
    /// Share of predictions drawn for the audit sample, in percent, 0–100. Drawn ones keep their
    /// pictures, unless the project keeps none at all.
    pub audit_percent: f32,
    /// Images of predictions that nobody looked at are collected under their predicted class when
    /// the confidence is at least this, 0–1. Off unless set: a model that learns from its own answers
    /// is confirmed in its errors, and the images it is sure of teach it least.
    pub keep_confident: Option<f32>,
    /// What becomes of images that come in under a label that is not in the class list.
    pub unknown_labels: UnknownLabels,
    /// Bits of 64 in which the fingerprints of near duplicates differ at most, one of [`NEAR_BITS`]; at
    /// 0 they are equal. A change counts for what comes in, is reviewed, re-split or checked from then
    /// on: images that are in a line keep their splits.
    pub near_bits: u8,
}

/// What [`ProjectSettings::near_bits`] may be.
pub const NEAR_BITS: RangeInclusive<u8> = 0..=8;

impl Default for ProjectSettings {
    fn default() -> Self {
        Self {
            keep_pictures: PicturePolicy::All,
            picture_days: 30,
            split_percent: [70, 15, 15],
            class_rule: ClassRule::default(),
            update_percent: 1.0,
            update_policy: UpdatePolicy::default(),
            audit_percent: 1.0,
            keep_confident: None,
            unknown_labels: UnknownLabels::default(),
            // Of the bundled products, which look alike as clothes do, 1 in 100 has such a neighbour; with
            // 8 bits it is 1 in 10, and clusters become classes.
            near_bits: 4,
        }
    }
}

/// Which pictures of predictions are kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum PicturePolicy {
    /// None.
    None,
    /// About this share of them (1–99), drawn by the image's hash.
    Sampled {
        /// Percent kept.
        percent: u8,
    },
    /// Every one.
    All,
    /// A policy this build does not know; nothing is kept.
    #[serde(other)]
    Unknown,
}
