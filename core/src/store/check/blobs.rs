//! Blobs: what is named is there, and its bytes are what was put.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::PoisonError;

use rayon::prelude::*;
use vigie_protocol::Hash;

use super::{Check, Depth};
use crate::store::blobs::FolderBlobs;
use crate::store::{Blobs, Result};

impl Check<'_> {
    pub(super) fn blobs(&mut self, folder: &Path, depth: Depth) -> Result<()> {
        let blobs = FolderBlobs::open_to_look(folder);
        let mut there = Vec::new();
        if folder.is_dir() {
            blobs.list(&mut |hash, size, _| there.push((hash, size)))?;
        }
        let mut missing = std::mem::take(&mut self.named);
        let mut wanted = Vec::new();
        for (hash, size) in there {
            match missing.remove(&hash) {
                Some(place) => {
                    self.report.blobs += 1;
                    self.report.blob_bytes += size;
                    wanted.push((hash, place));
                }
                None => self.report.orphans += 1,
            }
        }
        for (hash, place) in missing {
            self.broken(place, format_args!("its blob {hash} is missing; restore it from a backup"));
        }
        if depth == Depth::Bytes {
            for (hash, place) in damaged(&blobs, wanted) {
                let text = "its blob's bytes are not what was put; restore it from a backup";
                self.broken(place, format_args!("{text} ({hash})"));
            }
        }
        Ok(())
    }
}

fn damaged(blobs: &FolderBlobs, wanted: Vec<(Hash, String)>) -> Vec<(Hash, String)> {
    let found = Mutex::new(Vec::new());
    wanted.into_par_iter().for_each(|(hash, place)| {
        let mut hasher = blake3::Hasher::new();
        let read = fs::File::open(blobs.path_of(hash))
            .and_then(|file| hasher.update_reader(file).map(|hasher| Hash::from(hasher.finalize())));
        if !read.is_ok_and(|there| there == hash) {
            found.lock().unwrap_or_else(PoisonError::into_inner).push((hash, place));
        }
    });
    found.into_inner().unwrap_or_else(PoisonError::into_inner)
}
