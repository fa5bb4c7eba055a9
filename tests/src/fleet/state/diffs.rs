//! What differs between two dataset versions, and what the agent says of itself.

use std::collections::BTreeMap;

use vigie_protocol::access::Principal;
use vigie_protocol::dataset::{ChangeKind, ClassChange, DatasetDifference, ImageChange, Placement};
use vigie_protocol::event::Severity;
use vigie_protocol::service::{AgentLog, AgentLogLine, AgentLogPage, DatasetDiff};
use vigie_protocol::{ApiError, Hash};

use super::State;
use super::page::{cursor, page};

impl State {
    pub(in super::super) fn dataset_diff(
        &mut self,
        _: &Principal,
        request: DatasetDiff,
    ) -> Result<DatasetDifference, ApiError> {
        let DatasetDiff { project, from, to, class, page: wanted } = request;
        let project = self.project(&project)?;
        let plan = &project.plan;
        let before = from.map(|from| project.dataset(from).map(|row| row.content)).transpose()?;
        let after = project.dataset(to)?.content;
        let place = |content, image| Placement {
            label: plan.classes[plan.label(content, image)].clone(),
            split: plan.split(image),
        };
        let changed = |image: usize| {
            let from = before.filter(|before| plan.has(*before, image)).map(|before| place(before, image));
            let to = plan.has(after, image).then(|| place(after, image));
            (from != to).then_some((from, to))
        };
        let mut classes: BTreeMap<String, ClassChange> = BTreeMap::new();
        for (_, image) in plan.pictures().past(None) {
            match changed(image) {
                Some((None, Some(to))) => classes.entry(to.label).or_default().added += 1,
                Some((Some(from), None)) => classes.entry(from.label).or_default().removed += 1,
                Some((Some(from), Some(to))) => {
                    classes.entry(from.label).or_default().relabelled_out += 1;
                    classes.entry(to.label).or_default().relabelled_in += 1;
                }
                Some((None, None)) | None => {}
            }
        }
        let past: Option<Hash> = cursor(&wanted)?;
        let rows = plan.pictures().past(past).map(|(hash, image)| {
            let row = changed(image).map(|(from, to)| {
                let kind = match (&from, &to) {
                    (None, _) => ChangeKind::Added,
                    (_, None) => ChangeKind::Removed,
                    (Some(_), Some(_)) => ChangeKind::Relabelled,
                };
                let content = if to.is_some() { after } else { before.unwrap_or(after) };
                ImageChange { image: hash, kind, from, to, origin: plan.image(content, image).origin }
            });
            let ours = |change: &ImageChange| {
                let of = |place: &Option<Placement>| place.as_ref().map(|place| place.label.clone());
                class.is_none() || of(&change.from) == class || of(&change.to) == class
            };
            (hash, row.filter(ours))
        });
        Ok(DatasetDifference { classes, images: page(&wanted, rows) })
    }

    /// A line for each event that is kept: numbered from 1, as a fresh start's would be.
    pub(in super::super) fn agent_log(
        &mut self,
        _: &Principal,
        request: AgentLog,
    ) -> Result<AgentLogPage, ApiError> {
        let AgentLog { cursor, limit } = request;
        let limit = if limit == 0 { 100 } else { limit.min(1_000) } as usize;
        let events: Vec<_> = self.events.iter().collect();
        let first = events.first().map_or(1, |event| event.seq);
        let end = events.last().map_or(1, |last| last.seq + 1);
        let from = match cursor {
            None => end.saturating_sub(limit as u64).max(first),
            Some(cursor) if cursor > end => first,
            Some(cursor) => cursor.max(first),
        };
        let dropped = cursor.map_or(0, |cursor| from.saturating_sub(cursor.max(1)));
        let lines: Vec<AgentLogLine> = events
            .into_iter()
            .filter(|event| event.seq >= from)
            .take(limit)
            .map(|event| AgentLogLine {
                seq: event.seq,
                at: event.at,
                level: match event.severity {
                    Severity::Info => "info",
                    Severity::Warning | Severity::Unknown => "warn",
                    Severity::Error => "error",
                }
                .to_owned(),
                target: "vigie_agent::sim".to_owned(),
                text: event.text.clone(),
            })
            .collect();
        let next = lines.last().map_or(from, |last| last.seq + 1);
        Ok(AgentLogPage { lines, next, dropped, epoch: self.epoch() })
    }
}
