//! Ctrl-C and SIGTERM, seen by whatever is under way so that it can put things in order first.

use std::time::{Duration, Instant};

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::exit::{Exit, Failure};
use crate::out::note;

/// Signals so close together are one wish: `timeout` and some shells send to the process and then to
/// its group.
const ONE_PRESS: Duration = Duration::from_millis(500);

/// Whether the process was asked to end.
#[derive(Clone, Debug)]
pub struct Interrupt(watch::Receiver<bool>);

impl Interrupt {
    /// Listens from now on. A second signal ends the process at once: whoever presses Ctrl-C twice
    /// means it.
    pub fn listen() -> std::io::Result<Self> {
        let (send, receive) = watch::channel(false);
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::spawn(async move {
            let mut first = None;
            loop {
                tokio::select! {
                    _ = interrupt.recv() => {}
                    _ = terminate.recv() => {}
                }
                let since = *first.get_or_insert_with(Instant::now);
                if send.send_replace(true) && since.elapsed() > ONE_PRESS {
                    // Beside an open terminal UI: the screen is the user's again before anything is said.
                    crate::tui::term::restore();
                    note("interrupted again, leaving things as they are");
                    std::process::exit(Exit::Interrupted as i32);
                }
            }
        });
        Ok(Self(receive))
    }

    /// Waits for `work`, or fails as interrupted.
    pub async fn or<T>(&self, work: impl Future<Output = T>) -> Result<T, Failure> {
        let mut asked = self.0.clone();
        tokio::select! {
            biased;
            // An error means that nobody can interrupt any more: only the work is left to wait for.
            Ok(_) = asked.wait_for(|asked| *asked) => Err(Failure::interrupted()),
            done = work => Ok(done),
        }
    }
}
