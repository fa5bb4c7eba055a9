//! Following an agent: a loop of long polls as one stream of what happens.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Instant, sleep};
use tokio_util::task::AbortOnDropHandle;

use super::MAX_WAIT;
use super::client::{AgentClient, Backoff};
use crate::event::{Update, WatchCursor};
use crate::service::Watch;

/// Batches that may wait for a slow reader; then the agent is not asked for more until it has read.
const WAITING_BATCHES: usize = 16;

/// An agent that has nothing to say answers after [`MAX_WAIT`]. One that says nothing sooner than
/// this is mistaken about waiting and is asked at a gentler pace.
const SUSPICIOUSLY_FAST: Duration = Duration::from_millis(50);

/// What a watcher is told.
#[derive(Clone, Debug, PartialEq)]
pub enum Watched {
    /// The agent restarted, or the watcher was away for too long: fetch what is shown anew.
    Resync,
    /// What happened, oldest first; never empty.
    Updates(Vec<Update>),
}

/// A running watch. Ends when it is dropped.
#[derive(Debug)]
pub struct Watcher {
    batches: mpsc::Receiver<Watched>,
    _task: AbortOnDropHandle<()>,
}

impl Watcher {
    /// Follows an agent from `cursor`, or from now.
    pub fn spawn(client: &AgentClient, cursor: Option<WatchCursor>) -> Self {
        let (sender, batches) = mpsc::channel(WAITING_BATCHES);
        // The agent holds the call for up to MAX_WAIT, and reconnecting takes its time too.
        let client = client.with_timeout(MAX_WAIT + Duration::from_secs(5));
        Self { batches, _task: AbortOnDropHandle::new(tokio::spawn(follow(client, cursor, sender))) }
    }

    /// The next thing to know. Can be cancelled without losing any.
    pub async fn next(&mut self) -> Option<Watched> {
        self.batches.recv().await
    }
}

async fn follow(client: AgentClient, mut cursor: Option<WatchCursor>, sender: mpsc::Sender<Watched>) {
    let mut backoff = Backoff::default();
    loop {
        let asked = Instant::now();
        let request = Watch { cursor, max_wait_ms: MAX_WAIT.as_millis() as u32 };
        let answer = match client.call(move |c, ctx| async move { c.watch(ctx, request).await }).await {
            Ok(answer) => answer,
            Err(error) => {
                tracing::debug!(%error, "the watch is interrupted");
                sleep(backoff.wait()).await;
                continue;
            }
        };
        let other_epoch = cursor.is_some_and(|cursor| cursor.epoch != answer.next.epoch);
        cursor = Some(answer.next);
        let resync = answer.resync || other_epoch;
        if resync && sender.send(Watched::Resync).await.is_err() {
            return;
        }
        if !answer.updates.is_empty() {
            if sender.send(Watched::Updates(answer.updates)).await.is_err() {
                return;
            }
        } else if !resync && asked.elapsed() < SUSPICIOUSLY_FAST {
            sleep(backoff.wait()).await;
            continue;
        }
        backoff.reset();
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::event::{Event, Severity, Subject};
    use crate::service::{self, VigieRequest, VigieResponse};
    use crate::wire::ClientOptions;
    use crate::wire::fake::{FakeAgent, unscripted};
    use crate::{ApiError, ErrorCode, Time};

    fn event(seq: u64) -> Update {
        let (at, severity, subject) = (Time::from_micros(0), Severity::Info, Subject::Agent);
        Update::Event { event: Event { seq, at, project: None, severity, subject, text: "x".to_owned() } }
    }

    fn at(epoch: u64, seq: u64) -> WatchCursor {
        WatchCursor { epoch, seq }
    }

    #[tokio::test(start_paused = true)]
    async fn follows_through_errors_and_restarts() {
        let answer = |updates, next, resync| Ok(service::Watched { updates, next, resync });
        let script = VecDeque::from([
            answer(vec![], at(1, 4), false),
            answer(vec![event(5), event(6)], at(1, 6), false),
            Err(ApiError::new(ErrorCode::Unavailable, "stopping")),
            answer(vec![event(1)], at(2, 1), true),
            // An agent that restarted and forgot to say so.
            answer(vec![], at(3, 0), false),
            answer(vec![event(1)], at(3, 1), false),
        ]);
        let state = Arc::new(Mutex::new((script, Vec::new())));
        let scripted = Arc::clone(&state);
        let agent = FakeAgent::with_futures(move |request| {
            let scripted = Arc::clone(&scripted);
            Box::pin(async move {
                let VigieRequest::Watch { request } = request else { return Err(unscripted(&request)) };
                let next = {
                    let mut state = scripted.lock().expect("lock");
                    state.1.push(request.cursor);
                    state.0.pop_front()
                };
                match next {
                    Some(answer) => Ok(VigieResponse::Watch(answer)),
                    None => std::future::pending().await,
                }
            })
        });
        let client = AgentClient::with_dialer(agent.dialer(), ClientOptions::new("test"));
        let mut watcher = Watcher::spawn(&client, None);
        let expected = [
            Watched::Updates(vec![event(5), event(6)]),
            Watched::Resync,
            Watched::Updates(vec![event(1)]),
            Watched::Resync,
            Watched::Updates(vec![event(1)]),
        ];
        for batch in expected {
            assert_eq!(watcher.next().await, Some(batch));
        }
        let asked = state.lock().expect("lock").1.clone();
        assert_eq!(
            asked[..6],
            [None, Some(at(1, 4)), Some(at(1, 6)), Some(at(1, 6)), Some(at(2, 1)), Some(at(3, 0))]
        );
    }
}
