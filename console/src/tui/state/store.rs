//! Data that views want, fetched page by page when it is looked at, bounded in number and length.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use vigie_protocol::dataset::{
    ChangeKind, ChangeSet, ClassChange, ClassSizes, DatasetImage, DatasetRef, DatasetVersion, ImageChange,
    Lineage, Split,
};
use vigie_protocol::feedback::{Clusters, LabelItem, LabelQueue};
use vigie_protocol::job::{Job, Lease, LogLine};
use vigie_protocol::model::{AliasMove, GateVerdict, ModelVersion};
use vigie_protocol::page::PageCursor;
use vigie_protocol::prediction::{Prediction, PredictionFilter};
use vigie_protocol::review::ChangeSetImage;
use vigie_protocol::rules::WaitingRoom;
use vigie_protocol::run::Run;
use vigie_protocol::schedule::{Firing, ScheduleStatus};
use vigie_protocol::service::{AgentLogLine, ModelDetail};
use vigie_protocol::source::Source;
use vigie_protocol::{
    AliasName, ApiError, ChangeSetId, JobId, ModelNumber, PredictionId, ProjectName, RunId, ScheduleName,
    Time,
};

use super::AgentIndex;
use crate::compare::Comparison;

/// Wants that are remembered; the least recently looked at goes first.
const SLOTS: usize = 96;
/// Rows of one list that are held; beyond them the user narrows the filter.
pub const MOST_ROWS: usize = 20_000;
/// Lines of a log that are held; the oldest go first.
const MOST_LINES: usize = 5_000;

/// Data of one agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Want {
    /// Whose.
    pub agent: AgentIndex,
    /// Which.
    pub query: Query,
}

/// A question to an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each names a method of the protocol, which documents its fields")]
pub enum Query {
    Datasets {
        project: ProjectName,
        lineage: Option<Lineage>,
    },
    Images {
        project: ProjectName,
        dataset: DatasetRef,
        class: Option<String>,
        split: Option<Split>,
    },
    DatasetSizes {
        project: ProjectName,
        dataset: DatasetRef,
    },
    DatasetDiff {
        project: ProjectName,
        from: Option<DatasetRef>,
        to: DatasetRef,
    },
    ChangeSets {
        project: ProjectName,
    },
    ChangeSet {
        project: ProjectName,
        id: ChangeSetId,
    },
    ChangeSetImages {
        project: ProjectName,
        id: ChangeSetId,
        class: Option<String>,
        kind: Option<ChangeKind>,
        only_findings: bool,
    },
    Job {
        job: JobId,
    },
    JobLog {
        job: JobId,
    },
    Leases,
    Runs {
        project: ProjectName,
    },
    Run {
        project: ProjectName,
        run: RunId,
    },
    Models {
        project: ProjectName,
    },
    Model {
        project: ProjectName,
        number: ModelNumber,
    },
    Gate {
        project: ProjectName,
        candidate: ModelNumber,
        alias: AliasName,
    },
    /// Two model versions, held against each other by the task that fetches them.
    Compare {
        project: ProjectName,
        candidate: ModelNumber,
        base: ModelNumber,
    },
    AliasHistory {
        project: ProjectName,
        alias: AliasName,
    },
    Predictions {
        project: ProjectName,
        filter: PredictionFilter,
    },
    Prediction {
        project: ProjectName,
        id: PredictionId,
    },
    /// Read on as it is answered, and asked anew only when somebody asks for that.
    LabelNext {
        project: ProjectName,
        queue: LabelQueue,
    },
    LabelClusters {
        project: ProjectName,
    },
    /// The images of a cluster of those made then: read on and asked anew as a queue is.
    LabelMembers {
        project: ProjectName,
        made: Time,
        cluster: u32,
    },
    LabelClasses {
        project: ProjectName,
    },
    Sources {
        project: ProjectName,
    },
    /// Of the agent, and of all its projects.
    Schedules,
    Firings {
        project: Option<ProjectName>,
        name: ScheduleName,
    },
    Waiting {
        project: ProjectName,
        threshold: Option<u32>,
    },
    AgentLog,
}

impl Query {
    /// After how long it is asked again while it is looked at; nothing for what never changes.
    pub fn max_age(&self) -> Option<Duration> {
        let seconds = match self {
            Query::Images { .. } | Query::DatasetSizes { .. } | Query::DatasetDiff { .. } => return None,
            // Each asking looks at every image of a version; a decision asks anew by itself.
            Query::ChangeSetImages { .. } => return None,
            Query::Model { .. } | Query::Compare { .. } => return None,
            Query::Prediction { .. } | Query::LabelNext { .. } | Query::LabelMembers { .. } => return None,
            Query::JobLog { .. } | Query::AgentLog | Query::Job { .. } => 1,
            Query::Run { .. } | Query::Predictions { .. } | Query::Leases => 3,
            Query::Datasets { .. }
            | Query::ChangeSets { .. }
            | Query::ChangeSet { .. }
            | Query::Runs { .. }
            | Query::Models { .. }
            | Query::LabelClusters { .. }
            | Query::Sources { .. }
            | Query::Schedules
            | Query::Firings { .. }
            | Query::AliasHistory { .. } => 5,
            Query::LabelClasses { .. } | Query::Waiting { .. } => 30,
            // The gate runs an engine over the golden set: not twice for nothing.
            Query::Gate { .. } => 300,
        };
        Some(Duration::from_secs(seconds))
    }
}

/// Rows of a list that grows as it is scrolled.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Rows<T> {
    /// Those that are here.
    pub rows: Arc<Vec<T>>,
    /// Where the agent goes on.
    pub next: Option<PageCursor>,
}

impl<T: Clone> Rows<T> {
    fn extend(&mut self, more: Rows<T>) {
        Arc::make_mut(&mut self.rows).extend(more.rows.iter().cloned());
        self.next = if self.rows.len() < MOST_ROWS { more.next } else { None };
    }
}

/// Lines of a log that is read on as it grows.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lines<T> {
    /// Those that are here, oldest first.
    pub lines: Arc<Vec<T>>,
    /// Where to read on.
    pub next: u64,
    /// Lines that nobody has any more.
    pub dropped: u64,
}

impl<T: Clone> Lines<T> {
    fn extend(&mut self, more: Lines<T>) {
        let lines = Arc::make_mut(&mut self.lines);
        lines.extend(more.lines.iter().cloned());
        let surplus = lines.len().saturating_sub(MOST_LINES);
        lines.drain(..surplus);
        self.next = more.next;
        self.dropped += more.dropped + surplus as u64;
    }
}

/// What an agent answered.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the answer to the query of its name")]
pub enum Answer {
    Datasets(Rows<DatasetVersion>),
    Images(Rows<DatasetImage>),
    DatasetSizes(Arc<Vec<ClassSizes>>),
    DatasetDiff { classes: Arc<BTreeMap<String, ClassChange>>, images: Rows<ImageChange> },
    ChangeSets(Rows<ChangeSet>),
    ChangeSet(Arc<ChangeSet>),
    ChangeSetImages(Rows<ChangeSetImage>),
    Job(Arc<Job>),
    JobLog(Lines<LogLine>),
    Leases(Arc<Vec<Lease>>),
    Runs(Rows<Run>),
    Run(Arc<Run>),
    Models(Rows<ModelVersion>),
    Model(Arc<ModelDetail>),
    Gate(Arc<GateVerdict>),
    Compare(Arc<Comparison>),
    AliasHistory(Rows<AliasMove>),
    Predictions(Rows<Prediction>),
    Prediction(Arc<Prediction>),
    LabelNext { items: Rows<LabelItem>, waiting: u64, gone: u64 },
    LabelClusters(Arc<Clusters>),
    LabelClasses(Arc<Vec<String>>),
    Sources(Arc<Vec<Source>>),
    Schedules(Arc<Vec<ScheduleStatus>>),
    Firings(Rows<Firing>),
    Waiting(Arc<WaitingRoom>),
    AgentLog(Lines<AgentLogLine>),
}

impl Answer {
    /// Where the agent goes on with the list.
    pub fn next(&self) -> Option<&PageCursor> {
        match self {
            Answer::Datasets(rows) => rows.next.as_ref(),
            Answer::Images(rows) => rows.next.as_ref(),
            Answer::DatasetDiff { images, .. } => images.next.as_ref(),
            Answer::ChangeSets(rows) => rows.next.as_ref(),
            Answer::ChangeSetImages(rows) => rows.next.as_ref(),
            Answer::Runs(rows) => rows.next.as_ref(),
            Answer::Models(rows) => rows.next.as_ref(),
            Answer::AliasHistory(rows) => rows.next.as_ref(),
            Answer::Predictions(rows) => rows.next.as_ref(),
            Answer::LabelNext { items, .. } => items.next.as_ref(),
            Answer::Firings(rows) => rows.next.as_ref(),
            Answer::DatasetSizes(_)
            | Answer::ChangeSet(_)
            | Answer::Job(_)
            | Answer::JobLog(_)
            | Answer::Leases(_)
            | Answer::Run(_)
            | Answer::Model(_)
            | Answer::Gate(_)
            | Answer::Compare(_)
            | Answer::Prediction(_)
            | Answer::LabelClusters(_)
            | Answer::LabelClasses(_)
            | Answer::Sources(_)
            | Answer::Schedules(_)
            | Answer::Waiting(_)
            | Answer::AgentLog(_) => None,
        }
    }

    /// Whether it is read page by page.
    fn is_list(&self) -> bool {
        !matches!(self, Answer::JobLog(_) | Answer::AgentLog(_))
    }

    /// Appends the next page, or the next lines.
    fn extend(&mut self, more: Answer) {
        match (self, more) {
            (Answer::Datasets(rows), Answer::Datasets(more)) => rows.extend(more),
            (Answer::Images(rows), Answer::Images(more)) => rows.extend(more),
            (Answer::ChangeSets(rows), Answer::ChangeSets(more)) => rows.extend(more),
            (Answer::ChangeSetImages(rows), Answer::ChangeSetImages(more)) => rows.extend(more),
            (Answer::Firings(rows), Answer::Firings(more)) => rows.extend(more),
            (Answer::Runs(rows), Answer::Runs(more)) => rows.extend(more),
            (Answer::Models(rows), Answer::Models(more)) => rows.extend(more),
            (Answer::AliasHistory(rows), Answer::AliasHistory(more)) => rows.extend(more),
            (Answer::Predictions(rows), Answer::Predictions(more)) => rows.extend(more),
            (Answer::DatasetDiff { images, .. }, Answer::DatasetDiff { images: more, .. }) => {
                images.extend(more)
            }
            (Answer::LabelNext { items, gone, .. }, Answer::LabelNext { items: more, gone: further, .. }) => {
                items.extend(more);
                *gone += further;
            }
            (Answer::JobLog(lines), Answer::JobLog(more)) => lines.extend(more),
            (Answer::AgentLog(lines), Answer::AgentLog(more)) => lines.extend(more),
            (whole, more) => *whole = more,
        }
    }
}

/// What is held of one want.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Slot {
    want: Want,
    /// The newest answer that came whole.
    pub answer: Option<Answer>,
    /// Why the last attempt failed.
    pub error: Option<ApiError>,
    /// When the last attempt ended.
    at: Option<Time>,
    /// Rises with every answer.
    pub revision: u64,
    asking: Asking,
    /// Pages that are here: a list that was scrolled is not shortened to its first page by itself.
    pages: u32,
    used: u64,
    expired: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
enum Asking {
    No,
    Anew,
    More,
    /// A further page of what is to be asked anew: nothing is made of it.
    InVain,
}

/// What is held of all wants.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Store {
    slots: Vec<Slot>,
    clock: u64,
    revisions: u64,
}

impl Store {
    /// What is held of a want.
    pub fn get(&self, want: &Want) -> Option<&Slot> {
        self.slots.iter().find(|slot| slot.want == *want)
    }

    /// What came for a want; nothing before it did.
    pub fn answer(&self, agent: AgentIndex, query: Query) -> Option<&Answer> {
        self.get(&Want { agent, query })?.answer.as_ref()
    }

    /// Marks a want as looked at. Returns the cursor to ask from (absent: from the start) when it has
    /// to be asked now.
    pub fn look(&mut self, want: &Want, now: Time) -> Option<Option<PageCursor>> {
        self.clock += 1;
        let clock = self.clock;
        let slot = self.slot(want);
        slot.used = clock;
        let max_age = want.query.max_age();
        let due = match slot.at {
            None => true,
            Some(_) if slot.pages > 1 => false,
            Some(at) if slot.expired => now.since(at) >= Duration::from_millis(500),
            Some(at) if slot.answer.is_none() => now.since(at) >= Duration::from_secs(2),
            Some(at) => max_age.is_some_and(|age| now.since(at) >= age),
        };
        if !due || slot.asking != Asking::No {
            return None;
        }
        slot.expired = false;
        let from = match &slot.answer {
            Some(Answer::JobLog(lines)) => Some(lines.next),
            Some(Answer::AgentLog(lines)) => Some(lines.next),
            _ => None,
        };
        slot.asking = if from.is_some() { Asking::More } else { Asking::Anew };
        Some(from.map(|next| PageCursor(next.to_string())))
    }

    /// The cursor of the next page of a list, when there is one and nobody asks for it yet.
    pub fn more(&mut self, want: &Want) -> Option<PageCursor> {
        let slot = self.slots.iter_mut().find(|slot| slot.want == *want)?;
        let next = slot.answer.as_ref()?.next()?.clone();
        if slot.asking != Asking::No {
            return None;
        }
        slot.asking = Asking::More;
        Some(next)
    }

    /// Takes in what came. Returns whether anything visible changed.
    pub fn arrived(&mut self, want: &Want, at: Time, answer: Result<Answer, ApiError>) -> bool {
        self.revisions += 1;
        let revision = self.revisions;
        let slot = self.slot(want);
        let asked = std::mem::replace(&mut slot.asking, Asking::No);
        if asked == Asking::InVain {
            return false;
        }
        slot.at = Some(at);
        match answer {
            Ok(answer) => {
                let recovered = slot.error.take().is_some();
                let before = slot.answer.clone();
                match &mut slot.answer {
                    Some(whole) if asked == Asking::More => {
                        slot.pages += u32::from(answer.is_list());
                        whole.extend(answer);
                    }
                    whole => {
                        slot.pages = 1;
                        *whole = Some(answer);
                    }
                }
                let changed = before != slot.answer;
                if changed {
                    slot.revision = revision;
                }
                changed || recovered
            }
            Err(error) => slot.error.replace(error.clone()) != Some(error),
        }
    }

    /// Something happened at an agent: what changes is asked again when it is looked at next.
    pub fn expire(&mut self, agent: AgentIndex) {
        for slot in &mut self.slots {
            let lasting = slot.want.query.max_age().is_none_or(|age| age >= Duration::from_secs(300));
            slot.expired |= slot.want.agent == agent && !lasting;
        }
    }

    /// Asks for a want anew, whatever its age.
    pub fn expire_one(&mut self, want: &Want) {
        self.expire_those(|held| held == want);
    }

    /// Asks for all such wants anew, whatever their age.
    pub fn expire_those(&mut self, such: impl Fn(&Want) -> bool) {
        for slot in self.slots.iter_mut().filter(|slot| such(&slot.want)) {
            slot.expired = true;
            slot.pages = slot.pages.min(1);
            slot.at = slot.at.map(|_| Time::default());
            if slot.asking == Asking::More {
                slot.asking = Asking::InVain;
            }
        }
    }

    fn slot(&mut self, want: &Want) -> &mut Slot {
        let found = self.slots.iter().position(|slot| slot.want == *want);
        let at = found.unwrap_or_else(|| {
            // What is being asked stays: its answer would make the slot again, and be a further page of
            // nothing.
            let idle = |slots: &[Slot]| {
                let idle = slots.iter().enumerate().filter(|(_, slot)| slot.asking == Asking::No);
                idle.min_by_key(|(_, slot)| slot.used).map(|(at, _)| at)
            };
            while self.slots.len() >= SLOTS
                && let Some(oldest) = idle(&self.slots)
            {
                self.slots.swap_remove(oldest);
            }
            self.slots.push(Slot {
                want: want.clone(),
                answer: None,
                error: None,
                at: None,
                revision: 0,
                asking: Asking::No,
                pages: 0,
                used: self.clock,
                expired: false,
            });
            self.slots.len() - 1
        });
        &mut self.slots[at]
    }
}

#[cfg(test)]
mod tests {
    use vigie_protocol::ErrorCode;
    use vigie_protocol::samples::Sample;

    use super::*;

    fn want(query: Query) -> Want {
        Want { agent: AgentIndex(0), query }
    }

    fn runs() -> Want {
        want(Query::Runs { project: "birds".parse().expect("a name") })
    }

    fn page(rows: usize, more: bool) -> Result<Answer, ApiError> {
        let next = more.then(|| PageCursor("more".to_owned()));
        Ok(Answer::Runs(Rows { rows: Arc::new(vec![Run::sample(); rows]), next }))
    }

    fn rows(store: &Store) -> Option<usize> {
        match store.get(&runs())?.answer.as_ref()? {
            Answer::Runs(rows) => Some(rows.rows.len()),
            _ => None,
        }
    }

    /// A list of which the first page is here, and the next one is asked for.
    fn paging() -> Store {
        let mut store = Store::default();
        let now = Time::from_micros(1_000_000_000);
        assert_eq!(store.look(&runs(), now), Some(None));
        assert!(store.arrived(&runs(), now, page(3, true)));
        assert!(store.more(&runs()).is_some());
        store
    }

    #[test]
    fn a_page_that_comes_after_a_refresh_does_not_undo_it() {
        let now = Time::from_micros(1_001_000_000);
        for late in [page(2, false), Err(ApiError::new(ErrorCode::Timeout, "late"))] {
            let mut store = paging();
            store.expire_one(&runs());
            assert_eq!(store.look(&runs(), now), None, "one question at a time");
            assert!(!store.arrived(&runs(), now, late));
            assert_eq!((rows(&store), store.look(&runs(), now)), (Some(3), Some(None)));
            assert!(store.arrived(&runs(), now, page(4, true)));
            assert_eq!(rows(&store), Some(4));
        }
        // Without one it is the next page.
        let mut store = paging();
        assert!(store.arrived(&runs(), now, page(2, false)));
        assert_eq!((rows(&store), store.look(&runs(), now)), (Some(5), None));
    }

    #[test]
    fn what_is_being_asked_is_not_forgotten() {
        let mut store = paging();
        let now = Time::from_micros(1_001_000_000);
        for _ in 0..2 * SLOTS {
            let other = want(Query::Job { job: JobId::new() });
            store.look(&other, now);
            store.arrived(&other, now, Err(ApiError::new(ErrorCode::NotFound, "gone")));
        }
        assert_eq!(store.slots.len(), SLOTS);
        assert!(store.arrived(&runs(), now, page(2, false)));
        assert_eq!(rows(&store), Some(5));
        // More than there is room for are asked at once; room is made when they are answered.
        let others: Vec<Want> = (0..2 * SLOTS).map(|_| want(Query::Job { job: JobId::new() })).collect();
        others.iter().for_each(|other| assert!(store.look(other, now).is_some()));
        for other in &others {
            store.arrived(other, now, Err(ApiError::new(ErrorCode::NotFound, "gone")));
        }
        store.look(&runs(), now);
        assert_eq!(store.slots.len(), SLOTS);
    }
}
