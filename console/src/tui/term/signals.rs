//! What the system asks of the process.

use std::io;
use std::sync::mpsc;
use std::thread;

use ratatui::layout::Size;
use tokio::signal::unix::{Signal as Stream, SignalKind, signal};

use super::{deadline, tty};

/// A wish of the system, or a change of the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// End with this exit code: 128 + the signal's number. If the process has not done so after two
    /// seconds, the terminal is given back and the process ended from here.
    End {
        /// The exit code.
        code: u8,
    },
    /// The process was stopped and goes on: take the terminal again, paint everything.
    Continued,
    /// The terminal has this size now.
    Resized(Size),
}

/// Listens from now on, in a thread of its own that nobody waits for: the runtime of the rest of the
/// program may be stuck. `forward` must not block.
///
/// SIGTSTP keeps its default: raw mode delivers Ctrl-Z as a key, and a stop that comes from elsewhere
/// is made good after [`Signal::Continued`].
pub fn listen(forward: impl Fn(Signal) + Send + 'static) -> io::Result<()> {
    let (started, start) = mpsc::sync_channel(1);
    thread::Builder::new().name("vigie-signals".into()).spawn(move || {
        let runtime = match tokio::runtime::Builder::new_current_thread().enable_io().build() {
            Ok(runtime) => runtime,
            Err(error) => return drop(started.send(Err(error))),
        };
        runtime.block_on(async {
            let sources = match Sources::new() {
                Ok(sources) => sources,
                Err(error) => return drop(started.send(Err(error))),
            };
            // Its receiver waits below: only then may signals be missed no longer.
            if started.send(Ok(())).is_ok() {
                sources.forward(forward).await;
            }
        });
    })?;
    start.recv().unwrap_or_else(|_| Err(io::Error::other("the thread for signals has ended")))
}

struct Sources {
    hang_up: Stream,
    interrupt: Stream,
    quit: Stream,
    terminate: Stream,
    continued: Stream,
    resized: Stream,
}

impl Sources {
    fn new() -> io::Result<Self> {
        Ok(Self {
            hang_up: signal(SignalKind::hangup())?,
            interrupt: signal(SignalKind::interrupt())?,
            quit: signal(SignalKind::quit())?,
            terminate: signal(SignalKind::terminate())?,
            continued: signal(SignalKind::from_raw(rustix::process::Signal::CONT.as_raw()))?,
            resized: signal(SignalKind::window_change())?,
        })
    }

    async fn forward(self, forward: impl Fn(Signal)) {
        let Self { mut hang_up, mut interrupt, mut quit, mut terminate, mut continued, mut resized } = self;
        let end = |kind: SignalKind| Signal::End {
            code: 128 + u8::try_from(kind.as_raw_value()).unwrap_or_default(),
        };
        loop {
            let signal = tokio::select! {
                biased;
                _ = hang_up.recv() => end(SignalKind::hangup()),
                _ = interrupt.recv() => end(SignalKind::interrupt()),
                _ = quit.recv() => end(SignalKind::quit()),
                _ = terminate.recv() => end(SignalKind::terminate()),
                _ = continued.recv() => Signal::Continued,
                _ = resized.recv() => Signal::Resized(tty::size()),
            };
            // Before anyone hears of it: from here on the end does not depend on them.
            if let Signal::End { code } = signal {
                deadline::end_soon(code);
            }
            forward(signal);
        }
    }
}
