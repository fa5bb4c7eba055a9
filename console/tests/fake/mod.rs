//! An agent that only pretends: it speaks the real protocol on a real socket, and its jobs advance a
//! step with every look. The commands under test are real processes.

mod values;
mod world;

use std::ffi::OsStr;
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::{Arc, Mutex, MutexGuard};

use futures::{FutureExt, StreamExt};
use tarpc::server::{BaseChannel, Channel, serve};
use tokio::net::UnixListener;
use tokio::process::{Child, Command};
use vigie_protocol::access::{Principal, Role};
use vigie_protocol::wire::{Greeting, handshake, transport};
use vigie_protocol::{AgentId, Time};

pub use world::World;

/// A fake agent and a home for the commands that ask it.
pub struct Fake {
    home: tempfile::TempDir,
    world: Arc<Mutex<World>>,
}

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
        let fake = Self { home, world: Arc::new(Mutex::new(world)) };
        let listener = UnixListener::bind(fake.socket()).expect("bound");
        let world = Arc::clone(&fake.world);
        tokio::spawn(async move {
            while let Ok((mut stream, _)) = listener.accept().await {
                let world = Arc::clone(&world);
                tokio::spawn(async move {
                    let greeting =
                        Greeting { agent_id: AgentId::new(), epoch: 1, version: "0.0.0".to_owned() };
                    let alice = Principal {
                        name: "alice".to_owned(),
                        role: Role::Admin,
                        via: "unix socket".to_owned(),
                    };
                    let Ok((_, welcome)) =
                        handshake::accept(&mut stream, &greeting, Ok(alice), Time::now()).await
                    else {
                        return;
                    };
                    BaseChannel::with_defaults(transport::server(stream, welcome.codec))
                        .execute(serve(move |_, request| {
                            let answer = world.lock().expect("lock").answer(request);
                            async move {
                                match answer {
                                    Some(answer) => Ok(answer),
                                    None => std::future::pending().await,
                                }
                            }
                            .boxed()
                        }))
                        .for_each_concurrent(None, |handler| handler)
                        .await;
                });
            }
        });
        fake
    }

    pub fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().expect("lock")
    }

    pub fn socket(&self) -> PathBuf {
        self.home.path().join("agent.sock")
    }

    /// A file with this content, for commands to read.
    pub fn file(&self, name: &str, content: &[u8]) -> String {
        let path = self.home.path().join(name);
        std::fs::write(&path, content).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    }

    /// The command, in surroundings that hold nothing of this machine's.
    pub fn command<S: AsRef<OsStr>>(&self, args: impl IntoIterator<Item = S>) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_vigie"));
        command
            .args(args)
            .env_clear()
            .env("HOME", self.home.path())
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

pub async fn ended(child: Child) -> Ran {
    let output = child.wait_with_output().await.expect("ended");
    Ran {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).expect("UTF-8"),
        stderr: String::from_utf8(output.stderr).expect("UTF-8"),
    }
}
