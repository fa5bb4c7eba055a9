//! Which images belong together: those of one explicit group, and near duplicates.

use std::collections::{BTreeSet, HashMap};

use vigie_protocol::Hash;
use vigie_protocol::dataset::{DatasetImage, Split};

use super::near::{Look, Nearness, each_pair};

/// Images by the group they belong to; who belongs to nobody is a group alone.
#[derive(Clone, Debug)]
pub struct Groups {
    /// The places of each group's images, in their order; groups in the order of their first image.
    pub members: Vec<Vec<usize>>,
    /// The group of each image.
    pub of: Vec<usize>,
}

impl Groups {
    /// The groups of images: the closure of "has the same explicit group" and "is a near duplicate".
    pub fn of<'a>(images: impl Iterator<Item = &'a DatasetImage> + Clone, nearness: Nearness) -> Self {
        let looks: Vec<Option<Look>> = images.clone().map(Look::of).collect();
        let mut union = Union::new(looks.len());
        let mut first: HashMap<&str, usize> = HashMap::new();
        for (place, image) in images.enumerate() {
            if let Some(group) = &image.group {
                union.join(place, *first.entry(group).or_insert(place));
            }
        }
        each_pair(&looks, nearness, &mut |a, b, _| union.join(a, b));
        union.groups()
    }

    /// Images whose group serves in several splits. `images` are those the groups were made of.
    pub fn crossing(&self, images: &[DatasetImage]) -> BTreeSet<Hash> {
        let crosses = |members: &&Vec<usize>| {
            members.iter().any(|&member| images[member].split != images[members[0]].split)
        };
        let crossing = self.members.iter().filter(crosses).flatten();
        crossing.map(|&member| images[member].image).collect()
    }
}

/// The most held-out of some splits.
pub fn most_held_out(splits: impl Iterator<Item = Split>) -> Option<Split> {
    // Train, valid, test: `Split` is ordered that way.
    splits.max()
}

/// A union-find forest, paths halved.
pub(super) struct Union {
    parent: Vec<usize>,
}

impl Union {
    pub fn new(len: usize) -> Self {
        Self { parent: (0..len).collect() }
    }

    pub fn root(&mut self, mut of: usize) -> usize {
        while self.parent[of] != of {
            self.parent[of] = self.parent[self.parent[of]];
            of = self.parent[of];
        }
        of
    }

    /// The smaller place becomes the root, so that the result does not depend on the order.
    pub fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.root(a), self.root(b));
        self.parent[a.max(b)] = a.min(b);
    }

    pub fn groups(mut self) -> Groups {
        let mut number: HashMap<usize, usize> = HashMap::new();
        let mut groups = Groups { members: Vec::new(), of: Vec::with_capacity(self.parent.len()) };
        for place in 0..self.parent.len() {
            let group = *number.entry(self.root(place)).or_insert(groups.members.len());
            if group == groups.members.len() {
                groups.members.push(Vec::new());
            }
            groups.members[group].push(place);
            groups.of.push(group);
        }
        groups
    }
}

#[cfg(test)]
mod tests {
    use vigie_protocol::dataset::Quality;
    use vigie_protocol::fingerprint::Fingerprint;

    use super::*;

    fn image(group: Option<&str>, print: u64, split: Split) -> DatasetImage {
        let (label, origin, admission) = ("owl".to_owned(), String::new(), "imported".to_owned());
        let hash = Hash::of(format!("{group:?} {print} {split}").as_bytes());
        let quality = Quality { width: 4, height: 3, ..Quality::default() };
        DatasetImage {
            group: group.map(str::to_owned),
            fingerprint: Fingerprint::new(print),
            ..DatasetImage::new(hash, label, split, origin, quality, admission)
        }
    }

    #[test]
    fn groups_close_over_names_and_looks() {
        use Split::{Test, Train};
        let far = 0xffff_0000_0000_0000;
        let images = [
            image(Some("a"), 0, Train),
            image(None, 1, Train),
            image(Some("a"), 0b11, Train), // joins the two above: by name, by look
            image(None, far, Train),
            image(None, 0, Train), // flat
            image(Some("b"), far | 1, Test),
            image(Some("b"), 0, Test),
        ];
        let groups = Groups::of(images.iter(), Nearness::default());
        assert_eq!(groups.members, [vec![0, 1, 2], vec![3, 5, 6], vec![4]]);
        assert_eq!(groups.of, [0, 0, 0, 1, 2, 1, 1]);
        // Where only equal pictures are alike, it is the names that hold them together.
        let equal = Groups::of(images.iter(), Nearness::bits(0));
        assert_eq!(equal.members, [vec![0, 2], vec![1], vec![3], vec![4], vec![5, 6]]);
        let crossing = [3, 5, 6].map(|i: usize| images[i].image).into_iter().collect();
        assert_eq!(groups.crossing(&images), crossing);
    }
}
