//! An agent that only pretends: it speaks the real protocol on a real socket, and its jobs advance a
//! step with every look. The commands under test are real processes.

mod values;
mod world;

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::{FutureExt, StreamExt};
use tarpc::server::{BaseChannel, Channel, serve};
use tokio::net::{UnixListener, UnixStream};
use tokio::process::{Child, Command};
use tokio::task::{JoinHandle, JoinSet};
use vigie_protocol::access::{Principal, Role};
use vigie_protocol::service::{VigieRequest, VigieResponse};
use vigie_protocol::wire::{Greeting, handshake, transport};
use vigie_protocol::{AgentId, Time};

pub use world::World;

/// Where in the home the agent listens.
const SOCKET: &str = "agent.sock";

/// A fake agent and a home for the commands that ask it.
pub struct Fake {
    home: tempfile::TempDir,
    world: Shared,
    agent: Mutex<JoinHandle<()>>,
}

type Shared = Arc<Mutex<World>>;

/// How a command ended.
#[derive(Debug)]
pub struct Ran {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    pub fn json<T: serde::de::DeserializeOwned>(&self) -> T {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

impl Fake {
    pub fn start(world: World) -> Self {
        let home = tempfile::tempdir().expect("temp dir");
        let world = Arc::new(Mutex::new(world));
        let agent = Mutex::new(agent(&home.path().join(SOCKET), &world));
        Self { home, world, agent }
    }

    /// The agent dies: it listens no more, and every connection is cut.
    pub async fn stop(&self) {
        let agent = std::mem::replace(&mut *self.agent.lock().expect("lock"), tokio::spawn(async {}));
        agent.abort();
        assert!(agent.await.is_err_and(|error| error.is_cancelled()), "it was there");
    }

    /// It is back, where it was, with the same world.
    pub fn start_again(&self) {
        std::fs::remove_file(self.socket()).expect("left behind");
        *self.agent.lock().expect("lock") = agent(&self.socket(), &self.world);
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("lock")
    }

    pub fn home(&self) -> &Path {
        self.home.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.home().join(SOCKET)
    }

    /// A file with this content, for commands to read.
    pub fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.home().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// The command, in surroundings that hold nothing of this machine's.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vigie"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home())
            .env("VIGIE_AGENT", format!("unix:{}", self.socket().display()))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true);
        command
    }

    /// Runs a command line (words apart by blanks) to its end.
    pub async fn vigie(&self, line: &str) -> Ran {
        ended(self.command(line.split_whitespace()).spawn().expect("started")).await
    }
}

/// An agent in a task, its connections in tasks that end with it.
fn agent(socket: &Path, world: &Shared) -> JoinHandle<()> {
    let listener = UnixListener::bind(socket).expect("bound");
    let world = Arc::clone(world);
    tokio::spawn(async move {
        let mut connections = JoinSet::new();
        while let Ok((stream, _)) = listener.accept().await {
            connections.spawn(converse(stream, Arc::clone(&world)));
        }
    })
}

async fn converse(mut stream: UnixStream, world: Shared) {
    let greeting = Greeting { agent_id: AgentId::new(), epoch: 1, version: "0.0.0".to_owned() };
    let alice = Principal { name: "alice".to_owned(), role: Role::Admin, via: "unix socket".to_owned() };
    let Ok((_, welcome)) = handshake::accept(&mut stream, &greeting, Ok(alice), Time::now()).await else {
        return;
    };
    BaseChannel::with_defaults(transport::server(stream, welcome.codec))
        .execute(serve(move |_, request| {
            let world = Arc::clone(&world);
            async move { Ok(answer(&world, request).await) }.boxed()
        }))
        .for_each_concurrent(None, |handler| handler)
        .await;
}

/// The world's answer. A watch waits for something to tell; what else has no answer gets none, ever.
async fn answer(world: &Shared, request: VigieRequest) -> VigieResponse {
    let ask = |request| world.lock().expect("lock").answer(request);
    let VigieRequest::Watch { request } = request else {
        return match ask(request) {
            Some(answer) => answer,
            None => std::future::pending().await,
        };
    };
    loop {
        // Heard from here on: nothing may happen unnoticed between the question and the wait.
        let happens = Arc::clone(&world.lock().expect("lock").happens).notified_owned();
        match ask(VigieRequest::Watch { request }) {
            Some(answer) => return answer,
            None => happens.await,
        }
    }
}

pub async fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().await.expect("ended");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
