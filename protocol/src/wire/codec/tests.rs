//! What goes in comes out, in both codecs; what is unknown is tolerated; what is mad is refused.

use proptest::prelude::*;
use tarpc::{ClientMessage, Request, context};

use super::*;
use crate::access::{Principal, Role};
use crate::dataset::Lineage;
use crate::event::{Event, Severity, Subject, Update, WatchCursor};
use crate::job::{ImportSource, JobSpec, Wait};
use crate::prediction::{Prediction, Scored, Timings};
use crate::service::*;
use crate::{Hash, IdempotencyKey, JobId, ModelNumber, PredictionId, Time, UploadId};

fn round_trip<T: Serialize + DeserializeOwned + PartialEq + fmt::Debug>(value: &T) {
    for codec in WireCodec::ALL {
        let bytes = codec.encode(value).expect("encoded");
        assert_eq!(&codec.decode::<T>(&bytes).expect("decoded"), value, "{codec}");
    }
}

fn hash() -> impl Strategy<Value = Hash> {
    any::<[u8; 32]>().prop_map(Hash::from)
}

fn uuid<T: From<uuid::Uuid> + fmt::Debug>() -> impl Strategy<Value = T> {
    any::<u128>().prop_map(|bits| T::from(uuid::Uuid::from_u128(bits)))
}

fn time() -> impl Strategy<Value = Time> {
    // Years 0 to 9999: RFC 3339 has no others.
    (-62_167_219_200_000_000i64..253_402_300_799_999_999).prop_map(Time::from_micros)
}

fn subject() -> impl Strategy<Value = Subject> {
    prop_oneof![
        Just(Subject::Agent),
        any::<u32>().prop_map(|number| Subject::Model { number: ModelNumber(number) }),
        uuid::<JobId>().prop_map(|job| Subject::Job { job, state: crate::job::JobState::Running }),
    ]
}

proptest! {
    #[test]
    fn requests(key in uuid::<IdempotencyKey>(), hash in hash(), upload in uuid::<UploadId>(),
                bytes: Vec<u8>, offset: u64, name: String, accept: bool, after in uuid::<JobId>()) {
        round_trip(&UploadChunk { upload, offset, bytes });
        let source = ImportSource::Blob { hash, name };
        let spec = JobSpec::Import { source, lineage: Lineage::Source, accept };
        round_trip(&JobSubmit { key, project: None, spec, after: vec![after] });
        round_trip(&Wait::Lease { resource: "device:cpu".to_owned(), holder: after });
        round_trip(&Watch { cursor: Some(WatchCursor { epoch: offset, seq: 7 }), max_wait_ms: 25_000 });
    }

    #[test]
    fn answers(id in uuid::<PredictionId>(), at in time(), weights in hash(), image in hash(),
               class: String, probability in 0.0f32..1.0, by: String, subject in subject(), seq: u64) {
        let top = vec![Scored { class, probability }];
        round_trip(&Prediction {
            id, at, model: ModelNumber(7), weights, image, picture_kept: true, top,
            timings: Timings { queue: 1, decode: 2, infer: 3, total: u32::MAX }, by: by.clone(), name: Some(by.clone()),
        });
        let event = Event { seq, at, project: "birds".parse().ok(), severity: Severity::Error, subject, text: by };
        round_trip(&Update::Event { event });
    }

    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes: Vec<u8>) {
        for codec in WireCodec::ALL {
            let mut server = crate::wire::transport::ServerCodec::new(codec);
            let bytes = BytesMut::from(bytes.as_slice());
            let _: io::Result<ClientMessage<VigieRequest>> =
                tokio_serde::Deserializer::deserialize(Pin::new(&mut server), &bytes);
        }
    }
}

/// tarpc's message as a client of any age writes it, read by this server.
fn read(message: &serde_json::Value) -> io::Result<ClientMessage<VigieRequest>> {
    let mut server = crate::wire::transport::ServerCodec::new(WireCodec::Json);
    let bytes = BytesMut::from(message.to_string().as_bytes());
    tokio_serde::Deserializer::deserialize(Pin::new(&mut server), &bytes)
}

#[test]
fn tarpcs_own_messages_are_read() {
    for codec in WireCodec::ALL {
        let message = VigieRequest::Whoami { request: Empty {} };
        let sent = ClientMessage::Request(Request { context: context::current(), id: 3, message });
        let bytes = BytesMut::from(codec.encode(&sent).expect("encoded").as_slice());
        let mut server = crate::wire::transport::ServerCodec::new(codec);
        let read = tokio_serde::Deserializer::deserialize(Pin::new(&mut server), &bytes).expect("read");
        let ClientMessage::Request(Request { id: 3, message: VigieRequest::Whoami { .. }, context }) = read
        else {
            panic!("{read:?}");
        };
        let patience = context.deadline.saturating_duration_since(std::time::Instant::now());
        assert!((9..=10).contains(&patience.as_secs()), "{patience:?}");

        let trace_context = context.trace_context;
        let sent = ClientMessage::<VigieRequest>::Cancel { trace_context, request_id: 9 };
        let bytes = BytesMut::from(codec.encode(&sent).expect("encoded").as_slice());
        let read: ClientMessage<VigieRequest> =
            tokio_serde::Deserializer::deserialize(Pin::new(&mut server), &bytes).expect("read");
        assert!(matches!(read, ClientMessage::Cancel { request_id: 9, .. }), "{read:?}");
    }
}

#[test]
fn absurd_deadlines_are_cut() {
    for seconds in [0, 59, u64::MAX] {
        let message = serde_json::json!({"Request": {
            "context": {"deadline": {"secs": seconds, "nanos": 0}}, "id": 1,
            "message": {"Whoami": {"request": {}}},
        }});
        let Ok(ClientMessage::Request(request)) = read(&message) else { panic!("{seconds}") };
        let patience = request.context.deadline.saturating_duration_since(std::time::Instant::now());
        assert!(patience <= std::time::Duration::from_secs(120), "{patience:?}");
    }
    let overflowing = serde_json::json!({"Request": {
        "context": {"deadline": {"secs": u64::MAX, "nanos": u32::MAX}}, "id": 1,
        "message": {"Whoami": {"request": {}}},
    }});
    assert!(read(&overflowing).is_err());
}

#[test]
fn the_unknown_is_tolerated() {
    let newer = serde_json::json!({"Request": {
        "context": {"deadline": {"secs": 5, "nanos": 0}, "priority": 3}, "id": 1,
        "message": {"JobSubmit": {"request": {
            "key": IdempotencyKey::new(), "spec": {"kind": "levitate", "height": 3}, "tags": ["x"],
        }}},
    }});
    let Ok(ClientMessage::Request(Request { message: VigieRequest::JobSubmit { request }, .. })) =
        read(&newer)
    else {
        panic!("not read");
    };
    assert_eq!((request.spec, request.after), (JobSpec::Unknown, vec![]));
    let unknown_method = serde_json::json!({"Request": {
        "context": {}, "id": 1, "message": {"Levitate": {"request": {}}},
    }});
    assert!(read(&unknown_method).is_err());
}

/// Golden bytes: what this build must still read when it is old, in the normal codec.
#[test]
fn golden_msgpack() {
    let principal = Principal { name: "al".to_owned(), role: Role::Admin, via: "x".to_owned() };
    let golden = b"\x83\xa4name\xa2al\xa4role\xa5admin\xa3via\xa1x";
    assert_eq!(WireCodec::MsgPack.encode(&principal).expect("encoded"), golden);
    let newer = b"\x84\xa4name\xa2al\xa4zone\x93\x01\x02\x03\xa4role\xa5admin\xa3via\xa1x";
    assert_eq!(WireCodec::MsgPack.decode::<Principal>(newer).expect("decoded"), principal);
}

#[test]
fn deep_nesting_is_refused() {
    let mut packed = vec![0x91; 100_000];
    packed.push(0xc0);
    assert!(WireCodec::MsgPack.decode::<serde_json::Value>(&packed).is_err());
    assert!(WireCodec::Json.decode::<serde_json::Value>(&[b'['; 100_000]).is_err());
}
