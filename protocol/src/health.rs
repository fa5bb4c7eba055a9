//! How an agent and its parts are.

use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::prediction::LogHealth;
use crate::{AgentId, Time};

/// How one service of an agent is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ServiceState {
    /// Works.
    Up,
    /// Comes up.
    Starting,
    /// Works, with a fault someone should see.
    Degraded,
    /// Does not work.
    Down,
    /// Not configured on this machine.
    Off,
    /// A state this build does not know.
    #[serde(other)]
    Unknown,
}

impl ServiceState {
    /// The word used on screens.
    pub fn as_str(self) -> &'static str {
        match self {
            ServiceState::Up => "up",
            ServiceState::Starting => "starting",
            ServiceState::Degraded => "degraded",
            ServiceState::Down => "down",
            ServiceState::Off => "off",
            ServiceState::Unknown => "unknown",
        }
    }
}

/// One service and its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServiceHealth {
    /// `store`, `jobs`, `serving:birds`, `prediction-log`, `telemetry`.
    pub name: String,
    /// Its state.
    pub state: ServiceState,
    /// Since when it has been in that state.
    pub since: Time,
    /// What it has to say: a reason, a figure.
    #[serde(default)]
    pub detail: String,
}

/// The machine.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HostStats {
    /// Its name.
    pub hostname: String,
    /// Logical cores.
    pub cores: u32,
    /// Busy share of all cores, 0–1.
    pub cpu: f32,
    /// One-minute load average.
    pub load1: f64,
    /// Bytes of memory.
    pub memory_total: u64,
    /// Of which in use.
    pub memory_used: u64,
    /// Bytes of the file system that holds the state directory.
    pub disk_total: u64,
    /// Of which free.
    pub disk_free: u64,
    /// Resident bytes of the agent itself.
    pub agent_memory: u64,
}

/// One GPU.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct GpuStats {
    /// Its index: the `0` of `cuda:0`.
    pub index: u32,
    /// Its name.
    pub name: String,
    /// Busy share, 0–1.
    pub busy: f32,
    /// Bytes of memory.
    pub memory_total: u64,
    /// Of which in use.
    pub memory_used: u64,
    /// Degrees Celsius.
    pub temperature: u32,
    /// Watts.
    pub power: f32,
}

/// The colour in which consoles show an environment. They never show it without its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EnvironmentColour {
    /// For where mistakes cost most.
    Red,
    /// Yellow.
    Yellow,
    /// Green.
    Green,
    /// Blue.
    Blue,
    /// Magenta.
    Magenta,
    /// Cyan.
    Cyan,
    /// No colour of its own.
    #[default]
    None,
    /// A colour this build does not know; shown like none.
    #[serde(other)]
    Unknown,
}

impl EnvironmentColour {
    /// Every colour that can be given.
    pub const ALL: [EnvironmentColour; 7] = [
        EnvironmentColour::Red,
        EnvironmentColour::Yellow,
        EnvironmentColour::Green,
        EnvironmentColour::Blue,
        EnvironmentColour::Magenta,
        EnvironmentColour::Cyan,
        EnvironmentColour::None,
    ];

    /// The word used in configuration.
    pub fn as_str(self) -> &'static str {
        match self {
            EnvironmentColour::Red => "red",
            EnvironmentColour::Yellow => "yellow",
            EnvironmentColour::Green => "green",
            EnvironmentColour::Blue => "blue",
            EnvironmentColour::Magenta => "magenta",
            EnvironmentColour::Cyan => "cyan",
            EnvironmentColour::None => "none",
            EnvironmentColour::Unknown => "unknown",
        }
    }
}

impl FromStr for EnvironmentColour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        EnvironmentColour::ALL.into_iter().find(|colour| colour.as_str() == text).ok_or_else(|| {
            format!("{text:?} is not a colour; they are red, yellow, green, blue, magenta, cyan, none")
        })
    }
}

/// What an agent is for, so that nobody takes production for a playground. It comes from the agent's
/// own configuration, never from that of whoever looks at it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Environment {
    /// `production`, `staging`: 1–32 printable characters.
    pub name: String,
    /// In which colour it is shown.
    #[serde(default)]
    pub colour: EnvironmentColour,
}

/// How an agent is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AgentHealth {
    /// Which agent.
    pub agent: AgentId,
    /// What it is for; absent when its configuration does not say.
    #[serde(default)]
    pub environment: Option<Environment>,
    /// Its build.
    pub version: String,
    /// When it started.
    pub started: Time,
    /// Its clock now.
    pub now: Time,
    /// Where its state lies.
    pub state_dir: String,
    /// What it computes on: `cpu`, `cuda:0`.
    pub device: String,
    /// Its services.
    pub services: Vec<ServiceHealth>,
    /// The machine, as last sampled.
    pub host: HostStats,
    /// Its GPUs; empty when there are none or no driver answers.
    #[serde(default)]
    pub gpus: Vec<GpuStats>,
    /// The prediction log.
    #[serde(default)]
    pub prediction_log: LogHealth,
}

/// One finding of the agent's self-check.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// What was checked.
    pub check: String,
    /// How it stands: `up` is well, `degraded` wants a look, `down` wants action.
    pub state: ServiceState,
    /// What was found.
    pub detail: String,
    /// What to do about it.
    #[serde(default)]
    pub hint: Option<String>,
}
