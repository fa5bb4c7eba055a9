//! The server over a real socket: panics, limits, garbage, long polls, shutdown; the roles; and
//! answers of real parts.

mod answers;
mod labels;
mod roles;

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tarpc::context::{self, Context};
use tarpc::server::Serve;
use tarpc::{RequestName, ServerError};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use vigie_protocol::access::{Principal, Role};
use vigie_protocol::service::{Empty, Predict, VigieRequest, VigieResponse, Watch};
use vigie_protocol::wire::unix::{Listener, Peer};
use vigie_protocol::wire::{AgentClient, ClientOptions, Greeting, LinkState, Target, WireCodec, frame};
use vigie_protocol::{AgentId, ApiError, ErrorCode};

use super::guard::{Answer, Guarded};
use super::*;
use crate::access::{Access, AccessConfig};

/// Answers `whoami`, panics at `health`, blocks at `doctor` and `predict`, waits at `watch`.
#[derive(Clone)]
struct Scripted {
    session: Arc<Session>,
    world: Arc<World>,
}

#[derive(Default)]
struct World {
    handler_begun: Notify,
    doctor_may_end: Notify,
    watches: AtomicUsize,
    watch_ended: Notify,
    predictions_may_end: CancellationToken,
}

/// Counts a watch for as long as it lives, however it ends.
struct Watching(Arc<World>);

impl Drop for Watching {
    fn drop(&mut self) {
        self.0.watches.fetch_sub(1, Ordering::SeqCst);
        self.0.watch_ended.notify_one();
    }
}

impl Handler for Scripted {
    fn handle(self, context: Context, request: VigieRequest) -> Answer {
        assert!(context.deadline <= std::time::Instant::now() + Duration::from_secs(60), "deadline capped");
        let Self { session, world } = self;
        match request {
            VigieRequest::Whoami { .. } => {
                let principal = session.principal.clone();
                Box::pin(async move { Ok(VigieResponse::Whoami(Ok(principal))) })
            }
            VigieRequest::Health { .. } => panic!("before the first await"),
            VigieRequest::LeaseList { .. } => Box::pin(async {
                tokio::task::yield_now().await;
                panic!("after the first await")
            }),
            VigieRequest::Doctor { .. } => Box::pin(async move {
                world.handler_begun.notify_one();
                world.doctor_may_end.notified().await;
                Ok(VigieResponse::Doctor(Ok(vec![])))
            }),
            VigieRequest::Predict { request } => Box::pin(async move {
                world.handler_begun.notify_one();
                world.predictions_may_end.cancelled().await;
                Err(ServerError::new(std::io::ErrorKind::Other, format!("{} bytes", request.image.len())))
            }),
            VigieRequest::Watch { .. } => Box::pin(async move {
                world.watches.fetch_add(1, Ordering::SeqCst);
                let _watching = Watching(Arc::clone(&world));
                world.handler_begun.notify_one();
                std::future::pending().await
            }),
            other => Box::pin(async move {
                Err(ServerError::new(std::io::ErrorKind::Other, format!("unscripted: {}", other.name())))
            }),
        }
    }
}

struct Running {
    _folder: tempfile::TempDir,
    path: PathBuf,
    world: Arc<World>,
    shutdown: CancellationToken,
    task: JoinHandle<()>,
}

impl Running {
    async fn start(options: ServerOptions) -> Self {
        let folder = tempfile::tempdir().expect("folder");
        let path = folder.path().join("agent.sock");
        let listener = Listener::bind(&path).await.expect("bound");
        let greeting = Greeting { agent_id: AgentId::new(), epoch: 1, version: "test".to_owned() };
        let access = Access::new(AccessConfig::default(), rustix::process::getuid().as_raw());
        let world = Arc::new(World::default());
        let shared = Arc::clone(&world);
        let factory = move |session| Scripted { session, world: Arc::clone(&shared) };
        let server = Server::new(listener, greeting, access, options, factory);
        let shutdown = CancellationToken::new();
        let task = tokio::spawn(server.run(shutdown.clone()));
        Self { _folder: folder, path, world, shutdown, task }
    }

    fn client(&self) -> AgentClient {
        AgentClient::spawn(Target::Unix(self.path.clone()), ClientOptions::new("test 1"))
    }
}

async fn whoami(client: &AgentClient) -> Result<Principal, ApiError> {
    client.call(|c, ctx| async move { c.whoami(ctx, Empty {}).await }).await
}

fn session(role: Role) -> Arc<Session> {
    let principal = Principal { name: "ann".to_owned(), role, via: "test".to_owned() };
    let peer = Peer { uid: 1, gid: 1, pid: None };
    Arc::new(Session { serial: 1, principal, peer, client: String::new(), codec: WireCodec::MsgPack })
}

#[tokio::test]
async fn a_refused_method_never_reaches_the_handler() {
    let world = Arc::new(World::default());
    let handler = Scripted { session: session(Role::Viewer), world };
    let guarded = Guarded { session: session(Role::Viewer), handler, gone: CancellationToken::new() };
    let request = VigieRequest::AuditVerify { request: Empty {} };
    let error = guarded.serve(context::current(), request).await.expect_err("refused");
    assert_eq!(error.kind, std::io::ErrorKind::PermissionDenied);
}

#[tokio::test]
async fn callers_are_known_and_panics_are_answers() {
    let agent = Running::start(ServerOptions::default()).await;
    let client = agent.client();
    let me = whoami(&client).await.expect("answered");
    assert_eq!(me.role, Role::Admin);
    assert!(me.via.contains(&format!("pid {}", std::process::id())), "{}", me.via);
    let health = client.call(|c, ctx| async move { c.health(ctx, Empty {}).await }).await;
    assert_eq!(health.expect_err("panicked").code, ErrorCode::Internal);
    let leases = client.call(|c, ctx| async move { c.lease_list(ctx, Empty {}).await }).await;
    assert_eq!(leases.expect_err("panicked").message, "the agent failed at lease_list");
    whoami(&client).await.expect("the connection lives on");
}

#[tokio::test]
async fn connections_over_the_limit_are_told_so() {
    let agent = Running::start(ServerOptions { max_per_user: 2, ..ServerOptions::default() }).await;
    let (first, second) = (agent.client(), agent.client());
    whoami(&first).await.expect("first");
    whoami(&second).await.expect("second");
    let third = agent.client();
    let error = third.first_attempt().await.expect_err("no room");
    assert_eq!((error.code, error.retry_after_ms), (ErrorCode::Overloaded, Some(1000)));
    drop(first);
    // The third goes on trying by itself.
    whoami(&third).await.expect("room was made");
}

#[tokio::test]
async fn requests_over_the_limit_are_told_so() {
    let agent = Running::start(ServerOptions { max_requests: 1, ..ServerOptions::default() }).await;
    let client = agent.client();
    let blocked = {
        let client = client.clone();
        tokio::spawn(async move { client.call(|c, ctx| async move { c.doctor(ctx, Empty {}).await }).await })
    };
    agent.world.handler_begun.notified().await;
    assert_eq!(whoami(&client).await.expect_err("throttled").code, ErrorCode::Overloaded);
    agent.world.doctor_may_end.notify_one();
    blocked.await.expect("no panic").expect("answered");
    whoami(&client).await.expect("room again");
}

#[tokio::test]
async fn a_users_requests_may_hold_so_much_and_no_more() {
    let agent = Running::start(ServerOptions::default()).await;
    let (client, other) = (agent.client(), agent.client());
    let predict = |client: &AgentClient| {
        let client = client.clone();
        let request = Predict {
            project: "birds".parse().expect("name"),
            image: vec![0; 4_000_000],
            blob: None,
            top: 0,
            name: None,
        };
        tokio::spawn(async move {
            let call = client.call(move |c, ctx| {
                let request = request.clone();
                async move { c.predict(ctx, request).await }
            });
            call.await.expect_err("never answered well").code
        })
    };
    // Frames of four megabytes, over two connections: 33 fit the budget.
    let mut under_way = Vec::new();
    for number in 0..33 {
        under_way.push(predict(if number % 2 == 0 { &client } else { &other }));
        agent.world.handler_begun.notified().await;
    }
    assert_eq!(predict(&other).await.expect("no panic"), ErrorCode::Overloaded);
    whoami(&other).await.expect("small ones go on");
    agent.world.predictions_may_end.cancel();
    for prediction in under_way {
        assert_eq!(prediction.await.expect("no panic"), ErrorCode::Internal);
    }
    assert_eq!(predict(&other).await.expect("no panic"), ErrorCode::Internal);
}

#[tokio::test]
async fn garbage_harms_nobody_else() {
    let agent = Running::start(ServerOptions::default()).await;
    let client = agent.client();
    whoami(&client).await.expect("before");
    let hello = br#"{"magic":"vigie","proto":[1,1],"codec":["json"]}"#;
    let mut framed = vec![0, 0, 0, hello.len() as u8];
    framed.extend(hello);
    let with_hello = |rest: &[u8]| [framed.as_slice(), rest].concat();
    let absurd = br#"{"Request":{"context":{"deadline":{"secs":18446744073709551615,"nanos":0}},"id":1,"message":{"Whoami":{"request":{}}}}}"#;
    let absurd = [&[0, 0, 0, absurd.len() as u8], absurd.as_slice()].concat();
    let unknown = br#"{"Request":{"context":{},"id":1,"message":{"Levitate":{"request":{}}}}}"#;
    let unknown = [&[0, 0, 0, unknown.len() as u8], unknown.as_slice()].concat();
    let cases = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".to_vec(),
        vec![0xff; 100_000],
        with_hello(&[0xff; 100]),
        with_hello(&[0, 0, 0, 3, b'{', b'{', b'{']),
        with_hello(&unknown),
        with_hello(&absurd),
    ];
    for (number, case) in cases.into_iter().enumerate() {
        let mut stream = UnixStream::connect(&agent.path).await.expect("connected");
        let _ = stream.write_all(&case).await;
        let _ = stream.shutdown().await;
        let mut heard = Vec::new();
        let _ = stream.read_to_end(&mut heard).await;
        // An absurd deadline is only cut, so that the request behind it is answered.
        assert_eq!(
            String::from_utf8_lossy(&heard).contains("\"request_id\":1"),
            number == 5,
            "case {number}"
        );
    }
    whoami(&client).await.expect("after");
    assert!(matches!(&*client.status().borrow(), LinkState::Connected(_)));
}

#[tokio::test]
async fn a_watch_ends_with_its_connection() {
    let agent = Running::start(ServerOptions::default()).await;
    // By hand: the client would politely cancel its call before it goes.
    let mut stream = UnixStream::connect(&agent.path).await.expect("connected");
    for frame in [
        r#"{"magic":"vigie","proto":[1,1],"codec":["json"]}"#,
        r#"{"Request":{"context":{"deadline":{"secs":30,"nanos":0}},"id":1,"message":{"Watch":{"request":{}}}}}"#,
    ] {
        frame::write(&mut stream, frame.as_bytes()).await.expect("written");
    }
    agent.world.handler_begun.notified().await;
    assert_eq!(agent.world.watches.load(Ordering::SeqCst), 1);
    drop(stream);
    agent.world.watch_ended.notified().await;
    assert_eq!(agent.world.watches.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn shutdown_lets_requests_finish_and_ends_watches() {
    let agent = Running::start(ServerOptions::default()).await;
    let client = agent.client();
    let (ended, mut outcomes) = mpsc::channel(2);
    for watch in [true, false] {
        let (client, ended) = (client.clone(), ended.clone());
        tokio::spawn(async move {
            let outcome = if watch {
                client.call(|c, ctx| async move { c.watch(ctx, Watch::default()).await }).await.map(drop)
            } else {
                client.call(|c, ctx| async move { c.doctor(ctx, Empty {}).await }).await.map(drop)
            };
            ended.send((watch, outcome.map_err(|error| error.code))).await.expect("heard");
        });
        agent.world.handler_begun.notified().await;
    }
    agent.shutdown.cancel();
    assert_eq!(outcomes.recv().await, Some((true, Err(ErrorCode::Unavailable))));
    agent.world.doctor_may_end.notify_one();
    assert_eq!(outcomes.recv().await, Some((false, Ok(()))));
    agent.task.await.expect("clean end");
    assert!(!agent.path.exists());
}

#[tokio::test(start_paused = true)]
async fn shutdown_does_not_wait_for_ever() {
    let agent =
        Running::start(ServerOptions { drain: Duration::from_secs(3), ..ServerOptions::default() }).await;
    let client = agent.client().with_timeout(Duration::from_secs(50));
    let stuck =
        tokio::spawn(async move { client.call(|c, ctx| async move { c.doctor(ctx, Empty {}).await }).await });
    agent.world.handler_begun.notified().await;
    let started = tokio::time::Instant::now();
    agent.shutdown.cancel();
    agent.task.await.expect("clean end");
    assert!(started.elapsed() <= Duration::from_secs(4));
    stuck.abort();
}
