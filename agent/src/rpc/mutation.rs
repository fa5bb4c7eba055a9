//! Changes that are carried to their end, and once. tarpc drops a handler when its caller cancels,
//! runs out of time or disconnects; half a promotion must not be what is left. And whoever asks again
//! under the same key while the change goes on waits for its end like the first.

use std::any::Any;
use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures::FutureExt;
use tokio::sync::watch;
use tokio_util::task::TaskTracker;
use vigie_protocol::{ApiError, ErrorCode, Hash, IdempotencyKey};

/// The changes under way. Clones share them.
#[derive(Clone, Debug, Default)]
pub struct Mutations {
    tasks: TaskTracker,
    running: Arc<Mutex<HashMap<IdempotencyKey, Running>>>,
}

/// A change under way.
#[derive(Debug)]
struct Running {
    /// The digest of what was asked.
    request: Hash,
    outcome: watch::Receiver<Option<Outcome>>,
}

/// The `Result<T, ApiError>` of a change, whose `T` the request decides.
type Outcome = Arc<dyn Any + Send + Sync>;

impl Mutations {
    /// Carries `change` out in a task of its own and waits for its result; or waits for the change
    /// that goes on under the same `key` already. When the waiting is dropped, the change goes on;
    /// the caller learns its result by sending the same key again. Once it has ended, its key is not
    /// known here any more: `change` itself begins with a look at the receipts.
    ///
    /// # Errors
    /// The change's own; `Internal` when it panicked; `Precondition` when the change under way is
    /// another `request`.
    pub async fn once<T: Clone + Send + Sync + 'static>(
        &self,
        key: IdempotencyKey,
        request: Hash,
        change: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<T, ApiError> {
        let mut outcome = self.start_or_join(key, request, change)?;
        let ended = outcome.wait_for(Option::is_some).await;
        let ended = ended.as_deref().ok().and_then(Option::as_ref);
        match ended.and_then(|outcome| outcome.downcast_ref::<Result<T, ApiError>>()) {
            Some(result) => result.clone(),
            None => Err(ApiError::new(ErrorCode::Unavailable, "the agent is stopping")),
        }
    }

    fn start_or_join<T: Send + Sync + 'static>(
        &self,
        key: IdempotencyKey,
        request: Hash,
        change: impl Future<Output = Result<T, ApiError>> + Send + 'static,
    ) -> Result<watch::Receiver<Option<Outcome>>, ApiError> {
        let mut running = self.running();
        if let Some(first) = running.get(&key) {
            return if first.request == request {
                Ok(first.outcome.clone())
            } else {
                let text = "the idempotency key is in use for another request";
                Err(ApiError::new(ErrorCode::Precondition, text).with_hint("use a fresh one"))
            };
        }
        let (ended, outcome) = watch::channel(None);
        running.insert(key, Running { request, outcome: outcome.clone() });
        let guard = Ended { mutations: self.clone(), key };
        self.tasks.spawn(async move {
            let result = AssertUnwindSafe(change).catch_unwind().await.unwrap_or_else(|_| Err(panicked()));
            ended.send_replace(Some(Arc::new(result)));
            drop(guard);
        });
        Ok(outcome)
    }

    /// Waits at most `patience` for the changes under way. Says how many are not done then.
    pub async fn drain(&self, patience: Duration) -> usize {
        self.tasks.close();
        let _ = tokio::time::timeout(patience, self.tasks.wait()).await;
        self.tasks.len()
    }

    fn running(&self) -> MutexGuard<'_, HashMap<IdempotencyKey, Running>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Strikes a change off the list however its task ends.
struct Ended {
    mutations: Mutations,
    key: IdempotencyKey,
}

impl Drop for Ended {
    fn drop(&mut self) {
        self.mutations.running().remove(&self.key);
    }
}

fn panicked() -> ApiError {
    ApiError::new(ErrorCode::Internal, "the agent failed at this change")
        .with_hint("the agent's log has more; look at what it did before trying again")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use tokio::sync::Notify;

    use super::*;

    /// A change that counts itself and ends when it may.
    #[derive(Clone, Default)]
    struct Slow {
        may_end: Arc<Notify>,
        done: Arc<AtomicUsize>,
    }

    impl Slow {
        fn change(&self) -> impl Future<Output = Result<usize, ApiError>> + Send + 'static {
            let Self { may_end, done } = self.clone();
            async move {
                may_end.notified().await;
                Ok(done.fetch_add(1, Ordering::SeqCst) + 1)
            }
        }
    }

    fn digest(text: &str) -> Hash {
        Hash::of(text.as_bytes())
    }

    #[tokio::test]
    async fn a_change_outlives_its_caller() {
        let (mutations, slow) = (Mutations::default(), Slow::default());
        let mut change = Box::pin(mutations.once(IdempotencyKey::new(), digest("a"), slow.change()));
        assert!(futures::poll!(change.as_mut()).is_pending());
        drop(change);
        slow.may_end.notify_one();
        assert_eq!(mutations.drain(Duration::from_secs(5)).await, 0);
        assert_eq!(slow.done.load(Ordering::SeqCst), 1);
        assert!(mutations.running().is_empty());
    }

    #[tokio::test]
    async fn who_asks_again_waits_for_the_first() {
        let (mutations, slow) = (Mutations::default(), Slow::default());
        let key = IdempotencyKey::new();
        let mut first = Box::pin(mutations.once(key, digest("a"), slow.change()));
        assert!(futures::poll!(first.as_mut()).is_pending());
        drop(first);
        let mut second = Box::pin(mutations.once(key, digest("a"), slow.change()));
        let mut third = Box::pin(mutations.once(key, digest("a"), slow.change()));
        assert!(futures::poll!(second.as_mut()).is_pending());
        assert!(futures::poll!(third.as_mut()).is_pending());
        let other = mutations.once(key, digest("b"), slow.change()).await;
        assert_eq!(other.expect_err("another request").code, ErrorCode::Precondition);
        slow.may_end.notify_one();
        assert_eq!((second.await, third.await), (Ok(1), Ok(1)));
        assert_eq!(slow.done.load(Ordering::SeqCst), 1);
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_frees_the_key() {
        let (mutations, key) = (Mutations::default(), IdempotencyKey::new());
        let panicked = mutations.once::<()>(key, digest("a"), async { panic!("at the change") }).await;
        assert_eq!(panicked.expect_err("panicked").code, ErrorCode::Internal);
        assert_eq!(mutations.drain(Duration::from_secs(5)).await, 0);
        assert_eq!(mutations.once(key, digest("b"), async { Ok(7) }).await, Ok(7));
    }
}
