//! Taking a part of a change-set.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use vigie_protocol::Hash;
use vigie_protocol::dataset::{ClassChange, DatasetImage, SplitCounts};
use vigie_protocol::review::{MAX_SELECTED, Selection};

use super::changeset::split_counts;
use super::groups::Groups;
use super::near::Nearness;
use crate::store::manifest::{Manifest, class_changes};

/// What a version holds that takes a part of a change-set, and what it leaves.
#[derive(Clone, Debug, PartialEq)]
pub struct Part {
    /// Its images.
    pub manifest: Manifest,
    /// What is taken, by class.
    pub classes: BTreeMap<String, ClassChange>,
    /// What is left, by class.
    pub left: BTreeMap<String, ClassChange>,
    /// Images of the version, per class and split.
    pub result: BTreeMap<String, SplitCounts>,
    /// Bytes of all originals of the version.
    pub bytes: u64,
}

/// Why a part cannot be taken.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PartError {
    /// It names too much.
    #[error("a selection names at most {MAX_SELECTED} classes and images")]
    TooMany,
    /// Nothing changes an image of this hash.
    #[error("the change-set does not change image {0}")]
    NoSuchImage(Hash),
    /// Nothing changes an image of this class.
    #[error("the change-set changes nothing of the class {0:?}")]
    NoSuchClass(String),
    /// Nothing of the change-set is in it.
    #[error("nothing of the change-set is selected; reject it to take nothing")]
    Nothing,
    /// A group would be torn.
    #[error("it would leave {origin} in another split than the rest of its group; take the group whole")]
    Torn {
        /// Where an image of the group came from.
        origin: String,
    },
}

/// The part of a change-set that a selection takes: `base` with the selected of the changes that lead
/// to `proposed`.
///
/// # Errors
/// [`PartError`]: also for names that mean nothing here, because a mistyped class must not take less
/// than was meant in silence.
pub fn part(
    base: Option<&Manifest>,
    proposed: &Manifest,
    selection: &Selection,
    nearness: Nearness,
) -> Result<Part, PartError> {
    let Selection { classes, images, without } = selection;
    if classes.len() + images.len() + without.len() > MAX_SELECTED {
        return Err(PartError::TooMany);
    }
    let empty = Manifest::default();
    let base = base.unwrap_or(&empty);
    let before: HashMap<Hash, &DatasetImage> =
        base.images().iter().map(|image| (image.image, image)).collect();
    let after: HashMap<Hash, &DatasetImage> =
        proposed.images().iter().map(|image| (image.image, image)).collect();
    let changes = |hash: Hash| match (before.get(&hash), after.get(&hash)) {
        (Some(before), Some(after)) => (&before.label, before.split) != (&after.label, after.split),
        (None, None) => false,
        _ => true,
    };
    if let Some(&hash) = images.iter().chain(without).find(|&&hash| !changes(hash)) {
        return Err(PartError::NoSuchImage(hash));
    }
    let whole = class_changes(base, proposed);
    if let Some(class) = classes.iter().find(|class| !whole.contains_key(*class)) {
        return Err(PartError::NoSuchClass(class.clone()));
    }

    let classes: BTreeSet<&String> = classes.iter().collect();
    let (images, without): (BTreeSet<Hash>, BTreeSet<Hash>) =
        (images.iter().copied().collect(), without.iter().copied().collect());
    let takes = |hash: Hash| {
        let labels = [before.get(&hash), after.get(&hash)].into_iter().flatten().map(|image| &image.label);
        let all = classes.is_empty() && images.is_empty();
        let named = all || images.contains(&hash) || labels.into_iter().any(|label| classes.contains(label));
        named && !without.contains(&hash)
    };
    let taken = |hash: Hash| !changes(hash) || takes(hash);
    let kept = base.images().iter().filter(|image| !taken(image.image));
    let gained = proposed.images().iter().filter(|image| taken(image.image));
    let manifest = Manifest::new(kept.chain(gained).cloned().collect());
    let classes = class_changes(base, &manifest);
    if classes.is_empty() {
        return Err(PartError::Nothing);
    }
    tears_nothing(base, proposed, &manifest, nearness)?;
    Ok(Part {
        left: class_changes(&manifest, proposed),
        result: split_counts(manifest.images()),
        bytes: manifest.images().iter().map(|image| image.quality.bytes).sum(),
        classes,
        manifest,
    })
}

/// That no group crosses splits in a part that does so neither before nor in the whole.
fn tears_nothing(
    base: &Manifest,
    proposed: &Manifest,
    part: &Manifest,
    nearness: Nearness,
) -> Result<(), PartError> {
    let crossing =
        |manifest: &Manifest| Groups::of(manifest.images().iter(), nearness).crossing(manifest.images());
    let torn = crossing(part);
    if torn.is_empty() {
        return Ok(());
    }
    let (before, whole) = (crossing(base), crossing(proposed));
    match torn.into_iter().find(|hash| !before.contains(hash) && !whole.contains(hash)) {
        None => Ok(()),
        Some(hash) => {
            let image = part.images().iter().find(|image| image.image == hash);
            Err(PartError::Torn { origin: image.map(|image| image.origin.clone()).unwrap_or_default() })
        }
    }
}

#[cfg(test)]
mod tests {
    use vigie_protocol::dataset::{Quality, Split};

    use super::*;

    fn image(n: u8, label: &str, split: Split, group: Option<&str>) -> DatasetImage {
        let quality = Quality { bytes: 10, ..Quality::default() };
        let (origin, admission) = (format!("{n}.jpg"), "imported".to_owned());
        DatasetImage {
            group: group.map(str::to_owned),
            ..DatasetImage::new(Hash::from([n; 32]), label.to_owned(), split, origin, quality, admission)
        }
    }

    fn hash(n: u8) -> Hash {
        Hash::from([n; 32])
    }

    /// The images of the part, each as its number, the first letter of its label and its split.
    fn taken(base: &Manifest, proposed: &Manifest, selection: &Selection) -> Result<String, PartError> {
        let part = part(Some(base), proposed, selection, Nearness::default())?;
        assert_eq!(part.classes, class_changes(base, &part.manifest));
        assert_eq!(part.left, class_changes(&part.manifest, proposed));
        let one = |image: &DatasetImage| {
            format!("{}{}{}", image.image.as_bytes()[0], &image.label[..1], &image.split.to_string()[..2])
        };
        Ok(part.manifest.images().iter().map(one).collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn parts_are_taken_by_class_and_by_image() {
        use Split::{Test, Train, Valid};
        let base = Manifest::new(vec![
            image(1, "owl", Train, None),
            image(2, "owl", Train, None),
            image(3, "kite", Test, None),
            image(4, "wren", Train, None),
        ]);
        let proposed = Manifest::new(vec![
            image(1, "kite", Train, None), // relabelled
            image(2, "owl", Valid, None),  // moved
            image(4, "wren", Train, None),
            image(5, "owl", Test, None), // added; 3 is removed
            image(6, "wren", Train, None),
        ]);
        let select = |classes: &[&str], images: &[u8], without: &[u8]| Selection {
            classes: classes.iter().map(|&class| class.to_owned()).collect(),
            images: images.iter().copied().map(hash).collect(),
            without: without.iter().copied().map(hash).collect(),
        };
        for (selection, expected) in [
            (select(&[], &[], &[]), "1kTr 2oVa 4wTr 5oTe 6wTr"),
            (select(&["owl"], &[], &[]), "1kTr 2oVa 3kTe 4wTr 5oTe"),
            (select(&["kite"], &[], &[]), "1kTr 2oTr 4wTr"),
            (select(&[], &[6], &[]), "1oTr 2oTr 3kTe 4wTr 6wTr"),
            (select(&["wren"], &[5], &[]), "1oTr 2oTr 3kTe 4wTr 5oTe 6wTr"),
            (select(&[], &[], &[3, 5]), "1kTr 2oVa 3kTe 4wTr 6wTr"),
            (select(&["owl"], &[6], &[1]), "1oTr 2oVa 3kTe 4wTr 5oTe 6wTr"),
        ] {
            let shown = expected.replace("Tr", "tr").replace("Va", "va").replace("Te", "te");
            assert_eq!(taken(&base, &proposed, &selection), Ok(shown), "{selection:?}");
        }
        for (selection, expected) in [
            (select(&["owls"], &[], &[]), PartError::NoSuchClass("owls".to_owned())),
            (select(&[], &[4], &[]), PartError::NoSuchImage(hash(4))),
            (select(&[], &[], &[99]), PartError::NoSuchImage(hash(99))),
            (select(&[], &[6], &[6]), PartError::Nothing),
        ] {
            assert_eq!(taken(&base, &proposed, &selection), Err(expected), "{selection:?}");
        }
        let many = Selection { images: vec![hash(6); MAX_SELECTED + 1], ..Selection::default() };
        assert_eq!(taken(&base, &proposed, &many), Err(PartError::TooMany));
    }

    #[test]
    fn groups_are_taken_whole() {
        use Split::{Test, Train};
        let base = Manifest::new(vec![
            image(1, "owl", Train, Some("a")),
            image(2, "owl", Train, Some("a")),
            image(3, "owl", Train, None),
        ]);
        let moved = base.images().iter().map(|image| DatasetImage { split: Test, ..image.clone() });
        let proposed = Manifest::new(moved.collect());
        let only = |images: &[u8]| Selection {
            images: images.iter().copied().map(hash).collect(),
            ..Selection::default()
        };
        assert!(matches!(taken(&base, &proposed, &only(&[1])), Err(PartError::Torn { .. })));
        assert_eq!(taken(&base, &proposed, &only(&[1, 2])).as_deref(), Ok("1ote 2ote 3otr"));
        assert_eq!(taken(&base, &proposed, &only(&[3])).as_deref(), Ok("1otr 2otr 3ote"));
    }
}
