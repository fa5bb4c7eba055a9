//! Dataset versions and change-sets.

use vigie_core::store::manifest::Manifest;
use vigie_core::store::{Blobs, State, StoreError};
use vigie_protocol::dataset::{ChangeSet, DatasetImage, DatasetVersion, Decision};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::service::{
    ChangeSetDecide, ChangeSetGet, ChangeSetList, DatasetGet, DatasetImages, DatasetList,
};
use vigie_protocol::{ApiError, Hash, Time};

use super::Handler;
use super::handler::Change;

pub(super) async fn list(handler: Handler, request: DatasetList) -> Result<Page<DatasetVersion>, ApiError> {
    let DatasetList { project, lineage, page } = request;
    handler.project(project.clone()).await?;
    handler
        .read(move |state| {
            state.catalog.datasets(&project, lineage, page.cursor.as_ref(), page.capped_limit())
        })
        .await
}

pub(super) async fn get(handler: Handler, request: DatasetGet) -> Result<DatasetVersion, ApiError> {
    let DatasetGet { project, dataset } = request;
    handler.project(project.clone()).await?;
    let what = format!("{dataset} of {project}");
    handler
        .read(move |state| state.catalog.dataset(&project, dataset))
        .await?
        .ok_or_else(|| ApiError::not_found(what).with_hint("see `vigie datasets list`"))
}

pub(super) async fn images(handler: Handler, request: DatasetImages) -> Result<Page<DatasetImage>, ApiError> {
    let version =
        get(handler.clone(), DatasetGet { project: request.project.clone(), dataset: request.dataset }).await?;
    handler.read(move |state| image_page(&read_manifest(state, version.manifest)?, &request)).await
}

pub(super) async fn change_sets(handler: Handler, request: ChangeSetList) -> Result<Page<ChangeSet>, ApiError> {
    let ChangeSetList { project, page } = request;
    handler.project(project.clone()).await?;
    handler
        .read(move |state| state.catalog.change_sets(&project, page.cursor.as_ref(), page.capped_limit()))
        .await
}

pub(super) async fn change_set(handler: Handler, request: ChangeSetGet) -> Result<ChangeSet, ApiError> {
    let ChangeSetGet { project, change_set } = request;
    handler
        .read(move |state| state.catalog.change_set(&project, change_set))
        .await?
        .ok_or_else(|| ApiError::not_found(format_args!("change-set {change_set}")))
}

pub(super) async fn decide(handler: Handler, request: ChangeSetDecide) -> Result<ChangeSet, ApiError> {
    let ChangeSetDecide { key, project, change_set, expected_generation, accept, reason } = request;
    let target = format!("{project}/{change_set} {}", if accept { "accept" } else { "reject" });
    let change = Change { key, method: "change_set_decide", target, reason: reason.clone() };
    let receipt = change.receipt();
    let decision = Decision { at: Time::now(), by: handler.who(), reason };
    handler
        .change::<ChangeSet, ChangeSet, _>(change, move |handler| async move {
            let name = project.clone();
            let decided = handler
                .read(move |state| {
                    let catalog = &state.catalog;
                    if accept {
                        catalog
                            .accept(&name, change_set, Some(expected_generation), &decision, Some(&receipt))
                            .map(|(change_set, version)| (change_set, Some(version.dataset)))
                    } else {
                        catalog
                            .reject(&name, change_set, Some(expected_generation), &decision, Some(&receipt))
                            .map(|change_set| (change_set, None))
                    }
                })
                .await;
            let (change_set, dataset) = decided?;
            let (subject, text) = match dataset {
                Some(dataset) => (
                    Subject::Dataset { dataset },
                    format!("{dataset} was made from {} by {}", change_set.origin, handler.who()),
                ),
                None => (
                    Subject::ChangeSet { change_set: change_set.id },
                    format!("{} was rejected by {}", change_set.origin, handler.who()),
                ),
            };
            handler.app.event(Some(project), Severity::Info, subject, text).await;
            Ok(change_set)
        })
        .await
}

fn read_manifest(state: &State, hash: Hash) -> Result<Manifest, StoreError> {
    let bytes = state.blobs.get(hash)?.ok_or_else(|| StoreError::NotFound {
        what: format!("the manifest {} in the blobs", hash.short()),
    })?;
    Manifest::decode(&bytes)
}

/// A page of a version's images. The cursor is the last image's hash.
fn image_page(manifest: &Manifest, request: &DatasetImages) -> Result<Page<DatasetImage>, StoreError> {
    let start = match &request.page.cursor {
        Some(cursor) => {
            let last: Hash = cursor.0.parse().map_err(|_| StoreError::BadCursor)?;
            manifest.images().partition_point(|image| image.image <= last)
        }
        None => 0,
    };
    let wanted = |image: &&DatasetImage| {
        request.class.as_ref().is_none_or(|class| image.label == *class)
            && request.split.is_none_or(|split| image.split == split)
    };
    let limit = request.page.capped_limit();
    let mut items: Vec<DatasetImage> =
        manifest.images()[start..].iter().filter(wanted).take(limit + 1).cloned().collect();
    let more = items.len() > limit;
    items.truncate(limit);
    let next = items.last().filter(|_| more).map(|image| PageCursor(image.image.to_string()));
    Ok(Page { items, next })
}
