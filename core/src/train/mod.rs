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

use vigie_protocol::dataset::{Split, SplitCounts};
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

/// Whether a training on images of these classes can come to a model: something to tell apart, something
/// to choose the best epoch by, and something to judge it by.
///
/// # Errors
/// [`TrainError::EmptySplit`], [`TrainError::OneClass`].
pub fn check_images<'a>(
    classes: impl IntoIterator<Item = &'a SplitCounts> + Clone,
) -> Result<(), TrainError> {
    for split in Split::ALL {
        if classes.clone().into_iter().all(|class| class.of(split) == 0) {
            return Err(TrainError::EmptySplit(split));
        }
    }
    let learnt = classes.into_iter().filter(|class| class.train > 0).count();
    if learnt < 2 { Err(TrainError::OneClass) } else { Ok(()) }
}

fn run(plan: &TrainPlan<'_>, observer: &dyn Observer) -> Result<TrainResult, TrainError> {
    let TrainPlan { pack, recipe, preprocess, weights, run_dir, device, threads: _, now } = *plan;
    let began = Instant::now();
    let pack = Pack::open(pack)?;
    if pack.spec().pixel_hash() != preprocess.pixel_hash() {
        return Err(TrainError::Preprocess);
    }
    let mut classes = vec![SplitCounts::default(); pack.classes().len()];
    (0..pack.len()).for_each(|row| *classes[pack.label(row) as usize].of_mut(pack.split(row)) += 1);
    check_images(&classes)?;
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

#[cfg(test)]
mod tests {
    use vigie_protocol::dataset::{DatasetImage, Quality};

    use super::*;
    use crate::data::pack;
    use crate::observe::Silent;
    use crate::store::Blobs;
    use crate::store::blobs::FolderBlobs;
    use crate::store::manifest::Manifest;
    use crate::vision::RgbImage;

    #[test]
    fn a_hopeless_training_is_refused_before_any_feature() {
        let folder = tempfile::tempdir().expect("a folder");
        let folder = folder.path();
        let blobs = FolderBlobs::open(&folder.join("blobs")).expect("blobs");
        let image = |(side, label, split): (u32, &str, Split)| {
            let picture = folder.join("picture.png");
            RgbImage::new(side, side).save(&picture).expect("a picture");
            let bytes = std::fs::read(&picture).expect("read");
            let quality =
                Quality { width: side, height: side, bytes: bytes.len() as u64, ..Quality::default() };
            let (hash, origin, admission) = (blobs.put(&bytes).expect("put"), String::new(), String::new());
            DatasetImage::new(hash, label.to_owned(), split, origin, quality, admission)
        };
        let images = [(4, "owl", Split::Train), (5, "jay", Split::Train), (6, "jay", Split::Valid)];
        let manifest = Manifest::new(images.map(image).to_vec());
        let (recipe, pack) = (Recipe::default(), folder.join("pack"));
        let preprocess = PreprocessSpec::for_network(recipe.architecture, 32);
        pack::build(&manifest, Hash::of(b"birds"), &preprocess, &blobs, &pack, &Silent).expect("a pack");
        let plan = TrainPlan {
            pack: &pack,
            recipe: &recipe,
            preprocess: &preprocess,
            weights: &folder.join("nobody-asks-for-them"),
            run_dir: &folder.join("run"),
            device: "cpu",
            threads: 1,
            now: Time::from_micros(0),
        };
        let refused = train(&plan, &Silent);
        assert!(matches!(refused, Err(TrainError::EmptySplit(Split::Test))), "{refused:?}");
    }

    #[test]
    fn what_cannot_come_to_a_model_is_refused() {
        // Images of each class in the train, valid and test split.
        for (classes, expected) in [
            (vec![[2, 1, 1], [2, 0, 0]], None),
            (vec![[2, 1, 0], [2, 0, 1]], None),
            (vec![[2, 1, 1], [2, 1, 1], [0, 1, 1]], None),
            (vec![], Some("the train split")),
            (vec![[0, 1, 1], [0, 1, 1]], Some("the train split")),
            (vec![[2, 0, 1], [2, 0, 1]], Some("the valid split")),
            (vec![[2, 1, 0], [2, 1, 0]], Some("the test split")),
            (vec![[2, 1, 1], [0, 1, 1]], Some("of one class")),
        ] {
            let counts = classes.iter().map(|&[train, valid, test]| SplitCounts { train, valid, test });
            let refused = check_images(&counts.collect::<Vec<_>>()).err().map(|error| error.to_string());
            match expected {
                None => assert_eq!(refused, None, "{classes:?}"),
                Some(word) => assert!(refused.is_some_and(|text| text.contains(word)), "{classes:?}"),
            }
        }
    }
}
