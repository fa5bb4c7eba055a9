//! Manifests: the content of a dataset version as one blob.
//!
//! A version byte, then MessagePack: the images sorted by hash. Equal content gives equal bytes,
//! hence an equal hash.

use vigie_protocol::dataset::DatasetImage;

use super::{Result, StoreError};

const FORMAT: u8 = 1;

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

    /// The class names, sorted: the order of a model's logits.
    pub fn classes(&self) -> Vec<String> {
        let mut classes: Vec<String> = self.images.iter().map(|image| image.label.clone()).collect();
        classes.sort();
        classes.dedup();
        classes
    }

    /// The bytes of its blob.
    pub fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![FORMAT];
        rmp_serde::encode::write_named(&mut bytes, &self.images)
            .expect("plain structs in memory always encode");
        bytes
    }

    /// Reads the bytes of a blob.
    ///
    /// # Errors
    /// [`StoreError::Damaged`] when they are not a manifest of a known format, sorted and without
    /// repeats.
    pub fn decode(bytes: &[u8]) -> Result<Self> {
        let damaged = |detail: String| StoreError::Damaged { what: "manifest".to_owned(), detail };
        let body = match bytes.split_first() {
            Some((&FORMAT, body)) => body,
            Some((format, _)) => return Err(damaged(format!("format {format} is unknown"))),
            None => return Err(damaged("it is empty".to_owned())),
        };
        let images: Vec<DatasetImage> = rmp_serde::from_slice(body).map_err(|e| damaged(e.to_string()))?;
        if !images.is_sorted_by(|a, b| a.image < b.image) {
            return Err(damaged("its images are not sorted".to_owned()));
        }
        Ok(Self { images })
    }
}
