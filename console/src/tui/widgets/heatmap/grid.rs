//! A matrix in blocks of classes.

use std::ops::Range;

use super::HeatView;

/// A matrix as a view sees it: one cell for a block of classes a side.
#[derive(Debug)]
pub(super) struct Grid<'a> {
    matrix: &'a [Vec<u64>],
    /// Classes in a block, from 1 on.
    pub block: usize,
    /// The row and the column of the cursor, in blocks.
    pub cursor: (usize, usize),
}

impl<'a> Grid<'a> {
    /// `matrix` has at least one row.
    pub(super) fn new(matrix: &'a [Vec<u64>], view: &HeatView) -> Self {
        let block = view.block(matrix.len());
        let last = matrix.len().saturating_sub(1);
        Self { matrix, block, cursor: (view.row.min(last) / block, view.col.min(last) / block) }
    }

    /// Classes in all.
    pub(super) fn len(&self) -> usize {
        self.matrix.len()
    }

    /// The classes of a block.
    pub(super) fn classes(&self, block: usize) -> Range<usize> {
        block * self.block..((block + 1) * self.block).min(self.len())
    }

    /// As many blocks as fit, with that one as near to the middle as the ends allow.
    pub(super) fn window(&self, around: usize, fitting: usize) -> Range<usize> {
        let blocks = self.len().div_ceil(self.block);
        let first = around.saturating_sub(fitting / 2).min(blocks.saturating_sub(fitting));
        first..(first + fitting).min(blocks)
    }

    /// What of a block of rows lies in a block of columns.
    pub(super) fn sum(&self, row: usize, column: usize) -> u64 {
        self.classes(row).map(|row| sum(&self.matrix[row], self.classes(column))).fold(0, u64::saturating_add)
    }

    /// All of a block of rows.
    pub(super) fn row_sum(&self, row: usize) -> u64 {
        self.classes(row).map(|row| sum(&self.matrix[row], 0..self.len())).fold(0, u64::saturating_add)
    }

    /// The greatest single count.
    pub(super) fn greatest(&self) -> u64 {
        self.matrix.iter().flatten().copied().max().unwrap_or(0)
    }
}

/// Counts of a row; it may be shorter than it should.
fn sum(row: &[u64], columns: Range<usize>) -> u64 {
    let end = columns.end.min(row.len());
    let part = row.get(columns.start.min(end)..end).unwrap_or_default();
    part.iter().copied().fold(0, u64::saturating_add)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_add_up() {
        let matrix: Vec<Vec<u64>> =
            (0..9).map(|row| (0..9).map(|column| row * 10 + column).collect()).collect();
        let at = |zoom, row, col| HeatView { row, col, zoom };
        let grid = Grid::new(&matrix, &at(2, 8, 99));
        assert_eq!((grid.block, grid.cursor, grid.classes(4)), (2, (4, 4), 8..9));
        assert_eq!((grid.sum(0, 0), grid.sum(4, 4), grid.row_sum(0)), (22, 88, 162));
        let huge = vec![vec![u64::MAX, 5], vec![1]];
        let grid = Grid::new(&huge, &at(0, 0, 0));
        assert_eq!((grid.row_sum(0), grid.sum(1, 1), grid.row_sum(1)), (u64::MAX, 0, 1));
    }

    #[test]
    fn the_window_keeps_to_the_matrix() {
        let matrix = vec![Vec::new(); 20];
        let grid = Grid::new(&matrix, &HeatView::default());
        for (around, fitting, window) in
            [(0, 5, 0..5), (10, 5, 8..13), (19, 5, 15..20), (3, 50, 0..20), (3, 0, 3..3), (3, 1, 3..4)]
        {
            assert_eq!(grid.window(around, fitting), window, "{around} {fitting}");
        }
    }
}
