//! Both halves against each other, and each against a peer that is old, mute or mad.

use tokio::io::{AsyncWriteExt, DuplexStream, duplex};

use super::*;
use crate::access::Role;

fn principal() -> Principal {
    Principal { name: "alice".to_owned(), role: Role::Operator, via: "test".to_owned() }
}

fn greeting() -> Greeting {
    Greeting { agent_id: AgentId::new(), epoch: 7, version: "0.1.0".to_owned() }
}

async fn meet(
    hello: &ClientHello,
    principal: Result<Principal, ApiError>,
) -> (Result<Welcome, HandshakeError>, Result<(ClientHello, Welcome), HandshakeError>) {
    let (mut client, mut server) = duplex(64);
    let greeting = greeting();
    tokio::join!(
        connect(&mut client, hello),
        accept(&mut server, &greeting, principal, Time::from_micros(1_000_000))
    )
}

#[tokio::test]
async fn the_two_halves_agree() {
    let (client, server) = meet(&ClientHello::new("test 1"), Ok(principal())).await;
    let (hello, welcome) = server.expect("accepted");
    assert_eq!(client.expect("welcomed"), welcome);
    assert_eq!(hello.client, "test 1");
    assert_eq!((welcome.proto, welcome.codec), (1, WireCodec::MsgPack));
    assert_eq!(welcome.principal, principal());
    assert!(welcome.methods.iter().any(|method| method == "promote"));
    assert_eq!(welcome.limits, Limits { frame: 4_194_304, wait_ms: 25_000 });
}

#[tokio::test]
async fn the_clients_first_known_codec_is_taken() {
    let codec = ["cbor", "json", "msgpack"].map(str::to_owned).into();
    let (client, _) = meet(&ClientHello { codec, ..ClientHello::new("test") }, Ok(principal())).await;
    assert_eq!(client.expect("welcomed").codec, WireCodec::Json);
}

#[tokio::test]
async fn a_refusal_arrives_with_its_reason() {
    let forbidden = ApiError::new(ErrorCode::Forbidden, "bob has no role").with_hint("ask an administrator");
    let cases = [
        (ClientHello::new("test"), Err(forbidden), ErrorCode::Forbidden),
        (
            ClientHello { magic: "vogie".to_owned(), ..ClientHello::new("") },
            Ok(principal()),
            ErrorCode::Invalid,
        ),
        (ClientHello { proto: (2, 9), ..ClientHello::new("") }, Ok(principal()), ErrorCode::Unsupported),
        (ClientHello { codec: vec![], ..ClientHello::new("") }, Ok(principal()), ErrorCode::Unsupported),
        (
            ClientHello { auth: Auth::Unknown, ..ClientHello::new("") },
            Ok(principal()),
            ErrorCode::Unauthenticated,
        ),
    ];
    for (hello, principal, code) in cases {
        let (client, server) = meet(&hello, principal).await;
        for refused in [client.map(drop), server.map(drop)] {
            match refused {
                Err(HandshakeError::Refused(error)) => assert_eq!(error.code, code, "{hello:?}"),
                other => panic!("{hello:?}: {other:?}"),
            }
        }
    }
}

#[tokio::test]
async fn a_refusal_is_heard_even_when_the_hello_is_not() {
    let (mut client, mut server) = duplex(1024);
    let full = ApiError::new(ErrorCode::Overloaded, "the agent has too many connections");
    refuse(&mut server, full.clone()).await.expect("said");
    drop(server);
    match connect(&mut client, &ClientHello::new("test")).await {
        Err(HandshakeError::Refused(error)) => assert_eq!(error, full),
        other => panic!("{other:?}"),
    }

    let (mut client, server) = duplex(1024);
    drop(server);
    let silent = connect(&mut client, &ClientHello::new("test")).await;
    assert!(matches!(silent, Err(HandshakeError::Broken(_))), "{silent:?}");
}

#[test]
fn protocol_ranges() {
    let cases = [
        ((1, 1), (1, 1), Ok(1)),
        ((1, 4), (2, 3), Ok(3)),
        ((3, 3), (1, 5), Ok(3)),
        ((1, 2), (2, 9), Ok(2)),
        ((1, 1), (2, 3), Err(ErrorCode::Unsupported)),
        ((4, 5), (2, 3), Err(ErrorCode::Unsupported)),
        ((3, 2), (1, 9), Err(ErrorCode::Invalid)),
    ];
    for (client, agent, expected) in cases {
        assert_eq!(
            common_protocol(client, agent).map_err(|error| error.code),
            expected,
            "{client:?} {agent:?}"
        );
    }
}

#[test]
fn hellos_from_the_future_and_from_scripts_are_understood() {
    let minimal = r#"{"magic":"vigie","proto":[1,1],"codec":["json"]}"#;
    let hello: ClientHello = serde_json::from_str(minimal).expect("minimal");
    assert!(settle(&hello).is_ok());
    let newer = r#"{"magic":"vigie","proto":[1,9],"codec":["json"],"auth":{"token":"x"},"zone":{"a":[1]}}"#;
    let hello: ClientHello = serde_json::from_str(newer).expect("newer");
    assert_eq!(hello.auth, Auth::Unknown);
}

#[tokio::test(start_paused = true)]
async fn a_mute_peer_does_not_hold_us() {
    let (mut client, mut server) = duplex(64 * 1024);
    let greeting = greeting();
    let accepted = accept(&mut server, &greeting, Ok(principal()), Time::default()).await;
    assert!(matches!(accepted, Err(HandshakeError::Timeout(HANDSHAKE_TIMEOUT))));
    let connected = connect(&mut client, &ClientHello::new("test")).await;
    assert!(matches!(connected, Err(HandshakeError::Timeout(HANDSHAKE_TIMEOUT))));
}

#[tokio::test]
async fn mad_peers_get_typed_errors() {
    async fn say(bytes: &[u8]) -> HandshakeError {
        let (mut client, mut server): (DuplexStream, _) = duplex(64 * 1024);
        client.write_all(bytes).await.expect("written");
        client.shutdown().await.expect("closed");
        let greeting = greeting();
        accept(&mut server, &greeting, Ok(principal()), Time::default()).await.expect_err("mad")
    }
    assert!(matches!(say(b"GET / HTTP/1.1\r\n\r\n").await, HandshakeError::NotVigie(_)));
    assert!(matches!(say(b"").await, HandshakeError::Broken(_)));
    assert!(matches!(say(&[0, 0, 0, 9, b'{']).await, HandshakeError::Broken(_)));
    assert!(matches!(say(&[0, 0, 0, 2, b'{', b'}']).await, HandshakeError::NotVigie(_)));
    let mut deep = vec![0, 0, 0x40, 0];
    deep.extend([b'['; 0x4000]);
    assert!(matches!(say(&deep).await, HandshakeError::NotVigie(_)));
}

proptest::proptest! {
    #[test]
    fn garbage_never_panics(bytes: Vec<u8>) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().expect("runtime");
        runtime.block_on(async {
            let (mut client, mut server) = duplex(64 * 1024);
            let _ = client.write_all(&bytes).await;
            drop(client);
            let greeting = greeting();
            let _ = accept(&mut server, &greeting, Ok(principal()), Time::default()).await;
        });
    }
}
