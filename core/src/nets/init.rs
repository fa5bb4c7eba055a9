//! Initial weights from a seed alone: the same on every machine and backend.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::plan::Plan;
use super::weights::Weights;

/// Weights of the whole network, as torchvision initialises them: convolutions normal with variance
/// 2 / fan-out (He et al. 2015, arXiv:1502.01852), batch norms the identity.
pub(super) fn network(plan: &Plan, classes: usize, seed: u64) -> Weights {
    let mut weights = Weights::default();
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    for (name, shape) in plan.backbone_tensors() {
        let count = shape.iter().product();
        let values = if let [outputs, _, height, width] = *shape {
            let deviation = (2.0 / (outputs * height * width) as f64).sqrt();
            normal(&mut random, count, deviation)
        } else {
            vec![if is_one(&name, plan) { 1.0 } else { 0.0 }; count]
        };
        weights.insert(&name, shape, values);
    }
    classifier(&mut weights, plan, classes, seed);
    weights
}

/// A new classifier: uniform within ±1/√features as PyTorch's `Linear`, zero bias. torchvision takes
/// ±1/√classes, which for few classes makes the first losses large.
pub(super) fn classifier(weights: &mut Weights, plan: &Plan, classes: usize, seed: u64) {
    // A stream of its own: the classifier is the same whether or not the backbone was drawn too.
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(1);
    let bound = 1.0 / (plan.width() as f64).sqrt();
    for (name, shape) in plan.classifier_tensors(classes) {
        let count = shape.iter().product();
        let values = if shape.len() == 2 {
            (0..count).map(|_| ((2.0 * unit(&mut random) - 1.0) * bound) as f32).collect()
        } else {
            vec![0.0; count]
        };
        weights.insert(&name, shape, values);
    }
}

/// Whether a tensor with one dimension starts at one: batch norms' factors and variances.
fn is_one(name: &str, plan: &Plan) -> bool {
    name.ends_with(".running_var")
        || plan.convs().any(|conv| name.strip_suffix(".weight") == Some(&conv.norm))
}

/// Normal numbers by Box and Muller's transform.
fn normal(random: &mut ChaCha8Rng, count: usize, deviation: f64) -> Vec<f32> {
    let mut values = Vec::with_capacity(count + 1);
    while values.len() < count {
        // 1 − u is never zero, so the logarithm is finite.
        let radius = deviation * (-2.0 * (1.0 - unit(random)).ln()).sqrt();
        let (sine, cosine) = (std::f64::consts::TAU * unit(random)).sin_cos();
        values.extend([(radius * cosine) as f32, (radius * sine) as f32]);
    }
    values.truncate(count);
    values
}

/// Uniform in [0, 1), with 53 bits.
fn unit(random: &mut ChaCha8Rng) -> f64 {
    (random.next_u64() >> 11) as f64 * 2f64.powi(-53)
}
