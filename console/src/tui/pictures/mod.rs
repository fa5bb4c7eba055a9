//! Pictures in the terminal, by whatever it has for them.
//!
//! [`decode()`] and [`encode()`] take milliseconds to a second: they are called off the thread that
//! draws, and their results kept in an [`Album`]. [`draw`] copies cells. Nothing here asks the terminal
//! anything; what it can do is said by a [`Medium`].

mod album;
mod decode;
mod encode;
mod guard;
mod shade;

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub use album::{Album, Key, Slot};
pub use decode::{Decoded, Limits, PictureError, decode};
pub use encode::{Encoded, draw, encode};
pub use guard::is_guarded;

use super::theme::Level;

/// How a terminal shows pictures.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Kitty's graphics protocol with its Unicode placeholders.
    Kitty,
    /// iTerm2's inline images.
    Iterm2,
    /// DEC's sixels.
    Sixel,
    /// Two colours in one cell.
    HalfBlocks,
    /// Characters by brightness.
    Ascii,
    /// Not at all.
    None,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Kind; 6] =
        [Kind::Kitty, Kind::Iterm2, Kind::Sixel, Kind::HalfBlocks, Kind::Ascii, Kind::None];

    /// As it is written in configuration.
    pub fn name(self) -> &'static str {
        match self {
            Self::Kitty => "kitty",
            Self::Iterm2 => "iterm2",
            Self::Sixel => "sixel",
            Self::HalfBlocks => "half-blocks",
            Self::Ascii => "ascii",
            Self::None => "none",
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A word that names no [`Kind`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no way to show pictures: kitty, iterm2, sixel, half-blocks, ascii or none")]
pub struct UnknownKind(String);

impl FromStr for Kind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        let named = Self::ALL.into_iter().find(|kind| kind.name() == text);
        named.ok_or_else(|| UnknownKind(text.chars().take(40).collect()))
    }
}

/// What has to be known of a terminal to show pictures on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Medium {
    /// By what.
    pub kind: Kind,
    /// Pixels across and down in one cell. Half-blocks and characters take only the proportion from it.
    pub font: (u16, u16),
    /// Colours, for half-blocks; without at least 256 of them characters are used.
    pub level: Level,
    /// Whether the background is light, for characters: then the darkest pixels get the most ink.
    pub light: bool,
    /// Whether tmux stands between, and lets sequences pass that are wrapped for it.
    pub tmux: bool,
    /// Whether the terminal said that it inflates what is sent by Kitty's protocol.
    pub deflate: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_have_one_name_everywhere() {
        for kind in Kind::ALL {
            assert_eq!(kind.to_string().parse(), Ok(kind));
            assert_eq!(serde_json::to_value(kind).expect("a word"), kind.name());
        }
        let error = Kind::from_str("chafa").expect_err("unknown").to_string();
        assert_eq!(
            error,
            "\"chafa\" is no way to show pictures: kitty, iterm2, sixel, half-blocks, ascii or none"
        );
    }
}
