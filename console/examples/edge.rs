//! The terminal's edge with nothing behind it: what `tests/pty/edge.rs` drives.
//!
//! It exists for what `vigie` must withstand and has no key for: a panic in the loop or beside it, an
//! error, writes that fail, a loop that is stuck. `vigie` itself stands on the same edge, and
//! `tests/pty` drives it too.
//!
//! Keys: `q` ends, `e` ends with an error, `p` panics, `b` panics in another thread, `w` makes writes
//! fail, `f` draws for ever, `s` gets stuck, `m` takes the mouse or leaves it, Ctrl-Z suspends. Every
//! other key is counted.

use std::io::{self, Write};
use std::process::ExitCode;
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use anyhow::{Context as _, bail};
use crossterm::event::{KeyCode, KeyModifiers};
use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};
use ratatui::style::{Color, Modifier, Style};
use vigie::tui::term::input::InputEvent;
use vigie::tui::term::signals::Signal;
use vigie::tui::term::{
    self, Capabilities, EnterError, Options, Output, Screen, TerminalGuard, input, signals,
};
use vigie::tui::theme::Level;

fn main() -> ExitCode {
    match run() {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            // Standard error may be a terminal that has gone.
            let _ = writeln!(io::stderr(), "error: {error:#}");
            let unfit = error.downcast_ref().is_some_and(|error| !matches!(error, EnterError::Io(_)));
            ExitCode::from(if unfit { 2 } else { 1 })
        }
    }
}

fn run() -> anyhow::Result<u8> {
    let can = Capabilities::from_env();
    let guard = TerminalGuard::enter(Options::default())?;
    let (send, receive) = channel();
    let signalled = send.clone();
    signals::listen(move |signal| drop(signalled.send(Event::Signal(signal))))?;
    input::listen(can.escape_delay(), move |event| send.send(Event::Input(event)).is_ok())?;
    let writer = Breakable { terminal: guard.output()?, broken: false };
    let screen = Screen::new(writer, term::size());
    let state = State { size: term::size(), level: can.level, keys: 0, last: String::new(), mouse: false };
    Edge { guard, screen, state }.run(&receive)
}

enum Event {
    Input(InputEvent),
    Signal(Signal),
}

struct State {
    size: Size,
    level: Level,
    keys: u64,
    last: String,
    mouse: bool,
}

struct Edge {
    guard: TerminalGuard,
    screen: Screen<Breakable>,
    state: State,
}

impl Edge {
    fn run(mut self, events: &Receiver<Event>) -> anyhow::Result<u8> {
        loop {
            self.screen.draw(|area, buffer| self.state.render(area, buffer)).context("drawing")?;
            match events.recv()? {
                Event::Signal(Signal::End { code }) => return Ok(code),
                Event::Signal(Signal::Continued) => {
                    self.guard.resume()?;
                    self.screen.repaint();
                }
                Event::Signal(Signal::Resized(size)) => {
                    self.state.size = size;
                    self.screen.resize(size);
                }
                Event::Input(InputEvent::Gone) => return Ok(term::GONE),
                Event::Input(InputEvent::Paste(text)) => self.state.last = format!("paste {text}"),
                Event::Input(InputEvent::Mouse(mouse)) => {
                    self.state.last = format!("mouse {},{}", mouse.column, mouse.row);
                }
                Event::Input(InputEvent::Key(key)) => {
                    self.state.keys += 1;
                    match (key.code, key.modifiers) {
                        (KeyCode::Char('z'), KeyModifiers::CONTROL) => {
                            self.guard.suspend()?;
                            self.screen.repaint();
                        }
                        (KeyCode::Char('q'), _) => return Ok(0),
                        (KeyCode::Char('e'), _) => bail!("as told"),
                        (KeyCode::Char('p'), _) => panic!("as told"),
                        (KeyCode::Char('b'), _) => drop(thread::spawn(|| panic!("as told, elsewhere"))),
                        (KeyCode::Char('w'), _) => self.screen.writer_mut().broken = true,
                        (KeyCode::Char('f'), _) => self.flood()?,
                        (KeyCode::Char('s'), _) => loop {
                            thread::park();
                        },
                        (KeyCode::Char('m'), _) => {
                            self.state.mouse = !self.state.mouse;
                            self.guard.set_mouse(self.state.mouse)?;
                        }
                        (code, _) => self.state.last = code.to_string(),
                    }
                }
            }
        }
    }

    fn flood(&mut self) -> io::Result<()> {
        loop {
            self.state.last = "flood".into();
            self.screen.repaint();
            self.screen.draw(|area, buffer| {
                for y in 1..area.height {
                    buffer.set_string(0, y, "#".repeat(area.width.into()), Style::new());
                }
                self.state.render(area, buffer);
            })?;
        }
    }
}

impl State {
    fn render(&self, area: Rect, buffer: &mut Buffer) {
        let colour = if self.level == Level::None { Style::new() } else { Style::new().fg(Color::Red) };
        let Size { width, height } = self.size;
        let (mouse, keys, last) = (self.mouse, self.keys, &self.last);
        let lines = [
            (format!("edge {width}x{height}"), colour),
            (format!("keys {keys} last {last}"), Style::new().add_modifier(Modifier::BOLD)),
            (format!("mouse {mouse}"), Style::new().add_modifier(Modifier::REVERSED)),
        ];
        for (y, (text, style)) in (0..area.height).zip(lines) {
            buffer.set_string(0, y, text, style);
        }
    }
}

/// A terminal that takes no more, once it is broken.
struct Breakable {
    terminal: Output,
    broken: bool,
}

impl Write for Breakable {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.broken {
            return Err(io::Error::other("the terminal is broken"));
        }
        self.terminal.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.terminal.flush()
    }
}
