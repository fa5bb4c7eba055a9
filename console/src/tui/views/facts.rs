//! Labelled facts about one thing.

use ratatui::buffer::Buffer;
use ratatui::layout::Rect;

use crate::tui::theme::{Role, Theme};
use crate::tui::widgets::sheet::{Item, Sheet};

/// Facts in their order.
#[derive(Default)]
pub(super) struct Facts(Vec<(&'static str, String, Role)>);

impl Facts {
    /// None yet.
    pub(super) fn new() -> Self {
        Self::default()
    }

    /// One more.
    pub(super) fn field(mut self, label: &'static str, value: impl Into<String>) -> Self {
        self.0.push((label, value.into(), Role::Text));
        self
    }

    /// Draws them, the first `scroll` lines left out.
    pub(super) fn draw(&self, scroll: u16, theme: &Theme, area: Rect, buffer: &mut Buffer) {
        let items: Vec<Item<'_>> =
            self.0.iter().map(|(label, value, role)| Item::Field { label, value, role: *role }).collect();
        Sheet { items: &items, top: usize::from(scroll) }.draw(theme, area, buffer);
    }
}
