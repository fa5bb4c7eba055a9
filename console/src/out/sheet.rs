//! One thing in full: labelled fields, then sections.

use super::Style;
use super::table::{Cell, Table, Tone};
use super::text::{safe, width};

/// Labelled fields and sections, built top down.
#[derive(Clone, Debug, Default)]
pub struct Sheet {
    blocks: Vec<Block>,
}

#[derive(Clone, Debug)]
enum Block {
    Field(&'static str, Cell),
    Table(String, Table),
    Line(String),
}

impl Sheet {
    /// An empty one.
    pub fn new() -> Self {
        Self::default()
    }

    /// A labelled value.
    #[must_use]
    pub fn field(mut self, label: &'static str, value: impl Into<Cell>) -> Self {
        self.blocks.push(Block::Field(label, value.into()));
        self
    }

    /// A labelled value, when there is one.
    #[must_use]
    pub fn maybe(self, label: &'static str, value: Option<impl ToString>) -> Self {
        match value {
            Some(value) => self.field(label, value.to_string()),
            None => self,
        }
    }

    /// A titled table.
    #[must_use]
    pub fn table(mut self, title: impl Into<String>, table: Table) -> Self {
        self.blocks.push(Block::Table(title.into(), table));
        self
    }

    /// A free line.
    #[must_use]
    pub fn line(mut self, text: impl AsRef<str>) -> Self {
        self.blocks.push(Block::Line(safe(text.as_ref())));
        self
    }

    /// The sheet as text.
    pub fn render(&self, style: &Style) -> String {
        let label_width = |block: &Block| match block {
            Block::Field(label, _) => width(label),
            Block::Table(..) | Block::Line(_) => 0,
        };
        let widest = self.blocks.iter().map(label_width).max().unwrap_or(0);
        let mut out = String::new();
        for block in &self.blocks {
            match block {
                Block::Field(label, cell) => {
                    let padding = " ".repeat(widest - width(label) + 2);
                    out.push_str(&Tone::Dim.paint(label, style));
                    out.push_str(&padding);
                    out.push_str(&cell.tone.paint(&cell.text, style));
                }
                Block::Table(title, table) => {
                    if !out.is_empty() {
                        out.push('\n');
                    }
                    out.push_str(&safe(title));
                    out.push('\n');
                    out.push_str(table.render(style).trim_end());
                }
                Block::Line(text) => out.push_str(text),
            }
            out.push('\n');
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::out::Column;
    use vigie_protocol::Time;

    #[test]
    fn fields_align_and_sections_follow() {
        let mut table = Table::new([Column::text("CLASS"), Column::figure("N")], "none");
        table.row(["owl".into(), "12".into()]);
        let sheet = Sheet::new()
            .field("Name", "birds")
            .maybe("Reason", None::<&str>)
            .field("Description", "a\nb")
            .table("Classes", table);
        insta::assert_snapshot!(sheet.render(&Style { colour: false, width: None, now: Time::default() }), @r"
        Name         birds
        Description  a\nb

        Classes
        CLASS   N
        owl    12
        ");
    }
}
