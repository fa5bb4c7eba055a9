//! Labelling: what is asked, and answers for many images at once.

use std::collections::{BTreeMap, BTreeSet};

use vigie_core::data::labels::class_name;
use vigie_core::store::catalog::Clustering;
use vigie_core::store::{Blobs, PredictionLog, State, StoreError};
use vigie_protocol::feedback::{
    Cluster, Clusters, Feedback, FeedbackState, LabelItem, LabelQueue, Said, Vote,
};
use vigie_protocol::page::{Page, PageCursor, PageRequest};
use vigie_protocol::service::{ClusterLabelled, InProject, LabelCluster, LabelNext, LabelPage};
use vigie_protocol::{ApiError, ErrorCode, PredictionId, ProjectName, Time};

use super::Api;
use super::api::Change;
use super::feedback::{known_classes, voted};
use crate::fault::api_error;

/// Queues are counted up to this.
const COUNTED: usize = 10_000;
/// Images shown of a cluster.
const EXAMPLES: usize = 24;
/// Predicted classes shown of a cluster.
const PREDICTED: usize = 3;
/// Images that may be left out of an answer for a cluster.
const MAX_EXCEPT: usize = 2_000;

pub(super) async fn classes(api: Api, request: InProject) -> Result<Vec<String>, ApiError> {
    let project = request.project;
    api.project(project.clone()).await?;
    api.read(move |state| Ok(known_classes(state, &project)?.into_iter().collect())).await
}

pub(super) async fn next(api: Api, request: LabelNext) -> Result<LabelPage, ApiError> {
    let LabelNext { project, queue, cluster, reveal, page } = request;
    api.project(project.clone()).await?;
    let who = api.who();
    match (queue, cluster) {
        (LabelQueue::Deferred, _) => api.read(move |state| deferred(state, &project, &page)).await,
        (LabelQueue::Audit, _) => {
            let mut found = api.read(move |state| audit(state, &project, &page, &who)).await?;
            if !reveal {
                found.items.items.iter_mut().for_each(LabelItem::blind);
            }
            Ok(found)
        }
        (LabelQueue::Cluster, Some(number)) => {
            api.app.blocking(move |app| in_cluster(&app.state, &project, number, &page)).await
        }
        (LabelQueue::Cluster, None) => Err(ApiError::invalid("which cluster? give its number")),
        (LabelQueue::Unknown, _) => {
            Err(ApiError::new(ErrorCode::Unsupported, "this agent does not know that queue"))
        }
    }
}

pub(super) async fn clusters(api: Api, request: InProject) -> Result<Clusters, ApiError> {
    let project = request.project;
    api.project(project.clone()).await?;
    api.read(move |state| {
        let waiting = state.catalog.count_deferred(&project, COUNTED)?;
        let Some(clustering) = state.catalog.clustering(&project)? else {
            return Ok(Clusters { made: None, model: None, clusters: Vec::new(), outside: waiting });
        };
        let mut clusters = Vec::new();
        let mut inside = 0;
        for (number, members) in (1..).zip(&clustering.clusters) {
            let rows = still_deferred(state, &project, members)?;
            inside += rows.len() as u64;
            if !rows.is_empty() {
                clusters.push(shown(number, &rows));
            }
        }
        let Clustering { made, model, clusters: _ } = clustering;
        let outside = waiting.saturating_sub(inside);
        Ok(Clusters { made: Some(made), model: Some(model), clusters, outside })
    })
    .await
}

pub(super) async fn label_cluster(api: Api, request: LabelCluster) -> Result<ClusterLabelled, ApiError> {
    let LabelCluster { key, project, made, cluster, except, class, new_class } = request;
    api.project(project.clone()).await?;
    let class = class_name(&class).map_err(ApiError::invalid)?;
    if except.len() > MAX_EXCEPT {
        return Err(ApiError::invalid(format!("at most {MAX_EXCEPT} images can be left out of an answer")));
    }
    let target = format!("{project} cluster {cluster} of {made}: wrong, it is {class}");
    let change = Change { key, method: "label_cluster", target, reason: None };
    let said = Said::Wrong { class: class.clone() };
    let vote = Vote { by: api.who(), at: Time::now(), said, blind: false };
    api.change::<(u64, u64), ClusterLabelled, _>(change, move |api, receipt| async move {
        let founded = api.founds(&project, &class, new_class).await?;
        let name = project.clone();
        let labelled = api
            .app
            .blocking(move |app| {
                let members = members(&app.state, &name, cluster, Some(made))?;
                let except: BTreeSet<PredictionId> = except.into_iter().collect();
                let wanted: Vec<PredictionId> =
                    members.into_iter().filter(|id| !except.contains(id)).collect();
                let label = || {
                    let mut votes = Vec::new();
                    for row in still_deferred(&app.state, &name, &wanted)? {
                        votes.extend(voted(&app.state, &name, row.prediction)?);
                    }
                    app.state.catalog.give_feedback_to_all(&name, &votes, &vote, Some(&receipt))
                };
                label().map_err(api_error)
            })
            .await?;
        if founded {
            api.tell_founded(project, &class).await;
        }
        Ok(labelled.into())
    })
    .await
}

fn deferred(state: &State, project: &ProjectName, page: &PageRequest) -> Result<LabelPage, StoreError> {
    let rows = state.catalog.deferred(project, page.cursor.as_ref(), page.capped_limit())?;
    let waiting = state.catalog.count_deferred(project, COUNTED)?;
    shown_page(state, rows, waiting)
}

/// The audit sample without what the asker has seen the prediction of. What others said is left out:
/// it is blind.
fn audit(
    state: &State,
    project: &ProjectName,
    page: &PageRequest,
    who: &str,
) -> Result<LabelPage, StoreError> {
    let ids = state.catalog.audit_sample_due(project, page.cursor.as_ref(), page.capped_limit())?;
    let mut rows = Vec::with_capacity(ids.items.len());
    let mut lost = 0;
    for id in ids.items {
        match state.log.get(project, id)? {
            None => lost += 1,
            Some(prediction) => {
                let said = state.catalog.feedback(project, id)?.map_or_else(Vec::new, |row| row.votes);
                if said.iter().all(|vote| vote.by != who) {
                    rows.push(Feedback::about(&prediction));
                }
            }
        }
    }
    let waiting = state.catalog.count_audit_due(project, COUNTED)?;
    let mut shown = shown_page(state, Page { items: rows, next: ids.next }, waiting)?;
    shown.gone += lost;
    Ok(shown)
}

fn in_cluster(
    state: &State,
    project: &ProjectName,
    number: u32,
    page: &PageRequest,
) -> Result<LabelPage, ApiError> {
    let from = match &page.cursor {
        None => 0,
        Some(cursor) => cursor.0.parse::<usize>().map_err(|_| api_error(StoreError::BadCursor))?,
    };
    let members = members(state, project, number, None)?;
    let look = || {
        let waiting = still_deferred(state, project, &members)?.len() as u64;
        let end = from.saturating_add(page.capped_limit()).min(members.len());
        let items = still_deferred(state, project, members.get(from..end).unwrap_or_default())?;
        let next = (end < members.len()).then(|| PageCursor(end.to_string()));
        shown_page(state, Page { items, next }, waiting)
    };
    look().map_err(api_error)
}

/// The predictions of a cluster; `made` says which clusters the number is of, the newest if absent.
fn members(
    state: &State,
    project: &ProjectName,
    number: u32,
    made: Option<Time>,
) -> Result<Vec<PredictionId>, ApiError> {
    let missing = || {
        ApiError::not_found(format_args!("cluster {number} of {project}"))
            .with_hint("`vigie label clusters` shows those there are")
    };
    let clustering = state.catalog.clustering(project).map_err(api_error)?.ok_or_else(missing)?;
    if made.is_some_and(|made| made != clustering.made) {
        return Err(ApiError::new(ErrorCode::Conflict, "the clusters were made anew meanwhile")
            .with_hint("look at them again, then answer"));
    }
    let place = (number as usize).checked_sub(1).ok_or_else(missing)?;
    clustering.clusters.into_iter().nth(place).ok_or_else(missing)
}

fn still_deferred(
    state: &State,
    project: &ProjectName,
    members: &[PredictionId],
) -> Result<Vec<Feedback>, StoreError> {
    let mut rows = Vec::new();
    for id in members {
        rows.extend(state.catalog.feedback(project, *id)?.filter(|row| row.state == FeedbackState::Deferred));
    }
    Ok(rows)
}

fn shown(number: u32, rows: &[Feedback]) -> Cluster {
    let mut predicted: BTreeMap<&str, u64> = BTreeMap::new();
    rows.iter().for_each(|row| *predicted.entry(row.predicted()).or_default() += 1);
    let mut predicted: Vec<(&str, u64)> = predicted.into_iter().collect();
    predicted.sort_by_key(|(_, n)| std::cmp::Reverse(*n));
    Cluster {
        number,
        images: rows.len() as u64,
        examples: rows.iter().take(EXAMPLES).map(|row| row.image).collect(),
        predicted: predicted.into_iter().take(PREDICTED).map(|(class, _)| class.to_owned()).collect(),
    }
}

fn shown_page(state: &State, rows: Page<Feedback>, waiting: u64) -> Result<LabelPage, StoreError> {
    let mut items = Vec::with_capacity(rows.items.len());
    let mut gone = 0;
    for row in rows.items {
        if state.blobs.size(row.image)?.is_none() {
            gone += 1;
            continue;
        }
        let Feedback { prediction, at, model, image, top, name, votes, .. } = row;
        items.push(LabelItem { prediction, at, model, image, name, top, votes });
    }
    Ok(LabelPage { items: Page { items, next: rows.next }, waiting, gone })
}
