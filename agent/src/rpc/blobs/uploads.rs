//! Blobs on their way in: what is there of each, where the next chunk goes.
//!
//! Two locks, never held together: the one around the map, for moments, and that of an upload's
//! content, for as long as the disk takes. How far an upload is can be read without either, so that
//! nobody who asks has to wait for a disk.

use std::collections::HashMap;
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tempfile::NamedTempFile;
use vigie_core::store::Blobs;
use vigie_core::store::blobs::FolderBlobs;
use vigie_protocol::blob::{CHUNK_BYTES, UploadStatus};
use vigie_protocol::service::{UploadBegin, UploadChunk};
use vigie_protocol::{ApiError, ErrorCode, Hash, UploadId};

use crate::fault::api_error;

/// Uploads under way at once, over all connections.
const MAX_UPLOADS: usize = 64;
/// Largest blob, in bytes: an archive of images.
const MAX_BLOB: u64 = 1 << 40;
/// An upload that nobody asks for during this time is forgotten.
const IDLE: Duration = Duration::from_secs(3_600);

/// Blobs on their way in, in temporary files of the state directory.
#[derive(Debug)]
pub struct Uploads {
    folder: PathBuf,
    under_way: Mutex<HashMap<UploadId, UnderWay>>,
}

#[derive(Debug)]
struct UnderWay {
    upload: Arc<Upload>,
    /// When somebody last asked for it.
    touched: Instant,
}

#[derive(Debug)]
struct Upload {
    id: UploadId,
    hash: Hash,
    size: u64,
    /// Bytes that are there. Changes only while `content` is locked.
    offset: AtomicU64,
    /// Absent when the agent holds the blob.
    content: Mutex<Option<Content>>,
}

#[derive(Debug)]
struct Content {
    file: NamedTempFile,
    /// Of the bytes that are there: a whole file need not be read again.
    hasher: blake3::Hasher,
}

impl Uploads {
    /// Uploads whose files lie in `folder`, which must be on the blobs' file system.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder, under_way: Mutex::default() }
    }

    /// Begins an upload, or takes up the one there is of the same blob. `present` says that the agent
    /// holds the blob already.
    pub(super) fn begin(&self, request: UploadBegin, present: bool) -> Result<UploadStatus, ApiError> {
        let UploadBegin { hash, size } = request;
        if size > MAX_BLOB {
            return Err(ApiError::new(ErrorCode::TooLarge, format!("a blob has at most {MAX_BLOB} bytes")));
        }
        let mut all = lock(&self.under_way);
        all.retain(|_, under_way| under_way.touched.elapsed() < IDLE);
        // The same blob again is the same upload: this is how a client takes one up.
        let mut known = all.values_mut();
        if let Some(same) = known.find(|known| known.upload.hash == hash && known.upload.size == size) {
            same.touched = Instant::now();
            return Ok(same.upload.status());
        }
        if all.len() >= MAX_UPLOADS {
            return Err(
                ApiError::new(ErrorCode::Overloaded, "too many uploads are under way").retry_after_ms(5_000)
            );
        }
        let content = if present {
            None
        } else {
            let file =
                NamedTempFile::new_in(&self.folder).map_err(|error| disk("beginning an upload", &error))?;
            Some(Content { file, hasher: blake3::Hasher::new() })
        };
        let offset = AtomicU64::new(if present { size } else { 0 });
        let upload = Upload { id: UploadId::new(), hash, size, offset, content: Mutex::new(content) };
        let status = upload.status();
        all.insert(upload.id, UnderWay { upload: Arc::new(upload), touched: Instant::now() });
        Ok(status)
    }

    /// Writes the next chunk of an upload.
    pub(super) fn chunk(&self, request: &UploadChunk) -> Result<UploadStatus, ApiError> {
        self.find(request.upload)?.write(request.offset, &request.bytes)
    }

    /// How far an upload is.
    pub(super) fn status(&self, id: UploadId) -> Result<UploadStatus, ApiError> {
        Ok(self.find(id)?.status())
    }

    /// Makes a blob of a whole upload, durably. It stays known until that is done: whoever did not wait
    /// for the answer begins again, finds it whole, and waits for the same end.
    pub(super) fn commit(&self, id: UploadId, blobs: &FolderBlobs) -> Result<UploadStatus, ApiError> {
        let upload = self.find(id)?;
        let status = upload.status();
        if status.offset != status.size {
            return Err(ApiError::new(
                ErrorCode::Precondition,
                format!("{} of {} bytes are there", status.offset, status.size),
            ));
        }
        let stored = upload.store(blobs);
        // Also when that failed: there is nothing left to go on with.
        lock(&self.under_way).remove(&id);
        stored.map(|()| status)
    }

    fn find(&self, id: UploadId) -> Result<Arc<Upload>, ApiError> {
        match lock(&self.under_way).get_mut(&id) {
            Some(found) => {
                found.touched = Instant::now();
                Ok(Arc::clone(&found.upload))
            }
            None => Err(ApiError::not_found(format_args!("upload {id}"))
                .with_hint("begin it again; the agent may have restarted")),
        }
    }
}

impl Upload {
    fn status(&self) -> UploadStatus {
        UploadStatus { upload: self.id, offset: self.offset.load(Ordering::Acquire), size: self.size }
    }

    fn write(&self, offset: u64, bytes: &[u8]) -> Result<UploadStatus, ApiError> {
        if bytes.len() > CHUNK_BYTES {
            return Err(ApiError::new(
                ErrorCode::TooLarge,
                format!("a chunk has at most {CHUNK_BYTES} bytes"),
            ));
        }
        let mut content = lock(&self.content);
        let here = self.status().offset;
        if offset != here {
            return Err(ApiError::new(
                ErrorCode::Conflict,
                format!("the upload is at byte {here}, the chunk at {offset}"),
            )
            .with_hint("ask for upload_status and go on from there"));
        }
        let end = offset + bytes.len() as u64;
        if end > self.size {
            return Err(ApiError::invalid(format!("the chunk ends at {end}, the blob at {}", self.size)));
        }
        if let Some(Content { file, hasher }) = content.as_mut() {
            // At its place, not at the file's: a write that failed half-way has moved that one.
            let file = file.as_file();
            file.write_all_at(bytes, offset).map_err(|error| disk("writing an upload", &error))?;
            hasher.update(bytes);
        }
        self.offset.store(end, Ordering::Release);
        Ok(self.status())
    }

    /// Makes a blob of the content, unless somebody did.
    fn store(&self, blobs: &FolderBlobs) -> Result<(), ApiError> {
        let mut content = lock(&self.content);
        let Some(Content { file, hasher }) = content.as_ref() else {
            // Refreshed, so that nothing collects it before somebody names it.
            return match blobs.keep(self.hash).map_err(api_error)? {
                true => Ok(()),
                false => Err(ApiError::not_found(format_args!("blob {}", self.hash.short()))
                    .with_hint("it was collected meanwhile; send it again")),
            };
        };
        if Hash::from(hasher.finalize()) != self.hash {
            return Err(ApiError::invalid(format!("the content is not that of blob {}", self.hash.short()))
                .with_hint("the file changed while it was sent; send it again"));
        }
        let blobs = blobs.apart();
        blobs.adopt(file.path(), self.hash).map_err(api_error)?;
        blobs.sync().map_err(api_error)?;
        // The file was renamed away: its guard finds nothing to remove.
        *content = None;
        Ok(())
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn disk(what: &str, error: &std::io::Error) -> ApiError {
    ApiError::new(ErrorCode::Storage, format!("{what}: {error}")).with_hint("is the disk full?")
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::io::{Seek, SeekFrom, Write};
    use std::sync::mpsc;
    use std::thread;

    use super::*;

    struct Depot {
        uploads: Uploads,
        blobs: FolderBlobs,
        _folder: tempfile::TempDir,
    }

    impl Depot {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let blobs = FolderBlobs::open(&folder.path().join("blobs")).unwrap();
            Self { uploads: Uploads::new(blobs.temporaries()), blobs, _folder: folder }
        }

        fn begin(&self, bytes: &[u8]) -> Result<UploadStatus, ApiError> {
            let (hash, size) = (Hash::of(bytes), bytes.len() as u64);
            let present = self.blobs.size(hash).unwrap() == Some(size);
            self.uploads.begin(UploadBegin { hash, size }, present)
        }

        fn chunk(&self, to: &UploadStatus, bytes: &[u8]) -> Result<UploadStatus, ApiError> {
            let (upload, offset) = (to.upload, to.offset);
            self.uploads.chunk(&UploadChunk { upload, offset, bytes: bytes.to_vec() })
        }

        fn commit(&self, upload: &UploadStatus) -> Result<UploadStatus, ApiError> {
            self.uploads.commit(upload.upload, &self.blobs)
        }

        /// Brings a blob up as a client does, one byte a chunk, whatever others do to it meanwhile.
        fn bring(&self, bytes: &[u8]) {
            while self.try_to_bring(bytes).is_err() {}
        }

        fn try_to_bring(&self, bytes: &[u8]) -> Result<(), ApiError> {
            let mut upload = self.begin(bytes)?;
            while upload.offset < upload.size {
                let at = usize::try_from(upload.offset).unwrap();
                upload = self.chunk(&upload, &bytes[at..=at])?;
                self.uploads.status(upload.upload)?;
            }
            self.commit(&upload).map(drop)
        }
    }

    #[test]
    fn many_who_bring_blobs_do_not_wait_for_each_other_for_ever() {
        let depot = Arc::new(Depot::new());
        let (done, ended) = mpsc::channel();
        for thread in 0..8_u8 {
            let (depot, done) = (Arc::clone(&depot), done.clone());
            thread::spawn(move || {
                for round in 0..30 {
                    depot.bring(&[round, thread]);
                    depot.bring(&[round, 8 + thread % 2]);
                }
                done.send(thread).unwrap();
            });
        }
        drop(done);
        for _ in 0..8 {
            ended.recv_timeout(Duration::from_secs(120)).expect("a thread that comes to its end");
        }
        let mut blobs = 0;
        depot.blobs.list(&mut |_, _, _| blobs += 1).unwrap();
        assert_eq!(blobs, 30 * (8 + 2));
        assert!(lock(&depot.uploads.under_way).is_empty());
    }

    #[test]
    fn an_upload_is_known_until_its_blob_is_there() {
        let depot = Depot::new();
        let upload = depot.begin(b"owl").unwrap();
        let whole = depot.chunk(&upload, b"owl").unwrap();
        // The disk is slow: a commit is at the content.
        let slow = depot.uploads.find(upload.upload).unwrap();
        let at_work = lock(&slow.content);
        assert_eq!(depot.begin(b"owl").unwrap(), whole);
        assert_eq!(depot.uploads.status(upload.upload).unwrap(), whole);
        drop(at_work);
        assert_eq!(depot.commit(&whole).unwrap(), whole);
        // Who asked for the same meanwhile gets the same end.
        slow.store(&depot.blobs).unwrap();
        assert_eq!(depot.blobs.get(Hash::of(b"owl")).unwrap().as_deref(), Some(&b"owl"[..]));

        assert_eq!(depot.commit(&whole).unwrap_err().code, ErrorCode::NotFound);
        let again = depot.begin(b"owl").unwrap();
        assert_eq!((again.offset, depot.commit(&again).unwrap().size), (3, 3));
    }

    #[test]
    fn a_chunk_that_failed_half_way_is_written_over() {
        let depot = Depot::new();
        let upload = depot.begin(b"snowy owl").unwrap();
        let half = depot.chunk(&upload, b"snowy").unwrap();
        // What a full disk leaves of a chunk: some of its bytes, and the file's own place behind them.
        let found = depot.uploads.find(upload.upload).unwrap();
        if let Some(Content { file, .. }) = lock(&found.content).as_mut() {
            file.seek(SeekFrom::Start(half.offset)).unwrap();
            file.write_all(b" o").unwrap();
        }
        let whole = depot.chunk(&half, b" owl").unwrap();
        depot.commit(&whole).unwrap();
        assert_eq!(depot.blobs.get(Hash::of(b"snowy owl")).unwrap().unwrap(), b"snowy owl");
    }

    #[test]
    fn other_content_than_promised_is_refused_and_forgotten() {
        let depot = Depot::new();
        let upload = depot.begin(b"owl").unwrap();
        assert_eq!(depot.chunk(&upload, b"owls").unwrap_err().code, ErrorCode::Invalid);
        assert_eq!(depot.commit(&upload).unwrap_err().code, ErrorCode::Precondition);
        let whole = depot.chunk(&upload, b"elk").unwrap();
        assert_eq!(depot.chunk(&upload, b"owl").unwrap_err().code, ErrorCode::Conflict);
        let refused = depot.commit(&whole).unwrap_err();
        assert!(refused.message.starts_with("the content is not that of blob"), "{refused}");
        assert_eq!(depot.begin(b"owl").unwrap().offset, 0);
    }
}
