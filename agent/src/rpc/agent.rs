//! The agent itself: who asks, how it is, what happened, its audit log, its backups.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use vigie_core::store::audit::AuditLine;
use vigie_protocol::access::Principal;
use vigie_protocol::event::Event;
use vigie_protocol::health::{AgentHealth, Finding};
use vigie_protocol::page::{Page, PageCursor, PageRequest};
use vigie_protocol::service::{
    AgentLog, AgentLogPage, AuditEntry, AuditList, AuditVerdict, Backup, BackupMade, Empty, EventList, Watch,
    Watched,
};
use vigie_protocol::{ApiError, Time};

use super::Api;
use super::api::Change;
use crate::{doctor, fault::api_error};

pub(super) async fn whoami(api: Api, _: Empty) -> Result<Principal, ApiError> {
    Ok(api.session.principal.clone())
}

pub(super) async fn health(api: Api, _: Empty) -> Result<AgentHealth, ApiError> {
    let app = &api.app;
    let sample = app.samples.borrow().clone();
    Ok(AgentHealth {
        agent: app.state.agent,
        environment: app.config.agent.environment(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        started: app.started,
        now: Time::now(),
        state_dir: app.config.agent.state.display().to_string(),
        device: app.config.agent.device.clone(),
        services: app.services.all(),
        host: sample.host,
        gpus: sample.gpus,
        prediction_log: app.serving.recorder().health().log,
    })
}

pub(super) async fn doctor(api: Api, _: Empty) -> Result<Vec<Finding>, ApiError> {
    api.app.blocking(|app| Ok(doctor::examine(app))).await
}

pub(super) async fn log(api: Api, request: AgentLog) -> Result<AgentLogPage, ApiError> {
    let AgentLog { cursor, limit } = request;
    let limit = PageRequest { cursor: None, limit }.capped_limit();
    Ok(api.app.log.page(api.app.hub.epoch(), cursor, limit))
}

pub(super) async fn events(api: Api, request: EventList) -> Result<Page<Event>, ApiError> {
    let EventList { project, page } = request;
    api.read(move |state| state.catalog.events(project.as_ref(), page.cursor.as_ref(), page.capped_limit()))
        .await
}

pub(super) async fn watch(api: Api, request: Watch) -> Result<Watched, ApiError> {
    let wait = Duration::from_millis(request.max_wait_ms.into());
    Ok(api.app.hub.watch(request.cursor, wait).await)
}

pub(super) async fn audit_list(api: Api, request: AuditList) -> Result<Page<AuditEntry>, ApiError> {
    let before = match &request.page.cursor {
        Some(cursor) => {
            Some(cursor.0.parse().map_err(|_| ApiError::invalid("not a cursor of the audit log"))?)
        }
        None => None,
    };
    let limit = request.page.capped_limit();
    let lines = api.read(move |state| state.audit.page(before, limit)).await?;
    let next = lines.last().filter(|line| line.seq > 1).map(|line| PageCursor(line.seq.to_string()));
    Ok(Page { items: lines.into_iter().map(entry).collect(), next })
}

fn entry(line: AuditLine) -> AuditEntry {
    let AuditLine { seq, at, principal, role, via, method, target, outcome, reason, key: _, prev } = line;
    AuditEntry { seq, at, principal, role, via, method, target, outcome, reason, prev }
}

pub(super) async fn audit_verify(api: Api, _: Empty) -> Result<AuditVerdict, ApiError> {
    let verdict = api.read(|state| state.audit.verify()).await?;
    Ok(AuditVerdict { lines: verdict.lines, broken_at: verdict.broken_at, head: verdict.head })
}

/// How long a backup waits for predictions that are not durable yet.
const FLUSH: Duration = Duration::from_secs(5);

pub(super) async fn backup(api: Api, request: Backup) -> Result<BackupMade, ApiError> {
    let Backup { key, path } = request;
    let target = PathBuf::from(&path);
    if !target.is_absolute() {
        return Err(ApiError::invalid(format!("{path:?} is not an absolute path on the agent's machine")));
    }
    let change = Change { key, method: "backup", target: path.clone(), reason: None };
    api.change::<BackupMade, BackupMade, _>(change, move |api, receipt| async move {
        let began = Instant::now();
        let made = api
            .app
            .blocking(move |app| {
                app.serving.recorder().flush(FLUSH);
                let made =
                    vigie_core::store::backup::backup(&app.state, &target, Time::now()).map_err(api_error)?;
                Ok(BackupMade {
                    path,
                    files: made.files,
                    bytes: made.bytes,
                    seconds: began.elapsed().as_secs_f64(),
                    damaged: made.damaged,
                })
            })
            .await?;
        api.keep(receipt, made).await
    })
    .await
}
