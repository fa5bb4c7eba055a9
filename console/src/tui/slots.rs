//! Where collectors put what they know: the newest of each agent, in the place of the one before. A
//! terminal that stalls makes nothing grow.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::mpsc;

use super::run::Told;
use super::state::{AgentIndex, Snapshot};

/// One place an agent, and a bell that rings once until they are looked at.
#[derive(Debug)]
pub struct Slots {
    places: Mutex<Vec<Option<Arc<Snapshot>>>>,
    rung: AtomicBool,
    bell: mpsc::Sender<Told>,
}

impl Slots {
    /// For so many agents; `bell` is told that there are news.
    pub fn new(agents: usize, bell: mpsc::Sender<Told>) -> Self {
        Self { places: Mutex::new(vec![None; agents]), rung: AtomicBool::new(false), bell }
    }

    /// Puts the newest of an agent in its place.
    pub fn put(&self, agent: AgentIndex, snapshot: Arc<Snapshot>) {
        {
            let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(place) = places.get_mut(agent.0 as usize) {
                *place = Some(snapshot);
            }
        }
        if !self.rung.swap(true, Ordering::AcqRel) && self.bell.try_send(Told::News).is_err() {
            // The queue is full: the next news ring again.
            self.rung.store(false, Ordering::Release);
        }
    }

    /// Takes all that is new.
    pub fn take(&self) -> Vec<(AgentIndex, Arc<Snapshot>)> {
        // Before the places are emptied: what comes after rings again.
        self.rung.store(false, Ordering::Release);
        let mut places = self.places.lock().unwrap_or_else(PoisonError::into_inner);
        let news = places
            .iter_mut()
            .enumerate()
            .filter_map(|(i, place)| Some((AgentIndex(i as u32), place.take()?)));
        news.collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_kept_and_the_bell_rings_once() {
        let (bell, mut told) = mpsc::channel(1);
        let slots = Slots::new(2, bell);
        for happened in 1..=1_000 {
            slots.put(AgentIndex(1), Arc::new(Snapshot { happened, ..Snapshot::default() }));
        }
        slots.put(AgentIndex(9), Arc::default());
        assert!(matches!(told.try_recv(), Ok(Told::News)));
        assert!(told.try_recv().is_err());
        let news = slots.take();
        assert_eq!(
            news.iter().map(|(agent, news)| (agent.0, news.happened)).collect::<Vec<_>>(),
            [(1, 1_000)]
        );
        assert!(slots.take().is_empty());
        slots.put(AgentIndex(0), Arc::default());
        assert!(matches!(told.try_recv(), Ok(Told::News)));
    }
}
