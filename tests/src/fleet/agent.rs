//! One simulated agent as a test handles it: what reaches it, and what goes wrong with it.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::io::{DuplexStream, copy_bidirectional, duplex};
use tokio::task::AbortHandle;
use tokio::time::sleep;
use vigie_protocol::access::Role;
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::wire::client::{Dialed, Dialer};
use vigie_protocol::wire::unix::Listener;
use vigie_protocol::{AgentId, ApiError, ErrorCode, Time};

use super::clock::{Clock, Skew};
use super::dice::{mix, uuid};
use super::line::{BUFFER, Conditions, carry};
use super::session;
use super::state::{Character, Identity, State};
use super::world::World;

/// One agent of a [`super::Fleet`]. Clones are the same agent. Faults take effect at once, and last
/// until they are taken back.
#[derive(Clone, Debug)]
pub struct SimAgent(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    name: String,
    id: AgentId,
    clock: Clock,
    /// How far its clock is ahead, in microseconds.
    skew: AtomicI64,
    state: Mutex<State>,
    conditions: Conditions,
    door: Mutex<Door>,
    dials: AtomicU64,
    asked: Mutex<BTreeMap<&'static str, u64>>,
}

/// Who gets in, and what becomes of them.
#[derive(Debug)]
pub(super) struct Door {
    listens: bool,
    pub(super) refusal: Option<ApiError>,
    pub(super) role: Role,
    /// Methods that this build of the agent does not have.
    pub(super) lacking: BTreeSet<String>,
    lost: Vec<Lost>,
    connections: Vec<AbortHandle>,
}

/// Answers that will not arrive.
#[derive(Debug)]
struct Lost {
    /// To which method; to any when absent.
    method: Option<String>,
    left: u32,
}

impl Door {
    fn drop_connections(&mut self) {
        self.connections.drain(..).for_each(|connection| connection.abort());
    }
}

impl SimAgent {
    pub(super) fn new(world: &Arc<World>, clock: &Clock, index: u64, predictions: u64) -> Self {
        let seed = mix(world.seed ^ 0xa9e7, index);
        let identity = Identity {
            index,
            name: format!("agent-{index:03}"),
            id: uuid(clock.now(), seed).into(),
            seed,
            character: Character::of(index),
        };
        let (name, id) = (identity.name.clone(), identity.id);
        let state = State::new(Arc::clone(world), identity, clock.now(), predictions);
        let door = Door {
            listens: true,
            refusal: None,
            role: Role::Admin,
            lacking: BTreeSet::new(),
            lost: Vec::new(),
            connections: Vec::new(),
        };
        Self(Arc::new(Shared {
            name,
            id,
            clock: clock.clone(),
            skew: AtomicI64::new(0),
            state: Mutex::new(state),
            conditions: Conditions::new(seed),
            door: Mutex::new(door),
            dials: AtomicU64::new(0),
            asked: Mutex::default(),
        }))
    }

    /// Its name in the fleet.
    pub fn name(&self) -> &str {
        &self.0.name
    }

    /// Its identity, the same over restarts.
    pub fn id(&self) -> AgentId {
        self.0.id
    }

    /// This start of the agent.
    pub fn epoch(&self) -> u64 {
        self.state().epoch()
    }

    /// What its clock shows.
    pub fn now(&self) -> Time {
        let skew = self.0.skew.load(Ordering::SeqCst);
        Time::from_micros(self.0.clock.now().as_micros().saturating_add(skew))
    }

    /// What reaches it, again and again.
    pub fn dialer(&self) -> Dialer {
        let agent = self.clone();
        Dialer::new(move || {
            let agent = agent.clone();
            async move { agent.dial().await }
        })
    }

    /// How often somebody tried to connect.
    pub fn dials(&self) -> u64 {
        self.0.dials.load(Ordering::SeqCst)
    }

    /// How often a method was called.
    pub fn asked(&self, method: &str) -> u64 {
        lock(&self.0.asked).get(method).copied().unwrap_or(0)
    }

    /// Everything that is sent takes so long, in each direction. Zero at first.
    pub fn latency(&self, latency: Duration) {
        self.0.conditions.set_latency(latency);
    }

    /// Everything that is sent takes up to so much longer. Zero at first.
    pub fn jitter(&self, jitter: Duration) {
        self.0.conditions.set_jitter(jitter);
    }

    /// Bytes stop flowing in both directions; connections stay open, and dialing still succeeds.
    pub fn stall(&self) {
        self.0.conditions.set_flowing(false);
    }

    /// Bytes flow again, those that were under way first.
    pub fn resume(&self) {
        self.0.conditions.set_flowing(true);
    }

    /// The agent ends as by SIGKILL: connections break, and nobody answers who dials.
    pub fn kill(&self) {
        let mut door = self.door();
        if door.listens {
            door.listens = false;
            self.state().ends();
        }
        door.drop_connections();
    }

    /// The agent ends, if it had not, and starts again: under another epoch, with what was durable.
    pub fn restart(&self) {
        self.kill();
        self.state().starts();
        self.door().listens = true;
    }

    /// Everybody is turned away with this error, those who are connected too.
    pub fn refuse(&self, error: ApiError) {
        let mut door = self.door();
        door.refusal = Some(error);
        door.drop_connections();
    }

    /// Nobody is turned away any more.
    pub fn admit(&self) {
        self.door().refusal = None;
    }

    /// Callers have this role from now on; those who are connected must connect again. Admin at first.
    pub fn role(&self, role: Role) {
        let mut door = self.door();
        door.role = role;
        door.drop_connections();
    }

    /// Its clock is wrong by this much from now on, as if somebody had set it. What was stamped before
    /// stays as it is.
    pub fn skew(&self, by: Duration, direction: Skew) {
        let micros = i64::try_from(by.as_micros()).unwrap_or(i64::MAX);
        let skew = match direction {
            Skew::Ahead => micros,
            Skew::Behind => -micros,
        };
        let mut state = self.state();
        self.0.skew.store(skew, Ordering::SeqCst);
        state.set_clock(self.now());
    }

    /// The next `answers` do not arrive, whatever was asked (a watch counts too): it is done, and nobody
    /// hears of it.
    pub fn lose(&self, answers: u32) {
        self.door().lost.push(Lost { method: None, left: answers });
    }

    /// The next `answers` to this method do not arrive.
    pub fn lose_answers_to(&self, method: &str, answers: u32) {
        self.door().lost.push(Lost { method: Some(method.to_owned()), left: answers });
    }

    /// It is another build from now on, which lacks some methods; those who are connected must connect
    /// again.
    pub fn version(&self, build: &str, lacking: &[&str]) {
        self.state().set_version(build);
        let mut door = self.door();
        door.lacking = lacking.iter().map(|&method| method.to_owned()).collect();
        door.drop_connections();
    }

    /// Something happens that the agent itself has to tell.
    pub fn emit(&self, severity: Severity, text: &str) {
        self.state().event(None, severity, Subject::Agent, text);
    }

    /// Time passes, unless the agent was killed.
    pub(super) fn live(&self, span: Duration) {
        if self.door().listens {
            let now = self.now();
            lock(&self.0.state).live(span, now);
        }
    }

    /// What it knows, by its own clock.
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        let mut state = lock(&self.0.state);
        state.now = self.now();
        state
    }

    pub(super) fn door(&self) -> MutexGuard<'_, Door> {
        lock(&self.0.door)
    }

    /// Takes note of a call.
    pub(super) fn note_call(&self, method: &'static str) {
        *lock(&self.0.asked).entry(method).or_default() += 1;
    }

    /// Whether the answer to this method is one of those that do not arrive.
    pub(super) fn loses(&self, method: &str) -> bool {
        let mut door = self.door();
        let fits = |lost: &&mut Lost| lost.method.as_deref().is_none_or(|wanted| wanted == method);
        let Some(lost) = door.lost.iter_mut().find(fits) else { return false };
        lost.left = lost.left.saturating_sub(1);
        door.lost.retain(|lost| lost.left > 0);
        true
    }

    /// Lets whoever connects to a socket reach the agent; ends when the socket does.
    pub async fn listen(&self, socket: &Listener) {
        while let Ok((mut stream, _)) = socket.accept().await {
            let agent = self.clone();
            tokio::spawn(async move {
                let Ok(mut line) = agent.connect().await else { return };
                // Either end may leave as it likes.
                let _ = copy_bidirectional(&mut stream, &mut line).await;
            });
        }
    }

    async fn dial(&self) -> Result<Dialed, ApiError> {
        self.connect().await.map(Dialed::new)
    }

    async fn connect(&self) -> Result<DuplexStream, ApiError> {
        self.0.dials.fetch_add(1, Ordering::SeqCst);
        // There and back, as a connection is made.
        let trip = self.0.conditions.delay() + self.0.conditions.delay();
        if !trip.is_zero() {
            sleep(trip).await;
        }
        let mut door = self.door();
        if !door.listens {
            let text = format!("no agent listens on sim:{}", self.name());
            return Err(ApiError::new(ErrorCode::Unavailable, text)
                .with_hint("start vigie-agent, or name another agent with --agent"));
        }
        let ((console, near), (far, agent)) = (duplex(BUFFER), duplex(BUFFER));
        let line = self.clone();
        let carrying = tokio::spawn(async move { carry(near, far, &line.0.conditions).await });
        let serving = tokio::spawn(session::serve(self.clone(), agent));
        door.connections.retain(|connection| !connection.is_finished());
        door.connections.extend([carrying.abort_handle(), serving.abort_handle()]);
        Ok(console)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
