//! How full something is, in one line.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::canvas::Canvas;
use crate::out::{percent, safe, width};
use crate::tui::theme::{Glyphs, Role, Theme};

/// Where a share becomes worth a look, and where it wants action.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Limits {
    /// From here on [`Role::Warn`].
    pub warn: f64,
    /// From here on [`Role::Bad`]; below `warn` where little is bad, as with free room.
    pub bad: f64,
}

impl Limits {
    /// What a share is by these limits; [`Role::Stale`] if it is not known.
    pub fn role(&self, share: Option<f64>) -> Role {
        let Some(share) = share.filter(|share| share.is_finite()) else { return Role::Stale };
        // Where little is bad, everything is turned round.
        let sign = if self.bad < self.warn { -1.0 } else { 1.0 };
        if share * sign >= self.bad * sign {
            Role::Bad
        } else if share * sign >= self.warn * sign {
            Role::Warn
        } else {
            Role::Good
        }
    }
}

/// How full something is: mark, label, bar, share, figures.
#[derive(Clone, Copy, Debug)]
pub struct Gauge<'a> {
    /// Of what.
    pub label: &'a str,
    /// Cells for the label, so that gauges below each other line up.
    pub label_cells: u16,
    /// 0–1; absent if it is not known.
    pub share: Option<f64>,
    /// The figures behind it: `12.3 / 24 GiB`.
    pub figures: &'a str,
    /// When it is worth a look.
    pub limits: Limits,
}

impl Gauge<'_> {
    /// Draws it into the first line of `area`.
    pub fn draw(&self, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let mut canvas = Canvas::new(buffer, area);
        let role = self.limits.role(self.share);
        let style = theme.style(role);
        canvas.set(0, 0, theme.mark(role), style);
        let share = self.share.filter(|share| share.is_finite());
        let text = share.map_or_else(|| "not known".to_owned(), percent);
        let label_cells = self.label_cells.min(canvas.width() / 3);
        canvas.put_cut(2, 0, label_cells, self.label, theme.style(Role::Text), theme);
        let start = label_cells + 3;
        let mut rest = canvas.part(start, 0, canvas.width().saturating_sub(start), 1);
        draw_rest(share, &[(&text, 7, style), (self.figures, 0, theme.style(Role::Dim))], theme, &mut rest);
    }
}

/// The bar and the `figures` behind it, each with the least cells it takes; the bar is as the first one.
/// Where room is short the bar goes first, then the last figures. The bar's length depends on the room
/// alone, so that bars below each other can be compared.
fn draw_rest(share: Option<f64>, figures: &[(&str, u16, Style)], theme: &Theme, canvas: &mut Canvas<'_>) {
    /// Below that a bar says nothing.
    const LEAST_BAR: u16 = 8;
    let room = canvas.width();
    let mut shown: Vec<(String, u16, Style)> = Vec::new();
    // The bar stands a cell apart.
    let mut taken = 1u16;
    for (figure, least, style) in figures {
        let figure = safe(figure);
        let cells = u16::try_from(width(&figure)).unwrap_or(u16::MAX).max(*least);
        let with = taken.saturating_add(cells).saturating_add(2);
        if with > room && !shown.is_empty() {
            break;
        }
        taken = with;
        shown.push((figure, cells, *style));
    }
    let bar = (room / 5 * 2).min(room.saturating_sub(taken));
    let bar = if bar < LEAST_BAR { 0 } else { bar };
    if let (Some(share), Some((.., style))) = (share.filter(|_| bar > 0), shown.first()) {
        draw_bar(share, bar, *style, theme, &mut canvas.part(0, 0, bar, 1));
    }
    let mut x = bar + u16::from(bar > 0);
    for (figure, cells, style) in shown {
        canvas.put_right(x, 0, cells, &figure, style, theme);
        x = x.saturating_add(cells).saturating_add(2);
    }
}

fn draw_bar(share: f64, cells: u16, style: Style, theme: &Theme, canvas: &mut Canvas<'_>) {
    let dim = theme.style(Role::Border);
    canvas.set(0, 0, theme.glyph("▕", "["), dim);
    canvas.set(cells - 1, 0, theme.glyph("▏", "]"), dim);
    let inner = cells - 2;
    for (x, symbol) in fill(share, inner, theme).into_iter().enumerate() {
        canvas.set(1 + x as u16, 0, symbol, style);
    }
}

/// The characters of a bar that fills a share of `cells` cells, without the blanks behind it. What is
/// more than nothing is never shown as nothing.
pub(super) fn fill(share: f64, cells: u16, theme: &Theme) -> Vec<&'static str> {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let share = if share.is_finite() { share.clamp(0.0, 1.0) } else { 0.0 };
    // At most 8 × 65,535.
    let eighths = (share * f64::from(cells) * 8.0).round() as usize;
    let eighths = if share > 0.0 && cells > 0 { eighths.max(1) } else { eighths };
    let (full, rest) = (eighths / 8, eighths % 8);
    match theme.glyphs {
        Glyphs::Utf8 => {
            let rest = (rest > 0).then_some(EIGHTHS[rest]);
            std::iter::repeat_n("█", full).chain(rest).collect()
        }
        Glyphs::Ascii => {
            let rest = match rest {
                0 => None,
                1..4 => Some("."),
                _ => Some("#"),
            };
            // Less than half a cell behind full ones adds nothing that could be read.
            let rest = rest.filter(|rest| full == 0 || *rest == "#");
            std::iter::repeat_n("#", full).chain(rest).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::tui::widgets::testing::{ASCII, UTF8, any_area, drawn, inside, stays_inside};

    const HIGH: Limits = Limits { warn: 0.8, bad: 0.95 };

    #[test]
    fn roles_turn_at_the_limits() {
        let free = Limits { warn: 0.2, bad: 0.05 };
        for (limits, share, role) in [
            (HIGH, Some(0.79), Role::Good),
            (HIGH, Some(0.8), Role::Warn),
            (HIGH, Some(0.95), Role::Bad),
            (HIGH, None, Role::Stale),
            (HIGH, Some(f64::NAN), Role::Stale),
            (free, Some(0.5), Role::Good),
            (free, Some(0.2), Role::Warn),
            (free, Some(0.05), Role::Bad),
            (free, Some(0.0), Role::Bad),
        ] {
            assert_eq!(limits.role(share), role, "{limits:?} {share:?}");
        }
    }

    fn gauges(theme: &Theme, cells: u16) -> String {
        let rows = [
            ("GPU memory", Some(0.5125), "12.3 / 24 GiB"),
            ("disk", Some(0.84), "840 / 1000 GiB"),
            ("queue", Some(0.99), "99 / 100"),
            ("nought", Some(0.0), ""),
            ("a little", Some(0.001), ""),
            ("room", None, ""),
        ];
        drawn((cells, 6), |area, buffer| {
            for (row, (label, share, figures)) in area.rows().zip(rows) {
                Gauge { label, label_cells: 10, share, figures, limits: HIGH }.draw(theme, row, buffer);
            }
        })
    }

    #[test]
    fn gauges_say_it_by_mark_bar_and_figure() {
        insta::assert_snapshot!(gauges(&UTF8, 60), @r"
        ● GPU memory ▕████████▎       ▏  51.2 %  12.3 / 24 GiB
        ▲ disk       ▕█████████████▌  ▏  84.0 %  840 / 1000 GiB
        ✖ queue      ▕███████████████▉▏  99.0 %  99 / 100
        ● nought     ▕                ▏   0.0 %
        ● a little   ▕▏               ▏   0.1 %
        ◌ room                          not known
        ");
        insta::assert_snapshot!(gauges(&ASCII, 60), @r"
        + GPU memory [########        ]  51.2 %  12.3 / 24 GiB
        ! disk       [##############  ]  84.0 %  840 / 1000 GiB
        X queue      [################]  99.0 %  99 / 100
        + nought     [                ]   0.0 %
        + a little   [.               ]   0.1 %
        ? room                          not known
        ");
        insta::assert_snapshot!(gauges(&ASCII, 26), @r"
        + GPU mem~  51.2 %
        ! disk      84.0 %
        X queue     99.0 %
        + nought     0.0 %
        + a little   0.1 %
        ? room     not known
        ");
    }

    #[test]
    fn it_stays_inside() {
        stays_inside(|theme, area, buffer| {
            let gauge = Gauge {
                label: "GPU memory",
                label_cells: 12,
                share: Some(0.3),
                figures: "1 / 3",
                limits: HIGH,
            };
            gauge.draw(theme, area, buffer);
        });
    }

    proptest! {
        #[test]
        fn any_share_is_drawn_inside(
            share in any::<Option<f64>>(),
            label_cells: u16,
            figures in "[ -~]{0,40}",
            area in any_area(),
        ) {
            inside(&ASCII, area, |theme, area, buffer| {
                Gauge { label: &figures, label_cells, share, figures: &figures, limits: HIGH }.draw(theme, area, buffer);
            });
        }
    }
}
