//! What the rules do next, from what is stored alone.

use vigie_core::store::catalog::{Catalog, EventDraft, Followed, Looked, Receipt, RulesProgress};
use vigie_core::store::{Result, State, StoreError};
use vigie_protocol::dataset::{DatasetRef, DatasetVersion, Lineage};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::{JobSpec, JobState};
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::project::{Project, ProjectSettings};
use vigie_protocol::rules::UpdatePolicy;
use vigie_protocol::{AliasName, JobId, ProjectName, Time};

use super::Evidence;
use crate::keys;

/// The network that a pack is made for when the project has no run yet: that of the weights that ship.
const FIRST_NETWORK: (Architecture, u32) = (Architecture::EfficientnetLite0, 224);

/// One step of a project's rules.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Step {
    /// How far they were seen to be.
    pub(super) seen: RulesProgress,
    /// How far they come.
    pub(super) to: RulesProgress,
    /// The job to submit first; its identity goes where `Submit::of` says.
    pub(super) submit: Option<Submit>,
    /// What is told.
    pub(super) event: Option<EventDraft>,
}

/// A job that the rules submit.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Submit {
    /// Which line it is about.
    pub(super) of: Lineage,
    /// What it is to do.
    pub(super) spec: JobSpec,
    /// Its key: the same each time the rules come to the same step.
    pub(super) receipt: Receipt,
    /// The job that they submitted before for the line, whose change-set this one takes the place of.
    pub(super) replaces: Option<JobId>,
}

impl Step {
    /// The step with the job that was submitted for it.
    pub(super) fn with(mut self, submitted: JobId) -> Self {
        let Some(submit) = &self.submit else { return self };
        match submit.of {
            Lineage::Source => self.to.source.iter_mut().for_each(|looked| looked.job = Some(submitted)),
            Lineage::Production => {
                self.to.production.iter_mut().for_each(|looked| looked.job = Some(submitted))
            }
            Lineage::Reference => self.to.reference.iter_mut().for_each(|made| made.job = Some(submitted)),
        }
        if let Some(EventDraft { subject: Subject::Rules { job, .. }, .. }) = &mut self.event {
            *job = Some(submitted);
        }
        self
    }
}

/// What the rules of a project do next; nothing when they are where they can be.
///
/// # Errors
/// Those of the store.
pub(super) fn next(state: &State, name: &ProjectName, now: Time) -> Result<Option<Step>> {
    let catalog = &state.catalog;
    let project = catalog.project(name)?;
    let seen = catalog.rules_progress(name)?;
    let quietly = |to| Some(Step { seen: seen.clone(), to, submit: None, event: None });
    match project.settings.update_policy {
        // Whoever turns them on again begins anew.
        UpdatePolicy::Off | UpdatePolicy::Unknown if seen == RulesProgress::default() => return Ok(None),
        UpdatePolicy::Off | UpdatePolicy::Unknown => return Ok(quietly(RulesProgress::default())),
        UpdatePolicy::Propose | UpdatePolicy::Accept => {}
    }
    let reference = catalog.dataset_head(name, Lineage::Reference)?;
    let Some(followed) = seen.reference else {
        // What was there before the rules were turned on is nobody's news.
        let number = reference.map_or(0, |head| head.dataset.number);
        let reference = Some(Followed { number, job: None, told: true });
        return Ok(quietly(RulesProgress { reference, ..seen.clone() }));
    };
    if let Some(step) = tell(catalog, name, &seen, followed, now)? {
        return Ok(Some(step));
    }
    if let Some(head) = reference.as_ref().filter(|head| head.dataset.number > followed.number) {
        return follow(catalog, name, seen, head, now).map(Some);
    }
    // Production first: its labels are people's.
    for lineage in [Lineage::Production, Lineage::Source] {
        let reference = reference.as_ref().map(|head| head.dataset.number);
        if let Some(step) = look(state, &project, &seen, lineage, reference, now)? {
            return Ok(Some(step));
        }
    }
    Ok(None)
}

/// The pack of reference is made, or cannot be: says so.
fn tell(
    catalog: &Catalog,
    name: &ProjectName,
    seen: &RulesProgress,
    followed: Followed,
    now: Time,
) -> Result<Option<Step>> {
    let Followed { number, job: Some(id), told: false } = followed else { return Ok(None) };
    let dataset = DatasetRef { lineage: Lineage::Reference, number };
    let job = match catalog.job(id) {
        Ok(job) if !job.state.is_final() => return Ok(None),
        Ok(job) => Some(job),
        Err(StoreError::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    let (subject, text) = match job.map(|job| job.state) {
        Some(JobState::Succeeded) => (
            Subject::DataChanged { dataset, job: Some(id) },
            format!("data changed, consider retraining: {}", changed(catalog, name, dataset)?),
        ),
        _ => (
            Subject::Rules { dataset, job: Some(id) },
            format!("{dataset} is not preprocessed: its job did not succeed; a training does it itself"),
        ),
    };
    let reference = Some(Followed { told: true, ..followed });
    let event =
        EventDraft { at: now, project: Some(name.clone()), severity: Severity::Warning, subject, text };
    let to = RulesProgress { reference, ..seen.clone() };
    Ok(Some(Step { seen: seen.clone(), to, submit: None, event: Some(event) }))
}

/// How reference changed, and what learnt from which version of it.
fn changed(catalog: &Catalog, name: &ProjectName, dataset: DatasetRef) -> Result<String> {
    let version = catalog.dataset(name, dataset)?;
    let mut text = format!("{dataset} has {} images in {} classes", version.images(), version.classes.len());
    match catalog.alias(name, &AliasName::production()) {
        Ok(alias) => {
            let learnt_from = catalog.model(name, alias.model)?.dataset;
            text.push_str(&format!(", model {} in production learnt from {learnt_from}", alias.model));
        }
        Err(StoreError::NotFound { .. }) => text.push_str(", no model is in production"),
        Err(error) => return Err(error),
    }
    Ok(text)
}

/// Reference has a new version: it is preprocessed.
fn follow(
    catalog: &Catalog,
    name: &ProjectName,
    seen: RulesProgress,
    head: &DatasetVersion,
    now: Time,
) -> Result<Step> {
    let dataset = head.dataset;
    let spec = JobSpec::Preprocess { dataset, spec: preprocess_spec(catalog, name)? };
    let key: [&[u8]; 2] = [name.as_str().as_bytes(), &dataset.number.to_le_bytes()];
    let receipt = keys::derived("rules.preprocess", &key, now);
    let text = format!("{dataset} has {} images: preprocessing it", head.images());
    let event = told(name, dataset, text, now);
    let reference = Some(Followed { number: dataset.number, job: None, told: false });
    Ok(Step {
        to: RulesProgress { reference, ..seen.clone() },
        seen,
        submit: Some(Submit { of: Lineage::Reference, spec, receipt, replaces: None }),
        event: Some(event),
    })
}

/// Holds the newest version of a line against reference, unless that was done.
fn look(
    state: &State,
    project: &Project,
    seen: &RulesProgress,
    lineage: Lineage,
    against: Option<u32>,
    now: Time,
) -> Result<Option<Step>> {
    let (name, settings) = (&project.name, &project.settings);
    let (before, other) = match lineage {
        Lineage::Production => (&seen.production, Lineage::Source),
        Lineage::Source => (&seen.source, Lineage::Production),
        Lineage::Reference => return Ok(None),
    };
    let number = |lineage| Ok(state.catalog.dataset_head(name, lineage)?.map(|head| head.dataset.number));
    let Some(newest) = number(lineage)? else { return Ok(None) };
    let looked = Looked {
        number: newest,
        against,
        beside: number(other)?,
        class_rule: settings.class_rule,
        percent: settings.update_percent,
        policy: settings.update_policy,
        class_list: state.catalog.class_list(name)?.generation,
        unknown_labels: settings.unknown_labels,
        job: None,
    };
    if before.as_ref().is_some_and(|before| before.is_same(&looked)) {
        return Ok(None);
    }
    let Some(rule) = Evidence::gather(state, name, now)?.update(lineage, settings) else { return Ok(None) };
    let replaces = before.as_ref().and_then(|before| before.job);
    let submit = rule.met.then(|| update(name, settings, lineage, &looked, rule.from, replaces, now));
    let text = match (&submit, settings.update_policy) {
        (None, _) => rule.sentence,
        (Some(_), UpdatePolicy::Accept) => format!("{}: adding them to reference", rule.sentence),
        (Some(_), _) => format!("{}: proposing it", rule.sentence),
    };
    // A version that was looked at before, against another reference, is news only when it leads on.
    let is_news = submit.is_some() || before.as_ref().is_none_or(|before| before.number != newest);
    let event = is_news.then(|| told(name, rule.from, text, now));
    // Until the next one takes its place, the change-set of an earlier job may still be open.
    let looked = Some(Looked { job: replaces, ..looked });
    let to = match lineage {
        Lineage::Production => RulesProgress { production: looked, ..seen.clone() },
        Lineage::Source | Lineage::Reference => RulesProgress { source: looked, ..seen.clone() },
    };
    Ok(Some(Step { seen: seen.clone(), to, submit, event }))
}

fn update(
    name: &ProjectName,
    settings: &ProjectSettings,
    lineage: Lineage,
    looked: &Looked,
    from: DatasetRef,
    replaces: Option<JobId>,
    now: Time,
) -> Submit {
    let accept = settings.update_policy == UpdatePolicy::Accept;
    let spec = JobSpec::Propose {
        from,
        into: Lineage::Reference,
        accept,
        admit_all: false,
        // What nobody reviews only adds. And what an author published does not undo what people
        // corrected.
        only_add: accept || lineage == Lineage::Source,
        window: None,
    };
    // A struct of plain values always encodes.
    let looked = serde_json::to_vec(looked).unwrap_or_default();
    // A setting that is changed and changed back leads to the same look: the job of the first one is not
    // the answer to the second, since its change-set makes room for that one's.
    let replaced = replaces.map(|job| job.uuid().into_bytes()).unwrap_or_default();
    let parts: [&[u8]; 4] = [name.as_str().as_bytes(), lineage.as_str().as_bytes(), &looked, &replaced];
    Submit { of: lineage, spec, receipt: keys::derived("rules.update", &parts, now), replaces }
}

fn told(name: &ProjectName, dataset: DatasetRef, text: String, at: Time) -> EventDraft {
    let subject = Subject::Rules { dataset, job: None };
    EventDraft { at, project: Some(name.clone()), severity: Severity::Info, subject, text }
}

/// How the newest run of a project reads images; how the first one will when there is none.
///
/// # Errors
/// Those of the store.
pub(crate) fn preprocess_spec(catalog: &Catalog, project: &ProjectName) -> Result<PreprocessSpec> {
    let newest = catalog.runs(project, None, 1)?.items.into_iter().next();
    let (architecture, input) = FIRST_NETWORK;
    Ok(newest.map_or_else(|| PreprocessSpec::for_network(architecture, input), |run| run.preprocess))
}
