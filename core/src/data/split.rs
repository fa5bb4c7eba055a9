//! Which image serves where.
//!
//! An image that has a split keeps it for ever, so that what a model was judged on never becomes
//! what its successor learned from. New images are dealt class by class.

use std::collections::BTreeMap;

use vigie_protocol::Hash;
use vigie_protocol::dataset::{Split, SplitCounts};

/// Deals new images to the splits and returns their splits in the order of `new`.
///
/// `existing` counts the images that have their split; `percent` are the shares of train, valid
/// and test (only their proportions matter; all zero counts as train only).
///
/// Within a class the new images go in the order of their hashes, which no one chooses, each to
/// the split that lacks most of its share of the class with that image in it; of equals the first
/// of train, valid, test. The very first image of a class goes to train when train has a share.
/// So the result depends on content and history only, never on the order or names of files, and
/// after an import into nothing every class holds its shares to within one image: the greedy
/// apportionment never gives a split 1 more, and for three splits never 1 less, than its exact
/// share (checked for all percentages by the tests).
pub fn assign(
    existing: &BTreeMap<String, SplitCounts>,
    new: &[(Hash, &str)],
    percent: [u8; 3],
) -> Vec<Split> {
    let shares = if percent == [0; 3] { [1, 0, 0] } else { percent.map(i64::from) };
    let mut classes: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (i, (_, label)) in new.iter().enumerate() {
        classes.entry(label).or_default().push(i);
    }
    let mut splits = vec![Split::Train; new.len()];
    for (label, mut images) in classes {
        images.sort_by_key(|&i| new[i].0);
        let mut counts = existing.get(label).copied().unwrap_or_default();
        for i in images {
            splits[i] = neediest(&counts, shares);
            *counts.of_mut(splits[i]) += 1;
        }
    }
    splits
}

/// The split that gets a class's next image.
fn neediest(counts: &SplitCounts, shares: [i64; 3]) -> Split {
    let held = [counts.train, counts.valid, counts.test];
    // A split without a share plays no part, whatever it holds.
    let held: [i64; 3] = std::array::from_fn(|s| if shares[s] == 0 { 0 } else { held[s] as i64 });
    let total: i64 = held.iter().sum();
    if total == 0 && shares[0] > 0 {
        return Split::Train;
    }
    // In units of 1 / sum of shares, to stay with whole numbers.
    let unit: i64 = shares.iter().sum();
    let lacks = |s: usize| shares[s] * (total + 1) - unit * held[s];
    let mut best = 0;
    for s in 1..3 {
        if lacks(s) > lacks(best) {
            best = s;
        }
    }
    Split::ALL[best]
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn hashes(range: std::ops::Range<u32>) -> Vec<Hash> {
        range.map(|i| Hash::of(&i.to_le_bytes())).collect()
    }

    fn counts(splits: &[Split]) -> SplitCounts {
        let mut counts = SplitCounts::default();
        splits.iter().for_each(|&split| *counts.of_mut(split) += 1);
        counts
    }

    #[test]
    fn small_classes_get_train_first() {
        let all = hashes(0..20);
        for (n, expected) in
            [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [2, 1, 0]), (5, [3, 1, 1]), (20, [14, 3, 3])]
        {
            let new: Vec<(Hash, &str)> = all[..n].iter().map(|&hash| (hash, "owl")).collect();
            let found = counts(&assign(&BTreeMap::new(), &new, [70, 15, 15]));
            assert_eq!([found.train, found.valid, found.test], expected, "{n} images");
        }
        let one = [(all[0], "owl")];
        assert_eq!(assign(&BTreeMap::new(), &one, [20, 40, 40]), [Split::Train]);
        assert_eq!(assign(&BTreeMap::new(), &one, [0, 50, 50]), [Split::Valid]);
        assert_eq!(assign(&BTreeMap::new(), &one, [0, 0, 0]), [Split::Train]);
    }

    /// The deal repeats after as many images as the shares sum to, so this covers every class size.
    #[test]
    fn shares_hold_within_one_image_for_all_percentages() {
        for train in 0..=100_i64 {
            for valid in 0..=100 - train {
                let shares = [train, valid, 100 - train - valid];
                let mut held = SplitCounts::default();
                for n in 1..=100_i64 {
                    *held.of_mut(neediest(&held, shares)) += 1;
                    for (count, share) in [held.train, held.valid, held.test].into_iter().zip(shares) {
                        let off = 100 * count as i64 - share * n;
                        assert!(off.abs() < 100, "{shares:?} at {n}: {held:?}");
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn the_order_of_files_does_not_matter(n in 0_u32..120, seed: u64) {
            let labels = ["owl", "wren", "kite"];
            let mut new: Vec<(Hash, &str)> =
                hashes(0..n).into_iter().zip(labels.into_iter().cycle()).collect();
            let expected: BTreeMap<Hash, Split> = new.iter().map(|image| image.0)
                .zip(assign(&BTreeMap::new(), &new, [70, 15, 15])).collect();
            new.sort_by_key(|(hash, _)| Hash::of(&[hash.as_bytes().as_slice(), &seed.to_le_bytes()].concat()));
            let shuffled: BTreeMap<Hash, Split> = new.iter().map(|image| image.0)
                .zip(assign(&BTreeMap::new(), &new, [70, 15, 15])).collect();
            prop_assert_eq!(shuffled, expected);
        }

        #[test]
        fn additions_are_dealt_to_what_lacks_and_shares_come_back(
            train in 0_u64..60, valid in 0_u64..60, test in 0_u64..60,
        ) {
            let held = SplitCounts { train, valid, test };
            let existing = BTreeMap::from([("owl".to_owned(), held)]);
            // Enough for the most lopsided beginning to be evened out.
            let new: Vec<(Hash, &str)> = hashes(0..1200).into_iter().map(|hash| (hash, "owl")).collect();
            let added = counts(&assign(&existing, &new, [70, 15, 15]));
            let total = held.total() + 1200;
            for (count, share) in [
                (train + added.train, 70), (valid + added.valid, 15), (test + added.test, 15),
            ] {
                prop_assert!((100 * count).abs_diff(share * total) < 100, "{count} of {total}");
            }
        }
    }
}
