//! What tarpc writes is read; what is unknown is tolerated; what is mad is refused. Round trips and
//! golden bytes are in `tests/`.

use proptest::prelude::*;
use tarpc::{ClientMessage, Request, context};

use super::*;
use crate::IdempotencyKey;
use crate::job::JobSpec;
use crate::service::{Empty, VigieRequest};

proptest! {
    #[test]
    fn garbage_is_an_error_and_never_a_panic(bytes: Vec<u8>) {
        for codec in WireCodec::ALL {
            let mut server = crate::wire::transport::ServerCodec::from(codec);
            let bytes = BytesMut::from(bytes.as_slice());
            let _: io::Result<ClientMessage<VigieRequest>> =
                tokio_serde::Deserializer::deserialize(Pin::new(&mut server), &bytes);
        }
    }
}

/// tarpc's message as a client of any age writes it, read by this server.
fn read(message: &serde_json::Value) -> io::Result<ClientMessage<VigieRequest>> {
    let mut server = crate::wire::transport::ServerCodec::from(WireCodec::Json);
    let bytes = BytesMut::from(message.to_string().as_bytes());
    tokio_serde::Deserializer::deserialize(Pin::new(&mut server), &bytes)
}

#[test]
fn tarpcs_own_messages_are_read() {
    for codec in WireCodec::ALL {
        let message = VigieRequest::Whoami { request: Empty {} };
        let sent = ClientMessage::Request(Request { context: context::current(), id: 3, message });
        let bytes = BytesMut::from(codec.encode(&sent).expect("encoded").as_slice());
        let mut server = crate::wire::transport::ServerCodec::from(codec);
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

#[test]
fn deep_nesting_is_refused() {
    let mut packed = vec![0x91; 100_000];
    packed.push(0xc0);
    assert!(WireCodec::MsgPack.decode::<serde_json::Value>(&packed).is_err());
    assert!(WireCodec::Json.decode::<serde_json::Value>(&[b'['; 100_000]).is_err());
}
