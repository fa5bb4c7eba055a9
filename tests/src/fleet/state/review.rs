//! What is found about the images of change-sets: a few of each kind, by the image's number.

use vigie_protocol::access::Principal;
use vigie_protocol::dataset::{ChangeKind, ImageChange, Placement, Split};
use vigie_protocol::page::Page;
use vigie_protocol::review::{ChangeSetImage, Feature, FindingCounts, ImageFinding};
use vigie_protocol::service::ChangeSetImages;
use vigie_protocol::{ApiError, Hash};

use super::super::world::{Content, Plan};
use super::State;
use super::page::{cursor, page};
use super::refusal::missing;

impl Plan {
    /// What is found about an image that enters.
    fn findings(&self, content: Content, image: usize) -> Vec<ImageFinding> {
        let mut findings = Vec::new();
        let other = || {
            let other = self.image(content, content.from);
            (other.image, other.origin, other.label)
        };
        if image % 31 == 7 {
            let (of, origin, label) = other();
            findings.push(ImageFinding::NearDuplicate { of, origin, label, bits: (image % 5) as u32 });
        }
        if image % 97 == 11 {
            let (of, origin, _) = other();
            findings.push(ImageFinding::Leak { of, origin, split: self.split(content.from) });
        }
        if image % 53 == 5 {
            let value = self.quality(image).sharpness;
            findings.push(ImageFinding::Outlier { feature: Feature::Sharpness, value, z: -4.5 });
        }
        if self.split(image) == Split::Test {
            findings.push(ImageFinding::EntersTest);
        }
        findings
    }

    /// How many of the images that enter have a finding of each kind.
    pub(super) fn finding_counts(&self, before: Content, after: Content) -> FindingCounts {
        let mut counts = FindingCounts::default();
        for image in self.images(after).filter(|image| !self.has(before, *image)) {
            counts.near_duplicates += u64::from(image % 31 == 7);
            counts.leaks += u64::from(image % 97 == 11);
            counts.outliers += u64::from(image % 53 == 5);
            counts.enter_test += u64::from(self.split(image) == Split::Test);
        }
        counts
    }
}

impl State {
    pub(in super::super) fn change_set_images(
        &mut self,
        _: &Principal,
        request: ChangeSetImages,
    ) -> Result<Page<ChangeSetImage>, ApiError> {
        let ChangeSetImages { project, change_set, class, kind, only_findings, page: wanted } = request;
        let project = self.project(&project)?;
        let plan = &project.plan;
        let row = project.change_sets.get(&change_set);
        let row = row.ok_or_else(|| missing(format_args!("change-set {change_set}")))?;
        let (before, after) = (row.before, row.after);
        let place = |content: Content, image| {
            let (label, split) = (plan.classes[plan.label(content, image)].clone(), plan.split(image));
            plan.has(content, image).then_some(Placement { label, split })
        };
        let past: Option<Hash> = cursor(&wanted)?;
        let rows = plan.pictures().past(past).map(|(hash, image)| {
            let (from, to) = (place(before, image), place(after, image));
            let becomes = match (&from, &to) {
                (from, to) if from == to => return (hash, None),
                (None, _) => ChangeKind::Added,
                (_, None) => ChangeKind::Removed,
                _ => ChangeKind::Relabelled,
            };
            let content = if to.is_some() { after } else { before };
            let findings = if from.is_none() { plan.findings(after, image) } else { Vec::new() };
            let of = |place: &Option<Placement>| place.as_ref().map(|place| place.label.clone());
            let remarkable = findings.iter().any(|finding| !matches!(finding, ImageFinding::EntersTest));
            let ours = kind.is_none_or(|kind| kind == becomes)
                && (class.is_none() || of(&from) == class || of(&to) == class)
                && (remarkable || !only_findings);
            let row = ours.then(|| {
                let image = plan.image(content, image);
                let change = ImageChange { image: hash, kind: becomes, from, to, origin: image.origin };
                ChangeSetImage { change, quality: image.quality, group: image.group, findings }
            });
            (hash, row)
        });
        Ok(page(&wanted, rows))
    }
}
