//! Dataset versions and change-sets.

use vigie_core::data::near::Nearness;
use vigie_core::data::part::{Part, part};
use vigie_core::data::review::Changes;
use vigie_core::fail_point::{self, FailPoint};
use vigie_core::store::catalog::AcceptedPart;
use vigie_core::store::manifest::{Differences, Listing, Manifest, class_sizes};
use vigie_core::store::{Blobs, State, StoreError};
use vigie_protocol::dataset::{
    ChangeSet, ChangeSetState, ClassSizes, DatasetDifference, DatasetImage, DatasetRef, DatasetVersion,
    Decision,
};
use vigie_protocol::event::{Severity, Subject, Update};
use vigie_protocol::page::Page;
use vigie_protocol::review::{ChangeSetImage, Selection};
use vigie_protocol::service::{
    ChangeSetDecide, ChangeSetGet, ChangeSetImages, ChangeSetList, DatasetDiff, DatasetGet, DatasetImages,
    DatasetList,
};
use vigie_protocol::{ApiError, Hash, ProjectName, Time};

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
        let bytes = manifest(state, version.manifest)?;
        Listing { class: class.as_deref(), split }.page(&bytes, page.cursor.as_ref(), page.capped_limit())
    })
    .await
}

pub(super) async fn sizes(api: Api, request: DatasetGet) -> Result<Vec<ClassSizes>, ApiError> {
    let version = get(api.clone(), request).await?;
    api.read(move |state| class_sizes(&manifest(state, version.manifest)?)).await
}

pub(super) async fn diff(api: Api, request: DatasetDiff) -> Result<DatasetDifference, ApiError> {
    let DatasetDiff { project, from, to, class, page } = request;
    api.project(project.clone()).await?;
    api.read(move |state| {
        let read = |dataset| manifest(state, state.catalog.dataset(&project, dataset)?.manifest);
        let (from, to) = (from.map(read).transpose()?, read(to)?);
        let differences = Differences { class: class.as_deref() };
        differences.page(from.as_deref(), &to, page.cursor.as_ref(), page.capped_limit())
    })
    .await
}

/// The bytes of a manifest.
pub(super) fn manifest(state: &State, hash: Hash) -> Result<Vec<u8>, StoreError> {
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

/// The hash and the bytes of the manifest that a change-set was made against, if there was one.
fn base(state: &State, set: &ChangeSet) -> Result<Option<(Hash, Vec<u8>)>, StoreError> {
    let Some(number) = set.base else { return Ok(None) };
    let dataset = DatasetRef { lineage: set.lineage, number };
    let hash = state.catalog.dataset(&set.project, dataset)?.manifest;
    Ok(Some((hash, manifest(state, hash)?)))
}

pub(super) async fn change_set_images(
    api: Api,
    request: ChangeSetImages,
) -> Result<Page<ChangeSetImage>, ApiError> {
    let ChangeSetImages { project, change_set, class, kind, only_findings, page } = request;
    let app = api.app.clone();
    api.read(move |state| {
        let set = state.catalog.change_set(&project, change_set)?;
        let (base, proposed) = (base(state, &set)?, manifest(state, set.manifest)?);
        let base = base.as_ref().map(|(hash, bytes)| (*hash, &bytes[..]));
        let nearness = nearness(state, &project)?;
        let review = app.reviews.of(base, (set.manifest, &proposed), nearness)?;
        let changes = Changes { class: class.as_deref(), kind, only_findings };
        let bytes = base.map(|(_, bytes)| bytes);
        changes.page(&review, bytes, &proposed, page.cursor.as_ref(), page.capped_limit())
    })
    .await
}

/// How alike images of a project look that belong together.
fn nearness(state: &State, project: &ProjectName) -> Result<Nearness, StoreError> {
    Ok(Nearness::bits(state.catalog.project(project)?.settings.near_bits))
}

/// Makes the part of a change-set that was selected, durably; the commit that names it follows.
fn selected(state: &State, set: &ChangeSet, selection: &Selection) -> Result<AcceptedPart, StoreError> {
    if set.state != ChangeSetState::Proposed {
        return Err(StoreError::Precondition(format!("change-set {} was decided before", set.id)));
    }
    let base = base(state, set)?.map(|(_, bytes)| Manifest::decode(&bytes)).transpose()?;
    let proposed = Manifest::decode(&manifest(state, set.manifest)?)?;
    let taken = part(base.as_ref(), &proposed, selection, nearness(state, &set.project)?)
        .map_err(|error| StoreError::Precondition(error.to_string()))?;
    let blobs = state.blobs.apart();
    let manifest = blobs.put(&taken.manifest.encode())?;
    blobs.sync()?;
    fail_point::pass(FailPoint::PartStored);
    let Part { manifest: _, classes, left, result, bytes } = taken;
    Ok(AcceptedPart { manifest, classes, left, result, bytes })
}

/// A selection in the audit log.
fn describe(selection: &Selection) -> String {
    let Selection { classes, images, without } = selection;
    let named: Vec<&str> = classes.iter().take(5).map(String::as_str).collect();
    let more = if classes.len() > named.len() { ", …" } else { "" };
    let (images, without) = (images.len(), without.len());
    format!("of classes [{}{more}] and {images} images without {without}", named.join(", "))
}

pub(super) async fn decide(api: Api, request: ChangeSetDecide) -> Result<ChangeSet, ApiError> {
    let ChangeSetDecide { key, project, change_set, expected_generation, accept, reason, selection } =
        request;
    if !accept && selection.is_some() {
        return Err(ApiError::invalid("a change-set is rejected whole; accept the part that is wanted"));
    }
    let mut target = format!("{project}/{change_set} {}", if accept { "accept" } else { "reject" });
    if let Some(selection) = &selection {
        target = format!("{target} {}", describe(selection));
    }
    let change = Change { key, method: "change_set_decide", target, reason: reason.clone() };
    let decision = Decision { at: Time::now(), by: api.who(), reason };
    api.change::<ChangeSet, ChangeSet, _>(change, move |api, receipt| async move {
        let name = project.clone();
        let (change_set, told) = api
            .read(move |state| {
                let (catalog, expected) = (&state.catalog, Some(expected_generation));
                let decided = if accept {
                    let take =
                        |selection| selected(state, &catalog.change_set(&name, change_set)?, selection);
                    let part = selection.as_deref().map(take).transpose()?;
                    let part = part.as_ref();
                    catalog.accept_part(&name, change_set, expected, part, &decision, Some(&receipt))
                } else {
                    let rejected = catalog.reject(&name, change_set, expected, &decision, Some(&receipt));
                    rejected.map(|rejected| (rejected, None))
                };
                fail_point::pass(FailPoint::ChangeSetDecided);
                decided
            })
            .await?;
        if let Some(event) = told {
            api.app.hub.publish(Update::Event { event });
        } else if change_set.state == ChangeSetState::Rejected {
            let subject = Subject::ChangeSet { change_set: change_set.id };
            let text = format!("{} was rejected by {}", change_set.origin, api.who());
            api.app.event(Some(project), Severity::Info, subject, text).await;
        }
        Ok(change_set)
    })
    .await
}
