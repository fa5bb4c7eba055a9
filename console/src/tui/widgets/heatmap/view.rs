//! Where the cursor of a matrix is, and how keys move it.

use serde::{Deserialize, Serialize};

/// The cursor of a matrix and how much a cell stands for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HeatView {
    /// The true class under the cursor.
    pub row: usize,
    /// What it was taken for.
    pub col: usize,
    /// 0: counts. 1: shades. From 2 on: shades of blocks, twice as many classes a side each time.
    pub zoom: u8,
}

impl HeatView {
    /// Classes a side in one cell, of so many in all.
    pub fn block(&self, classes: usize) -> usize {
        let zoom = self.zoom.min(furthest(classes));
        1 << zoom.saturating_sub(1)
    }

    /// Moves by cells, down and to the right if positive; not beyond the classes.
    #[must_use]
    pub fn moved(self, down: isize, right: isize, classes: usize) -> Self {
        let block = isize::try_from(self.block(classes)).unwrap_or(isize::MAX);
        let last = classes.saturating_sub(1);
        let moved =
            |at: usize, by: isize| at.min(last).saturating_add_signed(by.saturating_mul(block)).min(last);
        Self { row: moved(self.row, down), col: moved(self.col, right), ..self }
    }

    /// More classes in less room, until few cells are left.
    #[must_use]
    pub fn zoom_out(self, classes: usize) -> Self {
        Self { zoom: self.zoom.saturating_add(1).min(furthest(classes)), ..self }
    }

    /// Fewer classes in more room, down to their counts.
    #[must_use]
    pub fn zoom_in(self, classes: usize) -> Self {
        Self { zoom: self.zoom.min(furthest(classes)).saturating_sub(1), ..self }
    }

    /// The nearest zoom at which all classes are in sight where so many cells fit across and down.
    #[must_use]
    pub fn overview(self, classes: usize, (across, down): (u16, u16)) -> Self {
        let fits = |zoom: &u8| {
            let blocks = classes.div_ceil(Self { zoom: *zoom, ..self }.block(classes));
            blocks <= usize::from(across / 2) && blocks <= usize::from(down)
        };
        let furthest = furthest(classes);
        Self { zoom: (1..=furthest).find(fits).unwrap_or(furthest), ..self }
    }
}

/// The zoom at which four cells or fewer would be left.
fn furthest(classes: usize) -> u8 {
    // The logarithm of a usize is below 64.
    classes.checked_ilog2().map_or(1, |log| log.saturating_sub(1).max(1) as u8)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_move_in_blocks_and_stay_inside() {
        let at = |row, col, zoom| HeatView { row, col, zoom };
        for (from, down, right, classes, to) in [
            (at(0, 0, 0), 1, 2, 10, at(1, 2, 0)),
            (at(0, 0, 1), -1, -1, 10, at(0, 0, 1)),
            (at(9, 9, 0), 1, 1, 10, at(9, 9, 0)),
            (at(8, 4, 3), 1, -1, 100, at(12, 0, 3)),
            (at(99, 0, 0), 0, 0, 10, at(9, 0, 0)),
            (at(3, 3, 0), isize::MIN, isize::MAX, 10, at(0, 9, 0)),
            (at(3, 3, 0), 1, 1, 0, at(0, 0, 0)),
        ] {
            assert_eq!(from.moved(down, right, classes), to, "{from:?}");
        }
    }

    #[test]
    fn zoom_has_two_ends() {
        for (classes, furthest) in [(0, 1), (1, 1), (2, 1), (5, 1), (8, 2), (16, 3), (525, 8)] {
            let mut view = HeatView::default();
            for _ in 0..20 {
                view = view.zoom_out(classes);
            }
            assert_eq!(view.zoom, furthest, "{classes}");
            assert_eq!(HeatView { zoom: 255, ..view }.zoom_in(classes).zoom, furthest - 1);
            assert_eq!(HeatView::default().zoom_in(classes), HeatView::default());
        }
        for (classes, cells, zoom, block) in
            [(10, (80, 24), 1, 1), (525, (80, 24), 6, 32), (525, (200, 50), 5, 16), (525, (0, 0), 8, 128)]
        {
            let view = HeatView::default().overview(classes, cells);
            assert_eq!((view.zoom, view.block(classes)), (zoom, block), "{classes} {cells:?}");
        }
    }
}
