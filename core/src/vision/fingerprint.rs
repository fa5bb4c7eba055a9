//! A perceptual fingerprint: the signs of a picture's low frequencies.
//!
//! The DCT hash of Zauner (Implementation and Benchmarking of Perceptual Image Hash Functions, 2010):
//! luma averaged over a grid of 32 by 32 cells, its cosine transform, and of the 8 by 8 lowest
//! frequencies after the mean a bit each: above their median or not. All in whole numbers, so that
//! equal pixels give equal bits on every machine.

use std::sync::LazyLock;

use vigie_protocol::fingerprint::Fingerprint;

use super::quality::UNITS;

/// Cells of the grid on each side.
const CELLS: usize = 32;
/// Frequencies on each side.
const BANDS: usize = 8;
/// Cosines are whole numbers of this part of one.
const UNIT: i64 = 1 << 12;
/// The mean luma of a cell is in so many parts of a grey value.
const LUMA: i64 = 1 << 12;
/// Frequencies are rounded to whole grey values: noise of the encoding is less, and would decide the
/// bits of pictures that have nothing there.
const STEP: i64 = LUMA * UNIT * UNIT;
/// Root mean square of the frequencies in grey values below which a picture is flat and its bits say
/// nothing. Night skies have 39, pictures of clothes on black 25 and more.
const FLAT: i64 = 8;

/// Luma gathered into cells, row by row.
pub(super) struct Grid {
    width: usize,
    height: usize,
    row: usize,
    /// The cell row under way, pixel by pixel, weighted by its share of the cell's height.
    gathered: Vec<u32>,
    cells: Vec<[u64; CELLS]>,
}

impl Grid {
    pub fn new(width: usize, height: usize) -> Self {
        Self { width, height, row: 0, gathered: vec![0; width], cells: Vec::with_capacity(CELLS) }
    }

    /// Takes the next row, in [`UNITS`] of a grey value.
    #[inline(always)]
    pub fn add_row(&mut self, luma: &[i16]) {
        // In units of a 32nd of a row; a cell is as high as the picture has rows.
        let (mut from, to) = (self.row * CELLS, (self.row + 1) * CELLS);
        self.row += 1;
        while from < to {
            let end = (self.cells.len() + 1) * self.height;
            let share = (to.min(end) - from) as u32;
            // 12 bits of luma for a million rows.
            for (gathered, &luma) in self.gathered.iter_mut().zip(luma) {
                *gathered += share * u32::from(luma.unsigned_abs());
            }
            from = to.min(end);
            if from == end {
                self.fold();
            }
        }
    }

    /// Ends a row of cells.
    fn fold(&mut self) {
        let mut cells = [0; CELLS];
        for (number, cell) in cells.iter_mut().enumerate() {
            let (from, to) = (number * self.width, (number + 1) * self.width);
            let (first, last) = (from / CELLS, (to - 1) / CELLS);
            let pixels = &self.gathered[first..=last];
            let whole: u64 = pixels.iter().map(|&value| u64::from(value)).sum();
            // The pixels at its edges belong to its neighbours in part.
            let before = (from - first * CELLS) as u64 * u64::from(self.gathered[first]);
            let after = ((last + 1) * CELLS - to) as u64 * u64::from(self.gathered[last]);
            *cell = whole * CELLS as u64 - before - after;
        }
        self.cells.push(cells);
        self.gathered.fill(0);
    }

    /// The fingerprint of all rows; none for a flat picture.
    pub fn fingerprint(&self) -> Option<Fingerprint> {
        let area = self.width as u64 * self.height as u64;
        if area == 0 || self.cells.len() != CELLS {
            return None;
        }
        let mean = |sum: u64| (sum * (LUMA as u64 / u64::from(UNITS)) / area) as i64;
        let cosines = &*COSINES;
        let rows: Vec<[i64; BANDS]> = self
            .cells
            .iter()
            .map(|cells| cosines.map(|wave| cells.iter().zip(wave).map(|(&cell, c)| mean(cell) * c).sum()))
            .collect();
        let mut bands = [0_i64; BANDS * BANDS];
        for (number, band) in bands.iter_mut().enumerate() {
            let (wave, column) = (cosines[number / BANDS], number % BANDS);
            let sum: i64 = rows.iter().zip(wave).map(|(row, c)| row[column] * c).sum();
            *band = (sum + STEP / 2).div_euclid(STEP);
        }
        let energy: i64 = bands.iter().map(|band| band * band).sum();
        if energy < FLAT * FLAT * bands.len() as i64 {
            return None;
        }
        let mut sorted = bands;
        sorted.sort_unstable();
        // Twice the median, to stay with whole numbers.
        let median = sorted[31] + sorted[32];
        let bits = bands.iter().enumerate().filter(|(_, band)| **band * 2 > median);
        Fingerprint::new(bits.fold(0, |bits, (number, _)| bits | 1 << number))
    }
}

/// The waves of the orthonormal transform from the first after the constant on.
static COSINES: LazyLock<[[i64; CELLS]; BANDS]> = LazyLock::new(|| {
    std::array::from_fn(|band| {
        std::array::from_fn(|cell| {
            let angle = std::f64::consts::PI / CELLS as f64 * (cell as f64 + 0.5) * (band + 1) as f64;
            ((2.0 / CELLS as f64).sqrt() * angle.cos() * UNIT as f64).round() as i64
        })
    })
});

#[cfg(test)]
mod tests {
    use image::imageops::{self, FilterType};
    use image::{DynamicImage, RgbImage};

    use super::*;
    use crate::vision::{Limits, decode, measure};

    fn photo(name: &str) -> RgbImage {
        let path = format!("{}/tests/fixtures/nets/photo_{name}.png", env!("CARGO_MANIFEST_DIR"));
        decode(&std::fs::read(path).expect("fixture"), &Limits::default()).expect("decode")
    }

    fn print(image: &RgbImage) -> Fingerprint {
        measure(image, b"").fingerprint.expect("not flat")
    }

    fn jpeg(image: &RgbImage, quality: u8) -> RgbImage {
        let mut bytes = Vec::new();
        let mut encoder = image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, quality);
        encoder.encode_image(image).expect("encode");
        decode(&bytes, &Limits::default()).expect("decode")
    }

    #[test]
    fn what_looks_alike_has_like_bits() {
        for name in ["cat", "coffee", "rocket"] {
            let whole = photo(name);
            let scaled = |width, height| imageops::resize(&whole, width, height, FilterType::Triangle);
            let grey = DynamicImage::ImageRgb8(whole.clone()).into_luma8();
            for (what, other) in [
                ("half", scaled(112, 112)),
                ("double", scaled(448, 448)),
                ("odd", scaled(333, 333)),
                ("thumbnail", scaled(64, 64)),
                ("tiny", scaled(28, 28)),
                ("compressed", jpeg(&whole, 30)),
                ("brighter", imageops::brighten(&whole, 20)),
                ("grey", DynamicImage::ImageLuma8(grey).into_rgb8()),
            ] {
                let bits = print(&whole).distance(print(&other));
                assert!(bits <= 4, "{name} {what}: {bits} bits");
            }
        }
    }

    #[test]
    fn what_looks_different_has_different_bits() {
        let [cat, coffee, rocket] = ["cat", "coffee", "rocket"].map(|name| print(&photo(name)));
        for (a, b) in [(cat, coffee), (cat, rocket), (coffee, rocket)] {
            assert!(a.distance(b) > 16, "{}", a.distance(b));
        }
        let mirrored = print(&imageops::flip_horizontal(&photo("cat")));
        assert!(cat.distance(mirrored) > 16);
    }

    #[test]
    fn flat_pictures_have_none() {
        let flat = |value: fn(u32, u32) -> u8| {
            let image = RgbImage::from_fn(90, 70, |x, y| image::Rgb([value(x, y); 3]));
            measure(&image, b"").fingerprint
        };
        assert_eq!(flat(|_, _| 0), None);
        assert_eq!(flat(|_, _| 200), None);
        assert_eq!(flat(|x, y| 100 + ((x * 7 + y * 13) % 3) as u8), None, "noise");
        assert_eq!(flat(|x, _| 100 + (x / 30) as u8), None, "hardly a gradient");
        assert!(flat(|x, y| (x * y / 25) as u8).is_some());
    }

    #[test]
    fn every_size_has_a_grid() {
        for (width, height) in [(1, 1), (1, 9000), (9000, 1), (31, 33), (32, 32), (3, 64), (100, 5)] {
            let image = RgbImage::from_fn(width, height, |x, y| {
                image::Rgb([(x * 255 / width + y * 255 / height).min(255) as u8; 3])
            });
            let quality = measure(&image, b"").quality;
            assert_eq!((quality.width, quality.height), (width, height));
        }
        // A cell is the mean of its part of the picture, whatever the picture's size.
        for (width, height) in [(32, 32), (64, 96), (50, 70), (7, 9)] {
            let mut grid = Grid::new(width, height);
            let row: Vec<i16> = (0..width).map(|x| if x * 2 < width { 800 } else { 3_200 }).collect();
            (0..height).for_each(|_| grid.add_row(&row));
            let mean = |cell: u64| cell / (width * height) as u64;
            assert_eq!(grid.cells.len(), CELLS);
            for cells in &grid.cells {
                assert_eq!((mean(cells[0]), mean(cells[31])), (800, 3_200), "{width}x{height}");
            }
        }
    }
}
