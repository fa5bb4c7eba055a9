//! Predictions: asked for, listed, counted, forgotten.

use std::time::{Duration, Instant};

use vigie_core::store::{Blobs, PredictionLog};
use vigie_protocol::feedback::FeedbackFilter;
use vigie_protocol::page::Page;
use vigie_protocol::prediction::{HourCount, Prediction};
use vigie_protocol::service::{
    Empty, Predict, PredictionCounts, PredictionForget, PredictionGet, PredictionList,
};
use vigie_protocol::{ApiError, ErrorCode, Hash, Time};

use super::Api;
use super::api::{Change, at_most};
use crate::serving::Question;

/// How long one page of predictions may be looked for before it is returned as it is: an answer
/// within 50 ms, with some left for its way.
const PAGE_BUDGET: Duration = Duration::from_millis(40);

/// The longest name of an image, in bytes: a path.
const NAME_BYTES: usize = 4_096;

pub(super) async fn predict(api: Api, request: Predict) -> Result<Prediction, ApiError> {
    let arrived = Instant::now();
    let Predict { project, image, blob, top, name } = request;
    if let Some(name) = &name {
        at_most("the image's name", name, NAME_BYTES)?;
    }
    let read = api.project(project.clone()).await;
    let project = api.app.serving.last_known(&project, read)?;
    let (image, _room) = match blob {
        Some(hash) if image.is_empty() => {
            let room = api.app.serving.room_for_blob().await;
            (read_blob(&api, hash).await?, Some(room))
        }
        Some(_) => return Err(ApiError::invalid("give the image's bytes or its blob, not both")),
        None => (image, None),
    };
    let question = Question { image, top, name, by: api.who(), arrived };
    api.app.serving.predict(&project, question, Time::now()).await
}

async fn read_blob(api: &Api, hash: Hash) -> Result<Vec<u8>, ApiError> {
    let limit = api.app.config.serving.max_image_mib << 20;
    api.app
        .blocking(move |app| {
            let size = app.state.blobs.size(hash).map_err(crate::fault::api_error)?;
            if size.is_some_and(|size| size > limit) {
                return Err(ApiError::new(
                    ErrorCode::TooLarge,
                    format!("the image is larger than {limit} bytes"),
                ));
            }
            app.state
                .blobs
                .get(hash)
                .map_err(crate::fault::api_error)?
                .ok_or_else(|| ApiError::not_found(format_args!("blob {hash}")))
        })
        .await
}

pub(super) async fn list(api: Api, request: PredictionList) -> Result<Page<Prediction>, ApiError> {
    let PredictionList { project, filter, page } = request;
    if filter.feedback == Some(FeedbackFilter::Unknown) {
        return Err(ApiError::new(
            ErrorCode::Unsupported,
            "this agent does not know that filter by feedback",
        ));
    }
    api.project(project.clone()).await?;
    api.read(move |state| {
        state.predictions(&project, &filter, page.cursor.as_ref(), page.capped_limit(), PAGE_BUDGET)
    })
    .await
}

pub(super) async fn get(api: Api, request: PredictionGet) -> Result<Prediction, ApiError> {
    let PredictionGet { project, prediction } = request;
    api.read(move |state| state.prediction(&project, prediction))
        .await?
        .ok_or_else(|| ApiError::not_found(format_args!("prediction {prediction}")))
}

pub(super) async fn forget(api: Api, request: PredictionForget) -> Result<Empty, ApiError> {
    let PredictionForget { key, project, prediction } = request;
    let change =
        Change { key, method: "prediction_forget", target: format!("{project}/{prediction}"), reason: None };
    api.change::<Empty, Empty, _>(change, move |api, receipt| async move {
        api.read(move |state| state.forget(&project, prediction, Time::now())).await?;
        api.keep(receipt, Empty {}).await
    })
    .await
}

pub(super) async fn counts(api: Api, request: PredictionCounts) -> Result<Vec<HourCount>, ApiError> {
    let PredictionCounts { project, since, until } = request;
    if until.since(since) > Duration::from_secs(92 * 24 * 3_600) {
        return Err(ApiError::invalid("at most 92 days are counted at once"));
    }
    api.read(move |state| state.log.counts(&project, since, until)).await
}
