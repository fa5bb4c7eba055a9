//! What an import has measured, on disk as it goes, so that the next attempt decodes nothing twice.
//!
//! A record an image: its hash and what was measured of it. The hash is of the content, so that a
//! record can be used wherever the same bytes turn up again, and says nothing of files that changed
//! meanwhile. Records have one length and a checksum each; what a crash tore is cut off. Nothing
//! is flushed: after a power cut some images are measured again.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, PoisonError};

use vigie_protocol::Hash;
use vigie_protocol::dataset::Quality;
use vigie_protocol::fingerprint::Fingerprint;

use crate::data::DataError;
use crate::vision::Measurement;

/// What stands at the beginning: a journal of another build is not read.
const HEAD: &[u8; 16] = b"vigie measured 1";
/// Bytes of a record: hash, measures, checksum.
const RECORD: usize = 32 + MEASURES + CHECK;
const MEASURES: usize = 4 + 4 + 8 + 7 * 4 + 1 + 8;
const CHECK: usize = 8;
/// Records at most: 200 MB.
const MOST: u64 = 2_000_000;

/// The journal of one import.
pub(super) struct Journal {
    earlier: HashMap<Hash, Measurement>,
    file: Mutex<File>,
    records: AtomicU64,
    /// A write failed: what follows would stand behind a torn record.
    broken: AtomicBool,
}

impl Journal {
    /// Opens the journal at a path and reads what an earlier attempt left there.
    ///
    /// # Errors
    /// [`DataError::Io`].
    pub fn open(path: &Path) -> Result<Self, DataError> {
        let io = |what| DataError::io(what, path);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).map_err(io("cannot make a folder for"))?;
        }
        let mut file =
            File::options().read(true).append(true).create(true).open(path).map_err(io("cannot open"))?;
        let (earlier, whole) = read(&mut file).map_err(io("cannot read"))?;
        // What is torn goes, so that the next record stands where it is looked for.
        file.set_len(whole).map_err(io("cannot shorten"))?;
        if whole == 0 {
            file.write_all(HEAD).map_err(io("cannot write"))?;
        }
        let records = AtomicU64::new(earlier.len() as u64);
        Ok(Self { earlier, file: Mutex::new(file), records, broken: AtomicBool::new(false) })
    }

    /// Whether an earlier attempt measured anything.
    pub fn is_fresh(&self) -> bool {
        self.earlier.is_empty()
    }

    /// What an earlier attempt measured of an image.
    pub fn get(&self, image: Hash) -> Option<&Measurement> {
        self.earlier.get(&image)
    }

    /// Notes what was measured. A disk that refuses only costs a later attempt its time.
    pub fn add(&self, image: Hash, measured: &Measurement) {
        if self.broken.load(Ordering::Relaxed) || self.records.fetch_add(1, Ordering::Relaxed) >= MOST {
            return;
        }
        let record = encode(image, measured);
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        // In one write: a process that is killed leaves the record whole or not at all.
        if file.write_all(&record).is_err() {
            self.broken.store(true, Ordering::Relaxed);
        }
    }
}

/// The records of a journal, and how long it is without what is torn.
fn read(file: &mut File) -> io::Result<(HashMap<Hash, Measurement>, u64)> {
    let mut reader = io::BufReader::with_capacity(1 << 20, file);
    let (mut found, mut head) = (HashMap::new(), [0; HEAD.len()]);
    if !fill(&mut reader, &mut head)? || head != *HEAD {
        return Ok((found, 0));
    }
    let (mut whole, mut record) = (HEAD.len() as u64, [0; RECORD]);
    while (found.len() as u64) < MOST && fill(&mut reader, &mut record)? {
        let Some((image, measured)) = decode(&record) else { break };
        found.insert(image, measured);
        whole += RECORD as u64;
    }
    Ok((found, whole))
}

/// Whether there was enough to fill a buffer.
fn fill(reader: &mut impl Read, buffer: &mut [u8]) -> io::Result<bool> {
    match reader.read_exact(buffer) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}

fn encode(image: Hash, Measurement { quality, fingerprint }: &Measurement) -> Vec<u8> {
    let Quality {
        width,
        height,
        bytes,
        brightness,
        contrast,
        sharpness,
        channel_means: [red, green, blue],
        saturation,
        jpeg_quality,
    } = *quality;
    let mut record = Vec::with_capacity(RECORD);
    record.extend(image.as_bytes());
    record.extend(width.to_le_bytes());
    record.extend(height.to_le_bytes());
    record.extend(bytes.to_le_bytes());
    let saturation = saturation.unwrap_or(f32::NAN);
    for share in [brightness, contrast, sharpness, red, green, blue, saturation] {
        record.extend(share.to_le_bytes());
    }
    record.push(jpeg_quality.unwrap_or(0));
    record.extend(fingerprint.map_or(0, Fingerprint::bits).to_le_bytes());
    record.extend(&check(&record));
    record
}

fn decode(record: &[u8; RECORD]) -> Option<(Hash, Measurement)> {
    let (content, sum) = record.split_at(RECORD - CHECK);
    if check(content) != sum {
        return None;
    }
    let mut rest = content;
    let image = Hash::from(take::<32>(&mut rest)?);
    let mut quality = Quality {
        width: u32::from_le_bytes(take(&mut rest)?),
        height: u32::from_le_bytes(take(&mut rest)?),
        bytes: u64::from_le_bytes(take(&mut rest)?),
        ..Quality::default()
    };
    let mut share = || Some(f32::from_le_bytes(take(&mut rest)?));
    quality.brightness = share()?;
    quality.contrast = share()?;
    quality.sharpness = share()?;
    quality.channel_means = [share()?, share()?, share()?];
    quality.saturation = share().filter(|share| !share.is_nan());
    quality.jpeg_quality = take::<1>(&mut rest).map(|[value]| value).filter(|&value| value > 0);
    let fingerprint = Fingerprint::new(u64::from_le_bytes(take(&mut rest)?));
    Some((image, Measurement { quality, fingerprint }))
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (first, after) = rest.split_first_chunk()?;
    *rest = after;
    Some(*first)
}

fn check(content: &[u8]) -> [u8; CHECK] {
    let mut sum = [0; CHECK];
    sum.copy_from_slice(&blake3::hash(content).as_bytes()[..CHECK]);
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn measured(n: u8) -> Measurement {
        Measurement {
            quality: Quality {
                width: 640,
                height: u32::from(n),
                bytes: 1 << 40,
                brightness: 0.5,
                contrast: 0.25,
                sharpness: 512.0,
                channel_means: [0.1, 0.2, 0.3],
                saturation: n.is_multiple_of(2).then_some(0.75),
                jpeg_quality: n.is_multiple_of(3).then_some(90),
            },
            fingerprint: Fingerprint::new(u64::from(n % 4)),
        }
    }

    #[test]
    fn what_was_noted_is_there_again_up_to_what_is_torn() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("imports/one.journal");
        let journal = Journal::open(&path).expect("open");
        assert!(journal.is_fresh());
        (0..20).for_each(|n| journal.add(Hash::from([n; 32]), &measured(n)));
        drop(journal);
        let whole = fs::read(&path).expect("read");
        assert_eq!(whole.len(), HEAD.len() + 20 * RECORD);

        let check = |bytes: &[u8], expected: usize| {
            fs::write(&path, bytes).expect("write");
            let journal = Journal::open(&path).expect("open");
            assert_eq!(journal.earlier.len(), expected);
            for n in 0..expected as u8 {
                assert_eq!(journal.get(Hash::from([n; 32])), Some(&measured(n)));
            }
            // And goes on behind what was whole.
            journal.add(Hash::from([99; 32]), &measured(99));
            drop(journal);
            let again = Journal::open(&path).expect("open");
            assert_eq!(again.earlier.len(), expected + 1);
            assert_eq!(again.get(Hash::from([99; 32])), Some(&measured(99)));
        };
        check(&whole, 20);
        check(&whole[..whole.len() - 1], 19);
        check(&whole[..HEAD.len() + 3 * RECORD + 40], 3);
        check(&whole[..7], 0);
        check(b"", 0);
        check(b"something else that is longer than a head", 0);
        // What a power cut leaves: a tail of zeros.
        let zeros = [&whole[..HEAD.len() + 5 * RECORD], &[0; 3 * RECORD]].concat();
        check(&zeros, 5);
        let mut flipped = whole.clone();
        flipped[HEAD.len() + 10 * RECORD + 33] ^= 1;
        check(&flipped, 10);
    }

    #[test]
    fn threads_write_whole_records() {
        let folder = tempfile::tempdir().expect("temp folder");
        let path = folder.path().join("one.journal");
        let journal = Journal::open(&path).expect("open");
        std::thread::scope(|scope| {
            for thread in 0..4_u8 {
                let journal = &journal;
                scope.spawn(move || {
                    (0..50_u8).for_each(|n| journal.add(Hash::of(&[thread, n]), &measured(n)));
                });
            }
        });
        assert_eq!(Journal::open(&path).expect("open").earlier.len(), 200);
    }
}
