//! temp
use super::{Result, State}; use vigie_protocol::{Time, blob::GcReport};
/// t
pub fn collect(_: &State, _: Time, _: bool) -> Result<GcReport> { Ok(GcReport::default()) }
