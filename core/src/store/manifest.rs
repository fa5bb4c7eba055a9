//! Manifests: the content of a dataset version as one blob.
//!
//! A version byte, then MessagePack: the images sorted by hash, each property a column (the
//! module `columns`). Equal content gives equal bytes, hence an equal hash. A page of a listing
//! ([`Listing`]) or of a difference ([`Differences`]) reads the columns where they lie and makes only
//! the images that it shows.

mod columns;
mod difference;
mod sizes;
mod words;

use std::collections::BTreeSet;

use vigie_protocol::Hash;
use vigie_protocol::dataset::{DatasetImage, Split};
use vigie_protocol::history::SplitFigures;
use vigie_protocol::page::{Page, PageCursor};

pub use self::difference::{Differences, class_changes};
pub use self::sizes::class_sizes;

use self::columns::Columns;
use super::{Result, StoreError};

/// Images one after another, as maps: four times the size, ten times the reading. Still read.
const ROWS: u8 = 1;
/// What is written.
const COLUMNS: u8 = 2;

/// The images of a dataset version, sorted by hash, each hash once.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Manifest {
    images: Vec<DatasetImage>,
}

impl Manifest {
    /// Sorts the images by hash; of several with one hash the first stays.
    pub fn new(mut images: Vec<DatasetImage>) -> Self {
        images.sort_by_key(|image| image.image);
        images.dedup_by_key(|image| image.image);
        Self { images }
    }

    /// The images, sorted by hash.
    pub fn images(&self) -> &[DatasetImage] {
        &self.images
    }

    /// The images, sorted by hash, for good.
    pub fn into_images(self) -> Vec<DatasetImage> {
        self.images
    }

    /// The class names, sorted: the order of a model's logits.
    pub fn classes(&self) -> Vec<String> {
        let classes: BTreeSet<&str> = self.images.iter().map(|image| image.label.as_str()).collect();
        classes.into_iter().map(str::to_owned).collect()
    }

    /// What is known of each split without its images: how many, and a hash of which and how labelled.
    pub fn splits(&self) -> Vec<SplitFigures> {
        let figures = |split| {
            let mut hasher = blake3::Hasher::new_derive_key("vigie split v1");
            let mut images = 0;
            for image in self.images.iter().filter(|image| image.split == split) {
                hasher.update(image.image.as_bytes());
                hasher.update(&(image.label.len() as u64).to_le_bytes());
                hasher.update(image.label.as_bytes());
                images += 1;
            }
            SplitFigures { split, images, hash: hasher.finalize().into() }
        };
        Split::ALL.map(figures).to_vec()
    }

    /// The bytes of its blob.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![COLUMNS];
        rmp_serde::encode::write_named(&mut bytes, &Columns::of(&self.images))
            .expect("plain structs in memory always encode");
        bytes
    }

    /// Reads the bytes of a blob.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when they are not a manifest of a known format, sorted and without
    /// repeats.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let images = match content(bytes)? {
            Content::Rows(images) => images,
            Content::Columns(columns) => {
                (0..columns.len()).map(|i| columns.image(i)).collect::<Result<_>>()?
            }
        };
        if !images.is_sorted_by(|a, b| a.image < b.image) {
            return Err(damaged("its images are not sorted"));
        }
        Ok(Self { images })
    }
}

/// Which images of a version are listed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing<'a> {
    /// Of this class.
    pub class: Option<&'a str>,
    /// Of this split.
    pub split: Option<Split>,
}

impl Listing<'_> {
    /// Up to `limit` of a manifest's images in the order of their hashes, from just past `cursor`,
    /// which is the last image's hash. `bytes` are the manifest's blob.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`]; [`StoreError::Damaged`] when the bytes are no manifest.
    pub fn page(
        &self,
        bytes: &[u8],
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<DatasetImage>> {
        let after: Option<Hash> =
            cursor.map(|cursor| cursor.0.parse().map_err(|_| StoreError::BadCursor)).transpose()?;
        self.page_of(&content(bytes)?.columns(), after, limit)
    }

    fn page_of(
        &self,
        columns: &Columns<'_>,
        after: Option<Hash>,
        limit: usize,
    ) -> Result<Page<DatasetImage>> {
        let class = match self.class.map(|class| columns.class(class)) {
            Some(None) => return Ok(Page::whole(Vec::new())),
            Some(known) => known,
            None => None,
        };
        let start = after.map_or(0, |after| columns.past(after));
        let mut wanted = (start..columns.len()).filter(|&i| columns.is_of(i, class, self.split));
        let items: Vec<DatasetImage> =
            wanted.by_ref().take(limit).map(|i| columns.image(i)).collect::<Result<_>>()?;
        let next = wanted.next().and(items.last()).map(|last| PageCursor(last.image.to_string()));
        Ok(Page { items, next })
    }
}

enum Content<'a> {
    Rows(Vec<DatasetImage>),
    Columns(Box<Columns<'a>>),
}

impl<'a> Content<'a> {
    fn columns(self) -> Columns<'a> {
        match self {
            Content::Rows(images) => Columns::of(&images),
            Content::Columns(columns) => *columns,
        }
    }
}

fn content(bytes: &[u8]) -> Result<Content<'_>> {
    match bytes.split_first() {
        Some((&ROWS, body)) => rmp_serde::from_slice(body).map(Content::Rows).map_err(damaged),
        Some((&COLUMNS, body)) => {
            let columns: Columns<'_> = rmp_serde::from_slice(body).map_err(damaged)?;
            columns.check()?;
            Ok(Content::Columns(Box::new(columns)))
        }
        Some((format, _)) => Err(damaged(format!("format {format} is unknown"))),
        None => Err(damaged("it is empty")),
    }
}

fn damaged(detail: impl ToString) -> StoreError {
    StoreError::Damaged { what: "manifest".to_owned(), detail: detail.to_string() }
}

#[cfg(test)]
mod tests;
