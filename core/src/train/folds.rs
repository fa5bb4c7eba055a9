//! Dealing rows to folds: groups whole, and every fold its share of every class.

use std::cmp::Reverse;
use std::collections::BTreeMap;

/// The fold of each row. Rows of one group share theirs: of two near duplicates, or two pictures of one
/// patient, one would give the other's label away. Within that, classes are spread as evenly as taking
/// the largest groups first achieves; rows without company differ by at most one a class and fold.
///
/// `labels` and `groups` have one entry a row; groups are numbers without a meaning.
///
/// # Panics
/// When a label is not below `classes`, or a row has no group.
pub(super) fn deal(labels: &[u32], groups: &[usize], classes: usize, folds: u32) -> Vec<u32> {
    assert_eq!(labels.len(), groups.len(), "a group for each row");
    let mut sizes = vec![0u64; classes];
    labels.iter().for_each(|&label| sizes[label as usize] += 1);
    let mut members: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (row, &group) in groups.iter().enumerate() {
        members.entry(group).or_default().push(row);
    }
    let mut members: Vec<Vec<usize>> = members.into_values().collect();
    members.sort_by_key(|rows| (Reverse(rows.len()), rows[0]));

    let mut counts = vec![vec![0u64; classes]; folds as usize];
    let mut fold_of = vec![0; labels.len()];
    for rows in members {
        let mut brings: BTreeMap<usize, u64> = BTreeMap::new();
        rows.iter().for_each(|&row| *brings.entry(labels[row] as usize).or_default() += 1);
        let fold = emptiest(&counts, &brings, &sizes);
        brings.iter().for_each(|(&class, &images)| counts[fold][class] += images);
        rows.iter().for_each(|&row| fold_of[row] = fold as u32);
    }
    fold_of
}

/// The fold that lacks most of what a group brings; of equals the one with the fewest rows, then the
/// first. Each class counts relative to its size: this is the fold after which the squares of the
/// shares' deviations sum to the least.
fn emptiest(counts: &[Vec<u64>], brings: &BTreeMap<usize, u64>, sizes: &[u64]) -> usize {
    let full = |fold: &Vec<u64>| -> f64 {
        let of_class = |(&class, &images): (&usize, &u64)| {
            images as f64 * fold[class] as f64 / (sizes[class] as f64).powi(2)
        };
        brings.iter().map(of_class).sum()
    };
    let rows = |fold: &Vec<u64>| fold.iter().sum::<u64>();
    let ranked = counts.iter().enumerate();
    let best = ranked.min_by(|(_, a), (_, b)| full(a).total_cmp(&full(b)).then(rows(a).cmp(&rows(b))));
    best.map_or(0, |(fold, _)| fold)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn alone(rows: usize) -> Vec<usize> {
        (0..rows).collect()
    }

    /// Rows of each class in each fold.
    fn counts(labels: &[u32], fold_of: &[u32], folds: u32) -> Vec<Vec<usize>> {
        let of = |class: u32, fold: u32| {
            labels.iter().zip(fold_of).filter(|&(&l, &f)| (l, f) == (class, fold)).count()
        };
        (0..4).map(|class| (0..folds).map(|fold| of(class, fold)).collect()).collect()
    }

    #[test]
    fn folds_of_small_sets() {
        assert_eq!(deal(&[0, 1, 2, 3], &alone(4), 4, 2), [0, 1, 0, 1], "lone images are spread");
        // A group of three, one of two and two alone: the large one first, the others beside it.
        let folds = deal(&[0; 7], &[5, 5, 5, 9, 9, 1, 2], 1, 2);
        assert_eq!(folds, [0, 0, 0, 1, 1, 1, 0]);
        assert_eq!(deal(&[0, 1, 0], &[3, 3, 3], 2, 5), [0, 0, 0], "one group has one fold");
        assert!(deal(&[], &[], 3, 2).is_empty());
    }

    proptest! {
        #[test]
        fn groups_are_whole_and_classes_even(
            rows in prop::collection::vec((0u32..4, 0usize..30), 1..120), folds in 2u32..8,
        ) {
            let labels: Vec<u32> = rows.iter().map(|row| row.0).collect();
            let groups: Vec<usize> = rows.iter().map(|row| row.1).collect();
            let fold_of = deal(&labels, &groups, 4, folds);
            prop_assert!(fold_of.iter().all(|&fold| fold < folds));
            for (a, &group) in groups.iter().enumerate() {
                let same = groups.iter().zip(&fold_of).filter(|&(&other, _)| other == group);
                prop_assert!(same.into_iter().all(|(_, &fold)| fold == fold_of[a]));
            }
            prop_assert_eq!(&deal(&labels, &groups, 4, folds), &fold_of, "the same again");
            for class in counts(&labels, &deal(&labels, &alone(rows.len()), 4, folds), folds) {
                let (least, most) = (class.iter().min(), class.iter().max());
                prop_assert!(most.zip(least).is_some_and(|(most, least)| most - least <= 1), "{:?}", class);
            }
            // With groups of one class, no fold has more than another by more than a group.
            let pure: Vec<usize> = rows.iter().map(|row| row.1 * 4 + row.0 as usize).collect();
            let dealt = counts(&labels, &deal(&labels, &pure, 4, folds), folds);
            for (class, counts) in dealt.iter().enumerate() {
                let size = |group: usize| pure.iter().filter(|&&other| other == group).count();
                let largest = (0..30).map(|group| size(group * 4 + class)).max().unwrap_or(0);
                let (least, most) = (counts.iter().min(), counts.iter().max());
                let apart = most.zip(least).map_or(0, |(most, least)| most - least);
                prop_assert!(apart <= largest, "{counts:?} {largest}");
            }
        }
    }
}
