//! Pixels into cells: what the terminal is sent, worked out before anything is drawn.

use image::imageops::{self, FilterType};
use image::{DynamicImage, RgbImage, RgbaImage};
use ratatui::buffer::{Buffer, Cell};
use ratatui::layout::{Rect, Size};
use ratatui::widgets::Widget;
use ratatui_image::Image;
use ratatui_image::protocol::Protocol;
use ratatui_image::protocol::halfblocks::Halfblocks;
use ratatui_image::protocol::iterm2::Iterm2;
use ratatui_image::protocol::kitty::Kitty;
use ratatui_image::protocol::sixel::Sixel;

use super::decode::{Decoded, PictureError, bounded};
use super::guard::guarded;
use super::{Kind, Medium, shade};
use crate::tui::theme::Level;

/// A picture as cells, ready to be copied into a frame.
#[derive(Clone, Debug)]
pub struct Encoded {
    kind: Kind,
    /// As they are while the terminal does not have the pixels.
    cells: Buffer,
    /// The first cell once it has them: only Kitty's terminals keep pixels.
    kept: Option<Cell>,
    sent: bool,
}

impl Encoded {
    /// Cells across and down.
    pub fn size(&self) -> (u16, u16) {
        (self.cells.area.width, self.cells.area.height)
    }

    /// Bytes it takes in memory, about.
    pub fn bytes(&self) -> usize {
        // Short symbols lie inside their cell.
        let long = |cell: &Cell| if cell.symbol().len() > 24 { cell.symbol().len() } else { 0 };
        self.cells.content.iter().map(|cell| size_of::<Cell>() + long(cell)).sum()
    }

    /// Notes that the terminal has the pixels, if `frame`, which it was sent, has them in it.
    pub(super) fn note_sent(&mut self, frame: &Buffer) {
        if self.sent || self.kept.is_none() {
            return;
        }
        let Some(first) = self.cells.content.first() else { return };
        // The colour is the picture's id; it spares comparing megabytes.
        let is_it = |cell: &Cell| cell.fg == first.fg && cell.symbol() == first.symbol();
        self.sent = frame.content.iter().any(is_it);
    }

    /// The terminal may have lost the pixels.
    pub(super) fn forget_sent(&mut self) {
        self.sent = false;
    }
}

/// Fits a picture into `cells` (across, down), as large as its proportions allow. Small pictures are
/// enlarged: a thumbnail of 32 pixels would be three cells wide otherwise.
///
/// Blocks for some milliseconds, sixels for longer; never panics.
///
/// # Errors
/// [`PictureError::NoRoom`] without a cell or for [`Kind::None`]; [`PictureError::NotShown`].
pub fn encode(picture: &Decoded, medium: &Medium, cells: (u16, u16)) -> Result<Encoded, PictureError> {
    let (source_width, source_height) = picture.pixels.dimensions();
    if medium.kind == Kind::None || cells.0 == 0 || cells.1 == 0 || source_width == 0 || source_height == 0 {
        return Err(PictureError::NoRoom);
    }
    guarded(|| match medium.kind {
        Kind::HalfBlocks if medium.level >= Level::Indexed => half_blocks(picture, medium, cells),
        Kind::HalfBlocks | Kind::Ascii | Kind::None => Ok(characters(picture, medium, cells)),
        Kind::Kitty | Kind::Iterm2 | Kind::Sixel => graphics(picture, medium, cells),
    })
    .unwrap_or_else(|| Err(PictureError::NotShown("the encoder gave up".to_owned())))
}

/// Copies a picture into the middle of `area`. Returns whether all of it is there: half-blocks,
/// characters and Kitty's pictures are cut at the edges, others are not drawn at all where they do
/// not fit.
///
/// iTerm2's pictures and sixels lie over cells that frames then leave alone. While a dialog covers
/// one it must not be drawn: the dialog's letters would stay when the dialog goes.
pub fn draw(picture: &Encoded, area: Rect, buffer: &mut Buffer) -> bool {
    let area = area.intersection(buffer.area);
    let (width, height) = picture.size();
    let whole = width <= area.width && height <= area.height;
    if !whole && matches!(picture.kind, Kind::Iterm2 | Kind::Sixel) {
        return false;
    }
    let x = area.x + area.width.saturating_sub(width) / 2;
    let y = area.y + area.height.saturating_sub(height) / 2;
    for from in picture.cells.area.intersection(Rect { x: 0, y: 0, ..area }).positions() {
        if let (Some(cell), Some(to)) = (picture.cells.cell(from), buffer.cell_mut((x + from.x, y + from.y)))
        {
            cell.clone_into(to);
        }
    }
    if picture.sent
        && let (Some(kept), Some(to)) = (&picture.kept, buffer.cell_mut((x, y)))
        && !area.is_empty()
    {
        kept.clone_into(to);
    }
    whole
}

fn half_blocks(picture: &Decoded, medium: &Medium, cells: (u16, u16)) -> Result<Encoded, PictureError> {
    let fitted = Fitted::new(picture, medium, cells);
    let small = resized(&picture.pixels, u32::from(fitted.cells.width), 2 * u32::from(fitted.cells.height));
    let protocol = Halfblocks::new(small.into(), fitted.cells).map(Protocol::Halfblocks);
    let mut cells = rendered(&protocol.map_err(not_shown)?);
    if medium.level == Level::Indexed {
        shade::indexed(&mut cells);
    }
    Ok(Encoded { kind: Kind::HalfBlocks, cells, kept: None, sent: false })
}

fn characters(picture: &Decoded, medium: &Medium, cells: (u16, u16)) -> Encoded {
    let size = Fitted::new(picture, medium, cells).cells;
    let small = resized(&picture.pixels, u32::from(size.width), u32::from(size.height));
    let mut cells = Buffer::empty(Rect::from((ratatui::layout::Position::ORIGIN, size)));
    shade::characters(&small, medium.light, &mut cells);
    Encoded { kind: Kind::Ascii, cells, kept: None, sent: false }
}

fn graphics(picture: &Decoded, medium: &Medium, cells: (u16, u16)) -> Result<Encoded, PictureError> {
    let fitted = Fitted::new(picture, medium, cells);
    let small = resized(&picture.pixels, fitted.width, fitted.height);
    // Whole cells: what the picture leaves free of the last ones is transparent.
    let mut canvas = RgbaImage::new(
        u32::from(fitted.cells.width) * fitted.font.0,
        u32::from(fitted.cells.height) * fitted.font.1,
    );
    imageops::overlay(&mut canvas, &DynamicImage::ImageRgb8(small).into_rgba8(), 0, 0);
    let id = id_of(&canvas);
    let (size, tmux) = (fitted.cells, medium.tmux);
    let canvas = canvas.into();
    let protocol = match medium.kind {
        Kind::Kitty => Kitty::new(canvas, size, id, tmux, medium.deflate).map(Protocol::Kitty),
        Kind::Iterm2 => Iterm2::new(canvas, size, tmux).map(Protocol::ITerm2),
        Kind::Sixel | Kind::HalfBlocks | Kind::Ascii | Kind::None => {
            Sixel::new(canvas, size, tmux).map(Protocol::Sixel)
        }
    };
    let protocol = protocol.map_err(not_shown)?;
    let cells = rendered(&protocol);
    // The second time it leaves the pixels out. It takes the first drawing for the terminal's having
    // them, though a dialog may have been drawn over that; hence `note_sent`.
    let kept = (medium.kind == Kind::Kitty).then(|| rendered(&protocol).content.first().cloned()).flatten();
    Ok(Encoded { kind: medium.kind, cells, kept, sent: false })
}

fn rendered(protocol: &Protocol) -> Buffer {
    let mut buffer = Buffer::empty(Rect::from((ratatui::layout::Position::ORIGIN, protocol.size())));
    Image::new(protocol).render(buffer.area, &mut buffer);
    buffer
}

fn not_shown(error: ratatui_image::errors::Errors) -> PictureError {
    PictureError::NotShown(bounded(&error.to_string()))
}

/// An id for Kitty's terminals: the same for the same pixels, so that sending them again replaces
/// them, and hardly ever the same for others.
fn id_of(pixels: &RgbaImage) -> u32 {
    let hash = blake3::Hasher::new().update(&pixels.width().to_le_bytes()).update(pixels.as_raw()).finalize();
    let [a, b, c, d, ..] = *hash.as_bytes();
    // Nought means no id.
    u32::from_le_bytes([a, b, c, d]).max(1)
}

/// How large a picture becomes.
struct Fitted {
    /// Pixels across.
    width: u32,
    /// Pixels down.
    height: u32,
    /// Cells that these touch.
    cells: Size,
    /// Pixels in a cell, as sane figures.
    font: (u32, u32),
}

impl Fitted {
    fn new(picture: &Decoded, medium: &Medium, cells: (u16, u16)) -> Self {
        /// Kitty's placeholders number no more rows and columns; others need no more.
        const MOST_CELLS: u16 = 297;
        /// What a terminal with unusually fine pixels may be sent.
        const MOST_PIXELS: f64 = 4e6;
        // A terminal that does not know its pixels says nought.
        let font = match medium.font {
            (0, _) | (_, 0) => (8, 16),
            (width, height) => (u32::from(width.min(64)), u32::from(height.min(128))),
        };
        let cells = (cells.0.clamp(1, MOST_CELLS), cells.1.clamp(1, MOST_CELLS));
        let room = (f64::from(u32::from(cells.0) * font.0), f64::from(u32::from(cells.1) * font.1));
        let (width, height) = (f64::from(picture.pixels.width()), f64::from(picture.pixels.height()));
        let scale = (room.0 / width).min(room.1 / height);
        let scale = scale.min((MOST_PIXELS / (width * height)).sqrt());
        // At most 297 × 128 pixels a side.
        let [width, height] = [width, height].map(|side| ((side * scale).round() as u32).max(1));
        let across = |pixels: u32, font: u32, most: u16| (pixels.div_ceil(font) as u16).min(most);
        let size = Size::new(across(width, font.0, cells.0), across(height, font.1, cells.1));
        Self { width, height, cells: size, font }
    }
}

/// Smooth where pixels are lost, and pixel by pixel where there are not enough.
fn resized(pixels: &RgbImage, width: u32, height: u32) -> RgbImage {
    let enlarged = width >= pixels.width() && height >= pixels.height();
    let filter = if enlarged { FilterType::Nearest } else { FilterType::Triangle };
    imageops::resize(pixels, width, height, filter)
}

#[cfg(test)]
pub(super) mod tests;
