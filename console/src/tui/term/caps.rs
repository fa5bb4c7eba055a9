//! What the terminal can do, as far as its environment tells. Nothing is asked of the terminal itself:
//! over a slow link its answers come late, as keys.

use std::time::Duration;

use crate::tui::theme::{Glyphs, Level};

/// How pictures are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pictures {
    /// kitty's graphics protocol.
    Kitty,
    /// iTerm2's inline images.
    Iterm2,
    /// DEC's sixels.
    Sixel,
    /// Two pixels a cell, as its foreground and background.
    HalfBlocks,
    /// Not at all: without colours or block characters there is nothing to see.
    None,
}

/// What the terminal can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// How many colours it has; none under `NO_COLOR` (no-color.org).
    pub level: Level,
    /// Which characters it shows.
    pub glyphs: Glyphs,
    /// Whether tmux is in between.
    pub tmux: bool,
    /// Whether a network is in between.
    pub ssh: bool,
    /// How it shows pictures.
    pub pictures: Pictures,
}

impl Capabilities {
    /// Of this process's terminal.
    pub fn from_env() -> Self {
        Self::detect(|name| std::env::var(name).ok())
    }

    /// Of the terminal that these variables tell of.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        // Empty means absent, for each of them by its own rules.
        let get = |name: &str| variable(name).filter(|value| !value.is_empty());
        let set = |name: &str| get(name).is_some();
        let term = get("TERM").unwrap_or_default();
        let program = get("TERM_PROGRAM").unwrap_or_default();
        let tmux = set("TMUX");
        // GNU screen; tmux too may call itself `screen`.
        let screen = set("STY") && !tmux;

        let level = if set("NO_COLOR") {
            Level::None
        } else {
            let claimed = get("COLORTERM").is_some_and(|value| value == "truecolor" || value == "24bit");
            let level = if claimed { Level::Rgb } else { level(&term, &program) };
            // It passes the variable of the terminal around it on, but not its colours.
            if screen { level.min(Level::Indexed) } else { level }
        };
        // The Linux console's font has 256 or 512 characters: neither braille nor our marks.
        let utf8 = ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(get).is_some_and(|locale| {
            let locale = locale.to_ascii_lowercase();
            locale.contains("utf-8") || locale.contains("utf8")
        });
        let glyphs = if utf8 && term != "linux" { Glyphs::Utf8 } else { Glyphs::Ascii };
        let pictures = if level < Level::Indexed || glyphs == Glyphs::Ascii {
            Pictures::None
        } else if tmux || screen {
            // They pass pictures on only where they are told to, and never know where they are.
            Pictures::HalfBlocks
        } else {
            let iterm = get("LC_TERMINAL").is_some_and(|value| value == "iTerm2");
            let kitty = set("KITTY_WINDOW_ID") || set("KONSOLE_VERSION");
            pictures(&term, if iterm { "iTerm.app" } else { &program }, kitty)
        };
        let ssh = ["SSH_CONNECTION", "SSH_TTY", "SSH_CLIENT"].into_iter().any(set);
        Self { level, glyphs, tmux, ssh, pictures }
    }

    /// How long an Esc may be the beginning of a longer sequence: links and tmux tear them apart.
    pub fn escape_delay(&self) -> Duration {
        Duration::from_millis(if self.ssh || self.tmux { 100 } else { 25 })
    }
}

fn level(term: &str, program: &str) -> Level {
    let starts = |names: &[&str]| names.iter().any(|name| term.starts_with(name));
    if term.is_empty() || starts(&["dumb", "vt1", "vt2", "vt3", "vt5"]) {
        Level::None
    } else if program == "Apple_Terminal" {
        Level::Indexed
    } else if term.ends_with("-direct")
        || starts(&["xterm-kitty", "xterm-ghostty", "alacritty", "foot", "wezterm", "contour", "rio"])
        || ["iTerm.app", "WezTerm", "vscode", "ghostty", "rio", "Hyper"].contains(&program)
    {
        Level::Rgb
    } else if term.contains("256color") || starts(&["tmux", "konsole"]) {
        Level::Indexed
    } else {
        Level::Sixteen
    }
}

fn pictures(term: &str, program: &str, kitty: bool) -> Pictures {
    if kitty || term == "xterm-kitty" || term == "xterm-ghostty" || program == "ghostty" {
        Pictures::Kitty
    } else if program == "iTerm.app" || program == "WezTerm" {
        Pictures::Iterm2
    } else if ["foot", "mlterm", "contour", "yaft"].iter().any(|name| term.starts_with(name)) {
        Pictures::Sixel
    } else {
        Pictures::HalfBlocks
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_tells() {
        use Glyphs::{Ascii, Utf8};
        use Level::{Indexed, Rgb, Sixteen};
        let checks: &[(&str, Level, Glyphs, Pictures)] = &[
            ("", Level::None, Ascii, Pictures::None),
            ("TERM=xterm", Sixteen, Ascii, Pictures::None),
            ("TERM=xterm LANG=C.UTF-8", Sixteen, Utf8, Pictures::None),
            ("TERM=xterm-256color LANG=de_DE.utf8", Indexed, Utf8, Pictures::HalfBlocks),
            ("TERM=xterm-256color COLORTERM=truecolor LANG=C.UTF-8", Rgb, Utf8, Pictures::HalfBlocks),
            ("TERM=xterm-256color COLORTERM=yes LANG=C.UTF-8", Indexed, Utf8, Pictures::HalfBlocks),
            (
                "TERM=xterm-256color NO_COLOR=1 COLORTERM=truecolor LANG=C.UTF-8",
                Level::None,
                Utf8,
                Pictures::None,
            ),
            // Empty is as good as absent.
            ("TERM=xterm-256color NO_COLOR= LANG=C.UTF-8", Indexed, Utf8, Pictures::HalfBlocks),
            // The first locale that is set decides.
            ("TERM=xterm LC_ALL=C LANG=C.UTF-8", Sixteen, Ascii, Pictures::None),
            ("TERM=xterm LC_ALL= LC_CTYPE=en_GB.UTF-8 LANG=C", Sixteen, Utf8, Pictures::None),
            ("TERM=linux LANG=C.UTF-8", Sixteen, Ascii, Pictures::None),
            ("TERM=vt220 LANG=C.UTF-8", Level::None, Utf8, Pictures::None),
            ("TERM=xterm-kitty LANG=C.UTF-8", Rgb, Utf8, Pictures::Kitty),
            ("TERM=xterm-256color KONSOLE_VERSION=230401 LANG=C.UTF-8", Indexed, Utf8, Pictures::Kitty),
            ("TERM=xterm-256color TERM_PROGRAM=iTerm.app LANG=C.UTF-8", Rgb, Utf8, Pictures::Iterm2),
            ("TERM=xterm-256color LC_TERMINAL=iTerm2 LANG=C.UTF-8", Indexed, Utf8, Pictures::Iterm2),
            (
                "TERM=xterm-256color TERM_PROGRAM=Apple_Terminal LANG=C.UTF-8",
                Indexed,
                Utf8,
                Pictures::HalfBlocks,
            ),
            ("TERM=foot LANG=C.UTF-8", Rgb, Utf8, Pictures::Sixel),
            (
                "TERM=tmux-256color TMUX=/tmp/1 COLORTERM=truecolor LANG=C.UTF-8",
                Rgb,
                Utf8,
                Pictures::HalfBlocks,
            ),
            (
                "TERM=screen-256color TMUX=/tmp/1 KITTY_WINDOW_ID=1 LANG=C.UTF-8",
                Indexed,
                Utf8,
                Pictures::HalfBlocks,
            ),
            ("TERM=screen STY=1.x COLORTERM=truecolor LANG=C.UTF-8", Indexed, Utf8, Pictures::HalfBlocks),
        ];
        for (environment, level, glyphs, pictures) in checks {
            let can = detect(environment);
            assert_eq!((can.level, can.glyphs, can.pictures), (*level, *glyphs, *pictures), "{environment}");
        }
    }

    #[test]
    fn what_is_in_between_takes_time() {
        for (environment, tmux, ssh, millis) in [
            ("TERM=xterm", false, false, 25),
            ("TERM=xterm TMUX=/tmp/1", true, false, 100),
            ("TERM=xterm SSH_CONNECTION=a", false, true, 100),
            ("TERM=xterm SSH_TTY=/dev/pts/1", false, true, 100),
        ] {
            let can = detect(environment);
            assert_eq!((can.tmux, can.ssh), (tmux, ssh), "{environment}");
            assert_eq!(can.escape_delay(), Duration::from_millis(millis), "{environment}");
        }
    }

    fn detect(environment: &str) -> Capabilities {
        Capabilities::detect(|name| {
            environment
                .split(' ')
                .filter_map(|pair| pair.split_once('='))
                .find_map(|(key, value)| (key == name).then(|| value.to_owned()))
        })
    }
}
