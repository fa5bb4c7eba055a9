//! Model versions, the gate, aliases and their moves.

use vigie_protocol::ApiError;
use vigie_protocol::event::Event;
use vigie_protocol::model::{Alias, AliasMove, GateVerdict, ModelVersion};
use vigie_protocol::page::Page;
use vigie_protocol::service::{
    AliasHistory, AliasMoved, GateTest, InProject, ModelDetail, ModelGet, ModelList, Promote, Rollback,
};

use super::Api;
use super::api::Change;
use crate::promotion;
use crate::serving::read_passport;

pub(super) async fn list(api: Api, request: ModelList) -> Result<Page<ModelVersion>, ApiError> {
    let ModelList { project, page } = request;
    api.project(project.clone()).await?;
    api.read(move |state| state.catalog.models(&project, page.cursor.as_ref(), page.capped_limit())).await
}

pub(super) async fn get(api: Api, request: ModelGet) -> Result<ModelDetail, ApiError> {
    let ModelGet { project, number } = request;
    api.project(project.clone()).await?;
    let (model, aliases) = api
        .read(move |state| Ok((state.catalog.model(&project, number)?, state.catalog.aliases(&project)?)))
        .await?;
    let hash = model.passport;
    let passport = api.app.blocking(move |app| read_passport(&app.state, hash)).await?;
    let aliases = aliases.into_iter().filter(|alias| alias.model == number).map(|alias| alias.name).collect();
    Ok(ModelDetail { model, passport, aliases })
}

pub(super) async fn aliases(api: Api, request: InProject) -> Result<Vec<Alias>, ApiError> {
    api.project(request.project.clone()).await?;
    api.read(move |state| state.catalog.aliases(&request.project)).await
}

pub(super) async fn history(api: Api, request: AliasHistory) -> Result<Page<AliasMove>, ApiError> {
    let AliasHistory { project, alias, page } = request;
    api.project(project.clone()).await?;
    api.read(move |state| {
        state.catalog.alias_history(&project, &alias, page.cursor.as_ref(), page.capped_limit())
    })
    .await
}

pub(super) async fn gate_test(api: Api, request: GateTest) -> Result<GateVerdict, ApiError> {
    api.project(request.project.clone()).await?;
    let (_, verdict) =
        promotion::examine(&api.app, request.project, request.candidate, request.alias).await?;
    Ok(verdict)
}

pub(super) async fn promote(api: Api, request: Promote) -> Result<AliasMoved, ApiError> {
    api.project(request.project.clone()).await?;
    let target = format!("{} {} -> {}", request.project, request.alias, request.candidate);
    let change = Change { key: request.key, method: "promote", target, reason: request.reason.clone() };
    api.change::<(Alias, AliasMove, Event), AliasMoved, _>(change, move |api, receipt| async move {
        let by = api.who();
        promotion::promote(&api.app, request, by, receipt).await
    })
    .await
}

pub(super) async fn rollback(api: Api, request: Rollback) -> Result<AliasMoved, ApiError> {
    api.project(request.project.clone()).await?;
    let target = format!("{} {}", request.project, request.alias);
    let change = Change { key: request.key, method: "rollback", target, reason: request.reason.clone() };
    api.change::<(Alias, AliasMove, Event), AliasMoved, _>(change, move |api, receipt| async move {
        let by = api.who();
        promotion::rollback(&api.app, request, by, receipt).await
    })
    .await
}
