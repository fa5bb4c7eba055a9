//! The update rule: enough new images make an update of reference worth it.

use std::collections::BTreeSet;

use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::rules::{ClassRule, UpdateRule};

use super::growth::outlook;
use super::{Admission, Feeding, History};
use crate::data::changeset::find;
use crate::store::manifest::Manifest;

/// What the update rule looks at.
#[derive(Clone, Copy, Debug)]
pub struct Update<'a> {
    /// Which version would be brought in.
    pub from_ref: DatasetRef,
    /// Its images.
    pub from: &'a Manifest,
    /// Reference.
    pub reference: Option<&'a Manifest>,
    /// The lines that feed it.
    pub feeding: Feeding<'a>,
    /// The class rule: images of classes that wait are no reason for an update.
    pub rule: ClassRule,
    /// Images of the version that are left aside because the class list lacks their label.
    pub nameless: u64,
    /// New images that are worth it, in percent of reference, 0–100.
    pub percent: f64,
    /// The line's history, for its rate.
    pub history: &'a History,
}

impl Update<'_> {
    /// What the rule says.
    pub fn look(&self) -> UpdateRule {
        let admission =
            Admission { rule: Some(self.rule), only_add: false, into: self.reference, feeding: self.feeding };
        let waiting: BTreeSet<String> =
            admission.admit(self.from).waiting.into_iter().map(|waits| waits.class).collect();
        let known = self.reference.map(Manifest::images).unwrap_or_default();
        let (mut new, mut wait, mut relabelled) = (0, 0, 0);
        for image in self.from.images() {
            match find(known, image.image) {
                Some(kept) => relabelled += u64::from(kept.label != image.label),
                None if waiting.contains(&image.label) => wait += 1,
                None => new += 1,
            }
        }
        let reference_images = known.len() as u64;
        let needs = ((reference_images as f64 * self.percent.clamp(0.0, 100.0) / 100.0).ceil() as u64).max(1);
        let mut rule = UpdateRule {
            from: self.from_ref,
            new,
            waiting: wait,
            relabelled,
            reference_images,
            needs,
            percent: self.percent,
            met: new >= needs,
            growth: self.history.of_all(new, needs),
            sentence: String::new(),
        };
        rule.sentence = sentence(&rule, self.nameless);
        rule
    }
}

fn sentence(rule: &UpdateRule, nameless: u64) -> String {
    let UpdateRule { from, new, waiting, relabelled, reference_images, needs, percent, met, growth, .. } =
        rule;
    let images = if *new == 1 { "image" } else { "images" };
    let mut text = format!("{from} has {new} new {images} for reference, needs {needs}");
    match reference_images {
        0 => text.push_str(", the first of it"),
        images => text.push_str(&format!(" ({percent} % of {images})")),
    }
    if *met {
        text.push_str(": an update is worth it");
    } else {
        text.push_str(&outlook(growth.as_ref()));
    }
    if *waiting > 0 {
        text.push_str(&format!("; {waiting} more are of classes that wait"));
    }
    if nameless > 0 {
        text.push_str(&format!("; {nameless} more have labels that the class list lacks"));
    }
    if *relabelled > 0 {
        text.push_str(&format!("; {relabelled} images have another label in reference"));
    }
    text
}
