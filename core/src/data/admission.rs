//! Which images may enter reference, and when an update of it is worth it. Pure: rules look at
//! manifests and at the history of versions, decide, and explain themselves.
//!
//! Reference is fed from two lines, source and production. A class that reference lacks waits until
//! the two together hold enough images of it ([`ClassRule`]); an image that both hold counts once, and
//! under the label of production, which a person gave.

mod growth;
mod room;
mod update;

use std::collections::BTreeMap;

use vigie_protocol::dataset::{DatasetImage, Lineage};
use vigie_protocol::rules::ClassRule;

use super::changeset::find;
use crate::store::manifest::Manifest;

pub use growth::History;
pub use room::{Room, WAITING_LISTED};
pub use update::Update;

/// The lines that feed reference.
#[derive(Clone, Copy, Debug, Default)]
pub struct Feeding<'a> {
    /// What was imported.
    pub source: Option<&'a Manifest>,
    /// What users sent.
    pub production: Option<&'a Manifest>,
}

impl<'a> Feeding<'a> {
    /// The version that is brought in, and the other feeding line beside it.
    pub fn of(lineage: Lineage, from: &'a Manifest, beside: Option<&'a Manifest>) -> Self {
        match lineage {
            Lineage::Production => Self { source: beside, production: Some(from) },
            Lineage::Source | Lineage::Reference => Self { source: Some(from), production: beside },
        }
    }

    /// What the lines hold of each class.
    fn holdings(&self) -> BTreeMap<&'a str, Holding> {
        let mut classes: BTreeMap<&str, Holding> = BTreeMap::new();
        let images = |line: Option<&'a Manifest>| line.map(Manifest::images).unwrap_or_default();
        let (source, production) = (images(self.source), images(self.production));
        for image in production {
            let class = classes.entry(&image.label).or_default();
            class.has += 1;
            class.in_production += 1;
        }
        for image in source {
            match find(production, image.image) {
                Some(corrected) if corrected.label != image.label => {}
                Some(_) => classes.entry(&image.label).or_default().in_source += 1,
                None => {
                    let class = classes.entry(&image.label).or_default();
                    class.has += 1;
                    class.in_source += 1;
                }
            }
        }
        classes
    }
}

/// Images of a class in the feeding lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Holding {
    /// Different images.
    has: u64,
    in_source: u64,
    in_production: u64,
}

/// What of a version may enter.
#[derive(Clone, Debug, PartialEq)]
pub struct Admitted {
    /// Its images that may, whether reference has them or not.
    pub manifest: Manifest,
    /// Its classes that may not, by name.
    pub waiting: Vec<Waits>,
    /// Images left out because reference has them under another label.
    pub kept_label: u64,
}

/// A class that stays out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waits {
    /// Its name.
    pub class: String,
    /// Images the feeding lines hold of it.
    pub has: u64,
    /// Images it needs; absent when the rule is not known.
    pub needs: Option<u64>,
    /// Images of it that stay out now.
    pub images: u64,
}

impl std::fmt::Display for Waits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { class, has, needs, images: _ } = self;
        match needs {
            Some(needs) => write!(f, "class {class} waits: it has {has} images and needs {needs}"),
            None => write!(f, "class {class} waits: this build does not know the project's class rule"),
        }
    }
}

/// What may be brought in from a version.
#[derive(Clone, Copy, Debug)]
pub struct Admission<'a> {
    /// The class rule; absent to let every class in.
    pub rule: Option<ClassRule>,
    /// Leave what reference has under another label as it is.
    pub only_add: bool,
    /// Reference.
    pub into: Option<&'a Manifest>,
    /// What counts towards a class.
    pub feeding: Feeding<'a>,
}

impl Admission<'_> {
    /// What of `from` may enter.
    pub fn admit(&self, from: &Manifest) -> Admitted {
        let known = self.into.map(Manifest::images).unwrap_or_default();
        let sizes = sizes(known);
        let mut waiting = BTreeMap::new();
        if let Some(rule) = self.rule {
            let (needs, holdings) = (needs(rule, &sizes), self.feeding.holdings());
            for class in from.classes() {
                let has = holdings.get(class.as_str()).map_or(0, |holding| holding.has);
                if !sizes.contains_key(class.as_str()) && needs.is_none_or(|needs| has < needs) {
                    waiting.insert(class.clone(), Waits { class, has, needs, images: 0 });
                }
            }
        }
        let mut kept_label = 0;
        let mut admitted = Vec::with_capacity(from.images().len());
        for image in from.images() {
            if let Some(class) = waiting.get_mut(&image.label) {
                class.images += 1;
            } else if self.only_add && find(known, image.image).is_some_and(|kept| kept.label != image.label)
            {
                kept_label += 1;
            } else {
                admitted.push(image.clone());
            }
        }
        Admitted { manifest: Manifest::new(admitted), waiting: waiting.into_values().collect(), kept_label }
    }
}

/// Images of each class.
fn sizes(images: &[DatasetImage]) -> BTreeMap<&str, u64> {
    let mut sizes = BTreeMap::new();
    for image in images {
        *sizes.entry(image.label.as_str()).or_default() += 1;
    }
    sizes
}

/// Images that a new class needs, when reference has classes of these sizes. Whatever comes first
/// founds reference: the smallest class of nothing asks for none.
fn needs(rule: ClassRule, sizes: &BTreeMap<&str, u64>) -> Option<u64> {
    match rule {
        ClassRule::Smallest => Some(sizes.values().copied().min().unwrap_or(0)),
        ClassRule::Fixed { images } => Some(images.into()),
        ClassRule::None => Some(0),
        ClassRule::Unknown => None,
    }
}

#[cfg(test)]
mod tests;
