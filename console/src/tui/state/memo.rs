//! What is made from the state and asked for many times between two changes of it: the rows of all
//! agents in one order. Kept beside the state, not in it: a copy of the state, or one read from a file,
//! makes it anew.

use std::sync::{Arc, Mutex, PoisonError};

use super::AgentIndex;

/// A row of an agent: which agent, and its place among that agent's.
pub type At = (AgentIndex, u32);

/// All that is remembered.
#[derive(Clone, Debug, Default)]
pub struct Memos {
    /// Events of all agents, newest first.
    pub events: Memo<Vec<At>>,
    /// Jobs of all agents, those that are not over first.
    pub jobs: Memo<Vec<At>>,
    /// Services of all agents.
    pub services: Memo<Vec<At>>,
    /// Projects of all agents.
    pub projects: Memo<Vec<At>>,
    /// What needs attention, the worst first.
    pub concerns: Memo<Vec<crate::tui::views::Concern>>,
}

/// One thing that is remembered, with what it was made from.
#[derive(Debug)]
pub struct Memo<T>(Mutex<Option<(u64, Arc<T>)>>);

impl<T> Memo<T> {
    /// What was made for this key, or is made now.
    pub fn get(&self, key: u64, make: impl FnOnce() -> T) -> Arc<T> {
        let mut held = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match &*held {
            Some((of, made)) if *of == key => Arc::clone(made),
            _ => {
                let made = Arc::new(make());
                *held = Some((key, Arc::clone(&made)));
                made
            }
        }
    }
}

impl<T> Default for Memo<T> {
    fn default() -> Self {
        Self(Mutex::new(None))
    }
}

impl<T> Clone for Memo<T> {
    fn clone(&self) -> Self {
        Self::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_made_once_for_each_key() {
        let memo = Memo::default();
        let made = std::cell::Cell::new(0);
        let make = || {
            made.set(made.get() + 1);
            made.get()
        };
        assert_eq!([memo.get(1, make), memo.get(1, make), memo.get(2, make)].map(|found| *found), [1, 1, 2]);
        assert_eq!(*memo.clone().get(2, make), 3);
    }
}
