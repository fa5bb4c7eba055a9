//! Which events a schedule waits for, and how many it has not fired for yet.

use std::collections::HashMap;

use vigie_core::store::StoreError;
use vigie_core::store::catalog::Catalog;
use vigie_protocol::event::{Event, Subject};
use vigie_protocol::schedule::{EventFilter, Schedule};
use vigie_protocol::{ProjectName, ScheduleName};

use super::plan::Pending;

/// Events read at once.
const STRIDE: usize = 500;

/// What the event triggers have seen. Remembers how far it has read, so that each event is read once;
/// what it counts is in the schedules' progress and the events alone, and survives a restart.
#[derive(Debug, Default)]
pub(super) struct Watcher {
    seen: HashMap<(Option<ProjectName>, ScheduleName), Seen>,
}

#[derive(Debug)]
struct Seen {
    generation: u64,
    /// The schedule's progress when the count began.
    from: u64,
    to: u64,
    pending: Option<Pending>,
}

impl Watcher {
    /// The events that a schedule has not fired for yet.
    pub(super) fn pending(
        &mut self,
        catalog: &Catalog,
        schedule: &Schedule,
        on: &EventFilter,
    ) -> Result<Option<Pending>, StoreError> {
        let from = schedule.progress.event;
        let key = (schedule.project.clone(), schedule.name.clone());
        let fresh = || Seen { generation: schedule.generation, from, to: from, pending: None };
        let seen = self.seen.entry(key).or_insert_with(fresh);
        if seen.generation != schedule.generation || seen.from != from {
            *seen = fresh();
        }
        loop {
            let events = catalog.events_since(seen.to, STRIDE)?;
            for event in &events {
                seen.to = event.seq;
                if !matches(on, schedule.project.as_ref(), event) {
                    continue;
                }
                let before = seen.pending;
                seen.pending = Some(Pending {
                    first: before.map_or(event.at, |before| before.first),
                    last: event.at,
                    seq: event.seq,
                    count: before.map_or(0, |before| before.count) + 1,
                });
            }
            if events.len() < STRIDE {
                return Ok(seen.pending);
            }
        }
    }

    /// Forgets schedules that are gone.
    pub(super) fn keep(&mut self, schedules: &[Schedule]) {
        self.seen.retain(|(project, name), _| {
            schedules.iter().any(|schedule| schedule.project == *project && schedule.name == *name)
        });
    }
}

fn matches(on: &EventFilter, project: Option<&ProjectName>, event: &Event) -> bool {
    if project.is_some() && event.project.as_ref() != project {
        return false;
    }
    match (on, &event.subject) {
        (EventFilter::Dataset { lineage }, Subject::Dataset { dataset }) => {
            lineage.is_none_or(|lineage| dataset.lineage == lineage)
        }
        (EventFilter::ChangeSet, Subject::ChangeSet { .. })
        | (EventFilter::Model, Subject::Model { .. })
        | (EventFilter::DataChanged, Subject::DataChanged { .. }) => true,
        (EventFilter::Alias { alias: wanted }, Subject::Alias { alias, .. }) => {
            wanted.as_ref().is_none_or(|wanted| wanted == alias)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use vigie_protocol::dataset::{DatasetRef, Lineage};
    use vigie_protocol::event::Severity;
    use vigie_protocol::{AliasName, ChangeSetId, ModelNumber, Time};

    use super::*;

    #[test]
    fn events_are_those_of_the_filter() {
        let dataset = |lineage| Subject::Dataset { dataset: DatasetRef { lineage, number: 1 } };
        let of = |lineage| EventFilter::Dataset { lineage: Some(lineage) };
        let moved = Subject::Alias { alias: AliasName::production(), to: ModelNumber(1) };
        let proposed = Subject::ChangeSet { change_set: ChangeSetId::new() };
        for (on, project, subject, expected) in [
            (EventFilter::Dataset { lineage: None }, None, dataset(Lineage::Source), true),
            (of(Lineage::Source), None, dataset(Lineage::Source), true),
            (of(Lineage::Production), None, dataset(Lineage::Source), false),
            (of(Lineage::Source), Some("birds"), dataset(Lineage::Source), true),
            (of(Lineage::Source), Some("fish"), dataset(Lineage::Source), false),
            (EventFilter::ChangeSet, None, proposed, true),
            (EventFilter::ChangeSet, None, Subject::Agent, false),
            (EventFilter::Alias { alias: None }, None, moved.clone(), true),
            (EventFilter::Alias { alias: Some(AliasName::production()) }, None, moved.clone(), true),
            (EventFilter::Alias { alias: "shadow".parse().ok() }, None, moved, false),
            (EventFilter::Model, None, Subject::Model { number: ModelNumber(1) }, true),
            (EventFilter::Unknown, None, Subject::Unknown, false),
        ] {
            let project: Option<ProjectName> = project.map(|name| name.parse().expect("a name"));
            let event = Event {
                seq: 1,
                at: Time::default(),
                project: "birds".parse().ok(),
                severity: Severity::Info,
                subject,
                text: String::new(),
            };
            assert_eq!(matches(&on, project.as_ref(), &event), expected, "{on:?} {event:?}");
        }
    }
}
