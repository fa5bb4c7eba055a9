//! Key-set pages: a list is read in pages of bounded bytes, each with a cursor to the next.

use serde::{Deserialize, Serialize};

/// Where the next page starts. Opaque to clients; only the agent that made it can read it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct PageCursor(pub String);

/// Which page of a list is wanted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageRequest {
    /// From where; absent for the first page.
    #[serde(default)]
    pub cursor: Option<PageCursor>,
    /// At most this many rows; 0 means the agent's default (100), and the agent caps it at 1,000.
    #[serde(default)]
    pub limit: u32,
}

impl PageRequest {
    /// Rows the agent will put on this page at most.
    pub fn capped_limit(&self) -> usize {
        match self.limit {
            0 => 100,
            n => n.min(1_000) as usize,
        }
    }
}

/// One page of a list.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Page<T> {
    /// The rows, in the list's order.
    pub items: Vec<T>,
    /// Where the next page starts; absent on the last one. A page may be short, even empty, and
    /// still have a next one: the agent's time budget for one page ran out.
    #[serde(default = "Option::default")]
    pub next: Option<PageCursor>,
}

impl<T> Page<T> {
    /// A page that is the whole list.
    pub fn whole(items: Vec<T>) -> Self {
        Self { items, next: None }
    }
}
