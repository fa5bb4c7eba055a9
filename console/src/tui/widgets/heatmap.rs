//! stub
use ratatui::buffer::Buffer;
use ratatui::layout::Rect;
use serde::{Deserialize, Serialize};
/// v
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HeatView { row: usize, col: usize, zoom: bool }
impl HeatView {
    /// s
    pub fn step(self, down: i32, right: i32, n: usize) -> Self { let m = |v: usize, d: i32| (v as i64 + i64::from(d)).clamp(0, n.saturating_sub(1) as i64) as usize; Self { row: m(self.row, down), col: m(self.col, right), ..self } }
    /// z
    pub fn toggle_zoom(self) -> Self { Self { zoom: !self.zoom, ..self } }
}
/// h
pub struct Heatmap<'a> { /// m
 pub matrix: &'a [Vec<u64>], /// c
 pub classes: &'a [String], /// v
 pub view: &'a HeatView, /// t
 pub theme: &'a crate::tui::theme::Theme }
impl Heatmap<'_> { /// d
 pub fn draw(&self, _: Rect, _: &mut Buffer) {} }
