//! From weights to an engine. The one place that knows which engines there are.

use std::path::Path;
use std::sync::Arc;

use vigie_protocol::Hash;
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::{PREPROCESS_REVISION, PreprocessSpec};

use super::burn_engine::BurnEngine;
use super::cpu_engine::CpuEngine;
use super::{Engine, EngineError, FeatureExtractor, device, image_bytes};
use crate::nets::fold::Folded;
use crate::nets::weights::Weights;

/// What an engine is made of; all but the device comes from a passport.
#[derive(Clone, Copy, Debug)]
pub struct LoadSpec<'a> {
    /// The network.
    pub architecture: Architecture,
    /// Number of classes.
    pub classes: usize,
    /// How images become tensors.
    pub preprocess: &'a PreprocessSpec,
    /// What that hashed to when the model was trained.
    pub preprocess_hash: Hash,
    /// The safetensors.
    pub weights: WeightsFrom<'a>,
    /// As [`device::pick`] takes it.
    pub device: &'a str,
}

/// Where a file of weights is.
#[derive(Clone, Copy, Debug)]
pub enum WeightsFrom<'a> {
    /// In memory.
    Bytes(&'a [u8]),
    /// On disk.
    Path(&'a Path),
}

impl WeightsFrom<'_> {
    fn read(self) -> Result<Weights, EngineError> {
        Ok(match self {
            WeightsFrom::Bytes(bytes) => Weights::parse(bytes)?,
            WeightsFrom::Path(path) => Weights::read(path)?,
        })
    }
}

/// Makes a model ready to answer, and answers once so that the first request does not pay for it.
///
/// # Errors
/// When training preprocessed differently from what the spec says, the device is not there, the
/// weights do not fit, or the first answer fails.
pub fn load(spec: &LoadSpec<'_>) -> Result<Arc<dyn Engine>, EngineError> {
    let found = spec.preprocess.hash();
    if found != spec.preprocess_hash {
        return Err(EngineError::Preprocess { expected: spec.preprocess_hash, found });
    }
    check(spec.preprocess)?;
    let device = device::pick(spec.device)?;
    let folded = Folded::new(spec.architecture, &spec.weights.read()?, Some(spec.classes))?;
    let preprocess = spec.preprocess.clone();
    let engine: Arc<dyn Engine> = if ours(spec.device) {
        Arc::new(CpuEngine::new(&folded, preprocess))
    } else {
        Arc::new(BurnEngine::new(&folded, preprocess, device))
    };
    engine.logits(&vec![0; image_bytes(spec.preprocess)])?;
    Ok(engine)
}

/// Makes the part of a network before its classifier ready. The weights may hold a classifier for
/// any number of classes, or none.
///
/// # Errors
/// When the device is not there or the weights do not fit.
pub fn features(
    architecture: Architecture,
    weights: WeightsFrom<'_>,
    preprocess: &PreprocessSpec,
    device: &str,
) -> Result<Arc<dyn FeatureExtractor>, EngineError> {
    check(preprocess)?;
    let picked = device::pick(device)?;
    let folded = Folded::new(architecture, &weights.read()?, None)?;
    Ok(if ours(device) {
        Arc::new(CpuEngine::new(&folded, preprocess.clone()))
    } else {
        Arc::new(BurnEngine::new(&folded, preprocess.clone(), picked))
    })
}

/// Whether a device is served by our own engine: a CPU with vectors. burn serves the others, and
/// CPUs too by the name `cpu-burn`, for comparison.
fn ours(device: &str) -> bool {
    device == "cpu" && CpuEngine::fits()
}

/// Largest input side. Activations of one image at this size take about 200 MiB.
const MAX_SIDE: u32 = 1024;

/// Whether this build can do what a spec asks for.
fn check(spec: &PreprocessSpec) -> Result<(), EngineError> {
    let refuse = |why: String| Err(EngineError::Spec(why));
    if spec.revision != PREPROCESS_REVISION {
        return refuse(format!("it has revision {}; this build does {PREPROCESS_REVISION}", spec.revision));
    }
    if !(32..=MAX_SIDE).contains(&spec.crop) {
        return refuse(format!("the crop is {} pixels and must be 32 to {MAX_SIDE}", spec.crop));
    }
    if spec.mean.iter().chain(&spec.std).any(|v| !v.is_finite()) || spec.std.contains(&0.0) {
        return refuse("mean and std must be finite and std not zero".to_owned());
    }
    Ok(())
}
