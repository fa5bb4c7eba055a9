//! Class lists, checks of labels, and what is known of dataset versions beside their images. The
//! labels of a simulated world are right: checks find nothing to doubt.

use std::collections::BTreeMap;

use vigie_core::data::balance;
use vigie_core::data::labels::{Matcher, check_list};
use vigie_protocol::access::Principal;
use vigie_protocol::balance::BalancePlan;
use vigie_protocol::classes::{ClassList, LabelMatch};
use vigie_protocol::dataset::{ChangeSet, DatasetVersion, Split, SplitCounts};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::history::{DatasetHistory, DatasetModelMetadata, SplitFigures};
use vigie_protocol::label_check::{LabelCheck, LabelIssues};
use vigie_protocol::model::Passport;
use vigie_protocol::page::Page;
use vigie_protocol::service::{
    ChangeSetGet, ClassCheck, ClassListSet, DatasetBalance, DatasetGet, DatasetList, DatasetMetadata, Empty,
    InProject, LabelCheckList, LabelIssueList, LabelKeep, ModelDetail, ModelGet, RunGet,
};
use vigie_protocol::{ApiError, Hash};

use super::State;
use super::once::Change;
use super::page::{cursor, page};
use super::refusal::{check_generation, missing};

impl State {
    pub(in super::super) fn class_list_get(
        &mut self,
        _: &Principal,
        request: InProject,
    ) -> Result<ClassList, ApiError> {
        Ok(self.project(&request.project)?.class_list.clone())
    }

    pub(in super::super) fn class_list_set(
        &mut self,
        who: &Principal,
        request: ClassListSet,
    ) -> Result<ClassList, ApiError> {
        let ClassListSet { key, project, expected_generation, classes, aliases } = request.clone();
        let (changed, by) = (Some(self.now), Some(who.name.clone()));
        let list = ClassList { classes, aliases, generation: expected_generation + 1, changed, by };
        check_list(&list).map_err(ApiError::invalid)?;
        let (names, others) = (list.classes.len(), list.aliases.len());
        let target = format!("{project}: {names} classes, {others} aliases");
        let method = "class_list_set";
        let change = Change { key, method, request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let held = &mut state.project_mut(&project)?.class_list;
            let what = format_args!("the class list of {project}");
            check_generation(what, held.generation, expected_generation)?;
            *held = list.clone();
            let text =
                format!("the class list has {names} classes and {others} aliases now, set by {}", who.name);
            state.event(Some(&project), Severity::Info, Subject::Project, text);
            Ok(list)
        })
    }

    pub(in super::super) fn class_check(
        &mut self,
        who: &Principal,
        request: ClassCheck,
    ) -> Result<Vec<LabelMatch>, ApiError> {
        let ClassCheck { project, labels, dataset } = request;
        let mut images: BTreeMap<String, u64> = labels.into_iter().map(|label| (label, 0)).collect();
        if let Some(dataset) = dataset {
            let version = self.dataset_get(who, DatasetGet { project: project.clone(), dataset })?;
            images.extend(version.classes.iter().map(|(class, counts)| (class.clone(), counts.total())));
        }
        let matcher = Matcher::new(&self.project(&project)?.class_list);
        Ok(images.iter().map(|(label, &images)| matcher.tell(label, images)).collect())
    }

    pub(in super::super) fn dataset_history(
        &mut self,
        who: &Principal,
        request: DatasetList,
    ) -> Result<Page<DatasetHistory>, ApiError> {
        let project = request.project.clone();
        let Page { items, next } = self.dataset_list(who, request)?;
        let mut row = |version: DatasetVersion| {
            let get = ChangeSetGet { project: project.clone(), change_set: version.change_set };
            let set: ChangeSet = self.change_set_get(who, get)?;
            Ok(DatasetHistory {
                version,
                change: set.totals(),
                origin: set.origin,
                unchanged: set.unchanged,
                quarantined: set.quarantined,
                reason: set.decided.and_then(|decided| decided.reason),
            })
        };
        Ok(Page { items: items.into_iter().map(&mut row).collect::<Result<_, ApiError>>()?, next })
    }

    pub(in super::super) fn dataset_balance(
        &mut self,
        who: &Principal,
        request: DatasetBalance,
    ) -> Result<BalancePlan, ApiError> {
        let DatasetBalance { project, dataset, balance } = request;
        let version = self.dataset_get(who, DatasetGet { project, dataset })?;
        Ok(balance::plan(dataset, &version.classes, balance))
    }

    pub(in super::super) fn dataset_metadata(
        &mut self,
        who: &Principal,
        request: DatasetMetadata,
    ) -> Result<DatasetModelMetadata, ApiError> {
        let DatasetMetadata { project, model: number, dataset } = request;
        let ModelDetail { model, passport, aliases: _ } =
            self.model_get(who, ModelGet { project: project.clone(), number })?;
        let run = self.run_get(who, RunGet { project: project.clone(), run: model.run })?;
        let dataset = dataset.unwrap_or(model.dataset);
        let version = self.dataset_get(who, DatasetGet { project: project.clone(), dataset })?;
        let Passport { classes, preprocess_hash, temperature, evaluation, made_by, epoch, .. } = passport;
        Ok(DatasetModelMetadata {
            project,
            dataset,
            manifest: version.manifest,
            dataset_created: version.created,
            dataset_classes: version.classes.keys().cloned().collect(),
            bytes: version.bytes,
            splits: Split::ALL.map(|split| figures(&version, split)).to_vec(),
            model: number,
            trained_on: model.dataset,
            model_classes: classes,
            architecture: model.architecture,
            run: model.run,
            epoch,
            recipe: run.recipe,
            preprocess: preprocess_hash,
            weights: model.weights,
            passport: model.passport,
            temperature,
            accuracy: evaluation.accuracy,
            top3_accuracy: evaluation.top3_accuracy,
            balanced_accuracy: evaluation.balanced_accuracy,
            macro_f1: evaluation.macro_f1,
            log_loss: evaluation.log_loss,
            calibration_error: evaluation.calibration_error,
            made_by,
            model_created: model.created,
        })
    }

    pub(in super::super) fn label_check_list(
        &mut self,
        _: &Principal,
        request: LabelCheckList,
    ) -> Result<Page<LabelCheck>, ApiError> {
        let LabelCheckList { project, page: wanted } = request;
        let checks = &self.project(&project)?.label_checks;
        let past: Option<usize> = cursor(&wanted)?;
        let rows = checks.iter().enumerate().rev().filter(|(at, _)| past.is_none_or(|past| *at < past));
        Ok(page(&wanted, rows.map(|(at, check)| (at, Some(check.clone())))))
    }

    pub(in super::super) fn label_issue_list(
        &mut self,
        _: &Principal,
        request: LabelIssueList,
    ) -> Result<LabelIssues, ApiError> {
        let LabelIssueList { project, check: wanted, class: _, page: _ } = request;
        let checks = &self.project(&project)?.label_checks;
        let check = checks.iter().rev().find(|check| wanted.is_none_or(|job| check.job == job));
        let missing = || missing(format_args!("a label check of {project}"));
        Ok(LabelIssues { check: check.cloned().ok_or_else(missing)?, issues: Page::whole(Vec::new()) })
    }

    pub(in super::super) fn label_keep(
        &mut self,
        who: &Principal,
        request: LabelKeep,
    ) -> Result<Empty, ApiError> {
        self.project(&request.project)?;
        let target = format!("{}: {} labels", request.project, request.labels.len());
        let (key, method) = (request.key, "label_keep");
        let change = Change { key, method, request: &request, target, reason: None, who };
        self.once(&change, |_| Ok(Empty {}))
    }
}

fn figures(version: &DatasetVersion, split: Split) -> SplitFigures {
    let count = |counts: &SplitCounts| *counts.clone().of_mut(split);
    let images = version.classes.values().map(count).sum();
    let hash = Hash::of(format!("{} {split}", version.manifest).as_bytes());
    SplitFigures { split, images, hash }
}
