//! Finding a place for images that enter a line: with their group, never across splits.

use std::collections::{BTreeMap, BTreeSet};

use vigie_protocol::dataset::{DatasetImage, Quarantined, Split, SplitCounts};

use super::changeset::split_counts;
use super::groups::{Groups, Union, most_held_out};
use super::near::{Look, Nearness};
use super::split::{Group, assign};

/// An image that is offered to a line.
#[derive(Clone, Debug, PartialEq)]
pub struct Offer {
    /// The image; its split is not looked at.
    pub image: DatasetImage,
    /// The split that its source gives it, if that counts.
    pub given: Option<Split>,
}

/// Images that have their place, and those that cannot have one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placed {
    /// With their splits.
    pub images: Vec<DatasetImage>,
    /// Left out because they would tie two splits together.
    pub bridging: Vec<Quarantined>,
}

/// Gives new images their splits; those of `known`, which are in the line already, stay.
///
/// A new image goes where its group is: the images of the line that it belongs to, directly or
/// through other new ones. One that belongs to images in two splits is left out. A group that is all
/// new goes to the split its source gives it (the most held-out of several: a model must not learn
/// the answers of its test), else it is dealt by [`assign`] with the shares of `percent`.
pub fn place(known: &[DatasetImage], mut new: Vec<Offer>, percent: [u8; 3], nearness: Nearness) -> Placed {
    new.sort_by_key(|offer| offer.image.image);
    let groups = Groups::of(known.iter().chain(new.iter().map(|offer| &offer.image)), nearness);
    // Those left out, with the reason.
    let mut bridging: BTreeMap<usize, String> = BTreeMap::new();
    // Places in `new`, group by group, with the split that the line gives the group.
    let mut together: Vec<(Vec<usize>, Option<Split>)> = Vec::new();
    for members in &groups.members {
        let (old, fresh): (Vec<usize>, Vec<usize>) = members.iter().partition(|&&m| m < known.len());
        if fresh.is_empty() {
            continue;
        }
        let fresh: Vec<usize> = fresh.into_iter().map(|member| member - known.len()).collect();
        let splits: BTreeSet<Split> = old.iter().map(|&member| known[member].split).collect();
        if splits.len() < 2 {
            together.push((fresh, splits.first().copied()));
        } else {
            let old: Vec<&DatasetImage> = old.iter().map(|&member| &known[member]).collect();
            take_apart((&old, &new, &fresh), nearness, &mut together, &mut bridging);
        }
    }

    let mut counts = split_counts(known);
    let mut dealt: Vec<Vec<usize>> = Vec::new();
    for (members, split) in together {
        let given = || most_held_out(members.iter().filter_map(|&member| new[member].given));
        match split.or_else(given) {
            Some(split) => settle(&mut new, &members, split, &mut counts),
            None => dealt.push(members),
        }
    }
    let splits = {
        let group = |members: &Vec<usize>| {
            Group::of(members.iter().map(|&m| (new[m].image.image, new[m].image.label.as_str())))
        };
        assign(&counts, &dealt.iter().filter_map(group).collect::<Vec<_>>(), percent)
    };
    for (members, split) in dealt.iter().zip(splits) {
        settle(&mut new, members, split, &mut counts);
    }
    let mut placed = Placed::default();
    for (at, Offer { image, .. }) in new.into_iter().enumerate() {
        match bridging.remove(&at) {
            Some(reason) => placed.bridging.push(Quarantined { origin: image.origin, reason }),
            None => placed.images.push(image),
        }
    }
    placed
}

fn settle(new: &mut [Offer], members: &[usize], split: Split, counts: &mut BTreeMap<String, SplitCounts>) {
    for &member in members {
        let image = &mut new[member].image;
        image.split = split;
        *counts.entry(image.label.clone()).or_default().of_mut(split) += 1;
    }
}

/// A group with images of the line in several splits: its new images are taken in the order of their
/// hashes, and one that ties two splits together is left out, so that the others have a place.
fn take_apart(
    (old, new, fresh): (&[&DatasetImage], &[Offer], &[usize]),
    nearness: Nearness,
    together: &mut Vec<(Vec<usize>, Option<Split>)>,
    bridging: &mut BTreeMap<usize, String>,
) {
    let fresh_images = fresh.iter().map(|&at| &new[at].image);
    let all: Vec<(&DatasetImage, Option<Look>)> =
        old.iter().copied().chain(fresh_images).map(|image| (image, Look::of(image))).collect();
    let mut union = Union::new(all.len());
    for members in &Groups::of(old.iter().copied(), nearness).members {
        members.iter().for_each(|&member| union.join(member, members[0]));
    }
    // One image of the line for each split that a tree reaches.
    let mut reaches: BTreeMap<usize, BTreeMap<Split, usize>> = BTreeMap::new();
    for (at, image) in old.iter().enumerate() {
        reaches.entry(union.root(at)).or_default().entry(image.split).or_insert(at);
    }
    let mut taken: Vec<usize> = (0..old.len()).collect();
    for at in old.len()..all.len() {
        let mut roots = BTreeSet::new();
        for &other in &taken {
            if related(&all[at], &all[other], nearness) {
                roots.insert(union.root(other));
            }
        }
        let mut reached: BTreeMap<Split, usize> = BTreeMap::new();
        for root in &roots {
            reached.extend(reaches.get(root).into_iter().flatten().map(|(&split, &old)| (split, old)));
        }
        if reached.len() > 1 {
            let ties = reached.iter().map(|(split, &old)| bond(&all[at], &all[old], *split, nearness));
            let ties = ties.collect::<Vec<_>>().join(", ");
            let reason = format!("it would tie two splits together: {ties}; re-split the line first");
            bridging.insert(fresh[at - old.len()], reason);
            continue;
        }
        for root in roots {
            reaches.remove(&root);
            union.join(at, root);
        }
        if !reached.is_empty() {
            reaches.insert(union.root(at), reached);
        }
        taken.push(at);
    }
    let mut trees: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for &at in taken.iter().filter(|&&at| at >= old.len()) {
        trees.entry(union.root(at)).or_default().push(fresh[at - old.len()]);
    }
    for (root, members) in trees {
        let split = reaches.get(&root).and_then(|splits| splits.keys().next().copied());
        together.push((members, split));
    }
}

/// An image and its look.
type Seen<'a> = (&'a DatasetImage, Option<Look>);

/// Whether two images belong together directly.
fn related((a, look_a): &Seen<'_>, (b, look_b): &Seen<'_>, nearness: Nearness) -> bool {
    (a.group.is_some() && a.group == b.group) || near(look_a.as_ref(), look_b.as_ref(), nearness)
}

fn near(a: Option<&Look>, b: Option<&Look>, nearness: Nearness) -> bool {
    a.zip(b).is_some_and(|(a, b)| a.near(b, nearness).is_some())
}

/// What ties a new image to one of the line.
fn bond((new, look): &Seen<'_>, (old, old_look): &Seen<'_>, split: Split, nearness: Nearness) -> String {
    let origin = &old.origin;
    match &new.group {
        Some(group) if new.group == old.group => format!("{group:?} has {origin} in {split}"),
        _ if near(look.as_ref(), old_look.as_ref(), nearness) => format!("it looks like {origin} in {split}"),
        _ => format!("its group reaches {origin} in {split}"),
    }
}

#[cfg(test)]
mod tests;
