//! A manifest's images by property.
//!
//! Columns of fixed width are byte strings that are read where they lie, so that finding an image,
//! or the images of a class, costs no decoding of the others. A new property becomes a new field
//! with a default, as everywhere; one that no image has is not written, so that manifests from
//! before it keep their bytes, and their hash.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::marker::PhantomData;

use serde::{Deserialize, Serialize};
use vigie_protocol::Hash;
use vigie_protocol::dataset::{DatasetImage, Quality, Split};
use vigie_protocol::fingerprint::Fingerprint;

use super::damaged;
use super::difference::Place;
use super::words::Words;
use crate::store::Result;

/// Images sorted by hash, column by column; borrowed from the bytes they were read from.
#[derive(Default, Serialize, Deserialize)]
pub(super) struct Columns<'a> {
    /// 32 bytes an image.
    #[serde(borrow, with = "serde_bytes")]
    image: Cow<'a, [u8]>,
    /// The class names, sorted; `label` counts them from 0.
    labels: Vec<String>,
    #[serde(borrow)]
    label: Column<'a, u32>,
    #[serde(borrow)]
    split: Column<'a, u8>,
    /// Why images are in, sorted; `admission` counts them from 0.
    admissions: Vec<String>,
    #[serde(borrow)]
    admission: Column<'a, u32>,
    /// All origins in one text, and where in it each ends.
    #[serde(borrow)]
    origins: Cow<'a, str>,
    #[serde(borrow)]
    origin_end: Column<'a, u64>,
    #[serde(borrow)]
    width: Column<'a, u32>,
    #[serde(borrow)]
    height: Column<'a, u32>,
    #[serde(borrow)]
    bytes: Column<'a, u64>,
    #[serde(borrow)]
    brightness: Column<'a, f32>,
    #[serde(borrow)]
    contrast: Column<'a, f32>,
    #[serde(borrow)]
    sharpness: Column<'a, f32>,
    #[serde(borrow)]
    red: Column<'a, f32>,
    #[serde(borrow)]
    green: Column<'a, f32>,
    #[serde(borrow)]
    blue: Column<'a, f32>,
    /// Not a number where it is not known.
    #[serde(borrow, default, skip_serializing_if = "Column::is_empty")]
    saturation: Column<'a, f32>,
    /// 0 where there is none.
    #[serde(borrow, default, skip_serializing_if = "Column::is_empty")]
    jpeg_quality: Column<'a, u8>,
    /// 0 where there is none.
    #[serde(borrow, default, skip_serializing_if = "Column::is_empty")]
    fingerprint: Column<'a, u64>,
    #[serde(borrow, default, skip_serializing_if = "Words::is_empty")]
    group: Words<'a>,
    #[serde(borrow, default, skip_serializing_if = "BTreeMap::is_empty")]
    metadata: BTreeMap<String, Words<'a>>,
}

impl Columns<'_> {
    pub fn of(images: &[DatasetImage]) -> Self {
        let labels = names(images.iter().map(|image| image.label.as_str()));
        let admissions = names(images.iter().map(|image| image.admission.as_str()));
        let mut columns = Self::default();
        let mut hashes = Vec::with_capacity(images.len() * HASH);
        let mut origins = String::new();
        let known = Known::of(images);
        for image in images {
            let DatasetImage { image, label, split, origin, quality, admission, .. } = image;
            let Quality { width, height, bytes, brightness, contrast, sharpness, channel_means, .. } =
                quality;
            let [red, green, blue] = *channel_means;
            hashes.extend(image.as_bytes());
            origins.push_str(origin);
            columns.label.push(find(&labels, label).expect(COLLECTED));
            columns.split.push(*split as u8);
            columns.admission.push(find(&admissions, admission).expect(COLLECTED));
            columns.origin_end.push(origins.len() as u64);
            columns.width.push(*width);
            columns.height.push(*height);
            columns.bytes.push(*bytes);
            columns.brightness.push(*brightness);
            columns.contrast.push(*contrast);
            columns.sharpness.push(*sharpness);
            columns.red.push(red);
            columns.green.push(green);
            columns.blue.push(blue);
            let &Quality { saturation, jpeg_quality, .. } = quality;
            if known.saturation {
                columns.saturation.push(saturation.unwrap_or(f32::NAN));
            }
            if known.jpeg_quality {
                columns.jpeg_quality.push(jpeg_quality.unwrap_or(0));
            }
        }
        if known.fingerprint {
            let bits = |image: &DatasetImage| image.fingerprint.map_or(0, Fingerprint::bits);
            images.iter().for_each(|image| columns.fingerprint.push(bits(image)));
        }
        let group = Words::of(images.iter().map(|image| image.group.as_deref()));
        let words = |key: &&String| {
            let of = |image| metadata_of(image, key);
            ((*key).clone(), Words::of(images.iter().map(of)))
        };
        let metadata = known.metadata.iter().map(words).collect();
        let (image, origins) = (hashes.into(), origins.into());
        Self { image, labels, admissions, origins, group, metadata, ..columns }
    }

    pub fn len(&self) -> usize {
        self.image.len() / HASH
    }

    /// Whether all columns have one length: what indexing relies on.
    pub fn check(&self) -> Result<()> {
        let Self { label, split, admission, origin_end, width, height, bytes, brightness, contrast, .. } =
            self;
        let Self { sharpness, red, green, blue, saturation, jpeg_quality, fingerprint, .. } = self;
        let Self { group, metadata, .. } = self;
        let numbers = [label.len(), admission.len(), width.len(), height.len()];
        let measures = [brightness, contrast, sharpness, red, green, blue].map(Column::len);
        let others = [split.len(), origin_end.len(), bytes.len()];
        let all = numbers.into_iter().chain(measures).chain(others);
        let later = [saturation.len(), jpeg_quality.len(), fingerprint.len(), group.len()];
        let later = later.into_iter().chain(metadata.values().map(Words::len));
        let whole = Some(self.len());
        if self.image.len().is_multiple_of(HASH)
            && all.into_iter().all(|len| len == whole)
            && later.into_iter().all(|len| len == whole || len == Some(0))
        {
            Ok(())
        } else {
            Err(damaged("its columns differ in length"))
        }
    }

    /// The class names, sorted.
    pub fn classes(&self) -> &[String] {
        &self.labels
    }

    /// Which of [`Columns::classes`] an image is of, once [`Columns::places`] found it there.
    pub fn class_of(&self, i: usize) -> usize {
        self.label.get(i) as usize
    }

    /// How large an image is.
    pub fn size(&self, i: usize) -> Size {
        let side = |column: &Column<'_, u32>| u64::from(column.get(i));
        Size { width: side(&self.width), height: side(&self.height), bytes: self.bytes.get(i) }
    }

    /// The number of a class, if there is one of this name.
    pub fn class(&self, name: &str) -> Option<u32> {
        find(&self.labels, name)
    }

    /// Whether an image is of a class and a split, where they are asked for.
    pub fn is_of(&self, i: usize, class: Option<u32>, split: Option<Split>) -> bool {
        class.is_none_or(|class| self.label.get(i) == class)
            && split.is_none_or(|split| self.split.get(i) == split as u8)
    }

    /// Every image's place, in the order of their hashes.
    pub fn places(&self) -> Result<impl Iterator<Item = Place<'_>>> {
        let (hashes, _) = self.image.as_chunks::<HASH>();
        let known = |i: usize| {
            usize::try_from(self.label.get(i)).is_ok_and(|label| label < self.labels.len())
                && usize::from(self.split.get(i)) < Split::ALL.len()
        };
        if !hashes.is_sorted_by(|a, b| a < b) {
            return Err(damaged("its images are not sorted"));
        }
        if let Some(i) = (0..self.len()).find(|&i| !known(i)) {
            return Err(damaged(format!("image {i} refers to what is not there")));
        }
        Ok(hashes.iter().enumerate().map(|(index, &image)| Place {
            index,
            image: image.into(),
            label: &self.labels[self.label.get(index) as usize],
            split: Split::ALL[usize::from(self.split.get(index))],
        }))
    }

    /// Where an image came from.
    pub fn origin(&self, i: usize) -> Option<&str> {
        let start = if i == 0 { 0 } else { self.origin_end.get(i - 1) };
        self.origins.get(usize::try_from(start).ok()?..usize::try_from(self.origin_end.get(i)).ok()?)
    }

    /// How many images have this hash or a smaller one.
    pub fn past(&self, hash: Hash) -> usize {
        let (hashes, _) = self.image.as_chunks::<HASH>();
        hashes.partition_point(|image| image <= hash.as_bytes())
    }

    /// One image, whole.
    pub fn image(&self, i: usize) -> Result<DatasetImage> {
        let name = |names: &[String], number: u32| names.get(number as usize).cloned();
        let (hashes, _) = self.image.as_chunks::<HASH>();
        let image = || {
            Some(DatasetImage {
                image: hashes[i].into(),
                label: name(&self.labels, self.label.get(i))?,
                split: *Split::ALL.get(usize::from(self.split.get(i)))?,
                origin: self.origin(i)?.to_owned(),
                quality: Quality {
                    width: self.width.get(i),
                    height: self.height.get(i),
                    bytes: self.bytes.get(i),
                    brightness: self.brightness.get(i),
                    contrast: self.contrast.get(i),
                    sharpness: self.sharpness.get(i),
                    channel_means: [self.red.get(i), self.green.get(i), self.blue.get(i)],
                    saturation: self.saturation.maybe(i).filter(|share| !share.is_nan()),
                    jpeg_quality: self.jpeg_quality.maybe(i).filter(|&quality| quality > 0),
                },
                admission: name(&self.admissions, self.admission.get(i))?,
                group: self.group.get(i)?.map(str::to_owned),
                fingerprint: self.fingerprint.maybe(i).and_then(Fingerprint::new),
                metadata: self
                    .metadata
                    .iter()
                    .filter_map(|(key, words)| match words.get(i) {
                        Some(None) => None,
                        Some(Some(text)) => Some(Some((key.clone(), text.to_owned()))),
                        None => Some(None),
                    })
                    .collect::<Option<_>>()?,
            })
        };
        image().ok_or_else(|| damaged(format!("image {i} refers to what is not there")))
    }
}

/// How large an image is: pixels across and down, bytes of its file.
pub(super) struct Size {
    pub width: u64,
    pub height: u64,
    pub bytes: u64,
}

/// Which of the later properties some image has.
struct Known<'a> {
    saturation: bool,
    jpeg_quality: bool,
    fingerprint: bool,
    metadata: BTreeSet<&'a String>,
}

impl<'a> Known<'a> {
    fn of(images: &'a [DatasetImage]) -> Self {
        Self {
            saturation: images.iter().any(|image| image.quality.saturation.is_some()),
            jpeg_quality: images.iter().any(|image| image.quality.jpeg_quality.is_some()),
            fingerprint: images.iter().any(|image| image.fingerprint.is_some()),
            metadata: images.iter().flat_map(|image| image.metadata.keys()).collect(),
        }
    }
}

const HASH: usize = 32;
const COLLECTED: &str = "the names were collected from the same images";

fn metadata_of<'a>(image: &'a DatasetImage, key: &str) -> Option<&'a str> {
    image.metadata.get(key).map(String::as_str)
}

/// Distinct names, sorted.
fn names<'a>(all: impl Iterator<Item = &'a str>) -> Vec<String> {
    all.collect::<BTreeSet<_>>().into_iter().map(str::to_owned).collect()
}

fn find(names: &[String], name: &str) -> Option<u32> {
    let place = names.binary_search_by(|known| known.as_str().cmp(name)).ok()?;
    u32::try_from(place).ok()
}

/// Numbers of one kind, little-endian, one after another.
#[derive(Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Column<'a, T> {
    #[serde(borrow, with = "serde_bytes")]
    bytes: Cow<'a, [u8]>,
    #[serde(skip)]
    kind: PhantomData<T>,
}

impl<T> Default for Column<'_, T> {
    fn default() -> Self {
        Self { bytes: Cow::Owned(Vec::new()), kind: PhantomData }
    }
}

impl<T> Column<'_, T> {
    /// Whether it is empty, as later columns are that no image has.
    pub(super) fn is_empty(&self) -> bool {
        self.bytes.is_empty()
    }
}

impl<T: Number> Column<'_, T> {
    pub(super) fn push(&mut self, number: T) {
        number.write(self.bytes.to_mut());
    }

    /// Numbers in it; nothing when its end is torn.
    pub(super) fn len(&self) -> Option<usize> {
        self.bytes.len().is_multiple_of(size_of::<T>()).then(|| self.bytes.len() / size_of::<T>())
    }

    /// One of them. Panics like a slice; all columns were found to have one length.
    pub(super) fn get(&self, i: usize) -> T {
        T::read(&self.bytes[i * size_of::<T>()..])
    }

    /// One of them, unless no image has this property.
    fn maybe(&self, i: usize) -> Option<T> {
        (!self.is_empty()).then(|| self.get(i))
    }
}

/// A number of fixed width.
pub(super) trait Number: Copy {
    fn write(self, bytes: &mut Vec<u8>);
    /// From the first bytes of a slice that has enough.
    fn read(bytes: &[u8]) -> Self;
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Number for $number {
            fn write(self, bytes: &mut Vec<u8>) {
                bytes.extend(self.to_le_bytes());
            }
            fn read(bytes: &[u8]) -> Self {
                let first = bytes.first_chunk().expect("the column's length was checked");
                Self::from_le_bytes(*first)
            }
        }
    )*};
}

numbers!(u8, u32, u64, f32);
