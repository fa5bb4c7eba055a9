//! Text that is safe to show, and its width in terminal cells.

use std::fmt::Write;

use unicode_width::{UnicodeWidthChar, UnicodeWidthStr};

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
    if width(text) <= cells {
        return text.to_owned();
    }
    let mut out = String::new();
    let mut used = 0;
    for c in text.chars() {
        let next = used + c.width().unwrap_or(0);
        if next + 1 > cells {
            break;
        }
        out.push(c);
        used = next;
    }
    if cells > 0 {
        out.push('…');
    }
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
        ] {
            assert_eq!(cut(text, cells), shown);
            assert!(width(&cut(text, cells)) <= cells);
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
