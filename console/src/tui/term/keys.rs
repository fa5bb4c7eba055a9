//! Bytes from a terminal → keys, pastes, the mouse. Understands what xterm and its kin send in their
//! default modes ("XTerm Control Sequences", Dickey), and drops what it does not know.

mod csi;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::input::InputEvent;
use csi::{csi, lettered};

/// The longest paste, in bytes.
const PASTE_LIMIT: usize = 1 << 20;
/// The longest sequence worth keeping; a terminal's answers are shorter.
const SEQUENCE_LIMIT: usize = 1 << 10;
const PASTE_END: &[u8] = b"\x1b[201~";
const ESC: u8 = 0x1b;
const BELL: u8 = 0x07;

/// Bytes that came so far and are not yet a whole event.
#[derive(Debug, Default)]
pub struct Decoder {
    pending: Vec<u8>,
    state: State,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Keys,
    Paste(Paste),
    /// Inside a string that is too long for anything we know; whether the last byte was an Esc.
    Skipping(bool),
}

#[derive(Debug, Default)]
struct Paste {
    text: Vec<u8>,
    /// How many of the last bytes are the beginning of its end.
    ending: usize,
}

/// What the beginning of the pending bytes is.
enum Parsed {
    /// An event, or nothing that anyone wants, and how many bytes it took.
    Whole(Option<InputEvent>, usize),
    /// The beginning of a paste, and how many bytes it took.
    PasteStart(usize),
    /// Not to be told without the bytes that follow.
    Partial,
}

impl Decoder {
    /// Takes bytes as they come.
    pub fn feed(&mut self, bytes: &[u8], events: &mut Vec<InputEvent>) {
        for &byte in bytes {
            match &mut self.state {
                State::Keys => {
                    self.pending.push(byte);
                    self.parse(events);
                }
                State::Paste(paste) => {
                    if paste.push(byte) {
                        events.push(InputEvent::Paste(String::from_utf8_lossy(&paste.text).into_owned()));
                        self.state = State::Keys;
                    }
                }
                State::Skipping(true) if byte == b'\\' => self.state = State::Keys,
                State::Skipping(_) if byte == BELL => self.state = State::Keys,
                State::Skipping(escaped) => *escaped = byte == ESC,
            }
        }
    }

    /// Whether bytes wait for others that may never come, such as an Esc that is just that.
    pub fn is_undecided(&self) -> bool {
        !self.pending.is_empty() || matches!(self.state, State::Skipping(_))
    }

    /// No more bytes came in time: what is pending is taken for what it is.
    pub fn decide(&mut self, events: &mut Vec<InputEvent>) {
        if let State::Skipping(_) = self.state {
            self.state = State::Keys;
        }
        let pending = std::mem::take(&mut self.pending);
        match pending.as_slice() {
            [ESC] => events.push(key(KeyCode::Esc, KeyModifiers::NONE)),
            // The beginning of a sequence, alone: that key with Alt.
            [ESC, byte] if byte.is_ascii_graphic() => {
                events.push(character(char::from(*byte), KeyModifiers::ALT));
            }
            _ => {}
        }
    }

    fn parse(&mut self, events: &mut Vec<InputEvent>) {
        while !self.pending.is_empty() {
            match parse(&self.pending) {
                Parsed::Whole(event, took) => {
                    events.extend(event);
                    self.pending.drain(..took.min(self.pending.len()));
                }
                Parsed::PasteStart(took) => {
                    self.pending.drain(..took);
                    self.state = State::Paste(Paste::default());
                    return;
                }
                Parsed::Partial if self.pending.len() >= SEQUENCE_LIMIT => {
                    self.pending.clear();
                    self.state = State::Skipping(false);
                }
                Parsed::Partial => return,
            }
        }
    }
}

impl Paste {
    /// Whether this byte ended it.
    fn push(&mut self, byte: u8) -> bool {
        self.ending = match PASTE_END.get(self.ending) {
            Some(&expected) if expected == byte => self.ending + 1,
            _ => usize::from(byte == ESC),
        };
        if self.text.len() < PASTE_LIMIT + PASTE_END.len() {
            self.text.push(byte);
        }
        let ended = self.ending == PASTE_END.len();
        if ended {
            if self.text.ends_with(PASTE_END) {
                self.text.truncate(self.text.len() - PASTE_END.len());
            }
            self.text.truncate(PASTE_LIMIT);
        }
        ended
    }
}

fn parse(bytes: &[u8]) -> Parsed {
    match bytes {
        [] | [ESC] => Parsed::Partial,
        // Only the first is decided: the second may begin a sequence.
        [ESC, ESC, ..] => Parsed::Whole(Some(key(KeyCode::Esc, KeyModifiers::NONE)), 1),
        [ESC, b'[', rest @ ..] => csi(rest),
        [ESC, b'O', rest @ ..] => match rest {
            [] => Parsed::Partial,
            [last, ..] => Parsed::Whole(ss3(*last), 3),
        },
        [ESC, b']' | b'P' | b'X' | b'^' | b'_', rest @ ..] => string(rest),
        [ESC, rest @ ..] => match plain(rest) {
            Parsed::Whole(event, took) => Parsed::Whole(event.map(with_alt), took + 1),
            other => other,
        },
        _ => plain(bytes),
    }
}

/// One character: a control character or UTF-8.
fn plain(bytes: &[u8]) -> Parsed {
    let Some(&first) = bytes.first() else { return Parsed::Partial };
    let control = |code| Some(key(code, KeyModifiers::NONE));
    let with_ctrl = |c: u8| Some(key(KeyCode::Char(char::from(c)), KeyModifiers::CONTROL));
    let event = match first {
        b'\r' => control(KeyCode::Enter),
        b'\t' => control(KeyCode::Tab),
        0x7f => control(KeyCode::Backspace),
        0 => with_ctrl(b' '),
        0x01..=0x1a => with_ctrl(first - 1 + b'a'),
        // Ctrl-\ ] ^ _ as crossterm names them.
        0x1c..=0x1f => with_ctrl(first - 0x1c + b'4'),
        _ => return utf8(bytes),
    };
    Parsed::Whole(event, 1)
}

fn utf8(bytes: &[u8]) -> Parsed {
    let wanted = match bytes[0] {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return Parsed::Whole(None, 1),
    };
    let there = &bytes[..wanted.min(bytes.len())];
    match std::str::from_utf8(there) {
        Ok(text) => {
            let event = text.chars().next().filter(|c| !c.is_control());
            Parsed::Whole(event.map(|c| character(c, KeyModifiers::NONE)), there.len())
        }
        // Cut short so far.
        Err(error) if error.error_len().is_none() => Parsed::Partial,
        Err(_) => Parsed::Whole(None, 1),
    }
}

/// A string that answers a question nobody asks: dropped up to its end.
fn string(rest: &[u8]) -> Parsed {
    let end = rest.iter().enumerate().find_map(|(at, &byte)| match byte {
        BELL => Some(at + 1),
        b'\\' if at > 0 && rest[at - 1] == ESC => Some(at + 1),
        _ => None,
    });
    end.map_or(Parsed::Partial, |end| Parsed::Whole(None, end + 2))
}

fn ss3(last: u8) -> Option<InputEvent> {
    let code = match last {
        b'M' => KeyCode::Enter,
        _ => lettered(last)?,
    };
    Some(key(code, KeyModifiers::NONE))
}

fn key(code: KeyCode, modifiers: KeyModifiers) -> InputEvent {
    InputEvent::Key(KeyEvent::new(code, modifiers))
}

fn character(c: char, mut modifiers: KeyModifiers) -> InputEvent {
    if c.is_uppercase() {
        modifiers |= KeyModifiers::SHIFT;
    }
    key(KeyCode::Char(c), modifiers)
}

fn with_alt(event: InputEvent) -> InputEvent {
    match event {
        InputEvent::Key(mut key) => {
            key.modifiers |= KeyModifiers::ALT;
            InputEvent::Key(key)
        }
        other => other,
    }
}

#[cfg(test)]
mod tests;
