//! Which rows an epoch learns from, and in which order.

use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;
use vigie_protocol::run::ClassWeights;

/// What the epochs of a training draw from: every row once, or of every class as many as of the
/// largest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draws {
    /// The rows of each class that has some; all rows as if of one class where nothing is repeated.
    classes: Vec<Vec<usize>>,
    /// Draws an epoch from each of them.
    each: usize,
}

impl Draws {
    /// For rows with these labels.
    pub fn of(labels: impl IntoIterator<Item = u32>, way: ClassWeights) -> Self {
        let mut classes: Vec<Vec<usize>> = Vec::new();
        for (row, label) in labels.into_iter().enumerate() {
            let class = if way == ClassWeights::Over { label as usize } else { 0 };
            if classes.len() <= class {
                classes.resize_with(class + 1, Vec::new);
            }
            classes[class].push(row);
        }
        classes.retain(|rows| !rows.is_empty());
        let each = classes.iter().map(Vec::len).max().unwrap_or(0);
        Self { classes, each }
    }

    /// Draws an epoch; a repeated row counts each time.
    pub fn len(&self) -> usize {
        self.classes.len() * self.each
    }

    /// Draws of an epoch for each row that there is: 1 where nothing is repeated.
    pub fn per_row(&self) -> f64 {
        let rows = self.classes.iter().map(Vec::len).sum::<usize>();
        self.len() as f64 / rows.max(1) as f64
    }

    /// The rows of one epoch in its order. Of a class with n rows, each comes ⌊k/n⌋ times, and the rest
    /// of its k draws are as many different rows, which `random` chooses anew.
    pub fn order(&self, random: &mut ChaCha8Rng) -> Vec<usize> {
        let mut order = Vec::with_capacity(self.len());
        for rows in &self.classes {
            for _ in 0..self.each / rows.len() {
                order.extend_from_slice(rows);
            }
            let rest = self.each % rows.len();
            if rest > 0 {
                let mut rows = rows.clone();
                order.extend_from_slice(rows.partial_shuffle(random, rest).0);
            }
        }
        order.shuffle(random);
        order
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;

    fn random(epoch: u64) -> ChaCha8Rng {
        let mut random = ChaCha8Rng::seed_from_u64(1);
        random.set_stream(epoch);
        random
    }

    #[test]
    fn every_row_once_is_the_order_that_it_always_was() {
        for way in [ClassWeights::Even, ClassWeights::Balanced] {
            let draws = Draws::of([0, 1, 1, 0, 1], way);
            let mut expected: Vec<usize> = (0..5).collect();
            expected.shuffle(&mut random(3));
            assert_eq!(draws.order(&mut random(3)), expected);
            assert_eq!((draws.len(), draws.per_row()), (5, 1.0));
        }
        let nothing = Draws::of([], ClassWeights::Over);
        assert_eq!((nothing.len(), nothing.per_row()), (0, 0.0));
        assert!(nothing.order(&mut random(1)).is_empty());
    }

    proptest! {
        #[test]
        fn every_class_is_drawn_as_often_as_the_largest(
            labels in prop::collection::vec(prop_oneof![8 => 0u32..2, 2 => 2u32..5], 1..80), epoch in 1u64..20,
        ) {
            let draws = Draws::of(labels.iter().copied(), ClassWeights::Over);
            let order = draws.order(&mut random(epoch));
            prop_assert_eq!(order.len(), draws.len());
            prop_assert_eq!(&order, &draws.order(&mut random(epoch)), "the same again");
            let of_class = |class| labels.iter().filter(move |&&label| label == class).count();
            let largest = (0..5).map(of_class).max().unwrap_or(0);
            for class in (0..5).filter(|&class| of_class(class) > 0) {
                let drawn = order.iter().filter(|&&row| labels[row] == class).count();
                prop_assert_eq!(drawn, largest);
                for row in (0..labels.len()).filter(|&row| labels[row] == class) {
                    let times = order.iter().filter(|&&other| other == row).count();
                    let least = largest / of_class(class);
                    prop_assert!(times == least || (times == least + 1 && largest % of_class(class) > 0));
                }
            }
        }
    }

    #[test]
    fn the_rest_is_another_one_in_another_epoch() {
        // Three of class 0 for four draws: one of them comes twice.
        let draws = Draws::of([0, 0, 0, 1, 1, 1, 1], ClassWeights::Over);
        let twice = |epoch| {
            let order = draws.order(&mut random(epoch));
            (0..3).find(|row| order.iter().filter(|&other| other == row).count() == 2)
        };
        let chosen: std::collections::BTreeSet<_> = (1..20).map(twice).collect();
        assert_eq!(chosen, [Some(0), Some(1), Some(2)].into());
    }
}
