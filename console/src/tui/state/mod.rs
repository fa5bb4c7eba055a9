//! All that the terminal UI knows. Cheap to clone (what is large is shared), and it can be written
//! down: a session is played back from a state and the events that followed.

mod clusters;
mod fleet;
mod labelling;
mod memo;
mod nav;
mod overlay;
mod store;

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vigie_protocol::model::AliasMove;
use vigie_protocol::{ApiError, Hash, ProjectName, Time};

pub use clusters::AtClusters;
pub use fleet::{Agent, AgentIndex, Fleet, Glance, HourGlance, Link, RATES, Rate, STALE, Served, Snapshot};
pub use labelling::{Desk, Done, Labelling, Question};
pub use memo::{At, Memo, Memos};
pub use nav::{Nav, OrderOf, Place, Screen, Shown, TableState, View};
pub use overlay::{
    Candidate, Field, Form, FormAction, Hand, Line, Menu, MenuAction, MenuItem, Overlay, Prompt, PromptKind,
};
pub use store::{Answer, Lines, MOST_ROWS, Query, Rows, Slot, Store, Want};

use super::effect::{Change, Ticket};
use super::key::Key;
use super::keymap::Keymap;
use super::pictures::Kind;
use super::theme::Theme;

/// How long a toast stays.
pub const TOAST: Duration = Duration::from_secs(6);
/// For how long a promotion made here can be taken back with one key.
pub const OFFER: Duration = Duration::from_secs(600);
/// Messages that are kept.
const MESSAGES: usize = 500;

/// The state of the terminal UI.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// The clock, as the newest event told it.
    pub now: Time,
    /// The terminal's size in cells.
    pub size: (u16, u16),
    /// How it looks.
    pub theme: Theme,
    /// Which keys do what.
    pub keymap: Keymap,
    /// The agents.
    pub fleet: Fleet,
    /// Which of them are looked at.
    pub scope: Scope,
    /// The project that project views are about when they are gone to by name.
    pub place: Option<Place>,
    /// Where the user is.
    pub nav: Nav,
    /// Data that views wanted.
    pub store: Store,
    /// What has the keys instead of the screen.
    pub overlay: Option<Overlay>,
    /// What was under the user's hand before that; nothing while nothing has the keys. Recordings of
    /// before there was such a thing lack it.
    #[serde(default)]
    pub hand: Option<Hand>,
    /// Keys pressed that begin a longer combination.
    pub pending: Vec<Key>,
    /// What was just said.
    pub toast: Option<Message>,
    /// All that was said, newest last.
    pub messages: Vec<Message>,
    /// Changes that agents were asked for and have not answered yet.
    pub asked: BTreeMap<Ticket, Asked>,
    /// A promotion that one key takes back.
    pub offer: Option<Offer>,
    /// The sitting of labelling. Recordings of before there were any lack it.
    #[serde(default)]
    pub labelling: Labelling,
    /// What became of pictures that were asked for, each for the room it was to be fitted into.
    pub pictures: BTreeMap<(Hash, Cells), PictureState>,
    /// How the terminal shows pictures.
    pub picture_kind: Kind,
    /// The commands that were typed, oldest first.
    pub history: Vec<String>,
    /// Whether the screen stands still.
    pub frozen: bool,
    /// Whether only rows with a fault are shown.
    pub faults_only: bool,
    /// Whether times are shown in UTC rather than in `zone`.
    pub utc: bool,
    /// The time zone of the user, by its IANA name.
    pub zone: String,
    /// Whether the mouse is listened to.
    pub mouse: bool,
    /// Whether the user wants nothing to be changed from here.
    pub read_only: bool,
    /// Rises whenever what is known of the fleet changes.
    pub revision: u64,
    /// What is made from all this, remembered.
    #[serde(skip)]
    pub memos: Memos,
    next_ticket: u64,
}

/// Room for a picture: cells across and down.
pub type Cells = (u16, u16);

/// Which agents are looked at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scope {
    /// All.
    All,
    /// Those of a group.
    Group(String),
    /// One.
    Agent(AgentIndex),
}

/// Something that was said to the user.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// When.
    pub at: Time,
    /// What.
    pub text: String,
    /// Whether something went wrong.
    pub bad: bool,
}

/// A change that an agent was asked for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Asked {
    /// Which agent.
    pub agent: AgentIndex,
    /// What.
    pub change: Change,
    /// When.
    pub since: Time,
}

/// A promotion made here that can be taken back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Offer {
    /// Where.
    pub place: Place,
    /// The move.
    pub moved: AliasMove,
    /// Until when.
    pub until: Time,
}

/// What became of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PictureState {
    /// It is on its way.
    Asked,
    /// It can be drawn.
    Ready,
    /// It had to make room for others that are looked at with it.
    Gone,
    /// It cannot be had.
    Failed(String),
}

impl State {
    /// A state in which nothing is known yet.
    pub fn new(now: Time, size: (u16, u16), theme: Theme, keymap: Keymap, fleet: Fleet) -> Self {
        Self {
            now,
            size,
            theme,
            keymap,
            fleet,
            scope: Scope::All,
            place: None,
            nav: Nav::new(View::Overview),
            store: Store::default(),
            overlay: None,
            hand: None,
            pending: Vec::new(),
            toast: None,
            messages: Vec::new(),
            asked: BTreeMap::new(),
            offer: None,
            labelling: Labelling::default(),
            pictures: BTreeMap::new(),
            picture_kind: Kind::None,
            history: Vec::new(),
            frozen: false,
            faults_only: false,
            utc: false,
            zone: "UTC".to_owned(),
            mouse: false,
            read_only: false,
            revision: 0,
            memos: Memos::default(),
            next_ticket: 0,
        }
    }

    /// What is looked at.
    pub fn screen(&self) -> &Screen {
        self.nav.top()
    }

    /// The agents that are looked at.
    pub fn in_scope(&self) -> impl Iterator<Item = (AgentIndex, &Agent)> {
        self.fleet.iter().filter(|(index, agent)| match &self.scope {
            Scope::All => true,
            Scope::Group(group) => agent.group.as_ref() == Some(group),
            Scope::Agent(one) => index == one,
        })
    }

    /// The project that views are about: that of the screen, else the last one gone to, else the first
    /// there is.
    pub fn place(&self) -> Option<Place> {
        if let Some(place) = self.screen().view.place() {
            return Some(place.clone());
        }
        let there = |place: &&Place| {
            self.fleet.get(place.agent).is_some_and(|agent| agent.snapshot.project(&place.project).is_some())
        };
        if let Some(place) = self.place.as_ref().filter(there) {
            return Some(place.clone());
        }
        self.in_scope().find_map(|(index, agent)| {
            let usual = agent.project.as_ref().and_then(|usual| agent.snapshot.project(usual));
            let glance = usual.or(agent.snapshot.projects.first())?;
            Some(Place { agent: index, project: glance.project.name.clone() })
        })
    }

    /// What is known of a project.
    pub fn glance(&self, place: &Place) -> Option<&Glance> {
        self.fleet.get(place.agent)?.snapshot.project(&place.project)
    }

    /// The name of an agent.
    pub fn agent_name(&self, agent: AgentIndex) -> &str {
        self.fleet.get(agent).map_or("?", |agent| &agent.name)
    }

    /// The place of a project on an agent.
    pub fn place_of(&self, agent: AgentIndex, project: &ProjectName) -> Place {
        Place { agent, project: project.clone() }
    }

    /// What came for a question about a place.
    pub fn answer(&self, agent: AgentIndex, query: Query) -> Option<&Answer> {
        self.store.answer(agent, query)
    }

    /// Says something to the user.
    pub fn say(&mut self, text: impl Into<String>, bad: bool) {
        let message = Message { at: self.now, text: text.into(), bad };
        self.messages.push(message.clone());
        let surplus = self.messages.len().saturating_sub(MESSAGES);
        self.messages.drain(..surplus);
        self.toast = Some(message);
    }

    /// Says what went wrong and what to do about it.
    pub fn complain(&mut self, what: &str, error: &ApiError) {
        let hint = error.hint.as_ref().map(|hint| format!(" ({hint})")).unwrap_or_default();
        self.say(format!("{what}: {error}{hint}"), true);
    }

    /// A name for the next request.
    pub fn ticket(&mut self) -> Ticket {
        self.next_ticket += 1;
        Ticket(self.next_ticket)
    }

    /// A moment as the user reads it, to the second: `14:02:07`, with the date when it is not today.
    pub fn clock(&self, at: Time) -> String {
        let zone = self.time_zone();
        let [then, now] = [at, self.now].map(|time| time.timestamp().to_zoned(zone.clone()));
        let form = if then.date() == now.date() { "%H:%M:%S" } else { "%Y-%m-%d %H:%M" };
        then.strftime(form).to_string()
    }

    /// A moment in full, with its zone.
    pub fn moment(&self, at: Time) -> String {
        at.timestamp().to_zoned(self.time_zone()).strftime("%Y-%m-%d %H:%M:%S %Z").to_string()
    }

    fn time_zone(&self) -> jiff::tz::TimeZone {
        if self.utc {
            return jiff::tz::TimeZone::UTC;
        }
        jiff::tz::TimeZone::get(&self.zone).unwrap_or(jiff::tz::TimeZone::UTC)
    }
}
