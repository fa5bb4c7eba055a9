//! Reports of label checks as blobs: a version byte, then MessagePack.

use serde::{Deserialize, Serialize};
use vigie_protocol::label_check::LabelIssue;

use super::{Result, codec};

/// What a label check found.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct LabelReport {
    /// Labels that may be wrong, the least credible first.
    pub issues: Vec<LabelIssue>,
}

/// The bytes of a report's blob.
pub fn encode(report: &LabelReport) -> Vec<u8> {
    codec::encode(report)
}

/// Reads the bytes of a report's blob.
///
/// # Errors
/// [`StoreError::Damaged`](super::StoreError::Damaged) when they are no report.
pub fn decode(bytes: &[u8]) -> Result<LabelReport> {
    codec::decode("a label check's report", bytes)
}
