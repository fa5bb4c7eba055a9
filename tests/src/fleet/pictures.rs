//! Pictures: small, real, each with bytes and thus a hash of its own, made when they are asked for.
//!
//! A few pictures are drawn and encoded once; the others are copies with their number written where
//! decoders do not look (a JPEG comment, bytes after a PNG's end). So a dataset of thousands of images
//! costs their hashes, and every hash leads back to its bytes. Some pictures are broken on purpose.

use std::sync::OnceLock;

use image::codecs::jpeg::JpegEncoder;
use image::codecs::png::PngEncoder;
use image::{ExtendedColorType, ImageEncoder};
use vigie_protocol::Hash;

use super::dice::mix;

/// Size of every picture, in pixels.
pub(super) const SIZE: (u32, u32) = (64, 48);

/// Different pictures that are drawn; one in four is a PNG.
const DRAWN: usize = 16;

/// One picture in so many ends in its middle.
const CUT: usize = 307;

/// One picture in so many claims to have more pixels than any memory.
const BOMB: usize = 509;

/// Side that such a picture claims, in pixels.
const BOMB_SIDE: u32 = 60_000;

/// The pictures of one project.
#[derive(Debug)]
pub(super) struct Pictures {
    seed: u64,
    hashes: Vec<Hash>,
    /// Numbers of the pictures, in the order of their hashes.
    sorted: Vec<u32>,
}

impl Pictures {
    /// `count` pictures. Takes about a microsecond for each.
    pub(super) fn new(seed: u64, count: usize) -> Self {
        let hashes: Vec<Hash> = (0..count).map(|number| Hash::of(&bytes(seed, number))).collect();
        let mut sorted: Vec<u32> = (0..).take(count).collect();
        sorted.sort_by_key(|&number| hashes[number as usize]);
        Self { seed, hashes, sorted }
    }

    pub(super) fn hash(&self, number: usize) -> Hash {
        self.hashes[number]
    }

    /// The picture with that hash.
    pub(super) fn find(&self, hash: Hash) -> Option<Vec<u8>> {
        let place = self.sorted.binary_search_by_key(&hash, |&number| self.hashes[number as usize]).ok()?;
        Some(bytes(self.seed, self.sorted[place] as usize))
    }

    /// Hashes and numbers of the pictures past `after`, in the order of the hashes.
    pub(super) fn past(&self, after: Option<Hash>) -> impl Iterator<Item = (Hash, usize)> {
        let start = self
            .sorted
            .partition_point(|&number| after.is_some_and(|after| self.hashes[number as usize] <= after));
        self.sorted[start..].iter().map(|&number| (self.hashes[number as usize], number as usize))
    }
}

/// The bytes of a project's `number`-th picture.
fn bytes(seed: u64, number: usize) -> Vec<u8> {
    static ALL: OnceLock<Vec<Vec<u8>>> = OnceLock::new();
    let drawn = ALL.get_or_init(|| (0..DRAWN).map(draw).collect());
    let whole = &drawn[number % DRAWN];
    let mark = mix(seed, number as u64).to_be_bytes();
    if number % BOMB == 7 {
        return bomb(&mark);
    }
    let mut bytes = Vec::with_capacity(whole.len() + 12);
    match whole.strip_prefix(&[0xff, 0xd8]) {
        Some(rest) => {
            // Start of image, then a comment of two bytes of length and eight of content.
            bytes.extend_from_slice(&[0xff, 0xd8, 0xff, 0xfe, 0, 10]);
            bytes.extend_from_slice(&mark);
            bytes.extend_from_slice(rest);
        }
        None => {
            bytes.extend_from_slice(whole);
            bytes.extend_from_slice(&mark);
        }
    }
    if number % CUT == 5 {
        bytes.truncate(bytes.len() / 2);
    }
    bytes
}

/// A disc on a sloping ground.
fn draw(number: usize) -> Vec<u8> {
    let (width, height) = SIZE;
    let mut pixels = Vec::with_capacity((width * height * 3) as usize);
    let hue = |shift: usize| (mix(number as u64, shift as u64) % 200) as u32 + 40;
    let (centre_x, centre_y) = (16 + hue(3) % 32, 12 + hue(4) % 24);
    for y in 0..height {
        for x in 0..width {
            let far = x.abs_diff(centre_x).pow(2) + y.abs_diff(centre_y).pow(2);
            for channel in 0..3 {
                let value = if far < 120 { hue(channel) } else { 255 - (hue(channel) * (x + y)) / 112 };
                pixels.push(u8::try_from(value.min(255)).unwrap_or(u8::MAX));
            }
        }
    }
    let mut bytes = Vec::new();
    let encoded = if number.is_multiple_of(4) {
        PngEncoder::new(&mut bytes).write_image(&pixels, width, height, ExtendedColorType::Rgb8)
    } else {
        JpegEncoder::new_with_quality(&mut bytes, 75).encode(&pixels, width, height, ExtendedColorType::Rgb8)
    };
    encoded.expect("a buffer of the right size is encoded into memory");
    bytes
}

/// A PNG of nothing but a header that claims [`BOMB_SIDE`]² pixels, and `mark`.
fn bomb(mark: &[u8]) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend_from_slice(&BOMB_SIDE.to_be_bytes());
    header.extend_from_slice(&BOMB_SIDE.to_be_bytes());
    // Eight bits a channel, RGB, the only compression, filter and order.
    header.extend_from_slice(&[8, 2, 0, 0, 0]);
    let mut bytes = b"\x89PNG\r\n\x1a\n\0\0\0\x0d".to_vec();
    let checksum = crc32(&header);
    bytes.extend(header);
    bytes.extend_from_slice(&checksum.to_be_bytes());
    bytes.extend_from_slice(mark);
    bytes
}

/// The checksum of a PNG's chunks (ISO 3309), bit by bit: it is needed once in a while.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, byte: &u8| {
        (0..8).fold(crc ^ u32::from(*byte), |crc, _| (crc >> 1) ^ (0xedb8_8320 & (crc & 1).wrapping_neg()))
    };
    !bytes.iter().fold(u32::MAX, step)
}

#[cfg(test)]
mod tests {
    use image::{GenericImageView, ImageReader};

    use super::*;

    #[test]
    fn pictures_are_real_and_the_broken_ones_are_broken() {
        let pictures = Pictures::new(3, 1_100);
        let mut broken = 0;
        for number in 0..1_100 {
            let bytes = pictures.find(pictures.hash(number)).expect("found by its hash");
            assert_eq!(Hash::of(&bytes), pictures.hash(number));
            let reader =
                ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().expect("in memory");
            match reader.decode() {
                Ok(image) => assert_eq!(image.dimensions(), SIZE),
                Err(_) => broken += 1,
            }
        }
        // A JPEG that ends in its middle may still be shown; its decoder decides.
        assert!((3..=7).contains(&broken), "{broken} are broken");
    }

    #[test]
    fn hashes_are_listed_in_order_and_once() {
        let pictures = Pictures::new(3, 100);
        let all: Vec<Hash> = pictures.past(None).map(|(hash, _)| hash).collect();
        assert!(all.is_sorted() && all.len() == 100);
        let rest: Vec<Hash> = pictures.past(Some(all[41])).map(|(hash, _)| hash).collect();
        assert_eq!(rest, all[42..]);
        assert_eq!(pictures.find(Hash::of(b"another")), None);
    }
}
