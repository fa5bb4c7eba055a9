//! The one error that crosses the wire.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Why a request was not carried out, for programs. New codes may appear; an old peer reads them
/// as [`ErrorCode::Unknown`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorCode {
    /// The request itself is malformed or names an impossible value.
    Invalid,
    /// What the request names does not exist.
    NotFound,
    /// It exists already, or changed since the caller looked (generation mismatch).
    Conflict,
    /// The caller's role does not allow it.
    Forbidden,
    /// The caller is not who they claim to be.
    Unauthenticated,
    /// The state of things does not allow it yet (no production model, change-set already decided).
    Precondition,
    /// The gate refused a promotion; an override needs a reason.
    GateRefused,
    /// Too big: an image, a page, a blob.
    TooLarge,
    /// Not an image, or an image that cannot be decoded.
    BadImage,
    /// A queue is full; try again after `retry_after_ms`.
    Overloaded,
    /// The agent is stopping, or a part of it is down.
    Unavailable,
    /// The request ran out of time.
    Timeout,
    /// The disk is full or failing.
    Storage,
    /// The agent is too old or too new for this request.
    Unsupported,
    /// A fault of the agent's own; its log has more.
    Internal,
    /// A code this build does not know.
    #[serde(other)]
    Unknown,
}

/// An error as a person and a program need it: what, what to do next, and when to try again.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ApiError {
    /// For programs.
    pub code: ErrorCode,
    /// What went wrong: a lower-case fragment without a full stop.
    pub message: String,
    /// What to do about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// When trying again makes sense, in milliseconds from now.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl ApiError {
    /// An error without a hint.
    pub fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, retry_after_ms: None }
    }

    /// Shorthand for [`ErrorCode::NotFound`].
    pub fn not_found(what: impl fmt::Display) -> Self {
        Self::new(ErrorCode::NotFound, format!("{what} does not exist"))
    }

    /// Shorthand for [`ErrorCode::Invalid`].
    pub fn invalid(message: impl Into<String>) -> Self {
        Self::new(ErrorCode::Invalid, message)
    }

    /// Says what to do next.
    #[must_use]
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Says when to try again.
    #[must_use]
    pub fn retry_after_ms(mut self, millis: u64) -> Self {
        self.retry_after_ms = Some(millis);
        self
    }
}

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for ApiError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_codes_and_fields_are_tolerated() {
        let text = r#"{"code":"from_the_future","message":"m","extra":1}"#;
        let error: ApiError = serde_json::from_str(text).expect("tolerated");
        assert_eq!(error.code, ErrorCode::Unknown);
    }
}
