//! Texts that many images share and some lack.

use std::borrow::Cow;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::columns::Column;

/// A text an image, or none: each distinct text once, and a number an image. Read where it lies.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Words<'a> {
    /// The distinct texts, sorted, one behind the other.
    #[serde(borrow)]
    texts: Cow<'a, str>,
    /// Where in `texts` each ends.
    #[serde(borrow)]
    end: Column<'a, u64>,
    /// Which text, from 1; 0 for none.
    #[serde(borrow)]
    word: Column<'a, u32>,
}

impl Words<'_> {
    /// The texts of images in their order. An empty text counts as none; without any it stays empty.
    pub fn of<'t>(texts: impl Iterator<Item = Option<&'t str>> + Clone) -> Self {
        let present = |text: Option<&'t str>| text.filter(|text| !text.is_empty());
        let mut numbers: BTreeMap<&str, u32> =
            texts.clone().filter_map(present).map(|text| (text, 0)).collect();
        let mut words = Self::default();
        for (number, (text, place)) in (1..).zip(&mut numbers) {
            words.texts.to_mut().push_str(text);
            words.end.push(words.texts.len() as u64);
            *place = number;
        }
        if !numbers.is_empty() {
            texts.for_each(|text| {
                words.word.push(present(text).and_then(|text| numbers.get(text).copied()).unwrap_or(0));
            });
        }
        words
    }

    /// Whether no image has a text.
    pub fn is_empty(&self) -> bool {
        self.word.is_empty()
    }

    /// Images; nothing when the columns do not fit together.
    pub fn len(&self) -> Option<usize> {
        self.end.len().and_then(|_| self.word.len())
    }

    /// The text of an image, if it has one; nothing at all when it refers to what is not there.
    pub fn get(&self, i: usize) -> Option<Option<&str>> {
        if self.is_empty() {
            return Some(None);
        }
        let Some(place) = (self.word.get(i) as usize).checked_sub(1) else { return Some(None) };
        if place >= self.end.len()? {
            return None;
        }
        let start = if place == 0 { 0 } else { self.end.get(place - 1) };
        let (start, end) = (usize::try_from(start).ok()?, usize::try_from(self.end.get(place)).ok()?);
        self.texts.get(start..end).map(Some)
    }
}
