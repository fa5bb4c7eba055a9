//! What goes wrong in a training.

use std::io;
use std::path::{Path, PathBuf};

use vigie_protocol::dataset::Split;

use crate::data::DataError;
use crate::infer::EngineError;
use crate::nets::weights::WeightsError;

/// Why a training stopped. What was durable before stays.
#[derive(Debug, thiserror::Error)]
pub enum TrainError {
    /// The recipe asks for what cannot be.
    #[error("the recipe's {field} {problem}")]
    Recipe {
        /// The field.
        field: &'static str,
        /// What is wrong with it: `is 0, it must be 1 to 1000`.
        problem: String,
    },
    /// A split has no images.
    #[error("the {0} split has no images; add images to the dataset")]
    EmptySplit(Split),
    /// All train images are of one class.
    #[error("all images of the train split are of one class; a classifier needs at least two")]
    OneClass,
    /// No image can be judged by a head that learnt from others of its class.
    #[error("no class has images in two groups, so that none can be held out; check the groups")]
    OneGroup,
    /// The pack was made by another preprocess spec.
    #[error("the pack was made by another preprocess spec than the run's; preprocess the dataset again")]
    Preprocess,
    /// The backbone gives nothing to learn from.
    #[error("the backbone's features {0}; check the pretrained weights")]
    Features(&'static str),
    /// The loss left the numbers.
    #[error("the loss of epoch {0} is not a number; lower the learning rate")]
    Diverged(u32),
    /// The run's folder holds another training.
    #[error("{path} holds checkpoints of another training ({what} differs); train in a new run", path = path.display())]
    OtherTraining {
        /// The folder.
        path: PathBuf,
        /// What differs.
        what: &'static str,
    },
    /// A checkpoint cannot be read.
    #[error("the checkpoint {path} is damaged: {detail}; train in a new run", path = path.display())]
    Damaged {
        /// Which.
        path: PathBuf,
        /// How.
        detail: String,
    },
    /// Nothing was trained yet.
    #[error("{} has no finished epoch; train the run first", .0.display())]
    NoCheckpoint(PathBuf),
    /// The work was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// Threads could not be started.
    #[error("cannot start the worker threads: {0}")]
    Threads(String),
    /// The file system refused.
    #[error("cannot {what} {path}", path = path.display())]
    Io {
        /// What was being done: `write`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The pack cannot be used.
    #[error(transparent)]
    Data(#[from] DataError),
    /// The network cannot be used.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The weights cannot be used.
    #[error(transparent)]
    Weights(#[from] WeightsError),
}

impl TrainError {
    /// For `map_err` on calls of the file system.
    pub(super) fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }
}
