//! Bytes from a terminal → keys, pastes, the mouse. Understands what xterm and its kin send in their
//! default modes ("XTerm Control Sequences", Dickey), and drops what it does not know.

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::input::InputEvent;

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

/// What follows `ESC [`.
fn csi(rest: &[u8]) -> Parsed {
    match rest {
        // The Linux console's F1 to F5.
        [b'[', letter, ..] => {
            let code = (b'A'..=b'E').contains(letter).then(|| KeyCode::F(letter - b'A' + 1));
            return Parsed::Whole(code.map(|code| key(code, KeyModifiers::NONE)), 4);
        }
        [b'['] => return Parsed::Partial,
        // The mouse of a terminal that knows no SGR reports: three bytes that are no keys.
        [b'M', ..] if rest.len() < 4 => return Parsed::Partial,
        [b'M', ..] => return Parsed::Whole(None, 6),
        _ => {}
    }
    let Some(end) = rest.iter().position(|byte| !(0x20..=0x3f).contains(byte)) else {
        return Parsed::Partial;
    };
    let (parameters, last) = (&rest[..end], rest[end]);
    if last == ESC {
        // Cut short; another one begins.
        return Parsed::Whole(None, end + 2);
    }
    let took = end + 3;
    let sgr_mouse = parameters.strip_prefix(b"<");
    let numbers: Vec<u16> = sgr_mouse
        .unwrap_or(parameters)
        .split(|&byte| byte == b';')
        // Of `code:alternate` only the first counts.
        .map(|number| number.split(|&byte| byte == b':').next().unwrap_or_default())
        .map(|number| std::str::from_utf8(number).ok().and_then(|number| number.parse().ok()).unwrap_or(0))
        .collect();
    let number = |at: usize| numbers.get(at).copied().unwrap_or(0);
    let held = modifiers(number(1));
    let event = match (last, sgr_mouse) {
        (b'M' | b'm', Some(_)) => mouse(number(0), number(1), number(2), last == b'M'),
        (b'~', None) if number(0) == 200 => return Parsed::PasteStart(took),
        (b'~', None) if number(0) == 27 => coded(number(2), held),
        (b'~', None) => numbered(number(0)).map(|code| key(code, held)),
        (b'u', None) => coded(number(0), held),
        (b'Z', None) => Some(key(KeyCode::BackTab, KeyModifiers::SHIFT)),
        (letter, None) => lettered(letter).map(|code| key(code, held)),
        (_, Some(_)) => None,
    };
    Parsed::Whole(event, took)
}

fn lettered(letter: u8) -> Option<KeyCode> {
    Some(match letter {
        b'A' => KeyCode::Up,
        b'B' => KeyCode::Down,
        b'C' => KeyCode::Right,
        b'D' => KeyCode::Left,
        b'F' => KeyCode::End,
        b'H' => KeyCode::Home,
        b'P'..=b'S' => KeyCode::F(letter - b'P' + 1),
        _ => return None,
    })
}

fn numbered(number: u16) -> Option<KeyCode> {
    Some(match number {
        1 | 7 => KeyCode::Home,
        2 => KeyCode::Insert,
        3 => KeyCode::Delete,
        4 | 8 => KeyCode::End,
        5 => KeyCode::PageUp,
        6 => KeyCode::PageDown,
        11..=15 => KeyCode::F(number as u8 - 10),
        17..=21 => KeyCode::F(number as u8 - 11),
        23..=26 => KeyCode::F(number as u8 - 12),
        28..=29 => KeyCode::F(number as u8 - 13),
        31..=34 => KeyCode::F(number as u8 - 14),
        _ => return None,
    })
}

/// A key named by its character's code, as `CSI u` and xterm's modifyOtherKeys do.
fn coded(code: u16, held: KeyModifiers) -> Option<InputEvent> {
    let code = match code {
        9 if held.contains(KeyModifiers::SHIFT) => KeyCode::BackTab,
        9 => KeyCode::Tab,
        13 => KeyCode::Enter,
        27 => KeyCode::Esc,
        127 => KeyCode::Backspace,
        _ => {
            let c = char::from_u32(u32::from(code)).filter(|c| !c.is_control())?;
            return Some(character(c, held));
        }
    };
    Some(key(code, held))
}

fn modifiers(parameter: u16) -> KeyModifiers {
    let bits = parameter.saturating_sub(1);
    [(1, KeyModifiers::SHIFT), (2, KeyModifiers::ALT), (4, KeyModifiers::CONTROL)]
        .into_iter()
        .filter(|(bit, _)| bits & bit != 0)
        .fold(KeyModifiers::NONE, |all, (_, modifier)| all | modifier)
}

/// An SGR report: button and modifiers, 1-based column and row, pressed or released.
fn mouse(code: u16, column: u16, row: u16, pressed: bool) -> Option<InputEvent> {
    let button = match code & 0b11 {
        0 => Some(MouseButton::Left),
        1 => Some(MouseButton::Middle),
        2 => Some(MouseButton::Right),
        _ => None,
    };
    let (wheel, moved) = (code & 64 != 0, code & 32 != 0);
    let kind = match (wheel, moved, button) {
        (true, _, Some(MouseButton::Left)) => MouseEventKind::ScrollUp,
        (true, _, Some(MouseButton::Middle)) => MouseEventKind::ScrollDown,
        (true, _, Some(MouseButton::Right)) => MouseEventKind::ScrollLeft,
        (true, _, None) => MouseEventKind::ScrollRight,
        (false, true, Some(button)) => MouseEventKind::Drag(button),
        (false, true, None) => MouseEventKind::Moved,
        (false, false, Some(button)) if pressed => MouseEventKind::Down(button),
        (false, false, Some(button)) => MouseEventKind::Up(button),
        (false, false, None) => return None,
    };
    // Shift, Alt and Control are the bits 4, 8 and 16.
    let modifiers = modifiers(((code >> 2) & 0b111) + 1);
    let (column, row) = (column.checked_sub(1)?, row.checked_sub(1)?);
    Some(InputEvent::Mouse(MouseEvent { kind, column, row, modifiers }))
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
