//! Roles → styles. Nothing else in the console names a colour or a drawing character.
//!
//! What matters is always said three times, by shape, word and colour, so that every palette down to
//! [`Level::None`] loses decoration only. The default foreground and background are the terminal's
//! own: no palette assumes that it is dark.

use ratatui::style::{Color, Modifier, Style};
use serde::{Deserialize, Serialize};

/// What a piece of the screen is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Role {
    /// As it is.
    Text,
    /// Labels, units, what matters less.
    Dim,
    /// Titles and column headers.
    Title,
    /// Lines around panes.
    Border,
    /// The line around the pane that has the keys.
    Focus,
    /// The row that keys act on.
    Selected,
    /// A row that is marked.
    Marked,
    /// Keys, in the footer and in help.
    Key,
    /// What can be gone to, and the piece of a text that a filter matched.
    Accent,
    /// Well.
    Good,
    /// Wants a look.
    Warn,
    /// Wants action.
    Bad,
    /// On its way.
    Busy,
    /// Data that is too old to trust.
    Stale,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 14] = [
        Role::Text,
        Role::Dim,
        Role::Title,
        Role::Border,
        Role::Focus,
        Role::Selected,
        Role::Marked,
        Role::Key,
        Role::Accent,
        Role::Good,
        Role::Warn,
        Role::Bad,
        Role::Busy,
        Role::Stale,
    ];
}

/// How many colours the terminal has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// None, or `NO_COLOR` is set.
    None,
    /// The eight named ones and their bright twins.
    Sixteen,
    /// xterm's 256.
    Indexed,
    /// 24 bits.
    Rgb,
}

/// Which colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Palette {
    /// For dark backgrounds.
    Dark,
    /// For light ones.
    Light,
    /// Blue, orange and yellow in place of green and red (Okabe and Ito 2008), for either background.
    ColourBlind,
    /// No colour at all.
    Mono,
}

/// Which characters lines, bars and marks are drawn with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Glyphs {
    /// Box drawing, blocks and braille.
    Utf8,
    /// ASCII only.
    Ascii,
}

/// How the screen looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Theme {
    /// Which colours.
    pub palette: Palette,
    /// How many there are.
    pub level: Level,
    /// Which characters.
    pub glyphs: Glyphs,
}

impl Theme {
    /// The look of one role.
    pub fn style(&self, role: Role) -> Style {
        let style = match role {
            Role::Text | Role::Good | Role::Accent => Style::new(),
            Role::Dim | Role::Border | Role::Stale => Style::new().add_modifier(Modifier::DIM),
            Role::Title | Role::Focus | Role::Key | Role::Warn | Role::Marked => {
                Style::new().add_modifier(Modifier::BOLD)
            }
            // Underlined too: without colours it must not look like a warning.
            Role::Bad => Style::new().add_modifier(Modifier::BOLD | Modifier::UNDERLINED),
            Role::Busy => Style::new().add_modifier(Modifier::ITALIC),
            Role::Selected => return Style::new().add_modifier(Modifier::REVERSED),
        };
        match self.colour(role) {
            // With a colour the shape of a bad thing's letters need not shout as well.
            Some(colour) => style.remove_modifier(Modifier::UNDERLINED | Modifier::DIM).fg(colour),
            None => style,
        }
    }

    /// The style of a header band in the colour that an agent names for its environment; reversed
    /// where there are no colours.
    pub fn band(&self, colour: &str) -> Style {
        let reversed = Style::new().add_modifier(Modifier::REVERSED | Modifier::BOLD);
        if self.level == Level::None || self.palette == Palette::Mono {
            return reversed;
        }
        match colour {
            "red" => reversed.fg(Color::Red),
            "yellow" => reversed.fg(Color::Yellow),
            "green" => reversed.fg(Color::Green),
            "blue" => reversed.fg(Color::Blue),
            "magenta" => reversed.fg(Color::Magenta),
            "cyan" => reversed.fg(Color::Cyan),
            _ => reversed,
        }
    }

    /// The colour of the n-th of several curves or bars, with the modifier that tells them apart
    /// where there are no colours.
    pub fn series(&self, n: usize) -> Style {
        const NAMED: [Color; 6] =
            [Color::Cyan, Color::Magenta, Color::Yellow, Color::Green, Color::Blue, Color::Red];
        // Okabe and Ito's colours, as xterm's nearest indices.
        const SAFE: [Color; 6] = [
            Color::Indexed(74),
            Color::Indexed(214),
            Color::Indexed(36),
            Color::Indexed(175),
            Color::Indexed(32),
            Color::Indexed(166),
        ];
        const SHAPES: [Modifier; 3] = [Modifier::BOLD, Modifier::DIM, Modifier::ITALIC];
        match (self.level, self.palette) {
            (Level::None, _) | (_, Palette::Mono) => Style::new().add_modifier(SHAPES[n % SHAPES.len()]),
            (Level::Indexed | Level::Rgb, Palette::ColourBlind) => Style::new().fg(SAFE[n % SAFE.len()]),
            _ => Style::new().fg(NAMED[n % NAMED.len()]),
        }
    }

    /// A shade for a share 0–1, as heat maps use it: a background where there are enough colours.
    /// Nothing where there are not: then [`Theme::level_glyph`] says it alone.
    pub fn heat(&self, share: f64) -> Style {
        // Twelve steps of one hue that rise in lightness, so that they order without hue as well.
        const STEPS: [u8; 12] = [17, 18, 19, 20, 26, 32, 38, 44, 50, 86, 122, 158];
        if self.level < Level::Indexed || self.palette == Palette::Mono {
            return Style::new();
        }
        let step = ((share.clamp(0.0, 1.0) * STEPS.len() as f64) as usize).min(STEPS.len() - 1);
        let text = if step < 6 { Color::Indexed(255) } else { Color::Indexed(16) };
        Style::new().bg(Color::Indexed(STEPS[step])).fg(text)
    }

    /// A character for a share 0–1, from nothing to full.
    pub fn level_glyph(&self, share: f64) -> char {
        const BLOCKS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
        const LETTERS: [char; 9] = [' ', '.', ':', '-', '=', '+', '*', '#', '@'];
        let at = (share.clamp(0.0, 1.0) * 8.0).ceil() as usize;
        match self.glyphs {
            Glyphs::Utf8 => BLOCKS[at.min(8)],
            Glyphs::Ascii => LETTERS[at.min(8)],
        }
    }

    /// The mark that goes with a role, one cell wide.
    pub fn mark(&self, role: Role) -> &'static str {
        let (utf8, ascii) = match role {
            Role::Good => ("●", "+"),
            Role::Warn => ("▲", "!"),
            Role::Bad => ("✖", "X"),
            Role::Busy => ("◐", "~"),
            Role::Stale => ("◌", "?"),
            Role::Selected => ("▶", ">"),
            Role::Marked => ("◆", "*"),
            Role::Accent => ("→", ">"),
            Role::Text | Role::Dim | Role::Title | Role::Border | Role::Focus | Role::Key => ("·", "."),
        };
        self.glyph(utf8, ascii)
    }

    /// One of two texts, by what the terminal can show.
    pub fn glyph(&self, utf8: &'static str, ascii: &'static str) -> &'static str {
        match self.glyphs {
            Glyphs::Utf8 => utf8,
            Glyphs::Ascii => ascii,
        }
    }

    fn colour(&self, role: Role) -> Option<Color> {
        if self.level == Level::None || self.palette == Palette::Mono {
            return None;
        }
        let indexed = self.level >= Level::Indexed;
        let pick = |named, index| Some(if indexed { Color::Indexed(index) } else { named });
        match (role, self.palette) {
            (Role::Text | Role::Title | Role::Selected, _) | (_, Palette::Mono) => None,
            (Role::Dim | Role::Border, Palette::Dark | Palette::ColourBlind) => pick(Color::DarkGray, 245),
            (Role::Dim | Role::Border, Palette::Light) => pick(Color::DarkGray, 242),
            (Role::Stale, _) => pick(Color::DarkGray, 244),
            (Role::Focus | Role::Accent | Role::Key, Palette::Dark) => pick(Color::Cyan, 80),
            (Role::Focus | Role::Accent | Role::Key, Palette::Light) => pick(Color::Blue, 25),
            (Role::Focus | Role::Accent | Role::Key, Palette::ColourBlind) => pick(Color::Cyan, 74),
            (Role::Marked, _) => pick(Color::Magenta, 133),
            (Role::Good, Palette::Dark) => pick(Color::Green, 71),
            (Role::Good, Palette::Light) => pick(Color::Green, 28),
            (Role::Good, Palette::ColourBlind) => pick(Color::Blue, 32),
            (Role::Warn, Palette::Dark) => pick(Color::Yellow, 178),
            (Role::Warn, Palette::Light) => pick(Color::Yellow, 130),
            (Role::Warn, Palette::ColourBlind) => pick(Color::Yellow, 178),
            (Role::Bad, Palette::Dark) => pick(Color::Red, 203),
            (Role::Bad, Palette::Light) => pick(Color::Red, 160),
            (Role::Bad, Palette::ColourBlind) => pick(Color::LightRed, 202),
            (Role::Busy, Palette::Light) => pick(Color::Blue, 25),
            (Role::Busy, _) => pick(Color::Blue, 75),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALETTES: [Palette; 4] = [Palette::Dark, Palette::Light, Palette::ColourBlind, Palette::Mono];
    const LEVELS: [Level; 4] = [Level::None, Level::Sixteen, Level::Indexed, Level::Rgb];

    fn themes() -> impl Iterator<Item = Theme> {
        PALETTES
            .into_iter()
            .flat_map(|palette| LEVELS.map(|level| Theme { palette, level, glyphs: Glyphs::Utf8 }))
    }

    #[test]
    fn no_colours_means_none() {
        for theme in themes().filter(|theme| theme.level == Level::None || theme.palette == Palette::Mono) {
            for style in Role::ALL.map(|role| theme.style(role)) {
                assert_eq!((style.fg, style.bg), (None, None), "{theme:?}");
            }
            assert_eq!(theme.band("red").fg, None);
            assert_eq!((theme.heat(0.5).bg, theme.series(0).fg), (None, None));
        }
    }

    #[test]
    fn few_colours_are_the_named_ones() {
        for theme in themes().filter(|theme| theme.level == Level::Sixteen) {
            for role in Role::ALL {
                assert!(
                    !matches!(theme.style(role).fg, Some(Color::Indexed(_) | Color::Rgb(..))),
                    "{role:?}"
                );
            }
        }
    }

    #[test]
    fn good_and_bad_differ_without_colour_too() {
        for theme in themes() {
            let looks = [Role::Good, Role::Warn, Role::Bad].map(|role| (theme.style(role), theme.mark(role)));
            assert!(looks[0] != looks[1] && looks[1] != looks[2] && looks[0].1 != looks[2].1, "{theme:?}");
        }
    }

    #[test]
    fn shares_become_glyphs() {
        for (glyphs, empty, low, full) in [(Glyphs::Utf8, ' ', '▁', '█'), (Glyphs::Ascii, ' ', '.', '@')]
        {
            let theme = Theme { palette: Palette::Dark, level: Level::None, glyphs };
            assert_eq!([0.0, 0.01, 7.0].map(|share| theme.level_glyph(share)), [empty, low, full]);
            assert_eq!(theme.level_glyph(f64::NAN), empty);
        }
    }
}
