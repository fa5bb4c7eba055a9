//! What a reviewer of a change-set is shown, and what they may pick out of it.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Hash;
use crate::dataset::{ImageChange, Quality, Split};

/// One image that a change-set changes, with what speaks for a second look.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ChangeSetImage {
    /// What becomes of it.
    pub change: ImageChange,
    /// What it is like.
    pub quality: Quality,
    /// The group it belongs to.
    #[serde(default)]
    pub group: Option<String>,
    /// What was found.
    #[serde(default)]
    pub findings: Vec<ImageFinding>,
}

/// What speaks for a second look at an image.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum ImageFinding {
    /// It looks like another image of the version.
    NearDuplicate {
        /// The other one.
        of: Hash,
        /// Where that came from.
        origin: String,
        /// That one's class.
        label: String,
        /// Bits of the fingerprints that differ, of 64.
        bits: u32,
    },
    /// An image of its group (explicit, or near duplicates) serves in another split: what a model
    /// learns from one it is judged on with the other.
    Leak {
        /// The other one.
        of: Hash,
        /// Where that came from.
        origin: String,
        /// Where that serves.
        split: Split,
    },
    /// A quality feature lies far from those of the other images.
    Outlier {
        /// Which.
        feature: Feature,
        /// Its value.
        value: f32,
        /// Its distance from the median in robust standard deviations.
        z: f32,
    },
    /// It will judge models: nobody may have learnt from it.
    EntersTest,
    /// A finding this build does not know.
    #[serde(other)]
    Unknown,
}

/// A quality feature of an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Feature {
    /// Mean luma, 0–1.
    Brightness,
    /// Standard deviation of luma, 0–0.5.
    Contrast,
    /// Variance of the Laplacian; judged by its logarithm.
    Sharpness,
    /// Pixels; judged by their logarithm.
    Size,
    /// Width over height; judged by its logarithm.
    Aspect,
    /// Mean of the red channel, 0–1.
    Red,
    /// Mean of the green channel, 0–1.
    Green,
    /// Mean of the blue channel, 0–1.
    Blue,
    /// Saturation, 0–1.
    Saturation,
    /// Quality of the JPEG compression, 1–100.
    JpegQuality,
    /// A feature this build does not know.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Feature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Feature::Brightness => "brightness",
            Feature::Contrast => "contrast",
            Feature::Sharpness => "sharpness",
            Feature::Size => "size",
            Feature::Aspect => "aspect",
            Feature::Red => "red",
            Feature::Green => "green",
            Feature::Blue => "blue",
            Feature::Saturation => "saturation",
            Feature::JpegQuality => "JPEG quality",
            Feature::Unknown => "unknown",
        })
    }
}

/// How many of the images that a change-set adds, relabels or moves have a finding of each kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct FindingCounts {
    /// That look like another image.
    pub near_duplicates: u64,
    /// Whose group also serves in another split.
    pub leaks: u64,
    /// With a quality feature far from the others'.
    pub outliers: u64,
    /// That enter the test split.
    pub enter_test: u64,
}

/// A part of a change-set: the changes of these classes and of these images (all changes when both
/// are empty), without the images that are left out.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selection {
    /// Changes of these classes: of an image that has one of them before or after.
    pub classes: Vec<String>,
    /// Changes of these images.
    pub images: Vec<Hash>,
    /// Not these images.
    pub without: Vec<Hash>,
}

/// Classes and images that a selection may name, all together.
pub const MAX_SELECTED: usize = 10_000;
