//! Golden sets: an engine must say of a few images what was said when the model was registered.

use super::{Engine, EngineError};

/// What an engine said of a golden set.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct GoldenVerdict {
    /// Whether every logit is within the tolerance.
    pub passed: bool,
    /// Largest absolute difference of a logit; infinite when the engine gave no number or another
    /// count of them.
    pub max_abs_diff: f32,
    /// Position, in the set, of the image with that difference.
    pub worst: usize,
    /// Images in the set.
    pub images: usize,
}

/// Compares an engine's logits with those of a golden set: pixels as the engine takes them, and the
/// logits they gave. An empty set passes.
///
/// # Errors
/// When the pixels are not an image of this engine, or the device fails.
pub fn check(
    engine: &dyn Engine,
    golden: &[(Vec<u8>, Vec<f32>)],
    tolerance: f32,
) -> Result<GoldenVerdict, EngineError> {
    let mut verdict = GoldenVerdict { passed: true, max_abs_diff: 0.0, worst: 0, images: golden.len() };
    for (index, (pixels, expected)) in golden.iter().enumerate() {
        let difference = difference(&engine.logits(pixels)?, expected);
        if difference > verdict.max_abs_diff {
            verdict = GoldenVerdict { max_abs_diff: difference, worst: index, ..verdict };
        }
    }
    verdict.passed = verdict.max_abs_diff <= tolerance;
    Ok(verdict)
}

/// Largest absolute difference; infinite for another length or what is not a number.
fn difference(found: &[f32], expected: &[f32]) -> f32 {
    if found.len() != expected.len() {
        return f32::INFINITY;
    }
    let difference = |(a, b): (&f32, &f32)| if (a - b).is_nan() { f32::INFINITY } else { (a - b).abs() };
    found.iter().zip(expected).map(difference).fold(0.0, f32::max)
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigie_protocol::model::Architecture;
    use vigie_protocol::preprocess::PreprocessSpec;

    struct Fixed(PreprocessSpec, Vec<f32>);

    impl Engine for Fixed {
        fn preprocess(&self) -> &PreprocessSpec {
            &self.0
        }
        fn classes(&self) -> usize {
            self.1.len()
        }
        fn logits(&self, _: &[u8]) -> Result<Vec<f32>, EngineError> {
            Ok(self.1.clone())
        }
    }

    #[test]
    fn the_worst_difference_decides() {
        let engine = Fixed(PreprocessSpec::for_network(Architecture::EfficientnetLite0, 32), vec![1.0, 2.0]);
        let run = |golden: &[Vec<f32>]| {
            let golden: Vec<_> = golden.iter().map(|logits| (Vec::new(), logits.clone())).collect();
            check(&engine, &golden, 0.01).expect("the engine answers")
        };
        assert!(run(&[]).passed);
        assert!(run(&[vec![1.0, 2.0], vec![1.0, 1.995]]).passed);
        let far = run(&[vec![1.0, 2.0], vec![1.5, 2.0]]);
        assert!(!far.passed && far.worst == 1 && far.max_abs_diff == 0.5, "{far:?}");
        assert!(!run(&[vec![1.0]]).passed, "another number of classes");
        assert!(!run(&[vec![f32::NAN, 2.0]]).passed, "not a number");
    }
}
