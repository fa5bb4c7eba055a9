//! How an alias moves: the candidate is loaded beside what serves, warmed and held against its
//! golden set; the gate judges; the move is committed; only then the new engine answers.

use std::sync::Arc;
use std::time::Instant;

use vigie_core::evaluate::gate::{self, Contender, GateInput};
use vigie_core::fail_point::{self, FailPoint};
use vigie_core::store::StoreError;
use vigie_core::store::catalog::{AliasMoveDraft, Receipt};
use vigie_protocol::event::Update;
use vigie_protocol::health::ServiceState;
use vigie_protocol::model::{GateVerdict, MoveKind};
use vigie_protocol::service::{AliasMoved, Promote, Rollback};
use vigie_protocol::{AliasName, ApiError, ErrorCode, ModelNumber, ProjectName, Time};

use crate::app::App;
use crate::fault::api_error;
use crate::serving::{self, Loaded, read_passport};

/// Loads a candidate and asks the gate about it; nothing moves.
///
/// # Errors
/// When the candidate, or the holder it is compared with, cannot be read or loaded.
pub async fn examine(
    app: &Arc<App>,
    project: ProjectName,
    candidate: ModelNumber,
    alias: AliasName,
) -> Result<(Loaded, GateVerdict), ApiError> {
    let turn = app.examination.clone().lock_owned().await;
    app.blocking(move |app| {
        // Also when whoever asked has gone away meanwhile.
        let _until_it_is_done = turn;
        let catalog = &app.state.catalog;
        let loaded = serving::load(&app.state, &project, candidate, &app.config.agent.device)?;
        let holder = match catalog.alias(&project, &alias) {
            Ok(alias) if alias.model == candidate => None,
            Ok(alias) => {
                let version = catalog.model(&project, alias.model).map_err(api_error)?;
                Some((alias.model, read_passport(&app.state, version.passport)?))
            }
            Err(StoreError::NotFound { .. }) => None,
            Err(error) => return Err(api_error(error)),
        };
        let verdict = gate::verdict(&GateInput {
            candidate: Contender { number: candidate, passport: &loaded.passport },
            production: holder.as_ref().map(|(number, passport)| Contender { number: *number, passport }),
            golden: &loaded.golden,
            at: Time::now(),
        });
        Ok((loaded, verdict))
    })
    .await
}

/// Gives an alias to a candidate, through the gate or against it with a reason.
///
/// # Errors
/// `GateRefused` with every failed check, `Conflict` when the alias moved since the caller looked.
pub async fn promote(
    app: &Arc<App>,
    request: Promote,
    by: String,
    receipt: Receipt,
) -> Result<AliasMoved, ApiError> {
    let began = Instant::now();
    let _moving = app.moves.lock().await;
    let Promote { key: _, project, candidate, alias, expected_generation, reason, override_gate } = request;
    let reason = reason.filter(|reason| !reason.trim().is_empty());
    if override_gate && reason.is_none() {
        return Err(ApiError::invalid("going against the gate needs a reason").with_hint("add --reason TEXT"));
    }
    let (loaded, verdict) = examine(app, project.clone(), candidate, alias.clone()).await?;
    let kind = match (verdict.passed(), override_gate) {
        (true, _) => MoveKind::Promote,
        (false, true) => MoveKind::Override,
        (false, false) => return Err(refusal(&verdict)),
    };
    let draft = AliasMoveDraft {
        alias,
        kind,
        to: candidate,
        at: Time::now(),
        by,
        reason,
        verdict: Some(verdict),
        expected_generation,
    };
    commit(app, project, draft, receipt, Arc::new(loaded), began).await
}

/// Gives an alias back to its previous holder.
///
/// # Errors
/// `Precondition` when there is none, `Conflict` when the alias moved since the caller looked.
pub async fn rollback(
    app: &Arc<App>,
    request: Rollback,
    by: String,
    receipt: Receipt,
) -> Result<AliasMoved, ApiError> {
    let began = Instant::now();
    let _moving = app.moves.lock().await;
    let Rollback { key: _, project, alias: name, expected_generation, reason } = request;
    let wanted = (project.clone(), name.clone());
    let alias = app.store(move |state| state.catalog.alias(&wanted.0, &wanted.1)).await?;
    if expected_generation.is_some_and(|expected| expected != alias.generation) {
        return Err(ApiError::new(ErrorCode::Conflict, format!("{name} moved since you looked"))
            .with_hint("look again: vigie models history"));
    }
    let Some(to) = alias.previous else {
        return Err(ApiError::new(
            ErrorCode::Precondition,
            format!("{name} has no holder before {} to go back to", alias.model),
        )
        .with_hint("promote another version instead: vigie models promote"));
    };
    let warm = app.serving.previous(&project).filter(|loaded| loaded.version.number == to);
    let loaded = match warm {
        Some(loaded) => loaded,
        None => {
            let project = project.clone();
            let load = move |app: &App| {
                serving::load(&app.state, &project, to, &app.config.agent.device).map(Arc::new)
            };
            app.blocking(load).await?
        }
    };
    let draft = AliasMoveDraft {
        alias: name,
        kind: MoveKind::Rollback,
        to,
        at: Time::now(),
        by,
        reason,
        verdict: None,
        expected_generation: alias.generation,
    };
    commit(app, project, draft, receipt, loaded, began).await
}

async fn commit(
    app: &Arc<App>,
    project: ProjectName,
    draft: AliasMoveDraft,
    receipt: Receipt,
    loaded: Arc<Loaded>,
    began: Instant,
) -> Result<AliasMoved, ApiError> {
    fail_point::pass(FailPoint::AliasBeforeMove);
    let name = project.clone();
    let (alias, moved, event) =
        app.store(move |state| state.catalog.move_alias(&name, &draft, Some(&receipt))).await?;
    fail_point::pass(FailPoint::AliasAfterMove);
    if alias.name == AliasName::production() {
        app.serving.swap(&project, loaded);
        app.service(&format!("serving:{project}"), ServiceState::Up, format!("model {}", alias.model)).await;
    }
    fail_point::pass(FailPoint::Swapped);
    let swap_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX);
    app.hub.publish(Update::Event { event });
    Ok(AliasMoved { alias, moved, swap_ms })
}

fn refusal(verdict: &GateVerdict) -> ApiError {
    let failed: Vec<String> = verdict
        .checks
        .iter()
        .filter(|check| !check.passed)
        .map(|check| format!("{}: {}", check.name, check.detail))
        .collect();
    ApiError::new(
        ErrorCode::GateRefused,
        format!("the gate refused {}: {}", verdict.candidate, failed.join("; ")),
    )
    .with_hint("to go on all the same: --override --reason TEXT")
}
