//! A frame after the handshake, in either codec (chosen by the first byte): as an agent reads it, and
//! as a client does.

#![no_main]

use std::fmt::Debug;
use std::pin::Pin;

use libfuzzer_sys::fuzz_target;
use serde::Serialize;
use serde::de::DeserializeOwned;
use tarpc::{ClientMessage, Response};
use tokio_util::bytes::BytesMut;
use vigie_protocol::service::{VigieRequest, VigieResponse};
use vigie_protocol::wire::WireCodec;
use vigie_protocol::wire::transport::ServerCodec;

fuzz_target!(|bytes: &[u8]| {
    let Some((&choice, bytes)) = bytes.split_first() else { return };
    let codec = WireCodec::ALL[usize::from(choice) % WireCodec::ALL.len()];
    let mut server = ServerCodec::from(codec);
    let frame = BytesMut::from(bytes);
    let _: std::io::Result<ClientMessage<VigieRequest>> =
        tokio_serde::Deserializer::deserialize(Pin::new(&mut server), &frame);
    let _ = codec.decode::<Response<VigieResponse>>(bytes);
    settles::<VigieRequest>(codec, bytes);
    settles::<VigieResponse>(codec, bytes);
});

/// What is read can be written, and what was written is read as the same again.
fn settles<T: Serialize + DeserializeOwned + Debug>(codec: WireCodec, bytes: &[u8]) {
    let Ok(value) = codec.decode::<T>(bytes) else { return };
    let once = codec.encode(&value).expect("what was read can be written");
    // JSON has no numbers beyond the finite: a float that overflowed is written as null.
    let Ok(again) = codec.decode::<T>(&once) else {
        assert_eq!(codec, WireCodec::Json, "{value:?}");
        return;
    };
    let twice = codec.encode(&again).expect("written again");
    // And its reader may round the last digit.
    assert!(codec == WireCodec::Json || once == twice, "{value:?}\n{again:?}");
}
