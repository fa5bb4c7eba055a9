//! Copying to the clipboard of the machine that the terminal is on, by asking the terminal (OSC 52):
//! on an agent's machine a clipboard program would copy to where nobody looks.

use data_encoding::BASE64;

/// The longest text in bytes of base64. Terminals and what lies in between drop longer sequences
/// without a word; this is what the strictest of the common ones takes.
pub const LIMIT: usize = 74_994;

/// GNU screen drops strings of more than 768 bytes.
const SCREEN_CHUNK: usize = 600;

/// What lies between us and the terminal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wrap {
    /// Nothing.
    None,
    /// tmux.
    Tmux,
    /// GNU screen.
    Screen,
}

impl Wrap {
    /// As these variables tell.
    pub fn detect(variable: impl Fn(&str) -> Option<String>) -> Self {
        let set = |name: &str| variable(name).is_some_and(|value| !value.is_empty());
        if set("TMUX") {
            Wrap::Tmux
        } else if set("STY") {
            Wrap::Screen
        } else {
            Wrap::None
        }
    }
}

/// The text is longer than terminals take.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{bytes} bytes are more than a terminal copies ({} at most)", LIMIT / 4 * 3)]
pub struct TooLong {
    /// Its length in bytes.
    pub bytes: usize,
}

/// What makes the terminal copy `text`.
pub fn osc52(text: &str, wrap: Wrap) -> Result<String, TooLong> {
    if BASE64.encode_len(text.len()) > LIMIT {
        return Err(TooLong { bytes: text.len() });
    }
    let data = BASE64.encode(text.as_bytes());
    let plain = format!("\x1b]52;c;{data}\x07");
    Ok(match wrap {
        Wrap::None => plain,
        // Two settings decide which of them it heeds: `set-clipboard` the plain one, `allow-passthrough`
        // the wrapped one. Copying twice does no harm.
        Wrap::Tmux => format!("{plain}\x1bPtmux;{}\x1b\\", plain.replace('\x1b', "\x1b\x1b")),
        Wrap::Screen => {
            // All ASCII: every index is a boundary.
            let chunks = plain.as_bytes().chunks(SCREEN_CHUNK);
            chunks.map(|chunk| format!("\x1bP{}\x1b\\", String::from_utf8_lossy(chunk))).collect()
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_become_sequences() {
        for (text, wrap, expected) in [
            ("", Wrap::None, "\x1b]52;c;\x07"),
            ("vigie", Wrap::None, "\x1b]52;c;dmlnaWU=\x07"),
            ("é\x1b\n", Wrap::None, "\x1b]52;c;w6kbCg==\x07"),
            ("vigie", Wrap::Tmux, "\x1b]52;c;dmlnaWU=\x07\x1bPtmux;\x1b\x1b]52;c;dmlnaWU=\x07\x1b\\"),
            ("vigie", Wrap::Screen, "\x1bP\x1b]52;c;dmlnaWU=\x07\x1b\\"),
        ] {
            assert_eq!(osc52(text, wrap).as_deref(), Ok(expected), "{text:?} {wrap:?}");
        }
    }

    #[test]
    fn screen_gets_short_strings() {
        let text = "x".repeat(2_000);
        let wrapped = osc52(&text, Wrap::Screen).expect("not too long");
        let chunks: Vec<_> = wrapped.split_terminator("\x1b\\").collect();
        assert_eq!(chunks.len(), 5);
        assert!(chunks.iter().all(|chunk| chunk.len() <= 768 && chunk.starts_with("\x1bP")));
        let joined: String = chunks.iter().filter_map(|chunk| chunk.strip_prefix("\x1bP")).collect();
        assert_eq!(Ok(joined), osc52(&text, Wrap::None));
    }

    #[test]
    fn too_long_texts_are_refused() {
        // 74,992 bytes of base64 still fit.
        for (bytes, fits) in [(56_244, true), (56_245, false), (1 << 20, false)] {
            let copied = osc52(&"x".repeat(bytes), Wrap::None);
            assert_eq!(copied.is_ok(), fits, "{bytes}");
            if let Err(error) = copied {
                assert_eq!(error, TooLong { bytes });
                assert_eq!(
                    error.to_string(),
                    format!("{bytes} bytes are more than a terminal copies (56244 at most)")
                );
            }
        }
    }

    #[test]
    fn the_environment_tells_what_lies_in_between() {
        for (set, expected) in
            [(&["TMUX", "STY"][..], Wrap::Tmux), (&["STY"], Wrap::Screen), (&[], Wrap::None)]
        {
            let variable = |name: &str| set.contains(&name).then(|| "x".to_owned());
            assert_eq!(Wrap::detect(variable), expected, "{set:?}");
        }
    }
}
