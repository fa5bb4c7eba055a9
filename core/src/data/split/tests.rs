use proptest::prelude::*;

use super::*;

fn hashes(range: std::ops::Range<u32>) -> Vec<Hash> {
    range.map(|i| Hash::of(&i.to_le_bytes())).collect()
}

fn one(hash: Hash, label: &str) -> Group<'_> {
    Group::of([(hash, label)]).expect("an image")
}

fn owls(hashes: &[Hash]) -> Vec<Group<'static>> {
    hashes.iter().map(|&hash| one(hash, "owl")).collect()
}

fn counts(splits: &[Split]) -> SplitCounts {
    let mut counts = SplitCounts::default();
    splits.iter().for_each(|&split| *counts.of_mut(split) += 1);
    counts
}

#[test]
fn small_classes_get_train_first() {
    let all = hashes(0..20);
    for (n, expected) in [(1, [1, 0, 0]), (2, [2, 0, 0]), (3, [2, 1, 0]), (5, [3, 1, 1]), (20, [14, 3, 3])] {
        let found = counts(&assign(&BTreeMap::new(), &owls(&all[..n]), [70, 15, 15]));
        assert_eq!([found.train, found.valid, found.test], expected, "{n} images");
    }
    let first = owls(&all[..1]);
    assert_eq!(assign(&BTreeMap::new(), &first, [20, 40, 40]), [Split::Train]);
    assert_eq!(assign(&BTreeMap::new(), &first, [0, 50, 50]), [Split::Valid]);
    assert_eq!(assign(&BTreeMap::new(), &first, [0, 0, 0]), [Split::Train]);
}

/// The deal repeats after as many images as the shares sum to, so this covers every class size.
#[test]
fn shares_hold_within_one_image_for_all_percentages() {
    let group = one(Hash::of(b""), "owl");
    for train in 0..=100_i64 {
        for valid in 0..=100 - train {
            let shares = [train, valid, 100 - train - valid];
            let mut deal = Deal::new(shares.map(|share| share as u8));
            for n in 1..=100_i64 {
                deal.give(&group, deal.neediest(&group, None));
                for (count, share) in deal.held("owl").into_iter().zip(shares) {
                    let off = 100 * count - share * n;
                    assert!(off.abs() < 100, "{shares:?} at {n}: {:?}", deal.held);
                }
            }
        }
    }
}

#[test]
fn a_group_goes_whole_to_what_lacks_most() {
    let held = |train, valid, test| BTreeMap::from([("owl".to_owned(), SplitCounts { train, valid, test })]);
    let group = |n: u32| Group::of(hashes(0..n).into_iter().map(|hash| (hash, "owl"))).expect("images");
    for (existing, size, expected) in [
        (held(70, 15, 15), 10, Split::Train),
        (held(80, 15, 5), 10, Split::Test),
        (held(80, 5, 15), 10, Split::Valid),
        (held(0, 0, 0), 10, Split::Train),
    ] {
        assert_eq!(assign(&existing, &[group(size)], [70, 15, 15]), [expected], "{existing:?}");
    }
    // Of two classes the one with more images in the group weighs more.
    let existing = BTreeMap::from([
        ("kite".to_owned(), SplitCounts { train: 70, valid: 5, test: 15 }),
        ("owl".to_owned(), SplitCounts { train: 70, valid: 15, test: 5 }),
    ]);
    let mixed = |kites: usize| {
        let label = |(n, hash)| (hash, if n < kites { "kite" } else { "owl" });
        Group::of(hashes(0..10).into_iter().enumerate().map(label)).expect("images")
    };
    assert_eq!(assign(&existing, &[mixed(9)], [70, 15, 15]), [Split::Valid]);
    assert_eq!(assign(&existing, &[mixed(1)], [70, 15, 15]), [Split::Test]);
}

/// Groups of these sizes and one class, whose hashes depend on `seed`.
fn groups_of(sizes: &[u8], seed: u32) -> Vec<Group<'static>> {
    let sized = |(n, &size): (usize, &u8)| {
        let hash =
            |i: u32| Hash::of(&[seed.to_le_bytes(), (n as u32).to_le_bytes(), i.to_le_bytes()].concat());
        Group::of((0..u32::from(size)).map(|i| (hash(i), "owl")))
    };
    sizes.iter().enumerate().filter_map(sized).collect()
}

/// How far each split of one class is from its share, in images.
fn off(groups: &[Group<'_>], splits: &[Split], percent: [u8; 3]) -> f64 {
    let mut held = [0_u64; 3];
    groups.iter().zip(splits).for_each(|(group, &split)| held[split as usize] += group.size());
    let total: u64 = held.iter().sum();
    let off = held
        .into_iter()
        .zip(percent)
        .map(|(held, share)| (held as f64 - f64::from(share) / 100.0 * total as f64).abs());
    off.fold(0.0, f64::max)
}

proptest! {
    #[test]
    fn the_order_of_files_does_not_matter(n in 0_u32..120, seed: u64) {
        let labels = ["owl", "wren", "kite"];
        let mut new: Vec<(Hash, &str)> =
            hashes(0..n).into_iter().zip(labels.into_iter().cycle()).collect();
        let deal = |new: &[(Hash, &str)]| -> BTreeMap<Hash, Split> {
            let groups: Vec<Group<'_>> = new.iter().map(|&(hash, label)| one(hash, label)).collect();
            new.iter().map(|image| image.0).zip(assign(&BTreeMap::new(), &groups, [70, 15, 15])).collect()
        };
        let expected = deal(&new);
        new.sort_by_key(|(hash, _)| Hash::of(&[hash.as_bytes().as_slice(), &seed.to_le_bytes()].concat()));
        prop_assert_eq!(deal(&new), expected);
    }

    #[test]
    fn additions_are_dealt_to_what_lacks_and_shares_come_back(
        train in 0_u64..60, valid in 0_u64..60, test in 0_u64..60,
    ) {
        let held = SplitCounts { train, valid, test };
        let existing = BTreeMap::from([("owl".to_owned(), held)]);
        // Enough for the most lopsided beginning to be evened out.
        let added = counts(&assign(&existing, &owls(&hashes(0..1200)), [70, 15, 15]));
        let total = held.total() + 1200;
        for (count, share) in [
            (train + added.train, 70), (valid + added.valid, 15), (test + added.test, 15),
        ] {
            prop_assert!((100 * count).abs_diff(share * total) < 100, "{count} of {total}");
        }
    }

    #[test]
    fn shares_hold_within_the_largest_group(
        sizes in prop::collection::vec(1_u8..40, 1..60), seed: u32, train in 34_u8..90,
    ) {
        let percent = [train, (100 - train) / 2, 100 - train - (100 - train) / 2];
        let groups = groups_of(&sizes, seed);
        let largest = f64::from(*sizes.iter().max().expect("some"));
        let dealt = assign(&BTreeMap::new(), &groups, percent);
        prop_assert!(off(&groups, &dealt, percent) <= largest, "{sizes:?} {dealt:?}");
    }

    #[test]
    fn a_resplit_brings_the_shares_back_and_moves_little(
        sizes in prop::collection::vec((1_u8..40, 0_usize..3), 1..60), seed: u32,
    ) {
        let percent = [70, 15, 15];
        let (sizes, before): (Vec<u8>, Vec<Split>) =
            sizes.into_iter().map(|(size, split)| (size, Split::ALL[split])).unzip();
        let groups = groups_of(&sizes, seed);
        let largest = f64::from(*sizes.iter().max().expect("some"));
        let pairs: Vec<_> = groups.iter().cloned().zip(before.iter().copied()).collect();
        let after = reassign(&pairs, percent);
        prop_assert!(off(&groups, &after, percent) <= largest, "{sizes:?} {after:?}");

        // What moves is at most what is too much somewhere, and a group a split.
        let moved: u64 = groups.iter().zip(before.iter().zip(&after))
            .filter(|(_, (before, after))| before != after).map(|(group, _)| group.size()).sum();
        let mut held = [0_u64; 3];
        groups.iter().zip(&before).for_each(|(group, &split)| held[split as usize] += group.size());
        let total: u64 = held.iter().sum();
        let excess: f64 = held.into_iter().zip(percent)
            .map(|(held, share)| (held as f64 - share as f64 / 100.0 * total as f64).max(0.0)).sum();
        prop_assert!(moved as f64 <= excess + 3.0 * largest, "{moved} of {excess}");

        // And a second one has next to nothing to do.
        let again: Vec<_> = groups.iter().cloned().zip(after.iter().copied()).collect();
        let twice = reassign(&again, percent);
        prop_assert!(off(&groups, &twice, percent) <= largest);
    }
}
