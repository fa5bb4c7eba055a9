//! Sources of projects. What is secret in their URLs never goes out again.

use vigie_core::data::import::check_options;
use vigie_core::store::catalog::SourceDraft;
use vigie_protocol::service::{InProject, SourceCheck, SourceChecked, SourceRemove, SourceSet};
use vigie_protocol::source::{Acceptance, Source};
use vigie_protocol::{ApiError, Time};

use super::Api;
use super::api::Change;
use crate::sources::{Asker, check as check_source};

pub(super) async fn list(api: Api, request: InProject) -> Result<Vec<Source>, ApiError> {
    let InProject { project } = request;
    api.project(project.clone()).await?;
    let sources = api.read(move |state| state.catalog.sources(&project)).await?;
    Ok(sources.into_iter().map(Source::redacted).collect())
}

pub(super) async fn set(api: Api, request: SourceSet) -> Result<Source, ApiError> {
    let SourceSet { key, project, name, expected_generation, origin, lineage, .. } = request;
    let SourceSet { options, acceptance, preprocess, .. } = request;
    check_options(&options).map_err(ApiError::invalid)?;
    match acceptance {
        Acceptance::Under { percent } if !(percent > 0.0 && percent <= 100.0) => {
            return Err(ApiError::invalid("a share of changed images is above 0 and at most 100 percent"));
        }
        Acceptance::Unknown => {
            return Err(ApiError::invalid("this agent does not know that policy; update it"));
        }
        Acceptance::Ask | Acceptance::Under { .. } => {}
    }
    api.app.sources.check_origin(&origin)?;
    api.project(project.clone()).await?;
    let change = Change { key, method: "source_set", target: format!("{project}/{name}"), reason: None };
    let (at, by) = (Time::now(), api.who());
    let draft = SourceDraft { project, name, origin, lineage, options, acceptance, preprocess, at, by };
    let set = api.change::<Source, Source, _>(change, move |api, receipt| async move {
        api.read(move |state| state.catalog.set_source(&draft, expected_generation, Some(&receipt))).await
    });
    Ok(set.await?.redacted())
}

pub(super) async fn remove(api: Api, request: SourceRemove) -> Result<Source, ApiError> {
    let SourceRemove { key, project, name, expected_generation } = request;
    let change = Change { key, method: "source_remove", target: format!("{project}/{name}"), reason: None };
    let removed = api.change::<Source, Source, _>(change, move |api, receipt| async move {
        api.read(move |state| {
            state.catalog.remove_source(&project, &name, expected_generation, Some(&receipt))
        })
        .await
    });
    Ok(removed.await?.redacted())
}

pub(super) async fn check(api: Api, request: SourceCheck) -> Result<SourceChecked, ApiError> {
    let SourceCheck { key, project, name } = request;
    let change = Change { key, method: "source_check", target: format!("{project}/{name}"), reason: None };
    let checked = api.change::<SourceChecked, SourceChecked, _>(change, move |api, receipt| async move {
        let checked = check_source(&api.app, &project, &name, &Asker::person(api.who())).await?;
        api.keep(receipt, checked).await
    });
    let SourceChecked { source, job } = checked.await?;
    Ok(SourceChecked { source: source.redacted(), job: job.map(|job| Box::new(job.redacted())) })
}
