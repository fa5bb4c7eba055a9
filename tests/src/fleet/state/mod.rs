//! What one simulated agent knows and does. No sockets, no clock of its own: whoever asks sets the
//! time, and answers come at once.
//!
//! One file a noun, as in the service. Lists are paged, changes carried out once, jobs wait for each
//! other as with the real agent; the words of errors and events are the real ones too.

mod aliases;
mod blobs;
mod datasets;
mod diffs;
mod engine;
mod events;
mod health;
mod history;
mod hub;
mod jobs;
mod labelling;
mod labels;
mod life;
mod log;
mod models;
mod once;
mod outcome;
mod page;
mod past_jobs;
mod past_sources;
mod predictions;
mod projects;
mod refusal;
mod review;
mod rules;
mod runs;
mod schedules;
mod source;
mod sources;
mod work;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::Arc;

use vigie_protocol::service::AuditEntry;
use vigie_protocol::{AgentId, ProjectName, Time};

use super::dice::{mix, uuid};
use super::world::World;

/// Which agent of the fleet it is, and what for a machine.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    pub(super) index: u64,
    /// What the fleet calls it.
    pub(super) name: String,
    pub(super) id: AgentId,
    pub(super) seed: u64,
    pub(super) character: Character,
}

/// What kind of machine an agent runs on, and how it fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Character {
    /// Everything is in order, and much is going on.
    Busy,
    /// Nothing goes on.
    Quiet,
    /// Two GPUs.
    Gpu,
    /// Its disk is nearly full.
    Full,
    /// One of its services does not work.
    Broken,
    /// Just installed: no project, no job.
    Fresh,
}

impl Character {
    /// Agents differ by turns; the first is a busy one.
    pub(super) fn of(index: u64) -> Self {
        match index % 16 {
            1 | 6 | 11 => Character::Gpu,
            3 | 7 | 14 => Character::Quiet,
            5 => Character::Full,
            10 => Character::Broken,
            13 => Character::Fresh,
            _ => Character::Busy,
        }
    }

    /// The device that jobs of this machine run on.
    pub(super) fn device(self) -> &'static str {
        if self == Character::Gpu { "cuda:0" } else { "cpu" }
    }
}

/// Everything that changes.
pub(super) struct State {
    pub(super) identity: Identity,
    world: Arc<World>,
    /// This agent's clock, as of the call that goes on.
    pub(super) now: Time,
    started: Time,
    made: u64,
    starts: u64,
    version: String,
    hub: hub::Hub,
    events: events::Events,
    receipts: once::Receipts,
    audit: VecDeque<AuditEntry>,
    projects: BTreeMap<ProjectName, projects::InState>,
    jobs: jobs::Jobs,
    services: BTreeMap<String, vigie_protocol::health::ServiceHealth>,
    schedules: schedules::Schedules,
    blobs: blobs::Store,
    backups: BTreeSet<String>,
    life: life::Life,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State").field("identity", &self.identity).finish_non_exhaustive()
    }
}

impl State {
    /// An agent with a past, `predictions` among it.
    pub(super) fn new(world: Arc<World>, identity: Identity, now: Time, predictions: u64) -> Self {
        let mut state = Self {
            world,
            now,
            started: now,
            made: 0,
            starts: 1,
            version: super::VERSION.to_owned(),
            hub: hub::Hub::new(epoch(&identity, 1)),
            events: events::Events::default(),
            receipts: once::Receipts::default(),
            audit: VecDeque::new(),
            projects: BTreeMap::new(),
            jobs: jobs::Jobs::default(),
            services: BTreeMap::new(),
            schedules: schedules::Schedules::default(),
            blobs: blobs::Store::default(),
            backups: BTreeSet::new(),
            life: life::Life::new(identity.seed, now),
            identity,
        };
        state.remember(predictions);
        state
    }

    /// Bits that no call before this one got.
    fn fresh_bits(&mut self) -> u64 {
        self.made += 1;
        mix(self.identity.seed ^ 0x1d, self.made)
    }

    /// An identity of the time `at` that no other row has.
    fn fresh_id<T: From<uuid::Uuid>>(&mut self, at: Time) -> T {
        uuid(at, self.fresh_bits()).into()
    }

    /// This start of the agent: random-looking, and another after every restart.
    pub(super) fn epoch(&self) -> u64 {
        self.hub.newest().epoch
    }

    /// The build that the agent says it is.
    pub(super) fn set_version(&mut self, version: &str) {
        version.clone_into(&mut self.version);
    }

    pub(super) fn version(&self) -> &str {
        &self.version
    }

    /// The clock jumps: what comes from now on is stamped by the new time.
    pub(super) fn set_clock(&mut self, now: Time) {
        for project in self.projects.values_mut() {
            if let Some(model) = project.log.model() {
                project.log.end(self.now);
                project.log.begin(now, model);
            }
        }
        self.now = now;
    }

    /// The agent ends, from one moment to the next.
    pub(super) fn ends(&mut self) {
        for project in self.projects.values_mut() {
            project.log.end(self.now);
        }
        self.blobs.forget_uploads();
    }

    /// The agent starts again on what is durable.
    pub(super) fn starts(&mut self) {
        self.starts += 1;
        self.started = self.now;
        self.hub.restart(epoch(&self.identity, self.starts));
        self.take_up_jobs();
        self.serve_again();
        self.agent_event("the agent started");
    }
}

/// Random for each start; zero never, so that tests may use it for nobody's.
fn epoch(identity: &Identity, starts: u64) -> u64 {
    mix(identity.seed ^ 0xe, starts) >> 1 | 1
}
