//! Text that is safe to show, and its width in terminal cells.

use std::fmt::Write;

use ratatui::style::Style;
use ratatui::text::Span;
use unicode_width::UnicodeWidthStr;

/// `text` with everything that could move the cursor or reorder the line spelled out: names come
/// from files and from other people, and a terminal obeys escape sequences whoever sent them.
pub fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        let reorders =
            matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        if c.is_control() || reorders || matches!(c, '\u{2028}' | '\u{2029}') {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Cells `text` takes on a terminal.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` in at most `cells` cells; what was cut is shown by `…`.
pub fn cut(text: &str, cells: usize) -> String {
    cut_with(text, cells, "…")
}

/// `text` in at most `cells` cells, never through the middle of a letter with its accents or of an
/// emoji; what was cut is shown by `mark`, which takes one cell.
pub fn cut_with(text: &str, cells: usize, mark: &str) -> String {
    if width(text) <= cells {
        return text.to_owned();
    }
    if cells == 0 {
        return String::new();
    }
    let mut out = String::new();
    let mut used = 0;
    for piece in Span::raw(text).styled_graphemes(Style::new()) {
        // Of the whole piece: a variation selector makes what it follows wider.
        let next = used + width(piece.symbol);
        if next + 1 > cells {
            break;
        }
        out.push_str(piece.symbol);
        used = next;
    }
    out.push_str(mark);
    out
}

/// A curve in one line, from its lowest to its highest value. At most `cells` wide: longer curves
/// are thinned by taking the last value of each stretch, so that the newest is always there.
pub fn sparkline(values: &[f64], cells: usize) -> String {
    const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let finite: Vec<f64> = values.iter().copied().filter(|value| value.is_finite()).collect();
    let low = finite.iter().copied().fold(f64::INFINITY, f64::min);
    let high = finite.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shown = finite.len().min(cells);
    (1..=shown)
        .map(|i| {
            let value = finite[i * finite.len() / shown - 1];
            let share = if high > low { (value - low) / (high - low) } else { 0.5 };
            // 0–1 onto eight levels; the cast truncates and the index is bounded.
            LEVELS[((share * 8.0) as usize).min(LEVELS.len() - 1)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn hostile_names_are_spelled_out() {
        for (text, shown) in [
            ("plain é 猫", "plain é 猫"),
            ("\x1b[31mred", "\\u{1b}[31mred"),
            ("a\nb\tc\r", "a\\nb\\tc\\r"),
            ("gpj.\u{202e}exe", "gpj.\\u{202e}exe"),
        ] {
            assert_eq!(safe(text), shown);
        }
    }

    #[test]
    fn cuts_by_cells_not_by_chars() {
        for (text, cells, shown) in [
            ("abcdef", 6, "abcdef"),
            ("abcdef", 4, "abc…"),
            ("猫猫猫", 4, "猫…"),
            ("猫", 2, "猫"),
            ("ab", 0, ""),
            ("ab", 1, "…"),
            // What is narrow alone is wide with a variation selector, and a family is one picture.
            ("☀\u{fe0f}☀\u{fe0f}☀\u{fe0f}", 4, "☀\u{fe0f}…"),
            ("☀\u{fe0f}", 1, "…"),
            ("👩\u{200d}👩\u{200d}👧👩\u{200d}👩\u{200d}👧", 3, "👩\u{200d}👩\u{200d}👧…"),
            ("e\u{301}e\u{301}e\u{301}", 2, "e\u{301}…"),
            ("a\u{200b}b\u{200b}c\u{200b}d", 3, "a\u{200b}b\u{200b}…"),
        ] {
            assert_eq!(cut(text, cells), shown);
            assert!(width(&cut(text, cells)) <= cells);
        }
    }

    /// Pieces that are wider, narrower or otherwise together than each of their characters.
    const PIECES: [&str; 12] =
        ["a", "猫", "☀", "\u{fe0f}", "\u{fe0e}", "👩", "\u{200d}", "\u{301}", "\u{200b}", "🇫", "🏿", "لا"];

    proptest! {
        #[test]
        fn nothing_is_cut_too_wide(at in prop::collection::vec(0..PIECES.len(), 0..20), cells in 0_usize..12) {
            let text: String = at.into_iter().map(|at| PIECES[at]).collect();
            prop_assert!(width(&cut(&text, cells)) <= cells, "{text:?}");
        }
    }

    #[test]
    fn sparklines_keep_the_newest_value() {
        assert_eq!(sparkline(&[0.0, 1.0, 2.0, 3.0], 10), "▁▃▆█");
        assert_eq!(sparkline(&[5.0, 5.0], 10), "▅▅");
        assert_eq!(sparkline(&[0.0, 0.0, 0.0, 9.0], 2), "▁█");
        assert_eq!(sparkline(&[], 10), "");
        assert_eq!(sparkline(&[f64::NAN, 1.0], 10), "▅");
    }
}
