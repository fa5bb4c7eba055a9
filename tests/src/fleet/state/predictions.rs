//! Predictions: asked for, listed, counted, forgotten.

use std::io::Cursor;

use image::{ImageReader, Limits};
use vigie_protocol::access::Principal;
use vigie_protocol::page::Page;
use vigie_protocol::prediction::Prediction;
use vigie_protocol::project::PicturePolicy;
use vigie_protocol::service::{
    Empty, Predict, PredictionCounts, PredictionForget, PredictionGet, PredictionList,
};
use vigie_protocol::{ApiError, ErrorCode, Hash};

use super::State;
use super::log::Counting;
use super::once::Change;
use super::page::{cursor, page};
use super::refusal::{missing, precondition};

/// Bytes of an image at most.
const MAX_IMAGE: usize = 16 << 20;

/// Side of an image at most, in pixels.
const MAX_SIDE: u32 = 16_384;

/// Classes in an answer when the caller does not say, and at most.
const TOP: (usize, usize) = (5, 1_000);

/// Hours that are counted at once, at most: 92 days.
const MAX_HOURS: i64 = 92 * 24;

impl State {
    pub(in super::super) fn predict(
        &mut self,
        who: &Principal,
        request: Predict,
    ) -> Result<Prediction, ApiError> {
        let Predict { project: name, image, blob, top, name: called } = request;
        self.project(&name)?;
        let image = match blob {
            Some(hash) if image.is_empty() => {
                self.blob(hash).ok_or_else(|| missing(format_args!("blob {hash}")))?
            }
            Some(_) => return Err(ApiError::invalid("give the image's bytes or its blob, not both")),
            None => image,
        };
        let now = self.now;
        let project = self.project_mut(&name)?;
        let model = project.log.model();
        let model = model.ok_or_else(|| precondition(format!("{name} has no production model")))?;
        check(&image, called.as_deref())?;
        let keep = !matches!(project.project.settings.keep_pictures, PicturePolicy::None);
        let hash = Hash::of(&image);
        let top = if top == 0 { TOP.0 } else { (top as usize).min(TOP.1) };
        let by = who.name.clone();
        let prediction = project.log.ask(|source, place| Prediction {
            picture_kept: keep,
            by,
            name: called,
            ..source.answer_to(hash, place, now, model, top)
        });
        if keep {
            self.blobs.keep(hash, image);
        }
        Ok(prediction)
    }

    pub(in super::super) fn prediction_list(
        &mut self,
        _: &Principal,
        request: PredictionList,
    ) -> Result<Page<Prediction>, ApiError> {
        let PredictionList { project, mut filter, page: wanted } = request;
        let after = cursor(&wanted)?;
        let project = self.project(&project)?;
        let feedback = filter.feedback.take();
        let rows = project.log.rows(&filter, after, self.now).map(|(position, row)| {
            let row = row.map(|row| project.labels.annotated(row));
            let said = |row: &Prediction| row.feedback.as_ref().map(|note| note.consensus.clone());
            (position, row.filter(|row| feedback.is_none_or(|wanted| wanted.matches(said(row).as_ref()))))
        });
        Ok(page(&wanted, rows))
    }

    pub(in super::super) fn prediction_get(
        &mut self,
        _: &Principal,
        request: PredictionGet,
    ) -> Result<Prediction, ApiError> {
        let PredictionGet { project, prediction } = request;
        let project = self.project(&project)?;
        let found = project.log.get(prediction, self.now).map(|found| project.labels.annotated(found));
        found.ok_or_else(|| missing(format_args!("prediction {prediction}")))
    }

    pub(in super::super) fn prediction_forget(
        &mut self,
        who: &Principal,
        request: PredictionForget,
    ) -> Result<Empty, ApiError> {
        let PredictionForget { key, ref project, prediction } = request;
        let target = format!("{project}/{prediction}");
        let change =
            Change { key, method: "prediction_forget", request: &request, target, reason: None, who };
        self.once(&change, |state| {
            let now = state.now;
            let log = &mut state.project_mut(project)?.log;
            log.get(prediction, now).ok_or_else(|| missing(format_args!("prediction {prediction}")))?;
            log.forget(prediction);
            state.project_mut(project)?.labels.forget(prediction);
            Ok(Empty {})
        })
    }

    /// What [`PredictionCounts`] asks for, not counted yet.
    pub(in super::super) fn counting(&self, request: &PredictionCounts) -> Result<Counting, ApiError> {
        let &PredictionCounts { ref project, since, until } = request;
        if until.hour() - since.hour() > MAX_HOURS {
            return Err(ApiError::invalid("at most 92 days are counted at once"));
        }
        Ok(Counting::new(self.project(project)?.log.clone(), since, until, self.now))
    }
}

fn check(image: &[u8], name: Option<&str>) -> Result<(), ApiError> {
    let name = name.unwrap_or("the image");
    let hint = "send a whole JPEG, PNG or WebP file";
    if image.len() > MAX_IMAGE {
        let text = format!("{name}: it has more than {MAX_IMAGE} bytes");
        return Err(ApiError::new(ErrorCode::TooLarge, text).with_hint(hint));
    }
    let bad = |why: String| ApiError::new(ErrorCode::BadImage, format!("{name}: {why}")).with_hint(hint);
    let mut reader =
        ImageReader::new(Cursor::new(image)).with_guessed_format().map_err(|e| bad(e.to_string()))?;
    let mut limits = Limits::default();
    (limits.max_image_width, limits.max_image_height) = (Some(MAX_SIDE), Some(MAX_SIDE));
    reader.limits(limits);
    reader.decode().map_err(|error| bad(error.to_string()))?;
    Ok(())
}
