//! From a checkpoint to a model's weights.

use std::path::{Path, PathBuf};

use super::checkpoint::{Checkpoint, read_head};
use super::{EXPORTED, TrainError, durable};
use crate::nets;
use crate::nets::weights::Weights;

/// Writes the network of a run's epoch, backbone and head in one safetensors file of f32, durably to
/// `model.safetensors` in the run's folder. Equal runs give equal bytes.
///
/// `backbone` are the weights the training started from.
///
/// # Errors
/// When the checkpoint or the backbone cannot be read, or the file cannot be written.
pub fn export_model(run_dir: &Path, backbone: &Path, epoch: u32) -> Result<PathBuf, TrainError> {
    let checkpoint =
        Checkpoint::read(run_dir)?.ok_or_else(|| TrainError::NoCheckpoint(run_dir.to_owned()))?;
    let architecture = checkpoint.recipe.architecture;
    let mut weights = Weights::read(backbone)?;
    let head = read_head(run_dir, epoch)?;
    for (name, shape) in nets::plan(architecture)?.classifier_tensors(checkpoint.classes.len()) {
        let tensor = head.get(&name).filter(|tensor| tensor.shape == shape);
        let tensor = tensor.ok_or_else(|| TrainError::Damaged {
            path: run_dir.to_owned(),
            detail: format!("the head of epoch {epoch} has no {name} of shape {shape:?}"),
        })?;
        weights.insert(&name, shape, tensor.values.clone());
    }
    let path = run_dir.join(EXPORTED);
    durable::write(&path, &weights.to_bytes(architecture)?)?;
    Ok(path)
}
