//! Features of a pack's images, computed once by the frozen backbone.

use std::path::Path;
use std::sync::Arc;

use vigie_protocol::Hash;
use vigie_protocol::dataset::Split;
use vigie_protocol::preprocess::PreprocessSpec;
use vigie_protocol::run::Recipe;

use super::TrainError;
use super::cache::FeatureCache;
use crate::data::pack::Pack;
use crate::infer::FeatureExtractor;

/// Images the extractor gets at a time: how often progress is reported and a cancel is heard.
const BATCH: usize = 32;

/// Rows of features with their labels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct FeatureTable {
    /// Features a row.
    pub width: usize,
    /// Row-major.
    pub values: Vec<f32>,
    /// One a row.
    pub labels: Vec<u32>,
}

impl FeatureTable {
    /// Number of rows.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// One row.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.values[i * self.width..(i + 1) * self.width]
    }
}

/// What a head learns from and is chosen by.
#[derive(Clone, Debug, PartialEq)]
pub struct Features {
    /// The train split, then its mirror images when the recipe asks for them.
    pub train: FeatureTable,
    /// The valid split.
    pub valid: FeatureTable,
    /// Number of classes.
    pub classes: usize,
}

/// Everything that decides the features of a run, as one hash.
pub fn key(pack: &Pack, recipe: &Recipe, preprocess: &PreprocessSpec, weights: Hash) -> Hash {
    key_for("vigie features v1", pack, recipe, preprocess, weights)
}

/// The same for the features of every image.
pub fn key_of_all(pack: &Pack, recipe: &Recipe, preprocess: &PreprocessSpec, weights: Hash) -> Hash {
    key_for("vigie features of all images v1", pack, recipe, preprocess, weights)
}

fn key_for(what: &str, pack: &Pack, recipe: &Recipe, preprocess: &PreprocessSpec, weights: Hash) -> Hash {
    let mut hasher = blake3::Hasher::new_derive_key(what);
    hasher.update(pack.manifest().as_bytes());
    hasher.update(preprocess.hash().as_bytes());
    hasher.update(weights.as_bytes());
    hasher.update(recipe.architecture.as_str().as_bytes());
    hasher.update(&[u8::from(recipe.mirror)]);
    hasher.finalize().into()
}

/// Computes the features that `cache` lacks and returns all of them. `extractor` is called only when
/// some are missing; `progress` gets rows done and rows in all, and says whether to go on.
///
/// # Errors
/// [`TrainError::Cancelled`] when `progress` says no; the extractor's; the cache's.
pub fn extract(
    pack: &Pack,
    mirror: bool,
    cache: (&Path, Hash),
    width: usize,
    extractor: impl FnOnce() -> Result<Arc<dyn FeatureExtractor>, TrainError>,
    progress: impl Fn(usize, usize) -> bool,
) -> Result<Features, TrainError> {
    let (train, valid) = (pack.rows(Split::Train), pack.rows(Split::Valid));
    // Splits follow each other in a pack: the rows are train, valid, then train mirrored.
    let plain = train.len() + valid.len();
    let rows = plain + if mirror { train.len() } else { 0 };
    let cache = fill(pack, FeatureCache::open(cache.0, cache.1, width, rows)?, plain, extractor, progress)?;
    let mut values = cache.into_values();
    let mirrored = values.split_off(plain * width);
    let valid_values = values.split_off(train.len() * width);
    values.extend(mirrored);
    let labels = |rows: std::ops::Range<usize>| rows.map(|row| pack.label(row));
    let mut train_labels: Vec<u32> = labels(train.clone()).collect();
    if mirror {
        train_labels.extend(labels(train));
    }
    Ok(Features {
        train: FeatureTable { width, values, labels: train_labels },
        valid: FeatureTable { width, values: valid_values, labels: labels(valid).collect() },
        classes: pack.classes().len(),
    })
}

/// The features of every image of a pack, in the order of its rows. What `cache` lacks is computed.
///
/// # Errors
/// As [`extract`].
pub fn extract_all(
    pack: &Pack,
    cache: (&Path, Hash),
    width: usize,
    extractor: impl FnOnce() -> Result<Arc<dyn FeatureExtractor>, TrainError>,
    progress: impl Fn(usize, usize) -> bool,
) -> Result<FeatureTable, TrainError> {
    let rows = pack.len();
    let cache = fill(pack, FeatureCache::open(cache.0, cache.1, width, rows)?, rows, extractor, progress)?;
    let labels = (0..rows).map(|row| pack.label(row)).collect();
    Ok(FeatureTable { width, values: cache.into_values(), labels })
}

/// Computes the rows that a cache lacks; those from `plain` on are mirrored.
fn fill(
    pack: &Pack,
    mut cache: FeatureCache,
    plain: usize,
    extractor: impl FnOnce() -> Result<Arc<dyn FeatureExtractor>, TrainError>,
    progress: impl Fn(usize, usize) -> bool,
) -> Result<FeatureCache, TrainError> {
    let rows = cache.rows();
    if !cache.next().is_empty() {
        let extractor = extractor()?;
        while !cache.next().is_empty() {
            let chunk = cache.next();
            let mut values = Vec::new();
            for start in chunk.clone().step_by(BATCH) {
                if !progress(start, rows) {
                    return Err(TrainError::Cancelled);
                }
                let batch = start..chunk.end.min(start + BATCH);
                values.extend(extractor.features(&pixels(pack, batch, plain))?);
            }
            if !values.iter().all(|value| value.is_finite()) {
                return Err(TrainError::Features("are not finite numbers"));
            }
            cache.append(&values)?;
        }
    }
    progress(rows, rows);
    Ok(cache)
}

/// The pixels of feature rows; those from `plain` on are mirrored.
fn pixels(pack: &Pack, rows: std::ops::Range<usize>, plain: usize) -> Vec<u8> {
    let side = pack.spec().crop as usize;
    let mut pixels = Vec::with_capacity(rows.len() * side * side * 3);
    for row in rows {
        if row < plain {
            pixels.extend_from_slice(pack.pixels(row));
        } else {
            mirror_into(&mut pixels, pack.pixels(row - plain), side);
        }
    }
    pixels
}

/// Appends an image of lines of `side` RGB pixels with each line turned round.
fn mirror_into(mirrored: &mut Vec<u8>, pixels: &[u8], side: usize) {
    for line in pixels.chunks_exact(side * 3) {
        mirrored.extend(line.rchunks_exact(3).flatten());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mirrored_lines_are_turned_round_pixel_by_pixel() {
        let mut mirrored = vec![0];
        mirror_into(&mut mirrored, &[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], 2);
        assert_eq!(mirrored, [0, 4, 5, 6, 1, 2, 3, 10, 11, 12, 7, 8, 9]);
    }
}
