//! PyTorch's own checkpoints (`.pth`), zip and legacy, permuted and offset views included.

use std::path::Path;

use half::{bf16, f16};
use pytorch_reader::{DType, PytorchReader, Tensor};

use super::weights::{MAX_FILE_BYTES, Weights, WeightsError, is_counter};

/// Most values that one checkpoint may hold. A strided view can name more values than its file has
/// bytes, so the file's size does not bound this.
const MAX_VALUES: usize = 1 << 28;

impl Weights {
    /// Reads the tensors of a PyTorch checkpoint: a state dict, or a dictionary that has one under
    /// `state_dict` or `model`. Nothing in the file is executed.
    ///
    /// # Errors
    /// When it cannot be read, is too large, or holds tensors other than f32, f16 and bf16.
    pub fn read_pth(path: &Path) -> Result<Self, WeightsError> {
        let size = std::fs::metadata(path)
            .map_err(|source| WeightsError::Io { path: path.display().to_string(), source })?
            .len();
        if size > MAX_FILE_BYTES {
            return Err(WeightsError::Format(format!("more than {MAX_FILE_BYTES} bytes")));
        }
        let reader = PytorchReader::new(path).map_err(|e| WeightsError::Format(e.to_string()))?;
        let mut left = MAX_VALUES;
        let mut weights = Self::default();
        for (name, tensor) in reader.tensors() {
            let name = ["state_dict.", "model."].iter().find_map(|p| name.strip_prefix(p)).unwrap_or(name);
            if is_counter(name) {
                continue;
            }
            left = tensor
                .shape()
                .iter()
                .try_fold(1usize, |n, side| n.checked_mul(*side))
                .and_then(|count| left.checked_sub(count))
                .ok_or_else(|| WeightsError::Format(format!("more than {MAX_VALUES} values")))?;
            weights.insert(name, tensor.shape().to_vec(), floats(name, tensor)?);
        }
        Ok(weights)
    }
}

/// A tensor's values in row-major order, whatever its strides, widened to f32.
fn floats(name: &str, tensor: &Tensor) -> Result<Vec<f32>, WeightsError> {
    let bytes = tensor.read().map_err(|e| WeightsError::Format(e.to_string()))?;
    let (pairs, _) = bytes.as_chunks::<2>();
    // The reader hands out native byte order.
    Ok(match tensor.dtype() {
        DType::F32 => bytes.as_chunks::<4>().0.iter().map(|b| f32::from_ne_bytes(*b)).collect(),
        DType::F16 => pairs.iter().map(|b| f16::from_ne_bytes(*b).to_f32()).collect(),
        DType::BF16 => pairs.iter().map(|b| bf16::from_ne_bytes(*b).to_f32()).collect(),
        other => {
            return Err(WeightsError::Format(format!(
                "{name} has type {other:?}; f32, f16 and bf16 are read"
            )));
        }
    })
}
