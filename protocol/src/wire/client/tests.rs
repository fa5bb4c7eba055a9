//! The client against scripted agents: the loss of a connection, refusals, silence, misbehaviour.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use tarpc::ServerError;
use tokio::io::duplex;

use super::*;
use crate::access::Principal;
use crate::model::Alias;
use crate::service::{Empty, Predict, Rollback, VigieRequest, VigieResponse};
use crate::wire::fake::{FakeAgent, alice, dead_dialer, unscripted};
use crate::wire::unix::Listener;
use crate::wire::{ClientHello, handshake};
use crate::{AliasName, ErrorCode, IdempotencyKey};

fn whoami_agent() -> FakeAgent {
    FakeAgent::new(|request| match request {
        VigieRequest::Whoami { .. } => Ok(VigieResponse::Whoami(Ok(alice()))),
        other => Err(unscripted(&other)),
    })
}

fn options() -> ClientOptions {
    ClientOptions::new("test 1")
}

async fn whoami(client: &AgentClient) -> Result<Principal, ApiError> {
    client.call(|c, ctx| async move { c.whoami(ctx, Empty {}).await }).await
}

#[tokio::test]
async fn a_call_goes_through_a_unix_socket_in_both_codecs() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("agent.sock");
    let listener = Listener::bind(&path).await.expect("bound");
    let agent = whoami_agent();
    let accepting = agent.clone();
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.expect("accepted");
            accepting.accept(stream);
        }
    });
    for codec in WireCodec::ALL {
        let options = ClientOptions { codecs: vec![codec], ..options() };
        let client = AgentClient::spawn(Target::Unix(path.clone()), options);
        assert_eq!(client.last_heard(), None);
        assert_eq!(whoami(&client).await.expect("answered"), alice());
        assert_eq!(client.first_attempt().await.expect("connected").codec, codec);
        assert!(client.last_heard().is_some());
    }
}

#[tokio::test]
async fn the_client_comes_back_after_the_agent_dropped_it() {
    let agent = whoami_agent();
    let client = AgentClient::with_dialer(agent.dialer(), options());
    for round in 1..=3 {
        assert_eq!(whoami(&client).await.expect("answered"), alice());
        assert_eq!(agent.connections(), round);
        let mut status = client.status();
        agent.drop_connections();
        status.wait_for(|state| !matches!(state, LinkState::Connected(_))).await.expect("noticed");
    }
}

#[tokio::test]
async fn a_mutation_cut_off_is_sent_again_with_the_same_key() {
    let seen: Arc<Mutex<Vec<IdempotencyKey>>> = Arc::default();
    let noted = Arc::clone(&seen);
    let agent = FakeAgent::with_futures(move |request| {
        let noted = Arc::clone(&noted);
        Box::pin(async move {
            let VigieRequest::Rollback { request } = request else { return Err(unscripted(&request)) };
            let first = {
                let mut noted = noted.lock().expect("lock");
                noted.push(request.key);
                noted.len() == 1
            };
            if first {
                // Carried out, perhaps; the answer never arrives.
                std::future::pending::<()>().await;
            }
            Ok(VigieResponse::Rollback(Err(ApiError::not_found("the alias"))))
        })
    });
    let client = AgentClient::with_dialer(agent.dialer(), options());
    let request = Rollback {
        key: IdempotencyKey::new(),
        project: "birds".parse().expect("name"),
        alias: AliasName::production(),
        expected_generation: Some(3),
        reason: None,
    };
    let key = request.key;
    let call = client.call(move |c, ctx| {
        let request = request.clone();
        async move { c.rollback(ctx, request).await }
    });
    let cut = async {
        while seen.lock().expect("lock").is_empty() {
            tokio::task::yield_now().await;
        }
        agent.drop_connections();
    };
    let (answer, ()) = tokio::join!(call, cut);
    assert_eq!(answer.expect_err("the second answer").code, ErrorCode::NotFound);
    assert_eq!(*seen.lock().expect("lock"), [key, key]);
}

#[tokio::test(start_paused = true)]
async fn without_an_agent_calls_say_why_and_in_time() {
    let client = AgentClient::with_dialer(dead_dialer(), options()).with_timeout(Duration::from_secs(3));
    let started = Instant::now();
    let error = whoami(&client).await.expect_err("nobody there");
    assert_eq!((error.code, error.message.as_str()), (ErrorCode::Unavailable, "nobody there"));
    assert_eq!(started.elapsed(), Duration::from_secs(3));
    assert_eq!(client.first_attempt().await.expect_err("still nobody").message, "nobody there");

    let missing = Target::Unix("/nonexistent/agent.sock".into());
    let error = AgentClient::spawn(missing, options()).first_attempt().await.expect_err("no socket");
    assert!(error.message.contains("no agent listens on /nonexistent/agent.sock"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_refusal_fails_calls_at_once_until_it_is_taken_back() {
    let welcome = Arc::new(std::sync::atomic::AtomicBool::new(false));
    let agent = whoami_agent();
    let (inner, open) = (agent.clone(), Arc::clone(&welcome));
    let dialer = Dialer::new(move || {
        let (near, mut far) = duplex(1024);
        let (agent, open) = (inner.clone(), open.load(Ordering::Relaxed));
        async move {
            if open {
                agent.accept(far);
            } else {
                let error = ApiError::new(ErrorCode::Forbidden, "bob has no role here");
                tokio::spawn(async move { handshake::refuse(&mut far, error).await });
            }
            Ok(Dialed::new(near))
        }
    });
    let client = AgentClient::with_dialer(dialer, options());
    let started = Instant::now();
    assert_eq!(whoami(&client).await.expect_err("refused").code, ErrorCode::Forbidden);
    assert_eq!(started.elapsed(), Duration::ZERO);
    assert!(matches!(&*client.status().borrow(), LinkState::Refused { .. }));

    welcome.store(true, Ordering::Relaxed);
    client.reconnect_now();
    let mut status = client.status();
    status.wait_for(|state| matches!(state, LinkState::Connected(_))).await.expect("taken in");
    whoami(&client).await.expect("answered");
}

#[tokio::test(start_paused = true)]
async fn a_mute_agent_costs_the_timeout_and_then_its_connection() {
    let agent = FakeAgent::with_futures(|_| Box::pin(std::future::pending()));
    let client = AgentClient::with_dialer(agent.dialer(), options());
    let started = Instant::now();
    assert_eq!(whoami(&client).await.expect_err("mute").code, ErrorCode::Timeout);
    assert_eq!(started.elapsed(), Duration::from_secs(15));
    // Nothing heard for 20 s, a ping unanswered for 10 s: the link is given up.
    let mut status = client.status();
    status.wait_for(|state| matches!(state, LinkState::Waiting { .. })).await.expect("noticed");
    assert_eq!(started.elapsed(), Duration::from_secs(30));
}

#[tokio::test(start_paused = true)]
async fn an_idle_connection_is_kept_by_pings() {
    let agent = whoami_agent();
    let client = AgentClient::with_dialer(agent.dialer(), options());
    client.first_attempt().await.expect("connected");
    tokio::time::sleep(Duration::from_secs(600)).await;
    assert!(matches!(&*client.status().borrow(), LinkState::Connected(_)));
    assert_eq!(agent.connections(), 1);
    assert!(client.last_heard().expect("heard").elapsed() <= Duration::from_secs(20));
}

#[tokio::test]
async fn what_the_wire_says_becomes_an_api_error() {
    let cases = [
        (std::io::ErrorKind::PermissionDenied, ErrorCode::Forbidden),
        (std::io::ErrorKind::WouldBlock, ErrorCode::Overloaded),
        (std::io::ErrorKind::TimedOut, ErrorCode::Timeout),
        (std::io::ErrorKind::InvalidData, ErrorCode::TooLarge),
        (std::io::ErrorKind::NotConnected, ErrorCode::Unavailable),
        (std::io::ErrorKind::Other, ErrorCode::Internal),
    ];
    for (kind, code) in cases {
        let agent = FakeAgent::new(move |_| Err(ServerError::new(kind, "why".to_owned())));
        let client = AgentClient::with_dialer(agent.dialer(), options());
        assert_eq!(whoami(&client).await.expect_err("failed").code, code, "{kind:?}");
    }
}

#[tokio::test]
async fn an_answer_to_another_question_is_an_error_and_not_a_panic() {
    let agent = FakeAgent::new(|_| Ok(VigieResponse::AliasList(Ok(Vec::<Alias>::new()))));
    let client = AgentClient::with_dialer(agent.dialer(), options());
    let error = whoami(&client).await.expect_err("misbehaved");
    assert!(error.message.contains("misbehaved"), "{error}");
    // The client is none the worse for it.
    assert_eq!(
        client.call(|c, ctx| async move { c.lease_list(ctx, Empty {}).await }).await.expect_err("again").code,
        ErrorCode::Internal
    );
}

#[tokio::test]
async fn an_oversized_request_fails_alone() {
    let agent = whoami_agent();
    let client = AgentClient::with_dialer(agent.dialer(), options());
    let error = client
        .call(|c, ctx| async move {
            let image = vec![0; crate::wire::MAX_FRAME];
            let project = "birds".parse().expect("name");
            c.predict(ctx, Predict { project, image, blob: None, top: 0, name: None }).await
        })
        .await
        .expect_err("too large");
    assert_eq!(error.code, ErrorCode::TooLarge, "{error}");
    whoami(&client).await.expect("the connection lives on");
    assert_eq!(agent.connections(), 1);
}

#[tokio::test]
async fn an_oversized_answer_fails_alone() {
    let agent = FakeAgent::new(|request| match request {
        VigieRequest::Whoami { .. } => Ok(VigieResponse::Whoami(Ok(alice()))),
        _ => Ok(VigieResponse::LeaseList(Err(ApiError::invalid("x".repeat(crate::wire::MAX_FRAME))))),
    });
    let client = AgentClient::with_dialer(agent.dialer(), options());
    let error = client.call(|c, ctx| async move { c.lease_list(ctx, Empty {}).await }).await;
    assert_eq!(error.expect_err("too large").code, ErrorCode::TooLarge);
    whoami(&client).await.expect("the connection lives on");
    assert_eq!(agent.connections(), 1);
}

#[tokio::test]
async fn methods_the_agent_lacks_never_reach_it() {
    let asked = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&asked);
    let dialer = Dialer::new(move || {
        let counter = Arc::clone(&counter);
        let (near, mut far) = duplex(64 * 1024);
        tokio::spawn(async move {
            let hello = crate::wire::frame::read(&mut far, handshake::MAX_HELLO).await.expect("hello");
            serde_json::from_slice::<ClientHello>(&hello).expect("a hello");
            let answer = serde_json::json!({"ok": {
                "proto": 1, "codec": "msgpack", "agent_id": crate::AgentId::new(), "epoch": 1,
                "principal": alice(), "methods": ["health"], "server_time": "2026-11-21T00:00:00Z",
                "version": "0.0.9", "from_the_future": [1, 2],
            }});
            crate::wire::frame::write(&mut far, answer.to_string().as_bytes()).await.expect("answered");
            while crate::wire::frame::read(&mut far, crate::wire::MAX_FRAME).await.is_ok() {
                counter.fetch_add(1, Ordering::Relaxed);
            }
        });
        async move { Ok(Dialed::new(near)) }
    });
    let client = AgentClient::with_dialer(dialer, options());
    let error = whoami(&client).await.expect_err("unsupported");
    assert_eq!(error.code, ErrorCode::Unsupported);
    assert_eq!(error.message, "the agent (0.0.9) is too old for whoami");
    assert_eq!(asked.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_command_that_fails_is_quoted() {
    let folder = tempfile::tempdir().expect("folder");
    let script = folder.path().join("fail.sh");
    std::fs::write(&script, "echo 'Permission denied (publickey).' >&2; exit 255").expect("script");
    let target = format!("exec:sh {}", script.display()).parse().expect("target");
    let error = AgentClient::spawn(target, options()).first_attempt().await.expect_err("failed");
    assert_eq!(error.code, ErrorCode::Unavailable);
    assert!(error.message.ends_with("Permission denied (publickey)."), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_command_has_longer_to_reach_its_agent_than_an_agent_to_greet() {
    let mute = Dialer::new(|| async {
        let (near, far) = duplex(1024);
        tokio::spawn(async move {
            let _held = far;
            std::future::pending::<()>().await;
        });
        Ok(Dialed::new(near))
    });
    // As ssh does while it logs in.
    let command: Target = "exec:sleep 1000".parse().expect("target");
    for (dialer, seconds) in [(mute, 5), (command.into(), 30)] {
        let started = Instant::now();
        let client = AgentClient::with_dialer(dialer, options());
        let error = client.first_attempt().await.expect_err("mute");
        assert_eq!(error.message, format!("the peer said nothing for {seconds} s"));
        let took = started.elapsed().as_secs();
        assert!((seconds..=seconds + 1).contains(&took), "{took}");
    }
}

#[tokio::test]
async fn the_connection_closes_with_the_last_handle() {
    let agent = whoami_agent();
    let client = AgentClient::with_dialer(agent.dialer(), options());
    client.first_attempt().await.expect("connected");
    let mut status = client.clone().status();
    status.mark_unchanged();
    drop(client);
    assert!(status.changed().await.is_err(), "the actor is gone");
}
