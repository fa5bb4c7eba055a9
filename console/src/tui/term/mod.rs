//! The terminal's edge: what it can do, taking it and giving it back, what comes from it and what goes
//! to it. Nothing in here knows what is drawn.
//!
//! A loop uses it like this:
//!
//! ```no_run
//! # use vigie::tui::term::{self, Capabilities, Options, Screen, TerminalGuard, input, signals};
//! # enum Event { Input(input::InputEvent), Signal(signals::Signal) }
//! # fn run() -> Result<u8, Box<dyn std::error::Error>> {
//! let can = Capabilities::from_env();
//! let mut guard = TerminalGuard::enter(Options { mouse: false })?; // restored by Drop, panics, signals
//! let mut screen = Screen::new(guard.output()?, term::size());
//! let (send, receive) = std::sync::mpsc::channel();
//! let signalled = send.clone();
//! signals::listen(move |signal| drop(signalled.send(Event::Signal(signal))))?;
//! input::listen(can.escape_delay(), move |event| send.send(Event::Input(event)).is_ok())?;
//! loop {
//!     screen.draw(|_area, _buffer| { /* render the state */ })?; // unchanged: writes nothing
//!     match receive.recv()? {
//!         Event::Signal(signals::Signal::End { code }) => return Ok(code), // within two seconds
//!         Event::Signal(signals::Signal::Resized(size)) => screen.resize(size),
//!         Event::Signal(signals::Signal::Continued) => { guard.resume()?; screen.repaint() }
//!         Event::Input(input::InputEvent::Gone) => return Ok(term::GONE),
//!         Event::Input(_key) => { /* Ctrl-Z: guard.suspend()?; screen.repaint() */ }
//!     }
//! }
//! # }
//! ```
//!
//! Whoever keeps a bounded queue must not let [`signals::listen`]'s callback wait for room in it.
//!
//! crossterm lends its types for keys and mice, nothing else. Its reader spins for ever on a terminal
//! that has gone, waits inside a half-received sequence, and leaves what exceeds 1,024 bytes of a burst
//! lying until the next key; its writer spells named colours in the 256-colour form.

pub mod caps;
mod deadline;
mod encode;
pub mod guard;
mod hangup;
pub mod input;
mod keys;
pub mod screen;
pub mod signals;
mod tty;

pub use caps::{Capabilities, Pictures};
pub use guard::{EnterError, Options, Output, TerminalGuard, restore};
pub use screen::{Drawn, Screen};
pub use tty::size;

/// What the process ends with when its terminal has gone: as after SIGHUP.
pub const GONE: u8 = 129;
