//! What commands print. Standard output is data and nothing else; everything a person should know
//! besides goes to standard error through [`note`] and [`warn`].

mod human;
mod progress;
mod sheet;
mod table;
mod text;
pub mod words;

use std::io::{self, BufWriter, IsTerminal, Write};

use serde::Serialize;
use vigie_protocol::Time;

pub use human::{age, bytes, count, duration, eta, micros, percent, signed, when};
pub use progress::Progress;
pub use sheet::Sheet;
pub use table::{Cell, Column, Table, Tone};
pub use text::{cut, cut_with, safe, sparkline, width};

/// In which form data is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// For people: aligned columns, rounded figures.
    Table,
    /// For programs: the protocol's own types.
    Json,
}

/// What rendering needs to know of the place it renders for.
#[derive(Clone, Copy, Debug)]
pub struct Style {
    /// Whether ANSI colours may be used.
    pub colour: bool,
    /// Columns to fit into; absent where nothing needs to be cut (a file, a pipe).
    pub width: Option<usize>,
    /// What ages are counted from.
    pub now: Time,
}

/// Standard output, as data.
#[derive(Clone, Copy, Debug)]
pub struct Out {
    format: Format,
    style: Style,
}

impl Out {
    /// For this process's standard output.
    pub fn new(format: Format, now: Time) -> Self {
        let terminal = io::stdout().is_terminal();
        let width = terminal.then(|| rustix::termios::tcgetwinsize(io::stdout()).ok()).flatten();
        Self {
            format,
            style: Style {
                colour: terminal && colour_wanted(),
                width: width.map(|size| usize::from(size.ws_col)).filter(|&columns| columns > 0),
                now,
            },
        }
    }

    /// Whether programs read this.
    pub fn is_json(&self) -> bool {
        self.format == Format::Json
    }

    /// How to render for it.
    pub fn style(&self) -> &Style {
        &self.style
    }

    /// How to render what goes to standard error.
    pub fn for_notes(&self) -> Style {
        Style { colour: io::stderr().is_terminal() && colour_wanted(), width: None, now: self.style.now }
    }

    /// One value: its JSON, or what `render` makes of it.
    pub fn value<T: Serialize + ?Sized>(
        &self,
        value: &T,
        render: impl FnOnce(&Style) -> String,
    ) -> io::Result<()> {
        let mut text = match self.format {
            Format::Json => serde_json::to_string_pretty(value)?,
            Format::Table => render(&self.style),
        };
        if !text.is_empty() && !text.ends_with('\n') {
            text.push('\n');
        }
        self.bytes(text.as_bytes())
    }

    /// One line of a stream: compact JSON, or what `render` makes of it.
    pub fn line<T: Serialize>(&self, value: &T, render: impl FnOnce(&Style) -> String) -> io::Result<()> {
        let mut text = match self.format {
            Format::Json => serde_json::to_string(value)?,
            Format::Table => render(&self.style),
        };
        text.push('\n');
        self.bytes(text.as_bytes())
    }

    /// Bytes as they are.
    pub fn bytes(&self, bytes: &[u8]) -> io::Result<()> {
        let mut stdout = BufWriter::new(io::stdout().lock());
        stdout.write_all(bytes)?;
        stdout.flush()
    }
}

/// Whether a person sits at both ends: a terminal to type on and one to read from.
pub fn is_interactive() -> bool {
    io::stdin().is_terminal() && io::stdout().is_terminal()
}

/// Says something to the person at the terminal. A standard error that is gone is no reason to stop.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// Says that something is not as it should be, although the command goes on.
pub fn warn(text: impl AsRef<str>) {
    note(format!("warning: {}", text.as_ref()));
}

/// <https://no-color.org>: set and not empty means no.
fn colour_wanted() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
        && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}
