//! The loop over epochs: learn, measure, make durable, report.

use std::path::Path;
use std::time::Instant;

use vigie_protocol::run::{ClassWeights, EpochMetrics, Recipe};
use vigie_protocol::{Hash, Time};

use super::checkpoint::Checkpoint;
use super::draws::Draws;
use super::features::{FeatureTable, Features};
use super::head::{HeadState, Learner};
use super::standard::Standard;
use super::{TrainError, TrainResult};
use crate::data::balance::class_weight;
use crate::observe::{Level, Observer, Step};

/// What a head is learnt by.
#[derive(Clone, Copy, Debug)]
pub struct LearnPlan<'a> {
    /// How.
    pub recipe: &'a Recipe,
    /// Names what the features depend on.
    pub key: Hash,
    /// Class names.
    pub classes: &'a [String],
    /// Where checkpoints are.
    pub run_dir: &'a Path,
    /// The time at `began`.
    pub now: Time,
    /// When the work began.
    pub began: Instant,
    /// Share of the whole work that was done before the first epoch.
    pub before: f32,
}

/// Learns a head from images that [`super::check_images`] found enough, going on from the checkpoint in
/// the run's folder.
///
/// # Errors
/// Those of [`super::train`].
pub fn learn(
    plan: &LearnPlan<'_>,
    mut features: Features,
    observer: &dyn Observer,
) -> Result<TrainResult, TrainError> {
    let LearnPlan { recipe, key, classes, run_dir, now, began, before } = *plan;
    let standard = Standard::of(&features.train)?;
    standard.apply(&mut features.train);
    standard.apply(&mut features.valid);
    let Features { train, valid, .. } = &features;

    let found = Checkpoint::read(run_dir)?;
    let resumed_from = found.as_ref().map(|checkpoint| checkpoint.epochs.len() as u32);
    let mut checkpoint = match found {
        Some(checkpoint) => {
            checkpoint.check(plan, train.width)?;
            observer.note(Level::Info, &format!("going on after epoch {}", checkpoint.epochs.len()));
            checkpoint
        }
        None => Checkpoint {
            recipe: recipe.clone(),
            features: key,
            classes: classes.to_vec(),
            state: HeadState::new(classes.len(), train.width),
            epochs: Vec::new(),
            best_epoch: 0,
        },
    };
    let draws = Draws::of(train.labels.iter().copied(), recipe.class_weights);
    let mut learner = Learner::new(recipe, &checkpoint.state, train.width, draws).weighted(class_weights(
        recipe,
        train,
        classes.len(),
    ));

    let drawn = learner.rows();

    while !checkpoint.finished() {
        let start = Instant::now();
        let epoch = checkpoint.epochs.len() as u32 + 1;
        let stage = format!("epoch {epoch} of {}", recipe.epochs);
        let report = |rows: usize| {
            let along = (f64::from(epoch - 1) + rows as f64 / drawn as f64) / f64::from(recipe.epochs);
            let fraction = before + (1.0 - before) * along as f32;
            let (done, total) = (rows as u64, drawn as u64);
            observer.step(Step { stage: &stage, done, total, unit: "images", fraction });
            !observer.cancelled()
        };
        let train_loss = learner.epoch(train, epoch, report).ok_or(TrainError::Cancelled)?;
        let (valid_loss, valid_accuracy) = learner.measure(valid);
        if !(train_loss.is_finite() && valid_loss.is_finite()) {
            return Err(TrainError::Diverged(epoch));
        }
        if epoch == 1 && train_loss > (classes.len() as f64).ln() {
            // A head starts at ln K exactly and can only gain, if there is anything to gain.
            let text = format!(
                "the first epoch's loss, {train_loss:.2}, is above that of a guess; \
                 check the labels or lower the learning rate"
            );
            observer.note(Level::Warn, &text);
        }
        let metrics = EpochMetrics {
            epoch,
            train_loss,
            valid_loss,
            valid_accuracy,
            learning_rate: learner.rate(),
            seconds: start.elapsed().as_secs_f64(),
            at: now.plus(began.elapsed()),
        };
        if checkpoint.best().is_none_or(|best| valid_loss < best.valid_loss) {
            checkpoint.best_epoch = epoch;
        }
        checkpoint.epochs.push(metrics.clone());
        checkpoint.state = learner.state();
        checkpoint.write(run_dir, &standard.fold(&checkpoint.state.head))?;
        observer.epoch(&metrics);
        report(drawn);
    }

    if (checkpoint.epochs.len() as u32) < recipe.epochs {
        let text = format!("stopped: no better validation loss since epoch {}", checkpoint.best_epoch);
        observer.note(Level::Info, &text);
    }
    let total = checkpoint.epochs.len() as u64;
    observer.step(Step { stage: "trained", done: total, total, unit: "epochs", fraction: 1.0 });
    Ok(TrainResult { best_epoch: checkpoint.best_epoch, epochs: checkpoint.epochs, resumed_from })
}

/// How much the errors of each class count: what is balanced by repetition needs no weights.
fn class_weights(recipe: &Recipe, train: &FeatureTable, classes: usize) -> Vec<f32> {
    if recipe.class_weights != ClassWeights::Balanced {
        return vec![1.0; classes];
    }
    let mut counts = vec![0u64; classes];
    train.labels.iter().for_each(|&label| counts[label as usize] += 1);
    let present = counts.iter().filter(|&&count| count > 0).count();
    let weight = |count| class_weight(count, train.len() as u64, present) as f32;
    counts.into_iter().map(weight).collect()
}

impl Checkpoint {
    /// The metrics of the best epoch.
    fn best(&self) -> Option<&EpochMetrics> {
        self.epochs.get(self.best_epoch.checked_sub(1)? as usize)
    }

    /// Whether all epochs are done, or patience is at its end.
    fn finished(&self) -> bool {
        let done = self.epochs.len() as u32;
        let patience = self.recipe.patience;
        done >= self.recipe.epochs || (patience > 0 && done - self.best_epoch >= patience)
    }

    /// Whether this is a checkpoint of the same training.
    fn check(&self, plan: &LearnPlan<'_>, width: usize) -> Result<(), TrainError> {
        let other = |what| Err(TrainError::OtherTraining { path: plan.run_dir.to_owned(), what });
        if self.recipe != *plan.recipe {
            return other("the recipe");
        }
        if self.classes != plan.classes {
            return other("the classes");
        }
        if self.features != plan.key {
            return other("the dataset, the preprocessing or the pretrained weights");
        }
        if !self.state.fits(plan.classes.len(), width) {
            return other("the network");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::Mutex;

    use rand::{RngExt, SeedableRng};
    use rand_chacha::ChaCha8Rng;

    use super::*;

    const WIDTH: usize = 24;

    /// Stops after so many epochs; keeps what it is told.
    #[derive(Default)]
    struct Watcher {
        stop_after: usize,
        epochs: Mutex<Vec<EpochMetrics>>,
        fractions: Mutex<Vec<f32>>,
        /// Done and total of the steps within epochs.
        images: Mutex<Vec<(u64, u64)>>,
    }

    impl Watcher {
        fn new(stop_after: usize) -> Self {
            Self { stop_after, ..Self::default() }
        }
    }

    impl Observer for Watcher {
        fn step(&self, step: Step<'_>) {
            self.fractions.lock().unwrap().push(step.fraction);
            if step.unit == "images" {
                self.images.lock().unwrap().push((step.done, step.total));
            }
        }
        fn note(&self, _: Level, _: &str) {}
        fn epoch(&self, metrics: &EpochMetrics) {
            self.epochs.lock().unwrap().push(metrics.clone());
        }
        fn cancelled(&self) -> bool {
            self.epochs.lock().unwrap().len() >= self.stop_after
        }
    }

    /// Three overlapping clouds; one feature is constant, and scales differ.
    fn table(rows: usize, seed: u64) -> FeatureTable {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        let labels: Vec<u32> = (0..rows).map(|row| (row % 3) as u32).collect();
        let mut values = Vec::new();
        for &label in &labels {
            for feature in 0..WIDTH {
                let noise: f32 = (0..4).map(|_| random.random::<f32>() - 0.5).sum();
                let signal = if feature % 3 == label as usize { 0.4 } else { 0.0 };
                let scale = 1.0 + feature as f32 * 3.0;
                values.push(if feature == 5 { 2.0 } else { (signal + noise) * scale });
            }
        }
        FeatureTable { width: WIDTH, values, labels }
    }

    fn features() -> Features {
        Features { train: table(300, 1), valid: table(90, 2), classes: 3 }
    }

    fn recipe() -> Recipe {
        Recipe { epochs: 6, batch: 32, learning_rate: 0.01, patience: 0, ..Recipe::default() }
    }

    fn classes() -> Vec<String> {
        ["a", "b", "c"].map(str::to_owned).to_vec()
    }

    fn run(
        folder: &Path,
        recipe: &Recipe,
        features: Features,
        observer: &Watcher,
    ) -> Result<TrainResult, TrainError> {
        let plan = LearnPlan {
            recipe,
            key: Hash::of(b"features"),
            classes: &classes(),
            run_dir: folder,
            now: Time::from_micros(0),
            began: Instant::now(),
            before: 0.5,
        };
        learn(&plan, features, observer)
    }

    /// What does not depend on clocks.
    fn numbers(epochs: &[EpochMetrics]) -> Vec<[u64; 4]> {
        let bits = |m: &EpochMetrics| [m.train_loss, m.valid_loss, m.valid_accuracy, m.learning_rate];
        epochs.iter().map(|metrics| bits(metrics).map(f64::to_bits)).collect()
    }

    fn kept(folder: &Path) -> Vec<(String, Vec<u8>)> {
        let mut files: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "safetensors"))
            .map(|path| {
                (path.file_name().unwrap().to_string_lossy().into_owned(), std::fs::read(&path).unwrap())
            })
            .collect();
        files.sort();
        files
    }

    #[test]
    fn it_learns_and_keeps_best_and_last() {
        let folder = tempfile::tempdir().unwrap();
        let watcher = Watcher::new(usize::MAX);
        let result = run(folder.path(), &recipe(), features(), &watcher).unwrap();
        let (first, last) = (&result.epochs[0], result.epochs.last().unwrap());
        assert!(last.valid_accuracy > 0.75, "{last:?}");
        assert!(last.train_loss < first.train_loss && first.train_loss < 3f64.ln());
        assert_eq!(result.resumed_from, None);
        assert_eq!(*watcher.epochs.lock().unwrap(), result.epochs);
        let fractions = watcher.fractions.lock().unwrap();
        assert!(fractions.is_sorted() && fractions[0] >= 0.5 && *fractions.last().unwrap() == 1.0);
        let best = result.epochs.iter().min_by(|a, b| a.valid_loss.total_cmp(&b.valid_loss)).unwrap();
        assert_eq!(result.best_epoch, best.epoch);
        let names: Vec<String> = kept(folder.path()).into_iter().map(|(name, _)| name).collect();
        assert!(names.contains(&format!("epoch-{:04}.safetensors", best.epoch)), "{names:?}");
        assert!(names.contains(&"epoch-0006.safetensors".to_owned()) && names.len() <= 2, "{names:?}");
    }

    #[test]
    fn an_interrupted_training_ends_as_if_it_had_not_been() {
        ends_as_if_uninterrupted(&recipe(), &features());
        ends_as_if_uninterrupted(&Recipe { class_weights: ClassWeights::Over, ..recipe() }, &imbalanced());
    }

    fn ends_as_if_uninterrupted(recipe: &Recipe, features: &Features) {
        let run = |folder: &Path, watcher: &Watcher| run(folder, recipe, features.clone(), watcher);
        let straight = tempfile::tempdir().unwrap();
        let expected = run(straight.path(), &Watcher::new(usize::MAX)).unwrap();
        for stop in [1, 3] {
            let broken = tempfile::tempdir().unwrap();
            let error = run(broken.path(), &Watcher::new(stop)).unwrap_err();
            assert!(matches!(error, TrainError::Cancelled), "{error}");
            // What a kill in the middle of the next epoch's checkpoint leaves.
            std::fs::write(broken.path().join("epoch-0004.safetensors"), b"torn").unwrap();
            let watcher = Watcher::new(usize::MAX);
            let result = run(broken.path(), &watcher).unwrap();
            assert_eq!(result.resumed_from, Some(stop as u32));
            assert_eq!(watcher.epochs.lock().unwrap().len(), 6 - stop);
            assert_eq!(numbers(&result.epochs), numbers(&expected.epochs));
            assert_eq!(result.best_epoch, expected.best_epoch);
            assert_eq!(kept(broken.path()), kept(straight.path()));
        }
    }

    #[test]
    fn a_finished_training_is_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let first = run(folder.path(), &recipe(), features(), &Watcher::new(usize::MAX)).unwrap();
        let watcher = Watcher::new(usize::MAX);
        let again = run(folder.path(), &recipe(), features(), &watcher).unwrap();
        assert_eq!((again.epochs, again.resumed_from), (first.epochs, Some(6)));
        assert!(watcher.epochs.lock().unwrap().is_empty());
    }

    /// One image in ten of class 0 is left in the train split: 10 beside 100 and 100.
    fn imbalanced() -> Features {
        let mut features = features();
        let kept: Vec<usize> = (0..features.train.len())
            .filter(|&i| features.train.labels[i] != 0 || i.is_multiple_of(30))
            .collect();
        features.train = FeatureTable {
            width: WIDTH,
            values: kept.iter().flat_map(|&i| features.train.row(i).to_vec()).collect(),
            labels: kept.iter().map(|&i| features.train.labels[i]).collect(),
        };
        features
    }

    #[test]
    fn balance_lifts_the_rare_class() {
        let mut features = imbalanced();
        // Judged by the rare class alone.
        let rare: Vec<usize> = (0..features.valid.len()).filter(|&i| features.valid.labels[i] == 0).collect();
        features.valid = FeatureTable {
            width: WIDTH,
            values: rare.iter().flat_map(|&i| features.valid.row(i).to_vec()).collect(),
            labels: vec![0; rare.len()],
        };
        let accuracy = |class_weights| {
            let folder = tempfile::tempdir().unwrap();
            let recipe = Recipe { class_weights, ..recipe() };
            let result = run(folder.path(), &recipe, features.clone(), &Watcher::new(usize::MAX)).unwrap();
            result.epochs.last().unwrap().valid_accuracy
        };
        let [even, balanced, over] =
            [ClassWeights::Even, ClassWeights::Balanced, ClassWeights::Over].map(accuracy);
        assert!(balanced > even && over > even, "{even} {balanced} {over}");
    }

    #[test]
    fn repeated_images_count_in_progress_and_steps() {
        for (class_weights, draws) in [(ClassWeights::Balanced, 210u64), (ClassWeights::Over, 300)] {
            let folder = tempfile::tempdir().unwrap();
            let watcher = Watcher::new(usize::MAX);
            let recipe = Recipe { class_weights, epochs: 2, ..recipe() };
            run(folder.path(), &recipe, imbalanced(), &watcher).unwrap();
            let images = watcher.images.lock().unwrap();
            assert!(images.iter().all(|&(_, total)| total == draws), "{images:?}");
            assert_eq!(images.iter().filter(|&&(done, total)| done == total).count(), 2, "{images:?}");
            assert!(watcher.fractions.lock().unwrap().is_sorted());
            let state = Checkpoint::read(folder.path()).unwrap().unwrap().state;
            assert_eq!(state.steps, 2 * draws.div_ceil(32));
        }
    }

    #[test]
    fn patience_stops_what_does_not_improve() {
        let folder = tempfile::tempdir().unwrap();
        let mut features = features();
        // Labels of the valid split that contradict the train split: learning makes it worse.
        features.valid.labels.iter_mut().for_each(|label| *label = (*label + 1) % 3);
        let recipe = Recipe { epochs: 50, patience: 3, ..recipe() };
        let result = run(folder.path(), &recipe, features, &Watcher::new(usize::MAX)).unwrap();
        assert_eq!((result.best_epoch, result.epochs.len()), (1, 4));
    }

    #[test]
    fn a_loss_that_is_no_number_ends_it() {
        let folder = tempfile::tempdir().unwrap();
        let mut features = features();
        features.valid.values[7] = f32::NAN;
        let error = run(folder.path(), &recipe(), features, &Watcher::new(usize::MAX)).unwrap_err();
        assert!(matches!(error, TrainError::Diverged(1)), "{error}");
    }

    #[test]
    fn another_training_and_damage_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        run(folder.path(), &recipe(), features(), &Watcher::new(usize::MAX)).unwrap();
        let other = Recipe { seed: 2, ..recipe() };
        let error = run(folder.path(), &other, features(), &Watcher::new(0)).unwrap_err();
        assert!(matches!(error, TrainError::OtherTraining { what: "the recipe", .. }), "{error}");
        for bytes in [&b""[..], b"\x09", b"\x01rubbish"] {
            std::fs::write(folder.path().join("state.bin"), bytes).unwrap();
            let error = run(folder.path(), &recipe(), features(), &Watcher::new(0)).unwrap_err();
            assert!(matches!(error, TrainError::Damaged { .. }), "{error}");
        }
    }
}
