//! Projects.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigie_protocol::access::Principal;
use vigie_protocol::classes::ClassList;
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::label_check::LabelCheck;
use vigie_protocol::project::{NEAR_BITS, PicturePolicy, Project, ProjectSettings};
use vigie_protocol::rules::ClassRule;
use vigie_protocol::service::{Empty, InProject, ProjectCreate, ProjectUpdate};
use vigie_protocol::{AliasName, ApiError, ChangeSetId, ErrorCode, ProjectName, RunId, SourceName};

use super::super::world::Plan;
use super::State;
use super::aliases::AliasRow;
use super::datasets::{ChangeSetRow, DatasetRow};
use super::labelling::Labels;
use super::log::Log;
use super::models::ModelRow;
use super::once::Change;
use super::refusal::{check_generation, missing_project};
use super::runs::RunRow;
use super::source::Source;

/// Everything of one project.
#[derive(Debug)]
pub(super) struct InState {
    pub(super) plan: Arc<Plan>,
    pub(super) project: Project,
    /// Oldest first.
    pub(super) datasets: Vec<DatasetRow>,
    pub(super) change_sets: BTreeMap<ChangeSetId, ChangeSetRow>,
    pub(super) runs: BTreeMap<RunId, RunRow>,
    /// By number, from 1.
    pub(super) models: Vec<ModelRow>,
    pub(super) aliases: BTreeMap<AliasName, AliasRow>,
    pub(super) class_list: ClassList,
    /// Oldest first.
    pub(super) label_checks: Vec<LabelCheck>,
    pub(super) log: Log,
    pub(super) labels: Labels,
    pub(super) sources: BTreeMap<SourceName, vigie_protocol::source::Source>,
}

impl State {
    /// The project, or `NotFound` with what to do.
    pub(super) fn project(&self, name: &ProjectName) -> Result<&InState, ApiError> {
        self.projects.get(name).ok_or_else(|| missing_project(name))
    }

    pub(super) fn project_mut(&mut self, name: &ProjectName) -> Result<&mut InState, ApiError> {
        self.projects.get_mut(name).ok_or_else(|| missing_project(name))
    }

    pub(in super::super) fn project_list(
        &mut self,
        _: &Principal,
        _: Empty,
    ) -> Result<Vec<Project>, ApiError> {
        Ok(self.projects.values().map(|project| project.project.clone()).collect())
    }

    pub(in super::super) fn project_get(
        &mut self,
        _: &Principal,
        request: InProject,
    ) -> Result<Project, ApiError> {
        Ok(self.project(&request.project)?.project.clone())
    }

    pub(in super::super) fn project_create(
        &mut self,
        who: &Principal,
        request: ProjectCreate,
    ) -> Result<Project, ApiError> {
        check(&request.settings)?;
        let target = request.name.to_string();
        let (key, method) = (request.key, "project_create");
        let change = Change { key, method, request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let ProjectCreate { key: _, name, description, settings } = request.clone();
            if state.projects.contains_key(&name) {
                return Err(ApiError::new(ErrorCode::Conflict, format!("project {name} exists already")));
            }
            let (created, by) = (state.now, who.name.clone());
            let project = Project { name, description, created, by, settings, generation: 1 };
            let plan = state.plan_for(&project.name);
            state.add_project(plan, project.clone(), None);
            let text = format!("project {} was created by {}", project.name, who.name);
            state.event(Some(&project.name), Severity::Info, Subject::Project, text);
            Ok(project)
        })
    }

    pub(in super::super) fn project_update(
        &mut self,
        who: &Principal,
        request: ProjectUpdate,
    ) -> Result<Project, ApiError> {
        check(&request.settings)?;
        let target = request.project.to_string();
        let (key, method) = (request.key, "project_update");
        let change = Change { key, method, request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let project = &mut state.project_mut(&request.project)?.project;
            let what = format_args!("project {}", request.project);
            check_generation(what, project.generation, request.expected_generation)?;
            project.description.clone_from(&request.description);
            project.settings = request.settings.clone();
            project.generation += 1;
            let project = project.clone();
            let text = format!("project {} was changed by {}", project.name, who.name);
            state.event(Some(&project.name), Severity::Info, Subject::Project, text);
            Ok(project)
        })
    }

    /// Takes a project in that has nothing yet; its predictions will come every `period` microseconds.
    pub(super) fn add_project(&mut self, plan: Arc<Plan>, project: Project, period: Option<i64>) {
        let source = Source::new(Arc::clone(&plan), self.identity.seed, self.identity.index);
        let name = project.name.clone();
        let fresh = InState {
            plan,
            project,
            datasets: Vec::new(),
            change_sets: BTreeMap::new(),
            runs: BTreeMap::new(),
            models: Vec::new(),
            aliases: BTreeMap::new(),
            class_list: ClassList::default(),
            label_checks: Vec::new(),
            log: Log::new(Arc::new(source), period),
            labels: Labels::default(),
            sources: BTreeMap::new(),
        };
        self.projects.insert(name, fresh);
    }

    /// The fleet's plan of that name; a new project is like the fleet's last, under its own name.
    fn plan_for(&self, name: &ProjectName) -> Arc<Plan> {
        let plans = &self.world.projects;
        match plans.iter().find(|plan| plan.name == *name) {
            Some(plan) => Arc::clone(plan),
            None => Arc::new(Plan::of_few(name.clone(), self.world.seed, plans.len() as u64)),
        }
    }
}

fn check(settings: &ProjectSettings) -> Result<(), ApiError> {
    let ProjectSettings {
        keep_pictures,
        picture_days: _,
        split_percent,
        unknown_labels: _,
        class_rule,
        update_percent,
        update_policy: _,
        audit_percent,
        keep_confident,
        near_bits,
    } = settings;
    if !NEAR_BITS.contains(near_bits) {
        return Err(ApiError::invalid(format!(
            "near duplicates differ in {} to {} bits of their fingerprints, not in {near_bits}",
            NEAR_BITS.start(),
            NEAR_BITS.end()
        )));
    }
    if *class_rule == (ClassRule::Fixed { images: 0 }) {
        return Err(ApiError::invalid("a class rule of a fixed number needs at least one image"));
    }
    if !(0.0..=100.0).contains(update_percent) {
        return Err(ApiError::invalid("the share of new images is 0 to 100 percent"));
    }
    if !(0.0..=100.0).contains(audit_percent) {
        return Err(ApiError::invalid("the audit sample is 0 to 100 percent of the predictions"));
    }
    if keep_confident.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return Err(ApiError::invalid("the confidence from which images are kept is 0 to 1"));
    }
    if split_percent.iter().map(|&share| u32::from(share)).sum::<u32>() != 100 || split_percent[0] == 0 {
        return Err(ApiError::invalid(
            "the shares of train, valid and test must add up to 100, train above 0",
        ));
    }
    match keep_pictures {
        PicturePolicy::Sampled { percent } if !(1..=99).contains(percent) => {
            Err(ApiError::invalid("a sample of pictures is 1 to 99 percent"))
        }
        PicturePolicy::None | PicturePolicy::Sampled { .. } | PicturePolicy::All | PicturePolicy::Unknown => {
            Ok(())
        }
    }
}
