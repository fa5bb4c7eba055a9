//! Checkpoints of a run: after each epoch all that the next one depends on, durable.
//!
//! `state.bin` (a version byte, then MessagePack) is the truth: its rename is what makes an epoch
//! done. Beside it are the heads of the best and the last epoch, `epoch-0003.safetensors`: the
//! classifier's tensors under the network's names, for features as the backbone gives them.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use vigie_protocol::Hash;
use vigie_protocol::model::Architecture;
use vigie_protocol::run::{EpochMetrics, Recipe};

use super::head::{Head, HeadState};
use super::{TrainError, durable};
use crate::fail_point::{self, FailPoint};
use crate::nets;
use crate::nets::weights::Weights;

const FORMAT: u8 = 1;

/// Where a training stands.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Checkpoint {
    /// How it is trained.
    pub recipe: Recipe,
    /// Names everything its features depend on: data, preprocessing, backbone.
    pub features: Hash,
    /// Class names in the order of the logits.
    pub classes: Vec<String>,
    /// The head after the last epoch, with its optimiser.
    pub state: HeadState,
    /// What each epoch measured.
    pub epochs: Vec<EpochMetrics>,
    /// The epoch with the lowest validation loss.
    pub best_epoch: u32,
}

impl Checkpoint {
    /// Reads the checkpoint of a run's folder; nothing when no epoch is done.
    ///
    /// # Errors
    /// [`TrainError::Damaged`], [`TrainError::Io`].
    pub fn read(run_dir: &Path) -> Result<Option<Self>, TrainError> {
        let path = state_path(run_dir);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(TrainError::io("read", &path)(error)),
        };
        let damaged = |detail: String| TrainError::Damaged { path: path.clone(), detail };
        let body = match bytes.split_first() {
            Some((&FORMAT, body)) => body,
            Some((format, _)) => return Err(damaged(format!("format {format} is unknown"))),
            None => return Err(damaged("it is empty".to_owned())),
        };
        let checkpoint: Self = rmp_serde::from_slice(body).map_err(|e| damaged(e.to_string()))?;
        let count = checkpoint.epochs.len();
        if !(1..=count).contains(&(checkpoint.best_epoch as usize)) {
            return Err(damaged(format!("its best epoch is {} of {count}", checkpoint.best_epoch)));
        }
        Ok(Some(checkpoint))
    }

    /// Makes an epoch durable: first `head`, the last epoch's for raw features, then the state. Heads
    /// that are neither the best nor the last are removed after.
    ///
    /// # Errors
    /// [`TrainError::Io`], [`TrainError::Weights`].
    pub fn write(&self, run_dir: &Path, head: &Head) -> Result<(), TrainError> {
        let last = self.epochs.len() as u32;
        durable::write(&head_path(run_dir, last), &encode_head(self.recipe.architecture, head)?)?;
        fail_point::pass(FailPoint::CheckpointHead);
        let mut bytes = vec![FORMAT];
        rmp_serde::encode::write_named(&mut bytes, self).expect("plain structs in memory always encode");
        durable::write(&state_path(run_dir), &bytes)?;
        fail_point::pass(FailPoint::CheckpointWritten);
        for epoch in (1..last).filter(|&epoch| epoch != self.best_epoch) {
            // Left over it costs some bytes; the next epoch tries again.
            let _ = std::fs::remove_file(head_path(run_dir, epoch));
        }
        Ok(())
    }
}

/// The head of an epoch that [`Checkpoint::write`] kept, under the names of its network.
///
/// # Errors
/// When it is not there or cannot be read.
pub fn read_head(run_dir: &Path, epoch: u32) -> Result<Weights, TrainError> {
    Ok(Weights::read(&head_path(run_dir, epoch))?)
}

fn encode_head(architecture: Architecture, head: &Head) -> Result<Vec<u8>, TrainError> {
    let classes = head.bias.len();
    let [(weight, _), (bias, _)] = nets::plan(architecture)?.classifier_tensors(classes);
    let mut weights = Weights::default();
    weights.insert(&weight, vec![classes, head.weight.len() / classes.max(1)], head.weight.clone());
    weights.insert(&bias, vec![classes], head.bias.clone());
    Ok(weights.to_bytes(architecture)?)
}

fn state_path(run_dir: &Path) -> PathBuf {
    run_dir.join("state.bin")
}

fn head_path(run_dir: &Path, epoch: u32) -> PathBuf {
    run_dir.join(format!("epoch-{epoch:04}.safetensors"))
}
