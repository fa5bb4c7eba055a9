//! Which image serves where.
//!
//! An image that has a split keeps it for ever, so that what a model was judged on never becomes
//! what its successor learned from; only a re-split, which is asked for, moves it. Images that belong
//! together (see [`groups`](super::groups)) go to one split. New groups are dealt class by class.

use std::collections::BTreeMap;

use vigie_protocol::Hash;
use vigie_protocol::dataset::{Split, SplitCounts};

/// Images that go to one split together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group<'a> {
    /// How many images of each class, sorted by class.
    classes: Vec<(&'a str, u64)>,
    /// The smallest hash, which no one chooses.
    first: Hash,
}

impl<'a> Group<'a> {
    /// A group of these images; nothing when there are none.
    pub fn of(images: impl IntoIterator<Item = (Hash, &'a str)>) -> Option<Self> {
        let (mut classes, mut first) = (Vec::<(&str, u64)>::new(), None::<Hash>);
        for (hash, label) in images {
            first = Some(first.map_or(hash, |first| first.min(hash)));
            match classes.binary_search_by_key(&label, |class| class.0) {
                Ok(at) => classes[at].1 += 1,
                Err(at) => classes.insert(at, (label, 1)),
            }
        }
        Some(Self { classes, first: first? })
    }

    fn size(&self) -> u64 {
        self.classes.iter().map(|class| class.1).sum()
    }
}

/// Deals new groups to the splits and returns their splits in the order of `new`.
///
/// `existing` counts the images that have their split; `percent` are the shares of train, valid
/// and test (only their proportions matter; all zero counts as train only).
///
/// The largest groups go first, those of one size in the order of their hashes, each to the split
/// that lacks most of its share of the group's class with the group in it; of equals the first of
/// train, valid, test. Of several classes in a group each lack counts as often as the group has
/// images of the class, which keeps the sum of squared deviations smallest. The very first group of
/// a class goes to train when train has a share. So the result depends on content and history only,
/// never on the order or names of files, and after an import into nothing every class of groups of
/// one class holds its shares to within its largest group: to within one image where nothing belongs
/// together.
pub fn assign(existing: &BTreeMap<String, SplitCounts>, new: &[Group<'_>], percent: [u8; 3]) -> Vec<Split> {
    let mut deal = Deal::new(percent);
    for (label, counts) in existing {
        deal.held.insert(label, *counts);
    }
    let mut splits = vec![Split::Train; new.len()];
    for at in by_size(new) {
        splits[at] = deal.neediest(&new[at], None);
        deal.give(&new[at], splits[at]);
    }
    splits
}

/// Splits for groups that have one each, so that shares come back and few images move: what fits into
/// the share of its split stays, the largest first; the rest is dealt like new groups.
pub fn reassign(groups: &[(Group<'_>, Split)], percent: [u8; 3]) -> Vec<Split> {
    let mut deal = Deal::new(percent);
    let mut totals: BTreeMap<&str, i64> = BTreeMap::new();
    for (label, count) in groups.iter().flat_map(|(group, _)| &group.classes) {
        *totals.entry(label).or_default() += *count as i64;
    }
    let fits = |deal: &Deal<'_>, group: &Group<'_>, split: Split| {
        let share = deal.shares[split as usize];
        share > 0
            && group.classes.iter().all(|&(label, count)| {
                let held = deal.held.get(label).map_or(0, |counts| counts.of(split)) + count;
                deal.unit() * held as i64 <= share * totals.get(label).copied().unwrap_or(0)
            })
    };
    let only: Vec<Group<'_>> = groups.iter().map(|(group, _)| group.clone()).collect();
    let mut splits: Vec<Split> = groups.iter().map(|(_, split)| *split).collect();
    let mut moving = Vec::new();
    for at in by_size(&only) {
        if fits(&deal, &only[at], splits[at]) {
            deal.give(&only[at], splits[at]);
        } else {
            moving.push(at);
        }
    }
    for at in moving {
        splits[at] = deal.neediest(&only[at], Some(splits[at]));
        deal.give(&only[at], splits[at]);
    }
    splits
}

/// The places of groups, the largest group first, then by hash.
fn by_size(groups: &[Group<'_>]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..groups.len()).collect();
    order.sort_by_key(|&at| (std::cmp::Reverse(groups[at].size()), groups[at].first));
    order
}

/// What each split holds while groups are dealt.
struct Deal<'a> {
    shares: [i64; 3],
    held: BTreeMap<&'a str, SplitCounts>,
}

impl<'a> Deal<'a> {
    fn new(percent: [u8; 3]) -> Self {
        let shares = if percent == [0; 3] { [1, 0, 0] } else { percent.map(i64::from) };
        Self { shares, held: BTreeMap::new() }
    }

    /// The sum of shares: lacks are in parts of it, to stay with whole numbers.
    fn unit(&self) -> i64 {
        self.shares.iter().sum()
    }

    fn give(&mut self, group: &Group<'a>, split: Split) {
        for (label, count) in &group.classes {
            *self.held.entry(label).or_default().of_mut(split) += count;
        }
    }

    /// The split that gets a group; of equals `current`.
    fn neediest(&self, group: &Group<'_>, current: Option<Split>) -> Split {
        let (mut lacks, mut fresh) = ([0_i128; 3], true);
        for &(label, count) in &group.classes {
            let held = self.held(label);
            let total: i64 = held.iter().sum();
            fresh &= total == 0;
            for (s, lack) in lacks.iter_mut().enumerate() {
                let of_class = self.shares[s] * (total + count as i64) - self.unit() * held[s];
                *lack += i128::from(of_class) * i128::from(count);
            }
        }
        if fresh && self.shares[0] > 0 {
            return Split::Train;
        }
        let mut best = 0;
        for s in 1..3 {
            if lacks[s] > lacks[best] {
                best = s;
            }
        }
        current.filter(|&split| lacks[split as usize] == lacks[best]).unwrap_or(Split::ALL[best])
    }

    /// What the splits hold of a class. One without a share plays no part, whatever it holds.
    fn held(&self, label: &str) -> [i64; 3] {
        let counts = self.held.get(label).copied().unwrap_or_default();
        std::array::from_fn(|s| if self.shares[s] == 0 { 0 } else { counts.of(Split::ALL[s]) as i64 })
    }
}

#[cfg(test)]
mod tests;
