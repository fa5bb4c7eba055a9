//! Inference: engines, golden sets, and the choice of a device.

use vigie_protocol::preprocess::PreprocessSpec;

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
    /// The weights do not fit the architecture.
    #[error("weights do not fit: {0}")]
    Weights(String),
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
    /// The device failed while computing.
    #[error("computing failed: {0}")]
    Compute(String),
}
