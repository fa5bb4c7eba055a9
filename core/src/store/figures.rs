//! Figures from feedback: how often predictions were right, and what came in since a promotion.

use std::collections::BTreeMap;

use vigie_protocol::dataset::Lineage;
use vigie_protocol::feedback::{AccuracyOf, Consensus, Feedback, FeedbackAccuracy, ModelAccuracy, NewImages};
use vigie_protocol::{AliasName, ModelNumber, ProjectName, Time};

use super::state::State;
use super::{PredictionLog, Result};
use crate::evaluate::stats::proportion;

/// Predictions looked at when nobody says how many, and at most.
const LAST: usize = 1_000;
const MOST: usize = 100_000;
/// The audit sample is counted up to this.
const DUE: usize = 10_000;
const STRIDE: usize = 500;

const CAVEAT: &str = "feedback is biased: people speak of what they notice, wrong answers more than right ones; \
                      only the audit sample, drawn uniformly and labelled blind, estimates the accuracy";

impl State {
    /// How often the newest `last` predictions with feedback were right (0: the newest 1,000), overall
    /// and by model; and the same of the audit sample, whose votes are counted only if they were blind.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn accuracy(&self, project: &ProjectName, last: u32) -> Result<FeedbackAccuracy> {
        let last = if last == 0 { LAST } else { (last as usize).min(MOST) };
        let (mut feedback, mut audit) = (Tally::default(), Tally::default());
        let mut before = None;
        loop {
            let rows = self.catalog.feedback_before(project, before, STRIDE)?;
            let exhausted = rows.len() < STRIDE;
            for row in &rows {
                before = Some(row.prediction);
                let blind = row.votes.iter().filter(|vote| row.audit && vote.blind);
                if blind.clone().next().is_some() {
                    if audit.seen < last {
                        // Who answers blind and does not know says nothing of the prediction.
                        let right = match Consensus::of(blind) {
                            Consensus::WrongUnknown => None,
                            consensus => consensus.right(),
                        };
                        audit.count(row, right);
                    }
                } else if feedback.seen < last {
                    feedback.count(row, row.consensus.right());
                }
            }
            if exhausted || (feedback.seen >= last && audit.seen >= last) {
                break;
            }
        }
        Ok(FeedbackAccuracy {
            feedback: feedback.shares(),
            audit: audit.shares(),
            audit_due: self.catalog.count_audit_due(project, DUE)?,
            caveat: CAVEAT.to_owned(),
        })
    }

    /// What came in since the production model was promoted.
    ///
    /// # Errors
    /// [`NotFound`](super::StoreError::NotFound) when the project has none.
    pub fn new_images(&self, project: &ProjectName, now: Time) -> Result<NewImages> {
        let alias = self.catalog.alias(project, &AliasName::production())?;
        let (model, since) = (alias.model, alias.since);
        let hours = self.log.counts(project, since, now.max(since))?;
        let predictions = hours.iter().filter(|hour| hour.model == model).map(|hour| hour.predictions).sum();
        let mut labelled = 0;
        let mut before = None;
        'rows: loop {
            let rows = self.catalog.feedback_before(project, before, STRIDE)?;
            for row in &rows {
                if row.at < since {
                    break 'rows;
                }
                before = Some(row.prediction);
                labelled += u64::from(row.label().is_some());
            }
            if rows.len() < STRIDE {
                break;
            }
        }
        let collected = self.grown(project, Lineage::Production, since)?;
        let reference = self.grown(project, Lineage::Reference, since)?;
        Ok(NewImages { model, since, predictions, labelled, collected, reference })
    }

    /// By how many images a line grew since a time.
    fn grown(&self, project: &ProjectName, lineage: Lineage, since: Time) -> Result<u64> {
        let mut cursor = None;
        let mut head = None;
        loop {
            let page = self.catalog.datasets(project, Some(lineage), cursor.as_ref(), STRIDE)?;
            for version in page.items {
                let images = version.images();
                let head = *head.get_or_insert(images);
                if version.created < since {
                    return Ok(head.saturating_sub(images));
                }
            }
            cursor = page.next;
            if cursor.is_none() {
                return Ok(head.unwrap_or(0));
            }
        }
    }
}

/// Right and counted predictions by model.
#[derive(Default)]
struct Tally {
    seen: usize,
    models: BTreeMap<ModelNumber, (u64, u64)>,
    undecided: u64,
}

impl Tally {
    fn count(&mut self, row: &Feedback, right: Option<bool>) {
        self.seen += 1;
        match right {
            Some(right) => {
                let (successes, trials) = self.models.entry(row.model).or_default();
                *successes += u64::from(right);
                *trials += 1;
            }
            None => self.undecided += 1,
        }
    }

    fn shares(&self) -> AccuracyOf {
        let (right, all) = self.models.values().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
        let model = |(&model, &(right, all)): (&ModelNumber, &(u64, u64))| ModelAccuracy {
            model,
            accuracy: proportion(right, all),
        };
        AccuracyOf {
            overall: proportion(right, all),
            models: self.models.iter().rev().map(model).collect(),
            undecided: self.undecided,
        }
    }
}
