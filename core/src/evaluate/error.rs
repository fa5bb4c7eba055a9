//! What goes wrong in an evaluation.

use std::path::PathBuf;

use crate::data::DataError;
use crate::infer::EngineError;
use crate::train::TrainError;

/// Why a run could not be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// Nothing is held out.
    #[error("the test split has no images, so nothing can judge the model; add images to the dataset")]
    NoTestImages,
    /// The pack is not of what the run learnt from.
    #[error("the pack's {0} are not those of the run; preprocess the run's dataset version again")]
    OtherPack(&'static str),
    /// The engine gave something else than numbers.
    #[error("the network's answer to image {0} is not a number; train again with a lower learning rate")]
    NotFinite(vigie_protocol::Hash),
    /// The work was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Threads could not be started.
    #[error("cannot start the worker threads: {0}")]
    Threads(String),
    /// The exported weights could not be read back.
    #[error("cannot read {path}", path = path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// The pack cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The engine cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The run's checkpoints cannot be used.
    #[error(transparent)]
    Train(#[from] TrainError),
}
