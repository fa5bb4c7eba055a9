//! Class lists, and labels that may be wrong.

use std::collections::{BTreeMap, HashMap};

use vigie_core::data::labels::{Matcher, check_list};
use vigie_core::store::manifest::Manifest;
use vigie_core::store::{Blobs, State, StoreError, label_report};
use vigie_protocol::classes::{ClassList, LabelMatch};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::label_check::{LabelCheck, LabelIssue, LabelIssues};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::service::{
    ClassCheck, ClassListSet, Empty, InProject, LabelCheckList, LabelIssueList, LabelKeep,
};
use vigie_protocol::{ApiError, Hash, ProjectName, Time};

use super::api::Change;
use super::{Api, datasets};

/// Labels that are named in one request.
const MAX_LABELS: usize = 1_000;

pub(super) async fn list(api: Api, request: InProject) -> Result<ClassList, ApiError> {
    api.project(request.project.clone()).await?;
    api.read(move |state| state.catalog.class_list(&request.project)).await
}

pub(super) async fn set_list(api: Api, request: ClassListSet) -> Result<ClassList, ApiError> {
    let ClassListSet { key, project, expected_generation, classes, aliases } = request;
    let (changed, by) = (Some(Time::now()), Some(api.who()));
    let list = ClassList { classes, aliases, generation: 0, changed, by };
    check_list(&list).map_err(ApiError::invalid)?;
    let (names, others) = (list.classes.len(), list.aliases.len());
    let target = format!("{project}: {names} classes, {others} aliases");
    let change = Change { key, method: "class_list_set", target, reason: None };
    api.change::<ClassList, ClassList, _>(change, move |api, receipt| async move {
        let name = project.clone();
        let set = api
            .read(move |state| {
                state.catalog.set_class_list(&name, expected_generation, &list, Some(&receipt))
            })
            .await?;
        let text =
            format!("the class list has {names} classes and {others} aliases now, set by {}", api.who());
        api.app.event(Some(project), Severity::Info, Subject::Project, text).await;
        Ok(set)
    })
    .await
}

pub(super) async fn check(api: Api, request: ClassCheck) -> Result<Vec<LabelMatch>, ApiError> {
    let ClassCheck { project, labels, dataset } = request;
    if labels.len() > MAX_LABELS {
        return Err(ApiError::invalid(format!("at most {MAX_LABELS} labels are checked at once")));
    }
    api.project(project.clone()).await?;
    api.read(move |state| {
        let mut images: BTreeMap<String, u64> = labels.into_iter().map(|label| (label, 0)).collect();
        if let Some(dataset) = dataset {
            for (class, counts) in state.catalog.dataset(&project, dataset)?.classes {
                images.insert(class, counts.total());
            }
        }
        let list = state.catalog.class_list(&project)?;
        let matcher = Matcher::new(&list);
        Ok(images.iter().map(|(label, &images)| matcher.tell(label, images)).collect())
    })
    .await
}

pub(super) async fn checks(api: Api, request: LabelCheckList) -> Result<Page<LabelCheck>, ApiError> {
    let LabelCheckList { project, page } = request;
    api.project(project.clone()).await?;
    api.read(move |state| state.catalog.label_checks(&project, page.cursor.as_ref(), page.capped_limit()))
        .await
}

pub(super) async fn issues(api: Api, request: LabelIssueList) -> Result<LabelIssues, ApiError> {
    api.project(request.project.clone()).await?;
    api.read(move |state| {
        let LabelIssueList { project, check, class, page } = request;
        let check = match check {
            Some(job) => state.catalog.label_check(&project, job)?,
            None => newest(state, &project)?,
        };
        let open = Open::new(state, &project, &check)?;
        let issues = open.page(class.as_deref(), page.cursor.as_ref(), page.capped_limit())?;
        Ok(LabelIssues { check, issues })
    })
    .await
}

fn newest(state: &State, project: &ProjectName) -> Result<LabelCheck, StoreError> {
    let newest = state.catalog.label_checks(project, None, 1)?.items.pop();
    newest.ok_or_else(|| StoreError::NotFound { what: format!("a label check of {project}") })
}

/// Candidates of a check that nobody decided on yet: the newest version of the line has the image under
/// the label that is doubted, and nobody said that it is right.
struct Open<'a> {
    state: &'a State,
    project: &'a ProjectName,
    candidates: Vec<LabelIssue>,
    labels: HashMap<Hash, String>,
}

impl<'a> Open<'a> {
    fn new(state: &'a State, project: &'a ProjectName, check: &LabelCheck) -> Result<Self, StoreError> {
        let missing = || StoreError::NotFound { what: format!("the report of label check {}", check.job) };
        let report = state.blobs.get(check.report)?.ok_or_else(missing)?;
        let candidates = label_report::decode(&report)?.issues;
        let head = state.catalog.dataset_head(project, check.dataset.lineage)?;
        let head =
            head.map(|head| Manifest::decode(&datasets::manifest(state, head.manifest)?)).transpose()?;
        let images = head.as_ref().map(Manifest::images).unwrap_or_default();
        let labels = candidates
            .iter()
            .filter_map(|candidate| {
                let found = images.binary_search_by_key(&candidate.image, |image| image.image).ok()?;
                Some((candidate.image, images[found].label.clone()))
            })
            .collect();
        Ok(Self { state, project, candidates, labels })
    }

    /// The cursor is the place in the report that the page before ended at.
    fn page(
        &self,
        class: Option<&str>,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<LabelIssue>, StoreError> {
        let start: usize =
            cursor.map_or(Ok(0), |cursor| cursor.0.parse().map_err(|_| StoreError::BadCursor))?;
        let mut items = Vec::new();
        for (place, candidate) in self.candidates.iter().enumerate().skip(start) {
            if class.is_some_and(|class| candidate.label != class) || !self.is_open(candidate)? {
                continue;
            }
            if items.len() == limit {
                return Ok(Page { items, next: Some(PageCursor(place.to_string())) });
            }
            items.push(candidate.clone());
        }
        Ok(Page::whole(items))
    }

    fn is_open(&self, candidate: &LabelIssue) -> Result<bool, StoreError> {
        Ok(self.labels.get(&candidate.image) == Some(&candidate.label)
            && !self.state.catalog.is_label_kept(self.project, candidate.image, &candidate.label)?)
    }
}

pub(super) async fn keep(api: Api, request: LabelKeep) -> Result<Empty, ApiError> {
    let LabelKeep { key, project, labels } = request;
    if labels.is_empty() || labels.len() > MAX_LABELS {
        return Err(ApiError::invalid(format!("between 1 and {MAX_LABELS} labels are kept at once")));
    }
    let target = format!("{project}: {} labels", labels.len());
    let change = Change { key, method: "label_keep", target, reason: None };
    let (by, at) = (api.who(), Time::now());
    api.change::<Empty, Empty, _>(change, move |api, receipt| async move {
        api.read(move |state| state.catalog.keep_labels(&project, &labels, &by, at)).await?;
        api.keep(receipt, Empty {}).await
    })
    .await
}
