//! Standardisation of features: learning is faster when all have one scale.
//!
//! It is folded into the head before the head is kept, so that a network stays backbone and one
//! linear layer.

use super::TrainError;
use super::features::FeatureTable;
use super::head::Head;

/// Below this a feature counts as constant: pooled activations are of order 1.
const CONSTANT: f64 = 1e-6;

/// Mean and scale of each feature over the train split.
#[derive(Clone, Debug, PartialEq)]
pub struct Standard {
    mean: Vec<f64>,
    /// One over the standard deviation; 0 for a constant feature, which says nothing.
    scale: Vec<f64>,
}

impl Standard {
    /// Measures a table.
    ///
    /// # Errors
    /// [`TrainError::Features`] when every feature is constant.
    pub fn of(table: &FeatureTable) -> Result<Self, TrainError> {
        let n = table.len().max(1) as f64;
        let rows = || table.values.chunks_exact(table.width);
        let mut mean = vec![0.0; table.width];
        for row in rows() {
            mean.iter_mut().zip(row).for_each(|(sum, &value)| *sum += f64::from(value));
        }
        mean.iter_mut().for_each(|sum| *sum /= n);
        let mut variance = vec![0.0; table.width];
        for row in rows() {
            for ((sum, &value), mean) in variance.iter_mut().zip(row).zip(&mean) {
                *sum += (f64::from(value) - mean).powi(2);
            }
        }
        let scale: Vec<f64> = variance
            .into_iter()
            .map(|sum| (sum / n).sqrt())
            .map(|deviation| if deviation > CONSTANT { 1.0 / deviation } else { 0.0 })
            .collect();
        if scale.iter().all(|&scale| scale == 0.0) {
            return Err(TrainError::Features("are the same for every image"));
        }
        Ok(Self { mean, scale })
    }

    /// Standardises a table in place.
    pub fn apply(&self, table: &mut FeatureTable) {
        for row in table.values.chunks_exact_mut(table.width) {
            for ((value, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                *value = ((f64::from(*value) - mean) * scale) as f32;
            }
        }
    }

    /// The head that says of raw features what `head` says of standardised ones.
    pub fn fold(&self, head: &Head) -> Head {
        let width = self.mean.len();
        let mut folded = head.clone();
        for (row, bias) in folded.weight.chunks_exact_mut(width).zip(&mut folded.bias) {
            let mut shift = 0.0;
            for ((weight, mean), scale) in row.iter_mut().zip(&self.mean).zip(&self.scale) {
                let scaled = f64::from(*weight) * scale;
                shift += scaled * mean;
                *weight = scaled as f32;
            }
            *bias = (f64::from(*bias) - shift) as f32;
        }
        folded
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    fn answers(head: &Head, row: &[f32]) -> Vec<f64> {
        let product = |weights: &[f32]| -> f64 {
            weights.iter().zip(row).map(|(&weight, &value)| f64::from(weight) * f64::from(value)).sum()
        };
        head.weight
            .chunks_exact(row.len())
            .zip(&head.bias)
            .map(|(weights, &bias)| product(weights) + f64::from(bias))
            .collect()
    }

    proptest! {
        #[test]
        fn a_folded_head_says_the_same(
            values in prop::collection::vec(-5f32..5.0, 40),
            weight in prop::collection::vec(-1f32..1.0, 8),
        ) {
            let mut values = values;
            // A constant feature, as a dead channel gives.
            values.iter_mut().step_by(4).for_each(|value| *value = 3.0);
            let raw = FeatureTable { width: 4, values, labels: vec![0; 10] };
            let standard = Standard::of(&raw).unwrap();
            let mut table = raw.clone();
            standard.apply(&mut table);
            let head = Head { weight, bias: vec![0.5, -0.5] };
            let folded = standard.fold(&head);
            for i in 0..raw.len() {
                for (got, expected) in answers(&folded, raw.row(i)).iter().zip(answers(&head, table.row(i))) {
                    prop_assert!((got - expected).abs() < 1e-4, "{} {}", got, expected);
                }
            }
        }
    }

    #[test]
    fn constant_features_are_refused() {
        let table = FeatureTable { width: 2, values: vec![1.0; 6], labels: vec![0; 3] };
        assert!(matches!(Standard::of(&table), Err(TrainError::Features(_))));
    }
}
