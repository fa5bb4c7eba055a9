//! Bounded decoding, as the agent does it before it looks at a picture.

use std::io::Cursor;

use image::metadata::Orientation;
use image::{DynamicImage, ImageDecoder, ImageError, ImageFormat, ImageReader, RgbImage, imageops};

use super::guard::guarded;

/// What bytes may ask for before they are refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Encoded size in bytes.
    pub max_bytes: usize,
    /// Width × height, as the header says.
    pub max_pixels: u64,
    /// The longer side of what is kept; larger pictures are shrunk. No terminal shows more.
    pub kept_side: u32,
}

impl Default for Limits {
    /// 64 MiB, 40 megapixels, 2,048 pixels a side.
    fn default() -> Self {
        Self { max_bytes: 64 << 20, max_pixels: 40_000_000, kept_side: 2_048 }
    }
}

/// Why there is no picture to see.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PictureError {
    /// No bytes at all.
    #[error("the picture is empty")]
    Empty,
    /// More encoded bytes than allowed.
    #[error("the picture has more than {0} bytes")]
    TooManyBytes(usize),
    /// The first bytes are of no picture.
    #[error("not a picture")]
    NotAPicture,
    /// A format that is not read.
    #[error("{0} is not shown, only JPEG, PNG and WebP")]
    Unsupported(String),
    /// The header promises more pixels than allowed. Nothing was allocated for them.
    #[error("{width}x{height} is too large to show, the limit is {limit} pixels")]
    TooLarge {
        /// Width by the header.
        width: u32,
        /// Height by the header.
        height: u32,
        /// Width × height at most.
        limit: u64,
    },
    /// The content contradicts the format.
    #[error("the picture is damaged: {0}")]
    Damaged(String),
    /// The terminal shows no pictures, or there is no room for one.
    #[error("no room for a picture")]
    NoRoom,
    /// The picture could not be put into the terminal's form.
    #[error("cannot show the picture: {0}")]
    NotShown(String),
}

/// Upright pixels, small enough to keep.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decoded {
    pub(super) pixels: RgbImage,
    /// Width of the upright picture before it was shrunk, in pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
}

/// Decodes JPEG, PNG or WebP to upright 8-bit RGB: the EXIF orientation is applied, transparency is
/// laid over black. The header's size is held against `limits` before any pixel is allocated. Of a
/// JPEG that is cut short what is there is shown.
///
/// Blocks for up to a second; never panics.
///
/// # Errors
/// [`PictureError`].
pub fn decode(bytes: &[u8], limits: &Limits) -> Result<Decoded, PictureError> {
    if bytes.is_empty() {
        return Err(PictureError::Empty);
    }
    if bytes.len() > limits.max_bytes {
        return Err(PictureError::TooManyBytes(limits.max_bytes));
    }
    let format = match image::guess_format(bytes) {
        Ok(format @ (ImageFormat::Jpeg | ImageFormat::Png | ImageFormat::WebP)) => format,
        Ok(other) => return Err(PictureError::Unsupported(format!("{other:?}").to_uppercase())),
        Err(_) => return Err(PictureError::NotAPicture),
    };
    guarded(|| decode_as(format, bytes, limits))
        .unwrap_or_else(|| Err(PictureError::Damaged("the decoder gave up".to_owned())))
}

fn decode_as(format: ImageFormat, bytes: &[u8], limits: &Limits) -> Result<Decoded, PictureError> {
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut bounds = image::Limits::default();
    // 16-bit RGBA takes eight bytes a pixel; the rest is for the decoder's own tables.
    bounds.max_alloc = Some(limits.max_pixels.saturating_mul(8).saturating_add(64 << 20));
    reader.limits(bounds);
    let mut decoder = reader.into_decoder().map_err(|error| damaged(&error))?;
    let (width, height) = decoder.dimensions();
    if width == 0 || height == 0 {
        return Err(PictureError::Damaged(format!("its size is {width}x{height}")));
    }
    if u64::from(width) * u64::from(height) > limits.max_pixels {
        return Err(PictureError::TooLarge { width, height, limit: limits.max_pixels });
    }
    // A damaged EXIF block is no reason to show nothing.
    let orientation = decoder.orientation().unwrap_or(Orientation::NoTransforms);
    let image = DynamicImage::from_decoder(decoder).map_err(|error| damaged(&error))?;
    // Shrunk before it is turned and converted: both take memory by the pixel.
    let mut image = shrunk(image, limits.kept_side.max(1));
    image.apply_orientation(orientation);
    let turned = matches!(
        orientation,
        Orientation::Rotate90
            | Orientation::Rotate270
            | Orientation::Rotate90FlipH
            | Orientation::Rotate270FlipH
    );
    let (width, height) = if turned { (height, width) } else { (width, height) };
    Ok(Decoded { pixels: opaque(image), width, height })
}

fn shrunk(image: DynamicImage, side: u32) -> DynamicImage {
    if image.width().max(image.height()) <= side { image } else { image.thumbnail(side, side) }
}

fn opaque(image: DynamicImage) -> RgbImage {
    if !image.color().has_alpha() {
        return image.into_rgb8();
    }
    let image = image.into_rgba8();
    let mut black = image::RgbaImage::from_pixel(image.width(), image.height(), image::Rgba([0, 0, 0, 255]));
    imageops::overlay(&mut black, &image, 0, 0);
    DynamicImage::ImageRgba8(black).into_rgb8()
}

fn damaged(error: &ImageError) -> PictureError {
    match error {
        ImageError::Unsupported(detail) => PictureError::Unsupported(bounded(&detail.to_string())),
        error => PictureError::Damaged(bounded(&error.to_string())),
    }
}

/// Decoders quote the file in their messages.
pub(super) fn bounded(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(120).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use image::{Rgb, Rgba, RgbaImage};
    use proptest::prelude::*;

    use super::*;

    const RED: Rgb<u8> = Rgb([255, 0, 0]);
    const BLUE: Rgb<u8> = Rgb([0, 0, 255]);

    /// The left half red, the right half blue.
    pub(in crate::tui::pictures) fn halves(width: u32, height: u32) -> RgbImage {
        RgbImage::from_fn(width, height, |x, _| if x < width / 2 { RED } else { BLUE })
    }

    fn file(image: impl Into<DynamicImage>, format: ImageFormat) -> Vec<u8> {
        let mut out = Cursor::new(Vec::new());
        image.into().write_to(&mut out, format).expect("into memory");
        out.into_inner()
    }

    /// A PNG that claims a size and has no pixels.
    fn empty_png(width: u32, height: u32) -> Vec<u8> {
        let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 2, 0, 0, 0]].concat();
        [b"\x89PNG\r\n\x1a\n".to_vec(), chunk(b"IHDR", &header), chunk(b"IDAT", &[]), chunk(b"IEND", &[])]
            .concat()
    }

    /// A piece of a PNG with its checksum.
    fn chunk(name: &[u8; 4], content: &[u8]) -> Vec<u8> {
        let checked = [name.as_slice(), content].concat();
        let mut crc = u32::MAX;
        for byte in &checked {
            crc ^= u32::from(*byte);
            for _ in 0..8 {
                crc = if crc & 1 == 1 { (crc >> 1) ^ 0xedb8_8320 } else { crc >> 1 };
            }
        }
        [&(content.len() as u32).to_be_bytes()[..], &checked, &(!crc).to_be_bytes()].concat()
    }

    #[test]
    fn every_format_is_read() {
        for format in [ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP] {
            let decoded = decode(&file(halves(16, 8), format), &Limits::default()).expect("a picture");
            assert_eq!((decoded.width, decoded.height, decoded.pixels.dimensions()), (16, 8, (16, 8)));
            let Rgb([red, _, blue]) = *decoded.pixels.get_pixel(1, 1);
            assert!(red > 200 && blue < 60, "{format:?}: {red} {blue}");
        }
    }

    #[test]
    fn exif_turns_pictures_upright() {
        let jpeg = file(halves(32, 16), ImageFormat::Jpeg);
        // Orientation 6: the camera was turned, the top is at the right.
        let exif =
            b"\xff\xe1\x00\x22Exif\0\0MM\0\x2a\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0";
        let turned = [&jpeg[..2], exif, &jpeg[2..]].concat();
        let decoded = decode(&turned, &Limits::default()).expect("a picture");
        assert_eq!((decoded.width, decoded.height), (16, 32));
        let [top, bottom] = [2, 29].map(|y| decoded.pixels.get_pixel(8, y).0);
        assert!(top[0] > 200 && bottom[2] > 200, "{top:?} {bottom:?}");
    }

    #[test]
    fn large_pictures_are_kept_small_and_transparent_ones_black() {
        let limits = Limits { kept_side: 10, ..Limits::default() };
        let decoded = decode(&file(halves(100, 50), ImageFormat::Png), &limits).expect("a picture");
        assert_eq!((decoded.width, decoded.height, decoded.pixels.dimensions()), (100, 50, (10, 5)));
        let half = RgbaImage::from_pixel(2, 2, Rgba([200, 100, 0, 128]));
        let decoded = decode(&file(half, ImageFormat::Png), &Limits::default()).expect("a picture");
        let Rgb([red, green, _]) = *decoded.pixels.get_pixel(0, 0);
        assert!((99..=101).contains(&red) && (49..=51).contains(&green), "{red} {green}");
    }

    #[test]
    fn hostile_bytes_are_refused_by_name() {
        let png = file(halves(16, 8), ImageFormat::Png);
        let webp = file(halves(16, 8), ImageFormat::WebP);
        let small = Limits { max_bytes: 60, max_pixels: 100, kept_side: 0 };
        let limits = Limits::default();
        // Start of a JPEG whose frame claims 65,500 × 65,500.
        let jpeg =
            b"\xff\xd8\xff\xc0\x00\x11\x08\xff\xdc\xff\xdc\x03\x01\x11\x00\x02\x11\x00\x03\x11\x00\xff\xd9";
        for (name, bytes, limits, error) in [
            ("nothing", Vec::new(), limits, "the picture is empty"),
            ("a note", b"Dear reader,".to_vec(), limits, "not a picture"),
            ("a GIF", b"GIF89a...............".to_vec(), limits, "GIF is not shown"),
            ("HEIF", b"\0\0\0\x18ftypheic".to_vec(), limits, "not a picture"),
            ("too many bytes", vec![0; 61], small, "the picture has more than 60 bytes"),
            ("a bomb", empty_png(100_000, 100_000), limits, "100000x100000 is too large"),
            ("nought", empty_png(0, 5), limits, "the picture is damaged"),
            ("no content", empty_png(16, 8), limits, "the picture is damaged"),
            ("cut short", png[..png.len() / 2].to_vec(), limits, "the picture is damaged"),
            ("cut short", webp[..webp.len() / 2].to_vec(), limits, "the picture is damaged"),
            ("a huge frame", jpeg.to_vec(), limits, ""),
            (
                "a few too many pixels",
                empty_png(11, 10),
                small,
                "11x10 is too large to show, the limit is 100",
            ),
        ] {
            let refused = decode(&bytes, &limits).expect_err(name).to_string();
            assert!(refused.starts_with(error), "{name}: {refused}");
        }
    }

    proptest! {
        #[test]
        fn damage_never_panics(
            format in prop::sample::select(vec![ImageFormat::Jpeg, ImageFormat::Png, ImageFormat::WebP]),
            hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
            end in any::<prop::sample::Index>(),
        ) {
            let mut bytes = file(halves(16, 8), format);
            for (at, byte) in hits {
                let at = at.index(bytes.len());
                bytes[at] = byte;
            }
            bytes.truncate(end.index(bytes.len()) + 1);
            // Any answer will do, as long as there is one.
            let limits = Limits { max_pixels: 1 << 20, ..Limits::default() };
            if let Ok(decoded) = decode(&bytes, &limits) {
                prop_assert!(decoded.width > 0 && decoded.height > 0);
            }
        }
    }
}
