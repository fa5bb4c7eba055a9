//! Transfers against a scripted agent that drops connections and forgets uploads.

use std::collections::HashMap;
use std::io::Cursor;
use std::sync::{Arc, Mutex};

use tarpc::ServerError;

use super::*;
use crate::UploadId;
use crate::blob::{BlobChunk, CHUNK_BYTES, UploadStatus};
use crate::service::{VigieRequest, VigieResponse};
use crate::wire::ClientOptions;
use crate::wire::fake::{FakeAgent, unscripted};

#[derive(Default)]
struct Depot {
    blobs: HashMap<Hash, Vec<u8>>,
    uploads: HashMap<UploadId, (Hash, u64, Vec<u8>)>,
    chunks: usize,
    /// At these chunks something goes wrong.
    accidents: HashMap<usize, Accident>,
}

#[derive(Clone, Copy)]
enum Accident {
    /// The chunk is taken, its answer lost.
    AnswerLost,
    /// The agent restarted and forgot every upload.
    Forgotten,
}

fn answer(depot: &Mutex<Depot>, request: VigieRequest) -> Result<VigieResponse, ServerError> {
    let mut depot = depot.lock().expect("lock");
    let lost = || ApiError::new(ErrorCode::Unavailable, "the answer is lost");
    Ok(match request {
        VigieRequest::UploadBegin { request } => {
            let known = depot.uploads.iter().find(|(_, (hash, ..))| *hash == request.hash).map(|(id, _)| *id);
            let upload = known.unwrap_or_else(UploadId::new);
            let there = depot.blobs.get(&request.hash).cloned().unwrap_or_default();
            let (.., bytes) = depot.uploads.entry(upload).or_insert((request.hash, request.size, there));
            VigieResponse::UploadBegin(Ok(UploadStatus {
                upload,
                offset: bytes.len() as u64,
                size: request.size,
            }))
        }
        VigieRequest::UploadChunk { request } => {
            depot.chunks += 1;
            let accident = depot.accidents.get(&depot.chunks).copied();
            if let Some(Accident::Forgotten) = accident {
                depot.uploads.clear();
            }
            let status = match depot.uploads.get_mut(&request.upload) {
                None => Err(ApiError::not_found("the upload")),
                Some((_, _, bytes)) if bytes.len() as u64 != request.offset => {
                    Err(ApiError::new(ErrorCode::Conflict, "wrong offset"))
                }
                Some((_, size, bytes)) => {
                    assert!(request.bytes.len() <= CHUNK_BYTES);
                    bytes.extend(&request.bytes);
                    Ok(UploadStatus { upload: request.upload, offset: bytes.len() as u64, size: *size })
                }
            };
            VigieResponse::UploadChunk(match accident {
                Some(Accident::AnswerLost) => Err(lost()),
                Some(Accident::Forgotten) | None => status,
            })
        }
        VigieRequest::UploadCommit { request } => {
            let Some((hash, size, bytes)) = depot.uploads.remove(&request.upload) else {
                return Ok(VigieResponse::UploadCommit(Err(ApiError::not_found("the upload"))));
            };
            assert_eq!(Hash::of(&bytes), hash);
            depot.blobs.insert(hash, bytes);
            VigieResponse::UploadCommit(Ok(UploadStatus { upload: request.upload, offset: size, size }))
        }
        VigieRequest::BlobRead { request } => {
            depot.chunks += 1;
            let accident = depot.accidents.get(&depot.chunks).copied();
            let chunk = depot.blobs.get(&request.hash).map(|blob| {
                let from = (request.offset as usize).min(blob.len());
                let to = (from + CHUNK_BYTES).min(blob.len());
                BlobChunk { offset: request.offset, bytes: blob[from..to].into(), size: blob.len() as u64 }
            });
            VigieResponse::BlobRead(match accident {
                Some(_) => Err(lost()),
                None => chunk.ok_or_else(|| ApiError::not_found("the blob")),
            })
        }
        VigieRequest::Predict { request } => {
            // Enough to see which way the image came.
            let bytes = request.image.len() + request.blob.map_or(0, |hash| depot.blobs[&hash].len());
            VigieResponse::Predict(Err(ApiError::invalid(format!(
                "{bytes} bytes, blob: {}",
                request.blob.is_some()
            ))))
        }
        other => return Err(unscripted(&other)),
    })
}

fn agent(accidents: impl IntoIterator<Item = (usize, Accident)>) -> (AgentClient, Arc<Mutex<Depot>>) {
    let depot =
        Arc::new(Mutex::new(Depot { accidents: accidents.into_iter().collect(), ..Depot::default() }));
    let shared = Arc::clone(&depot);
    let agent = FakeAgent::new(move |request| answer(&shared, request));
    (AgentClient::with_dialer(agent.dialer(), ClientOptions::new("test")), depot)
}

/// Bytes no two chunks of which are alike.
fn content(length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    blake3::Hasher::new().update(b"content").finalize_xof().fill(&mut bytes);
    bytes
}

#[tokio::test(start_paused = true)]
async fn uploads_arrive_whole_whatever_happens_on_the_way() {
    use Accident::{AnswerLost, Forgotten};
    let cases: [(usize, &[(usize, Accident)]); 7] = [
        (0, &[]),
        (1, &[]),
        (CHUNK_BYTES, &[(1, AnswerLost)]),
        (3 * CHUNK_BYTES + 7, &[(2, AnswerLost), (3, AnswerLost)]),
        (3 * CHUNK_BYTES + 7, &[(3, Forgotten)]),
        (2 * CHUNK_BYTES, &[(1, AnswerLost), (2, Forgotten), (3, AnswerLost)]),
        // All that was sent before is sent again, more of it than there are tries.
        (11 * CHUNK_BYTES, &[(11, Forgotten), (22, Forgotten)]),
    ];
    for (length, accidents) in cases {
        let (client, depot) = agent(accidents.iter().copied());
        let bytes = content(length);
        let hash = Hash::of(&bytes);
        let mut heard = Vec::new();
        let reader = Cursor::new(bytes.clone());
        upload(&client, reader, hash, length as u64, |done| heard.push(done)).await.expect("arrived");
        assert_eq!(depot.lock().expect("lock").blobs[&hash], bytes);
        assert_eq!(heard.last(), Some(&(length as u64)));
    }
}

#[tokio::test(start_paused = true)]
async fn what_is_there_is_not_sent_again() {
    let (client, depot) = agent([]);
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("photo");
    std::fs::write(&path, content(CHUNK_BYTES + 1)).expect("file");
    let (hash, size) = upload_file(&client, &path, |_| {}).await.expect("first");
    assert_eq!((hash, size), (Hash::of(&content(CHUNK_BYTES + 1)), CHUNK_BYTES as u64 + 1));
    upload_file(&client, &path, |_| {}).await.expect("second");
    assert_eq!(depot.lock().expect("lock").chunks, 2);
}

#[tokio::test(start_paused = true)]
async fn endless_trouble_ends() {
    let (client, depot) = agent((1..100).map(|chunk| (chunk, Accident::Forgotten)));
    let bytes = content(10);
    let error = upload(&client, Cursor::new(bytes.clone()), Hash::of(&bytes), 10, |_| {}).await;
    assert_eq!(error.expect_err("given up").code, ErrorCode::NotFound);
    assert_eq!(depot.lock().expect("lock").chunks, PATIENCE as usize);
    let short = upload(&client, Cursor::new(bytes), Hash::of(b"x"), 11, |_| {}).await;
    assert_eq!(short.expect_err("shorter than promised").code, ErrorCode::Invalid);
}

#[tokio::test(start_paused = true)]
async fn an_agent_that_always_forgets_at_the_same_place_is_given_up() {
    let (client, depot) = agent((1..100).map(|round| (3 * round, Accident::Forgotten)));
    let bytes = content(4 * CHUNK_BYTES);
    let (reader, hash) = (Cursor::new(bytes.clone()), Hash::of(&bytes));
    let error = upload(&client, reader, hash, bytes.len() as u64, |_| {}).await.expect_err("given up");
    assert_eq!(error.message, "the agent forgets the upload before it is whole");
    assert_eq!(depot.lock().expect("lock").chunks, 3 * PATIENCE as usize);
}

#[tokio::test(start_paused = true)]
async fn downloads_resume_and_are_verified() {
    let (client, depot) = agent([(2, Accident::AnswerLost)]);
    let bytes = content(3 * CHUNK_BYTES + 1);
    let hash = Hash::of(&bytes);
    depot.lock().expect("lock").blobs.insert(hash, bytes.clone());
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("weights.safetensors");
    let partial = folder.path().join("weights.safetensors.partial");

    std::fs::write(&partial, &bytes[..CHUNK_BYTES + 5]).expect("partial");
    let mut heard = Vec::new();
    let length = download(&client, hash, &path, |done, size| heard.push((done, size))).await.expect("whole");
    assert_eq!(length, bytes.len() as u64);
    assert_eq!(std::fs::read(&path).expect("file"), bytes);
    assert_eq!(heard.len(), 2, "only the missing part was sent");
    assert!(!partial.exists());

    // A partial file of something else is noticed at the end, and not taken up again.
    for stranger in [vec![0; 10], vec![0; 4 * CHUNK_BYTES]] {
        let tainted = stranger.len() < bytes.len();
        std::fs::write(&partial, stranger).expect("stranger");
        let outcome = download(&client, hash, &path, |_, _| {}).await;
        assert_eq!(outcome.is_err(), tainted);
        assert!(!partial.exists());
    }

    assert_eq!(fetch(&client, hash, u64::MAX).await.expect("fetched"), bytes);
    assert_eq!(fetch(&client, hash, 10).await.expect_err("limit").code, ErrorCode::TooLarge);
    assert_eq!(fetch(&client, Hash::of(b"no"), 10).await.expect_err("none").code, ErrorCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn large_images_go_up_as_blobs() {
    let (client, _) = agent([]);
    for (length, said) in [(1000, "1000 bytes, blob: false"), (5 << 20, "5242880 bytes, blob: true")] {
        let project = "birds".parse().expect("name");
        let request = Predict { project, image: content(length), blob: None, top: 3, name: None };
        assert_eq!(predict(&client, request).await.expect_err("scripted").message, said);
    }
}
