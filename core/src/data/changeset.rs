//! Proposals: what a new dataset version would hold, and how it differs from the last one.

use std::collections::BTreeMap;

use vigie_protocol::Hash;
use vigie_protocol::classes::Rename;
use vigie_protocol::dataset::{ClassChange, DatasetImage, DatasetRef, Quarantined, Split, SplitCounts};
use vigie_protocol::window::Window;

use super::groups::{Groups, most_held_out};
use super::labels::{admission, given_label, relabelled_admission};
use super::near::Nearness;
use super::place::{Offer, Placed, place};
use super::split::{Group, reassign};
use crate::store::manifest::{Manifest, class_changes};

/// How many files left out are listed by name.
pub const QUARANTINE_LISTED: usize = 1000;

/// A change-set before it has a name, a place and a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Proposal {
    /// The images of the version it would make.
    pub manifest: Manifest,
    /// What it does to each class that it touches.
    pub classes: BTreeMap<String, ClassChange>,
    /// Images of that version, per class and split.
    pub result: BTreeMap<String, SplitCounts>,
    /// Bytes of all originals of that version.
    pub bytes: u64,
    /// Images offered that the base already has with the same label.
    pub unchanged: u64,
    /// Files that were byte for byte the same as another of the same import and label.
    pub duplicates: u64,
    /// Files left aside because they are no images: notes, tables, hidden files.
    pub ignored: u64,
    /// Files left out with their reason, by path; at most [`QUARANTINE_LISTED`].
    pub quarantine: Vec<Quarantined>,
    /// How many files were left out.
    pub quarantined: u64,
    /// Images that got another label than they came with, by label; at most
    /// [`RENAMES_LISTED`](super::relabel::RENAMES_LISTED).
    pub renames: Vec<Rename>,
}

impl Proposal {
    /// A proposal to replace `base` by `manifest`, with its counts; nothing offered, nothing left
    /// out yet.
    pub(super) fn new(base: Option<&Manifest>, manifest: Manifest) -> Self {
        let classes = match base {
            Some(base) => class_changes(base, &manifest),
            None => class_changes(&Manifest::default(), &manifest),
        };
        Self {
            classes,
            result: split_counts(manifest.images()),
            bytes: manifest.images().iter().map(|image| image.quality.bytes).sum(),
            manifest,
            unchanged: 0,
            duplicates: 0,
            ignored: 0,
            quarantine: Vec::new(),
            quarantined: 0,
            renames: Vec::new(),
        }
    }

    /// Whether it only adds images: nothing leaves, changes its label or its split.
    pub fn only_adds(&self) -> bool {
        self.classes.values().all(|change| {
            let &ClassChange { added: _, removed, relabelled_in, relabelled_out, moved } = change;
            removed + relabelled_in + relabelled_out + moved == 0
        })
    }
}

/// Proposes what `from` has and `into` lacks: the union of both, with the labels of `from` where
/// they differ. `from` is the part of the version that the window takes, when there is one.
///
/// An image keeps the split it has in `into`; a new one goes where its group is in `into`, else
/// where it is in `from`: what was held out in one line is not learned from in another, and splits
/// given by a dataset's author survive. New images that belong to images of `into` in two splits are
/// left out.
pub fn propose(
    from: &Manifest,
    from_ref: DatasetRef,
    window: Option<&Window>,
    into: Option<&Manifest>,
    nearness: Nearness,
) -> Proposal {
    let how = origin_text(from_ref, window);
    let offer = |image: &DatasetImage| {
        let (_, given) = given_label(&image.admission);
        Offer {
            image: DatasetImage { admission: admission(&how, given), ..image.clone() },
            given: Some(image.split),
        }
    };
    merge(into, from.images().iter().map(offer).collect(), false, [100, 0, 0], nearness)
}

/// Proposes new splits for a line: groups whole, the shares of `percent` within the largest group of
/// each class, and as few images moved as that takes (see [`reassign`]).
pub fn resplit(base: &Manifest, percent: [u8; 3], nearness: Nearness) -> Proposal {
    let mut images = base.images().to_vec();
    let groups = Groups::of(images.iter(), nearness);
    let splits = {
        let now = |members: &Vec<usize>| {
            let group = Group::of(members.iter().map(|&m| (images[m].image, images[m].label.as_str())))?;
            Some((group, home(members.iter().map(|&m| images[m].split))?))
        };
        reassign(&groups.members.iter().filter_map(now).collect::<Vec<_>>(), percent)
    };
    for (members, split) in groups.members.iter().zip(splits) {
        members.iter().for_each(|&member| images[member].split = split);
    }
    Proposal::new(Some(base), Manifest::new(images))
}

/// Where most of a group's images are; of equals the most held-out split.
fn home(splits: impl Iterator<Item = Split>) -> Option<Split> {
    let mut counts = SplitCounts::default();
    splits.for_each(|split| *counts.of_mut(split) += 1);
    let most = Split::ALL.map(|split| counts.of(split)).into_iter().max().filter(|&most| most > 0)?;
    most_held_out(Split::ALL.into_iter().filter(|&split| counts.of(split) == most))
}

/// Where the images of an update come from: `from production@v7, last 1000 images`.
fn origin_text(from: DatasetRef, window: Option<&Window>) -> String {
    match window {
        Some(window) => format!("from {from}, {window}"),
        None => format!("from {from}"),
    }
}

/// The union of a base and the images offered to it (each hash once), or with `replace` the
/// offered images alone. An image that the base has keeps its split and its blob, and takes the label
/// of the offer, and what else the offer knows of it and the base does not; its admission keeps the label
/// that it came with. New ones get a place.
pub fn merge(
    base: Option<&Manifest>,
    offered: Vec<Offer>,
    replace: bool,
    percent: [u8; 3],
    nearness: Nearness,
) -> Proposal {
    let known = base.map(Manifest::images).unwrap_or_default();
    let (mut unchanged, mut new) = (0, Vec::new());
    let mut staying: Vec<DatasetImage> = Vec::with_capacity(known.len());
    for offer in offered {
        match find(known, offer.image.image) {
            None => new.push(offer),
            Some(image) => {
                unchanged += u64::from(image.label == offer.image.label);
                staying.push(updated(image, offer.image));
            }
        }
    }
    if !replace {
        // Behind the offered ones: of two with one hash the manifest keeps the first.
        staying.extend_from_slice(known);
    }
    let staying = Manifest::new(staying);
    let Placed { mut images, bridging } = place(staying.images(), new, percent, nearness);
    images.extend(staying.into_images());
    let quarantined = bridging.len() as u64;
    Proposal { unchanged, quarantine: bridging, quarantined, ..Proposal::new(base, Manifest::new(images)) }
}

/// An image of the base with what an offer of the same image says.
fn updated(known: &DatasetImage, offer: DatasetImage) -> DatasetImage {
    let mut image = known.clone();
    if image.label != offer.label {
        image.admission = relabelled_admission(&image.admission, &image.label, &offer.label);
        image.label = offer.label;
        image.origin = offer.origin;
    }
    if image.quality.saturation.is_none() {
        // An older build measured it.
        image.quality = offer.quality;
        image.fingerprint = offer.fingerprint;
    }
    if offer.group.is_some() {
        image.group = offer.group;
    }
    if !offer.metadata.is_empty() {
        image.metadata = offer.metadata;
    }
    image
}

/// The image of a list sorted by hash.
pub(super) fn find(images: &[DatasetImage], hash: Hash) -> Option<&DatasetImage> {
    images.binary_search_by_key(&hash, |image| image.image).ok().map(|i| &images[i])
}

/// Images per class and split.
pub fn split_counts(images: &[DatasetImage]) -> BTreeMap<String, SplitCounts> {
    let mut counts: BTreeMap<String, SplitCounts> = BTreeMap::new();
    for image in images {
        let class = match counts.get_mut(&image.label) {
            Some(class) => class,
            None => counts.entry(image.label.clone()).or_default(),
        };
        *class.of_mut(image.split) += 1;
    }
    counts
}

/// Images for the tests of this room.
#[cfg(test)]
pub(super) mod samples {
    use vigie_protocol::dataset::{Quality, Split};

    use super::*;

    /// An image whose content is its name.
    pub fn image(name: &str, label: &str, split: Split) -> DatasetImage {
        let quality = Quality { width: 8, height: 8, bytes: 10, ..Quality::default() };
        let (hash, origin) = (Hash::of(name.as_bytes()), format!("{label}/{name}"));
        DatasetImage::new(hash, label.to_owned(), split, origin, quality, "imported".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use vigie_protocol::dataset::Split;

    use super::super::relabel::{Relabel, relabel};
    use super::samples::image;
    use super::*;

    fn manifest(images: &[(&str, &str, Split)]) -> Manifest {
        Manifest::new(images.iter().map(|&(name, label, split)| image(name, label, split)).collect())
    }

    #[test]
    fn a_proposal_unites_and_keeps_splits() {
        use Split::{Test, Train, Valid};
        let from = manifest(&[("1", "owl", Test), ("2", "kite", Test), ("3", "owl", Train)]);
        let into = manifest(&[("1", "owl", Train), ("2", "owl", Valid), ("9", "wren", Train)]);
        let source = "source@v2".parse().expect("ref");
        let proposal = propose(&from, source, None, Some(&into), Nearness::default());
        assert_eq!(proposal.unchanged, 1);
        assert_eq!(proposal.manifest.images().len(), 4);
        let found = |name: &str| {
            let image = find(proposal.manifest.images(), Hash::of(name.as_bytes())).expect(name);
            (image.label.as_str(), image.split, image.admission.as_str())
        };
        assert_eq!(found("1"), ("owl", Train, "imported"));
        assert_eq!(found("2"), ("kite", Valid, "imported, named owl"));
        assert_eq!(found("3"), ("owl", Train, "from source@v2"));
        assert_eq!(found("9"), ("wren", Train, "imported"));
        assert!(!proposal.only_adds());
        assert_eq!(proposal.bytes, 40);

        let fresh = propose(&from, source, None, None, Nearness::default());
        assert!(fresh.only_adds());
        let window = Window::Last { images: 2 };
        let windowed = propose(&from, source, Some(&window), None, Nearness::default());
        let admissions = windowed.manifest.images().iter().map(|image| image.admission.as_str());
        assert!(admissions.eq(["from source@v2, last 2 images"; 3]));
        assert_eq!(fresh.result["owl"], SplitCounts { train: 1, valid: 0, test: 1 });
    }

    #[test]
    fn a_label_that_an_offer_changes_is_kept_and_comes_back() {
        // The label and admission in the base, the label offered, and the admission then.
        for (label, admission, offered, then) in [
            ("Asio otus", "imported", "owl", "imported, named Asio otus"),
            ("owl", "imported, named Asio otus", "kite", "imported, named Asio otus"),
            ("owl", "imported, named Asio otus", "Asio otus", "imported"),
            ("owl", "imported, named Asio otus", "owl", "imported, named Asio otus"),
        ] {
            let known = image("1", label, Split::Test);
            let base = Manifest::new(vec![DatasetImage { admission: admission.to_owned(), ..known }]);
            let mut image = image("1", offered, Split::Train);
            image.admission = format!("imported, named another {offered}");
            let offers = vec![Offer { image, given: None }];
            let after = merge(Some(&base), offers, false, [70, 15, 15], Nearness::default()).manifest;
            let [image] = after.images() else { panic!("{after:?}") };
            assert_eq!((image.label.as_str(), image.admission.as_str()), (offered, then));
            let undo = Relabel::Undo { before: Some(base.clone()), after: after.clone() };
            assert_eq!(relabel(&after, &undo).manifest, base, "{label} by {offered}");
        }
    }

    #[test]
    fn replacing_removes_what_is_not_offered() {
        let base = manifest(&[("1", "owl", Split::Train), ("2", "owl", Split::Test)]);
        let offer = Offer { image: image("1", "owl", Split::Valid), given: None };
        let proposal = merge(Some(&base), vec![offer], true, [70, 15, 15], Nearness::default());
        assert_eq!(proposal.classes["owl"], ClassChange { removed: 1, ..ClassChange::default() });
        assert_eq!(proposal.manifest.images()[0].split, Split::Train);
    }
}
