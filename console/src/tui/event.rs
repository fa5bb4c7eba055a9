//! Everything that can happen to the terminal UI. One closed enum, one queue, so that there is one
//! order of things; all of it can be written down and played back.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vigie_protocol::{ApiError, Hash, Time};

use super::effect::{Done, Ticket};
use super::key::Key;
use super::state::{AgentIndex, Answer, Cells, OrderOf, Snapshot, Want};

/// Something that happened.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// A key was pressed.
    Key(Key),
    /// Text was pasted.
    Paste(String),
    /// The mouse, where it is listened to.
    Mouse(Mouse),
    /// The terminal has this size now, in cells.
    Resize {
        /// Across.
        width: u16,
        /// Down.
        height: u16,
    },
    /// A second passed.
    Second {
        /// The clock.
        now: Time,
    },
    /// What is known of some agents changed: all that is known of each now.
    Agents(Vec<(AgentIndex, Arc<Snapshot>)>),
    /// Data arrived, or the reason it did not.
    Fetched {
        /// What had been wanted.
        want: Want,
        /// When it arrived.
        at: Time,
        /// What came.
        answer: Result<Answer, ApiError>,
    },
    /// What was asked of an agent is done, or the reason it is not.
    Done {
        /// Which request.
        ticket: Ticket,
        /// When.
        at: Time,
        /// What became of it.
        outcome: Result<Done, ApiError>,
    },
    /// The order of a long table, filtered and sorted elsewhere.
    Ordered {
        /// For what it was made.
        of: OrderOf,
        /// Rows of the source in their order.
        order: Arc<Vec<u32>>,
    },
    /// A picture can be drawn now, or never.
    Picture {
        /// Which.
        image: Hash,
        /// For which room.
        cells: Cells,
        /// Why it cannot.
        error: Option<String>,
        /// Those that had to make room for it.
        #[serde(default)]
        gone: Vec<(Hash, Cells)>,
    },
    /// Something outside went well or wrong: a file was written, the terminal refused.
    Note {
        /// What.
        text: String,
        /// Whether it went wrong.
        bad: bool,
    },
}

/// What the mouse did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Mouse {
    /// The wheel, towards the user.
    Down,
    /// The wheel, away from the user.
    Up,
    /// The first button was pressed here.
    Click {
        /// Cells from the left.
        x: u16,
        /// Cells from the top.
        y: u16,
    },
}
