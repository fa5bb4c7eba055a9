//! What is known of each agent: the newest snapshot, whole, as its collector published it.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vigie_protocol::access::Role;
use vigie_protocol::event::Event;
use vigie_protocol::health::{AgentHealth, ServiceState};
use vigie_protocol::job::Job;
use vigie_protocol::model::Alias;
use vigie_protocol::project::Project;
use vigie_protocol::{ProjectName, Time};

/// Which agent: its place in the fleet, the same for the life of the console.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct AgentIndex(pub u32);

/// Data older than this is dimmed and not trusted.
pub const STALE: Duration = Duration::from_secs(15);

/// Samples of an agent's serving that are kept: five minutes of them.
pub const RATES: usize = 60;

/// The agents.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Fleet {
    /// In the order of the configuration.
    pub agents: Vec<Agent>,
}

/// One agent as the console knows it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Agent {
    /// What the user calls it.
    pub name: String,
    /// Where it is.
    pub target: String,
    /// The group it was configured in.
    pub group: Option<String>,
    /// Whether the user wants it left alone, whatever the role allows.
    pub read_only: bool,
    /// The project that is usually meant.
    pub project: Option<ProjectName>,
    /// What is known.
    pub snapshot: Arc<Snapshot>,
    /// What arrived while the screen was frozen.
    pub held: Option<Arc<Snapshot>>,
    /// Predictions a second and their mean time, oldest first; nothing where no sample was had.
    pub rates: Vec<Option<Rate>>,
}

/// How an agent served between two looks.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rate {
    /// Predictions a second.
    pub per_second: f64,
    /// Mean time of one, in milliseconds; nothing when there was none.
    pub mean_ms: Option<f64>,
}

/// Everything that is known of an agent at one moment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Snapshot {
    /// How the link stands.
    pub link: Link,
    /// When the agent last answered anything.
    pub heard: Option<Time>,
    /// How it is.
    pub health: Option<AgentHealth>,
    /// Its projects.
    pub projects: Vec<Glance>,
    /// Jobs that are not over, then the newest of those that are.
    pub jobs: Vec<Job>,
    /// The newest events, newest first.
    pub events: Vec<Event>,
    /// Predictions ever counted in the hours looked at, and the sum of their times: two of these
    /// make a rate.
    pub served: Option<Served>,
    /// Events that happened since the terminal came up.
    pub happened: u64,
}

/// How many predictions were counted by when.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Served {
    /// By when.
    pub at: Time,
    /// In the hours from this one on.
    pub since: Time,
    /// How many.
    pub predictions: u64,
    /// The sum of their times, in microseconds.
    pub total_us: u64,
}

/// A project at a glance.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Glance {
    /// The project.
    pub project: Project,
    /// Who serves.
    pub aliases: Vec<Alias>,
    /// Predictions of each of the last 24 hours, oldest first, and the mean of their times in
    /// milliseconds.
    pub hours: Vec<HourGlance>,
}

/// One hour of serving.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct HourGlance {
    /// Predictions.
    pub predictions: u64,
    /// Mean time in milliseconds, if there was any.
    pub mean_ms: Option<f64>,
    /// Mean confidence, if there was any.
    pub confidence: Option<f64>,
}

/// How the link to an agent stands.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub enum Link {
    /// Being made.
    #[default]
    Connecting,
    /// There.
    Connected {
        /// The agent's build.
        version: String,
        /// What the agent lets this user do.
        role: Role,
        /// The methods it has.
        methods: Arc<Vec<String>>,
    },
    /// Lost, or never made.
    Waiting {
        /// When it is tried again.
        until: Time,
        /// What went wrong.
        reason: String,
    },
    /// Turned away.
    Refused {
        /// Why.
        reason: String,
        /// What to do.
        hint: Option<String>,
    },
}

impl Agent {
    /// An agent of which nothing is known yet.
    pub fn new(name: impl Into<String>, target: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            target: target.into(),
            group: None,
            read_only: false,
            project: None,
            snapshot: Arc::default(),
            held: None,
            rates: Vec::new(),
        }
    }

    /// Takes in what is known now.
    pub fn learn(&mut self, snapshot: Arc<Snapshot>) {
        let rate = match (&self.snapshot.served, &snapshot.served) {
            (Some(before), Some(now)) if now.at > before.at => Some(rate(before, now)),
            _ => None,
        };
        let looked = snapshot.served.is_some() && snapshot.served != self.snapshot.served;
        let lost = !snapshot.is_connected() && self.snapshot.is_connected();
        if looked || lost {
            self.rates.push(rate.flatten());
            let surplus = self.rates.len().saturating_sub(RATES);
            self.rates.drain(..surplus);
        }
        self.snapshot = snapshot;
    }

    /// How long ago the agent last answered; nothing when it never did.
    pub fn age(&self, now: Time) -> Option<Duration> {
        self.snapshot.heard.map(|heard| now.since(heard))
    }

    /// Whether what is shown of it is too old to trust.
    pub fn is_stale(&self, now: Time) -> bool {
        !self.snapshot.is_connected() || self.age(now).is_none_or(|age| age > STALE)
    }

    /// The environment that the agent says it is part of.
    pub fn environment(&self) -> Option<&vigie_protocol::health::Environment> {
        self.snapshot.health.as_ref()?.environment.as_ref()
    }

    /// The newest rate.
    pub fn rate(&self) -> Option<Rate> {
        self.rates.last().copied().flatten()
    }
}

/// The serving between two looks; nothing when the hours looked at are not the same.
fn rate(before: &Served, now: &Served) -> Option<Rate> {
    if before.since != now.since || now.predictions < before.predictions {
        return None;
    }
    let seconds = now.at.since(before.at).as_secs_f64();
    let predictions = now.predictions - before.predictions;
    let mean_ms = (predictions > 0)
        .then(|| now.total_us.saturating_sub(before.total_us) as f64 / predictions as f64 / 1_000.0);
    Some(Rate { per_second: predictions as f64 / seconds, mean_ms })
}

impl Snapshot {
    /// Whether the link is there.
    pub fn is_connected(&self) -> bool {
        matches!(self.link, Link::Connected { .. })
    }

    /// What the agent lets the user do; nothing without a link.
    pub fn role(&self) -> Role {
        match self.link {
            Link::Connected { role, .. } => role,
            Link::Connecting | Link::Waiting { .. } | Link::Refused { .. } => Role::Unknown,
        }
    }

    /// The project called so.
    pub fn project(&self, name: &ProjectName) -> Option<&Glance> {
        self.projects.iter().find(|glance| glance.project.name == *name)
    }

    /// The state of the service that is worst off; nothing before the agent said how it is.
    pub fn worst(&self) -> Option<ServiceState> {
        let rank = |state: &ServiceState| match state {
            ServiceState::Off => 0,
            ServiceState::Up => 1,
            ServiceState::Unknown => 2,
            ServiceState::Starting => 3,
            ServiceState::Degraded => 4,
            ServiceState::Down => 5,
        };
        let services = &self.health.as_ref()?.services;
        Some(services.iter().map(|service| service.state).max_by_key(rank).unwrap_or(ServiceState::Up))
    }
}

impl Fleet {
    /// One agent.
    pub fn get(&self, agent: AgentIndex) -> Option<&Agent> {
        self.agents.get(agent.0 as usize)
    }

    /// One agent, to be changed.
    pub fn get_mut(&mut self, agent: AgentIndex) -> Option<&mut Agent> {
        self.agents.get_mut(agent.0 as usize)
    }

    /// Every agent with its place.
    pub fn iter(&self) -> impl Iterator<Item = (AgentIndex, &Agent)> {
        self.agents.iter().enumerate().map(|(i, agent)| (AgentIndex(i as u32), agent))
    }

    /// The agent called so.
    pub fn find(&self, name: &str) -> Option<AgentIndex> {
        self.iter().find(|(_, agent)| agent.name == name).map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn served(at: i64, since: i64, predictions: u64, total_us: u64) -> Arc<Snapshot> {
        let (at, since) = (Time::from_micros(at * 1_000_000), Time::from_micros(since * 1_000_000));
        Arc::new(Snapshot {
            served: Some(Served { at, since, predictions, total_us }),
            ..Snapshot::default()
        })
    }

    #[test]
    fn two_looks_make_a_rate() {
        let mut agent = Agent::new("a", "unix:/a");
        for (snapshot, rate) in [
            (served(10, 0, 100, 1_000_000), None),
            (served(15, 0, 150, 1_500_000), Some((10.0, Some(10.0)))),
            (served(20, 0, 150, 1_500_000), Some((0.0, None))),
            // A new hour is looked at, then an agent that forgot: no rate can be said.
            (served(25, 3600, 10, 5), None),
            (served(30, 3600, 5, 5), None),
        ] {
            agent.learn(snapshot);
            assert_eq!(agent.rate().map(|rate| (rate.per_second, rate.mean_ms)), rate);
        }
        assert_eq!(agent.rates.len(), 5);
        for i in 0..1_000 {
            agent.learn(served(31 + i, 3600, 5, 5));
        }
        assert_eq!(agent.rates.len(), RATES);
    }
}
