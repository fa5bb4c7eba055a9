//! What an image is like, in numbers that drift detection can compare.

use image::RgbImage;
use pulp::{Simd, WithSimd};
use vigie_protocol::dataset::Quality;
use vigie_protocol::fingerprint::Fingerprint;

use super::fingerprint::Grid;
use super::jpeg;
use crate::vector;

/// Rec. 601 luma.
const LUMA: [f64; 3] = [0.299, 0.587, 0.114];
/// The same in 256ths, for each pixel: whole numbers, so that equal pixels give equal numbers on every
/// machine, and small ones, of which a vector holds many.
const WEIGHTS: [u16; 3] = [77, 150, 29];
/// Luma of a pixel is in 16ths of a grey value: 12 bits.
pub(super) const UNITS: u16 = 16;
/// The Laplacian is in quarters of a grey value: 12 bits and a sign.
const LAPLACIAN_UNITS: f64 = 4.0;

/// All that is measured of an image.
#[derive(Clone, Debug, PartialEq)]
pub struct Measurement {
    /// What it is like.
    pub quality: Quality,
    /// What it looks like; absent for flat pictures.
    pub fingerprint: Option<Fingerprint>,
}

/// Measures an upright image in one pass; `encoded` are the bytes of its file.
///
/// Sharpness is the variance of the 4-neighbour Laplacian (Pech-Pacheco et al., 2000) over the
/// pixels that have four neighbours; 0 for images less than three pixels wide or high.
pub fn measure(image: &RgbImage, encoded: &[u8]) -> Measurement {
    let (width, height) = image.dimensions();
    // For the vector unit that is there: whole numbers add up to the same on each.
    let Sums { channels, strongest, weakest, luma, laplacian, grid } = vector::run(Measured(image));
    let pixels = (f64::from(width) * f64::from(height)).max(1.0);
    let means = channels.map(|sum| sum as f64 / pixels / 255.0);
    let quality = Quality {
        width,
        height,
        bytes: encoded.len() as u64,
        brightness: means.iter().zip(LUMA).map(|(mean, weight)| mean * weight).sum::<f64>() as f32,
        contrast: (luma.variance().sqrt() / f64::from(UNITS) / 255.0) as f32,
        sharpness: (laplacian.variance() / LAPLACIAN_UNITS.powi(2)) as f32,
        channel_means: means.map(|mean| mean as f32),
        saturation: Some(((strongest - weakest) as f64 / (strongest as f64).max(1.0)) as f32),
        jpeg_quality: jpeg::quality(encoded),
    };
    Measurement { quality, fingerprint: grid.fingerprint() }
}

/// The sums over an image.
struct Sums {
    channels: [u64; 3],
    /// Of each pixel the strongest channel.
    strongest: u64,
    /// Of each pixel the weakest channel.
    weakest: u64,
    grid: Grid,
    luma: Moments,
    laplacian: Moments,
}

/// An image that is summed up. Every loop is short and over plain slices, and everything is inlined
/// into one function: what the compiler needs to see to make vectors of it.
struct Measured<'a>(&'a RgbImage);

impl WithSimd for Measured<'_> {
    type Output = Sums;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> Sums {
        let row_len = self.0.width() as usize;
        let mut sums = Sums {
            channels: [0; 3],
            strongest: 0,
            weakest: 0,
            luma: Moments::default(),
            laplacian: Moments::default(),
            grid: Grid::new(row_len, self.0.height() as usize),
        };
        if row_len == 0 {
            return sums;
        }
        let mut planes = [vec![0_u8; row_len], vec![0; row_len], vec![0; row_len]];
        // The last three rows of luma, newest last.
        let mut rows = [vec![0_i16; row_len], vec![0; row_len], vec![0; row_len]];
        for (y, row) in self.0.as_raw().chunks_exact(row_len * 3).enumerate() {
            rows.rotate_left(1);
            let [above, here, below] = &mut rows;
            split(row, &mut planes);
            sums.add_channels(&planes, below);
            sums.luma.add_row(below);
            sums.grid.add_row(below);
            if y >= 2 && row_len >= 3 {
                // The oldest row is not needed any more.
                laplacian(above, here, below);
                sums.laplacian.add_row(&above[1..row_len - 1]);
            }
        }
        sums
    }
}

/// Sets the channels of a row apart.
#[inline(always)]
fn split(row: &[u8], [red, green, blue]: &mut [Vec<u8>; 3]) {
    let (pixels, _) = row.as_chunks::<3>();
    for (((red, green), blue), pixel) in red.iter_mut().zip(green).zip(blue).zip(pixels) {
        [*red, *green, *blue] = *pixel;
    }
}

/// Values that are summed in few bits before the sum goes where there are many: so many of 255 add up
/// to no more than 16 bits hold, and so many squares of 12 bits to no more than 32.
const PIECE: usize = 256;

impl Sums {
    /// Takes the channels of a row, and writes its luma.
    #[inline(always)]
    fn add_channels(&mut self, [red, green, blue]: &[Vec<u8>; 3], luma: &mut [i16]) {
        let planes = red.chunks(PIECE).zip(green.chunks(PIECE)).zip(blue.chunks(PIECE));
        for (luma, ((red, green), blue)) in luma.chunks_mut(PIECE).zip(planes) {
            let (mut sums, mut strongest, mut weakest) = ([0_u16; 3], 0_u16, 0_u16);
            for (((luma, &red), &green), &blue) in luma.iter_mut().zip(red).zip(green).zip(blue) {
                let [red, green, blue] = [red, green, blue].map(u16::from);
                sums = [sums[0] + red, sums[1] + green, sums[2] + blue];
                strongest += red.max(green).max(blue);
                weakest += red.min(green).min(blue);
                let weighed = WEIGHTS[0] * red + WEIGHTS[1] * green + WEIGHTS[2] * blue;
                *luma = (weighed / (256 / UNITS)) as i16;
            }
            for (all, sum) in self.channels.iter_mut().zip(sums) {
                *all += u64::from(sum);
            }
            self.strongest += u64::from(strongest);
            self.weakest += u64::from(weakest);
        }
    }
}

/// The Laplacian of the pixels of a row that have four neighbours, in place of the row above it.
#[inline(always)]
fn laplacian(above: &mut [i16], here: &[i16], below: &[i16]) {
    let len = here.len();
    let (left, middle, right) = (&here[..len - 2], &here[1..len - 1], &here[2..]);
    let (up, down) = (&mut above[1..len - 1], &below[1..len - 1]);
    for ((((up, down), left), middle), right) in up.iter_mut().zip(down).zip(left).zip(middle).zip(right) {
        // From 16ths to quarters, the nearest.
        *up = (4 * middle - left - right - *up - down + 2) >> 2;
    }
}

/// Sum and sum of squares of values of 12 bits and a sign, exact.
#[derive(Default)]
struct Moments {
    count: u64,
    sum: i64,
    squares: u64,
}

impl Moments {
    #[inline(always)]
    fn add_row(&mut self, values: &[i16]) {
        // Pieces of a length that the compiler knows are twice as fast.
        let (pieces, rest) = values.as_chunks::<PIECE>();
        pieces.iter().for_each(|piece| self.add_piece(piece));
        self.add_piece(rest);
        self.count += values.len() as u64;
    }

    #[inline(always)]
    fn add_piece(&mut self, piece: &[i16]) {
        let (mut sum, mut squares) = (0_i32, 0_i32);
        for &value in piece {
            let value = i32::from(value);
            sum += value;
            // All of 32 bits, through the product of signed numbers that vector units have.
            squares = squares.wrapping_add(value * value);
        }
        self.sum += i64::from(sum);
        self.squares += u64::from(squares as u32);
    }

    fn mean(&self) -> f64 {
        self.sum as f64 / self.count.max(1) as f64
    }

    fn variance(&self) -> f64 {
        let count = self.count.max(1) as f64;
        (self.squares as f64 / count - self.mean().powi(2)).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: f32, b: f32) {
        assert!((a - b).abs() < 1e-5, "{a} is not {b}");
    }

    #[test]
    fn flat_images_have_no_contrast() {
        let image = RgbImage::from_pixel(5, 4, image::Rgb([255, 0, 51]));
        let quality = measure(&image, &[0; 77]).quality;
        assert_eq!((quality.width, quality.height, quality.bytes), (5, 4, 77));
        close(quality.brightness, 0.299 + 0.114 * 0.2);
        close(quality.contrast, 0.0);
        close(quality.sharpness, 0.0);
        close(quality.saturation.expect("measured"), 1.0);
        assert_eq!(quality.jpeg_quality, None);
        for (mean, expected) in quality.channel_means.into_iter().zip([1.0, 0.0, 0.2]) {
            close(mean, expected);
        }
    }

    #[test]
    fn a_checkerboard_is_as_sharp_as_it_gets() {
        let image = RgbImage::from_fn(8, 8, |x, y| image::Rgb([((x + y) % 2 * 255) as u8; 3]));
        let quality = measure(&image, b"").quality;
        close(quality.saturation.expect("measured"), 0.0);
        close(quality.brightness, 0.5);
        close(quality.contrast, 0.5);
        close(quality.sharpness, 1020.0 * 1020.0);
    }

    #[test]
    fn tiny_images_are_measured_too() {
        for (width, height) in [(0, 0), (1, 1), (2, 9), (9, 2)] {
            let quality = measure(&RgbImage::new(width, height), b"").quality;
            assert_eq!(quality.sharpness, 0.0, "{width}x{height}");
            assert_eq!(quality.brightness, 0.0);
        }
    }
}
