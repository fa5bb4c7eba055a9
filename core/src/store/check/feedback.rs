//! Feedback held against its votes, the queues it is in, and the count of the classes that votes name.

use std::collections::{BTreeMap, HashSet};

use vigie_protocol::PredictionId;
use vigie_protocol::feedback::{Consensus, FeedbackState, Said};

use super::catalog::{Part, all};
use crate::store::Result;

const PAGE: usize = 500;

impl Part<'_, '_> {
    pub(super) fn feedback(&mut self) -> Result<()> {
        let mut named: BTreeMap<String, u64> = BTreeMap::new();
        let [mut open, mut deferred]: [HashSet<PredictionId>; 2] =
            self.catalog.feedback_lists(self.project)?.map(|ids| ids.into_iter().collect());
        for row in all(|cursor| self.catalog.feedback_page(self.project, cursor, PAGE))? {
            let place = format!("feedback on {}", row.prediction);
            if row.consensus != Consensus::of(row.votes.iter()) {
                self.broken(&place, "its votes come to something else than it says");
            }
            let voters: HashSet<&str> = row.votes.iter().map(|vote| vote.by.as_str()).collect();
            if voters.len() != row.votes.len() || row.votes.is_empty() {
                self.broken(&place, "not each of its people has one vote");
            }
            for vote in &row.votes {
                if let Said::Wrong { class } = &vote.said {
                    *named.entry(class.clone()).or_default() += 1;
                }
            }
            let (is_open, is_deferred) = match row.state {
                FeedbackState::Open | FeedbackState::Taken { .. } => (true, false),
                FeedbackState::Deferred => (false, true),
                FeedbackState::Settled | FeedbackState::NoPicture | FeedbackState::Unknown => (false, false),
            };
            if open.remove(&row.prediction) != is_open || deferred.remove(&row.prediction) != is_deferred {
                self.broken(&place, "it is not in the queues that its state says");
            }
            if row.state.needs_picture() {
                let place = self.place(&place);
                self.check.names(row.image, &place);
            }
        }
        if let Some(id) = open.iter().chain(&deferred).next() {
            self.broken("feedback", format_args!("prediction {id} is in a queue and has no feedback"));
        }
        if self.catalog.named_classes(self.project)? != named.into_iter().collect::<Vec<_>>() {
            self.broken("feedback", "the classes that votes name are not counted right");
        }
        if let Some(id) = self.catalog.audit_due_undrawn(self.project)?.first() {
            self.broken("audit sample", format_args!("prediction {id} waits for a label and was not drawn"));
        }
        Ok(())
    }
}
