//! A sitting of labelling: what was answered, what comes next. Answers count at once; one that the
//! agent refuses puts its image back.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};
use vigie_protocol::feedback::{LabelItem, LabelQueue, Said};
use vigie_protocol::{PredictionId, Time};

use super::clusters::AtClusters;
use super::nav::Place;
use crate::tui::effect::Ticket;

/// Answers that can be undone.
const UNDO: usize = 500;

/// Where labels are given: a queue of a project.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Desk {
    /// The project.
    pub place: Place,
    /// The queue.
    pub queue: LabelQueue,
}

/// A sitting at one desk.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Labelling {
    /// Where; nowhere before the first answer.
    pub desk: Option<Desk>,
    /// What was answered or skipped, newest last, as far as it can be undone.
    pub done: Vec<Done>,
    /// Images that come before those of the queue, the last one first: undone, or refused by the agent.
    pub back: Vec<LabelItem>,
    /// Whether the predicted classes of the image that is asked for are shown in an audit.
    pub shown: bool,
    /// Images that count as answered or skipped here.
    pub over: BTreeSet<PredictionId>,
    /// What was done about clusters. Another desk's sitting goes on with it.
    #[serde(default)]
    pub at_clusters: Option<AtClusters>,
    /// Images answered.
    pub answered: u64,
    /// When the first was.
    pub since: Option<Time>,
}

/// An image that was answered or skipped.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Done {
    /// The image.
    pub item: LabelItem,
    /// What was said of it, and the request that says so; skipped if absent.
    pub said: Option<(Said, Ticket)>,
}

/// What is asked at a desk, told apart from what else is asked there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Question {
    /// What an image shows.
    Image(PredictionId),
    /// What the images of a cluster show.
    Cluster {
        /// When it was made: others have the same numbers.
        made: Option<Time>,
        /// Which of those.
        number: u32,
    },
}

impl Labelling {
    /// A fresh sitting.
    pub fn at(desk: Desk) -> Self {
        Self { desk: Some(desk), ..Self::default() }
    }

    /// What was done about the clusters of a project that were made then.
    pub fn clusters(&self, place: &Place, made: Time) -> Option<&AtClusters> {
        self.at_clusters.as_ref().filter(|here| here.place == *place && here.made == made)
    }

    /// The same, to be changed; what was done about others is forgotten.
    pub fn clusters_mut(&mut self, place: &Place, made: Time) -> &mut AtClusters {
        if self.clusters(place, made).is_none() {
            self.at_clusters = None;
        }
        self.at_clusters.get_or_insert_with(|| AtClusters::new(place.clone(), made))
    }

    /// The images to come, of those that the queue holds.
    pub fn upcoming<'a>(&'a self, queue: &'a [LabelItem]) -> impl Iterator<Item = &'a LabelItem> {
        let back: BTreeSet<PredictionId> = self.back.iter().map(|item| item.prediction).collect();
        let fresh = move |item: &&LabelItem| {
            !self.over.contains(&item.prediction) && !back.contains(&item.prediction)
        };
        self.back.iter().rev().chain(queue.iter().filter(fresh))
    }

    /// The image is answered, or skipped: the next one's turn.
    pub fn pass(&mut self, item: LabelItem, said: Option<(Said, Ticket)>, now: Time) {
        self.back.retain(|one| one.prediction != item.prediction);
        self.over.insert(item.prediction);
        self.shown = false;
        if said.is_some() {
            self.answered += 1;
            self.since.get_or_insert(now);
        }
        self.done.push(Done { item, said });
        let surplus = self.done.len().saturating_sub(UNDO);
        self.done.drain(..surplus);
    }

    /// Takes the newest answer or skip back: its image is asked for again.
    pub fn undo(&mut self) -> Option<Done> {
        let done = self.done.pop()?;
        self.take_back(&done);
        Some(done)
    }

    /// An answer did not count: its image is asked for again. Whether it was of this sitting.
    pub fn refused(&mut self, ticket: Ticket) -> bool {
        let found = self.done.iter().position(|done| matches!(&done.said, Some((_, of)) if *of == ticket));
        let Some(done) = found.map(|at| self.done.remove(at)) else { return false };
        self.take_back(&done);
        true
    }

    fn take_back(&mut self, done: &Done) {
        self.over.remove(&done.item.prediction);
        self.back.push(done.item.clone());
        self.shown = false;
        self.answered = self.answered.saturating_sub(u64::from(done.said.is_some()));
    }

    /// Images a minute since the first answer; nothing in the first seconds.
    pub fn pace(&self, now: Time) -> Option<f64> {
        let minutes = now.since(self.since?).as_secs_f64() / 60.0;
        (minutes > 0.05).then(|| self.answered as f64 / minutes)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use vigie_protocol::samples::Sample;

    use super::*;

    fn item(n: u128) -> LabelItem {
        LabelItem { prediction: uuid::Uuid::from_u128(n).into(), ..LabelItem::sample() }
    }

    fn next(sitting: &Labelling, queue: &[LabelItem]) -> Option<u128> {
        sitting.upcoming(queue).next().map(|item| item.prediction.uuid().as_u128())
    }

    #[test]
    fn what_is_undone_or_refused_comes_first() {
        let queue: Vec<LabelItem> = (1..=4).map(item).collect();
        let mut sitting = Labelling::default();
        let now = Time::from_micros(0);
        let said = |ticket| Some((Said::Correct, Ticket(ticket)));
        sitting.pass(item(1), said(1), now);
        sitting.pass(item(2), None, now);
        sitting.pass(item(3), said(3), now);
        assert_eq!((next(&sitting, &queue), sitting.answered), (Some(4), 2));
        assert!(sitting.refused(Ticket(1)) && !sitting.refused(Ticket(1)));
        assert_eq!((next(&sitting, &queue), sitting.answered), (Some(1), 1));
        assert_eq!(sitting.undo().map(|done| done.item), Some(item(3)));
        assert_eq!(next(&sitting, &queue), Some(3));
        sitting.pass(item(3), said(4), now);
        assert_eq!(next(&sitting, &queue), Some(1));
        sitting.pass(item(1), said(5), now);
        assert_eq!(sitting.upcoming(&queue).count(), 1);
        assert_eq!(sitting.pace(now), None);
        assert_eq!(sitting.pace(now.plus(Duration::from_secs(30))), Some(4.0));
        while sitting.undo().is_some() {}
        assert_eq!((sitting.upcoming(&queue).count(), sitting.answered), (4, 0));
    }
}
