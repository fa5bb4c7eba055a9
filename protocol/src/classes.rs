//! The names that a project gives its classes, and what becomes of labels that are written otherwise.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::{Hash, Time};

/// The canonical class names of a project, and other names for them. An empty list checks nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ClassList {
    /// The canonical names.
    pub classes: BTreeSet<String>,
    /// Other names, each with the canonical name that it stands for.
    pub aliases: BTreeMap<String, String>,
    /// Rises with every change; 0 before the first.
    pub generation: u64,
    /// When it was last changed.
    #[serde(default)]
    pub changed: Option<Time>,
    /// By whom.
    #[serde(default)]
    pub by: Option<String>,
}

/// What becomes of an image that comes in under a label that is not in the class list: by an import, or
/// from another line.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum UnknownLabels {
    /// It is left out, with a reason that names the nearest class.
    #[default]
    Quarantine,
    /// It comes in under the label that it has.
    Keep,
    /// A policy this build does not know; images are left out.
    #[serde(other)]
    Unknown,
}

/// How a label was found in the class list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MatchKind {
    /// It is a canonical name.
    Exact,
    /// It is an alias.
    Alias,
    /// It differs from a name only in case, accents, apostrophes or separators.
    Folded,
    /// It was not found.
    Missing,
    /// A kind this build does not know.
    #[serde(other)]
    Unknown,
}

/// What the class list says of one label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LabelMatch {
    /// The label.
    pub label: String,
    /// Images that have it, where a dataset version was asked about.
    #[serde(default)]
    pub images: u64,
    /// How it was found.
    pub kind: MatchKind,
    /// The class it stands for; absent when it was not found.
    #[serde(default)]
    pub class: Option<String>,
    /// The one class that is nearest to a label that was not found; it is never applied by itself.
    #[serde(default)]
    pub suggestion: Option<Suggestion>,
}

/// A class whose name resembles a label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suggestion {
    /// The class.
    pub class: String,
    /// Letters inserted, left out, replaced or swapped with a neighbour between the two.
    pub distance: u32,
}

/// Why images of a change-set got another label than they came with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RenameKind {
    /// The class list has the label as an alias.
    Alias,
    /// The class list has it with other case, accents, apostrophes or separators.
    Folded,
    /// A person asked for it.
    Asked,
    /// A reason this build does not know.
    #[serde(other)]
    Unknown,
}

/// Images of a change-set that got another label than they came with.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rename {
    /// The label they had.
    pub from: String,
    /// The label they got.
    pub to: String,
    /// How many.
    pub images: u64,
    /// Why.
    pub kind: RenameKind,
}

/// One image and a label for it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ImageLabel {
    /// The image.
    pub image: Hash,
    /// The label.
    pub label: String,
}

/// Which images of a line get another label.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Relabelling {
    /// All images of some classes.
    Classes {
        /// The class they have, and the class they get.
        renames: BTreeMap<String, String>,
        /// How many more there are, in a job that is shown.
        #[serde(default)]
        more: u64,
    },
    /// Some images, one by one.
    Images {
        /// The label each gets.
        labels: Vec<ImageLabel>,
        /// How many more there are, in a job that is shown.
        #[serde(default)]
        more: u64,
    },
    /// The images that one version of the line gave another label, where they have it still: they get
    /// back the label they had before, or came with.
    Undo {
        /// The version's number.
        version: u32,
    },
    /// A kind this build does not know; it changes nothing.
    #[serde(other)]
    Unknown,
}

impl Relabelling {
    /// Gives all images of some classes another one.
    pub fn classes(renames: BTreeMap<String, String>) -> Self {
        Self::Classes { renames, more: 0 }
    }

    /// Gives some images another label, one by one.
    pub fn images(labels: Vec<ImageLabel>) -> Self {
        Self::Images { labels, more: 0 }
    }

    /// The same to be shown, which is not for carrying out: the first [`RELABELLED_SHOWN`] classes or
    /// images, and how many more there are. In whole it may be megabytes.
    #[must_use]
    pub fn shortened(self) -> Self {
        match self {
            Self::Classes { renames, more } => {
                let left_out = renames.len().saturating_sub(RELABELLED_SHOWN) as u64;
                let renames = renames.into_iter().take(RELABELLED_SHOWN).collect();
                Self::Classes { renames, more: more + left_out }
            }
            Self::Images { mut labels, more } => {
                let left_out = labels.len().saturating_sub(RELABELLED_SHOWN) as u64;
                labels.truncate(RELABELLED_SHOWN);
                Self::Images { labels, more: more + left_out }
            }
            Self::Undo { .. } | Self::Unknown => self,
        }
    }
}

/// The most classes or images of a relabelling in a job that is shown.
pub const RELABELLED_SHOWN: usize = 10;

/// The most images that one job relabels one by one.
pub const MAX_IMAGE_LABELS: usize = 10_000;
