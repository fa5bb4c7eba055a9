//! A model version made ready to answer: loaded beside the one that serves, warmed, and held
//! against its golden set.

use std::sync::Arc;

use vigie_core::infer::{self, Engine, GoldenVerdict, LoadSpec};
use vigie_core::store::{Blobs, State};
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
    pub golden: GoldenVerdict,
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
    let version = state
        .catalog
        .model(project, number)
        .map_err(api_error)?
        .ok_or_else(|| ApiError::not_found(format_args!("model {number} of {project}")))?;
    let passport = read_passport(state, version.passport)?;
    let weights = need(state, version.weights, "the weights")?;
    let spec = LoadSpec {
        architecture: passport.architecture,
        classes: passport.classes.len(),
        preprocess: passport.preprocess.clone(),
        preprocess_hash: passport.preprocess_hash,
        weights: &weights,
        device,
    };
    let engine = infer::load(&spec).map_err(|error| {
        ApiError::new(ErrorCode::Unavailable, format!("model {number} of {project} cannot be loaded: {error}"))
    })?;
    let golden = check_golden(state, &passport, engine.as_ref())?;
    Ok(Loaded { version, passport, engine, golden })
}

/// Reads a passport's blob.
///
/// # Errors
/// `Storage` when it is missing or damaged.
pub fn read_passport(state: &State, hash: Hash) -> Result<Passport, ApiError> {
    let bytes = need(state, hash, "the passport")?;
    vigie_core::evaluate::decode_passport(&bytes)
        .map_err(|error| ApiError::new(ErrorCode::Storage, format!("the passport {}: {error}", hash.short())))
}

fn check_golden(state: &State, passport: &Passport, engine: &dyn Engine) -> Result<GoldenVerdict, ApiError> {
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
    infer::golden::check(engine, &images)
        .map_err(|error| ApiError::new(ErrorCode::Unavailable, format!("the golden set: {error}")))
}

fn need(state: &State, hash: Hash, what: &str) -> Result<Vec<u8>, ApiError> {
    state.blobs.get(hash).map_err(api_error)?.ok_or_else(|| {
        ApiError::new(ErrorCode::Storage, format!("{what} ({}) is missing from the blobs", hash.short()))
            .with_hint("restore it from a backup; vigie doctor lists what else is missing")
    })
}
