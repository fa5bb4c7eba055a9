//! A database that is read from a file and written to memory: for looking at one without changing
//! it, even when opening it means repairing it after a crash.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

use redb::StorageBackend;

/// Bytes kept and replaced together.
const BLOCK: u64 = 4096;

/// A file beneath, changes above it in memory.
#[derive(Debug)]
pub(crate) struct Overlay {
    file: File,
    /// Bytes of the file that still count.
    beneath: u64,
    above: Mutex<Above>,
}

#[derive(Debug, Default)]
struct Above {
    len: u64,
    blocks: BTreeMap<u64, Box<[u8]>>,
}

impl Overlay {
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let len = file.metadata()?.len();
        let above = Mutex::new(Above { len, blocks: BTreeMap::new() });
        Ok(Self { file, beneath: len, above })
    }

    fn above(&self) -> MutexGuard<'_, Above> {
        self.above.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The block as the file has it; zeros past its end.
    fn block_beneath(&self, block: u64) -> io::Result<Box<[u8]>> {
        let mut bytes = vec![0; BLOCK as usize].into_boxed_slice();
        let start = block * BLOCK;
        if start < self.beneath {
            let len = (self.beneath - start).min(BLOCK) as usize;
            self.file.read_exact_at(&mut bytes[..len], start)?;
        }
        Ok(bytes)
    }
}

impl StorageBackend for Overlay {
    fn len(&self) -> io::Result<u64> {
        Ok(self.above().len)
    }

    fn read(&self, offset: u64, out: &mut [u8]) -> io::Result<()> {
        let above = self.above();
        if offset.checked_add(out.len() as u64).is_none_or(|end| end > above.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        each_part(offset, out.len(), |block, within, part| {
            let len = part.len();
            match above.blocks.get(&block) {
                Some(bytes) => out[part].copy_from_slice(&bytes[within..within + len]),
                None => out[part].copy_from_slice(&self.block_beneath(block)?[within..within + len]),
            }
            Ok(())
        })
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        let mut above = self.above();
        // What is cut off must come back as zeros.
        for block in len / BLOCK..above.len.div_ceil(BLOCK) {
            let mut bytes = match above.blocks.remove(&block) {
                Some(bytes) => bytes,
                None => self.block_beneath(block)?,
            };
            let kept = len.saturating_sub(block * BLOCK).min(BLOCK) as usize;
            bytes[kept..].fill(0);
            above.blocks.insert(block, bytes);
        }
        above.len = len;
        Ok(())
    }

    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }

    fn write(&self, offset: u64, data: &[u8]) -> io::Result<()> {
        let mut above = self.above();
        each_part(offset, data.len(), |block, within, part| {
            let bytes = match above.blocks.entry(block) {
                Entry::Occupied(bytes) => bytes.into_mut(),
                Entry::Vacant(place) => place.insert(self.block_beneath(block)?),
            };
            bytes[within..within + part.len()].copy_from_slice(&data[part]);
            Ok(())
        })
    }
}

/// Calls `each` with every block that a span touches: its number, where in it the part begins, and
/// which bytes of the span the part is.
fn each_part(
    offset: u64,
    len: usize,
    mut each: impl FnMut(u64, usize, std::ops::Range<usize>) -> io::Result<()>,
) -> io::Result<()> {
    let mut done = 0;
    while done < len {
        let at = offset + done as u64;
        let within = (at % BLOCK) as usize;
        let part = (BLOCK as usize - within).min(len - done);
        each(at / BLOCK, within, done..done + part)?;
        done += part;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        Write(u64, Vec<u8>),
        SetLen(u64),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let write = (0..20_000_u64, prop::collection::vec(any::<u8>(), 0..9_000));
        let step = prop_oneof![
            write.prop_map(|(at, data)| Step::Write(at, data)),
            (0..30_000_u64).prop_map(Step::SetLen),
        ];
        prop::collection::vec(step, 0..12)
    }

    proptest! {
        #[test]
        fn it_behaves_as_a_file_and_changes_none(start in prop::collection::vec(any::<u8>(), 0..9_000), steps in steps()) {
            let file = tempfile::NamedTempFile::new().unwrap();
            std::fs::write(file.path(), &start).unwrap();
            let overlay = Overlay::open(file.path()).unwrap();
            let mut model = start.clone();
            for step in steps {
                match step {
                    Step::Write(at, data) => {
                        // A database writes inside the length it set.
                        let end = at as usize + data.len();
                        if end > model.len() {
                            model.resize(end, 0);
                            overlay.set_len(end as u64).unwrap();
                        }
                        model[at as usize..end].copy_from_slice(&data);
                        overlay.write(at, &data).unwrap();
                    }
                    Step::SetLen(len) => {
                        model.resize(len as usize, 0);
                        overlay.set_len(len).unwrap();
                    }
                }
                let mut all = vec![0; overlay.len().unwrap() as usize];
                overlay.read(0, &mut all).unwrap();
                prop_assert!(all == model);
            }
            prop_assert_eq!(std::fs::read(file.path()).unwrap(), start);
        }
    }
}
