//! Evaluation: what a model does on images it has not learnt from, how sure that is, and whether it
//! may replace the one in production.
//!
//! [`stats`], [`probability`], [`confusion`], [`calibration`], [`report`] and [`gate`] are pure; [`evaluate`] puts them together for a run.

pub mod calibration;
pub mod confusion;
mod error;
pub mod gate;
mod passport;
pub mod probability;
pub mod report;
pub mod stats;

pub use self::error::EvaluateError;
pub use self::passport::{EvaluatePlan, Evaluated, evaluate};

#[cfg(test)]
pub(crate) mod fixture {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use serde_json::Value;

    /// A file of `core/tests/fixtures/evaluate`.
    pub fn read(name: &str) -> Value {
        let path = format!("{}/tests/fixtures/evaluate/{name}", env!("CARGO_MANIFEST_DIR"));
        serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap()
    }

    /// A list of numbers.
    pub fn numbers(value: &Value) -> Vec<f64> {
        value.as_array().unwrap().iter().map(|number| number.as_f64().unwrap()).collect()
    }

    /// Rows of numbers, one after the other, as an engine gives them.
    pub fn rows(value: &Value) -> Vec<f32> {
        value.as_array().unwrap().iter().flat_map(numbers).map(|number| number as f32).collect()
    }

    /// A list of indices.
    pub fn indices(value: &Value) -> Vec<u32> {
        value.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as u32).collect()
    }

    /// Fails when two numbers differ by more than `tolerance`.
    #[track_caller]
    pub fn assert_close(got: f64, expected: f64, tolerance: f64) {
        assert!((got - expected).abs() <= tolerance, "{got} is not {expected} within {tolerance}");
    }
}
