//! What the terminal shows and what it shall show next.

use std::io::{self, Write};

use ratatui::buffer::Buffer;
use ratatui::layout::{Rect, Size};

use super::encode::{Pen, encode};

/// Larger screens are drawn in part: the memory for a screen must not depend on what a terminal claims.
pub const LARGEST: Size = Size::new(1_024, 512);

/// The terminal holds what it gets between these back until it is whole (DEC private mode 2026).
const BEGIN: &[u8] = b"\x1b[?2026h";
const END: &[u8] = b"\x1b[?2026l";

/// Resets the pen first: terminals clear with its background.
const CLEAR: &[u8] = b"\x1b[m\x1b[2J";

/// What a buffer for bytes may keep between frames; only pictures need more.
const KEPT: usize = 256 * 1_024;

/// What a frame cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Drawn {
    /// Bytes written; 0 if nothing had changed.
    pub bytes: usize,
    /// Cells written.
    pub cells: usize,
}

/// Draws frames on a terminal: each one is what changed since the last, in one write. Nothing else
/// may be written to the terminal but what leaves its cells and colours alone.
///
/// In place of [`ratatui::Terminal`], which writes and flushes 25 bytes for an unchanged frame and asks
/// the terminal for the cursor when it clears.
#[derive(Debug)]
pub struct Screen<W> {
    writer: W,
    shown: Buffer,
    next: Buffer,
    /// Whether what the terminal shows is unknown.
    unknown: bool,
    synchronised: bool,
    pen: Pen,
    out: Vec<u8>,
}

impl<W: Write> Screen<W> {
    /// A screen of this size, of which nothing is known yet: the first frame clears it.
    pub fn new(writer: W, size: Size) -> Self {
        let area = area(size);
        Self {
            writer,
            shown: Buffer::empty(area),
            next: Buffer::empty(area),
            unknown: true,
            synchronised: true,
            pen: Pen::RESET,
            out: Vec::new(),
        }
    }

    /// Whether terminals are asked to show frames as a whole (they are, at first).
    pub fn set_synchronised(&mut self, on: bool) {
        self.synchronised = on;
    }

    /// Where frames go.
    pub fn writer_mut(&mut self) -> &mut W {
        &mut self.writer
    }

    /// The last frame that was written.
    pub fn shown(&self) -> &Buffer {
        &self.shown
    }

    /// What can be drawn on.
    pub fn area(&self) -> Rect {
        self.next.area
    }

    /// The terminal has this size now; the next frame is painted in full.
    pub fn resize(&mut self, size: Size) {
        let area = area(size);
        if area != self.next.area {
            self.shown = Buffer::empty(area);
            self.next = Buffer::empty(area);
        }
        self.repaint();
    }

    /// Paints the next frame in full, whatever the terminal shows.
    pub fn repaint(&mut self) {
        self.unknown = true;
    }

    /// Draws a frame: `render` gets the area and an empty buffer of that area. After an error what the
    /// terminal shows is unknown, and the next frame is painted in full.
    pub fn draw(&mut self, render: impl FnOnce(Rect, &mut Buffer)) -> io::Result<Drawn> {
        self.next.reset();
        render(self.next.area, &mut self.next);
        self.out.clear();
        if self.synchronised {
            self.out.extend_from_slice(BEGIN);
        }
        if self.unknown {
            self.shown.reset();
            self.pen = Pen::RESET;
            self.out.extend_from_slice(CLEAR);
        }
        let cells = encode(&self.shown, &self.next, &mut self.pen, &mut self.out);
        if cells == 0 && !self.unknown {
            return Ok(Drawn::default());
        }
        if self.synchronised {
            self.out.extend_from_slice(END);
        }
        self.unknown = true;
        self.writer.write_all(&self.out)?;
        self.writer.flush()?;
        self.unknown = false;
        std::mem::swap(&mut self.shown, &mut self.next);
        let drawn = Drawn { bytes: self.out.len(), cells };
        self.out.truncate(0);
        self.out.shrink_to(KEPT);
        Ok(drawn)
    }
}

fn area(size: Size) -> Rect {
    Rect::new(0, 0, size.width.min(LARGEST.width), size.height.min(LARGEST.height))
}

#[cfg(test)]
mod emulated;
#[cfg(test)]
mod tests;
