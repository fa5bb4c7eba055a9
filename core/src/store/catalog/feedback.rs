//! Feedback: one row for each prediction that people voted on.
//!
//! A vote, what it does to the queues and the count of the classes that people named are one commit.
//! Earlier votes are in the audit log.

use vigie_protocol::feedback::{Consensus, Feedback, FeedbackState, Said, Vote};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::{PredictionId, ProjectName};

use super::change::Change;
use super::{Catalog, Key, Receipt, draws};
use crate::store::{Order, Result, StoreError};

/// Votes on one prediction: more is no labelling.
const MAX_VOTES: usize = 100;

/// What feedback is given on.
#[derive(Clone, Debug, PartialEq)]
pub struct Voted {
    /// The prediction, as [`Feedback::about`] makes it; votes that are laid down already stand.
    pub about: Feedback,
    /// Whether its picture is kept, and stays at least until the vote is durable.
    pub picture: bool,
}

fn in_project(project: &ProjectName) -> Key {
    Key::of("feedback").word(project.as_str())
}

fn key(project: &ProjectName, id: PredictionId) -> Vec<u8> {
    in_project(project).uuid(id.uuid()).bytes()
}

/// Feedback that a collection has to look at.
pub(super) fn open(project: &ProjectName) -> Key {
    Key::of("feedback-open").word(project.as_str())
}

/// Feedback whose image waits for somebody who knows it.
pub(super) fn deferred(project: &ProjectName) -> Key {
    Key::of("feedback-deferred").word(project.as_str())
}

/// How many votes name a class.
fn named(project: &ProjectName) -> Key {
    Key::of("feedback-class").word(project.as_str())
}

impl Catalog {
    /// Takes a vote in; what the same person said before is replaced. Who names the class that was
    /// predicted says that it is correct.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without the project, [`StoreError::Precondition`] when a hundred people
    /// voted already.
    pub fn give_feedback(
        &self,
        project: &ProjectName,
        voted: &Voted,
        vote: &Vote,
        receipt: Option<&Receipt>,
    ) -> Result<Feedback> {
        self.change(receipt, |change| {
            change.project(project)?;
            let mut counts = Counts::default();
            let row = change.vote(project, voted, vote, &mut counts)?;
            change.count_named(project, counts)?;
            Ok(row)
        })
    }

    /// Takes the same vote in for several predictions, each of them once: all get it or none. Answers
    /// with their number, and how many of them are deferred no longer.
    ///
    /// # Errors
    /// As [`Catalog::give_feedback`].
    pub fn give_feedback_to_all(
        &self,
        project: &ProjectName,
        voted: &[Voted],
        vote: &Vote,
        receipt: Option<&Receipt>,
    ) -> Result<(u64, u64)> {
        self.change(receipt, |change| {
            change.project(project)?;
            let mut counts = Counts::default();
            let mut settled = 0;
            for one in voted {
                let row = change.vote(project, one, vote, &mut counts)?;
                settled += u64::from(row.state != FeedbackState::Deferred);
            }
            change.count_named(project, counts)?;
            Ok((voted.len() as u64, settled))
        })
    }

    /// Takes back what somebody said of a prediction; answers with what others said.
    ///
    /// # Errors
    /// Those of the facts. That nothing was said is no error.
    pub fn withdraw_feedback(
        &self,
        project: &ProjectName,
        id: PredictionId,
        by: &str,
        picture: bool,
        receipt: Option<&Receipt>,
    ) -> Result<Option<Feedback>> {
        self.change(receipt, |change| {
            let Some(mut row) = change.read::<Feedback>(key(project, id))? else { return Ok(None) };
            let before = row.label().map(str::to_owned);
            let mut counts = Counts::default();
            row.votes.iter().filter(|vote| vote.by == by).for_each(|vote| counts.add(vote, -1));
            row.votes.retain(|vote| vote.by != by);
            change.count_named(project, counts)?;
            if row.votes.is_empty() {
                change.strike_feedback(project, id);
                if row.audit {
                    change.audit_due(project, id, picture);
                }
                return Ok(None);
            }
            change.lay_feedback(project, &mut row, before.as_deref(), picture);
            Ok(Some(row))
        })
    }

    /// The feedback on a prediction.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn feedback(&self, project: &ProjectName, id: PredictionId) -> Result<Option<Feedback>> {
        self.row(key(project, id))
    }

    /// A project's feedback, that on the newest predictions first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`].
    pub fn feedback_page(
        &self,
        project: &ProjectName,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<Feedback>> {
        self.page_down(in_project(project), cursor, limit, |_| true)
    }

    /// Up to `limit` rows of feedback on predictions before `before`, newest first.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn feedback_before(
        &self,
        project: &ProjectName,
        before: Option<PredictionId>,
        limit: usize,
    ) -> Result<Vec<Feedback>> {
        let before = before.map(|id| key(project, id));
        let rows =
            self.facts().scan(&in_project(project).bytes(), before.as_deref(), Order::Descending, limit)?;
        rows.iter().map(|(_, fact)| crate::store::codec::decode("feedback", &fact.value)).collect()
    }

    /// Erases all that a prediction left in the catalog: its feedback, its draw, its place in a
    /// cluster.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn erase_feedback(&self, project: &ProjectName, id: PredictionId) -> Result<Option<Feedback>> {
        self.change(None, |change| {
            let row: Option<Feedback> = change.read(key(project, id))?;
            if let Some(row) = &row {
                let mut counts = Counts::default();
                row.votes.iter().for_each(|vote| counts.add(vote, -1));
                change.count_named(project, counts)?;
                change.strike_feedback(project, id);
            }
            change.erase_draw(project, id);
            change.leave_cluster(project, id)?;
            Ok(row)
        })
    }

    /// The classes that people named in votes that stand, sorted.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn named_classes(&self, project: &ProjectName) -> Result<Vec<(String, u64)>> {
        self.all(named(project))
    }

    /// Ids listed as open and as deferred; for checks.
    ///
    /// # Errors
    /// Those of the facts.
    pub(in crate::store) fn feedback_lists(&self, project: &ProjectName) -> Result<[Vec<PredictionId>; 2]> {
        Ok([self.all(open(project))?, self.all(deferred(project))?])
    }
}

impl Change<'_> {
    fn vote(
        &mut self,
        project: &ProjectName,
        voted: &Voted,
        vote: &Vote,
        counts: &mut Counts,
    ) -> Result<Feedback> {
        let Voted { about, picture } = voted;
        let id = about.prediction;
        let drawn = self.read::<draws::Drawn>(draws::sample_key(project, id))?.is_some();
        let mut row: Feedback = self.read(key(project, id))?.unwrap_or_else(|| about.clone());
        row.audit = drawn;
        let before = row.label().map(str::to_owned);
        row.votes.iter().filter(|old| old.by == vote.by).for_each(|old| counts.add(old, -1));
        row.votes.retain(|old| old.by != vote.by);
        if row.votes.len() >= MAX_VOTES {
            let text = format!("{MAX_VOTES} people have said something of prediction {id} already");
            return Err(StoreError::Precondition(text));
        }
        let said = match &vote.said {
            Said::Wrong { class } => Said::class(class, row.predicted()),
            said => said.clone(),
        };
        let vote = Vote { said, ..vote.clone() };
        counts.add(&vote, 1);
        row.votes.push(vote);
        self.lay_feedback(project, &mut row, before.as_deref(), *picture);
        Ok(row)
    }

    /// Writes a row whose votes changed, and puts it into the queues where it belongs now. `before` is
    /// the class that people agreed on until then.
    fn lay_feedback(
        &mut self,
        project: &ProjectName,
        row: &mut Feedback,
        before: Option<&str>,
        picture: bool,
    ) {
        row.consensus = Consensus::of(row.votes.iter());
        row.state = match (picture, row.label()) {
            (false, _) => FeedbackState::NoPicture,
            (true, None) => FeedbackState::Deferred,
            // What was done with the image was done for this class.
            (true, Some(label))
                if Some(label) == before
                    && matches!(row.state, FeedbackState::Taken { .. } | FeedbackState::Settled) =>
            {
                row.state
            }
            (true, Some(_)) => FeedbackState::Open,
        };
        if row.audit {
            let blind = row.votes.iter().any(|vote| vote.blind);
            self.audit_due(project, row.prediction, !blind && picture);
        }
        row.generation += 1;
        self.put_feedback(project, row);
    }

    /// Writes a row and lists it where its state says.
    pub(super) fn put_feedback(&mut self, project: &ProjectName, row: &Feedback) {
        let id = row.prediction;
        let mut list = |list: Key, belongs: bool| {
            let key = list.uuid(id.uuid()).bytes();
            if belongs { self.put(key, &id) } else { self.delete(key) }
        };
        list(open(project), matches!(row.state, FeedbackState::Open | FeedbackState::Taken { .. }));
        list(deferred(project), row.state == FeedbackState::Deferred);
        self.put(key(project, id), row);
    }

    pub(super) fn read_feedback(
        &mut self,
        project: &ProjectName,
        id: PredictionId,
    ) -> Result<Option<Feedback>> {
        self.read(key(project, id))
    }

    fn strike_feedback(&mut self, project: &ProjectName, id: PredictionId) {
        for list in [open(project), deferred(project), in_project(project)] {
            self.delete(list.uuid(id.uuid()).bytes());
        }
    }

    fn count_named(&mut self, project: &ProjectName, counts: Counts) -> Result<()> {
        for (class, change) in counts.0 {
            let key = named(project).text(&class);
            let (_, count): (String, u64) = self.read(key.clone())?.unwrap_or_default();
            match count.saturating_add_signed(change) {
                0 => self.delete(key),
                count => self.put(key, &(class, count)),
            }
        }
        Ok(())
    }
}

/// By how much the votes for classes rise and fall in one change.
#[derive(Default)]
struct Counts(std::collections::BTreeMap<String, i64>);

impl Counts {
    fn add(&mut self, vote: &Vote, by: i64) {
        if let Said::Wrong { class } = &vote.said {
            *self.0.entry(class.clone()).or_default() += by;
        }
    }
}

#[cfg(test)]
mod tests;
