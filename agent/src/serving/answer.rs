//! One answer: bytes → pixels → logits → calibrated classes.

use std::time::{Duration, Instant};

use vigie_core::evaluate::probability::{softmax, top_k};
use vigie_core::vision::{self, PixelRoom};
use vigie_protocol::prediction::{Prediction, Scored, Timings};
use vigie_protocol::{ApiError, ErrorCode, Hash, PredictionId, Time};

use super::Loaded;

/// Classes in an answer when the caller does not say.
const DEFAULT_TOP: usize = 5;
/// Classes in an answer at most.
const MAX_TOP: usize = 1_000;

/// What is asked: an image, and what to call it.
#[derive(Debug)]
pub struct Question {
    /// The image file's bytes.
    pub image: Vec<u8>,
    /// Classes wanted; 0 for the default.
    pub top: u32,
    /// What the caller calls the image.
    pub name: Option<String>,
    /// Who asks.
    pub by: String,
    /// When the request arrived.
    pub arrived: Instant,
}

/// Answers on the calling thread, which decodes when there is room. Gives the image back for whoever keeps
/// pictures.
pub(super) fn answer(
    model: &Loaded,
    question: Question,
    (limits, room): (&vision::Limits, &PixelRoom),
    waited: Duration,
    now: Time,
) -> Result<(Prediction, Vec<u8>), ApiError> {
    let Question { image, top, name, by, arrived } = question;
    let began = Instant::now();
    let pixels = {
        let (decoded, _taken) =
            room.decode(&image, limits).map_err(|error| bad_image(&error, name.as_deref()))?;
        vision::preprocess(&decoded, model.engine.preprocess())
    };
    let decode = began.elapsed();

    let began = Instant::now();
    let logits = model.engine.logits(&pixels).map_err(|error| {
        tracing::error!(model = %model.version.number, %error, "the engine failed");
        ApiError::new(ErrorCode::Internal, error.to_string()).with_hint("roll back: vigie models rollback")
    })?;
    let infer = began.elapsed();

    let probabilities = softmax(&logits, model.passport.temperature);
    let wanted = if top == 0 { DEFAULT_TOP } else { (top as usize).min(MAX_TOP) };
    let top = top_k(&probabilities, wanted)
        .into_iter()
        .map(|class| Scored {
            class: model.passport.classes[class].clone(),
            probability: probabilities[class] as f32,
        })
        .collect();
    let micros = |span: Duration| u32::try_from(span.as_micros()).unwrap_or(u32::MAX);
    let prediction = Prediction {
        id: PredictionId::given_at(now),
        at: now,
        model: model.version.number,
        weights: model.version.weights,
        image: Hash::of(&image),
        picture_kept: false,
        top,
        timings: Timings {
            queue: micros(waited),
            decode: micros(decode),
            infer: micros(infer),
            total: micros(arrived.elapsed()),
        },
        by,
        name,
        feedback: None,
    };
    Ok((prediction, image))
}

fn bad_image(error: &vision::DecodeError, name: Option<&str>) -> ApiError {
    let name = name.unwrap_or("the image");
    let code = match error {
        vision::DecodeError::TooLarge { .. } | vision::DecodeError::TooManyBytes { .. } => {
            ErrorCode::TooLarge
        }
        _ => ErrorCode::BadImage,
    };
    ApiError::new(code, format!("{name}: {error}")).with_hint("send a whole JPEG, PNG or WebP file")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::{Arc, mpsc};

    use vigie_core::evaluate::gate::GoldenResult;
    use vigie_core::infer::{Engine, EngineError};
    use vigie_protocol::model::{ModelVersion, Passport};
    use vigie_protocol::preprocess::PreprocessSpec;
    use vigie_protocol::samples::Sample;

    use super::*;

    /// Says the same of every image.
    struct Constant(PreprocessSpec);

    impl Engine for Constant {
        fn preprocess(&self) -> &PreprocessSpec {
            &self.0
        }

        fn classes(&self) -> usize {
            2
        }

        fn logits(&self, _: &[u8]) -> Result<Vec<f32>, EngineError> {
            Ok(vec![0.0, 1.0])
        }
    }

    #[test]
    fn an_image_is_decoded_when_there_is_room() {
        let folder = tempfile::tempdir().unwrap();
        let picture = folder.path().join("picture.png");
        vision::RgbImage::new(4, 4).save(&picture).unwrap();
        let question = Question {
            image: std::fs::read(&picture).unwrap(),
            top: 1,
            name: None,
            by: "ada".to_owned(),
            arrived: Instant::now(),
        };
        let passport = Passport::sample();
        let model = Loaded {
            version: ModelVersion::sample(),
            engine: Arc::new(Constant(passport.preprocess.clone())),
            passport,
            golden: GoldenResult::Failed("nobody asked".to_owned()),
        };
        let room = PixelRoom::of(16);
        let others = room.take(1);
        std::thread::scope(|scope| {
            let (sender, answered) = mpsc::channel();
            let (model, room) = (&model, &room);
            scope.spawn(move || {
                let limits = vision::Limits::default();
                let answer = answer(model, question, (&limits, room), Duration::ZERO, Time::from_micros(0));
                sender.send(answer.map(|(prediction, _)| prediction.top[0].class.clone()))
            });
            assert!(answered.recv_timeout(Duration::from_millis(100)).is_err(), "there is no room yet");
            drop(others);
            assert_eq!(answered.recv().unwrap().unwrap(), "owl");
        });
    }
}
