//! What is known of dataset versions beside their images.

use vigie_core::data::balance;
use vigie_core::store::manifest::Manifest;
use vigie_core::store::{State, StoreError};
use vigie_protocol::ApiError;
use vigie_protocol::balance::{Balance, BalancePlan};
use vigie_protocol::dataset::{ChangeSet, DatasetVersion, Decision};
use vigie_protocol::history::{DatasetHistory, DatasetModelMetadata};
use vigie_protocol::model::{Evaluation, Passport};
use vigie_protocol::page::Page;
use vigie_protocol::service::{DatasetBalance, DatasetGet, DatasetList, DatasetMetadata};

use super::{Api, datasets};
use crate::serving::read_passport;

pub(super) async fn history(api: Api, request: DatasetList) -> Result<Page<DatasetHistory>, ApiError> {
    let DatasetList { project, lineage, page } = request;
    api.project(project.clone()).await?;
    api.read(move |state| {
        let State { catalog, .. } = state;
        let versions = catalog.datasets(&project, lineage, page.cursor.as_ref(), page.capped_limit())?;
        let row = |version: DatasetVersion| {
            let set = catalog.change_set(&project, version.change_set)?;
            Ok(row(version, &set))
        };
        let items = versions.items.into_iter().map(row).collect::<Result<_, StoreError>>()?;
        Ok(Page { items, next: versions.next })
    })
    .await
}

fn row(version: DatasetVersion, set: &ChangeSet) -> DatasetHistory {
    DatasetHistory {
        version,
        origin: set.origin.clone(),
        change: set.totals(),
        unchanged: set.unchanged,
        quarantined: set.quarantined,
        reason: set.decided.as_ref().and_then(|Decision { reason, .. }| reason.clone()),
    }
}

pub(super) async fn balance(api: Api, request: DatasetBalance) -> Result<BalancePlan, ApiError> {
    let DatasetBalance { project, dataset, balance: way } = request;
    if matches!(way, Balance::Down { per_class: Some(0) }) {
        return Err(ApiError::invalid("a class must keep at least one train image"));
    }
    let version = datasets::get(api, DatasetGet { project, dataset }).await?;
    Ok(balance::plan(dataset, &version.classes, way))
}

pub(super) async fn metadata(api: Api, request: DatasetMetadata) -> Result<DatasetModelMetadata, ApiError> {
    let DatasetMetadata { project, model: number, dataset } = request;
    api.project(project.clone()).await?;
    let name = project.clone();
    let (model, run, version, splits) = api
        .read(move |state| {
            let model = state.catalog.model(&name, number)?;
            let run = state.catalog.run(&name, model.run)?;
            let version = state.catalog.dataset(&name, dataset.unwrap_or(model.dataset))?;
            let splits = Manifest::decode(&datasets::manifest(state, version.manifest)?)?.splits();
            Ok((model, run, version, splits))
        })
        .await?;
    let hash = model.passport;
    let passport = api.app.blocking(move |app| read_passport(&app.state, hash)).await?;
    let Passport { classes, preprocess_hash, temperature, evaluation, made_by, epoch, .. } = passport;
    let Evaluation {
        accuracy, top3_accuracy, balanced_accuracy, macro_f1, log_loss, calibration_error, ..
    } = evaluation;
    Ok(DatasetModelMetadata {
        project,
        dataset: version.dataset,
        manifest: version.manifest,
        dataset_created: version.created,
        dataset_classes: version.classes.keys().cloned().collect(),
        bytes: version.bytes,
        splits,
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
        accuracy,
        top3_accuracy,
        balanced_accuracy,
        macro_f1,
        log_loss,
        calibration_error,
        made_by,
        model_created: model.created,
    })
}
