//! Aligned columns.

use vigie_protocol::health::EnvironmentColour;

use super::Style;
use super::text::{cut, safe, width};

/// How a cell is meant; colour only repeats what its text says.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Tone {
    /// As it is.
    #[default]
    Plain,
    /// Headers and what matters less.
    Dim,
    /// Well.
    Good,
    /// Wants a look.
    Warn,
    /// Wants action.
    Bad,
    /// Names an agent's environment, in the colour that the agent's configuration gives it.
    Environment(EnvironmentColour),
}

impl Tone {
    /// `text` in this tone.
    pub fn paint(self, text: &str, style: &Style) -> String {
        let code = match self {
            Tone::Plain => return text.to_owned(),
            Tone::Dim => "2",
            Tone::Good => "32",
            Tone::Warn => "33",
            Tone::Bad => "31",
            Tone::Environment(colour) => match colour {
                EnvironmentColour::Red => "31",
                EnvironmentColour::Green => "32",
                EnvironmentColour::Yellow => "33",
                EnvironmentColour::Blue => "34",
                EnvironmentColour::Magenta => "35",
                EnvironmentColour::Cyan => "36",
                EnvironmentColour::None | EnvironmentColour::Unknown => return text.to_owned(),
            },
        };
        if style.colour { format!("\x1b[{code}m{text}\x1b[0m") } else { text.to_owned() }
    }
}

/// A piece of text, made safe to show.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cell {
    pub(super) text: String,
    pub(super) tone: Tone,
}

impl Cell {
    /// A cell that is meant in a certain way.
    pub fn toned(text: impl AsRef<str>, tone: Tone) -> Self {
        Self { text: safe(text.as_ref()), tone }
    }

    /// What stands where there is nothing.
    pub fn none() -> Self {
        Self::toned("-", Tone::Dim)
    }

    /// The value, or a dash.
    pub fn maybe(value: Option<impl ToString>) -> Self {
        value.map_or_else(Self::none, |value| value.to_string().into())
    }
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

impl From<&str> for Cell {
    fn from(text: &str) -> Self {
        Self::toned(text, Tone::Plain)
    }
}

/// One column of a table.
#[derive(Clone, Copy, Debug)]
pub struct Column {
    title: &'static str,
    right: bool,
    flexible: bool,
}

impl Column {
    /// Text, to the left.
    pub fn text(title: &'static str) -> Self {
        Self { title, right: false, flexible: false }
    }

    /// Figures, to the right.
    pub fn figure(title: &'static str) -> Self {
        Self { title, right: true, flexible: false }
    }

    /// Text that may be cut when the terminal is narrow.
    pub fn flexible(title: &'static str) -> Self {
        Self { title, right: false, flexible: true }
    }
}

/// Rows under headers.
#[derive(Clone, Debug)]
pub struct Table {
    columns: Vec<Column>,
    rows: Vec<Vec<Cell>>,
    empty: &'static str,
}

/// A flexible column is not cut below this.
const NARROWEST: usize = 8;
const GAP: usize = 2;

impl Table {
    /// A table with these columns; `empty` is what it says when it has no rows.
    pub fn new(columns: impl Into<Vec<Column>>, empty: &'static str) -> Self {
        Self { columns: columns.into(), rows: Vec::new(), empty }
    }

    /// Adds a row; as many cells as columns.
    pub fn row(&mut self, cells: impl Into<Vec<Cell>>) {
        self.rows.push(cells.into());
    }

    /// The table as text, a line a row.
    pub fn render(&self, style: &Style) -> String {
        if self.rows.is_empty() {
            return format!("{}\n", Tone::Dim.paint(self.empty, style));
        }
        let widths = self.widths(style.width);
        let headers: Vec<Cell> =
            self.columns.iter().map(|column| Cell::toned(column.title, Tone::Dim)).collect();
        let mut out = String::new();
        for row in std::iter::once(&headers).chain(&self.rows) {
            let mut line = String::new();
            for (i, ((column, cell), &cells)) in self.columns.iter().zip(row).zip(&widths).enumerate() {
                if i > 0 {
                    line.push_str(&" ".repeat(GAP));
                }
                let text = cut(&cell.text, cells);
                let padding = " ".repeat(cells.saturating_sub(width(&text)));
                let last = i + 1 == self.columns.len();
                let painted = cell.tone.paint(&text, style);
                match (column.right, last) {
                    (true, _) => line.extend([padding.as_str(), &painted]),
                    (false, false) => line.extend([painted.as_str(), &padding]),
                    (false, true) => line.push_str(&painted),
                }
            }
            out.push_str(line.trim_end());
            out.push('\n');
        }
        out
    }

    /// Natural widths, the widest flexible columns cut until the line fits; when that is not
    /// enough, the last columns go.
    fn widths(&self, available: Option<usize>) -> Vec<usize> {
        let mut widths: Vec<usize> = self.columns.iter().map(|column| width(column.title)).collect();
        for row in &self.rows {
            for (widest, cell) in widths.iter_mut().zip(row) {
                *widest = (*widest).max(width(&cell.text));
            }
        }
        let Some(available) = available else { return widths };
        let gaps = GAP * self.columns.len().saturating_sub(1);
        let mut excess = (widths.iter().sum::<usize>() + gaps).saturating_sub(available);
        while excess > 0 {
            let widest = (0..widths.len())
                .filter(|&i| self.columns[i].flexible && widths[i] > NARROWEST)
                .max_by_key(|&i| widths[i]);
            let Some(widest) = widest else { break };
            widths[widest] -= 1;
            excess -= 1;
        }
        for width in widths.iter_mut().rev() {
            let cut = excess.min(*width);
            *width -= cut;
            excess -= cut;
        }
        widths
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use vigie_protocol::Time;

    fn style(width: Option<usize>, colour: bool) -> Style {
        Style { colour, width, now: Time::default() }
    }

    fn sample() -> Table {
        let mut table =
            Table::new([Column::text("NAME"), Column::figure("IMAGES"), Column::flexible("ORIGIN")], "none");
        table.row(["owl".into(), "1,500".into(), "import of a-rather-long-name.zip".into()]);
        table.row(["猫".into(), Cell::none(), "x\x1b[2J".into()]);
        table
    }

    #[test]
    fn columns_are_aligned_by_cells() {
        insta::assert_snapshot!(sample().render(&style(None, false)), @r"
        NAME  IMAGES  ORIGIN
        owl    1,500  import of a-rather-long-name.zip
        猫         -  x\u{1b}[2J
        ");
    }

    #[test]
    fn columns_stand_under_each_other_whatever_names_hold() {
        let mut table = Table::new([Column::flexible("NAME"), Column::figure("IMAGES")], "none");
        for name in ["☀\u{fe0f}".repeat(9), "👩\u{200d}👩\u{200d}👧".repeat(9), "e\u{301}\u{200b}".repeat(30)]
        {
            table.row([name.into(), "7".into()]);
        }
        for room in 0..30 {
            let text = table.render(&style(Some(room), false));
            let widths: Vec<usize> = text.lines().map(width).collect();
            assert!(widths.iter().all(|width| *width <= room), "{room}: {text}");
            assert!(room < 20 || widths.iter().all(|width| *width == widths[0]), "{room}: {text}");
        }
    }

    #[test]
    fn narrow_terminals_cut_the_flexible_column_first() {
        insta::assert_snapshot!(sample().render(&style(Some(26), false)), @r"
        NAME  IMAGES  ORIGIN
        owl    1,500  import of a…
        猫         -  x\u{1b}[2J
        ");
        for line in sample().render(&style(Some(12), false)).lines() {
            assert!(width(line) <= 12, "{line:?}");
        }
    }

    #[test]
    fn colour_repeats_what_the_text_says() {
        let mut table = Table::new([Column::text("STATE")], "none");
        table.row([Cell::toned("up", Tone::Good)]);
        assert!(table.render(&style(None, true)).contains("\x1b[32mup\x1b[0m"));
        assert!(!table.render(&style(None, false)).contains('\x1b'));
    }

    #[test]
    fn an_environment_has_the_colour_it_was_given() {
        for (colour, expected) in [
            (EnvironmentColour::Red, "\x1b[31mprod\x1b[0m"),
            (EnvironmentColour::Magenta, "\x1b[35mprod\x1b[0m"),
            (EnvironmentColour::None, "prod"),
            (EnvironmentColour::Unknown, "prod"),
        ] {
            assert_eq!(Tone::Environment(colour).paint("prod", &style(None, true)), expected);
            assert_eq!(Tone::Environment(colour).paint("prod", &style(None, false)), "prod");
        }
    }

    #[test]
    fn an_empty_table_says_so() {
        assert_eq!(Table::new([Column::text("A")], "no jobs").render(&style(None, false)), "no jobs\n");
    }
}
