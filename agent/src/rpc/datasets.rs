//! Dataset versions and change-sets.

use vigie_core::store::manifest::{Differences, Listing, class_sizes};
use vigie_core::store::{Blobs, State, StoreError};
use vigie_protocol::dataset::{
    ChangeSet, ClassSizes, DatasetDifference, DatasetImage, DatasetRef, DatasetVersion, Decision,
};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::page::Page;
use vigie_protocol::service::{
    ChangeSetDecide, ChangeSetGet, ChangeSetList, DatasetDiff, DatasetGet, DatasetImages, DatasetList,
};
use vigie_protocol::{ApiError, Time};

use super::Api;
use super::api::Change;

pub(super) async fn list(api: Api, request: DatasetList) -> Result<Page<DatasetVersion>, ApiError> {
    let DatasetList { project, lineage, page } = request;
    api.project(project.clone()).await?;
    api.read(move |state| {
        state.catalog.datasets(&project, lineage, page.cursor.as_ref(), page.capped_limit())
    })
    .await
}

pub(super) async fn get(api: Api, request: DatasetGet) -> Result<DatasetVersion, ApiError> {
    let DatasetGet { project, dataset } = request;
    api.project(project.clone()).await?;
    api.read(move |state| state.catalog.dataset(&project, dataset)).await
}

pub(super) async fn images(api: Api, request: DatasetImages) -> Result<Page<DatasetImage>, ApiError> {
    let version =
        get(api.clone(), DatasetGet { project: request.project.clone(), dataset: request.dataset }).await?;
    let DatasetImages { project: _, dataset: _, class, split, page } = request;
    api.read(move |state| {
        let bytes = manifest(state, &version)?;
        Listing { class: class.as_deref(), split }.page(&bytes, page.cursor.as_ref(), page.capped_limit())
    })
    .await
}

pub(super) async fn sizes(api: Api, request: DatasetGet) -> Result<Vec<ClassSizes>, ApiError> {
    let version = get(api.clone(), request).await?;
    api.read(move |state| class_sizes(&manifest(state, &version)?)).await
}

pub(super) async fn diff(api: Api, request: DatasetDiff) -> Result<DatasetDifference, ApiError> {
    let DatasetDiff { project, from, to, class, page } = request;
    api.project(project.clone()).await?;
    api.read(move |state| {
        let read = |dataset| manifest(state, &state.catalog.dataset(&project, dataset)?);
        let (from, to) = (from.map(read).transpose()?, read(to)?);
        let differences = Differences { class: class.as_deref() };
        differences.page(from.as_deref(), &to, page.cursor.as_ref(), page.capped_limit())
    })
    .await
}

/// The bytes of a version's manifest.
pub(super) fn manifest(state: &State, version: &DatasetVersion) -> Result<Vec<u8>, StoreError> {
    let hash = version.manifest;
    let missing = || StoreError::NotFound { what: format!("the manifest {} in the blobs", hash.short()) };
    state.blobs.get(hash)?.ok_or_else(missing)
}

pub(super) async fn change_sets(api: Api, request: ChangeSetList) -> Result<Page<ChangeSet>, ApiError> {
    let ChangeSetList { project, page } = request;
    api.project(project.clone()).await?;
    api.read(move |state| state.catalog.change_sets(&project, page.cursor.as_ref(), page.capped_limit()))
        .await
}

pub(super) async fn change_set(api: Api, request: ChangeSetGet) -> Result<ChangeSet, ApiError> {
    let ChangeSetGet { project, change_set } = request;
    api.read(move |state| state.catalog.change_set(&project, change_set)).await
}

pub(super) async fn decide(api: Api, request: ChangeSetDecide) -> Result<ChangeSet, ApiError> {
    let ChangeSetDecide { key, project, change_set, expected_generation, accept, reason } = request;
    let target = format!("{project}/{change_set} {}", if accept { "accept" } else { "reject" });
    let change = Change { key, method: "change_set_decide", target, reason: reason.clone() };
    let decision = Decision { at: Time::now(), by: api.who(), reason };
    api.change::<ChangeSet, ChangeSet, _>(change, move |api, receipt| async move {
        let name = project.clone();
        let change_set = api
            .read(move |state| {
                let (catalog, expected) = (&state.catalog, Some(expected_generation));
                if accept {
                    catalog.accept(&name, change_set, expected, &decision, Some(&receipt))
                } else {
                    catalog.reject(&name, change_set, expected, &decision, Some(&receipt))
                }
            })
            .await?;
        let lineage = change_set.lineage;
        let dataset = change_set.accepted_as.map(|number| DatasetRef { lineage, number });
        let (subject, text) = match dataset {
            Some(dataset) => (
                Subject::Dataset { dataset },
                format!("{dataset} was made from {} by {}", change_set.origin, api.who()),
            ),
            None => (
                Subject::ChangeSet { change_set: change_set.id },
                format!("{} was rejected by {}", change_set.origin, api.who()),
            ),
        };
        api.app.event(Some(project), Severity::Info, subject, text).await;
        Ok(change_set)
    })
    .await
}
