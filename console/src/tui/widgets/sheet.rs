//! Labelled fields and running text, for panes that show one thing in full.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;
use ratatui::text::Span;

use super::canvas::Canvas;
use crate::out::{safe, width};
use crate::tui::theme::{Role, Theme};

/// A piece of a sheet.
#[derive(Clone, Copy, Debug)]
pub enum Item<'a> {
    /// A title; a blank line stands above it, but at the top.
    Title(&'a str),
    /// A label and its value.
    Field {
        /// At the left.
        label: &'a str,
        /// Wrapped beside it.
        value: &'a str,
        /// How the value looks; with the role's mark before it where the role says how well it is.
        role: Role,
    },
    /// Running text, wrapped; it keeps its own line breaks.
    Text(&'a str),
}

/// Fields and texts below each other.
#[derive(Clone, Copy, Debug)]
pub struct Sheet<'a> {
    /// From top to bottom.
    pub items: &'a [Item<'a>],
    /// Lines that are scrolled out at the top; never so many that nothing is left.
    pub top: usize,
}

/// One line as it is drawn.
struct Line<'a> {
    label: Option<&'a str>,
    text: String,
    style: Style,
    indent: u16,
}

impl Sheet<'_> {
    /// Lines that it takes at that width, to know how far it can be scrolled.
    pub fn height(&self, theme: &Theme, cells: u16) -> usize {
        self.lines(theme, cells).count()
    }

    /// Draws as much as there is room for.
    pub fn draw(&self, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let mut canvas = Canvas::new(buffer, area);
        let rows = usize::from(canvas.height());
        let label_cells = self.label_cells(canvas.width());
        // Counted only where it matters: a log of a megabyte is wrapped as far as it is shown.
        let mut top = self.top;
        if top > 0 {
            top = top.min(self.height(theme, canvas.width()).saturating_sub(rows));
        }
        for (row, line) in self.lines(theme, canvas.width()).skip(top).take(rows).enumerate() {
            let y = row as u16;
            if let Some(label) = line.label {
                canvas.put_cut(0, y, label_cells, label, theme.style(Role::Dim), theme);
            }
            canvas.put(line.indent, y, &line.text, line.style);
        }
    }

    fn lines(&self, theme: &Theme, cells: u16) -> impl Iterator<Item = Line<'_>> {
        let indent = match self.label_cells(cells) {
            0 => 0,
            label => label + 2,
        };
        let theme = *theme;
        self.items.iter().enumerate().flat_map(move |(n, item)| -> Box<dyn Iterator<Item = Line<'_>>> {
            match *item {
                Item::Title(title) => {
                    let style = theme.style(Role::Title);
                    let above =
                        (n > 0).then_some(Line { label: None, text: String::new(), style, indent: 0 });
                    let title = Line { label: None, text: safe(title), style, indent: 0 };
                    Box::new(above.into_iter().chain([title]))
                }
                Item::Field { label, value, role } => {
                    let room = usize::from(cells.saturating_sub(indent)).max(1);
                    let style = theme.style(role);
                    let mark = match role {
                        Role::Good | Role::Warn | Role::Bad | Role::Busy | Role::Stale => theme.mark(role),
                        _ => "",
                    };
                    let marked = if mark.is_empty() { value.to_owned() } else { format!("{mark} {value}") };
                    let lines: Vec<String> = wrapped(&marked, room).collect();
                    Box::new(lines.into_iter().enumerate().map(move |(n, text)| Line {
                        label: (n == 0).then_some(label),
                        text,
                        style,
                        indent,
                    }))
                }
                Item::Text(text) => {
                    let style = theme.style(Role::Text);
                    let room = usize::from(cells).max(1);
                    Box::new(wrapped(text, room).map(move |text| Line {
                        label: None,
                        text,
                        style,
                        indent: 0,
                    }))
                }
            }
        })
    }

    /// As wide as the longest label, and no more than a third of the sheet.
    fn label_cells(&self, cells: u16) -> u16 {
        let labels = self.items.iter().map(|item| match item {
            Item::Field { label, .. } => width(&safe(label)),
            Item::Title(_) | Item::Text(_) => 0,
        });
        u16::try_from(labels.max().unwrap_or(0)).unwrap_or(u16::MAX).min(cells / 3)
    }
}

/// `text` in lines of at most `cells` cells (1 or more; a wide character may take two), broken at
/// blanks where there are any, and wherever the text itself breaks.
pub fn wrapped(text: &str, cells: usize) -> impl Iterator<Item = String> {
    text.split('\n').flat_map(move |line| {
        // Tabs would be spelled out; eight blanks are what they mean.
        let line = safe(&line.trim_end_matches('\r').replace('\t', "        "));
        wrap(&line, cells)
    })
}

fn wrap(line: &str, cells: usize) -> Vec<String> {
    let mut lines = Vec::new();
    let mut current = String::new();
    let mut used = 0;
    // Where the current line could be broken: behind its last blank, and the cells up to there.
    let mut blank: Option<(usize, usize)> = None;
    for piece in Span::raw(line).styled_graphemes(Style::new()) {
        let piece = piece.symbol;
        let needs = width(piece);
        if used + needs > cells && !current.is_empty() {
            if piece == " " {
                // A blank at the end of a line is the break itself.
                current.truncate(current.trim_end().len());
                lines.push(std::mem::take(&mut current));
                (used, blank) = (0, None);
                continue;
            }
            let rest = match blank {
                Some((at, before)) => {
                    used -= before;
                    current.split_off(at)
                }
                None => {
                    used = 0;
                    String::new()
                }
            };
            current.truncate(current.trim_end().len());
            lines.push(std::mem::replace(&mut current, rest));
            blank = None;
        }
        current.push_str(piece);
        used += needs;
        // Blanks at the beginning are an indent, no place to break.
        if piece == " " && !current.trim_start().is_empty() {
            blank = Some((current.len(), used));
        }
    }
    lines.push(current);
    lines
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::widgets::testing::{ASCII, UTF8, any_area, drawn, inside, stays_inside};

    const ITEMS: [Item<'static>; 7] = [
        Item::Title("Model 7"),
        Item::Field { label: "architecture", value: "EfficientNet-B0", role: Role::Text },
        Item::Field { label: "gate", value: "refused: recall of owl fell by 4.1 points", role: Role::Bad },
        Item::Field {
            label: "classes", value: "カラス, フクロウ, トビ, カケス, スズメ", role: Role::Text
        },
        Item::Title("Note"),
        Item::Text("Trained on the crops that were relabelled.\n\n  indented \u{1b}[31mred"),
        Item::Field { label: "trained", value: "", role: Role::Text },
    ];

    #[test]
    fn fields_and_texts_are_wrapped() {
        let sheet = Sheet { items: &ITEMS, top: 0 };
        let shown = |theme: &Theme, size| drawn(size, |area, buffer| sheet.draw(theme, area, buffer));
        insta::assert_snapshot!(shown(&UTF8, (60, 12)), @r"
        Model 7
        architecture  EfficientNet-B0
        gate          ✖ refused: recall of owl fell by 4.1 points
        classes       カラス, フクロウ, トビ, カケス, スズメ

        Note
        Trained on the crops that were relabelled.

          indented \u{1b}[31mred
        trained
        ");
        insta::assert_snapshot!(shown(&ASCII, (30, 16)), @r"
        Model 7
        architect~  EfficientNet-B0
        gate        X refused: recall
                    of owl fell by 4.1
                    points
        classes     カラス, フクロウ,
                    トビ, カケス,
                    スズメ

        Note
        Trained on the crops that were
        relabelled.

          indented \u{1b}[31mred
        trained
        ");
    }

    #[test]
    fn scrolling_ends_with_the_last_line() {
        let height = Sheet { items: &ITEMS, top: 0 }.height(&UTF8, 60);
        let last = |top| {
            let shown = drawn((60, 4), |area, buffer| Sheet { items: &ITEMS, top }.draw(&UTF8, area, buffer));
            shown.lines().next().unwrap_or_default().to_owned()
        };
        assert_eq!(height, 10);
        assert_eq!(
            (last(3), last(usize::MAX)),
            ("classes       カラス, フクロウ, トビ, カケス, スズメ".to_owned(), last(6))
        );
    }

    #[test]
    fn lines_break_by_cells() {
        for (text, cells, lines) in [
            ("one two three", 7, &["one two", "three"][..]),
            ("one two three", 8, &["one two", "three"]),
            ("one  two", 4, &["one", "two"]),
            ("abcdefgh", 3, &["abc", "def", "gh"]),
            ("ab cdefgh", 4, &["ab", "cdef", "gh"]),
            ("猫猫猫", 5, &["猫猫", "猫"]),
            ("猫猫", 1, &["猫", "猫"]),
            ("e\u{301}e\u{301}", 1, &["e\u{301}", "e\u{301}"]),
            ("  indented text", 10, &["  indented", "text"]),
            ("a\n\nb\r\nc", 9, &["a", "", "b", "c"]),
            ("\ta", 10, &["        a"]),
            ("\u{202e}x", 20, &["\\u{202e}x"]),
            ("", 5, &[""]),
        ] {
            assert_eq!(wrapped(text, cells).collect::<Vec<_>>(), lines, "{text:?}");
        }
    }

    #[test]
    fn sheets_stay_inside() {
        let items = [
            Item::Title("Model 7"),
            Item::Field { label: "gate", value: "refused: recall fell", role: Role::Bad },
            Item::Text("Trained on crops."),
        ];
        stays_inside(|theme, area, buffer| Sheet { items: &items, top: 1 }.draw(theme, area, buffer));
    }

    proptest! {
        #[test]
        fn wrapping_keeps_every_letter_and_the_width(text in "[a-z 猫é]{0,60}", cells in 2usize..20) {
            let lines: Vec<String> = wrapped(&text, cells).collect();
            for line in &lines {
                prop_assert!(width(line) <= cells, "{line:?}");
            }
            let letters = |text: &str| text.replace(' ', "");
            prop_assert_eq!(letters(&lines.concat()), letters(&text));
        }

        #[test]
        fn any_text_is_drawn_inside(text in "\\PC{0,80}", top: usize, area in any_area()) {
            let items = [Item::Field { label: &text, value: &text, role: Role::Warn }, Item::Text(&text), Item::Title(&text)];
            inside(&UTF8, area, |theme, area, buffer| Sheet { items: &items, top }.draw(theme, area, buffer));
        }
    }
}
