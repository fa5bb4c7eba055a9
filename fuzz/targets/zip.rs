//! An archive that somebody uploaded, imported to the end.

#![no_main]

use std::collections::HashMap;
use std::io::Write;
use std::sync::{Mutex, PoisonError};

use libfuzzer_sys::fuzz_target;
use tempfile::NamedTempFile;
use vigie_core::data::import::{ImportFile, ImportLimits, ImportPlan, import};
use vigie_core::observe::Silent;
use vigie_core::store::{Blobs, Result};
use vigie_core::vision::Limits;
use vigie_protocol::{Hash, Time};

const MOST_UNPACKED: u64 = 4 << 20;

fuzz_target!(|bytes: &[u8]| {
    let mut file = NamedTempFile::new().expect("a temporary file");
    file.write_all(bytes).expect("written");
    let source = ImportFile::Zip(file.path().to_owned());
    let mut plan = ImportPlan::new(source, "fuzz.zip", None, [70, 15, 15]);
    plan.limits = ImportLimits {
        image: Limits { max_pixels: 1 << 18, ..Limits::default() },
        max_entries: 1_000,
        max_unpacked: MOST_UNPACKED,
        ..ImportLimits::default()
    };
    let blobs = Memory::default();
    let _ = import(&plan, &blobs, &Silent);
    let unpacked: usize = blobs.lock().values().map(Vec::len).sum();
    assert!(unpacked as u64 <= MOST_UNPACKED, "{unpacked} bytes unpacked");
});

/// Blobs that nobody keeps.
#[derive(Default)]
struct Memory(Mutex<HashMap<Hash, Vec<u8>>>);

impl Memory {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<Hash, Vec<u8>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Blobs for Memory {
    fn put(&self, bytes: &[u8]) -> Result<Hash> {
        let hash = Hash::of(bytes);
        self.lock().insert(hash, bytes.to_owned());
        Ok(hash)
    }

    fn sync(&self) -> Result<()> {
        Ok(())
    }

    fn get(&self, hash: Hash) -> Result<Option<Vec<u8>>> {
        Ok(self.lock().get(&hash).cloned())
    }

    fn read_range(&self, hash: Hash, offset: u64, len: usize) -> Result<Option<(Vec<u8>, u64)>> {
        Ok(self.lock().get(&hash).map(|bytes| {
            let start = bytes.len().min(usize::try_from(offset).unwrap_or(usize::MAX));
            let end = bytes.len().min(start.saturating_add(len));
            (bytes[start..end].to_owned(), bytes.len() as u64)
        }))
    }

    fn size(&self, hash: Hash) -> Result<Option<u64>> {
        Ok(self.lock().get(&hash).map(|bytes| bytes.len() as u64))
    }

    fn delete(&self, hash: Hash) -> Result<()> {
        self.lock().remove(&hash);
        Ok(())
    }

    fn list(&self, each: &mut dyn FnMut(Hash, u64, Time)) -> Result<()> {
        self.lock().iter().for_each(|(hash, bytes)| each(*hash, bytes.len() as u64, Time::default()));
        Ok(())
    }
}
