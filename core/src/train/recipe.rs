//! What a recipe may ask for, and the learning rate it leads to.

use std::f64::consts::PI;
use std::ops::RangeInclusive;

use vigie_protocol::model::Architecture;
use vigie_protocol::run::{ClassWeights, Init, Recipe};

use super::TrainError;

/// Checks every bound that [`Recipe`] documents.
///
/// # Errors
/// [`TrainError::Recipe`] names the first field that is out of bounds.
pub fn validate(recipe: &Recipe) -> Result<(), TrainError> {
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
        mirror: _,
        class_weights,
        patience: _,
        seed: _,
    } = recipe;
    let refuse = |field, problem| Err(TrainError::Recipe { field, problem });
    if *architecture == Architecture::Unknown {
        return refuse("architecture", "is one this build does not know; take efficientnet-lite0".to_owned());
    }
    if *init == Init::Random {
        let problem = "is random, but only the classifier is trained yet: start from pretrained weights";
        return refuse("init", problem.to_owned());
    }
    if *init == Init::Unknown {
        return refuse("init", "is one this build does not know; take pretrained weights".to_owned());
    }
    if *class_weights == ClassWeights::Unknown {
        return refuse("class_weights", "are of a kind this build does not know".to_owned());
    }
    within("input", *input, 32..=512)?;
    if !input.is_multiple_of(32) {
        return refuse("input", format!("is {input}, it must be a multiple of 32"));
    }
    within("epochs", *epochs, 1..=1000)?;
    within("batch", *batch, 1..=1024)?;
    // The schedule ends at 1 % of the rate, so the smallest normal number is far from harm.
    within("learning_rate", *learning_rate, f64::MIN_POSITIVE..=1.0)?;
    within("weight_decay", *weight_decay, 0.0..=1.0)?;
    within("label_smoothing", *label_smoothing, 0.0..=0.5)?;
    within("dropout", *dropout, 0.0..=0.9)
}

fn within<T: PartialOrd + std::fmt::Display>(
    field: &'static str,
    value: T,
    range: RangeInclusive<T>,
) -> Result<(), TrainError> {
    if range.contains(&value) {
        return Ok(());
    }
    let problem = format!("is {value}, it must be {} to {}", range.start(), range.end());
    Err(TrainError::Recipe { field, problem })
}

/// Learning rate by step: a linear warm-up over the first twentieth, then half a cosine (Loshchilov &
/// Hutter 2017, arXiv:1608.03983) down to 1 % of the peak.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Schedule {
    peak: f64,
    steps: u64,
    warm_up: u64,
}

impl Schedule {
    /// For a training of `steps` steps.
    pub fn new(peak: f64, steps: u64) -> Self {
        Self { peak, steps, warm_up: steps / 20 }
    }

    /// The rate of a step, from 0.
    pub fn rate(&self, step: u64) -> f64 {
        let Self { peak, steps, warm_up } = *self;
        if step < warm_up {
            return peak * (step + 1) as f64 / warm_up as f64;
        }
        let last = steps.saturating_sub(warm_up + 1).max(1);
        let along = ((step - warm_up) as f64 / last as f64).min(1.0);
        peak * (0.01 + 0.99 * 0.5 * (1.0 + (PI * along).cos()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_default_recipe_is_valid() {
        assert!(validate(&Recipe::default()).is_ok());
    }

    #[test]
    fn recipes_out_of_bounds_are_refused_by_field() {
        type Spoil = fn(&mut Recipe);
        let table: [(&str, Spoil); 14] = [
            ("architecture", |r| r.architecture = Architecture::Unknown),
            ("init", |r| r.init = Init::Random),
            ("class_weights", |r| r.class_weights = ClassWeights::Unknown),
            ("input", |r| r.input = 0),
            ("input", |r| r.input = 100),
            ("input", |r| r.input = 544),
            ("epochs", |r| r.epochs = 0),
            ("batch", |r| r.batch = 2000),
            ("learning_rate", |r| r.learning_rate = 0.0),
            ("learning_rate", |r| r.learning_rate = f64::NAN),
            ("weight_decay", |r| r.weight_decay = -0.1),
            ("label_smoothing", |r| r.label_smoothing = 0.6),
            ("dropout", |r| r.dropout = 1.0),
            ("dropout", |r| r.dropout = f64::INFINITY),
        ];
        for (expected, spoil) in table {
            let mut recipe = Recipe::default();
            spoil(&mut recipe);
            match validate(&recipe) {
                Err(TrainError::Recipe { field, .. }) => assert_eq!(field, expected),
                other => panic!("{expected}: {other:?}"),
            }
        }
    }

    proptest! {
        #[test]
        fn the_rate_rises_then_falls_to_a_hundredth(peak in 1e-6f64..1.0, steps in 1u64..5_000) {
            let schedule = Schedule::new(peak, steps);
            let rates: Vec<f64> = (0..steps).map(|step| schedule.rate(step)).collect();
            prop_assert!(rates.iter().all(|&rate| rate > 0.0 && rate <= peak * (1.0 + 1e-12)));
            let top = schedule.warm_up.min(steps - 1) as usize;
            prop_assert!(rates[..top].is_sorted());
            prop_assert!(rates[top..].is_sorted_by(|a, b| a >= b));
            if steps > 2 {
                prop_assert!((rates[steps as usize - 1] / peak - 0.01).abs() < 1e-9);
            }
        }
    }
}
