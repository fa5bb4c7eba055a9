//! Carries a task out with core's functions.
use vigie_core::observe::Observer;
use vigie_protocol::job::{FailureCause, JobFailure};

use super::task::{Work, WorkDone};

pub(super) fn carry_out(work: &Work, observer: &dyn Observer) -> Result<WorkDone, JobFailure> {
    let _ = (work, observer);
    Err(JobFailure { cause: FailureCause::Refused, message: "not yet".into(), hint: None })
}
