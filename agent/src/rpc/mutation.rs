//! Changes that are carried to their end. tarpc drops a handler when its caller cancels, runs out of
//! time or disconnects; half a promotion must not be what is left.

use std::time::Duration;

use tokio_util::task::TaskTracker;
use vigie_protocol::{ApiError, ErrorCode};

/// The changes under way. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Mutations(TaskTracker);

impl Mutations {
    /// Carries `change` out in a task of its own and waits for its result. When the waiting is
    /// dropped, the change goes on; the caller learns its result by sending the same idempotency
    /// key again.
    ///
    /// # Errors
    /// The change's own; `Internal` when it panicked.
    pub async fn owned<T: Send + 'static>(
        &self,
        change: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        match self.0.spawn(change).await {
            Ok(result) => result,
            Err(stopped) if stopped.is_panic() => {
                let error = ApiError::new(ErrorCode::Internal, "the agent failed at this change");
                Err(error.with_hint("the agent's log has more; look at what it did before trying again"))
            }
            Err(_) => Err(ApiError::new(ErrorCode::Unavailable, "the agent is stopping")),
        }
    }

    /// Waits at most `patience` for the changes under way. Says how many are not done then.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.0.close();
        let _ = tokio::time::timeout(patience, self.0.wait()).await;
        self.0.len()
    }
}
