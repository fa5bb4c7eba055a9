//! Pixels as characters, and as the colours that a terminal has.

use image::{Rgb, RgbImage};
use ratatui::buffer::Buffer;
use ratatui::style::Color;

/// From no ink to the most.
const RAMP: &[u8] = b" .:-=+*#%@";

/// One character a pixel, by its brightness; on a `light` background the dark ones get the ink.
pub(super) fn characters(pixels: &RgbImage, light: bool, buffer: &mut Buffer) {
    for (x, y, pixel) in pixels.enumerate_pixels() {
        let luma = luma(pixel);
        let ink = if light { 255 - luma } else { luma };
        // Pixels are as many as cells, which are u16; the ramp's index is at most its last.
        if let Some(cell) = buffer.cell_mut((x as u16, y as u16)) {
            cell.set_char(char::from(RAMP[usize::from(ink) * (RAMP.len() - 1) / 255]));
        }
    }
}

/// Brightness by ITU-R BT.601, 0–255.
fn luma(Rgb([red, green, blue]): &Rgb<u8>) -> u8 {
    let sum = 299 * u32::from(*red) + 587 * u32::from(*green) + 114 * u32::from(*blue);
    // The weights add up to 1,000.
    ((sum + 500) / 1_000) as u8
}

/// The nearest of xterm's 256 colours to each colour in the buffer.
pub(super) fn indexed(buffer: &mut Buffer) {
    let nearest = |colour| match colour {
        Color::Rgb(red, green, blue) => Color::Indexed(nearest(red, green, blue)),
        other => other,
    };
    for cell in &mut buffer.content {
        (cell.fg, cell.bg) = (nearest(cell.fg), nearest(cell.bg));
    }
}

/// The cube of 6 × 6 × 6 colours, or the 24 greys between black and white.
fn nearest(red: u8, green: u8, blue: u8) -> u8 {
    const STEPS: [u8; 6] = [0, 95, 135, 175, 215, 255];
    let step = |value: u8| (0..6u8).min_by_key(|&at| STEPS[usize::from(at)].abs_diff(value)).unwrap_or(0);
    let [r, g, b] = [red, green, blue].map(step);
    let mean = (u16::from(red) + u16::from(green) + u16::from(blue)) / 3;
    // 8, 18, … 238.
    let grey = (mean.saturating_sub(3) / 10).min(23) as u8;
    let distance = |to: [u8; 3]| {
        let apart = [red, green, blue].into_iter().zip(to).map(|(from, to)| u32::from(from.abs_diff(to)));
        apart.map(|apart| apart * apart).sum::<u32>()
    };
    let cube = [r, g, b].map(|step| STEPS[usize::from(step)]);
    if distance([8 + 10 * grey; 3]) < distance(cube) { 232 + grey } else { 16 + 36 * r + 6 * g + b }
}

#[cfg(test)]
mod tests {
    use ratatui::layout::Rect;

    use super::*;

    #[test]
    fn colours_go_to_the_nearest() {
        for (rgb, index) in [
            ((0, 0, 0), 16),
            ((255, 255, 255), 231),
            ((255, 0, 0), 196),
            ((95, 135, 175), 67),
            ((128, 128, 128), 244),
            ((11, 7, 8), 232),
            ((250, 3, 9), 196),
        ] {
            assert_eq!(nearest(rgb.0, rgb.1, rgb.2), index, "{rgb:?}");
        }
    }

    #[test]
    fn brightness_becomes_ink() {
        let pixels = RgbImage::from_fn(5, 1, |x, _| Rgb([x as u8 * 63; 3]));
        let mut buffer = Buffer::empty(Rect::new(0, 0, 5, 1));
        for (light, shown) in [(false, " :=*%"), (true, "@*=: ")] {
            characters(&pixels, light, &mut buffer);
            let text: String = buffer.content.iter().map(|cell| cell.symbol()).collect();
            assert_eq!(text, shown);
        }
    }
}
