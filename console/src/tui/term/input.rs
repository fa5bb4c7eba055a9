//! What comes from the terminal, read by a thread of its own.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use crossterm::event::{KeyEvent, MouseEvent};
use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::stdio::stdin;

use super::keys::Decoder;
use super::tty::{self, Wait};
use super::{GONE, deadline, hangup};

/// What came.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum InputEvent {
    /// A key.
    Key(KeyEvent),
    /// A pasted text, with the control characters that it came with; cut after 1 MiB.
    Paste(String),
    /// The mouse, where it was taken.
    Mouse(MouseEvent),
    /// The terminal has gone; nothing comes any more. If the process has not ended after two seconds,
    /// it is ended from here with [`GONE`].
    Gone,
}

/// Reads from now on, in a thread that nobody waits for, until `forward` returns false. `escape` is how
/// long an Esc may be the beginning of a longer sequence. Also watches for the terminal's end, even
/// when `forward` blocks.
pub fn listen(escape: Duration, forward: impl Fn(InputEvent) -> bool + Send + 'static) -> io::Result<()> {
    hangup::watch()?;
    thread::Builder::new().name("vigie-input".into()).spawn(move || read(escape, forward))?;
    Ok(())
}

fn read(escape: Duration, forward: impl Fn(InputEvent) -> bool) {
    let mut decoder = Decoder::default();
    let mut buffer = [0; 4096];
    let mut events = Vec::new();
    loop {
        let until = decoder.is_undecided().then(|| Instant::now() + escape);
        match tty::wait(stdin(), PollFlags::IN, until) {
            Wait::TimedOut => decoder.decide(&mut events),
            Wait::Ready => match rustix::io::read(stdin(), &mut buffer) {
                Ok(read @ 1..) => decoder.feed(&buffer[..read], &mut events),
                Err(Errno::INTR | Errno::AGAIN) => {}
                // Hung up in this very moment, or orphaned in the background: it never gets better.
                Ok(_) | Err(_) => events.push(InputEvent::Gone),
            },
            Wait::Gone => events.push(InputEvent::Gone),
        }
        for event in events.drain(..) {
            let gone = event == InputEvent::Gone;
            if gone {
                deadline::end_soon(GONE);
            }
            if !forward(event) || gone {
                return;
            }
        }
    }
}
