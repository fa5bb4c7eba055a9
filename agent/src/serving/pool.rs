//! CPU threads behind a bounded queue: decoding and computing never run on the async runtime, and
//! a flood is answered, not hoarded.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::thread;
use std::time::{Duration, Instant};

use tokio::sync::oneshot;
use vigie_protocol::{ApiError, ErrorCode};

type Task = Box<dyn FnOnce() + Send>;

/// A fixed number of threads and a bounded queue. Cheap to clone; the threads end when the last
/// clone is gone.
#[derive(Clone, Debug)]
pub struct Pool {
    queue: mpsc::SyncSender<Task>,
    max_wait: Duration,
}

impl Pool {
    /// Starts `threads` threads with room for `queue` waiting tasks, each of which waits at most
    /// `max_wait`.
    ///
    /// # Errors
    /// When the system gives no threads.
    pub fn start(threads: usize, queue: usize, max_wait: Duration) -> std::io::Result<Self> {
        let (sender, receiver) = mpsc::sync_channel::<Task>(queue);
        let receiver = Arc::new(Mutex::new(receiver));
        for index in 0..threads {
            let receiver = receiver.clone();
            thread::Builder::new().name(format!("serving-{index}")).spawn(move || {
                loop {
                    // The guard is dropped at the end of this statement: threads take turns
                    // waiting, not working.
                    let task = receiver.lock().unwrap_or_else(PoisonError::into_inner).recv();
                    match task {
                        Ok(task) => task(),
                        Err(mpsc::RecvError) => return,
                    }
                }
            })?;
        }
        Ok(Self { queue: sender, max_wait })
    }

    /// Runs `work` on one of the threads. It is told how long it waited.
    ///
    /// # Errors
    /// `Overloaded` when the queue is full or the wait was too long, `Internal` when `work`
    /// panicked.
    pub async fn run<T: Send + 'static>(
        &self,
        work: impl FnOnce(Duration) -> Result<T, ApiError> + Send + 'static,
    ) -> Result<T, ApiError> {
        let (answer, answered) = oneshot::channel();
        let (asked, max_wait) = (Instant::now(), self.max_wait);
        let task = Box::new(move || {
            let waited = asked.elapsed();
            if answer.is_closed() {
                return; // whoever asked has gone away
            }
            let result = if waited > max_wait {
                Err(overloaded(format!("the request waited {} ms for a thread", waited.as_millis())))
            } else {
                catch_unwind(AssertUnwindSafe(|| work(waited))).unwrap_or_else(|_| {
                    Err(ApiError::new(ErrorCode::Internal, "computing the answer panicked")
                        .with_hint("see the agent's log; the other requests go on"))
                })
            };
            // Nobody listening any more is no error.
            let _ = answer.send(result);
        });
        self.queue.try_send(task).map_err(|_| overloaded("the queue of predictions is full".to_owned()))?;
        answered.await.unwrap_or_else(|_| {
            Err(ApiError::new(ErrorCode::Unavailable, "serving is stopping").retry_after_ms(1_000))
        })
    }
}

fn overloaded(message: String) -> ApiError {
    ApiError::new(ErrorCode::Overloaded, message)
        .with_hint("send fewer requests at once, or raise serving.queue")
        .retry_after_ms(250)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_full_queue_refuses_and_recovers() {
        let pool = Pool::start(1, 1, Duration::from_secs(60)).expect("threads");
        let (release, released) = mpsc::channel::<()>();
        let (started, has_started) = oneshot::channel();
        let busy = tokio::spawn({
            let pool = pool.clone();
            async move {
                let work = move |_| {
                    let _ = started.send(());
                    released.recv().map_err(|_| ApiError::invalid("never released"))
                };
                pool.run(work).await
            }
        });
        has_started.await.expect("the only thread is busy");
        let mut waiting = Box::pin(pool.run(|_| Ok(())));
        // Polled once: it sits in the queue's only place.
        assert!(futures::poll!(&mut waiting).is_pending());
        assert_eq!(pool.run(|_| Ok(())).await.expect_err("full").code, ErrorCode::Overloaded);
        release.send(()).expect("released");
        assert!(busy.await.expect("no panic").is_ok() && waiting.await.is_ok());
    }

    #[tokio::test]
    async fn a_panic_is_an_answer_and_the_thread_lives_on() {
        let pool = Pool::start(1, 4, Duration::from_secs(60)).expect("threads");
        let failed = pool.run::<()>(|_| panic!("on purpose")).await.expect_err("panicked");
        assert_eq!(failed.code, ErrorCode::Internal);
        assert_eq!(pool.run(|_| Ok(5)).await, Ok(5));
    }

    #[tokio::test]
    async fn who_waited_too_long_is_told_so() {
        let pool = Pool::start(1, 4, Duration::ZERO).expect("threads");
        assert_eq!(pool.run(|_| Ok(())).await.expect_err("too late").code, ErrorCode::Overloaded);
    }
}
