//! From a run's checkpoint to weights with their passport.

use std::ops::Range;
use std::path::{Path, PathBuf};

use vigie_protocol::dataset::{DatasetRef, Split};
use vigie_protocol::model::{Golden, Passport};
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::{Hash, RunId};

use super::calibration::temperature;
use super::error::EvaluateError;
use super::report::{Answers, measure};
use crate::data::pack::Pack;
use crate::infer::{self, Engine, LoadSpec, WeightsFrom};
use crate::observe::{Observer, Step};
use crate::train::checkpoint::Checkpoint;
use crate::train::{TrainError, export_model};

/// Images the engine gets at a time: how often progress is reported and a cancel is heard.
const BATCH: usize = 32;

/// Most images of a golden set: a second of work when a model is loaded.
const GOLDEN: usize = 16;

/// What an evaluation is carried out by.
#[derive(Clone, Copy, Debug)]
pub struct EvaluatePlan<'a> {
    /// The pack of the dataset version that the run learnt from.
    pub pack: &'a Path,
    /// The run's folder.
    pub run_dir: &'a Path,
    /// The weights the run started from.
    pub weights: &'a Path,
    /// The run.
    pub run: RunId,
    /// The epoch to evaluate; the best one when absent. Only the best and the last are kept.
    pub epoch: Option<u32>,
    /// The dataset version.
    pub dataset: DatasetRef,
    /// How the run turned images into tensors.
    pub preprocess: &'a PreprocessSpec,
    /// `cpu`, `cuda`, `cuda:N`.
    pub device: &'a str,
    /// CPU threads; 0 takes all cores.
    pub threads: usize,
    /// `vigie-agent` version and device, for the passport.
    pub made_by: &'a str,
}

/// A model that could be registered.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluated {
    /// All that is known of it.
    pub passport: Passport,
    /// Its weights, in the run's folder.
    pub weights_file: PathBuf,
}

/// Exports a run's network, loads it as serving would, finds its temperature on the valid split and
/// judges it on the test split.
///
/// # Errors
/// [`EvaluateError`]; [`EvaluateError::Cancelled`] when the observer asked for it.
pub fn evaluate(plan: &EvaluatePlan<'_>, observer: &dyn Observer) -> Result<Evaluated, EvaluateError> {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(plan.threads).build();
    pool.map_err(|error| EvaluateError::Threads(error.to_string()))?.install(|| run(plan, observer))
}

fn run(plan: &EvaluatePlan<'_>, observer: &dyn Observer) -> Result<Evaluated, EvaluateError> {
    let EvaluatePlan { pack, run_dir, weights, run, epoch, dataset, preprocess, device, threads: _, made_by } =
        *plan;
    let pack = Pack::open(pack)?;
    let checkpoint =
        Checkpoint::read(run_dir)?.ok_or_else(|| TrainError::NoCheckpoint(run_dir.to_owned()))?;
    if pack.spec().pixel_hash() != preprocess.pixel_hash() {
        return Err(EvaluateError::OtherPack("pixels"));
    }
    if pack.classes() != checkpoint.classes {
        return Err(EvaluateError::OtherPack("classes"));
    }
    let (valid, test) = (pack.rows(Split::Valid), pack.rows(Split::Test));
    if test.is_empty() {
        return Err(EvaluateError::NoTestImages);
    }

    let epoch = epoch.unwrap_or(checkpoint.best_epoch);
    let weights_file = export_model(run_dir, weights, epoch)?;
    let read = |source| EvaluateError::Io { path: weights_file.clone(), source };
    let bytes = std::fs::read(&weights_file).map_err(read)?;
    let engine = infer::load(&LoadSpec {
        architecture: checkpoint.recipe.architecture,
        classes: pack.classes().len(),
        preprocess,
        preprocess_hash: preprocess.hash(),
        weights: WeightsFrom::Bytes(&bytes),
        device,
    })?;

    // Valid and test follow each other in a pack, so one count goes through both.
    let images = valid.start..test.end;
    let ask = |stage: &str, rows: Range<usize>| answers(&*engine, &pack, rows, &images, stage, observer);
    let calibration = ask("calibrating", valid)?;
    let temperature = temperature(&calibration.logits, &calibration.truths);
    let answers = ask("testing", test)?;
    let passport = Passport {
        architecture: checkpoint.recipe.architecture,
        classes: checkpoint.classes,
        preprocess: preprocess.clone(),
        preprocess_hash: preprocess.hash(),
        weights: Hash::of(&bytes),
        dataset,
        manifest: pack.manifest(),
        run,
        epoch,
        temperature,
        evaluation: measure(dataset, pack.manifest(), pack.classes(), &answers, temperature),
        golden: golden(&answers, pack.classes().len()),
        made_by: made_by.to_owned(),
    };
    Ok(Evaluated { passport, weights_file })
}

/// Asks an engine about rows of a pack. `images` are all rows that are asked about in this work.
fn answers(
    engine: &dyn Engine,
    pack: &Pack,
    rows: Range<usize>,
    images: &Range<usize>,
    stage: &str,
    observer: &dyn Observer,
) -> Result<Answers, EvaluateError> {
    let report = |done: usize| {
        let fraction = (done - images.start) as f32 / images.len() as f32;
        let (done, total) = ((done - rows.start) as u64, rows.len() as u64);
        observer.step(Step { stage, done, total, unit: "images", fraction });
    };
    let mut logits = Vec::with_capacity(rows.len() * engine.classes());
    for start in rows.clone().step_by(BATCH) {
        report(start);
        if observer.cancelled() {
            return Err(EvaluateError::Cancelled);
        }
        let batch = start..rows.end.min(start + BATCH);
        logits.extend(engine.logits(pack.pixels_range(batch))?);
    }
    report(rows.end);
    if let Some(at) = logits.iter().position(|logit| !logit.is_finite()) {
        return Err(EvaluateError::NotFinite(pack.image_hash(rows.start + at / engine.classes())));
    }
    Ok(Answers {
        images: rows.clone().map(|row| pack.image_hash(row)).collect(),
        truths: rows.map(|row| pack.label(row)).collect(),
        logits,
    })
}

/// Up to 16 images with their logits, from as many classes as there are: the first image of each
/// class, then the second of each, and so on.
fn golden(answers: &Answers, classes: usize) -> Vec<Golden> {
    let mut turns = vec![0; classes];
    let mut order: Vec<(usize, usize)> = Vec::with_capacity(answers.truths.len());
    for (i, &truth) in answers.truths.iter().enumerate() {
        let turn = &mut turns[truth as usize];
        order.push((*turn, i));
        *turn += 1;
    }
    order.sort_unstable();
    let logits = |i: usize| answers.logits[i * classes..(i + 1) * classes].to_vec();
    let chosen = order.into_iter().take(GOLDEN);
    chosen.map(|(_, i)| Golden { image: answers.images[i], logits: logits(i) }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_images_are_spread_over_classes() {
        let truths: Vec<u32> = (0..30).map(|i| if i < 25 { 0 } else { 1 + i % 2 }).collect();
        let images: Vec<Hash> = (0..30u32).map(|i| Hash::of(&i.to_le_bytes())).collect();
        let logits: Vec<f32> = (0..120).map(|i| i as f32).collect();
        let set = golden(&Answers { images: images.clone(), truths: truths.clone(), logits }, 4);
        assert_eq!(set.len(), GOLDEN);
        let of = |class: u32| {
            let is = |golden: &&Golden| images.iter().position(|i| *i == golden.image).map(|i| truths[i]);
            set.iter().filter(|golden| is(golden) == Some(class)).count()
        };
        assert_eq!((of(0), of(1), of(2)), (11, 2, 3));
        assert_eq!(set[0].logits.len(), 4);
    }
}
