//! Model versions, the gate, aliases and their moves.

use vigie_protocol::ApiError;
use vigie_protocol::model::{Alias, AliasMove, GateVerdict, ModelVersion};
use vigie_protocol::page::Page;
use vigie_protocol::service::{
    AliasHistory, AliasMoved, GateTest, InProject, ModelDetail, ModelGet, ModelList, Promote, Rollback,
};

use super::Handler;
use super::handler::Change;
use crate::promotion;
use crate::serving::read_passport;

pub(super) async fn list(handler: Handler, request: ModelList) -> Result<Page<ModelVersion>, ApiError> {
    let ModelList { project, page } = request;
    handler.project(project.clone()).await?;
    handler
        .read(move |state| state.catalog.models(&project, page.cursor.as_ref(), page.capped_limit()))
        .await
}

pub(super) async fn get(handler: Handler, request: ModelGet) -> Result<ModelDetail, ApiError> {
    let ModelGet { project, number } = request;
    handler.project(project.clone()).await?;
    let what = format!("model {number} of {project}");
    let name = project.clone();
    let found = handler
        .read(move |state| {
            let aliases = state.catalog.aliases(&name)?;
            Ok(state.catalog.model(&name, number)?.map(|model| (model, aliases)))
        })
        .await?;
    let (model, aliases) =
        found.ok_or_else(|| ApiError::not_found(what).with_hint("see `vigie models list`"))?;
    let hash = model.passport;
    let passport = handler.app.blocking(move |app| read_passport(&app.state, hash)).await?;
    let aliases = aliases.into_iter().filter(|alias| alias.model == number).map(|alias| alias.name).collect();
    Ok(ModelDetail { model, passport, aliases })
}

pub(super) async fn aliases(handler: Handler, request: InProject) -> Result<Vec<Alias>, ApiError> {
    handler.project(request.project.clone()).await?;
    handler.read(move |state| state.catalog.aliases(&request.project)).await
}

pub(super) async fn history(handler: Handler, request: AliasHistory) -> Result<Page<AliasMove>, ApiError> {
    let AliasHistory { project, alias, page } = request;
    handler.project(project.clone()).await?;
    handler
        .read(move |state| {
            state.catalog.alias_history(&project, &alias, page.cursor.as_ref(), page.capped_limit())
        })
        .await
}

pub(super) async fn gate_test(handler: Handler, request: GateTest) -> Result<GateVerdict, ApiError> {
    handler.project(request.project.clone()).await?;
    let (_, verdict) =
        promotion::examine(&handler.app, request.project, request.candidate, request.alias).await?;
    Ok(verdict)
}

pub(super) async fn promote(handler: Handler, request: Promote) -> Result<AliasMoved, ApiError> {
    handler.project(request.project.clone()).await?;
    let target = format!("{} {} -> {}", request.project, request.alias, request.candidate);
    let change = Change { key: request.key, method: "promote", target, reason: request.reason.clone() };
    let receipt = change.receipt();
    handler
        .change::<(Alias, AliasMove), AliasMoved, _>(change, move |handler| async move {
            let by = handler.who();
            promotion::promote(&handler.app, request, by, receipt).await
        })
        .await
}

pub(super) async fn rollback(handler: Handler, request: Rollback) -> Result<AliasMoved, ApiError> {
    handler.project(request.project.clone()).await?;
    let target = format!("{} {}", request.project, request.alias);
    let change = Change { key: request.key, method: "rollback", target, reason: request.reason.clone() };
    let receipt = change.receipt();
    handler
        .change::<(Alias, AliasMove), AliasMoved, _>(change, move |handler| async move {
            let by = handler.who();
            promotion::rollback(&handler.app, request, by, receipt).await
        })
        .await
}
