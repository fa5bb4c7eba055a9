//! Effects carried out: each a task of its own with a time limit, its outcome an event.

mod change;
mod fetch;

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::runtime::Handle;
use tokio::sync::{Semaphore, mpsc};
use vigie_protocol::wire::blobs;
use vigie_protocol::wire::client::AgentClient;
use vigie_protocol::{ApiError, ErrorCode, Hash, Time};

use super::collect::Clock;
use super::effect::{Change, Effect, Ticket};
use super::event::Event;
use super::pictures::{self, Album, Encoded, Limits, Medium};
use super::run::Told;
use super::state::{AgentIndex, Cells, OrderOf, State};
use super::{table, views};

/// Questions to one agent at a time, and changes besides: one that is slow must not hold more than this.
const AT_ONCE: usize = 8;
/// Pictures of one agent at a time, besides the questions: they are large, and a link is narrow.
const PICTURES_AT_ONCE: usize = 4;
/// The largest picture that is fetched.
const LARGEST_PICTURE: u64 = 64 << 20;

/// What the loop itself has to do.
#[derive(Debug)]
pub enum Outside {
    /// Put a text on the clipboard, through the terminal.
    Copy(String),
    /// Write the recorded events to a file.
    Dump,
    /// Listen to the mouse, or not.
    Mouse(bool),
    /// Draw everything anew.
    Repaint,
    /// Give the terminal back for a while.
    Suspend,
    /// End.
    Quit,
}

/// Carries effects out.
pub struct Performer {
    runtime: Handle,
    agents: Vec<Agent>,
    events: mpsc::Sender<Told>,
    album: Arc<Mutex<Album>>,
    medium: Medium,
    clock: Clock,
    /// The newest order that was asked for: its screen and its number there.
    orders: Arc<Newest>,
}

struct Agent {
    client: AgentClient,
    rooms: Rooms,
    /// Words on images, which go one after another.
    labels: mpsc::Sender<Word>,
}

/// Who may talk to an agent at a time. A change waits for neither questions nor pictures: a rollback
/// may be one.
struct Rooms {
    questions: Arc<Semaphore>,
    changes: Arc<Semaphore>,
    pictures: Arc<Semaphore>,
}

impl Default for Rooms {
    fn default() -> Self {
        let [questions, changes, pictures] =
            [AT_ONCE, AT_ONCE, PICTURES_AT_ONCE].map(|many| Arc::new(Semaphore::new(many)));
        Self { questions, changes, pictures }
    }
}

/// Which order was asked for last.
#[derive(Default)]
struct Newest {
    screen: AtomicU64,
    number: AtomicU64,
}

impl Newest {
    fn ask(&self, screen: u64) -> u64 {
        self.screen.store(screen, Ordering::SeqCst);
        self.number.fetch_add(1, Ordering::SeqCst) + 1
    }

    fn supersedes(&self, screen: u64, number: u64) -> bool {
        self.number.load(Ordering::SeqCst) > number && self.screen.load(Ordering::SeqCst) == screen
    }
}
/// A request that says what images show, and the name of its outcome.
type Word = (Ticket, Box<Change>);

/// Words that may wait for a slow link: more than anybody says while a link is given up.
const WORDS: usize = 1_024;

impl Performer {
    /// For these agents; outcomes go to `events`, pictures into `album`.
    pub fn new(
        runtime: Handle,
        clients: Vec<AgentClient>,
        events: mpsc::Sender<Told>,
        album: Arc<Mutex<Album>>,
        medium: Medium,
        clock: Clock,
    ) -> Self {
        let agent = |client: AgentClient| {
            let (labels, words) = mpsc::channel(WORDS);
            runtime.spawn(say(client.clone(), words, events.clone(), Arc::clone(&clock)));
            Agent { client, rooms: Rooms::default(), labels }
        };
        let agents = clients.into_iter().map(agent).collect();
        Self { runtime, agents, events, album, medium, clock, orders: Arc::default() }
    }

    /// Carries an effect out, or hands it back when only the loop can.
    pub fn perform(&self, effect: Effect, state: &State) -> Option<Outside> {
        match effect {
            Effect::Fetch { want, cursor } => {
                let query = want.query.clone();
                self.call(
                    want.agent,
                    |rooms| &rooms.questions,
                    move |client| async move { fetch::fetch(&client, query, cursor).await },
                    move |at, answer| Event::Fetched { want, at, answer },
                );
            }
            Effect::Change { ticket, agent, change } if matches!(&*change, Change::Ask(request) if request.is_label()) =>
            {
                self.say(agent, (ticket, change));
            }
            Effect::Change { ticket, agent, change } => {
                self.call(
                    agent,
                    |rooms| &rooms.changes,
                    move |client| async move { change::carry_out(&client, *change).await },
                    move |at, outcome| Event::Done { ticket, at, outcome },
                );
            }
            Effect::Order(of) => self.order(of, state.clone()),
            Effect::Picture { agent, image, cells } => self.picture(agent, image, cells),
            Effect::Save { name, text } => self.save(name, text),
            Effect::Reconnect(agent) => {
                if let Some(found) = self.agents.get(agent.0 as usize) {
                    found.client.reconnect_now();
                }
            }
            Effect::Copy(text) => return Some(Outside::Copy(text)),
            Effect::Dump => return Some(Outside::Dump),
            Effect::Mouse(on) => return Some(Outside::Mouse(on)),
            Effect::Repaint => return Some(Outside::Repaint),
            Effect::Suspend => return Some(Outside::Suspend),
            Effect::Quit => return Some(Outside::Quit),
        }
        None
    }

    /// Calls an agent in a task, once there is room; what comes of it becomes an event.
    fn call<T, Fut>(
        &self,
        agent: AgentIndex,
        room: impl FnOnce(&Rooms) -> &Arc<Semaphore>,
        work: impl FnOnce(AgentClient) -> Fut + Send + 'static,
        event: impl FnOnce(Time, Result<T, ApiError>) -> Event + Send + 'static,
    ) where
        T: Send + 'static,
        Fut: Future<Output = Result<T, ApiError>> + Send,
    {
        let Some(Agent { client, rooms, .. }) = self.agents.get(agent.0 as usize) else { return };
        let (client, room, events) = (client.clone(), Arc::clone(room(rooms)), self.events.clone());
        let clock = Arc::clone(&self.clock);
        self.runtime.spawn(async move {
            // Closed it never is: whoever waits here gets in, or the console ends.
            let _room = room.acquire_owned().await;
            let outcome = work(client).await;
            // Nobody listens any more only when the console ends.
            let _ = events.send(Told::Event(event(clock(), outcome))).await;
        });
    }

    /// Queues a word for its agent.
    fn say(&self, agent: AgentIndex, word: Word) {
        let Some(found) = self.agents.get(agent.0 as usize) else { return };
        let ticket = word.0;
        if found.labels.try_send(word).is_err() {
            let error = ApiError::new(ErrorCode::Overloaded, "too many answers wait for the link");
            let outcome = Event::Done { ticket, at: (self.clock)(), outcome: Err(error) };
            let events = self.events.clone();
            self.runtime.spawn(async move {
                let _ = events.send(Told::Event(outcome)).await;
            });
        }
    }

    /// Filters and sorts on a thread that may take its time, and gives up when the same screen wants
    /// another order: whoever types a filter asks with each key. The state is a cheap copy.
    fn order(&self, of: OrderOf, state: State) {
        let (events, orders) = (self.events.clone(), Arc::clone(&self.orders));
        let mine = orders.ask(of.screen);
        self.runtime.spawn_blocking(move || {
            let superseded = || orders.supersedes(of.screen, mine);
            let order = match views::table(&state) {
                Some(table) => table::order(&table, &of, superseded),
                None => return,
            };
            let Ok(order) = order else { return };
            let order = order.unwrap_or_else(|| (0..of.rows as u32).collect());
            let _ = events.blocking_send(Told::Event(Event::Ordered { of, order: Arc::new(order) }));
        });
    }

    fn picture(&self, agent: AgentIndex, image: Hash, cells: Cells) {
        let Some(found) = self.agents.get(agent.0 as usize) else { return };
        let (client, room) = (found.client.clone(), Arc::clone(&found.rooms.pictures));
        let (events, album) = (self.events.clone(), Arc::clone(&self.album));
        let medium = self.medium;
        self.runtime.spawn(async move {
            let _room = room.acquire_owned().await;
            let made = match blobs::fetch(&client, image, LARGEST_PICTURE).await {
                // Decoding is work: not on the threads that talk to agents.
                Ok(bytes) => tokio::task::spawn_blocking(move || make(&bytes, &medium, cells))
                    .await
                    .unwrap_or_else(|_| Err("the picture could not be decoded".to_owned())),
                Err(error) => Err(error.message),
            };
            let error = made.as_ref().err().cloned();
            let key = pictures::Key { image, kind: medium.kind, cells };
            let gone = album.lock().unwrap_or_else(PoisonError::into_inner).fill(key, made);
            let gone = gone.into_iter().map(|key| (key.image, key.cells)).collect();
            let _ = events.send(Told::Event(Event::Picture { image, cells, error, gone })).await;
        });
    }

    /// Writes a file that does not exist yet; a number makes the name free.
    fn save(&self, name: String, text: String) {
        let events = self.events.clone();
        self.runtime.spawn_blocking(move || {
            let saved = super::record::write_new(&name, text.as_bytes());
            let (text, bad) = match saved {
                Ok(path) => (format!("wrote {}", path.display()), false),
                Err(error) => (format!("cannot write {name}: {error}"), true),
            };
            let _ = events.blocking_send(Told::Event(Event::Note { text, bad }));
        });
    }
}

/// Says what images show, one word after another, until the console ends.
async fn say(client: AgentClient, mut words: mpsc::Receiver<Word>, events: mpsc::Sender<Told>, clock: Clock) {
    while let Some((ticket, change)) = words.recv().await {
        let outcome = change::carry_out(&client, *change).await;
        let _ = events.send(Told::Event(Event::Done { ticket, at: clock(), outcome })).await;
    }
}

/// From a file's bytes to what the terminal shows.
fn make(bytes: &[u8], medium: &Medium, cells: Cells) -> Result<Encoded, String> {
    let decoded = pictures::decode(bytes, &Limits::default()).map_err(|error| error.to_string())?;
    pictures::encode(&decoded, medium, cells).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests;
