//! A table on the screen: only the rows that are seen are built.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::{put, put_right};
use crate::out::width;
use crate::tui::table::{Column, Row, Table};
use crate::tui::theme::Role;
use crate::tui::views::Cx;

/// Blanks between columns.
const GAP: u16 = 2;
/// A column is not squeezed below this.
const NARROWEST: u16 = 14;

/// Draws header and rows. The order and the first row shown are the screen's.
pub fn draw(cx: &Cx<'_>, table: &Table<'_>, area: Rect, buffer: &mut Buffer) {
    if area.height == 0 || area.width < 4 {
        return;
    }
    let view = &cx.screen.table;
    let source = table.source.count();
    let shown = view.order.as_ref().map_or(source, |order| order.len());
    let row_at = |place: usize| match &view.order {
        Some(order) => order.get(place).map(|row| *row as usize).filter(|row| *row < source),
        None => (place < source).then_some(place),
    };
    let height = usize::from(area.height - 1);
    let first = view.offset.min(shown);
    let rows: Vec<(usize, usize, Row)> = (first..(first + height).min(shown))
        .filter_map(|place| row_at(place).map(|at| (place, at, table.source.row(at))))
        .collect();
    let widths = widths(table.columns, &rows, area.width.saturating_sub(2));
    header(cx, table, &widths, area, buffer);
    for (line, (place, at, row)) in rows.iter().enumerate() {
        let y = area.y + 1 + line as u16;
        let marked = !view.marks.is_empty() && view.marks.contains(&table.source.key(*at));
        let selected = *place == view.selected;
        draw_row(
            cx,
            table.columns,
            &widths,
            row,
            (selected, marked),
            Rect::new(area.x, y, area.width, 1),
            buffer,
        );
    }
    if shown == 0 && height > 0 {
        empty(cx, table, source, area, buffer);
    }
}

fn header(cx: &Cx<'_>, table: &Table<'_>, widths: &[u16], area: Rect, buffer: &mut Buffer) {
    let style = cx.theme.style(Role::Title);
    let mut x = area.x + 2;
    for (i, (column, &cells)) in table.columns.iter().zip(widths).enumerate() {
        if cells == 0 {
            continue;
        }
        let arrow = match cx.screen.table.sort {
            Some((at, false)) if usize::from(at) == i => cx.theme.glyph("↑", "^"),
            Some((at, true)) if usize::from(at) == i => cx.theme.glyph("↓", "v"),
            _ => "",
        };
        let text = format!("{}{arrow}", column.name);
        if column.right {
            put_right(buffer, x, area.y, cells, &text, style);
        } else {
            put(buffer, x, area.y, cells, &text, style);
        }
        x += cells + GAP;
    }
}

fn draw_row(
    cx: &Cx<'_>,
    columns: &[Column],
    widths: &[u16],
    row: &Row,
    (selected, marked): (bool, bool),
    line: Rect,
    buffer: &mut Buffer,
) {
    let base = if selected {
        cx.theme.style(Role::Selected)
    } else if row.stale {
        cx.theme.style(Role::Stale)
    } else if marked {
        cx.theme.style(Role::Marked)
    } else {
        Style::new()
    };
    if selected {
        buffer.set_style(line, base);
    }
    let mark = match (selected, marked) {
        (_, true) => cx.theme.mark(Role::Marked),
        (true, false) => cx.theme.mark(Role::Selected),
        (false, false) => " ",
    };
    put(buffer, line.x, line.y, 1, mark, base);
    let mut x = line.x + 2;
    for ((column, cell), &cells) in columns.iter().zip(&row.cells).zip(widths) {
        if cells == 0 {
            continue;
        }
        // What is selected, marked or stale keeps one look; roles speak on the others.
        let style = if selected || marked || row.stale { base } else { cx.theme.style(cell.role) };
        if column.right {
            put_right(buffer, x, line.y, cells, &cell.text, style);
        } else {
            put(buffer, x, line.y, cells, &cell.text, style);
        }
        x += cells + GAP;
    }
}

fn empty(cx: &Cx<'_>, table: &Table<'_>, source: usize, area: Rect, buffer: &mut Buffer) {
    let (text, role) = if source == 0 {
        (table.empty.clone(), Role::Dim)
    } else if cx.state.faults_only {
        let keys = cx.state.keymap.shown("faults");
        (format!("no row has a fault; {keys} shows all {source}"), Role::Good)
    } else {
        (format!("no row matches the filter; esc shows all {source}"), Role::Dim)
    };
    for (i, line) in text.lines().enumerate() {
        let y = area.y + 2 + i as u16;
        if y < area.bottom() {
            put(buffer, area.x + 2, y, area.width.saturating_sub(2), line, cx.theme.style(role));
        }
    }
}

/// How wide each column is: as its widest text seen, its most at most; what takes the rest takes it;
/// when there is too little, the widest are squeezed, then the last ones go.
fn widths(columns: &[Column], rows: &[(usize, usize, Row)], available: u16) -> Vec<u16> {
    let mut natural: Vec<u16> = columns.iter().map(|column| column.name.len() as u16 + 1).collect();
    for (_, _, row) in rows {
        for (cells, cell) in natural.iter_mut().zip(&row.cells) {
            *cells = (*cells).max(u16::try_from(width(&cell.text)).unwrap_or(u16::MAX));
        }
    }
    for (cells, column) in natural.iter_mut().zip(columns) {
        if column.most > 0 {
            *cells = (*cells).min(column.most.max(column.name.len() as u16 + 1));
        }
    }
    let gaps = GAP * (columns.len() as u16).saturating_sub(1);
    let total = |widths: &[u16]| widths.iter().map(|&cells| u32::from(cells)).sum::<u32>() + u32::from(gaps);
    let mut excess = total(&natural).saturating_sub(u32::from(available));
    while excess > 0 {
        // Text gives way before figures: half a number is a wrong number.
        let can = |(i, cells): &(usize, &mut u16)| !columns[*i].right && **cells > NARROWEST;
        let Some((_, cells)) = natural.iter_mut().enumerate().filter(can).max_by_key(|(_, cells)| **cells)
        else {
            break;
        };
        let step = excess.min(u32::from(*cells - NARROWEST)).clamp(1, 4) as u16;
        *cells -= step.min(*cells - NARROWEST);
        excess = total(&natural).saturating_sub(u32::from(available));
    }
    let mut left = available;
    for cells in &mut natural {
        if *cells > left {
            // A figure that does not fit whole is left out.
            *cells = 0;
            left = 0;
        } else {
            left = left.saturating_sub(*cells + GAP);
        }
    }
    natural
}
