//! Every method by every role, over a connection with its real handshake and guard: allowed or
//! refused as the table of methods declares. The calls come from that table too, so that a new method
//! is tested without being named here.

use std::io::ErrorKind;
use std::sync::Arc;

use tarpc::client::RpcError;
use tarpc::context::Context;
use tarpc::server::Serve;
use tokio::net::UnixStream;
use tokio_util::sync::CancellationToken;
use vigie_protocol::access::Role;
use vigie_protocol::samples::SampleAgent;
use vigie_protocol::service::{CallOutcome, METHODS, VigieRequest, call_every};
use vigie_protocol::wire::client::{Dialed, Dialer};
use vigie_protocol::wire::unix::Peer;
use vigie_protocol::wire::{AgentClient, ClientOptions, Greeting, LinkState};
use vigie_protocol::{AgentId, ErrorCode};

use crate::access::Access;
use crate::rpc::guard::{Answer, Guarded, Handler, is_read};
use crate::rpc::room::{Budget, REQUEST_BYTES};
use crate::rpc::server::{ServerOptions, Shared, connection};

const ACCESS: &str = r#"
    [roles]
    "uid:2001" = "viewer"
    "uid:2002" = "labeller"
    "uid:2003" = "operator"
    "uid:2004" = "admin"
"#;

/// Who the table asks for: a user id that `ACCESS` gives this role, or none.
const CALLERS: [(u32, Option<Role>); 5] = [
    (2000, None),
    (2001, Some(Role::Viewer)),
    (2002, Some(Role::Labeller)),
    (2003, Some(Role::Operator)),
    (2004, Some(Role::Admin)),
];

/// Answers whatever the guard lets through.
#[derive(Clone)]
struct Willing;

impl Handler for Willing {
    fn handle(self, context: Context, request: VigieRequest) -> Answer {
        Box::pin(SampleAgent::Willing.serve().serve(context, request))
    }
}

/// A client whose connections come from the user `uid`.
fn client_of(uid: u32) -> AgentClient {
    let greeting = Greeting { agent_id: AgentId::new(), epoch: 1, version: "test".to_owned() };
    let access = Access::new(toml::from_str(ACCESS).expect("valid"), u32::MAX);
    let shared = Arc::new(Shared::new(greeting, access, ServerOptions::default(), |_| Willing));
    let dialer = Dialer::new(move || {
        let (near, far) = UnixStream::pair().expect("a pair of sockets");
        let peer = Peer { uid, gid: uid, pid: None };
        let (requests, shutdown) = (Budget::new(REQUEST_BYTES), CancellationToken::new());
        tokio::spawn(connection(Arc::clone(&shared), far, peer, 1, requests, shutdown));
        async move { Ok(Dialed::new(near)) }
    });
    AgentClient::with_dialer(dialer, ClientOptions::new("roles"))
}

#[tokio::test]
async fn every_method_by_every_role() {
    let mut allowed = Vec::new();
    for (uid, role) in CALLERS {
        let client = client_of(uid);
        let outcomes = client.call(|client, _| async move { Ok(Ok(call_every(&client).await)) }).await;
        let Some(role) = role else {
            // Who has no role is turned away at the door, and asks nothing at all.
            let refused = outcomes.expect_err("no role");
            assert_eq!(refused.code, ErrorCode::Forbidden);
            assert!(refused.hint.unwrap_or_default().contains("[access.roles]"));
            assert!(matches!(&*client.status().borrow(), LinkState::Refused { .. }));
            continue;
        };
        let outcomes = outcomes.expect("a connection");
        assert_eq!(client.welcome().await.expect("welcome").principal.role, role);
        let names: Vec<&str> = outcomes.iter().map(|(name, _)| *name).collect();
        assert_eq!(names, METHODS.iter().map(|method| method.name).collect::<Vec<_>>());
        for (method, (name, outcome)) in METHODS.iter().zip(&outcomes) {
            assert_eq!(is_allowed(outcome), role >= method.role, "{name} by a {role}: {outcome:?}");
        }
        allowed.push(outcomes.iter().filter(|(_, outcome)| is_allowed(outcome)).count());
    }
    assert!(allowed.is_sorted() && allowed[0] > 0 && allowed[0] < allowed[2], "{allowed:?}");
    assert_eq!(allowed[3], METHODS.len(), "an admin may do everything");
}

/// Whether the handler answered, or the guard refused; nothing else may happen.
fn is_allowed(outcome: &CallOutcome) -> bool {
    match outcome {
        Ok(Ok(())) => true,
        Err(RpcError::Server(error)) if error.kind == ErrorKind::PermissionDenied => false,
        other => panic!("{other:?}"),
    }
}

#[test]
fn what_may_answer_at_length_is_bounded() {
    for (name, expected) in [
        ("dataset_diff", true),
        ("agent_log", true),
        ("audit_list", true),
        ("watch", false),
        ("predict", false),
        ("upload_chunk", false),
        ("promote", false),
        ("levitate", false),
    ] {
        assert_eq!(is_read(name), expected, "{name}");
    }
}

#[test]
fn whoever_may_only_look_changes_nothing() {
    for method in METHODS.iter().filter(|method| method.mutation) {
        assert!(method.role > Role::Viewer, "{} changes something", method.name);
    }
}

#[test]
fn what_is_not_in_the_table_is_nobodys_to_call() {
    for role in Role::ALL {
        let session = super::session(role);
        let guarded = Guarded { handler: (), session, gone: CancellationToken::new() };
        assert!(guarded.authorise("Vigie.levitate").is_err());
    }
    let of_the_future = super::session(Role::Unknown);
    let guarded = Guarded { handler: (), session: of_the_future, gone: CancellationToken::new() };
    assert!(METHODS.iter().all(|method| guarded.authorise(method.name).is_err()));
}
