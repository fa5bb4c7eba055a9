//! Keys as they are pressed, written and configured: `q`, `G`, `ctrl-l`, `shift-tab`, `f5`, `g g`.

use std::fmt;
use std::str::FromStr;

use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde::{Deserialize, Serialize};

/// One key with its modifiers. Shift is part of a character (`G`), not a modifier of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Serialize, Deserialize)]
pub struct Key {
    /// Which.
    pub code: KeyCode,
    /// Held with it.
    pub modifiers: KeyModifiers,
}

impl Key {
    /// A key without modifiers.
    pub const fn plain(code: KeyCode) -> Self {
        Self { code, modifiers: KeyModifiers::NONE }
    }

    /// A character.
    pub const fn char(c: char) -> Self {
        Self::plain(KeyCode::Char(c))
    }

    /// The character this key types, if it types one.
    pub fn typed(self) -> Option<char> {
        match self.code {
            KeyCode::Char(c) if self.modifiers.is_empty() => Some(c),
            _ => None,
        }
    }
}

impl From<KeyEvent> for Key {
    fn from(event: KeyEvent) -> Self {
        let mut modifiers =
            event.modifiers & (KeyModifiers::CONTROL | KeyModifiers::ALT | KeyModifiers::SHIFT);
        // Terminals say `G` with and without shift; back-tab is shift-tab by another name.
        if matches!(event.code, KeyCode::Char(_) | KeyCode::BackTab) {
            modifiers -= KeyModifiers::SHIFT;
        }
        // What many terminals send for backspace.
        if event.code == KeyCode::Char('h') && modifiers == KeyModifiers::CONTROL {
            return Self::plain(KeyCode::Backspace);
        }
        Self { code: event.code, modifiers }
    }
}

/// The names of keys that are no characters.
const NAMES: [(&str, KeyCode); 18] = [
    ("enter", KeyCode::Enter),
    ("esc", KeyCode::Esc),
    ("tab", KeyCode::Tab),
    ("shift-tab", KeyCode::BackTab),
    ("backspace", KeyCode::Backspace),
    ("delete", KeyCode::Delete),
    ("insert", KeyCode::Insert),
    ("up", KeyCode::Up),
    ("down", KeyCode::Down),
    ("left", KeyCode::Left),
    ("right", KeyCode::Right),
    ("pgup", KeyCode::PageUp),
    ("pgdown", KeyCode::PageDown),
    ("home", KeyCode::Home),
    ("end", KeyCode::End),
    ("space", KeyCode::Char(' ')),
    ("minus", KeyCode::Char('-')),
    ("plus", KeyCode::Char('+')),
];

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (modifier, name) in
            [(KeyModifiers::CONTROL, "ctrl-"), (KeyModifiers::ALT, "alt-"), (KeyModifiers::SHIFT, "shift-")]
        {
            if self.modifiers.contains(modifier) {
                f.write_str(name)?;
            }
        }
        if self.modifiers.is_empty()
            && let KeyCode::Char(c @ ('-' | '+')) = self.code
        {
            return write!(f, "{c}");
        }
        if let Some((name, _)) = NAMES.iter().find(|(_, code)| *code == self.code) {
            return f.write_str(name);
        }
        match self.code {
            KeyCode::Char(c) => write!(f, "{c}"),
            KeyCode::F(n) => write!(f, "f{n}"),
            other => write!(f, "{other:?}"),
        }
    }
}

impl FromStr for Key {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let unknown = || format!("{text:?} is not a key such as q, G, ctrl-l, shift-tab, space or f5");
        let mut modifiers = KeyModifiers::NONE;
        let mut rest = text;
        loop {
            if let Some((_, code)) = NAMES.iter().find(|(name, _)| *name == rest) {
                return Ok(Self { code: *code, modifiers });
            }
            let held = [
                ("ctrl-", KeyModifiers::CONTROL),
                ("alt-", KeyModifiers::ALT),
                ("shift-", KeyModifiers::SHIFT),
            ];
            match held.iter().find_map(|(name, modifier)| Some((rest.strip_prefix(name)?, *modifier))) {
                Some((after, modifier)) => {
                    modifiers |= modifier;
                    rest = after;
                }
                None => break,
            }
        }
        let mut chars = rest.chars();
        match (chars.next(), chars.as_str()) {
            (Some(c), "") if !c.is_control() && !modifiers.contains(KeyModifiers::SHIFT) => {
                Ok(Self { code: KeyCode::Char(c), modifiers })
            }
            (Some('f'), digits) => match digits.parse() {
                Ok(n @ 1..=24) => Ok(Self { code: KeyCode::F(n), modifiers }),
                _ => Err(unknown()),
            },
            _ => Err(unknown()),
        }
    }
}

/// Keys pressed one after the other: `g g`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Keys(pub Vec<Key>);

impl fmt::Display for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, key) in self.0.iter().enumerate() {
            if i > 0 {
                f.write_str(" ")?;
            }
            key.fmt(f)?;
        }
        Ok(())
    }
}

impl FromStr for Keys {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let keys: Vec<Key> = text.split_whitespace().map(str::parse).collect::<Result<_, _>>()?;
        if keys.is_empty() || keys.len() > 3 {
            return Err(format!("{text:?} is not one to three keys apart by blanks"));
        }
        Ok(Self(keys))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_read_as_they_are_written() {
        for text in
            ["q", "G", "ctrl-l", "shift-tab", "space", "f5", "g g", "-", "+", "ctrl-alt-x", "?", "é", ":"]
        {
            let keys: Keys = text.parse().expect(text);
            assert_eq!(keys.to_string(), text);
        }
        for text in ["", "ctrl-", "qq", "f99", "shift-x", "a b c d"] {
            assert!(text.parse::<Keys>().is_err(), "{text}");
        }
    }

    #[test]
    fn terminals_differ_about_shift() {
        for modifiers in [KeyModifiers::NONE, KeyModifiers::SHIFT] {
            assert_eq!(Key::from(KeyEvent::new(KeyCode::Char('G'), modifiers)), Key::char('G'));
        }
        let back = KeyEvent::new(KeyCode::BackTab, KeyModifiers::SHIFT);
        assert_eq!(Key::from(back).to_string(), "shift-tab");
    }
}
