//! Projects.

use vigie_protocol::project::{NEAR_BITS, PicturePolicy, Project, ProjectSettings};
use vigie_protocol::rules::ClassRule;
use vigie_protocol::service::{Empty, InProject, ProjectCreate, ProjectUpdate};
use vigie_protocol::{ApiError, ErrorCode, ProjectName, Time};

use super::Api;
use super::api::{Change, at_most};

/// The longest description, in bytes.
const DESCRIPTION_BYTES: usize = 16 << 10;

pub(super) async fn list(api: Api, _: Empty) -> Result<Vec<Project>, ApiError> {
    api.read(|state| state.catalog.projects()).await
}

pub(super) async fn get(api: Api, request: InProject) -> Result<Project, ApiError> {
    api.project(request.project).await
}

pub(super) async fn create(api: Api, request: ProjectCreate) -> Result<Project, ApiError> {
    check(&request.settings)?;
    at_most("the description", &request.description, DESCRIPTION_BYTES)?;
    let ProjectCreate { key, name, description, settings } = request;
    let change = Change { key, method: "project_create", target: name.to_string(), reason: None };
    let project = Project { name, description, created: Time::now(), by: api.who(), settings, generation: 0 };
    api.change::<Project, Project, _>(change, |api, receipt| async move {
        api.read(move |state| state.catalog.create_project(&project, Some(&receipt))).await
    })
    .await
}

pub(super) async fn update(api: Api, request: ProjectUpdate) -> Result<Project, ApiError> {
    check(&request.settings)?;
    at_most("the description", &request.description, DESCRIPTION_BYTES)?;
    let ProjectUpdate { key, project, expected_generation, description, settings } = request;
    let change = Change { key, method: "project_update", target: project.to_string(), reason: None };
    let app = api.app.clone();
    api.change::<Project, Project, _>(change, move |api, receipt| async move {
        api.read(move |state| {
            state.catalog.update_project(
                &project,
                expected_generation,
                &description,
                &settings,
                Some(&receipt),
            )
        })
        .await
        .inspect(|_| app.rules.wake())
    })
    .await
}

impl Api {
    /// The project, or `NotFound` with what to do.
    pub(super) async fn project(&self, name: ProjectName) -> Result<Project, ApiError> {
        let wanted = name.clone();
        let found = self.read(move |state| state.catalog.project(&wanted)).await;
        found.map_err(|error| match error.code {
            ErrorCode::NotFound => error.with_hint(format!(
                "see what there is with `vigie projects list`, or make it with `vigie projects create {name}`"
            )),
            _ => error,
        })
    }
}

fn check(settings: &ProjectSettings) -> Result<(), ApiError> {
    let ProjectSettings {
        keep_pictures,
        picture_days: _,
        split_percent,
        class_rule,
        update_percent,
        update_policy: _,
        unknown_labels: _,
        audit_percent,
        keep_confident,
        near_bits,
    } = settings;
    if !NEAR_BITS.contains(near_bits) {
        return Err(ApiError::invalid(format!(
            "near duplicates differ in {} to {} bits of their fingerprints, not in {near_bits}",
            NEAR_BITS.start(),
            NEAR_BITS.end()
        )));
    }
    if *class_rule == (ClassRule::Fixed { images: 0 }) {
        return Err(ApiError::invalid("a class rule of a fixed number needs at least one image"));
    }
    if !(0.0..=100.0).contains(update_percent) {
        return Err(ApiError::invalid("the share of new images is 0 to 100 percent"));
    }
    if !(0.0..=100.0).contains(audit_percent) {
        return Err(ApiError::invalid("the audit sample is 0 to 100 percent of the predictions"));
    }
    if keep_confident.is_some_and(|share| !(0.0..=1.0).contains(&share)) {
        return Err(ApiError::invalid("the confidence from which images are kept is 0 to 1"));
    }
    if split_percent.iter().map(|&share| u32::from(share)).sum::<u32>() != 100 || split_percent[0] == 0 {
        return Err(ApiError::invalid(
            "the shares of train, valid and test must add up to 100, train above 0",
        ));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_out_of_bounds_are_refused() {
        type Edit = fn(&mut ProjectSettings);
        let table: [(Edit, Option<&str>); 8] = [
            (|_| {}, None),
            (|s| s.near_bits = 0, None),
            (|s| s.near_bits = 8, None),
            (
                |s| s.near_bits = 9,
                Some("near duplicates differ in 0 to 8 bits of their fingerprints, not in 9"),
            ),
            (
                |s| s.class_rule = ClassRule::Fixed { images: 0 },
                Some("a class rule of a fixed number needs at least one image"),
            ),
            (|s| s.update_percent = 100.5, Some("the share of new images is 0 to 100 percent")),
            (
                |s| s.split_percent = [0, 50, 50],
                Some("the shares of train, valid and test must add up to 100, train above 0"),
            ),
            (
                |s| s.keep_confident = Some(f32::NAN),
                Some("the confidence from which images are kept is 0 to 1"),
            ),
        ];
        for (edit, expected) in table {
            let mut settings = ProjectSettings::default();
            edit(&mut settings);
            let refused = check(&settings).err().map(|error| error.message);
            assert_eq!(refused.as_deref(), expected, "{settings:?}");
        }
    }
}
