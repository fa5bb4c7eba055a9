//! Predictions with what people said of them: the log and the feedback, read together.

use std::time::{Duration, Instant};

use uuid::Uuid;
use vigie_protocol::feedback::FeedbackFilter;
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::prediction::{Prediction, PredictionFilter};
use vigie_protocol::{PredictionId, ProjectName, Time};

use super::state::State;
use super::{PredictionLog, Result, StoreError};

/// A cursor into the feedback begins so; one into the log begins with a day.
const OF_FEEDBACK: &str = "feedback.";
/// Rows of feedback read at once, between two looks at the clock.
const STRIDE: usize = 256;

impl State {
    /// Predictions that `filter` wants, with their feedback, newest first. A page may be short, even
    /// empty, with a cursor, when `budget` ran out first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`], and those of the log and the facts.
    pub fn predictions(
        &self,
        project: &ProjectName,
        filter: &PredictionFilter,
        cursor: Option<&PageCursor>,
        limit: usize,
        budget: Duration,
    ) -> Result<Page<Prediction>> {
        let until = Instant::now().checked_add(budget);
        match filter.feedback {
            // Few have feedback: those are looked up in the log, rather than the log searched for them.
            Some(wanted) if wanted != FeedbackFilter::None => {
                self.with_feedback(project, filter, cursor, limit, until)
            }
            _ => self.logged(project, filter, cursor, limit, until),
        }
    }

    /// One prediction with its feedback.
    ///
    /// # Errors
    /// Those of the log and the facts.
    pub fn prediction(&self, project: &ProjectName, id: PredictionId) -> Result<Option<Prediction>> {
        let Some(mut found) = self.log.get(project, id)? else { return Ok(None) };
        self.annotate(project, &mut found)?;
        Ok(Some(found))
    }

    fn logged(
        &self,
        project: &ProjectName,
        filter: &PredictionFilter,
        cursor: Option<&PageCursor>,
        limit: usize,
        until: Option<Instant>,
    ) -> Result<Page<Prediction>> {
        let mut items: Vec<Prediction> = Vec::new();
        let mut cursor = cursor.cloned();
        loop {
            let left = until.map_or(Duration::MAX, |until| until.saturating_duration_since(Instant::now()));
            let missing = limit.max(1) - items.len();
            let page = self.log.page(project, filter, cursor.as_ref(), missing, left)?;
            for mut one in page.items {
                self.annotate(project, &mut one)?;
                if filter.matches(&one) {
                    items.push(one);
                }
            }
            cursor = page.next;
            if cursor.is_none() || items.len() >= limit.max(1) || is_past(until) {
                return Ok(Page { items, next: cursor });
            }
        }
    }

    fn with_feedback(
        &self,
        project: &ProjectName,
        filter: &PredictionFilter,
        cursor: Option<&PageCursor>,
        limit: usize,
        until: Option<Instant>,
    ) -> Result<Page<Prediction>> {
        let mut before = match cursor {
            Some(cursor) => Some(decode(cursor)?),
            // An identity tells its time to the millisecond.
            None => filter.until.map(|until| first_of(until.plus(Duration::from_millis(1)))),
        };
        let mut items = Vec::new();
        loop {
            let rows = self.catalog.feedback_before(project, before, STRIDE)?;
            let exhausted = rows.len() < STRIDE;
            for row in rows {
                let (id, note) = (row.prediction, row.note());
                if filter.since.is_some_and(|since| row.at < since) {
                    return Ok(Page::whole(items));
                }
                before = Some(id);
                let wanted = filter.feedback.is_none_or(|wanted| wanted.matches(Some(&note.consensus)));
                if wanted && let Some(found) = self.log.get(project, id)? {
                    let found = Prediction { feedback: Some(note), ..found };
                    if filter.matches(&found) {
                        items.push(found);
                    }
                }
                if items.len() >= limit.max(1) || is_past(until) {
                    return Ok(Page { items, next: Some(encode(id)) });
                }
            }
            if exhausted {
                return Ok(Page::whole(items));
            }
        }
    }

    fn annotate(&self, project: &ProjectName, prediction: &mut Prediction) -> Result<()> {
        prediction.feedback = self.catalog.feedback(project, prediction.id)?.map(|row| row.note());
        Ok(())
    }
}

fn is_past(until: Option<Instant>) -> bool {
    until.is_some_and(|until| Instant::now() >= until)
}

/// The smallest identity of a time.
fn first_of(at: Time) -> PredictionId {
    let millis = u128::try_from(at.as_micros() / 1_000).unwrap_or(0).min((1 << 48) - 1);
    Uuid::from_u128(millis << 80).into()
}

fn encode(id: PredictionId) -> PageCursor {
    PageCursor(format!("{OF_FEEDBACK}{}", id.uuid().simple()))
}

fn decode(cursor: &PageCursor) -> Result<PredictionId> {
    let id = cursor.0.strip_prefix(OF_FEEDBACK).and_then(|text| Uuid::try_parse(text).ok());
    id.map(PredictionId::from).ok_or(StoreError::BadCursor)
}

#[cfg(test)]
mod tests;
