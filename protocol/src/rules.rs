//! The rules by which data enters reference, and how they explain themselves.

use serde::{Deserialize, Serialize};

use crate::dataset::{DatasetRef, Lineage};

/// When a class that reference lacks may enter it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ClassRule {
    /// When it holds as many images as the smallest class of reference.
    #[default]
    Smallest,
    /// When it holds so many images.
    Fixed {
        /// How many, at least 1.
        images: u32,
    },
    /// At once.
    None,
    /// A rule this build does not know: no new class enters.
    #[serde(other)]
    Unknown,
}

/// What happens by itself when source or production has new images for reference.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UpdatePolicy {
    /// Nothing.
    #[default]
    Off,
    /// A change-set of reference is proposed; a version that somebody makes of it is preprocessed.
    Propose,
    /// Additions are accepted into reference at once, and the version is preprocessed. Labels that the
    /// lines disagree on are left for a person.
    Accept,
    /// A policy this build does not know: nothing.
    #[serde(other)]
    Unknown,
}

impl UpdatePolicy {
    /// The word used in commands and on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            UpdatePolicy::Off => "off",
            UpdatePolicy::Propose => "propose",
            UpdatePolicy::Accept => "accept",
            UpdatePolicy::Unknown => "unknown",
        }
    }
}

/// The classes of source and production that reference lacks, and what they wait for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitingRoom {
    /// The rule they wait by.
    pub rule: ClassRule,
    /// Whether the rule was only tried, in place of the project's own.
    #[serde(default)]
    pub simulated: bool,
    /// The version of reference that was looked at; absent when there is none yet.
    #[serde(default)]
    pub reference: Option<DatasetRef>,
    /// The smallest class of reference, and its images.
    #[serde(default)]
    pub smallest: Option<ClassCount>,
    /// Images a class needs to enter; absent when the rule is one that this build does not know.
    #[serde(default)]
    pub needs: Option<u64>,
    /// The classes, those that may enter first, then by what they have, most first; at most 1,000.
    pub waiting: Vec<WaitingClass>,
    /// How many classes reference lacks.
    pub total: u64,
    /// How many of them may enter.
    pub entering: u64,
    /// All of it in a sentence.
    pub sentence: String,
}

/// A class and how many images it has.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassCount {
    /// Its name.
    pub class: String,
    /// Its images.
    pub images: u64,
}

/// A class that reference lacks.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct WaitingClass {
    /// Its name.
    pub class: String,
    /// Images that source and production hold of it, each counted once.
    pub has: u64,
    /// Of these, images that source holds.
    pub in_source: u64,
    /// Of these, images that production holds.
    pub in_production: u64,
    /// Images it needs.
    pub needs: u64,
    /// Whether it may enter.
    pub enters: bool,
    /// How fast it grows, where the versions' history tells.
    #[serde(default)]
    pub growth: Option<Growth>,
    /// All of it in a sentence: `has 610, needs 846, at this rate 3 days`.
    pub sentence: String,
}

/// How fast something grew, over the versions' history.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Growth {
    /// Images a day; below zero when it shrank.
    pub per_day: f64,
    /// Days that this is measured over, at most 30.
    pub days: f64,
    /// Days until the goal is reached at this rate, rounded up; absent when it is reached already, or
    /// never would be.
    #[serde(default)]
    pub eta_days: Option<u64>,
}

/// What the update rule says of one line.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct UpdateRule {
    /// The version that was looked at.
    pub from: DatasetRef,
    /// Images of it that reference lacks and that may enter.
    pub new: u64,
    /// Images that reference lacks and whose classes wait.
    pub waiting: u64,
    /// Images that both hold under different labels.
    pub relabelled: u64,
    /// Images of reference.
    pub reference_images: u64,
    /// New images that make an update worth it.
    pub needs: u64,
    /// The share of reference that this is, in percent.
    pub percent: f64,
    /// Whether there are enough.
    pub met: bool,
    /// How fast the line grows, where its history tells.
    #[serde(default)]
    pub growth: Option<Growth>,
    /// All of it in a sentence.
    pub sentence: String,
}

/// What the rules of a project say now.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RulesExplained {
    /// What happens by itself.
    pub policy: UpdatePolicy,
    /// The class rule.
    pub classes: WaitingRoom,
    /// The update rule, for each line that feeds reference and has a version.
    pub updates: Vec<UpdateRule>,
    /// What the rules did last, and what they wait for.
    pub chain: Vec<ChainStep>,
    /// The policy in a sentence.
    pub sentence: String,
}

/// Where the rules stand with one line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChainStep {
    /// The line.
    pub lineage: Lineage,
    /// The newest version that the rules have looked at.
    #[serde(default)]
    pub seen: Option<u32>,
    /// The job that they submitted then, if any.
    #[serde(default)]
    pub job: Option<crate::JobId>,
}
