//! Balance: what it would take for the classes of the train split to weigh the same. `down` makes another
//! version; repetition and weights are what a training does, asked for in its recipe.

use std::collections::BTreeMap;

use vigie_protocol::Hash;
use vigie_protocol::balance::{Balance, BalancePlan, ClassBalance};
use vigie_protocol::dataset::{DatasetImage, DatasetRef, Split, SplitCounts};

use super::changeset::Proposal;
use crate::store::manifest::Manifest;

/// What a way of balancing comes to for a version with these classes.
pub fn plan(dataset: DatasetRef, classes: &BTreeMap<String, SplitCounts>, balance: Balance) -> BalancePlan {
    let trains = || classes.values().map(|class| class.train).filter(|&train| train > 0);
    let (smallest, largest) = (trains().min().unwrap_or(0), trains().max().unwrap_or(0));
    let (epoch, present) = (trains().sum::<u64>(), trains().count());
    let one = |now: u64| match balance {
        Balance::Down { per_class } => (now.min(per_class.unwrap_or(smallest)), 1.0),
        Balance::Over if now > 0 => (largest, 1.0),
        Balance::Weights => (now, class_weight(now, epoch, present)),
        Balance::Over | Balance::Unknown => (now, 1.0),
    };
    let classes: BTreeMap<String, ClassBalance> = classes
        .iter()
        .map(|(class, counts)| {
            let (after, weight) = one(counts.train);
            (class.clone(), ClassBalance { now: counts.train, after, weight })
        })
        .collect();
    let epoch_after = classes.values().map(|class| class.after).sum();
    BalancePlan { dataset, balance, classes, epoch, epoch_after }
}

/// The weight of each image of a class with `images` of `all`, over `classes` classes that have some:
/// scikit-learn's "balanced", by which the weights of all images sum to their number. 0 for a class
/// without images.
pub fn class_weight(images: u64, all: u64, classes: usize) -> f64 {
    if images == 0 { 0.0 } else { all as f64 / (classes as f64 * images as f64) }
}

/// Proposes a version whose classes have at most `per_class` train images (those of the smallest class
/// that has any when absent). Which ones stay depends on `seed` and their content only; those that
/// stay under a small limit stay under a larger one too.
pub fn down(base: &Manifest, per_class: Option<u64>, seed: u64) -> Proposal {
    let mut classes: BTreeMap<&str, Vec<&DatasetImage>> = BTreeMap::new();
    let mut images: Vec<DatasetImage> = Vec::with_capacity(base.images().len());
    for image in base.images() {
        match image.split {
            Split::Train => classes.entry(&image.label).or_default().push(image),
            Split::Valid | Split::Test => images.push(image.clone()),
        }
    }
    let smallest = classes.values().map(Vec::len).min().unwrap_or(0);
    let limit = per_class.map_or(smallest, |limit| usize::try_from(limit).unwrap_or(usize::MAX));
    for (_, mut class) in classes {
        class.sort_by_key(|image| draw(seed, image.image));
        images.extend(class.into_iter().take(limit).cloned());
    }
    Proposal::new(Some(base), Manifest::new(images))
}

/// Where an image comes in a draw. The first n of a draw are a uniform sample of n, whatever else is
/// in it, so that a sample changes no more than its images do.
pub(super) fn draw(seed: u64, image: Hash) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key("vigie draw v1");
    hasher.update(&seed.to_le_bytes());
    hasher.update(image.as_bytes());
    hasher.finalize().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::changeset::samples::image;
    use super::*;

    fn counts(classes: &[(&str, u64)]) -> BTreeMap<String, SplitCounts> {
        let split = |train| SplitCounts { train, valid: 3, test: 4 };
        classes.iter().map(|&(class, train)| (class.to_owned(), split(train))).collect()
    }

    fn dataset() -> DatasetRef {
        "reference@v3".parse().expect("a version")
    }

    #[test]
    fn plans_say_what_an_epoch_becomes() {
        let classes = counts(&[("jay", 10), ("kite", 0), ("owl", 40)]);
        let rows = |balance| {
            let plan = plan(dataset(), &classes, balance);
            let rows: Vec<_> = plan.classes.values().map(|class| (class.after, class.weight)).collect();
            (rows, plan.epoch, plan.epoch_after)
        };
        assert_eq!(rows(Balance::Down { per_class: None }), (vec![(10, 1.0), (0, 1.0), (10, 1.0)], 50, 20));
        let capped = Balance::Down { per_class: Some(25) };
        assert_eq!(rows(capped), (vec![(10, 1.0), (0, 1.0), (25, 1.0)], 50, 35));
        assert_eq!(rows(Balance::Over), (vec![(40, 1.0), (0, 1.0), (40, 1.0)], 50, 80));
        assert_eq!(rows(Balance::Weights), (vec![(10, 2.5), (0, 0.0), (40, 0.625)], 50, 50));
        let nothing = plan(dataset(), &BTreeMap::new(), Balance::Over);
        assert_eq!((nothing.epoch, nothing.epoch_after), (0, 0));
    }

    proptest! {
        #[test]
        fn down_takes_train_images_only_and_draws_the_same_again(
            labels in prop::collection::vec((0usize..3, 0usize..3), 1..60), seed: u64, limit in 1u64..10,
        ) {
            let images = labels.iter().enumerate().map(|(i, &(label, split))| {
                image(&i.to_string(), ["a", "b", "c"][label], Split::ALL[split])
            });
            let base = Manifest::new(images.collect());
            let proposal = down(&base, Some(limit), seed);
            prop_assert_eq!(&down(&base, Some(limit), seed).manifest, &proposal.manifest);
            let larger = down(&base, Some(limit + 1), seed).manifest;
            for image in proposal.manifest.images() {
                prop_assert!(larger.images().contains(image));
            }
            for (class, before) in super::super::changeset::split_counts(base.images()) {
                let after = proposal.result.get(&class).copied().unwrap_or_default();
                prop_assert_eq!((after.valid, after.test), (before.valid, before.test));
                prop_assert_eq!(after.train, before.train.min(limit));
            }
            let planned = plan(dataset(), &super::super::changeset::split_counts(base.images()),
                Balance::Down { per_class: Some(limit) });
            let trains: u64 = proposal.result.values().map(|class| class.train).sum();
            prop_assert_eq!(planned.epoch_after, trains, "the plan is what happens");
        }
    }
}
