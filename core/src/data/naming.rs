//! Images under the names of the project's class list, whichever way they come: from another line, or
//! from a manifest.

use std::collections::{BTreeMap, HashMap};

use vigie_protocol::Hash;
use vigie_protocol::classes::{ClassList, RenameKind, UnknownLabels};
use vigie_protocol::dataset::{DatasetImage, Quarantined};

use super::changeset::{Proposal, QUARANTINE_LISTED, find};
use super::labels::{Named, Naming, relabelled_admission};
use super::relabel::listed;
use crate::store::manifest::Manifest;

/// Puts the labels of images right, and remembers which it changed.
#[derive(Debug)]
pub struct Names<'a> {
    naming: Naming<'a>,
    /// The label that an image came with, and why it has another.
    renamed: HashMap<Hash, (String, RenameKind)>,
}

impl<'a> Names<'a> {
    /// By a class list, with a policy for labels that it lacks.
    pub fn new(list: &'a ClassList, unknown: UnknownLabels) -> Self {
        Self { naming: Naming::new(list, unknown), renamed: HashMap::new() }
    }

    /// Gives an image the class that its label stands for; its admission keeps the label it came with.
    ///
    /// # Errors
    /// Why it is left out, for people.
    pub fn put_right(
        &mut self,
        image: Hash,
        label: &mut String,
        admitted: &mut String,
    ) -> Result<(), String> {
        let Named { class, renamed } = self.naming.name(label)?;
        if let Some(why) = renamed {
            let from = std::mem::replace(label, class);
            *admitted = relabelled_admission(admitted, &from, label);
            self.renamed.insert(image, (from, why));
        }
        Ok(())
    }

    /// The images of a manifest that have a class, and those that are left out.
    pub fn of_manifest(&mut self, manifest: Manifest) -> (Manifest, Vec<Quarantined>) {
        let mut left_out = Vec::new();
        let mut images = manifest.into_images();
        images.retain_mut(|DatasetImage { image, label, origin, admission, .. }| {
            let right = self.put_right(*image, label, admission);
            right.map_err(|reason| left_out.push(Quarantined { origin: origin.clone(), reason })).is_ok()
        });
        (Manifest::new(images), left_out)
    }

    /// A proposal that says what of it was renamed. An image that the base has under the same class
    /// already is none.
    pub fn tell(&self, base: Option<&Manifest>, proposal: Proposal) -> Proposal {
        let known = base.map(Manifest::images).unwrap_or_default();
        let mut renames: BTreeMap<(&str, &str, RenameKind), u64> = BTreeMap::new();
        for (image, (from, why)) in &self.renamed {
            let Some(DatasetImage { label, .. }) = find(proposal.manifest.images(), *image) else { continue };
            if find(known, *image).is_none_or(|before| before.label != *label) {
                *renames.entry((from, label, *why)).or_default() += 1;
            }
        }
        let renames =
            renames.into_iter().map(|((from, to, why), n)| (from.to_owned(), to.to_owned(), n, why));
        Proposal { renames: listed(renames), ..proposal }
    }
}

impl Proposal {
    /// The same with more images left out.
    #[must_use]
    pub fn leaving_out(mut self, mut left_out: Vec<Quarantined>) -> Self {
        self.quarantined += left_out.len() as u64;
        self.quarantine.append(&mut left_out);
        self.quarantine.sort_by(|a, b| a.origin.cmp(&b.origin));
        self.quarantine.truncate(QUARANTINE_LISTED);
        self
    }
}

#[cfg(test)]
mod tests {
    use vigie_protocol::classes::Rename;
    use vigie_protocol::dataset::Split;

    use super::super::changeset::propose;
    use super::super::changeset::samples::image;
    use super::super::near::Nearness;
    use super::super::relabel::{Relabel, relabel};
    use super::*;

    fn list() -> ClassList {
        let aliases = [("Asio otus".to_owned(), "owl".to_owned())].into();
        ClassList { classes: ["owl", "jay"].map(str::to_owned).into(), aliases, ..ClassList::default() }
    }

    fn line(images: &[(&str, &str)]) -> Manifest {
        Manifest::new(images.iter().map(|&(name, label)| image(name, label, Split::Train)).collect())
    }

    /// From a line to another that has image 5 already.
    fn proposed(list: &ClassList, unknown: UnknownLabels) -> (Manifest, Proposal) {
        let into = line(&[("5", "owl")]);
        let from = line(&[("1", "Asio otus"), ("2", "OWL"), ("3", "owll"), ("4", "jay"), ("5", "Asio otus")]);
        let mut names = Names::new(list, unknown);
        let (entering, left_out) = names.of_manifest(from);
        let from_ref = "source@v1".parse().expect("a version");
        let proposal =
            propose(&entering, from_ref, None, Some(&into), Nearness::default()).leaving_out(left_out);
        let proposal = names.tell(Some(&into), proposal);
        (into, proposal)
    }

    #[test]
    fn another_line_is_asked_for_its_names_too() {
        let (into, proposal) = proposed(&list(), UnknownLabels::Quarantine);
        assert_eq!(proposal.manifest.classes(), ["jay", "owl"]);
        let rename = |from: &str, kind| Rename { from: from.into(), to: "owl".into(), images: 1, kind };
        assert_eq!(
            proposal.renames,
            [rename("Asio otus", RenameKind::Alias), rename("OWL", RenameKind::Folded)],
            "image 5 is an owl already"
        );
        assert_eq!((proposal.quarantined, proposal.quarantine.len(), proposal.unchanged), (1, 1, 1));
        let reason = &proposal.quarantine[0].reason;
        assert_eq!(reason, "\"owll\" is not in the class list; did you mean \"owl\"?");

        // Nothing is lost of what they came with: the undo gives the labels back.
        let undo = Relabel::Undo { before: Some(into), after: proposal.manifest.clone() };
        let undone = relabel(&proposal.manifest, &undo).manifest;
        assert_eq!(undone.classes(), ["Asio otus", "OWL", "jay", "owl"]);
    }

    #[test]
    fn the_policy_and_an_empty_list_let_labels_be() {
        let (_, proposal) = proposed(&list(), UnknownLabels::Keep);
        assert_eq!(proposal.manifest.classes(), ["jay", "owl", "owll"]);
        assert_eq!(proposal.quarantined, 0);
        let (_, proposal) = proposed(&ClassList::default(), UnknownLabels::Quarantine);
        assert_eq!(proposal.manifest.classes(), ["Asio otus", "OWL", "jay", "owll"]);
        assert!(proposal.renames.is_empty() && proposal.quarantined == 0);
    }
}
