//! Building packs.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};

use rayon::prelude::*;
use tempfile::NamedTempFile;
use vigie_protocol::Hash;
use vigie_protocol::dataset::{DatasetImage, Quality};
use vigie_protocol::preprocess::PreprocessSpec;

use super::format::{Header, ROW, Row};
use crate::data::DataError;
use crate::data::behind::write_behind;
use crate::fail_point::{self, FailPoint};
use crate::observe::{Observer, Step};
use crate::store::Blobs;
use crate::store::manifest::Manifest;
use crate::vision::{self, PixelRoom};

const PREFIX: &str = ".pack-";
const SUFFIX: &str = ".tmp";

/// What was built.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PackInfo {
    /// Its name ([`super::id`]).
    pub id: Hash,
    /// Images in it.
    pub images: u64,
    /// Classes of the dataset.
    pub classes: u32,
    /// Bytes on disk.
    pub bytes: u64,
}

/// Decodes and preprocesses all images of a manifest into a pack at `path`, which appears there
/// whole or not at all. Uses all threads of the pool it is called in and holds one decoded image each,
/// and no more pixels than there is room for.
///
/// # Errors
/// [`DataError::Image`] names the first image found that cannot be read; [`DataError::Spec`],
/// [`DataError::Cancelled`], [`DataError::Io`] and [`DataError::Store`].
pub fn build(
    manifest: &Manifest,
    manifest_hash: Hash,
    spec: &PreprocessSpec,
    blobs: &dyn Blobs,
    path: &Path,
    observer: &dyn Observer,
) -> Result<PackInfo, DataError> {
    vision::spec::check(spec)?;
    let classes = manifest.classes();
    let mut images: Vec<&DatasetImage> = manifest.images().iter().collect();
    // The manifest is sorted by hash, and the sort is stable.
    images.sort_by_key(|image| image.split);
    let mut header = Header::new(spec.clone(), manifest_hash, classes, images.len());

    let cannot_write = "cannot write the pack";
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(DataError::io("cannot make the folder", folder))?;
    let temporary = temporary_in(folder).map_err(DataError::io("cannot write in", folder))?;
    let file = temporary.as_file();

    let room = PixelRoom::new();
    let done = AtomicUsize::new(0);
    let flush = || file.sync_all().map_err(DataError::io(cannot_write, path));
    let (rows, bytes) = write_behind(flush, |written| {
        let row = |(i, image): (usize, &&DatasetImage)| {
            if observer.cancelled() {
                return Err(DataError::Cancelled);
            }
            let pixels = pixels_of(image, spec, blobs, &room)?;
            // Each row has its place, so threads write without waiting for their turn.
            file.write_all_at(&pixels, header.pixels_at(i) as u64)
                .map_err(DataError::io(cannot_write, path))?;
            written.add(pixels.len() as u64);
            let label = header.classes.binary_search(&image.label).expect("the classes are the manifest's");
            let label = u32::try_from(label).expect("a manifest of 2^32 classes does not fit memory");
            fail_point::pass(FailPoint::PackImage);
            report(observer, done.fetch_add(1, Ordering::Relaxed) + 1, images.len());
            Ok(Row { image: image.image, pixels: Hash::of(&pixels), label, split: image.split })
        };
        let rows: Vec<Row> = images.par_iter().enumerate().map(row).collect::<Result<_, _>>()?;
        let mut table = Vec::with_capacity(rows.len() * ROW);
        rows.iter().for_each(|row| row.write(&mut table));
        let preamble = header.preamble(&table);
        file.write_all_at(&preamble, 0).map_err(DataError::io(cannot_write, path))?;
        Ok((rows.len(), header.pixels_at(rows.len()) as u64))
    })?;
    fail_point::pass(FailPoint::PackWritten);
    temporary.persist(path).map_err(|e| DataError::io(cannot_write, path)(e.error))?;
    // The name is durable only when the folder is.
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(DataError::io("cannot sync", folder))?;
    Ok(PackInfo {
        id: super::id(manifest_hash, spec),
        images: rows as u64,
        classes: u32::try_from(header.classes.len()).unwrap_or(u32::MAX),
        bytes,
    })
}

/// A file that is yet to get its name. Those of builds that were killed are removed: the system lets
/// go of a lock when its holder dies.
fn temporary_in(folder: &Path) -> io::Result<NamedTempFile> {
    // One build at a time in here, so that no file is seen between its making and its locking.
    let alone = File::open(folder)?;
    alone.lock()?;
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let name = path.file_name().and_then(OsStr::to_str).unwrap_or_default();
        let ours = name.starts_with(PREFIX) && name.ends_with(SUFFIX);
        // One that got its name, or was removed, since the folder was read is no longer there.
        if ours
            && File::open(&path).is_ok_and(|file| file.try_lock().is_ok())
            && fs::remove_file(&path).is_ok()
        {
            tracing::info!(file = %path.display(), "removed what a killed build left behind");
        }
    }
    let temporary = tempfile::Builder::new().prefix(PREFIX).suffix(SUFFIX).tempfile_in(folder)?;
    temporary.as_file().lock()?;
    Ok(temporary)
}

fn pixels_of(
    image: &DatasetImage,
    spec: &PreprocessSpec,
    blobs: &dyn Blobs,
    room: &PixelRoom,
) -> Result<Vec<u8>, DataError> {
    let failed =
        |reason: String| DataError::Image { hash: image.image, origin: image.origin.clone(), reason };
    let bytes = blobs.get(image.image)?.ok_or_else(|| failed("its file is not in the store".to_owned()))?;
    // The limits of its import may have been raised; what was measured then is what it may be.
    let Quality { width, height, bytes: encoded, .. } = image.quality;
    let limits = vision::Limits {
        max_bytes: encoded,
        max_pixels: u64::from(width) * u64::from(height),
        max_side: width.max(height),
    };
    let (decoded, _taken) = room.decode(&bytes, &limits).map_err(|error| failed(error.to_string()))?;
    Ok(vision::preprocess(&decoded, spec))
}

fn report(observer: &dyn Observer, done: usize, total: usize) {
    observer.step(Step {
        stage: "decoding images",
        done: done as u64,
        total: total as u64,
        unit: "images",
        fraction: 0.99 * done as f32 / total as f32,
    });
}
