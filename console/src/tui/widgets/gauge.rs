//! How full something is, and how far something has come: one line each.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use ratatui::style::Style;

use super::canvas::Canvas;
use crate::out::{count, eta, percent, safe, width};
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
        Line { label: self.label, label_at: 2, label_cells: self.label_cells, share, style }.draw(
            &[(&text, 7, style), (self.figures, 0, theme.style(Role::Dim))],
            theme,
            &mut canvas,
        );
    }
}

/// How far something has come: label, bar, share, count, time left.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// What is under way.
    pub label: &'a str,
    /// Cells for the label.
    pub label_cells: u16,
    /// How much is done.
    pub done: u64,
    /// Of how much; absent if nobody knows yet, and then there is no bar.
    pub total: Option<u64>,
    /// Seconds left, as far as can be told.
    pub eta_s: Option<f32>,
}

impl Progress<'_> {
    /// Draws it into the first line of `area`.
    pub fn draw(&self, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let mut canvas = Canvas::new(buffer, area);
        // What counts beyond its total has a wrong total, not more than everything.
        let share =
            self.total.filter(|&total| total > 0).map(|total| (self.done as f64 / total as f64).min(1.0));
        let counts = match self.total {
            Some(total) => format!("{} / {}", count(self.done), count(total)),
            None => format!("{} done", count(self.done)),
        };
        let left = self
            .eta_s
            .filter(|seconds| seconds.is_finite())
            .map(|seconds| format!("{} left", eta(seconds)))
            .unwrap_or_default();
        let text = share.map(percent).unwrap_or_default();
        let dim = theme.style(Role::Dim);
        Line {
            label: self.label,
            label_at: 0,
            label_cells: self.label_cells,
            share,
            style: theme.style(Role::Busy),
        }
        .draw(
            &[(&text, 7, theme.style(Role::Text)), (&counts, 0, dim), (&left, 0, dim)],
            theme,
            &mut canvas,
        );
    }
}

/// What both have in common.
struct Line<'a> {
    label: &'a str,
    label_at: u16,
    label_cells: u16,
    share: Option<f64>,
    style: Style,
}

impl Line<'_> {
    /// `figures` stand behind the bar, each with the least cells it takes; where room is short the bar
    /// goes first, then the last ones. The bar's length depends on the room alone, so that bars below
    /// each other can be compared.
    fn draw(&self, figures: &[(&str, u16, Style)], theme: &Theme, canvas: &mut Canvas<'_>) {
        /// Below that a bar says nothing.
        const LEAST_BAR: u16 = 8;
        let label_cells = self.label_cells.min(canvas.width() / 3);
        let text = theme.style(Role::Text);
        canvas.put_cut(self.label_at, 0, label_cells, self.label, text, theme);
        let start = self.label_at + label_cells + 1;
        let room = canvas.width().saturating_sub(start);
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
        if let Some(share) = self.share.filter(|_| bar > 0) {
            draw_bar(share, bar, self.style, theme, &mut canvas.part(start, 0, bar, 1));
        }
        let mut x = start + bar + u16::from(bar > 0);
        for (figure, cells, style) in shown {
            canvas.put_right(x, 0, cells, &figure, style, theme);
            x = x.saturating_add(cells).saturating_add(2);
        }
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

    fn progress(theme: &Theme, cells: u16) -> String {
        let rows = [
            ("epoch 3 of 10", 1_200, Some(4_000), Some(200.0)),
            ("preprocess", 5, Some(4), None),
            ("download", 12_345, None, None),
            ("empty", 0, Some(0), Some(f32::NAN)),
        ];
        drawn((cells, 4), |area, buffer| {
            for (row, (label, done, total, eta_s)) in area.rows().zip(rows) {
                Progress { label, label_cells: 13, done, total, eta_s }.draw(theme, row, buffer);
            }
        })
    }

    #[test]
    fn progress_has_a_bar_only_if_its_end_is_known() {
        insta::assert_snapshot!(progress(&UTF8, 72), @r"
        epoch 3 of 10 ▕█████▊             ▏  30.0 %  1,200 / 4,000  3 min left
        preprocess    ▕████████████████████▏ 100.0 %  5 / 4
        download                                      12,345 done
        empty                                         0 / 0
        ");
        insta::assert_snapshot!(progress(&ASCII, 40), @r"
        epoch 3 of 10  30.0 %  1,200 / 4,000
        preprocess    100.0 %  5 / 4
        download               12,345 done
        empty                  0 / 0
        ");
    }

    #[test]
    fn both_stay_inside() {
        stays_inside(|theme, area, buffer| {
            let gauge = Gauge {
                label: "GPU memory",
                label_cells: 12,
                share: Some(0.3),
                figures: "1 / 3",
                limits: HIGH,
            };
            gauge.draw(theme, area, buffer);
            Progress { label: "epoch", label_cells: u16::MAX, done: 1, total: Some(3), eta_s: Some(2.0) }
                .draw(theme, area, buffer);
        });
    }

    proptest! {
        #[test]
        fn any_share_is_drawn_inside(
            share in any::<Option<f64>>(),
            label_cells: u16,
            figures in "[ -~]{0,40}",
            done: u64,
            total in any::<Option<u64>>(),
            eta_s in any::<Option<f32>>(),
            area in any_area(),
        ) {
            inside(&ASCII, area, |theme, area, buffer| {
                Gauge { label: &figures, label_cells, share, figures: &figures, limits: HIGH }.draw(theme, area, buffer);
                Progress { label: &figures, label_cells, done, total, eta_s }.draw(theme, area, buffer);
            });
        }
    }
}
