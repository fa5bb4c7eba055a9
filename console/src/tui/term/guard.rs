//! Taking the terminal, and giving it back on every way out.

use std::fs::File;
use std::io::{self, IsTerminal as _, Write};
use std::panic;
use std::sync::{Mutex, MutexGuard, Once, PoisonError};
use std::thread::{self, ThreadId};
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::io::Errno;
use rustix::process::{Signal, kill_current_process_group};
use rustix::stdio::stdin;
use rustix::termios::{OptionalActions, QueueSelector, Termios, tcflush, tcgetattr, tcsetattr};

use crate::tui::pictures::is_guarded;

use super::{deadline, tty};

/// Alternate screen, no cursor, pastes in brackets. The colours are saved with the cursor, to come back
/// in the end: after a stop they may be those of a frame.
const ENTER: &str = "\x1b[m\x1b[?1049h\x1b[?25l\x1b[?2004h";

/// Clicks, drags and the wheel, with coordinates beyond 223. Not 1003: every movement would be an
/// event.
const MOUSE_ON: &str = "\x1b[?1000h\x1b[?1002h\x1b[?1006h";

const MOUSE_OFF: &str = "\x1b[?1006l\x1b[?1002l\x1b[?1000l";

/// The reverse of [`ENTER`], after the end of whatever string or frame was cut short.
const LEAVE: &str = "\x1b[?2026l\x1b[?2004l\x1b[?25h\x1b[m\x1b[?1049l";

/// Ends a string sequence that was not finished; nothing where there is none.
const STRING_END: &str = "\x1b\\";

/// What a process exits with after a panic.
const PANICKED: u8 = 101;

/// How long a stop signal may take to reach every thread.
const STOPPING: Duration = Duration::from_millis(100);

/// The terminal while it is ours; absent while it is not.
static HELD: Mutex<Option<Held>> = Mutex::new(None);

struct Held {
    before: Termios,
    mouse: bool,
    owner: ThreadId,
}

/// What is wanted of the terminal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// Whether clicks come to us; then the terminal's own selection needs Shift.
    pub mouse: bool,
}

/// Why the terminal could not be taken.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// Standard input or output is something else.
    #[error("needs a terminal, but standard {0} is none")]
    NotATerminal(&'static str),
    /// The terminal cannot place text.
    #[error("needs a terminal that can place text, but TERM is {0}")]
    Dumb(String),
    /// The terminal refused.
    #[error("cannot set up the terminal")]
    Io(#[from] io::Error),
}

/// The terminal is ours for as long as this lives.
#[derive(Debug)]
pub struct TerminalGuard {
    mouse: bool,
}

impl TerminalGuard {
    /// Takes the terminal: raw mode, alternate screen, no cursor, bracketed paste. From then on a panic
    /// in any thread gives it back before it is reported, and ends the process with 101.
    pub fn enter(options: Options) -> Result<Self, EnterError> {
        let term = std::env::var("TERM").unwrap_or_default();
        fit(io::stdin().is_terminal(), io::stdout().is_terminal(), &term)?;
        watch_for_panics();
        // Made first: it gives back what a failing `take` has taken.
        let guard = Self { mouse: options.mouse };
        take(options.mouse)?;
        Ok(guard)
    }

    /// Where frames go: standard output, unbuffered and without `std`'s lock.
    pub fn output(&self) -> io::Result<Output> {
        Ok(Output(tty::output()?))
    }

    /// Takes the mouse or leaves it to the terminal.
    pub fn set_mouse(&mut self, on: bool) -> io::Result<()> {
        self.mouse = on;
        if let Some(held) = held().as_mut() {
            held.mouse = on;
        }
        unless_gone(tty::say(if on { MOUSE_ON } else { MOUSE_OFF }.as_bytes()), ())
    }

    /// Gives the terminal back, stops the job as Ctrl-Z does, and returns with the terminal taken
    /// again once it is continued, for a full repaint. Where nobody could continue it (no shell with
    /// job control above), the kernel does not stop it.
    pub fn suspend(&mut self) -> io::Result<()> {
        restore();
        kill_current_process_group(Signal::TSTP)?;
        // The signal may take another thread first: this one must not run ahead and retake a terminal
        // that it is about to lose. Only time can tell, since no signal at all may come.
        tty::wait(stdin(), PollFlags::empty(), Some(Instant::now() + STOPPING));
        self.resume()
    }

    /// Takes the terminal again after the process was continued, whoever stopped it.
    pub fn resume(&mut self) -> io::Result<()> {
        // A hang-up continues what it ends.
        unless_gone(take(self.mouse), ())
    }
}

impl Drop for TerminalGuard {
    fn drop(&mut self) {
        restore();
    }
}

/// The terminal, for as long as it is ours. Afterwards the process is about to end, and what is still
/// drawn goes nowhere rather than over what it says at the end.
#[derive(Debug)]
pub struct Output(File);

impl Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let ours = held().is_some();
        if ours { unless_gone(self.0.write(bytes), bytes.len()) } else { Ok(bytes.len()) }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// What came of something done to the terminal; `done`, when that has hung up: this comes as
/// [`super::input::InputEvent::Gone`] too, and one reason to end is enough.
fn unless_gone<T>(outcome: io::Result<T>, done: T) -> io::Result<T> {
    match outcome {
        Err(error) if error.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(done),
        outcome => outcome,
    }
}

/// Gives the terminal back if it is ours. It may be stalled or gone: this never waits for longer than a
/// second, and never fails.
pub fn restore() {
    let _ = give_back();
}

fn take(mouse: bool) -> io::Result<()> {
    {
        let mut held = held();
        let before = match held.as_ref() {
            Some(held) => held.before.clone(),
            None => tcgetattr(stdin())?,
        };
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        *held = Some(Held { before, mouse, owner: thread::current().id() });
    }
    // No longer locked: this may wait for a stalled terminal, and `restore` must not wait with it.
    tty::say(ENTER.as_bytes())?;
    if mouse { tty::say(MOUSE_ON.as_bytes()) } else { Ok(()) }
}

/// Returns who had taken it.
fn give_back() -> Option<ThreadId> {
    // Locked to the end: whoever exits the process next must not overtake.
    let mut held = held();
    let Held { before, mouse, owner } = held.take()?;
    if tty::in_background() {
        return Some(owner);
    }
    tty::say_briefly(format!("{STRING_END}{MOUSE_OFF}{LEAVE}").as_bytes());
    if mouse {
        // The shell should not get to read the mouse's last words.
        let _ = tcflush(stdin(), QueueSelector::IFlush);
    }
    let _ = tcsetattr(stdin(), OptionalActions::Now, &before);
    Some(owner)
}

fn held() -> MutexGuard<'static, Option<Held>> {
    HELD.lock().unwrap_or_else(PoisonError::into_inner)
}

fn watch_for_panics() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            // A decoder that panics on somebody's picture is caught and told as an error.
            if is_guarded() {
                return;
            }
            let owner = give_back();
            report(info);
            match owner {
                // It unwinds, but what it drops on the way may wait for other threads.
                Some(owner) if owner == thread::current().id() => deadline::end_soon(PANICKED),
                // The loop would go on to draw on a screen that is no longer ours.
                Some(_) => deadline::end(PANICKED),
                None => {}
            }
        }));
    });
}

fn fit(stdin: bool, stdout: bool, term: &str) -> Result<(), EnterError> {
    match (stdin, stdout, term) {
        (false, _, _) => Err(EnterError::NotATerminal("input")),
        (true, false, _) => Err(EnterError::NotATerminal("output")),
        (true, true, "") => Err(EnterError::Dumb("not set".into())),
        (true, true, "dumb") => Err(EnterError::Dumb("`dumb`".into())),
        (true, true, _) => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_it_needs() {
        for (stdin, stdout, term, expected) in [
            (true, true, "xterm-256color", None),
            (true, true, "linux", None),
            (false, true, "xterm", Some("needs a terminal, but standard input is none")),
            (true, false, "xterm", Some("needs a terminal, but standard output is none")),
            (true, true, "dumb", Some("needs a terminal that can place text, but TERM is `dumb`")),
            (true, true, "", Some("needs a terminal that can place text, but TERM is not set")),
        ] {
            let said = fit(stdin, stdout, term).err().map(|error| error.to_string());
            assert_eq!(said.as_deref(), expected, "{stdin} {stdout} {term}");
        }
    }

    #[test]
    fn what_is_taken_is_given_back_in_reverse() {
        let modes = |text: &str, end: char| -> Vec<String> {
            text.split("\x1b[?")
                .filter_map(|rest| rest.split_once(end))
                .filter(|(mode, _)| mode.chars().all(|digit| digit.is_ascii_digit()))
                .map(|(mode, _)| mode.to_owned())
                .collect()
        };
        let taken = modes(&format!("{ENTER}{MOUSE_ON}"), 'h');
        let mut given = modes(&format!("{MOUSE_OFF}{LEAVE}"), 'l');
        given.retain(|mode| mode != "2026");
        given.reverse();
        // The cursor is the one that is shown by setting its mode.
        let hidden: Vec<_> = taken.iter().filter(|mode| *mode != "25").cloned().collect();
        assert_eq!(hidden, given);
        assert!(ENTER.contains("\x1b[?25l") && LEAVE.contains("\x1b[?25h"));
    }

    #[test]
    fn giving_back_what_is_not_ours_does_nothing() {
        restore();
        restore();
        assert!(held().is_none());
    }
}
