//! What a reviewer of a change-set should look at twice.

use std::collections::{BTreeMap, HashMap};

use vigie_protocol::Hash;
use vigie_protocol::dataset::{ChangeKind, DatasetImage, Split};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::review::{ChangeSetImage, FindingCounts, ImageFinding};

use super::changeset::find;
use super::groups::Groups;
use super::near::{Look, Nearness, each_pair};
use super::outliers::{Outlier, Usual};
use crate::store::Result;
use crate::store::manifest::{Differences, Manifest};

/// What was found about the images that a change-set adds, relabels or moves, and about those that it
/// puts into a group with images of another split.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Review {
    /// How many of them have a finding of each kind.
    pub counts: FindingCounts,
    /// Those that have one.
    found: HashMap<Hash, Vec<ImageFinding>>,
}

impl Review {
    /// Looks at every image that a version of `proposed` would have otherwise than `base` has it; at one
    /// that only gets another group for leaks alone. Images are compared with all of `proposed`; what is
    /// usual is what is usual there.
    pub fn of(base: Option<&Manifest>, proposed: &Manifest, nearness: Nearness) -> Self {
        let known = base.map(Manifest::images).unwrap_or_default();
        let images = proposed.images();
        let before: Vec<Option<&DatasetImage>> =
            images.iter().map(|image| find(known, image.image)).collect();
        let differs = |(before, image): (&Option<&DatasetImage>, &DatasetImage)| {
            before.is_none_or(|before| (&before.label, before.split) != (&image.label, image.split))
        };
        let changed: Vec<bool> = before.iter().zip(images).map(differs).collect();
        let regrouped = |at: usize| before[at].is_some_and(|before| before.group != images[at].group);
        let looked_at: Vec<usize> = (0..images.len()).filter(|&at| changed[at] || regrouped(at)).collect();
        let mut review = Self::default();
        if looked_at.is_empty() {
            return review;
        }
        let nearest = nearest(images, &changed, nearness);
        let groups = Groups::of(images.iter(), nearness);
        let usual = Usual::of(images.iter().map(|image| &image.quality));
        let elsewhere = Elsewhere::of(images, &groups);
        for at in looked_at {
            let image = &images[at];
            let mut findings = Vec::new();
            if let Some(&(other, bits)) = nearest.get(&at) {
                review.counts.near_duplicates += 1;
                let DatasetImage { image: of, origin, label, .. } = images[other].clone();
                findings.push(ImageFinding::NearDuplicate { of, origin, label, bits });
            }
            if let Some(other) = elsewhere.than(image.split, groups.of[at]) {
                review.counts.leaks += 1;
                let DatasetImage { image: of, origin, split, .. } = images[other].clone();
                findings.push(ImageFinding::Leak { of, origin, split });
            }
            let outliers = if changed[at] { usual.outliers(&image.quality) } else { Vec::new() };
            review.counts.outliers += u64::from(!outliers.is_empty());
            findings.extend(
                outliers.into_iter().map(|Outlier { feature, value, z }| ImageFinding::Outlier {
                    feature,
                    value,
                    z,
                }),
            );
            if image.split == Split::Test && before[at].is_none_or(|before| before.split != Split::Test) {
                review.counts.enter_test += 1;
                findings.push(ImageFinding::EntersTest);
            }
            if !findings.is_empty() {
                review.found.insert(image.image, findings);
            }
        }
        review
    }

    /// Whether something speaks for a second look; that it enters the test split does not.
    pub fn is_remarkable(&self, image: Hash) -> bool {
        self.findings(image).iter().any(|finding| !matches!(finding, ImageFinding::EntersTest))
    }

    /// What was found about an image.
    pub fn findings(&self, image: Hash) -> &[ImageFinding] {
        self.found.get(&image).map(Vec::as_slice).unwrap_or_default()
    }
}

/// The nearest near duplicate of each changed image: one in another split before one in its own, then
/// the one that differs in the fewest bits, then the first.
fn nearest(images: &[DatasetImage], changed: &[bool], nearness: Nearness) -> HashMap<usize, (usize, u32)> {
    let looks: Vec<Option<Look>> = images.iter().map(Look::of).collect();
    let mut nearest: HashMap<usize, (usize, u32)> = HashMap::new();
    each_pair(&looks, nearness, &mut |a, b, bits| {
        for (at, other) in [(a, b), (b, a)] {
            if !changed[at] {
                continue;
            }
            let rank = |other: usize, bits: u32| (images[other].split == images[at].split, bits, other);
            let best = nearest.entry(at).or_insert((other, bits));
            if rank(other, bits) < rank(best.0, best.1) {
                *best = (other, bits);
            }
        }
    });
    nearest
}

/// The first image of each group in each split, for groups in several.
struct Elsewhere(HashMap<usize, BTreeMap<Split, usize>>);

impl Elsewhere {
    fn of(images: &[DatasetImage], groups: &Groups) -> Self {
        let first = |(group, members): (usize, &Vec<usize>)| {
            let mut first = BTreeMap::new();
            for &member in members {
                first.entry(images[member].split).or_insert(member);
            }
            (first.len() > 1).then_some((group, first))
        };
        Self(groups.members.iter().enumerate().filter_map(first).collect())
    }

    /// An image of the group in another split, in the most held-out one.
    fn than(&self, split: Split, group: usize) -> Option<usize> {
        self.0.get(&group)?.iter().rev().find(|(other, _)| **other != split).map(|(_, &image)| image)
    }
}

/// Which of the images that change are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes<'a> {
    /// Those that have this class before or after.
    pub class: Option<&'a str>,
    /// Those of which this becomes.
    pub kind: Option<ChangeKind>,
    /// Those that deserve a second look.
    pub only_findings: bool,
}

impl Changes<'_> {
    /// Up to `limit` of the images that change from `base` to `proposed`, in the order of their
    /// hashes, from just past `cursor`, with what `review` found about them. Both are the manifests'
    /// blobs.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`](crate::store::StoreError::BadCursor);
    /// [`StoreError::Damaged`](crate::store::StoreError::Damaged) when the bytes are no manifests.
    pub fn page(
        &self,
        review: &Review,
        base: Option<&[u8]>,
        proposed: &[u8],
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<ChangeSetImage>> {
        let &Self { class, kind, only_findings } = self;
        let wanted = |image: Hash, becomes: ChangeKind| {
            kind.is_none_or(|kind| kind == becomes) && (!only_findings || review.is_remarkable(image))
        };
        let page = Differences { class }.images(base, proposed, cursor, limit, &wanted)?;
        let row = |(change, image): (_, DatasetImage)| ChangeSetImage {
            change,
            findings: review.findings(image.image).to_vec(),
            quality: image.quality,
            group: image.group,
        };
        Ok(Page { items: page.items.into_iter().map(row).collect(), next: page.next })
    }
}

#[cfg(test)]
mod tests;
