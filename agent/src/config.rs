//! The agent's configuration: defaults, then the TOML file, then `VIGIE_<SECTION>_<KEY>` from the
//! environment.

mod environment;
mod sources;

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::access::AccessConfig;

pub use environment::KnownColour;
pub use sources::{ProxyUrl, SourcesConfig};

/// Everything that can be configured. `configs/agent.toml` shows each key with its default.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// Where things lie and what computes.
    pub agent: AgentConfig,
    /// Who may do what.
    pub access: AccessConfig,
    /// What the socket bears.
    pub connections: ConnectionsConfig,
    /// Answering predictions.
    pub serving: ServingConfig,
    /// Background work.
    pub jobs: JobsConfig,
    /// Fetching data from elsewhere.
    pub sources: SourcesConfig,
    /// What the agent says of itself.
    pub log: LogConfig,
}

/// Where things lie and what computes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentConfig {
    /// State directory; empty for `$STATE_DIRECTORY` (systemd), else `$XDG_STATE_HOME/vigie`, else
    /// `~/.local/state/vigie`.
    pub state: PathBuf,
    /// Unix socket; empty for `agent.sock` in the state directory.
    pub socket: PathBuf,
    /// Folder with pretrained weights (`<name>.safetensors`); empty for `weights` in the state
    /// directory.
    pub weights: PathBuf,
    /// `cpu`, or `cuda:0` in a build with CUDA.
    pub device: String,
    /// What this agent is for: `production`, `staging`; 1–32 letters, digits, signs and inner
    /// spaces. Empty when it has nothing to say.
    pub environment: String,
    /// In which colour consoles show the environment.
    pub environment_colour: KnownColour,
}

impl Default for AgentConfig {
    fn default() -> Self {
        Self {
            state: PathBuf::new(),
            socket: PathBuf::new(),
            weights: PathBuf::new(),
            device: "cpu".to_owned(),
            environment: String::new(),
            environment_colour: KnownColour::default(),
        }
    }
}

/// What the socket bears.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ConnectionsConfig {
    /// Connections at one time, 1–100,000; root and the agent's own user find a few more.
    pub max: usize,
    /// Of which of one user, 1–100,000.
    pub max_per_user: usize,
    /// Seconds a peer may take to finish a request that it began, or to take an answer, 1–600.
    /// Idling is free.
    pub patience_s: u64,
}

impl Default for ConnectionsConfig {
    fn default() -> Self {
        Self { max: 256, max_per_user: 64, patience_s: 60 }
    }
}

/// Answering predictions.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServingConfig {
    /// Threads that decode and compute; 0 for one a core.
    pub threads: usize,
    /// Requests that may wait for a thread, 1–100,000; more are told to come back.
    pub queue: usize,
    /// Longest time a request may wait for a thread, in milliseconds.
    pub max_wait_ms: u64,
    /// Largest image file, in MiB, 1–64.
    pub max_image_mib: u64,
    /// Most pixels of an image, in millions.
    pub max_megapixels: u64,
    /// Predictions that may wait for the log's disk, 1–1,000,000; more are answered and not logged.
    pub log_queue: usize,
}

impl Default for ServingConfig {
    fn default() -> Self {
        Self {
            threads: 0,
            queue: 512,
            max_wait_ms: 10_000,
            max_image_mib: 16,
            max_megapixels: 100,
            log_queue: 8_192,
        }
    }
}

/// Background work.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct JobsConfig {
    /// Worker processes that may run at once, 1–64.
    pub max_workers: usize,
    /// Threads of a worker; 0 for one a core.
    pub worker_threads: usize,
    /// Private memory a worker may take, in MiB; 0 for no bound. A worker that wants more ends as
    /// out of memory, and the rest of the machine does not feel it.
    pub memory_limit_mib: u64,
    /// Seconds a worker may take to stop when it is asked to, 1–600.
    pub stop_grace_s: u64,
    /// Most bytes an archive may unpack to, in GiB.
    pub max_unpacked_gib: u64,
}

impl Default for JobsConfig {
    fn default() -> Self {
        Self {
            max_workers: 2,
            worker_threads: 0,
            memory_limit_mib: 0,
            stop_grace_s: 10,
            max_unpacked_gib: 64,
        }
    }
}

/// How the agent writes its own log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// Lines for people, on stderr.
    #[default]
    Text,
    /// A JSON object a line, on stderr.
    Json,
    /// The systemd journal, with fields.
    Journald,
}

/// What the agent says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `text`, `json` or `journald`.
    pub format: LogFormat,
    /// What to say, as in `RUST_LOG`.
    pub filter: String,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { format: LogFormat::Text, filter: "info,tarpc=error".to_owned() }
    }
}

/// A configuration that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The file is not valid; the message has line and column.
    #[error("{path}: {message}")]
    Parse {
        /// The file.
        path: PathBuf,
        /// Where and what.
        message: String,
    },
    /// A variable of the environment is not valid.
    #[error("environment variable {name}: {message}")]
    Environment {
        /// Its name.
        name: String,
        /// What is wrong.
        message: String,
    },
    /// A value is out of its range.
    #[error("{key} is {value}: {expected}")]
    Range {
        /// `section.key`.
        key: &'static str,
        /// What it is.
        value: String,
        /// What it may be.
        expected: &'static str,
    },
    /// No directory for the state could be found.
    #[error("there is no home for the state: set agent.state, or pass --state DIR")]
    NoState,
}

/// Where configuration comes from besides the file: a lookup of environment variables.
pub type Environment<'a> = &'a dyn Fn(&str) -> Option<String>;

impl Config {
    /// Reads the file (if one is given) and the environment, checks ranges and fills in paths.
    ///
    /// # Errors
    /// [`ConfigError`] says where and what.
    pub fn load(file: Option<&Path>, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let from_file = match file {
            Some(path) => {
                let text = std::fs::read_to_string(path)
                    .map_err(|source| ConfigError::Read { path: path.to_owned(), source })?;
                toml::from_str(&text).map_err(|error| ConfigError::Parse {
                    path: path.to_owned(),
                    message: without_passwords(error.to_string().trim_end()),
                })?
            }
            None => Self::default(),
        };
        let mut config = from_file.overlay(environment)?;
        config.check()?;
        config.fill_paths(environment)?;
        Ok(config)
    }

    /// Puts `VIGIE_<SECTION>_<KEY>` over the file's values. The keys are those of the
    /// configuration itself, so that a new key can be overridden without another list.
    fn overlay(self, environment: Environment<'_>) -> Result<Self, ConfigError> {
        let bad = |name: &str, message: String| ConfigError::Environment { name: name.to_owned(), message };
        let mut config = self;
        let mut tree = toml::Table::try_from(&config).map_err(|e| bad("VIGIE_*", e.to_string()))?;
        let keys: Vec<(String, String)> = tree
            .iter()
            .filter_map(|(section, keys)| Some((section, keys.as_table()?)))
            .flat_map(|(section, keys)| keys.keys().map(|key| (section.clone(), key.clone())))
            .collect();
        for (section, key) in keys {
            let name = format!("VIGIE_{}_{}", section.to_uppercase(), key.to_uppercase());
            let Some(text) = environment(&name) else { continue };
            let slot = tree
                .get_mut(&section)
                .and_then(toml::Value::as_table_mut)
                .and_then(|keys| keys.get_mut(&key));
            let Some(slot) = slot else { continue };
            *slot = match slot {
                toml::Value::String(_) => toml::Value::String(text),
                // Everything else is written as in the file: 12, true, { alice = "operator" }.
                _ => toml::from_str::<toml::Table>(&format!("value = {text}"))
                    .ok()
                    .and_then(|mut table| table.remove("value"))
                    .ok_or_else(|| bad(&name, format!("{text:?} is not a TOML value")))?,
            };
            config = tree
                .clone()
                .try_into()
                .map_err(|error: toml::de::Error| bad(&name, error.message().to_owned()))?;
        }
        Ok(config)
    }

    fn check(&self) -> Result<(), ConfigError> {
        let range = |key, value: u64, low: u64, high: u64, expected| {
            if (low..=high).contains(&value) {
                Ok(())
            } else {
                Err(ConfigError::Range { key, value: value.to_string(), expected })
            }
        };
        let device = &self.agent.device;
        let cuda_index = device.strip_prefix("cuda:").map(str::parse::<u16>);
        if device != "cpu" && !matches!(cuda_index, Some(Ok(_))) {
            return Err(ConfigError::Range {
                key: "agent.device",
                value: device.clone(),
                expected: "it must be cpu or cuda:N",
            });
        }
        environment::check(&self.agent)?;
        let connections = &self.connections;
        range("connections.max", connections.max as u64, 1, 100_000, "it must be 1 to 100000")?;
        range(
            "connections.max_per_user",
            connections.max_per_user as u64,
            1,
            100_000,
            "it must be 1 to 100000",
        )?;
        range("connections.patience_s", connections.patience_s, 1, 600, "it must be 1 to 600")?;
        range("serving.threads", self.serving.threads as u64, 0, 1_024, "it must be 0 to 1024")?;
        range("serving.queue", self.serving.queue as u64, 1, 100_000, "it must be 1 to 100000")?;
        range("serving.max_wait_ms", self.serving.max_wait_ms, 1, 600_000, "it must be 1 to 600000")?;
        range("serving.max_image_mib", self.serving.max_image_mib, 1, 64, "it must be 1 to 64")?;
        range("serving.max_megapixels", self.serving.max_megapixels, 1, 1_000, "it must be 1 to 1000")?;
        range("serving.log_queue", self.serving.log_queue as u64, 1, 1_000_000, "it must be 1 to 1000000")?;
        range("jobs.max_workers", self.jobs.max_workers as u64, 1, 64, "it must be 1 to 64")?;
        range("jobs.worker_threads", self.jobs.worker_threads as u64, 0, 1_024, "it must be 0 to 1024")?;
        range("jobs.stop_grace_s", self.jobs.stop_grace_s, 1, 600, "it must be 1 to 600")?;
        range("jobs.max_unpacked_gib", self.jobs.max_unpacked_gib, 1, 65_536, "it must be 1 to 65536")?;
        self.sources.check()
    }

    fn fill_paths(&mut self, environment: Environment<'_>) -> Result<(), ConfigError> {
        let agent = &mut self.agent;
        if agent.state.as_os_str().is_empty() {
            agent.state = default_state(environment).ok_or(ConfigError::NoState)?;
        }
        if agent.socket.as_os_str().is_empty() {
            agent.socket = agent.state.join("agent.sock");
        }
        if agent.weights.as_os_str().is_empty() {
            agent.weights = agent.state.join("weights");
        }
        Ok(())
    }
}

/// What a parser says of a file, of which it quotes the line: without what stands between `://` and
/// `@` in it.
fn without_passwords(said: &str) -> String {
    let mut parts = said.split("://");
    let mut clean = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let end = part.find(|c: char| c.is_whitespace() || c == '"' || c == '\'').unwrap_or(part.len());
        let (address, rest) = part.split_at(end);
        clean.push_str("://");
        match address.rsplit_once('@') {
            Some((_, host)) => clean.extend(["…@", host]),
            None => clean.push_str(address),
        }
        clean.push_str(rest);
    }
    clean
}

fn default_state(environment: Environment<'_>) -> Option<PathBuf> {
    let set = |name: &str| environment(name).filter(|value| !value.is_empty());
    // systemd passes several directories separated by ':'; the first is ours.
    set("STATE_DIRECTORY")
        .and_then(|list| list.split(':').next().map(PathBuf::from))
        .or_else(|| set("XDG_STATE_HOME").map(|home| Path::new(&home).join("vigie")))
        .or_else(|| set("HOME").map(|home| Path::new(&home).join(".local/state/vigie")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, variables: &[(&str, &str)]) -> Result<Config, String> {
        let file = tempfile::NamedTempFile::new().expect("temporary file");
        std::fs::write(file.path(), text).expect("written");
        let lookup = |name: &str| {
            variables
                .iter()
                .chain(&[("HOME", "/home/alice")])
                .find(|(variable, _)| *variable == name)
                .map(|(_, value)| (*value).to_owned())
        };
        Config::load(Some(file.path()), &lookup).map_err(|error| error.to_string())
    }

    #[test]
    fn paths_are_filled_in() {
        let config = load("", &[]).expect("defaults");
        assert_eq!(config.agent.socket, Path::new("/home/alice/.local/state/vigie/agent.sock"));
        let config = load("", &[("STATE_DIRECTORY", "/var/lib/vigie:/var/lib/other")]).expect("systemd");
        assert_eq!(config.agent.weights, Path::new("/var/lib/vigie/weights"));
    }

    #[test]
    fn no_password_is_quoted() {
        for text in [
            "[sources]\nproxy = \"http://al:SECRET@proxy:1\" nonsense",
            "[sources]\nproxi = \"http://al:SEC/RET@proxy:1\"",
            "[sources]\nproxy = \"http://al:SECRET@proxy:1/SECRET\"",
            "[sources]\nproxy = [\"http://al:SECRET@a:1\", 'http://al:SECRET@b:1']",
        ] {
            let error = load(text, &[]).expect_err(text);
            assert!(!error.contains("SEC") && !error.contains("RET"), "{error}");
        }
        let variables = [("VIGIE_SOURCES_PROXY", "http://al:SECRET@proxy:1")];
        let config = load("", &variables).expect("valid");
        assert!(!format!("{config:?}").contains("SECRET"), "{config:?}");
        assert_eq!(config.sources.proxy.to_string(), "http://proxy:1");
    }

    #[test]
    fn environment_goes_over_the_file() {
        let text = "[serving]\nqueue = 7\n[agent]\nstate = \"/srv/v\"";
        let variables = [("VIGIE_SERVING_QUEUE", "9"), ("VIGIE_AGENT_DEVICE", "cuda:1")];
        let config = load(text, &variables).expect("valid");
        assert_eq!((config.serving.queue, config.agent.device.as_str()), (9, "cuda:1"));
    }

    #[test]
    fn errors_say_where() {
        for (text, variables, expected) in [
            ("[serving]\nqeue = 7", &[][..], "line 2, column 1"),
            ("[serving]\nqueue = 0", &[], "serving.queue is 0: it must be 1 to 100000"),
            ("[agent]\ndevice = \"gpu\"", &[], "it must be cpu or cuda:N"),
            ("", &[("VIGIE_SERVING_QUEUE", "many")], "VIGIE_SERVING_QUEUE: \"many\" is not a TOML value"),
            ("", &[("VIGIE_SERVING_QUEUE", "-1")], "VIGIE_SERVING_QUEUE"),
            ("[sources]\nattempts = 0", &[], "sources.attempts is 0: it must be 1 to 100"),
            ("[sources]\nkaggle_url = \"http://example.org\"", &[], "it must begin with https://"),
            ("[sources]\nkaggle_url = \"http://localhost.evil.org\"", &[], "it must begin with https://"),
        ] {
            let error = load(text, variables).expect_err(text);
            assert!(error.contains(expected), "{error:?} lacks {expected:?}");
        }
    }

    #[test]
    fn the_shipped_file_holds_the_defaults() {
        let text = include_str!("../../configs/agent.toml");
        assert_eq!(toml::from_str::<Config>(text).expect("valid"), Config::default());
    }
}
