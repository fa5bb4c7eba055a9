//! A simulated fleet: scripted agents that speak the real protocol over memory.
//!
//! Two hundred agents with a million predictions cost a few megabytes: predictions, images, passports
//! are computed from a seed when somebody looks. Nothing reads a clock or draws lots, so that two runs
//! of one test see the same fleet: time passes when [`Fleet::tick`] says so, and delays are tokio's,
//! which a test may pause.
//!
//! ```
//! # use std::time::Duration;
//! # use vigie_protocol::service::Empty;
//! # use vigie_protocol::wire::client::{AgentClient, ClientOptions};
//! # use vigie_tests::fleet::{Fleet, FleetOptions};
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), vigie_protocol::ApiError> {
//! let fleet = Fleet::new(&FleetOptions { agents: 3, ..FleetOptions::default() });
//! let client = AgentClient::with_dialer(fleet.dialer(0), ClientOptions::new("test"));
//! fleet.agent(0).latency(Duration::from_millis(40));
//! let health = client.call(|c, ctx| async move { c.health(ctx, Empty {}).await }).await?;
//! assert_eq!(health.now, fleet.now());
//! fleet.tick(Duration::from_secs(60));
//! # Ok(()) }
//! ```
//!
//! What it is not: a second agent. Jobs take their time and leave plausible rows, no image is learnt
//! from; a job's log counts its offsets in lines; of events, ended jobs and runs the newest few hundred
//! are kept, so that memory is flat however long the simulation runs.

mod agent;
mod clock;
mod dice;
mod line;
mod parts;
mod pictures;
mod session;
mod state;
mod words;
mod world;

use std::sync::Arc;
use std::time::Duration;

use vigie_protocol::wire::client::Dialer;
use vigie_protocol::{ProjectName, Time};

pub use agent::SimAgent;
pub use clock::{Skew, start};

use clock::Clock;
use state::Character;
use world::World;

/// The build that agents say they are, unless a test says otherwise.
const VERSION: &str = "0.1.0";

/// Time passes in steps of this size at most: what happens in one of them happens at its end.
const STEP: Duration = Duration::from_secs(5);

/// What a fleet is made of.
#[derive(Clone, Debug)]
pub struct FleetOptions {
    /// How many agents.
    pub agents: usize,
    /// How many predictions all their logs hold together at the start. The first agent has half of
    /// them: one long list among many short ones.
    pub predictions: u64,
    /// Everything that looks like chance comes from here.
    pub seed: u64,
    /// The projects of every agent.
    pub projects: Vec<ProjectOptions>,
    /// What the clock shows at first.
    pub begins: Time,
}

/// A project of every agent.
#[derive(Clone, Debug)]
pub struct ProjectOptions {
    /// Its name.
    pub name: ProjectName,
    /// How many classes it has, at least 2.
    pub classes: usize,
}

impl ProjectOptions {
    /// A project of so many classes.
    ///
    /// # Panics
    /// When `name` is none that a project may have.
    pub fn new(name: &str, classes: usize) -> Self {
        Self { name: name.parse().expect("a test names its projects as projects may be named"), classes }
    }
}

impl Default for FleetOptions {
    /// 200 agents, 1,000,000 predictions, a project of 525 classes and one of 6.
    fn default() -> Self {
        Self {
            agents: 200,
            predictions: 1_000_000,
            seed: 1,
            projects: vec![ProjectOptions::new("birds", 525), ProjectOptions::new("products", 6)],
            begins: start(),
        }
    }
}

/// The agents and their clock.
#[derive(Debug)]
pub struct Fleet {
    agents: Vec<SimAgent>,
    clock: Clock,
    world: Arc<World>,
}

impl Fleet {
    /// Makes the fleet. Agents answer from the first dial on.
    ///
    /// Agents differ by their number, the same way in each sixteen: 1, 6 and 11 have GPUs, on 3, 7 and
    /// 14 nothing goes on, the disk of 5 is full, on 10 services are down, and 13 was just installed;
    /// on 7 and 15 the second project has no production model.
    ///
    /// # Panics
    /// With more than 10,000 agents or 60 projects: their numbers are part of identities.
    pub fn new(options: &FleetOptions) -> Self {
        assert!(
            options.agents <= 10_000 && options.projects.len() <= 60,
            "identities have no room for so many"
        );
        let (world, clock) = (Arc::new(World::new(options)), Clock::new(options.begins));
        let shares = shares(options.agents, options.predictions);
        let agent = |(index, predictions)| SimAgent::new(&world, &clock, index, predictions);
        let agents = (0..).zip(shares).map(agent).collect();
        Self { agents, clock, world }
    }

    /// How the agents are called, by number: `agent-000`, `agent-001` …
    pub fn names(&self) -> Vec<String> {
        self.agents.iter().map(|agent| agent.name().to_owned()).collect()
    }

    /// The agent of that number.
    ///
    /// # Panics
    /// When there are not so many.
    pub fn agent(&self, number: usize) -> &SimAgent {
        &self.agents[number]
    }

    /// Every agent, by number.
    pub fn agents(&self) -> &[SimAgent] {
        &self.agents
    }

    /// What reaches the agent of that number, again and again.
    ///
    /// # Panics
    /// When there are not so many agents.
    pub fn dialer(&self, number: usize) -> Dialer {
        self.agent(number).dialer()
    }

    /// What the clock shows; agents whose clock is skewed show something else.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Lets time pass: jobs go on, epochs end, predictions come in, services falter. Agents that were
    /// killed do nothing meanwhile.
    pub fn tick(&self, span: Duration) {
        let mut left = span;
        while !left.is_zero() {
            let step = left.min(STEP);
            self.clock.advance(step);
            self.agents.iter().for_each(|agent| agent.live(step));
            left -= step;
        }
    }

    /// Makes what is made when it is first needed (the pictures: some tens of milliseconds), so that
    /// nobody who measures pays for it.
    pub fn warm(&self) {
        for project in &self.world.projects {
            project.pictures();
        }
    }
}

/// How many predictions each agent has. Those that were just installed have none.
fn shares(agents: usize, predictions: u64) -> Vec<u64> {
    let has = |index: &u64| Character::of(*index) != Character::Fresh;
    let indices = (0..).take(agents);
    let others = indices.clone().filter(has).count().saturating_sub(1) as u64;
    let each = (predictions / 2).checked_div(others).unwrap_or(0);
    let share = |index| match index {
        0 => predictions - each * others,
        index if has(&index) => each,
        _ => 0,
    };
    indices.map(share).collect()
}
