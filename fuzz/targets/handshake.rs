//! The first frame of a peer, on either side.

#![no_main]

use libfuzzer_sys::fuzz_target;
use tokio::io::{join, sink};
use tokio::runtime::{Builder, Runtime};
use vigie_protocol::access::{Principal, Role};
use vigie_protocol::wire::{ClientHello, Greeting, handshake};
use vigie_protocol::{AgentId, Time};

thread_local! {
    static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().expect("a runtime");
}

fuzz_target!(|bytes: &[u8]| {
    let greeting = Greeting { agent_id: AgentId::new(), epoch: 1, version: "fuzz".to_owned() };
    let alice = Principal { name: "alice".to_owned(), role: Role::Viewer, via: "fuzz".to_owned() };
    RUNTIME.with(|runtime| {
        runtime.block_on(async {
            let accepted =
                handshake::accept(&mut join(bytes, sink()), &greeting, Ok(alice), Time::default()).await;
            if let Ok((hello, welcome)) = accepted {
                // What was agreed on was offered.
                assert!(hello.codec.iter().any(|name| name == welcome.codec.as_str()));
                assert!((hello.proto.0..=hello.proto.1).contains(&welcome.proto));
            }
            let hello = ClientHello::new("fuzz");
            let _ = handshake::connect(&mut join(bytes, sink()), &hello).await;
        });
    });
});
