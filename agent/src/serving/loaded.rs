//! A model version made ready to answer: loaded beside the one that serves, warmed, and held
//! against its golden set.

use std::sync::Arc;

use vigie_core::evaluate::gate::GoldenResult;
use vigie_core::infer::golden::{self, GoldenVerdict};
use vigie_core::infer::{self, Engine, LoadSpec, WeightsFrom};
use vigie_core::store::{Blobs, State, passport};
use vigie_core::vision;
use vigie_protocol::model::{ModelVersion, Passport};
use vigie_protocol::{ApiError, ErrorCode, Hash, ModelNumber, ProjectName};

use crate::fault::api_error;

/// A model version with its engine.
pub struct Loaded {
    /// Which version.
    pub version: ModelVersion,
    /// What travels with it.
    pub passport: Passport,
    /// What computes.
    pub engine: Arc<dyn Engine>,
    /// How it reproduced its golden set when it was loaded.
    pub golden: GoldenResult,
}

impl std::fmt::Debug for Loaded {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Loaded").field("version", &self.version).finish_non_exhaustive()
    }
}

/// Loads a model version. Blocks for as long as reading and warming take: not for the runtime's
/// threads.
///
/// # Errors
/// `NotFound` when there is no such version, `Storage` when its blobs are missing or damaged,
/// `Unavailable` when its device or engine is.
pub fn load(
    state: &State,
    project: &ProjectName,
    number: ModelNumber,
    device: &str,
) -> Result<Loaded, ApiError> {
    let version = state.catalog.model(project, number).map_err(api_error)?;
    let passport = read_passport(state, version.passport)?;
    let weights = need(state, version.weights, "the weights")?;
    let spec = LoadSpec {
        architecture: passport.architecture,
        classes: passport.classes.len(),
        preprocess: &passport.preprocess,
        preprocess_hash: passport.preprocess_hash,
        weights: WeightsFrom::Bytes(&weights),
        device,
    };
    let engine = infer::load(&spec).map_err(|error| {
        ApiError::new(
            ErrorCode::Unavailable,
            format!("model {number} of {project} cannot be loaded: {error}"),
        )
    })?;
    let golden = golden_result(state, &passport, engine.as_ref());
    Ok(Loaded { version, passport, engine, golden })
}

/// Reads a passport's blob.
///
/// # Errors
/// `Storage` when it is missing or damaged.
pub fn read_passport(state: &State, hash: Hash) -> Result<Passport, ApiError> {
    let bytes = need(state, hash, "the passport")?;
    passport::decode(&bytes).map_err(api_error)
}

/// Largest difference of a logit that is still the same answer. Between machines the order of
/// additions differs; in f32 that stays far below, in bf16 on a GPU just below.
const TOLERANCE: f32 = 1e-2;

fn golden_result(state: &State, passport: &Passport, engine: &dyn Engine) -> GoldenResult {
    match compare_golden(state, passport, engine) {
        Ok(verdict) => GoldenResult::Compared {
            images: verdict.images,
            worst: verdict.max_abs_diff,
            tolerance: TOLERANCE,
            reproduced: verdict.passed,
        },
        Err(error) => GoldenResult::Failed(error.message),
    }
}

fn compare_golden(
    state: &State,
    passport: &Passport,
    engine: &dyn Engine,
) -> Result<GoldenVerdict, ApiError> {
    let images = passport
        .golden
        .iter()
        .map(|golden| {
            let bytes = need(state, golden.image, "a golden image")?;
            let image = vision::decode(&bytes, &vision::Limits::default()).map_err(|error| {
                ApiError::new(ErrorCode::Storage, format!("golden image {}: {error}", golden.image.short()))
            })?;
            Ok((vision::preprocess(&image, &passport.preprocess), golden.logits.clone()))
        })
        .collect::<Result<Vec<_>, ApiError>>()?;
    golden::check(engine, &images, TOLERANCE)
        .map_err(|error| ApiError::new(ErrorCode::Unavailable, error.to_string()))
}

fn need(state: &State, hash: Hash, what: &str) -> Result<Vec<u8>, ApiError> {
    state.blobs.get(hash).map_err(api_error)?.ok_or_else(|| {
        ApiError::new(ErrorCode::Storage, format!("{what} ({}) is missing from the blobs", hash.short()))
            .with_hint("restore it from a backup; vigie doctor lists what else is missing")
    })
}
