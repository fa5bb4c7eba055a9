//! From weights to an engine. The one place that knows which engines there are.

use std::path::Path;
use std::sync::Arc;

use vigie_protocol::Hash;
use vigie_protocol::model::Architecture;
use vigie_protocol::preprocess::PreprocessSpec;

use super::burn_engine::BurnEngine;
use super::cpu_engine::CpuEngine;
use super::{Engine, EngineError, FeatureExtractor, device, image_bytes};
use crate::nets::fold::Folded;
use crate::nets::weights::Weights;
use crate::vision;

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

/// Smallest input side: what the network halves five times.
const MIN_SIDE: u32 = 32;
/// Largest input side. Activations of one image at this size take about 200 MiB.
const MAX_SIDE: u32 = 1024;

/// Whether this build, and an engine, can do what a spec asks for.
fn check(spec: &PreprocessSpec) -> Result<(), EngineError> {
    vision::spec::check(spec).map_err(|error| EngineError::Spec(error.to_string()))?;
    if !(MIN_SIDE..=MAX_SIDE).contains(&spec.crop) {
        let text = format!("the crop is {} pixels and must be {MIN_SIDE} to {MAX_SIDE}", spec.crop);
        return Err(EngineError::Spec(text));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use vigie_protocol::preprocess::Interpolation;

    use super::*;

    #[test]
    fn specs_that_no_engine_carries_out_are_refused() {
        let good = PreprocessSpec::for_network(Architecture::EfficientnetLite0, 224);
        assert!(check(&good).is_ok());
        for (bad, word) in [
            (PreprocessSpec { revision: 99, ..good.clone() }, "revision 99"),
            (PreprocessSpec { crop: 31, ..good.clone() }, "must be 32 to 1024"),
            (PreprocessSpec { crop: 1025, resize: 1025, ..good.clone() }, "must be 32 to 1024"),
            (PreprocessSpec { resize: 200, ..good.clone() }, "crop of 224 from a resize of 200"),
            (PreprocessSpec { resize: 1 << 20, ..good.clone() }, "resize of 1048576"),
            (PreprocessSpec { interpolation: Interpolation::Unknown, ..good.clone() }, "filter is unknown"),
            (PreprocessSpec { std: [1.0, -1.0, 1.0], ..good.clone() }, "positive"),
            (PreprocessSpec { mean: [f32::NAN; 3], ..good.clone() }, "finite means"),
        ] {
            let refused = check(&bad).map_err(|error| error.to_string());
            assert!(refused.as_ref().is_err_and(|error| error.contains(word)), "{bad:?}: {refused:?}");
        }
    }
}
