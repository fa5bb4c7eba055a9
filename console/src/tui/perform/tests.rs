//! What is carried out while an agent is slow.

use std::future::pending;
use std::time::Duration;

use futures::{FutureExt, StreamExt};
use tarpc::server::{BaseChannel, Channel, serve};
use tokio::io::{DuplexStream, duplex};
use vigie_protocol::access::{Principal, Role};
use vigie_protocol::samples::Sample;
use vigie_protocol::service::{AliasMoved, Rollback, VigieRequest, VigieResponse};
use vigie_protocol::wire::client::{ClientOptions, Dialed, Dialer};
use vigie_protocol::wire::{Greeting, handshake, transport};
use vigie_protocol::{AgentId, IdempotencyKey};

use super::*;
use crate::tui::effect::{Done, Request};
use crate::tui::pictures::Kind;
use crate::tui::state::{Query, Want};
use crate::tui::testing::{DARK, LAB, birds, now, world};
use crate::tui::theme::Level;

/// An agent that answers to a rollback and to nothing else, ever.
async fn slow(mut stream: DuplexStream) {
    let greeting = Greeting { agent_id: AgentId::new(), epoch: 1, version: "0.0.0".to_owned() };
    let alice = Principal { name: "alice".to_owned(), role: Role::Admin, via: "memory".to_owned() };
    let (_, welcome) =
        handshake::accept(&mut stream, &greeting, Ok(alice), now()).await.expect("a handshake");
    let answer = |request| async move {
        match request {
            VigieRequest::Rollback { .. } => Ok(VigieResponse::Rollback(Ok(AliasMoved::sample()))),
            _ => pending().await,
        }
    };
    BaseChannel::with_defaults(transport::server(stream, welcome.codec))
        .execute(serve(move |_, request| answer(request).boxed()))
        .for_each_concurrent(None, |handler| handler)
        .await;
}

#[tokio::test]
async fn a_rollback_waits_for_neither_lists_nor_pictures() {
    let dialer = Dialer::new(|| {
        let (near, far) = duplex(1 << 16);
        tokio::spawn(slow(far));
        async move { Ok(Dialed::new(near)) }
    });
    let client = AgentClient::with_dialer(dialer, ClientOptions::new("console"));
    let (events, mut told) = mpsc::channel(64);
    let medium = Medium {
        kind: Kind::Ascii,
        font: (8, 16),
        level: Level::None,
        light: false,
        tmux: false,
        deflate: false,
    };
    let album = Arc::new(Mutex::new(Album::new(1 << 20)));
    let performer = Performer::new(Handle::current(), vec![client], events, album, medium, Arc::new(now));
    let state = world((80, 24), DARK);
    for n in 0..20 {
        let want = Want { agent: LAB, query: Query::Leases };
        performer.perform(Effect::Fetch { want, cursor: None }, &state);
        performer.perform(Effect::Picture { agent: LAB, image: Hash::of(&[n]), cells: (8, 4) }, &state);
    }
    let request = Request::Rollback(Rollback {
        key: IdempotencyKey::new(),
        project: birds().project,
        alias: vigie_protocol::AliasName::production(),
        expected_generation: None,
        reason: None,
    });
    let change = Box::new(Change::Ask(request));
    performer.perform(Effect::Change { ticket: Ticket(1), agent: LAB, change }, &state);
    let first = tokio::time::timeout(Duration::from_secs(10), told.recv()).await.expect("in time");
    let Some(Told::Event(Event::Done { outcome: Ok(Done::Moved(_)), .. })) = first else {
        panic!("{first:?}")
    };
}
