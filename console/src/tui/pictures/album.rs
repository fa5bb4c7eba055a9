//! Pictures that were loaded, as many as there is room for.

use std::cell::Cell;
use std::collections::HashMap;

use ratatui::buffer::Buffer;
use vigie_protocol::Hash;

use super::{Encoded, Kind};

/// Which picture, for which place.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Key {
    /// The picture's content.
    pub image: Hash,
    /// How it is shown.
    pub kind: Kind,
    /// The room it was fitted into, in cells across and down.
    pub cells: (u16, u16),
}

/// What is known of a picture.
#[derive(Clone, Debug)]
pub enum Slot {
    /// It can be drawn.
    Ready(Encoded),
    /// There is none, and why.
    Failed(String),
}

/// Pictures by their [`Key`]. The one that was not looked at for longest goes first where room is
/// short.
#[derive(Debug)]
pub struct Album {
    room: usize,
    used: usize,
    slots: HashMap<Key, Held>,
    /// Counts looks; it orders them, and nothing else.
    looks: Cell<u64>,
}

#[derive(Debug)]
struct Held {
    slot: Slot,
    looked: Cell<u64>,
}

impl Album {
    /// An album for so many bytes.
    pub fn new(room: usize) -> Self {
        Self { room, used: 0, slots: HashMap::new(), looks: Cell::new(0) }
    }

    /// What there is of a picture, to draw it; nothing if nobody asked for it, or if it had to go.
    pub fn get(&self, key: &Key) -> Option<&Slot> {
        let held = self.slots.get(key)?;
        held.looked.set(self.look());
        Some(&held.slot)
    }

    /// Puts in what became of a picture. Returns those that had to make room for it.
    pub fn fill(&mut self, key: Key, picture: Result<Encoded, String>) -> Vec<Key> {
        let slot = match picture {
            Ok(picture) if picture.bytes() > self.room => Slot::Failed("too large to keep".to_owned()),
            Ok(picture) => Slot::Ready(picture),
            Err(reason) => Slot::Failed(reason),
        };
        self.put(key, slot)
    }

    /// Tells the album what the terminal was sent: pixels that it keeps are not sent again. To be
    /// called after each frame that was written.
    pub fn note_sent(&mut self, frame: &Buffer) {
        for held in self.slots.values_mut() {
            if let Slot::Ready(picture) = &mut held.slot {
                picture.note_sent(frame);
            }
        }
    }

    /// Sends pixels again when they are drawn next: the terminal was cleared, or was another program's
    /// for a while.
    pub fn forget_sent(&mut self) {
        for held in self.slots.values_mut() {
            if let Slot::Ready(picture) = &mut held.slot {
                picture.forget_sent();
            }
        }
    }

    fn put(&mut self, key: Key, slot: Slot) -> Vec<Key> {
        let looked = Cell::new(self.look());
        self.slots.insert(key, Held { slot, looked });
        self.count();
        let mut gone = Vec::new();
        while self.used > self.room {
            let others = self.slots.iter().filter(|(other, _)| **other != key);
            let Some(oldest) = others.min_by_key(|(_, held)| held.looked.get()).map(|(key, _)| *key) else {
                break;
            };
            self.slots.remove(&oldest);
            gone.push(oldest);
            self.count();
        }
        gone
    }

    fn look(&self) -> u64 {
        self.looks.set(self.looks.get() + 1);
        self.looks.get()
    }

    fn count(&mut self) {
        self.used = self.slots.values().map(|held| bytes(&held.slot)).sum();
    }
}

fn bytes(slot: &Slot) -> usize {
    size_of::<Key>()
        + size_of::<Held>()
        + match slot {
            Slot::Ready(picture) => picture.bytes(),
            Slot::Failed(reason) => reason.len(),
        }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::pictures::encode::tests::{MEDIUM, picture};
    use crate::tui::pictures::{Medium, draw, encode};

    fn key(n: u8) -> Key {
        Key { image: Hash::of(&[n]), kind: Kind::Ascii, cells: (8, 4) }
    }

    fn ascii() -> Encoded {
        encode(&picture(16, 16), &Medium { kind: Kind::Ascii, ..MEDIUM }, (8, 4)).expect("fits")
    }

    #[test]
    fn the_one_not_looked_at_for_longest_goes() {
        let one = bytes(&Slot::Ready(ascii()));
        let mut album = Album::new(3 * one);
        for n in 0..3 {
            assert_eq!(album.fill(key(n), Ok(ascii())), []);
        }
        assert_eq!(album.used, 3 * one);
        assert!(matches!(album.get(&key(0)), Some(Slot::Ready(_))));
        assert_eq!(album.fill(key(3), Ok(ascii())), [key(1)]);
        let there = (0..4).filter(|n| album.get(&key(*n)).is_some()).collect::<Vec<_>>();
        assert_eq!(there, [0, 2, 3]);
        assert!(album.used <= 3 * one);
    }

    #[test]
    fn many_questions_stay_bounded_too() {
        let mut album = Album::new(2_000);
        for n in 0..=255 {
            album.fill(key(n), Err("not found".to_owned()));
            assert!(album.used <= 2_000);
        }
        assert!(matches!(album.get(&key(255)), Some(Slot::Failed(reason)) if reason == "not found"));
        let large =
            encode(&picture(16, 16), &Medium { kind: Kind::Ascii, ..MEDIUM }, (80, 40)).expect("fits");
        album.fill(key(255), Ok(large));
        assert!(matches!(album.get(&key(255)), Some(Slot::Failed(reason)) if reason == "too large to keep"));
    }

    #[test]
    fn pixels_are_sent_until_the_terminal_has_them() {
        let medium = Medium { kind: Kind::Kitty, ..MEDIUM };
        let key = Key { kind: Kind::Kitty, ..key(1) };
        let mut album = Album::new(10 << 20);
        album.fill(key, encode(&picture(16, 16), &medium, (8, 4)).map_err(|error| error.to_string()));
        let frame = |album: &Album| {
            let mut frame = Buffer::empty(ratatui::layout::Rect::new(0, 0, 20, 6));
            let Some(Slot::Ready(picture)) = album.get(&key) else { panic!("it is ready") };
            assert!(draw(picture, frame.area, &mut frame));
            frame
        };
        let sends = |frame: &Buffer| frame.content.iter().any(|cell| cell.symbol().contains("\u{1b}_G"));
        let mut covered = frame(&album);
        assert!(sends(&covered));
        // A dialog over it: the terminal never saw the pixels.
        covered.reset();
        album.note_sent(&covered);
        assert!(sends(&frame(&album)));
        let shown = frame(&album);
        album.note_sent(&shown);
        let after = frame(&album);
        assert!(!sends(&after));
        let again = shown.diff(&after);
        assert_eq!(again.len(), 1, "the first cell alone changes, and has its place");
        assert!(again[0].2.symbol().starts_with('\u{10eeee}'));
        album.forget_sent();
        assert!(sends(&frame(&album)));
    }
}
