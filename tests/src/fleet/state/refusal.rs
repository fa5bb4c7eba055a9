//! What the agent says when it does not do what was asked: the words of the real one.

use std::fmt::Display;

use vigie_protocol::{ApiError, ErrorCode, ProjectName};

/// What was named does not exist.
pub(super) fn missing(what: impl Display) -> ApiError {
    ApiError::not_found(what)
}

/// The project does not exist, and how to go on.
pub(super) fn missing_project(name: &ProjectName) -> ApiError {
    ApiError::not_found(format_args!("project {name}")).with_hint(format!(
        "see what there is with `vigie projects list`, or make it with `vigie projects create {name}`"
    ))
}

/// The state of things does not allow it.
pub(super) fn precondition(message: impl Into<String>) -> ApiError {
    ApiError::new(ErrorCode::Precondition, message)
}

/// The caller saw generation `expected`, and there is another.
///
/// # Errors
/// `Conflict` when they differ.
pub(super) fn check_generation(what: impl Display, found: u64, expected: u64) -> Result<(), ApiError> {
    if found == expected {
        return Ok(());
    }
    Err(ApiError::new(ErrorCode::Conflict, format!("{what} changed since it was read"))
        .with_hint("someone else was faster: look again, then repeat the request"))
}
