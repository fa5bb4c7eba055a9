//! Dataset versions and change-sets: kept as what decides them, spelt out when somebody looks.

use std::collections::BTreeMap;

use vigie_core::data::near::Nearness;
use vigie_core::data::part::part;
use vigie_core::store::manifest::{Manifest, class_sizes};
use vigie_protocol::access::Principal;
use vigie_protocol::dataset::{
    ChangeSet, ChangeSetState, ClassSizes, DatasetImage, DatasetRef, DatasetVersion, Decision, Lineage,
    Quarantined,
};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::page::Page;
use vigie_protocol::review::Selection;
use vigie_protocol::service::{
    ChangeSetDecide, ChangeSetGet, ChangeSetList, DatasetGet, DatasetImages, DatasetList,
};
use vigie_protocol::{ApiError, ChangeSetId, ErrorCode, Hash, ProjectName, Time};

use super::super::dice::mix;
use super::super::parts::Part;
use super::super::words;
use super::super::world::{Content, Plan};
use super::State;
use super::once::Change;
use super::page::{cursor, foreign_cursor, page};
use super::projects::InState;
use super::refusal::{check_generation, missing, precondition};

/// Files left out that a change-set lists at most.
const QUARANTINE_LISTED: u64 = 1_000;

/// A dataset version.
#[derive(Clone, Debug)]
pub(super) struct DatasetRow {
    pub(super) dataset: DatasetRef,
    pub(super) content: Content,
    pub(super) created: Time,
    pub(super) by: String,
    pub(super) change_set: ChangeSetId,
}

impl DatasetRow {
    fn version(&self, plan: &Plan) -> DatasetVersion {
        let Self { dataset, content, created, by, change_set } = self.clone();
        DatasetVersion {
            dataset,
            manifest: plan.manifest(content),
            created,
            by,
            change_set,
            classes: plan.counts(content).as_ref().clone(),
            bytes: plan.bytes(content),
            window: None,
        }
    }
}

/// A change-set.
#[derive(Clone, Debug)]
pub(super) struct ChangeSetRow {
    pub(super) id: ChangeSetId,
    pub(super) lineage: Lineage,
    pub(super) base: Option<u32>,
    pub(super) state: ChangeSetState,
    pub(super) origin: String,
    pub(super) created: Time,
    pub(super) by: String,
    pub(super) before: Content,
    pub(super) after: Content,
    /// All that was proposed, where a part of it was accepted.
    pub(super) left: Option<Content>,
    pub(super) duplicates: u64,
    pub(super) quarantined: u64,
    pub(super) accepted_as: Option<u32>,
    pub(super) decided: Option<Decision>,
    pub(super) generation: u64,
}

impl ChangeSetRow {
    fn change_set(&self, project: &ProjectName, plan: &Plan) -> ChangeSet {
        let Self { before, after, .. } = *self;
        let unchanged = plan.images(after).filter(|image| plan.has(before, *image)).count() as u64;
        ChangeSet {
            id: self.id,
            project: project.clone(),
            lineage: self.lineage,
            base: self.base,
            state: self.state,
            origin: self.origin.clone(),
            created: self.created,
            by: self.by.clone(),
            manifest: plan.manifest(after),
            classes: plan.changes(before, after),
            result: plan.counts(after).as_ref().clone(),
            bytes: plan.bytes(after),
            unchanged,
            duplicates: self.duplicates,
            quarantine: (0..self.quarantined.min(QUARANTINE_LISTED)).map(quarantined).collect(),
            quarantined: self.quarantined,
            renames: Vec::new(),
            window: None,
            findings: plan.finding_counts(before, after),
            left: self.left.map_or_else(BTreeMap::new, |proposed| plan.changes(after, proposed)),
            accepted_as: self.accepted_as,
            decided: self.decided.clone(),
            generation: self.generation,
        }
    }
}

/// The `n`-th file that was left out.
fn quarantined(n: u64) -> Quarantined {
    let (origin, reason) = match n % 4 {
        0 => (format!("notes/{n}.txt"), "neither JPEG, PNG nor WebP".to_owned()),
        1 => (format!("broken/{n}.jpg"), "it ends in its middle".to_owned()),
        2 => (words::hostile(mix(n, 0)), "its name is not one of a file".to_owned()),
        _ => {
            (format!("two/{n}.jpg"), format!("the same image has two labels: {}", words::hostile(mix(n, 1))))
        }
    };
    Quarantined { origin, reason }
}

impl Plan {
    /// The part of a change-set that a selection takes. The real agent's own rule says whether it may.
    fn part_of(
        &self,
        row: &ChangeSetRow,
        selection: &Selection,
        nearness: Nearness,
    ) -> Result<Content, ApiError> {
        let manifest = |content: Content| {
            Manifest::new(self.images(content).map(|image| self.image(content, image)).collect())
        };
        let (before, after) = (row.before, row.after);
        part(Some(&manifest(before)), &manifest(after), selection, nearness)
            .map_err(|error| precondition(error.to_string()))?;
        // By number: some pictures are bytewise alike, and a manifest holds each of those once.
        let Selection { classes, images, without } = selection;
        let all = classes.is_empty() && images.is_empty();
        let label = |image: usize| {
            let [was, would] =
                [before, after].map(|content| self.has(content, image).then(|| self.label(content, image)));
            let hash = self.pictures().hash(image);
            let mut labels = [was, would].into_iter().flatten();
            let named =
                all || images.contains(&hash) || labels.any(|class| classes.contains(&self.classes[class]));
            if named && !without.contains(&hash) { would } else { was }
        };
        let from = before.from.min(after.from);
        let labels = (from..before.to.max(after.to)).map(label).collect();
        Ok(self.spelt_out(Part { from, labels }))
    }
}

impl InState {
    /// The newest version of a line.
    pub(super) fn head(&self, lineage: Lineage) -> Option<&DatasetRow> {
        self.datasets.iter().filter(|row| row.dataset.lineage == lineage).max_by_key(|row| row.dataset.number)
    }

    pub(super) fn dataset(&self, dataset: DatasetRef) -> Result<&DatasetRow, ApiError> {
        let found = self.datasets.iter().find(|row| row.dataset == dataset);
        found.ok_or_else(|| missing(format_args!("dataset version {dataset}")))
    }
}

impl State {
    pub(in super::super) fn dataset_list(
        &mut self,
        _: &Principal,
        request: DatasetList,
    ) -> Result<Page<DatasetVersion>, ApiError> {
        let DatasetList { project, lineage, page: wanted } = request;
        let project = self.project(&project)?;
        let mut rows: Vec<&DatasetRow> = project.datasets.iter().collect();
        rows.sort_by_key(|row| std::cmp::Reverse((row.created, row.dataset)));
        let start = match cursor::<DatasetRef>(&wanted)? {
            Some(after) => 1 + rows.iter().position(|row| row.dataset == after).ok_or_else(foreign_cursor)?,
            None => 0,
        };
        let rows = rows.into_iter().skip(start).map(|row| {
            let ours = lineage.is_none_or(|lineage| row.dataset.lineage == lineage);
            (row.dataset, ours.then(|| row.version(&project.plan)))
        });
        Ok(page(&wanted, rows))
    }

    pub(in super::super) fn dataset_get(
        &mut self,
        _: &Principal,
        request: DatasetGet,
    ) -> Result<DatasetVersion, ApiError> {
        let project = self.project(&request.project)?;
        Ok(project.dataset(request.dataset)?.version(&project.plan))
    }

    pub(in super::super) fn dataset_images(
        &mut self,
        _: &Principal,
        request: DatasetImages,
    ) -> Result<Page<DatasetImage>, ApiError> {
        let DatasetImages { project, dataset, class, split, page: wanted } = request;
        let project = self.project(&project)?;
        let (plan, content) = (&project.plan, project.dataset(dataset)?.content);
        // `Some(None)` is a class that the project does not have.
        let class = class.map(|class| plan.classes.binary_search(&class).ok());
        let after: Option<Hash> = cursor(&wanted)?;
        let rows = plan.pictures().past(after).filter(|(_, image)| plan.has(content, *image)).map(
            |(hash, image)| {
                let ours = class.is_none_or(|class| class == Some(plan.label(content, image)))
                    && split.is_none_or(|split| split == plan.split(image));
                (hash, ours.then(|| plan.image(content, image)))
            },
        );
        Ok(page(&wanted, rows))
    }

    pub(in super::super) fn dataset_sizes(
        &mut self,
        _: &Principal,
        request: DatasetGet,
    ) -> Result<Vec<ClassSizes>, ApiError> {
        let project = self.project(&request.project)?;
        let (plan, content) = (&project.plan, project.dataset(request.dataset)?.content);
        let images = plan.pictures().past(None).filter(|(_, image)| plan.has(content, *image));
        let images = images.map(|(_, image)| plan.image(content, image)).collect();
        class_sizes(&Manifest::new(images).encode())
            .map_err(|error| ApiError::new(ErrorCode::Internal, error.to_string()))
    }

    pub(in super::super) fn change_set_list(
        &mut self,
        _: &Principal,
        request: ChangeSetList,
    ) -> Result<Page<ChangeSet>, ApiError> {
        let ChangeSetList { project: name, page: wanted } = request;
        let project = self.project(&name)?;
        let after: Option<ChangeSetId> = cursor(&wanted)?;
        let rows = project.change_sets.values().rev();
        let rows = rows.filter(|row| after.is_none_or(|after| row.id < after));
        Ok(page(&wanted, rows.map(|row| (row.id, Some(row.change_set(&name, &project.plan))))))
    }

    pub(in super::super) fn change_set_get(
        &mut self,
        _: &Principal,
        request: ChangeSetGet,
    ) -> Result<ChangeSet, ApiError> {
        let ChangeSetGet { project: name, change_set } = request;
        let project = self.project(&name)?;
        let row = project.change_sets.get(&change_set);
        let row = row.ok_or_else(|| missing(format_args!("change-set {change_set}")))?;
        Ok(row.change_set(&name, &project.plan))
    }

    pub(in super::super) fn change_set_decide(
        &mut self,
        who: &Principal,
        request: ChangeSetDecide,
    ) -> Result<ChangeSet, ApiError> {
        let ChangeSetDecide { key, ref project, change_set, expected_generation, accept, .. } = request;
        let ChangeSetDecide { ref reason, ref selection, .. } = request;
        if !accept && selection.is_some() {
            return Err(ApiError::invalid("a change-set is rejected whole; accept the part that is wanted"));
        }
        let target = format!("{project}/{change_set} {}", if accept { "accept" } else { "reject" });
        let (method, reason) = ("change_set_decide", reason.clone());
        let change = Change { key, method, request: &request, target, reason: reason.clone(), who };
        self.once(&change, |state| {
            let decision = Decision { at: state.now, by: who.name.clone(), reason };
            let selection = selection.as_deref();
            state.decide_on(project, change_set, Some(expected_generation), accept, selection, decision)?;
            let project = state.project(project)?;
            let row = project.change_sets.get(&change_set).ok_or_else(|| missing("the change-set"))?;
            Ok(row.change_set(&project.project.name, &project.plan))
        })
    }

    /// Accepts or rejects a change-set whole; says which version it became.
    pub(super) fn decide(
        &mut self,
        name: &ProjectName,
        id: ChangeSetId,
        accept: bool,
        decision: Decision,
    ) -> Result<Option<DatasetRef>, ApiError> {
        self.decide_on(name, id, None, accept, None, decision)
    }

    /// The same of a part of it: of what the selection names.
    fn decide_on(
        &mut self,
        name: &ProjectName,
        id: ChangeSetId,
        expected_generation: Option<u64>,
        accept: bool,
        selection: Option<&Selection>,
        decision: Decision,
    ) -> Result<Option<DatasetRef>, ApiError> {
        let project = self.project_mut(name)?;
        let what = format!("change-set {id}");
        let row = project.change_sets.get(&id).ok_or_else(|| missing(&what))?;
        if row.state != ChangeSetState::Proposed {
            return Err(precondition(format!("{what} was decided before")));
        }
        if let Some(expected) = expected_generation {
            check_generation(&what, row.generation, expected)?;
        }
        let (lineage, base, whole) = (row.lineage, row.base, row.after);
        let nearness = Nearness::bits(project.project.settings.near_bits);
        let taken = selection.map(|selection| project.plan.part_of(row, selection, nearness)).transpose()?;
        let content = taken.unwrap_or(whole);
        let head = project.head(lineage).map(|head| head.dataset.number);
        let dataset = if !accept {
            None
        } else if head == base {
            Some(DatasetRef { lineage, number: head.unwrap_or(0) + 1 })
        } else {
            return Err(precondition(format!(
                "{lineage} moved on since {what} was made; propose it again against the newest version"
            )));
        };
        let by = decision.by.clone();
        if let Some(dataset) = dataset {
            let (created, by) = (decision.at, by.clone());
            project.datasets.push(DatasetRow { dataset, content, created, by, change_set: id });
        }
        let mut origin = String::new();
        if let Some(row) = project.change_sets.get_mut(&id) {
            row.state = if accept { ChangeSetState::Accepted } else { ChangeSetState::Rejected };
            row.accepted_as = dataset.map(|dataset| dataset.number);
            row.decided = Some(decision);
            (row.after, row.left) = (content, taken.map(|_| whole));
            row.generation += 1;
            origin.clone_from(&row.origin);
        }
        let (subject, text) = match dataset {
            Some(dataset) => {
                let part = if taken.is_some() { "a part of " } else { "" };
                (Subject::Dataset { dataset }, format!("{dataset} was made from {part}{origin} by {by}"))
            }
            None => (Subject::ChangeSet { change_set: id }, format!("{origin} was rejected by {by}")),
        };
        self.event(Some(name), Severity::Info, subject, text);
        Ok(dataset)
    }
}
