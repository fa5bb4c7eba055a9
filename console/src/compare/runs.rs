//! Runs side by side: what differs in how they were made, and the best each came to.

use serde::Serialize;
use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::run::{EpochMetrics, Init, Recipe, Run, RunState};
use vigie_protocol::{Hash, RunId};

/// Runs side by side, in the order they were given.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunComparison {
    /// What each came to.
    pub runs: Vec<RunResult>,
    /// What is not the same in all of them.
    pub differences: Vec<FieldDifference>,
    /// Whether all learnt from the same images: only then are their validation figures of the same.
    pub same_images: bool,
}

/// What a run came to.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunResult {
    /// Which run.
    pub run: RunId,
    /// Where it stands.
    pub state: RunState,
    /// What it learnt from.
    pub dataset: DatasetRef,
    /// Epochs it has finished.
    pub finished: usize,
    /// Of which the one with the lowest validation loss.
    pub best: Option<EpochMetrics>,
}

/// A field of the recipe that is not the same in all runs.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FieldDifference {
    /// Its name, as in the recipe.
    pub field: &'static str,
    /// Each run's value, in the order of the runs.
    pub values: Vec<String>,
}

/// Compares runs of one project.
pub fn compare_runs(runs: &[Run]) -> RunComparison {
    let mut differences: Vec<FieldDifference> = Vec::new();
    if let Some((first, others)) = runs.split_first() {
        for (i, (field, value)) in fields(first).into_iter().enumerate() {
            let of_others = others.iter().map(|run| fields(run)[i].1.clone());
            let values: Vec<String> = std::iter::once(value).chain(of_others).collect();
            if values.iter().any(|value| *value != values[0]) {
                differences.push(FieldDifference { field, values });
            }
        }
    }
    let result = |run: &Run| RunResult {
        run: run.id,
        state: run.state,
        dataset: run.dataset,
        finished: run.epochs.len(),
        best: best_epoch(run).cloned(),
    };
    let first: Option<Hash> = runs.first().map(|run| run.manifest);
    RunComparison {
        runs: runs.iter().map(result).collect(),
        differences,
        same_images: runs.iter().all(|run| Some(run.manifest) == first),
    }
}

/// What the best epoch of a run measured.
pub fn best_epoch(run: &Run) -> Option<&EpochMetrics> {
    run.epochs.iter().find(|epoch| Some(epoch.epoch) == run.best_epoch)
}

/// Where a training's weights start, for people.
pub fn start(init: &Init) -> String {
    match init {
        Init::Pretrained { name } => format!("pretrained {name}"),
        Init::Model { number } => format!("model {number}"),
        Init::Random => "random weights".to_owned(),
        Init::Unknown => "an unknown start".to_owned(),
    }
}

/// Everything that decides what a training does, by name.
fn fields(run: &Run) -> [(&'static str, String); 14] {
    // Without a rest pattern: the compiler asks for a field that is new.
    let Recipe {
        architecture,
        init,
        input,
        epochs,
        batch,
        learning_rate,
        weight_decay,
        label_smoothing,
        dropout,
        mirror,
        class_weights,
        patience,
        seed,
    } = &run.recipe;
    [
        ("dataset", run.dataset.to_string()),
        ("architecture", architecture.to_string()),
        ("init", start(init)),
        ("input", input.to_string()),
        ("epochs", epochs.to_string()),
        ("batch", batch.to_string()),
        ("learning_rate", learning_rate.to_string()),
        ("weight_decay", weight_decay.to_string()),
        ("label_smoothing", label_smoothing.to_string()),
        ("dropout", dropout.to_string()),
        ("mirror", mirror.to_string()),
        ("class_weights", class_weights.as_str().to_owned()),
        ("patience", patience.to_string()),
        ("seed", seed.to_string()),
    ]
}

#[cfg(test)]
mod tests {
    use vigie_protocol::samples::Sample;

    use super::*;

    fn run(edit: impl FnOnce(&mut Run)) -> Run {
        let mut run = Run::sample();
        edit(&mut run);
        run
    }

    /// Fields that differ, with their values.
    fn differences(runs: &[Run]) -> Vec<(&'static str, String)> {
        let differences = compare_runs(runs).differences;
        differences.into_iter().map(|difference| (difference.field, difference.values.join(" | "))).collect()
    }

    #[test]
    fn what_differs_is_listed() {
        let base = Run::sample();
        let faster = run(|run| run.recipe.learning_rate = 0.25);
        let other = run(|run| {
            run.recipe.init = Init::Random;
            run.recipe.mirror = true;
            run.dataset.number = 9;
        });
        assert_eq!(differences(&[]), []);
        assert_eq!(differences(&[base.clone(), base.clone()]), []);
        assert_eq!(
            differences(&[base.clone(), faster.clone()]),
            [("learning_rate", "0.5 | 0.25".to_owned())]
        );
        assert_eq!(
            differences(&[base, faster, other]),
            [
                ("dataset", "reference@v3 | reference@v3 | reference@v9".to_owned()),
                ("init", "model v6 | model v6 | random weights".to_owned()),
                ("learning_rate", "0.5 | 0.25 | 0.5".to_owned()),
                ("mirror", "false | false | true".to_owned()),
            ]
        );
    }

    #[test]
    fn the_best_epoch_is_the_runs_own() {
        let mut epochs = Run::sample().epochs;
        epochs.push(EpochMetrics { epoch: 2, valid_loss: 0.1, ..epochs[0].clone() });
        let best = |epochs: &[EpochMetrics], best_epoch| {
            let run = run(|run| (run.epochs, run.best_epoch) = (epochs.to_vec(), best_epoch));
            let result = compare_runs(&[run]).runs.remove(0);
            (result.finished, result.best.map(|best| best.valid_loss))
        };
        assert_eq!(best(&epochs, Some(2)), (2, Some(0.1)));
        assert_eq!(best(&epochs, Some(1)), (2, Some(0.5)));
        assert_eq!(best(&epochs, Some(7)), (2, None));
        assert_eq!(best(&[], None), (0, None));
    }

    #[test]
    fn other_images_are_said() {
        let other = run(|run| run.manifest = Hash::of(b"other"));
        assert!(compare_runs(&[Run::sample(), Run::sample()]).same_images);
        assert!(!compare_runs(&[Run::sample(), other]).same_images);
    }
}
