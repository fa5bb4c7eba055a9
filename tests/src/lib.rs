//! Real agents and consoles for end-to-end tests: processes, sockets, state directories. And
//! simulated ones ([`fleet`]), for tests and measurements that need many, or need them to fail in time.

mod agent;
pub mod console;
mod disk;
pub mod fleet;
pub mod kaggle;
pub mod peers;
mod pictures;
mod seen;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use anyhow::{Context, Result, bail};
use serde_json::Value;

pub use agent::{Agent, AgentOptions, News};
pub use disk::SmallDisk;
pub use pictures::{Entry, Pick, bomb, flat, pick, pictures, products, subset, zip_of};
pub use seen::Seen;

/// Calls a method of an agent: `ask!(agent.client(), health, Empty {}).await?`.
#[macro_export]
macro_rules! ask {
    ($client:expr, $method:ident, $request:expr) => {{
        let request = $request;
        $client.call(move |client, context| {
            let request = request.clone();
            async move { client.$method(context, request).await }
        })
    }};
}

/// The repository's root.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ lies in the repository").to_owned()
}

/// A file of `data/`.
pub fn data(name: &str) -> PathBuf {
    repository().join("data").join(name)
}

/// A binary of the workspace, built by `tests/run` beside the test that asks.
///
/// # Errors
/// When it is not built.
pub fn binary(name: &str) -> Result<PathBuf> {
    let test = std::env::current_exe()?;
    // target/<profile>/deps/<test> → target/<profile>/<name>
    let folder = test.parent().and_then(Path::parent).context("the test lies in no target folder")?;
    let path = folder.join(name);
    if !path.exists() {
        bail!("{} is not built: run tests/run, or cargo build --workspace", path.display());
    }
    Ok(path)
}

/// What a command said and how it ended.
#[derive(Clone, Debug)]
pub struct Said {
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
    /// Exit code; 128 + the signal when one killed it.
    pub code: i32,
}

impl Said {
    /// Standard output as JSON.
    ///
    /// # Errors
    /// When it is not JSON; the error holds what was said instead.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.out).with_context(|| format!("not JSON: {self:?}"))
    }
}

/// Runs a command to its end.
///
/// # Errors
/// When it cannot be started.
pub fn run(command: &mut Command) -> Result<Said> {
    let output = command.output().with_context(|| format!("cannot run {command:?}"))?;
    Ok(Said::from(output))
}

impl From<Output> for Said {
    fn from(output: Output) -> Self {
        use std::os::unix::process::ExitStatusExt;
        Self {
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
            code: output.status.code().unwrap_or_else(|| 128 + output.status.signal().unwrap_or(0)),
        }
    }
}
