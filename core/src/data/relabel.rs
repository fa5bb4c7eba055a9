//! Other labels for images that a line has: whole classes, single images, and back again.

use std::collections::{BTreeMap, HashMap};

use vigie_protocol::Hash;
use vigie_protocol::classes::{ImageLabel, MAX_IMAGE_LABELS, Relabelling, Rename, RenameKind};
use vigie_protocol::dataset::DatasetImage;

use super::changeset::{Proposal, find};
use super::labels::{class_name, given_label, relabelled_admission};
use crate::store::manifest::Manifest;

/// Classes that a job renames at most.
const MAX_RENAMES: usize = 10_000;
/// Renames that a change-set lists.
pub const RENAMES_LISTED: usize = 1_000;

/// What is to get other labels.
#[derive(Clone, Debug, PartialEq)]
pub enum Relabel {
    /// All images of some classes: the class they have, the class they get.
    Classes(BTreeMap<String, String>),
    /// Some images.
    Images(Vec<ImageLabel>),
    /// What one version gave another label than the version before it, or than the one the image came
    /// with.
    Undo {
        /// The version before; nothing when it was the first.
        before: Option<Manifest>,
        /// The version that is undone.
        after: Manifest,
    },
}

/// Whether a relabelling asks for what can be.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check(relabelling: &Relabelling) -> Result<(), String> {
    let name = |label: &String| match class_name(label) {
        Ok(name) if name == *label => Ok(()),
        Ok(_) => Err(format!("{label:?} has blanks around it")),
        Err(why) => Err(format!("{label:?}: {why}")),
    };
    match relabelling {
        Relabelling::Classes { more: 1.., .. } | Relabelling::Images { more: 1.., .. } => {
            Err("it was shortened to be shown; ask for the whole of it".to_owned())
        }
        Relabelling::Classes { renames, .. } if renames.is_empty() => Err("no class is named".to_owned()),
        Relabelling::Classes { renames, .. } if renames.len() > MAX_RENAMES => {
            Err(format!("at most {MAX_RENAMES} classes are renamed at once"))
        }
        Relabelling::Classes { renames, .. } => renames.values().try_for_each(name),
        Relabelling::Images { labels, .. } if labels.is_empty() => Err("no image is named".to_owned()),
        Relabelling::Images { labels, .. } if labels.len() > MAX_IMAGE_LABELS => {
            Err(format!("at most {MAX_IMAGE_LABELS} images are relabelled at once"))
        }
        Relabelling::Images { labels, .. } => labels.iter().map(|label| &label.label).try_for_each(name),
        Relabelling::Undo { version: 0 } => Err("versions are numbered from 1".to_owned()),
        Relabelling::Undo { .. } => Ok(()),
        Relabelling::Unknown => Err("this agent does not know that kind of relabelling".to_owned()),
    }
}

/// Proposes a version in which the images have their other labels. Splits stay: what was held out is
/// held out under any name. The label that an image came with is kept in its admission.
pub fn relabel(base: &Manifest, how: &Relabel) -> Proposal {
    let named: HashMap<Hash, &str> = match how {
        Relabel::Images(labels) => labels.iter().map(|label| (label.image, label.label.as_str())).collect(),
        Relabel::Classes(_) | Relabel::Undo { .. } => HashMap::new(),
    };
    let other = |image: &DatasetImage| match how {
        Relabel::Classes(renames) => renames.get(&image.label).map(|label| Other::label(label)),
        Relabel::Images(_) => named.get(&image.image).map(|label| Other::label(label)),
        Relabel::Undo { before, after } => before_it(image, before.as_ref(), after),
    };
    let mut renames: BTreeMap<(String, String), u64> = BTreeMap::new();
    let mut images = base.images().to_vec();
    for image in &mut images {
        let Some(Other { label, origin }) = other(image).filter(|other| other.label != image.label) else {
            continue;
        };
        image.admission = relabelled_admission(&image.admission, &image.label, &label);
        if let Some(origin) = origin {
            image.origin = origin;
        }
        let from = std::mem::replace(&mut image.label, label);
        *renames.entry((from, image.label.clone())).or_default() += 1;
    }
    let renames = renames.into_iter().map(|((from, to), images)| (from, to, images, RenameKind::Asked));
    Proposal { renames: listed(renames), ..Proposal::new(Some(base), Manifest::new(images)) }
}

/// What an image is to be instead.
struct Other {
    label: String,
    /// Where it came from; nothing to leave that as it is.
    origin: Option<String>,
}

impl Other {
    fn label(label: &str) -> Self {
        Self { label: label.to_owned(), origin: None }
    }
}

/// What an image was before a version, if that version gave it the label it has. An import that gives
/// another label says where it is from, so that both go back.
fn before_it(image: &DatasetImage, before: Option<&Manifest>, after: &Manifest) -> Option<Other> {
    let relabelled = find(after.images(), image.image).filter(|then| then.label == image.label)?;
    match before.and_then(|before| find(before.images(), image.image)) {
        Some(DatasetImage { label, origin, .. }) => {
            Some(Other { origin: Some(origin.clone()), ..Other::label(label) })
        }
        None => given_label(&relabelled.admission).1.map(Other::label),
    }
}

/// Renames as a change-set lists them, those of most images first.
pub(in crate::data) fn listed(
    renames: impl Iterator<Item = (String, String, u64, RenameKind)>,
) -> Vec<Rename> {
    let mut renames: Vec<Rename> =
        renames.map(|(from, to, images, kind)| Rename { from, to, images, kind }).collect();
    renames.sort_by(|a, b| b.images.cmp(&a.images).then_with(|| (&a.from, &a.to).cmp(&(&b.from, &b.to))));
    renames.truncate(RENAMES_LISTED);
    renames
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use vigie_protocol::dataset::{ClassChange, Split};

    use super::super::changeset::samples::image;
    use super::super::labels::admission;
    use super::*;

    fn manifest(images: &[(&str, &str)]) -> Manifest {
        Manifest::new(images.iter().map(|&(name, label)| image(name, label, Split::Train)).collect())
    }

    fn classes(renames: &[(&str, &str)]) -> Relabel {
        Relabel::Classes(renames.iter().map(|&(from, to)| (from.to_owned(), to.to_owned())).collect())
    }

    #[test]
    fn a_class_is_renamed_and_the_rename_is_undone() {
        let base = manifest(&[("1", "Owl"), ("2", "owl"), ("3", "jay"), ("4", "Owl")]);
        let renamed = relabel(&base, &classes(&[("Owl", "owl"), ("none", "such")]));
        assert_eq!(
            renamed.renames,
            [Rename { from: "Owl".into(), to: "owl".into(), images: 2, kind: RenameKind::Asked }]
        );
        let change = ClassChange { relabelled_in: 2, ..ClassChange::default() };
        assert_eq!(renamed.classes["owl"], change);
        let one = find(renamed.manifest.images(), Hash::of(b"1")).expect("there");
        assert_eq!((one.label.as_str(), one.admission.as_str()), ("owl", "imported, named Owl"));

        let undo = Relabel::Undo { before: Some(base.clone()), after: renamed.manifest.clone() };
        assert_eq!(relabel(&renamed.manifest, &undo).manifest, base, "nothing is left of it");
    }

    #[test]
    fn an_undo_leaves_what_was_changed_since() {
        let base = manifest(&[("1", "Owl"), ("2", "Owl")]);
        let renamed = relabel(&base, &classes(&[("Owl", "owl")])).manifest;
        let kite = ImageLabel { image: Hash::of(b"2"), label: "kite".to_owned() };
        let later = relabel(&renamed, &Relabel::Images(vec![kite])).manifest;
        let undone = relabel(&later, &Relabel::Undo { before: Some(base), after: renamed }).manifest;
        let labels = |name: &[u8]| find(undone.images(), Hash::of(name)).expect("there").label.clone();
        assert_eq!((labels(b"1"), labels(b"2")), ("Owl".to_owned(), "kite".to_owned()));
    }

    #[test]
    fn the_renames_of_an_import_are_undone() {
        let mut images = [image("1", "owl", Split::Train), image("2", "owl", Split::Test)];
        images[0].admission = admission("imported", Some("OWL"));
        let after = Manifest::new(images.to_vec());
        let undone = relabel(&after, &Relabel::Undo { before: None, after: after.clone() }).manifest;
        let one = find(undone.images(), Hash::of(b"1")).expect("there");
        assert_eq!((one.label.as_str(), one.admission.as_str()), ("OWL", "imported"));
        assert_eq!(find(undone.images(), Hash::of(b"2")).expect("there").label, "owl");
    }

    #[test]
    fn what_cannot_be_asked_for_is_refused() {
        let classes = |to: &str| Relabelling::classes(BTreeMap::from([("owl".to_owned(), to.to_owned())]));
        assert_eq!(check(&classes("kite")), Ok(()));
        assert_eq!(check(&Relabelling::Undo { version: 1 }), Ok(()));
        let none = Relabelling::images(Vec::new());
        let classes_of = |n: usize| (0..n).map(|n| (n.to_string(), "owl".to_owned())).collect();
        assert_eq!(Relabelling::classes(classes_of(10)).shortened(), Relabelling::classes(classes_of(10)));
        let shortened = Relabelling::classes(classes_of(12)).shortened();
        assert!(matches!(&shortened, Relabelling::Classes { renames, more: 2 } if renames.len() == 10));
        let bad = [classes(" kite"), classes(""), classes("a\nb"), none, shortened, Relabelling::Unknown];
        for bad in bad.iter().chain([&Relabelling::Undo { version: 0 }]) {
            assert!(check(bad).is_err(), "{bad:?}");
        }
    }

    proptest! {
        /// Whatever is renamed to whatever: the undo gives the very same bytes back.
        #[test]
        fn a_relabelling_and_its_undo_are_nothing(
            labels in prop::collection::vec(0usize..5, 1..30),
            renames in prop::collection::btree_map("[a-e]", "[a-e]", 0..5),
        ) {
            let images = labels.iter().enumerate().map(|(i, &label)| {
                image(&i.to_string(), ["a", "b", "c", "d", "e"][label], Split::ALL[i % 3])
            });
            let base = Manifest::new(images.collect());
            let renamed = relabel(&base, &Relabel::Classes(renames)).manifest;
            let undo = Relabel::Undo { before: Some(base.clone()), after: renamed.clone() };
            prop_assert_eq!(relabel(&renamed, &undo).manifest.encode(), base.encode());
        }
    }
}
