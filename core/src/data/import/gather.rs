//! From images with classes to a proposal: duplicates, contradictions, splits.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use vigie_protocol::Hash;
use vigie_protocol::classes::RenameKind;
use vigie_protocol::dataset::{DatasetImage, Quarantined, Split};
use vigie_protocol::import::GivenSplit;

use super::ImportPlan;
use super::listing::left_out;
use super::placed::Placed;
use crate::data::changeset::{Proposal, merge};
use crate::data::groups::most_held_out;
use crate::data::labels::admission;
use crate::data::place::Offer;
use crate::data::relabel::listed;
use crate::vision::Measurement;

/// An image that was read, decoded and stored.
pub(super) struct Found {
    pub path: String,
    pub placed: Placed,
    pub hash: Hash,
    pub measured: Measurement,
}

/// Makes the proposal out of what was found, in the order of paths, and what was left out so far.
pub(super) fn gather(plan: &ImportPlan, mut found: Vec<Found>, mut refused: Vec<Quarantined>) -> Proposal {
    found.sort_by(|a, b| a.hash.cmp(&b.hash).then_with(|| a.path.cmp(&b.path)));
    let mut offered: Vec<Offer> = Vec::with_capacity(found.len());
    let mut duplicates = 0;
    let mut renames: BTreeMap<(String, String, RenameKind), u64> = BTreeMap::new();
    // Taken one after another and not copied: the list is what an import needs memory for.
    let mut found = found.into_iter().peekable();
    while let Some(first) = found.next() {
        let copies: Vec<Found> = iter::from_fn(|| found.next_if(|image| image.hash == first.hash)).collect();
        if let Some(other) = copies.iter().find(|copy| copy.placed.label != first.placed.label) {
            let unclear = |path: &str, elsewhere: &str| {
                let reason = format!("the same picture is also {elsewhere}, so its class is not clear");
                left_out(path.to_owned(), reason)
            };
            refused.push(unclear(&first.path, &other.path));
            for copy in &copies {
                let elsewhere = if copy.placed.label == first.placed.label { other } else { &first };
                refused.push(unclear(&copy.path, &elsewhere.path));
            }
            continue;
        }
        duplicates += copies.len() as u64;
        // Of copies in several splits the most held-out one counts: a copy in train would let the
        // model learn the answers of the test.
        let splits = copies.iter().map(|copy| copy.placed.split).chain([first.placed.split]);
        let split = most_held_out(splits.flatten());
        let Found { path, placed, hash, measured } = first;
        let Placed { label, split: _, group, metadata, given } = placed;
        let admission = admission("imported", given.as_ref().map(|(given, _)| given.as_str()));
        if let Some((given, why)) = given {
            *renames.entry((given, label.clone(), why)).or_default() += 1;
        }
        let image = DatasetImage {
            group,
            fingerprint: measured.fingerprint,
            metadata,
            ..DatasetImage::new(hash, label, Split::Train, path, measured.quality, admission)
        };
        offered.push(Offer { image, given: split });
    }
    let percent = shares(plan, &mut offered);
    let proposal =
        merge(plan.base.as_ref(), offered, plan.replace, percent, plan.nearness).leaving_out(refused);
    let renames = renames.into_iter().map(|((from, to, why), images)| (from, to, images, why));
    Proposal { duplicates, renames: listed(renames), ..proposal }
}

/// The shares by which images are dealt whose source gives no split that counts; splits that do not
/// are forgotten.
///
/// Train counts for none: what the layout lacks is dealt from it. Nothing is dealt to a split that the
/// layout has.
fn shares(plan: &ImportPlan, offered: &mut [Offer]) -> [u8; 3] {
    let counts = |split: Split| match plan.options.given_split {
        GivenSplit::Keep => split != Split::Train,
        GivenSplit::RedrawValid => split == Split::Test,
        GivenSplit::Redraw | GivenSplit::Unknown => false,
    };
    for offer in &mut *offered {
        offer.given = offer.given.filter(|&split| counts(split));
    }
    let present: BTreeSet<Split> = offered.iter().filter_map(|offer| offer.given).collect();
    let mut percent = plan.split_percent;
    for split in present {
        percent[split as usize] = 0;
    }
    if percent == [0; 3] { [100, 0, 0] } else { percent }
}
