//! Projects.

use vigie_protocol::project::{PicturePolicy, Project, ProjectSettings};
use vigie_protocol::service::{Empty, InProject, ProjectCreate, ProjectUpdate};
use vigie_protocol::{ApiError, ProjectName, Time};

use super::Handler;
use super::handler::Change;

pub(super) async fn list(handler: Handler, _: Empty) -> Result<Vec<Project>, ApiError> {
    handler.read(|state| state.catalog.projects()).await
}

pub(super) async fn get(handler: Handler, request: InProject) -> Result<Project, ApiError> {
    handler.project(request.project).await
}

pub(super) async fn create(handler: Handler, request: ProjectCreate) -> Result<Project, ApiError> {
    check(&request.settings)?;
    let ProjectCreate { key, name, description, settings } = request;
    let change = Change { key, method: "project_create", target: name.to_string(), reason: None };
    let receipt = change.receipt();
    let project =
        Project { name, description, created: Time::now(), by: handler.who(), settings, generation: 0 };
    handler
        .change::<Project, Project, _>(change, |handler| async move {
            handler.read(move |state| state.catalog.create_project(&project, Some(&receipt))).await
        })
        .await
}

pub(super) async fn update(handler: Handler, request: ProjectUpdate) -> Result<Project, ApiError> {
    check(&request.settings)?;
    let ProjectUpdate { key, project, expected_generation, description, settings } = request;
    let change = Change { key, method: "project_update", target: project.to_string(), reason: None };
    let receipt = change.receipt();
    handler
        .change::<Project, Project, _>(change, move |handler| async move {
            handler
                .read(move |state| {
                    state.catalog.update_project(
                        &project,
                        expected_generation,
                        description,
                        settings,
                        Some(&receipt),
                    )
                })
                .await
        })
        .await
}

impl Handler {
    /// The project, or `NotFound` with what to do.
    pub(super) async fn project(&self, name: ProjectName) -> Result<Project, ApiError> {
        let wanted = name.clone();
        self.read(move |state| state.catalog.project(&wanted)).await?.ok_or_else(|| {
            ApiError::not_found(format_args!("project {name}")).with_hint(format!(
                "see what there is with `vigie projects list`, or make it with `vigie projects create {name}`"
            ))
        })
    }
}

fn check(settings: &ProjectSettings) -> Result<(), ApiError> {
    let ProjectSettings { keep_pictures, picture_days: _, split_percent } = settings;
    if split_percent.iter().map(|&share| u32::from(share)).sum::<u32>() != 100 || split_percent[0] == 0 {
        return Err(ApiError::invalid("the shares of train, valid and test must add up to 100, train above 0"));
    }
    match keep_pictures {
        PicturePolicy::Sampled { percent } if !(1..=99).contains(percent) => {
            Err(ApiError::invalid("a sample of pictures is 1 to 99 percent"))
        }
        PicturePolicy::None | PicturePolicy::Sampled { .. } | PicturePolicy::All | PicturePolicy::Unknown => {
            Ok(())
        }
    }
}
