//! Manifests as files that people and other programs read: a line or row an image.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};

use crate::Hash;
use crate::dataset::{DatasetImage, Quality, Split};
use crate::fingerprint::Fingerprint;

/// The form of a manifest's file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ManifestFormat {
    /// A JSON object a line.
    Jsonl,
    /// Comma-separated values under a header.
    Csv,
    /// A form this build does not know; it is not read.
    #[serde(other)]
    Unknown,
}

/// One image, flat: the same names in JSON lines and as columns. What is measured may be absent, then
/// it is measured anew; it counts only when all of it is there.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ManifestRow {
    /// Where the picture lies beside the manifest, when it was written there.
    #[serde(default)]
    pub file: Option<String>,
    /// The image's hash.
    #[serde(deserialize_with = "hash_of_text")]
    pub image: Hash,
    /// Its class.
    pub label: String,
    /// Where it serves.
    pub split: Split,
    /// Where it came from.
    #[serde(default)]
    pub origin: String,
    /// Why it is in.
    #[serde(default)]
    pub admission: String,
    /// Pixels across.
    #[serde(default)]
    pub width: Option<u32>,
    /// Pixels down.
    #[serde(default)]
    pub height: Option<u32>,
    /// Encoded size.
    #[serde(default)]
    pub bytes: Option<u64>,
    /// Mean luma, 0–1.
    #[serde(default)]
    pub brightness: Option<f32>,
    /// Standard deviation of luma.
    #[serde(default)]
    pub contrast: Option<f32>,
    /// Variance of the Laplacian of luma.
    #[serde(default)]
    pub sharpness: Option<f32>,
    /// Mean of the red channel, 0–1.
    #[serde(default)]
    pub red: Option<f32>,
    /// Mean of the green channel, 0–1.
    #[serde(default)]
    pub green: Option<f32>,
    /// Mean of the blue channel, 0–1.
    #[serde(default)]
    pub blue: Option<f32>,
    /// How colourful it is, 0–1.
    #[serde(default)]
    pub saturation: Option<f32>,
    /// Quality of its JPEG compression, 1–100.
    #[serde(default)]
    pub jpeg_quality: Option<u8>,
    /// What it looks like.
    #[serde(default, deserialize_with = "fingerprint_of_text")]
    pub fingerprint: Option<Fingerprint>,
    /// What it belongs to.
    #[serde(default)]
    pub group: Option<String>,
    /// The columns that it came with: a JSON object in a text, so that it fits in one column.
    #[serde(default, with = "json_text")]
    pub metadata: BTreeMap<String, String>,
}

impl ManifestRow {
    /// The row of an image, whose picture lies at `file`.
    pub fn new(image: DatasetImage, file: Option<String>) -> Self {
        let DatasetImage { image, label, split, origin, quality, admission, group, fingerprint, metadata } =
            image;
        let Quality { width, height, bytes, brightness, contrast, sharpness, channel_means, .. } = quality;
        let Quality { saturation, jpeg_quality, .. } = quality;
        let [red, green, blue] = channel_means.map(Some);
        Self {
            file,
            image,
            label,
            split,
            origin,
            admission,
            width: Some(width),
            height: Some(height),
            bytes: Some(bytes),
            brightness: Some(brightness),
            contrast: Some(contrast),
            sharpness: Some(sharpness),
            red,
            green,
            blue,
            saturation,
            jpeg_quality,
            fingerprint,
            group,
            metadata,
        }
    }

    /// What the row says was measured, when it says all of it.
    pub fn quality(&self) -> Option<Quality> {
        Some(Quality {
            width: self.width?,
            height: self.height?,
            bytes: self.bytes?,
            brightness: self.brightness?,
            contrast: self.contrast?,
            sharpness: self.sharpness?,
            channel_means: [self.red?, self.green?, self.blue?],
            saturation: self.saturation,
            jpeg_quality: self.jpeg_quality,
        })
    }

    /// The image with what was measured.
    pub fn image(self, quality: Quality, fingerprint: Option<Fingerprint>) -> DatasetImage {
        let Self { image, label, split, origin, admission, group, metadata, .. } = self;
        DatasetImage { image, label, split, origin, quality, admission, group, fingerprint, metadata }
    }
}

/// A map as the text of a JSON object; nothing for an empty one.
mod json_text {
    use std::collections::BTreeMap;

    use serde::{Deserialize, Deserializer, Serializer, de, ser};

    pub fn serialize<S: Serializer>(
        map: &BTreeMap<String, String>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        if map.is_empty() {
            return serializer.serialize_str("");
        }
        serializer.serialize_str(&serde_json::to_string(map).map_err(ser::Error::custom)?)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, String>, D::Error> {
        let text = Option::<String>::deserialize(deserializer)?.unwrap_or_default();
        if text.is_empty() {
            return Ok(BTreeMap::new());
        }
        serde_json::from_str(&text).map_err(de::Error::custom)
    }
}

/// As [`hash_of_text`].
fn fingerprint_of_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Fingerprint>, D::Error> {
    match Option::<String>::deserialize(deserializer)?.filter(|text| !text.is_empty()) {
        Some(text) => text.parse().map(Some).map_err(serde::de::Error::custom),
        None => Ok(None),
    }
}

/// A column's type is guessed by its content, and a hash of digits alone would be taken for a number.
fn hash_of_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Hash, D::Error> {
    String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_goes_through_a_row_unchanged() {
        let image = DatasetImage {
            image: Hash::of(b"owl"),
            label: "snowy \"owl\"".to_owned(),
            split: Split::Test,
            origin: "a/b\n.jpg".to_owned(),
            quality: Quality {
                width: 1,
                height: 2,
                bytes: 3,
                brightness: 0.1,
                contrast: 1.0 / 3.0,
                sharpness: 1234.567,
                channel_means: [0.1, 0.2, 0.3],
                saturation: Some(0.7),
                jpeg_quality: Some(92),
            },
            admission: "imported".to_owned(),
            group: Some("p1".to_owned()),
            fingerprint: Fingerprint::new(0x0123_4567_89ab_cdef),
            metadata: BTreeMap::from([("camera".to_owned(), "a, \"b\"".to_owned())]),
        };
        let row = ManifestRow::new(image.clone(), None);
        let line = serde_json::to_string(&row).expect("encodes");
        let again: ManifestRow = serde_json::from_str(&line).expect("decodes");
        assert_eq!(again, row);
        let quality = again.quality().expect("all of it");
        let fingerprint = again.fingerprint;
        assert_eq!(again.image(quality, fingerprint), image);
    }

    #[test]
    fn what_is_measured_counts_only_whole() {
        let hash = Hash::of(b"x");
        let read = |rest: &str| {
            let text = format!(r#"{{"image":"{hash}","label":"owl","split":"train"{rest}}}"#);
            serde_json::from_str::<ManifestRow>(&text).expect("decodes").quality()
        };
        assert_eq!(read(""), None);
        assert_eq!(read(r#","width":3"#), None);
    }
}
