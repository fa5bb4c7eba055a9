//! Out-of-fold probabilities: what a head says of each image that did not learn from it.
//!
//! The images of a version, whatever their split, are dealt to folds, groups whole; each fold is judged
//! by a head that learnt from the others. No model comes of it, so nothing that is held out is given
//! away.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;
use std::path::Path;

use vigie_protocol::Hash;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::run::{ClassWeights, Recipe};

use super::draws::Draws;
use super::features::{self, FeatureTable};
use super::folds::deal;
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
    /// The group of each of its rows: those of one group are never judged by what learnt from another.
    pub groups: &'a [usize],
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

/// What heads say of images that they did not learn from, nor from any of their group.
#[derive(Clone, Debug, PartialEq)]
pub struct OutOfFold {
    /// The rows of the pack that were judged, in their order: all but those of a class that the head
    /// did not know, because all images of the class are in one fold.
    pub rows: Vec<usize>,
    /// The label of each of them.
    pub labels: Vec<u32>,
    /// A row of probabilities for each label.
    pub probabilities: Vec<f32>,
    /// Number of classes.
    pub classes: usize,
}

/// Makes the probabilities. The same plan gives the same ones.
///
/// # Errors
/// [`TrainError::OneClass`] when there is nothing to tell apart, [`TrainError::OneGroup`] when nothing
/// can be held out, [`TrainError::Recipe`], [`TrainError::Cancelled`], and what goes wrong with packs,
/// weights and files.
///
/// # Panics
/// When there is not a group for each row of the pack.
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
    let FoldPlan { pack, groups, recipe, preprocess, weights, cache, folds, device, threads: _ } = *plan;
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
    let fold_of = deal(&table.labels, groups, classes, folds);
    judge(&table, classes, recipe, (&fold_of, folds), |fold, along| {
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
    (fold_of, folds): (&[u32], u32),
    go_on: impl Fn(u32, f64) -> bool,
) -> Result<OutOfFold, TrainError> {
    let mut judged: Vec<(usize, Vec<f32>)> = Vec::with_capacity(table.len());
    for fold in 0..folds {
        let rows = |wanted: bool| (0..table.len()).filter(move |&row| (fold_of[row] == fold) == wanted);
        let mut others = part(table, rows(false));
        let known: BTreeSet<u32> = others.labels.iter().copied().collect();
        let held: Vec<usize> = rows(true).filter(|&row| known.contains(&table.labels[row])).collect();
        if held.is_empty() {
            continue;
        }
        let standard = Standard::of(&others)?;
        standard.apply(&mut others);
        let mut held_out = part(table, held.iter().copied());
        standard.apply(&mut held_out);

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
        let answers = learner.probabilities(&held_out);
        judged.extend(held.into_iter().zip(answers.chunks_exact(classes).map(<[f32]>::to_vec)));
    }
    if judged.is_empty() {
        return Err(TrainError::OneGroup);
    }
    go_on(folds, 0.0);
    judged.sort_unstable_by_key(|(row, _)| *row);
    let rows: Vec<usize> = judged.iter().map(|(row, _)| *row).collect();
    let labels = rows.iter().map(|&row| table.labels[row]).collect();
    let probabilities = judged.into_iter().flat_map(|(_, answer)| answer).collect();
    Ok(OutOfFold { rows, labels, probabilities, classes })
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
        let fold_of = deal(&table.labels, &(0..150).collect::<Vec<_>>(), 3, 5);
        let out = judge(&table, 3, &recipe(), (&fold_of, 5), |_, _| true).unwrap();
        assert_eq!(out.rows, (0..150).collect::<Vec<_>>());
        let found = find_issues(&out.labels, &out.probabilities, 3);
        for (row, probabilities) in out.probabilities.chunks(3).enumerate() {
            let believed = probabilities[out.labels[row] as usize] > 0.5;
            assert_eq!(believed, !wrong.contains(&row), "{row}: {probabilities:?}");
        }
        // Those whose pictures are not quite typical of their class stay below its threshold.
        assert!(found.candidates.len() >= 2, "{found:?}");
        for candidate in found.candidates {
            assert!(wrong.contains(&candidate.row), "{candidate:?}");
            assert_eq!(candidate.suggested, candidate.row % 3, "what it was before");
        }
        assert_eq!(judge(&table, 3, &recipe(), (&fold_of, 5), |_, _| true).unwrap(), out, "the same again");
    }

    /// Copies of one picture with one wrong label: where they may learn from each other they confirm it.
    #[test]
    fn copies_of_one_picture_do_not_vouch_for_its_label() {
        let mut table = table(90);
        // In the cloud of class 2, but for one feature that only they have.
        let copied = [5usize, 20, 35, 50, 65];
        let row = [0.0, 1.5, 0.0, 0.0, 2.0, 0.0];
        for copy in copied {
            table.values[copy * 6..(copy + 1) * 6].copy_from_slice(&row);
            table.labels[copy] = 0;
        }
        let alone: Vec<usize> = (0..90).collect();
        let together: Vec<usize> = (0..90).map(|row| if copied.contains(&row) { 5 } else { row }).collect();
        let confidence = |groups: &[usize]| {
            let fold_of = deal(&table.labels, groups, 3, 5);
            let out = judge(&table, 3, &recipe(), (&fold_of, 5), |_, _| true).unwrap();
            copied.iter().map(|&copy| f64::from(out.probabilities[copy * 3])).sum::<f64>() / 5.0
        };
        let (given_away, held_out) = (confidence(&alone), confidence(&together));
        assert!(given_away > 0.5 && held_out < 0.2, "{given_away} {held_out}");
    }

    #[test]
    fn who_learnt_nothing_of_a_class_does_not_judge_it() {
        let table = table(60);
        // All of class 2 are one patient's.
        let groups: Vec<usize> = (0..60).map(|row| if row % 3 == 2 { 2 } else { row }).collect();
        let fold_of = deal(&table.labels, &groups, 3, 4);
        let out = judge(&table, 3, &recipe(), (&fold_of, 4), |_, _| true).unwrap();
        assert_eq!(out.rows, (0..60).filter(|row| row % 3 != 2).collect::<Vec<_>>());
        assert!(!out.labels.contains(&2) && out.probabilities.len() == 40 * 3);
        assert!(find_issues(&out.labels, &out.probabilities, 3).candidates.is_empty());
        let all = judge(&table, 3, &recipe(), (&[1; 60], 4), |_, _| true);
        assert!(matches!(all, Err(TrainError::OneGroup)), "{all:?}");
    }

    #[test]
    fn it_stops_when_asked() {
        let asked = Cell::new(0);
        let table = table(30);
        let fold_of = deal(&table.labels, &(0..30).collect::<Vec<_>>(), 3, 3);
        let stopped = judge(&table, 3, &recipe(), (&fold_of, 3), |_, _| {
            asked.set(asked.get() + 1);
            asked.get() < 5
        });
        assert!(matches!(stopped, Err(TrainError::Cancelled)));
        assert_eq!(asked.get(), 5);
    }
}
