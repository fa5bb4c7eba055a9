//! From what went wrong inside to what is said outside.

use vigie_core::store::StoreError;
use vigie_protocol::{ApiError, ErrorCode};

/// What a store's error means to a caller.
pub fn api_error(error: StoreError) -> ApiError {
    let message = error.to_string();
    match error {
        StoreError::Conflict { .. } => ApiError::new(ErrorCode::Conflict, message)
            .with_hint("someone else was faster: look again, then repeat the request"),
        StoreError::Exists { .. } => ApiError::new(ErrorCode::Conflict, message),
        StoreError::NotFound { .. } => ApiError::new(ErrorCode::NotFound, message),
        StoreError::Precondition(_) => ApiError::new(ErrorCode::Precondition, message),
        StoreError::BadCursor => ApiError::new(ErrorCode::Invalid, message)
            .with_hint("a cursor is only good for the list it came from; start from the first page"),
        StoreError::TooLarge { .. } => ApiError::new(ErrorCode::TooLarge, message),
        StoreError::Io { what, source } => storage(format!("{what}: {source}")),
        StoreError::Damaged { .. }
        | StoreError::Newer { .. }
        | StoreError::Locked(_)
        | StoreError::Database { .. } => storage(message),
    }
}

fn storage(message: String) -> ApiError {
    tracing::error!(error = message, "the store failed");
    ApiError::new(ErrorCode::Storage, message)
        .with_hint("see `vigie doctor`: the disk may be full or failing; predictions go on")
}
