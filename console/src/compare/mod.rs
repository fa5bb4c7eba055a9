//! Comparisons of two model versions by their passports, and of runs by their recipes and curves.
//!
//! Pure: whoever compares has fetched what is compared, and shows the answer in their own way.

mod mcnemar;
mod models;
mod runs;

pub use models::{ClassComparison, Comparison, Overall, Overlap, Paired, compare};
pub use runs::{RunComparison, RunResult, best_epoch, compare_runs, start};
