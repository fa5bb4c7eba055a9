//! Errors in the words of this room.

use vigie_protocol::{ApiError, ErrorCode};

/// A task of the agent's own that panicked.
pub(super) fn internal(error: tokio::task::JoinError) -> ApiError {
    ApiError::new(ErrorCode::Internal, format!("a part of the agent failed: {error}"))
}

/// An error with what lies beneath it, in one line.
pub(crate) fn with_source(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        // Transparent errors say the same at two levels.
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}
