//! What the rules say, by which data enters reference.

use vigie_protocol::rules::{ClassRule, RulesExplained, WaitingRoom};
use vigie_protocol::service::{ClassWaiting, InProject};
use vigie_protocol::{ApiError, Time};

use super::Api;
use crate::fault::api_error;
use crate::rules::{Evidence, explain};

pub(super) async fn waiting(api: Api, request: ClassWaiting) -> Result<WaitingRoom, ApiError> {
    let ClassWaiting { project, threshold } = request;
    let project = api.project(project).await?;
    let (rule, simulated) = match threshold {
        Some(images) => (ClassRule::Fixed { images }, true),
        None => (project.settings.class_rule, false),
    };
    let turn = api.app.rules.turn.clone().lock_owned().await;
    api.app
        .blocking(move |app| {
            let _until_it_is_done = turn;
            let evidence = Evidence::gather(&app.state, &project.name, Time::now()).map_err(api_error)?;
            Ok(evidence.room(rule, simulated))
        })
        .await
}

pub(super) async fn explained(api: Api, request: InProject) -> Result<RulesExplained, ApiError> {
    let project = api.project(request.project).await?;
    let turn = api.app.rules.turn.clone().lock_owned().await;
    api.app
        .blocking(move |app| {
            let _until_it_is_done = turn;
            explain(&app.state, &project, Time::now()).map_err(api_error)
        })
        .await
}
