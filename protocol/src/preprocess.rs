//! How an image becomes a tensor. Train and serve share one function (`vigie_core::vision`); this
//! is its complete description, hashed into packs and passports.

use serde::{Deserialize, Serialize};

use crate::Hash;
use crate::model::Architecture;

/// How pixels are interpolated when an image is resized. Both are antialiased when they shrink
/// (the filter's support grows with the scale), as in Pillow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Interpolation {
    /// Triangle filter.
    Bilinear,
    /// Catmull-Rom (a = −0.5).
    Bicubic,
    /// A filter this build does not know: what was made with it can be listed, not made again.
    #[serde(other)]
    Unknown,
}

/// Decode → orientation → RGB over black → resize of the shorter side to `resize` → centre crop of
/// `crop`² → `(x − mean) / std` a channel.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PreprocessSpec {
    /// The revision of the code that carries it out; any change of its output raises it.
    pub revision: u32,
    /// Length of the shorter side after the resize, in pixels.
    pub resize: u32,
    /// Side of the centre crop, in pixels; at most `resize`.
    pub crop: u32,
    /// The resampling filter.
    pub interpolation: Interpolation,
    /// Subtracted from each channel (R, G, B), in units of 0–255.
    pub mean: [f32; 3],
    /// Divides each channel, in units of 0–255.
    pub std: [f32; 3],
}

/// The revision this build carries out.
pub const PREPROCESS_REVISION: u32 = 1;

impl PreprocessSpec {
    /// How images become the input of a network whose input side is `input` pixels: the scaling its
    /// pretrained weights were made with, and a crop of the central 87.5 %.
    pub fn for_network(architecture: Architecture, input: u32) -> Self {
        let (mean, std) = match architecture {
            Architecture::EfficientnetLite0 => ([127.0; 3], [128.0; 3]),
            // ImageNet's, which any other network is likeliest to want as well.
            Architecture::EfficientnetB0 | Architecture::Unknown => {
                ([0.485, 0.456, 0.406].map(|m: f32| m * 255.0), [0.229, 0.224, 0.225].map(|s: f32| s * 255.0))
            }
        };
        Self {
            revision: PREPROCESS_REVISION,
            resize: (f64::from(input) / 0.875).round() as u32,
            crop: input,
            interpolation: Interpolation::Bicubic,
            mean,
            std,
        }
    }

    /// The hash that packs and passports carry: equal hashes mean equal pixels.
    pub fn hash(&self) -> Hash {
        let Self { revision, resize, crop, interpolation, mean, std } = self;
        let mut hasher = blake3::Hasher::new_derive_key("vigie preprocess spec v1");
        for number in [*revision, *resize, *crop, *interpolation as u32] {
            hasher.update(&number.to_le_bytes());
        }
        for number in mean.iter().chain(std) {
            hasher.update(&number.to_le_bytes());
        }
        hasher.finalize().into()
    }

    /// The hash of what a pack depends on: pixels before normalisation, which happens on the
    /// device.
    pub fn pixel_hash(&self) -> Hash {
        Self { mean: [0.0; 3], std: [1.0; 3], ..self.clone() }.hash()
    }
}
