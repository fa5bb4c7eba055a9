//! From images with classes to a proposal: duplicates, contradictions, splits.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use vigie_protocol::Hash;
use vigie_protocol::classes::RenameKind;
use vigie_protocol::dataset::{DatasetImage, Quality, Quarantined, Split, SplitCounts};

use super::layout::Placed;
use super::listing::left_out;
use super::{GivenSplit, ImportPlan};
use crate::data::changeset::{Proposal, QUARANTINE_LISTED, find, merge};
use crate::data::labels::admission;
use crate::data::relabel::listed;
use crate::data::split::assign;
use crate::store::manifest::Manifest;

/// An image that was read, decoded and stored.
pub(super) struct Found {
    pub path: String,
    pub placed: Placed,
    pub hash: Hash,
    pub quality: Quality,
}

/// Makes the proposal out of what was found, in the order of paths, and what was left out so far.
pub(super) fn gather(plan: &ImportPlan, mut found: Vec<Found>, mut refused: Vec<Quarantined>) -> Proposal {
    found.sort_by(|a, b| a.hash.cmp(&b.hash).then_with(|| a.path.cmp(&b.path)));
    let mut offered: Vec<DatasetImage> = Vec::with_capacity(found.len());
    let mut given: Vec<Option<Split>> = Vec::with_capacity(found.len());
    let mut duplicates = 0;
    let mut renames: BTreeMap<(&str, &str, RenameKind), u64> = BTreeMap::new();
    for same in found.chunk_by(|a, b| a.hash == b.hash) {
        let first = &same[0];
        if let Some(other) = same.iter().find(|image| image.placed.label != first.placed.label) {
            for image in same {
                let elsewhere = if image.placed.label == first.placed.label { other } else { first };
                refused.push(left_out(
                    image.path.clone(),
                    format!("the same picture is also {}, so its class is not clear", elsewhere.path),
                ));
            }
            continue;
        }
        duplicates += same.len() as u64 - 1;
        given.push(same.iter().filter_map(|image| image.placed.split).max());
        offered.push(DatasetImage {
            image: first.hash,
            label: first.placed.label.clone(),
            split: Split::Train,
            origin: first.path.clone(),
            quality: first.quality.clone(),
            admission: admission("imported", first.placed.given.as_ref().map(|(given, _)| given.as_str())),
        });
        if let Some((given, why)) = &first.placed.given {
            *renames.entry((given.as_str(), first.placed.label.as_str(), *why)).or_default() += 1;
        }
    }
    deal(plan, &mut offered, &given);

    refused.sort_by(|a, b| a.origin.cmp(&b.origin));
    let quarantined = refused.len() as u64;
    refused.truncate(QUARANTINE_LISTED);
    let merged = merge(plan.base.as_ref(), offered, plan.replace);
    let renames =
        renames.into_iter().map(|((from, to, why), images)| (from.to_owned(), to.to_owned(), images, why));
    Proposal { duplicates, quarantine: refused, quarantined, renames: listed(renames), ..merged }
}

/// Gives the new images among `offered` their splits. `given` are those of the layout: of copies
/// in several splits the most held-out one counts (`Split` is ordered that way), because a copy
/// in train would let the model learn the answers of the test.
fn deal(plan: &ImportPlan, offered: &mut [DatasetImage], given: &[Option<Split>]) {
    let known = plan.base.as_ref().map(Manifest::images).unwrap_or_default();
    let mut counts = staying(known, offered, plan.replace);

    let present: BTreeSet<Split> = match plan.given_split {
        GivenSplit::Keep => given.iter().copied().flatten().collect(),
        GivenSplit::Redraw => BTreeSet::new(),
    };
    let mut percent = plan.split_percent;
    for split in present.iter().filter(|&&split| split != Split::Train) {
        // The layout has this split: nothing else is dealt to it.
        percent[*split as usize] = 0;
    }
    if percent == [0; 3] {
        percent = [100, 0, 0];
    }

    let mut dealt: Vec<usize> = Vec::new();
    for (i, image) in offered.iter_mut().enumerate() {
        if find(known, image.image).is_some() {
            continue;
        }
        match given[i] {
            Some(split) if present.contains(&split) && split != Split::Train => {
                image.split = split;
                *count_of(&mut counts, &image.label).of_mut(split) += 1;
            }
            _ => dealt.push(i),
        }
    }
    let new: Vec<(Hash, &str)> =
        dealt.iter().map(|&i| (offered[i].image, offered[i].label.as_str())).collect();
    let splits = assign(&counts, &new, percent);
    for (i, split) in dealt.into_iter().zip(splits) {
        offered[i].split = split;
    }
}

/// Counts of the images that have their split already, under the labels they will have.
fn staying(known: &[DatasetImage], offered: &[DatasetImage], replace: bool) -> BTreeMap<String, SplitCounts> {
    let labels: HashMap<Hash, &str> =
        offered.iter().map(|image| (image.image, image.label.as_str())).collect();
    let mut counts = BTreeMap::new();
    for image in known {
        let label = match labels.get(&image.image) {
            Some(label) => label,
            None if replace => continue,
            None => image.label.as_str(),
        };
        *count_of(&mut counts, label).of_mut(image.split) += 1;
    }
    counts
}

fn count_of<'a>(counts: &'a mut BTreeMap<String, SplitCounts>, label: &str) -> &'a mut SplitCounts {
    counts.entry(label.to_owned()).or_default()
}
