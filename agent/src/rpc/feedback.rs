//! Feedback: given, taken back, listed, summed up.

use std::collections::BTreeSet;
use std::time::Duration;

use vigie_core::data::labels::{Matcher, class_name};
use vigie_core::fail_point::{self, FailPoint};
use vigie_core::store::catalog::Voted;
use vigie_core::store::{PredictionLog, State, StoreError};
use vigie_protocol::classes::ClassList;
use vigie_protocol::dataset::Lineage;
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::feedback::{Feedback, FeedbackAccuracy, FeedbackState, NewImages, Said, Vote};
use vigie_protocol::page::Page;
use vigie_protocol::service::{
    FeedbackAccuracyGet, FeedbackGive, FeedbackLeft, FeedbackList, FeedbackWithdraw, InProject,
};
use vigie_protocol::{ApiError, ErrorCode, PredictionId, ProjectName, Time};

use super::Api;
use super::api::Change;

/// How long a prediction that is not in the log yet is waited for: recording is off the hot path, and
/// a program may answer its own prediction at once.
const RECORDED: Duration = Duration::from_secs(2);

pub(super) async fn give(api: Api, request: FeedbackGive) -> Result<Feedback, ApiError> {
    let FeedbackGive { key, project, prediction, said, blind, new_class } = request;
    api.project(project.clone()).await?;
    let said = bounded(said)?;
    let target = format!("{project}/{prediction}: {said}{}", if blind { " (blind)" } else { "" });
    let change = Change { key, method: "feedback_give", target, reason: None };
    let vote = Vote { by: api.who(), at: Time::now(), said: said.clone(), blind };
    api.change::<Feedback, Feedback, _>(change, move |api, receipt| async move {
        let voted = api.voted(project.clone(), prediction).await?;
        let founded = match &said {
            Said::Wrong { class } if class != voted.about.predicted() => {
                api.founds(&project, class, new_class).await?
            }
            _ => false,
        };
        let name = project.clone();
        let given =
            api.read(move |state| state.catalog.give_feedback(&name, &voted, &vote, Some(&receipt))).await?;
        fail_point::pass(FailPoint::FeedbackGiven);
        if let (true, Said::Wrong { class }) = (founded, &said) {
            api.tell_founded(project, class).await;
        }
        Ok(given)
    })
    .await
}

pub(super) async fn withdraw(api: Api, request: FeedbackWithdraw) -> Result<FeedbackLeft, ApiError> {
    let FeedbackWithdraw { key, project, prediction } = request;
    api.project(project.clone()).await?;
    let target = format!("{project}/{prediction}");
    let change = Change { key, method: "feedback_withdraw", target, reason: None };
    let by = api.who();
    api.change::<Option<Feedback>, FeedbackLeft, _>(change, move |api, receipt| async move {
        let left = api
            .read(move |state| {
                let Some(row) = state.catalog.feedback(&project, prediction)? else {
                    return state.catalog.keep::<Option<Feedback>>(&receipt, &None);
                };
                let picture = row.state != FeedbackState::NoPicture && state.blobs.touch(row.image)?;
                state.catalog.withdraw_feedback(&project, prediction, &by, picture, Some(&receipt))
            })
            .await?;
        Ok(left.into())
    })
    .await
}

pub(super) async fn list(api: Api, request: FeedbackList) -> Result<Page<Feedback>, ApiError> {
    let FeedbackList { project, page } = request;
    api.project(project.clone()).await?;
    api.read(move |state| state.catalog.feedback_page(&project, page.cursor.as_ref(), page.capped_limit()))
        .await
}

pub(super) async fn accuracy(api: Api, request: FeedbackAccuracyGet) -> Result<FeedbackAccuracy, ApiError> {
    let FeedbackAccuracyGet { project, last } = request;
    api.project(project.clone()).await?;
    api.read(move |state| state.accuracy(&project, last)).await
}

pub(super) async fn new_images(api: Api, request: InProject) -> Result<NewImages, ApiError> {
    let project = request.project;
    api.project(project.clone()).await?;
    let found = api.read(move |state| state.new_images(&project, Time::now())).await;
    found.map_err(|error| match error.code {
        ErrorCode::NotFound => ApiError::new(ErrorCode::Precondition, "nothing is in production")
            .with_hint("promote a model first: vigie models promote"),
        _ => error,
    })
}

impl Api {
    /// A prediction to vote on, its picture kept for as long as a vote takes.
    async fn voted(&self, project: ProjectName, id: PredictionId) -> Result<Voted, ApiError> {
        let missing = move || ApiError::not_found(format_args!("prediction {id}"));
        self.app
            .blocking(move |app| {
                let look = || voted(&app.state, &project, id).map_err(crate::fault::api_error);
                match look()? {
                    Some(voted) => Ok(voted),
                    None if app.serving.recorder().flush(RECORDED) => look()?.ok_or_else(missing),
                    None => Err(missing()),
                }
            })
            .await
    }

    /// Whether a class would be a new one; an error when it would and nobody said that it should.
    pub(super) async fn founds(
        &self,
        project: &ProjectName,
        class: &str,
        new_class: bool,
    ) -> Result<bool, ApiError> {
        let name = project.clone();
        let known = self.read(move |state| known_classes(state, &name)).await?;
        match known.contains(class) {
            true => Ok(false),
            false if new_class => Ok(true),
            false => {
                let error = ApiError::invalid(format!("{project} has no class {class:?}"));
                let known = ClassList { classes: known, ..ClassList::default() };
                let closest = Matcher::new(&known).suggest(class);
                Err(error.with_hint(match closest {
                    Some(meant) => {
                        format!("did you mean {:?}? a new class has to be asked for as such", meant.class)
                    }
                    None => "a new class has to be asked for as such (--new)".to_owned(),
                }))
            }
        }
    }

    pub(super) async fn tell_founded(&self, project: ProjectName, class: &str) {
        let text = format!("class {class} was founded by {}", self.who());
        self.app.event(Some(project), Severity::Info, Subject::Project, text).await;
    }
}

/// A prediction to vote on, from the log, or from feedback that outlived it. Its picture counts as put
/// just now, so that no collection of garbage takes it before the vote is durable.
pub(super) fn voted(
    state: &State,
    project: &ProjectName,
    id: PredictionId,
) -> Result<Option<Voted>, StoreError> {
    let logged = state.log.get(project, id)?;
    let (about, kept) = match logged {
        Some(logged) => (Feedback::about(&logged), logged.picture_kept),
        None => match state.catalog.feedback(project, id)? {
            Some(row) => (row, true),
            None => return Ok(None),
        },
    };
    let picture = kept && state.blobs.touch(about.image)?;
    Ok(Some(Voted { about, picture }))
}

/// The classes that a vote can name without founding one: those of the newest versions, and those that
/// people named already.
pub(super) fn known_classes(state: &State, project: &ProjectName) -> Result<BTreeSet<String>, StoreError> {
    let mut known: BTreeSet<String> =
        state.catalog.named_classes(project)?.into_iter().map(|(class, _)| class).collect();
    for lineage in Lineage::ALL {
        let head = state.catalog.dataset_head(project, lineage)?;
        known.extend(head.into_iter().flat_map(|head| head.classes.into_keys()));
    }
    Ok(known)
}

/// What is said, its class within bounds.
fn bounded(said: Said) -> Result<Said, ApiError> {
    match said {
        Said::Wrong { class } => Ok(Said::Wrong { class: class_name(&class).map_err(ApiError::invalid)? }),
        Said::Unknown => {
            Err(ApiError::new(ErrorCode::Unsupported, "this agent does not know that kind of feedback"))
        }
        Said::Correct | Said::WrongUnknown => Ok(said),
    }
}
