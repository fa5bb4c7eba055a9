//! A bound on what is decoded at one time.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

use image::RgbImage;

use super::decode::{DecodeError, Limits, decode_after};
use super::quality::{Measurement, measure};

/// Pixels that may be decoded at one time, over all threads of an import, a pack's building or an agent's
/// serving.
///
/// Two of the largest images that are taken at all, or sixteen of a phone's. A decoder holds up to
/// 14 bytes a pixel, so that memory stays below 3 GB, and near 1 GB for usual pictures, however many
/// cores there are.
const PIXELS: u64 = 200_000_000;

/// Room for pixels, of which threads that decode take some and give it back.
#[derive(Debug)]
pub struct PixelRoom {
    size: u64,
    left: Mutex<u64>,
    given_back: Condvar,
}

/// Room taken; given back when it is dropped.
#[derive(Debug)]
#[must_use = "the room is given back at once"]
pub struct Taken<'a> {
    room: &'a PixelRoom,
    pixels: u64,
}

impl PixelRoom {
    /// Room for 200 million pixels.
    pub fn new() -> Self {
        Self::of(PIXELS)
    }

    /// Room for so many pixels.
    pub fn of(size: u64) -> Self {
        Self { size, left: Mutex::new(size), given_back: Condvar::new() }
    }

    /// Waits for room. An image larger than all of it takes all of it, and so is decoded alone.
    pub fn take(&self, pixels: u64) -> Taken<'_> {
        let pixels = pixels.min(self.size);
        let mut left = self
            .given_back
            .wait_while(self.lock(), |left| *left < pixels)
            .unwrap_or_else(PoisonError::into_inner);
        *left -= pixels;
        Taken { room: self, pixels }
    }

    /// Decodes an image when there is room for it. The room is the caller's for as long as the pixels are
    /// of use.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn decode(&self, bytes: &[u8], limits: &Limits) -> Result<(RgbImage, Taken<'_>), DecodeError> {
        decode_after(bytes, limits, |pixels| self.take(pixels))
    }

    /// Decodes and measures an image when there is room for it.
    ///
    /// # Errors
    /// [`DecodeError`].
    pub fn measure(&self, bytes: &[u8], limits: &Limits) -> Result<Measurement, DecodeError> {
        let (image, _taken) = self.decode(bytes, limits)?;
        Ok(measure(&image, bytes))
    }

    fn lock(&self) -> MutexGuard<'_, u64> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for PixelRoom {
    fn default() -> Self {
        Self::new()
    }
}

impl Drop for Taken<'_> {
    fn drop(&mut self) {
        *self.room.lock() += self.pixels;
        self.room.given_back.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use super::*;

    #[test]
    fn no_more_is_taken_than_there_is() {
        let room = PixelRoom::of(100);
        let (held, most) = (AtomicU64::new(0), AtomicU64::new(0));
        std::thread::scope(|scope| {
            for thread in 0..8 {
                let (room, held, most) = (&room, &held, &most);
                scope.spawn(move || {
                    for turn in 0..200 {
                        let pixels = (thread * 31 + turn * 17) % 130;
                        let taken = room.take(pixels);
                        let now = held.fetch_add(taken.pixels, Ordering::SeqCst) + taken.pixels;
                        most.fetch_max(now, Ordering::SeqCst);
                        held.fetch_sub(taken.pixels, Ordering::SeqCst);
                    }
                });
            }
        });
        // An image of 130 pixels took its turn as well: alone.
        assert_eq!(most.into_inner(), 100);
        assert_eq!(*room.lock(), 100);
    }
}
