//! Inference: engines, golden sets, and the choice of a device.

mod burn_engine;
mod cpu_engine;
pub mod device;
pub mod golden;
mod load;

pub use load::{LoadSpec, WeightsFrom, features, load};

use vigie_protocol::preprocess::PreprocessSpec;

use crate::nets::weights::WeightsError;

/// A network ready to answer: weights loaded, folded, on its device.
///
/// Engines hide the backend: whoever holds one knows neither burn nor CUDA. Calls block and come
/// from CPU threads; an engine answers several threads at once.
pub trait Engine: Send + Sync {
    /// How images become this engine's input.
    fn preprocess(&self) -> &PreprocessSpec;

    /// Number of classes: logits per image.
    fn classes(&self) -> usize;

    /// Raw logits, `n × classes`, row-major, for `n` images of `crop × crop × 3` uint8 RGB pixels
    /// (`n` is `pixels.len() / (crop² · 3)`). Normalisation happens inside.
    ///
    /// # Errors
    /// When the length is not a multiple of an image, or the device fails.
    fn logits(&self, pixels: &[u8]) -> Result<Vec<f32>, EngineError>;
}

/// The part of a network before its classifier, ready to turn images into features: what a training
/// with a frozen backbone computes once and keeps.
pub trait FeatureExtractor: Send + Sync {
    /// How images become this network's input.
    fn preprocess(&self) -> &PreprocessSpec;

    /// Features of an image.
    fn width(&self) -> usize;

    /// Pooled features, `n × width`, row-major, for `n` images of `crop × crop × 3` uint8 RGB pixels.
    /// Any `n` will do: memory does not grow with it but for the answer.
    ///
    /// # Errors
    /// When the length is not a multiple of an image, or the device fails.
    fn features(&self, pixels: &[u8]) -> Result<Vec<f32>, EngineError>;
}

/// Bytes of one image as engines take them.
fn image_bytes(spec: &PreprocessSpec) -> usize {
    spec.crop as usize * spec.crop as usize * 3
}

/// Number of images in `pixels`.
fn images(spec: &PreprocessSpec, pixels: &[u8]) -> Result<usize, EngineError> {
    let image = image_bytes(spec);
    if image == 0 || !pixels.len().is_multiple_of(image) {
        return Err(EngineError::Input { got: pixels.len(), image });
    }
    Ok(pixels.len() / image)
}

/// Why an engine could not be made or did not answer.
#[derive(Debug, thiserror::Error)]
pub enum EngineError {
    /// The device is not there.
    #[error("device {device} is not available: {detail}")]
    NoDevice {
        /// As configured.
        device: String,
        /// Why.
        detail: String,
    },
    /// The weights cannot be read or do not fit the architecture.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The input is not a whole number of images.
    #[error("{got} bytes are not a whole number of images of {image} bytes")]
    Input {
        /// Bytes given.
        got: usize,
        /// Bytes of one image.
        image: usize,
    },
    /// Train and serve would preprocess differently.
    #[error("the passport's preprocess spec hashes to {found}, not to {expected}")]
    Preprocess {
        /// Hash in the passport.
        expected: vigie_protocol::Hash,
        /// Hash of its spec.
        found: vigie_protocol::Hash,
    },
    /// The preprocess spec asks for what no engine does.
    #[error("the preprocess spec cannot be carried out: {0}")]
    Spec(String),
    /// The device failed while computing.
    #[error("computing failed: {0}")]
    Compute(String),
}
