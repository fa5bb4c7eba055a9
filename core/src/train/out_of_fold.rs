//! Out-of-fold probabilities: what a head says of each image that did not learn from it.
//!
//! The images of a version, whatever their split, are dealt to folds; each fold is judged by a head
//! that learnt from the others. No model comes of it, so nothing that is held out is given away.

use std::ops::RangeInclusive;
use std::path::Path;

use vigie_protocol::Hash;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::run::{ClassWeights, Recipe};

use super::draws::Draws;
use super::features::{self, FeatureTable};
use super::head::{HeadState, Learner};
use super::standard::Standard;
use super::{TrainError, features_share, recipe};
use crate::data::pack::Pack;
use crate::infer::{self, WeightsFrom};
use crate::nets;
use crate::observe::{Observer, Step};

/// How many folds there may be.
pub const FOLDS: RangeInclusive<u32> = 2..=20;

/// What out-of-fold probabilities are made by.
#[derive(Clone, Copy, Debug)]
pub struct FoldPlan<'a> {
    /// The pack of the version.
    pub pack: &'a Path,
    /// Network and input of the features, and how heads learn; they learn from every image once an epoch,
    /// however the recipe balances.
    pub recipe: &'a Recipe,
    /// How images become tensors.
    pub preprocess: &'a PreprocessSpec,
    /// Safetensors with the backbone.
    pub weights: &'a Path,
    /// Where features are kept, so that an interrupted check goes on where it was.
    pub cache: &'a Path,
    /// In [`FOLDS`].
    pub folds: u32,
    /// `cpu`, `cuda`, `cuda:N`: where features are computed.
    pub device: &'a str,
    /// CPU threads; 0 takes all cores.
    pub threads: usize,
}

/// What heads say of images that they did not learn from, in the order of the pack's rows.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfFold {
    /// The label of each row.
    pub labels: Vec<u32>,
    /// A row of probabilities for each label.
    pub probabilities: Vec<f32>,
    /// Number of classes.
    pub classes: usize,
}

/// Makes the probabilities. The same plan gives the same ones.
///
/// # Errors
/// [`TrainError::OneClass`] when there is nothing to tell apart, [`TrainError::Recipe`],
/// [`TrainError::Cancelled`], and what goes wrong with packs, weights and files.
pub fn out_of_fold(plan: &FoldPlan<'_>, observer: &dyn Observer) -> Result<OutOfFold, TrainError> {
    recipe::validate(plan.recipe)?;
    if !FOLDS.contains(&plan.folds) {
        let problem = format!("are {}, they must be {} to {}", plan.folds, FOLDS.start(), FOLDS.end());
        return Err(TrainError::Recipe { field: "folds", problem });
    }
    let pool = rayon::ThreadPoolBuilder::new().num_threads(plan.threads).build();
    pool.map_err(|error| TrainError::Threads(error.to_string()))?.install(|| run(plan, observer))
}

fn run(plan: &FoldPlan<'_>, observer: &dyn Observer) -> Result<OutOfFold, TrainError> {
    let FoldPlan { pack, recipe, preprocess, weights, cache, folds, device, threads: _ } = *plan;
    let pack = Pack::open(pack)?;
    if pack.spec().pixel_hash() != preprocess.pixel_hash() {
        return Err(TrainError::Preprocess);
    }
    let classes = pack.classes().len();
    if classes < 2 {
        return Err(TrainError::OneClass);
    }
    let backbone = std::fs::read(weights).map_err(TrainError::io("read", weights))?;
    // Every fold is a training.
    let rounds = Recipe { epochs: recipe.epochs.saturating_mul(folds - 1), ..recipe.clone() };
    let before = features_share(&rounds, classes, 1.0);
    let table = features::extract_all(
        &pack,
        (cache, features::key_of_all(&pack, recipe, preprocess, Hash::of(&backbone))),
        nets::plan(recipe.architecture)?.width(),
        || Ok(infer::features(recipe.architecture, WeightsFrom::Bytes(&backbone), preprocess, device)?),
        |done, total| {
            let fraction = before * done as f32 / total.max(1) as f32;
            let (done, total) = (done as u64, total as u64);
            observer.step(Step { stage: "computing features", done, total, unit: "images", fraction });
            !observer.cancelled()
        },
    )?;
    judge(&table, classes, recipe, folds, |fold, along| {
        let share = (f64::from(fold) + along) / f64::from(folds);
        let fraction = before + (1.0 - before) * share as f32;
        let (done, total) = (u64::from(fold), u64::from(folds));
        observer.step(Step { stage: "judging fold by fold", done, total, unit: "folds", fraction });
        !observer.cancelled()
    })
}

/// Judges each fold by a head that learns from the others. `go_on` hears of the fold and the share of
/// it that is done.
fn judge(
    table: &FeatureTable,
    classes: usize,
    recipe: &Recipe,
    folds: u32,
    go_on: impl Fn(u32, f64) -> bool,
) -> Result<OutOfFold, TrainError> {
    let fold_of = deal(&table.labels, classes, folds);
    let mut probabilities = vec![0.0; table.len() * classes];
    for fold in 0..folds {
        let fold_of = &fold_of;
        let rows = |wanted: bool| (0..table.len()).filter(move |&row| (fold_of[row] == fold) == wanted);
        let (held, mut others) = (rows(true).collect::<Vec<_>>(), part(table, rows(false)));
        if held.is_empty() {
            continue;
        }
        let standard = Standard::of(&others)?;
        standard.apply(&mut others);
        let mut judged = part(table, held.iter().copied());
        standard.apply(&mut judged);

        let state = HeadState::new(classes, table.width);
        // Thresholds are of each class by itself, so that heads need no balance.
        let draws = Draws::of(others.labels.iter().copied(), ClassWeights::Even);
        let mut learner = Learner::new(recipe, &state, table.width, draws);
        for epoch in 1..=recipe.epochs {
            let along = |row: usize| {
                let done = f64::from(epoch - 1) + row as f64 / others.len().max(1) as f64;
                go_on(fold, done / f64::from(recipe.epochs))
            };
            let loss = learner.epoch(&others, epoch, along).ok_or(TrainError::Cancelled)?;
            if !loss.is_finite() {
                return Err(TrainError::Diverged(epoch));
            }
        }
        let answers = learner.probabilities(&judged);
        for (&row, answer) in held.iter().zip(answers.chunks_exact(classes)) {
            probabilities[row * classes..(row + 1) * classes].copy_from_slice(answer);
        }
    }
    go_on(folds, 0.0);
    Ok(OutOfFold { labels: table.labels.clone(), probabilities, classes })
}

/// Deals rows to folds, class by class in turn, so that every fold has its share of every class. The
/// rows of a pack are in the order of hashes, which nobody chooses.
fn deal(labels: &[u32], classes: usize, folds: u32) -> Vec<u32> {
    // Where each class begins, so that small classes do not all start with the first fold.
    let mut next: Vec<u32> = (0..classes).map(|class| (class % folds as usize) as u32).collect();
    let turn = |&label: &u32| {
        let next = &mut next[label as usize];
        let fold = *next;
        *next = (fold + 1) % folds;
        fold
    };
    labels.iter().map(turn).collect()
}

fn part(table: &FeatureTable, rows: impl Iterator<Item = usize>) -> FeatureTable {
    let mut part = FeatureTable { width: table.width, ..FeatureTable::default() };
    for row in rows {
        part.values.extend_from_slice(table.row(row));
        part.labels.push(table.labels[row]);
    }
    part
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::cell::Cell;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;
    use crate::data::confident::find_issues;

    /// Three clouds that are well apart.
    fn table(rows: usize) -> FeatureTable {
        let mut random = ChaCha8Rng::seed_from_u64(3);
        let labels: Vec<u32> = (0..rows).map(|row| (row % 3) as u32).collect();
        let values = labels
            .iter()
            .flat_map(|&label| {
                let mut row = [0f32; 6];
                row.iter_mut().for_each(|value| *value = random.random::<f32>() - 0.5);
                row[label as usize * 2] += 2.0;
                row
            })
            .collect();
        FeatureTable { width: 6, values, labels }
    }

    fn recipe() -> Recipe {
        Recipe { epochs: 20, batch: 16, learning_rate: 0.05, ..Recipe::default() }
    }

    #[test]
    fn wrong_labels_are_found_and_right_ones_left() {
        let mut table = table(150);
        let wrong = [7usize, 40, 83, 120];
        for row in wrong {
            table.labels[row] = (table.labels[row] + 1) % 3;
        }
        let out = judge(&table, 3, &recipe(), 5, |_, _| true).unwrap();
        let found = find_issues(&out.labels, &out.probabilities, 3);
        // One whose picture is not quite typical of its class may stay below the threshold.
        assert!(found.candidates.len() >= 3, "{found:?}");
        for candidate in found.candidates {
            assert!(wrong.contains(&candidate.row), "{candidate:?}");
            assert_eq!(candidate.suggested, candidate.row % 3, "what it was before");
        }
        assert_eq!(judge(&table, 3, &recipe(), 5, |_, _| true).unwrap(), out, "the same again");
    }

    #[test]
    fn every_fold_has_its_share_of_every_class() {
        let labels: Vec<u32> = (0..103).map(|row| [0, 0, 0, 1, 2][row % 5]).collect();
        let folds = deal(&labels, 3, 4);
        for class in 0..3 {
            let mut counts = [0u32; 4];
            for (&label, &fold) in labels.iter().zip(&folds) {
                counts[fold as usize] += u32::from(label == class);
            }
            let (least, most) = (counts.iter().min().unwrap(), counts.iter().max().unwrap());
            assert!(most - least <= 1, "{counts:?}");
        }
        assert_eq!(deal(&[0, 1, 2, 3], 4, 2), [0, 1, 0, 1], "lone images are spread");
    }

    #[test]
    fn it_stops_when_asked() {
        let asked = Cell::new(0);
        let stopped = judge(&table(30), 3, &recipe(), 3, |_, _| {
            asked.set(asked.get() + 1);
            asked.get() < 5
        });
        assert!(matches!(stopped, Err(TrainError::Cancelled)));
        assert_eq!(asked.get(), 5);
    }
}
