//! Control sequences: keys with a name, keys with modifiers, the mouse.

use crossterm::event::{KeyCode, KeyModifiers, MouseButton, MouseEvent, MouseEventKind};

use super::{ESC, InputEvent, Parsed, character, key};

/// What follows `ESC [`.
pub fn csi(rest: &[u8]) -> Parsed {
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

/// The key with this letter at its end.
pub fn lettered(letter: u8) -> Option<KeyCode> {
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
