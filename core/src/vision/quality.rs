//! What an image is like, in numbers that drift detection can compare.

use image::RgbImage;
use vigie_protocol::dataset::Quality;

/// Rec. 601 luma in thousandths: exact integers, so that equal pixels give equal numbers on every
/// machine.
const LUMA: [i32; 3] = [299, 587, 114];
const UNITS: f64 = 1000.0;

/// Measures an upright image in one pass; `encoded_bytes` is the size of its file.
///
/// Sharpness is the variance of the 4-neighbour Laplacian (Pech-Pacheco et al., 2000) over the
/// pixels that have four neighbours; 0 for images less than three pixels wide or high.
pub fn measure(image: &RgbImage, encoded_bytes: u64) -> Quality {
    let (width, height) = image.dimensions();
    let row_len = width as usize;
    let mut channels = [0_u64; 3];
    let mut luma = Moments::default();
    let mut laplacian = Moments::default();
    // The last three rows of luma, newest last.
    let mut rows = [vec![0_i32; row_len], vec![0; row_len], vec![0; row_len]];

    if row_len > 0 {
        for (y, row) in image.as_raw().chunks_exact(row_len * 3).enumerate() {
            rows.rotate_left(1);
            for (value, pixel) in rows[2].iter_mut().zip(row.chunks_exact(3)) {
                let mut sum = 0;
                for c in 0..3 {
                    channels[c] += u64::from(pixel[c]);
                    sum += LUMA[c] * i32::from(pixel[c]);
                }
                *value = sum;
            }
            luma.add_row(rows[2].iter().copied());
            if y >= 2 && row_len >= 3 {
                let [above, here, below] = &rows;
                laplacian.add_row(
                    (1..row_len - 1).map(|x| 4 * here[x] - here[x - 1] - here[x + 1] - above[x] - below[x]),
                );
            }
        }
    }

    let pixels = (f64::from(width) * f64::from(height)).max(1.0);
    Quality {
        width,
        height,
        bytes: encoded_bytes,
        brightness: (luma.mean() / UNITS / 255.0) as f32,
        contrast: (luma.variance().sqrt() / UNITS / 255.0) as f32,
        sharpness: (laplacian.variance() / (UNITS * UNITS)) as f32,
        channel_means: channels.map(|sum| (sum as f64 / pixels / 255.0) as f32),
    }
}

/// Sum and sum of squares, exact: one row's squares fit 64 bits, an image's fit 128.
#[derive(Default)]
struct Moments {
    count: u64,
    sum: i64,
    squares: u128,
}

impl Moments {
    fn add_row(&mut self, values: impl ExactSizeIterator<Item = i32>) {
        self.count += values.len() as u64;
        let (mut sum, mut squares) = (0_i64, 0_u64);
        for value in values {
            sum += i64::from(value);
            squares += u64::from(value.unsigned_abs()).pow(2);
        }
        self.sum += sum;
        self.squares += u128::from(squares);
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
        let quality = measure(&image, 77);
        assert_eq!((quality.width, quality.height, quality.bytes), (5, 4, 77));
        close(quality.brightness, 0.299 + 0.114 * 0.2);
        close(quality.contrast, 0.0);
        close(quality.sharpness, 0.0);
        for (mean, expected) in quality.channel_means.into_iter().zip([1.0, 0.0, 0.2]) {
            close(mean, expected);
        }
    }

    #[test]
    fn a_checkerboard_is_as_sharp_as_it_gets() {
        let image = RgbImage::from_fn(8, 8, |x, y| image::Rgb([((x + y) % 2 * 255) as u8; 3]));
        let quality = measure(&image, 0);
        close(quality.brightness, 0.5);
        close(quality.contrast, 0.5);
        close(quality.sharpness, 1020.0 * 1020.0);
    }

    #[test]
    fn tiny_images_are_measured_too() {
        for (width, height) in [(0, 0), (1, 1), (2, 9), (9, 2)] {
            let quality = measure(&RgbImage::new(width, height), 0);
            assert_eq!(quality.sharpness, 0.0, "{width}x{height}");
            assert_eq!(quality.brightness, 0.0);
        }
    }
}
