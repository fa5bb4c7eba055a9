//! What is written is read again, whatever it holds: in both codecs, through frames cut anywhere,
//! through a handshake over a stream of any size.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "round_trips/automation.rs"]
mod automation;
#[path = "round_trips/curation.rs"]
mod curation;
#[path = "round_trips/strategies.rs"]
mod strategies;

use std::fmt::Debug;

use curation::*;
use futures::{SinkExt, StreamExt};
use proptest::prelude::*;
use serde::Serialize;
use serde::de::DeserializeOwned;
use strategies::*;
use tokio::io::{AsyncWriteExt, duplex};
use tokio_util::bytes::Bytes;
use vigie_protocol::blob::{BlobChunk, UploadStatus};
use vigie_protocol::event::WatchCursor;
use vigie_protocol::page::{Page, PageCursor, PageRequest};
use vigie_protocol::service::{
    AgentLog, ClassWaiting, DatasetDiff, JobSubmit, Predict, Promote, ScheduleSet,
};
use vigie_protocol::wire::{ClientHello, Greeting, WireCodec, frame, handshake};
use vigie_protocol::{
    AgentId, AliasName, Hash, IdempotencyKey, JobId, ModelNumber, ProjectName, ScheduleName, Time,
};

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + Debug>(value: &T) {
    for codec in WireCodec::ALL {
        let bytes = codec.encode(value).expect("encoded");
        let again: T = codec.decode(&bytes).unwrap_or_else(|error| panic!("{codec}: {error}\n{value:?}"));
        assert_eq!(&again, value, "{codec}");
    }
}

fn on_a_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(work)
}

proptest! {
    #[test]
    fn identities(hash in hash(), job in id::<JobId>(), agent in id::<AgentId>(), key in id::<IdempotencyKey>(),
                  project in project(), alias in "[a-z0-9][a-z0-9_-]{0,62}", number in 1u32..) {
        round_trip(&(hash, job, agent, key));
        prop_assert_eq!(hash.to_string().parse::<Hash>().unwrap(), hash);
        prop_assert_eq!(job.to_string().parse::<JobId>().unwrap(), job);
        round_trip(&project);
        prop_assert_eq!(project.to_string().parse::<ProjectName>().unwrap(), project);
        round_trip(&alias.parse::<AliasName>().unwrap());
        round_trip(&ModelNumber(number));
        prop_assert_eq!(ModelNumber(number).to_string().parse(), Ok(ModelNumber(number)));
    }

    #[test]
    fn times(time in time(), other in time()) {
        round_trip(&time);
        prop_assert_eq!(time.to_string().parse::<Time>().unwrap(), time);
        // RFC 3339 text of one length would sort as the times do; the integers always do.
        prop_assert_eq!(time.as_micros().cmp(&other.as_micros()), time.cmp(&other));
        prop_assert_eq!(other.plus(time.since(other)), time.max(other));
    }

    #[test]
    fn cursors(epoch: u64, seq: u64, cursor: String, limit: u32, items: Vec<u64>) {
        round_trip(&WatchCursor { epoch, seq });
        let request = PageRequest { cursor: Some(PageCursor(cursor)), limit };
        round_trip(&request);
        prop_assert!((1..=1_000).contains(&request.capped_limit()));
        round_trip(&Page { items, next: request.cursor });
    }

    #[test]
    fn blobs(upload in id(), offset: u64, size: u64, bytes: Vec<u8>) {
        round_trip(&UploadStatus { upload, offset, size });
        let chunk = BlobChunk { offset, bytes, size };
        round_trip(&chunk);
        // Bytes are bytes, not an array of numbers.
        prop_assert!(WireCodec::MsgPack.encode(&chunk).unwrap().len() < chunk.bytes.len() + 64);
    }

    #[test]
    fn requests(key in id::<IdempotencyKey>(), project in project(), spec in spec(), after in id::<JobId>(),
                blob in prop::option::of(hash()), image: Vec<u8>, name: Option<String>, number: u32) {
        round_trip(&JobSubmit { key, project: Some(project.clone()), spec, after: vec![after] });
        round_trip(&Predict { project: project.clone(), image, blob, top: number, name: name.clone() });
        let (candidate, alias) = (ModelNumber(number), AliasName::production());
        let (reason, override_gate) = (name, number % 2 == 0);
        round_trip(&Promote { key, project, candidate, alias, expected_generation: 3, reason, override_gate });
    }

    #[test]
    fn sources(source in source()) {
        round_trip(&source);
    }

    #[test]
    fn jobs(job in job()) {
        round_trip(&job);
    }

    #[test]
    fn runs(run in run()) {
        round_trip(&run);
    }

    #[test]
    fn predictions(prediction in prediction()) {
        round_trip(&prediction);
    }

    #[test]
    fn labels(list in class_list(), issue in label_issue()) {
        round_trip(&(list, issue));
    }

    #[test]
    fn feedback_and_labels(feedback in feedback(), item in label_item()) {
        round_trip(&feedback);
        round_trip(&item);
    }

    #[test]
    fn change_sets(change_set in change_set()) {
        round_trip(&change_set);
    }

    #[test]
    fn reviews(image in reviewed()) {
        round_trip(&image);
    }

    #[test]
    fn differences(difference in difference(), project in project(), class: Option<String>) {
        let page = PageRequest { cursor: difference.images.next.clone(), limit: 7 };
        let to = "source@v2".parse().unwrap();
        round_trip(&difference);
        round_trip(&DatasetDiff { project, from: None, to, class, page });
    }

    #[test]
    fn schedules(status in automation::status(), firing in automation::firing(), spec in automation::spec(),
                 name in automation::schedule_name(), key in id::<IdempotencyKey>()) {
        round_trip(&status);
        round_trip(&firing);
        prop_assert_eq!(name.to_string().parse::<ScheduleName>().unwrap(), name.clone());
        round_trip(&ScheduleSet { key, project: None, name, expected_generation: 3, spec });
    }

    #[test]
    fn rules(room in automation::room(), explained in automation::explained(), project in project(),
             threshold: Option<u32>) {
        round_trip(&room);
        round_trip(&explained);
        round_trip(&ClassWaiting { project, threshold });
    }

    #[test]
    fn agent_logs(page in log_page(), cursor: Option<u64>, limit: u32) {
        round_trip(&page);
        round_trip(&AgentLog { cursor, limit });
    }

    #[test]
    fn models(evaluation in evaluation(), verdict in verdict(), moved in alias_move()) {
        round_trip(&evaluation);
        round_trip(&verdict);
        round_trip(&moved);
    }

    #[test]
    fn updates(update in update()) {
        round_trip(&update);
    }

    #[test]
    fn errors(error in error()) {
        round_trip(&error);
    }

    /// However the stream cuts them, frames come out as they went in, by either reader.
    #[test]
    fn frames(frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..300), 0..8), capacity in 1usize..64) {
        on_a_runtime(async {
            let (mut near, mut far) = duplex(capacity);
            let writing = async {
                for bytes in &frames {
                    frame::write(&mut near, bytes).await.unwrap();
                }
                near.shutdown().await.unwrap();
            };
            let reading = async {
                for bytes in &frames {
                    assert_eq!(&frame::read(&mut far, 300).await.unwrap(), bytes);
                }
                assert!(matches!(frame::read(&mut far, 300).await, Err(frame::FrameError::Closed)));
            };
            tokio::join!(writing, reading);

            let (near, far) = duplex(capacity);
            let (mut near, mut far) = (frame::framed(near), frame::framed(far));
            let writing = async {
                for bytes in &frames {
                    near.send(Bytes::copy_from_slice(bytes)).await.unwrap();
                }
                SinkExt::<Bytes>::close(&mut near).await.unwrap();
            };
            let reading = async {
                for bytes in &frames {
                    assert_eq!(&far.next().await.unwrap().unwrap()[..], &bytes[..]);
                }
                assert!(far.next().await.is_none());
            };
            tokio::join!(writing, reading);
        });
    }

    /// Both sides end up with the same welcome, whoever the client says it is.
    #[test]
    fn handshakes(client: String, epoch: u64, version: String, principal in principal(), now in time(),
                  agent_id in id::<AgentId>(), capacity in 1usize..64) {
        let hello = ClientHello::new(client);
        round_trip(&hello);
        on_a_runtime(async {
            let (mut near, mut far) = duplex(capacity);
            let greeting = Greeting { agent_id, epoch, version };
            let (heard, accepted) = tokio::join!(
                handshake::connect(&mut near, &hello),
                handshake::accept(&mut far, &greeting, Ok(principal), now),
            );
            let (understood, welcome) = accepted.unwrap();
            assert_eq!((heard.unwrap(), understood), (welcome.clone(), hello));
            round_trip(&welcome);
        });
    }
}
