//! Training: from a pack to the checkpoints of a run.
//!
//! Transfer learning with a frozen backbone: its features are computed once and kept, then a linear
//! head learns from them. Everything durable is in the run's folder, so that a training that was
//! killed goes on where it was and ends with the same bits.
//!
//! ```text
//! features.bin               features, chunk by chunk
//! state.bin                  where the training stands, with the optimiser
//! epoch-0003.safetensors     heads of the best and the last epoch
//! model.safetensors          the network, once exported
//! ```

mod cache;
pub mod checkpoint;
mod draws;
mod durable;
mod error;
mod export;
mod features;
mod folds;
mod head;
mod learn;
mod out_of_fold;
pub mod recipe;
mod standard;

use std::path::Path;
use std::time::Instant;

use vigie_protocol::dataset::Split;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::run::{EpochMetrics, Recipe};
use vigie_protocol::{Hash, Time};

use self::draws::Draws;
pub use self::error::TrainError;
pub use self::export::export_model;
use self::learn::LearnPlan;
pub use self::out_of_fold::{FOLDS, FoldPlan, OutOfFold, out_of_fold};
use crate::data::pack::Pack;
use crate::infer::{self, WeightsFrom};
use crate::nets;
use crate::observe::{Observer, Step};

/// The file of a run's folder with the features that it learns from.
pub const FEATURES: &str = "features.bin";
/// The file of a run's folder with the network, once it is exported.
pub const EXPORTED: &str = "model.safetensors";

/// What a training is carried out by.
#[derive(Clone, Copy, Debug)]
pub struct TrainPlan<'a> {
    /// The pack of the dataset version, made by `preprocess`.
    pub pack: &'a Path,
    /// How.
    pub recipe: &'a Recipe,
    /// How images become tensors.
    pub preprocess: &'a PreprocessSpec,
    /// Safetensors with the backbone to start from; a classifier in it is left aside.
    pub weights: &'a Path,
    /// The run's folder; made when missing.
    pub run_dir: &'a Path,
    /// `cpu`, `cuda`, `cuda:N`: where features are computed.
    pub device: &'a str,
    /// CPU threads; 0 takes all cores.
    pub threads: usize,
    /// The time at the call.
    pub now: Time,
}

/// What a training came to.
#[derive(Clone, Debug, PartialEq)]
pub struct TrainResult {
    /// The epoch with the lowest validation loss.
    pub best_epoch: u32,
    /// Every epoch, those before an interruption included: an observer that went away with its
    /// process may have missed the last one.
    pub epochs: Vec<EpochMetrics>,
    /// The durable epoch this call went on from.
    pub resumed_from: Option<u32>,
}

/// Trains, going on from what is durable in the run's folder.
///
/// # Errors
/// [`TrainError`]; [`TrainError::Cancelled`] when the observer asked for it.
pub fn train(plan: &TrainPlan<'_>, observer: &dyn Observer) -> Result<TrainResult, TrainError> {
    recipe::validate(plan.recipe)?;
    let pool = rayon::ThreadPoolBuilder::new().num_threads(plan.threads).build();
    pool.map_err(|error| TrainError::Threads(error.to_string()))?.install(|| run(plan, observer))
}

fn run(plan: &TrainPlan<'_>, observer: &dyn Observer) -> Result<TrainResult, TrainError> {
    let TrainPlan { pack, recipe, preprocess, weights, run_dir, device, threads: _, now } = *plan;
    let began = Instant::now();
    let pack = Pack::open(pack)?;
    if pack.spec().pixel_hash() != preprocess.pixel_hash() {
        return Err(TrainError::Preprocess);
    }
    std::fs::create_dir_all(run_dir).map_err(TrainError::io("make", run_dir))?;

    let backbone = std::fs::read(weights).map_err(TrainError::io("read", weights))?;
    let key = features::key(&pack, recipe, preprocess, Hash::of(&backbone));
    let labels = pack.rows(Split::Train).map(|row| pack.label(row));
    let repeats = Draws::of(labels, recipe.class_weights).per_row();
    let before = features_share(recipe, pack.classes().len(), repeats);
    let features = features::extract(
        &pack,
        recipe.mirror,
        (&run_dir.join(FEATURES), key),
        nets::plan(recipe.architecture)?.width(),
        || Ok(infer::features(recipe.architecture, WeightsFrom::Bytes(&backbone), preprocess, device)?),
        |done, total| {
            let fraction = before * done as f32 / total.max(1) as f32;
            let (done, total) = (done as u64, total as u64);
            observer.step(Step { stage: "computing features", done, total, unit: "images", fraction });
            !observer.cancelled()
        },
    )?;
    let classes = pack.classes();
    let plan = LearnPlan { recipe, key, classes, run_dir, now, began, before };
    learn::learn(&plan, features, observer)
}

/// Share of the work that features are, so that the fraction done grows evenly: a forward of
/// EfficientNet-Lite0 at 224² takes about 30 ms on two cores and goes with the area, a step of the
/// head about 20 µs an image and 1 µs more with each class. An epoch learns from each image `repeats`
/// times on average.
fn features_share(recipe: &Recipe, classes: usize, repeats: f64) -> f32 {
    let features = 30e-3 * (f64::from(recipe.input) / 224.0).powi(2);
    let head = f64::from(recipe.epochs) * repeats * (20e-6 + 1e-6 * classes as f64);
    (features / (features + head)) as f32
}
