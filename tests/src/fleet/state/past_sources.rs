//! The sources and schedules that there are when the simulation begins: sources found in every state,
//! schedules of every kind of trigger with a past.

use std::time::Duration;

use vigie_protocol::dataset::{DatasetRef, Decision, Lineage};
use vigie_protocol::job::{ImportSource, JobSpec};
use vigie_protocol::schedule::{
    CatchUp, EventFilter, FiredJob, Firing, FiringCause, FiringState, ScheduleAction, ScheduleSpec, Trigger,
};
use vigie_protocol::source::{Acceptance, Imported, Pending, Revision, Source, SourceOrigin, SourceState};
use vigie_protocol::{JobId, ProjectName, Time};

use super::super::dice::{hash, mix};
use super::super::words::{HOSTILE, endless};
use super::schedules::{Key, ScheduleRow, ago};
use super::{Character, State};

const HOUR: u64 = 60;
const DAY: u64 = 24 * HOUR;

/// Firings that each schedule has behind it.
const FIRED: u64 = 30;

impl State {
    /// Sources of each project; where nothing goes on there are none.
    pub(super) fn remember_sources(&mut self, present: Time) {
        if self.identity.character == Character::Quiet {
            return;
        }
        for name in self.projects.keys().cloned().collect::<Vec<_>>() {
            let sources = self.past_sources(&name, present);
            if let Some(project) = self.projects.get_mut(&name) {
                project.sources = sources.into_iter().map(|source| (source.name.clone(), source)).collect();
            }
        }
    }

    fn past_sources(&mut self, name: &ProjectName, present: Time) -> Vec<Source> {
        let Some(plan) = self.projects.get(name).map(|project| std::sync::Arc::clone(&project.plan)) else {
            return Vec::new();
        };
        let kaggle = format!("simulated/{name}").parse().expect("names of projects are slugs");
        let kaggle = SourceOrigin::Kaggle { dataset: kaggle };
        let (at, origin) = (ago(present, 7 * HOUR), format!("import of {kaggle}"));
        let set = self.propose_past(name, at, Lineage::Source, plan.first(0.84), origin);
        self.now = present;
        let source = |called: &str, origin: SourceOrigin| {
            let called = called.parse().expect("names of sources");
            let (created, by) = (ago(present, 40 * DAY), "alice".to_owned());
            Source::new(name.clone(), called, origin, Lineage::Source, created, by)
        };
        let version = |number| Revision::Version { number };
        let imported = |revision, days, number| {
            let dataset = Some(DatasetRef { lineage: Lineage::Source, number });
            Some(Imported { revision, at: ago(present, days * DAY), dataset })
        };
        let listing = |n, files, bytes| Revision::Listing { digest: hash(plan.seed, n), files, bytes };
        let archive = listing(1, 1, 913_000_000);
        vec![
            Source {
                acceptance: Acceptance::Under { percent: 2.0 },
                preprocess: true,
                state: SourceState::Ok,
                since: ago(present, 39 * DAY),
                detail: format!("version 4 awaits review as change-set {set}"),
                checked: Some(ago(present, HOUR)),
                latest: Some(version(4)),
                imported: imported(version(3), 15, 3),
                pending: Some(Pending {
                    change_set: Some(set),
                    ..Pending::new(version(4), self.import_of_the_past(name), None)
                }),
                declined: Some(version(2)),
                ..source("kaggle", kaggle)
            },
            Source {
                state: SourceState::Ok,
                since: ago(present, 31 * DAY),
                detail: format!("{archive} is the newest"),
                checked: Some(ago(present, 3 * HOUR)),
                latest: Some(archive.clone()),
                imported: imported(archive, 30, 2),
                ..source("archive", SourceOrigin::Zip { path: "/srv/pictures/archive-2.zip".to_owned() })
            },
            source("nightly", SourceOrigin::Folder { path: "/srv/pictures/nightly".to_owned() }),
            Source {
                state: SourceState::Vanished,
                since: ago(present, 3 * DAY),
                detail: format!("404 Not Found; {}", HOSTILE[0]),
                checked: Some(ago(present, 2 * HOUR)),
                imported: imported(
                    Revision::Content { etag: Some("\"7f3a\"".to_owned()), modified: None, bytes: None },
                    39,
                    1,
                ),
                ..source("supplier", SourceOrigin::Url { url: format!("https://images.example/{name}.zip") })
            },
            Source {
                state: SourceState::Licence,
                since: ago(present, 5 * DAY),
                detail: "its owner wants the rules accepted: visit https://www.kaggle.com/c/simulated/rules"
                    .to_owned(),
                checked: Some(ago(present, 2 * HOUR)),
                ..source(
                    "competition",
                    SourceOrigin::Url { url: format!("https://bob:secret@images.example/{}", endless()) },
                )
            },
            Source {
                state: SourceState::Unreachable,
                since: ago(present, 40),
                detail: "connect to 192.0.2.7:443: timed out after 10 s".to_owned(),
                checked: Some(ago(present, 40)),
                latest: Some(listing(2, 4_812, 2_100_000_000)),
                ..source("share", SourceOrigin::Folder { path: "/net/share/pictures/incoming".to_owned() })
            },
        ]
    }

    /// A job that imported something, or that would have if it were kept.
    fn import_of_the_past(&mut self, name: &ProjectName) -> JobId {
        let is_import = |job: &vigie_protocol::job::Job| {
            matches!(&job.spec, JobSpec::Import { source: ImportSource::Path { .. }, .. })
                && job.project.as_ref() == Some(name)
                && job.outcome.is_some()
        };
        let found = self.jobs.all().find(|job| is_import(job)).map(|job| job.id);
        found.unwrap_or_else(|| self.fresh_id(self.now))
    }

    /// Schedules of the agent and of each project, with what they did.
    pub(super) fn remember_schedules(&mut self, present: Time) {
        let daily = |expression: &str| Trigger::Cron {
            expression: expression.to_owned(),
            time_zone: "UTC".to_owned(),
        };
        let every = |minutes: u64| Trigger::Interval { seconds: (minutes * 60) as u32 };
        let backup = ScheduleAction::Backup { folder: "/var/backups/vigie".to_owned() };
        self.past_schedule(None, "sweep", every(DAY), ScheduleAction::Gc, DAY, present);
        self.past_schedule(None, "backup", daily("30 2 * * *"), backup, DAY, present);
        if self.identity.character == Character::Quiet {
            return;
        }
        for name in self.projects.keys().cloned().collect::<Vec<_>>() {
            let of = |action: &str| ScheduleAction::CheckSource { source: action.parse().expect("a name") };
            let on = |lineage| Trigger::Event {
                on: EventFilter::Dataset { lineage: Some(lineage) },
                debounce_s: 600,
            };
            let update = ScheduleAction::UpdateReference { from: Lineage::Production, accept: true };
            let collect = ScheduleAction::Collect { accept: true };
            let project = Some(&name);
            self.past_schedule(project, "kaggle", every(6 * HOUR), of("kaggle"), 6 * HOUR, present);
            self.past_schedule(project, "supplier", every(HOUR), of("supplier"), HOUR, present);
            self.past_schedule(project, "collect", daily("0 3 * * *"), collect, DAY, present);
            self.past_schedule(project, "corrections", on(Lineage::Production), update, 9 * DAY, present);
            let share = self.past_schedule(project, "share", every(30), of("share"), 30, present);
            let reason = Some(format!("the share moves to another machine; {}", HOSTILE[3]));
            let paused = Decision { at: ago(present, 20), by: "bob".to_owned(), reason };
            if let Some(row) = self.schedules.get_mut(&share) {
                row.schedule.paused = Some(paused);
            }
            let pack = Trigger::Event { on: EventFilter::DataChanged, debounce_s: 0 };
            let row = ScheduleRow::new(
                (project.cloned(), "pack".parse().expect("a name")),
                spec(pack, ScheduleAction::Preprocess),
                "józefina",
                ago(present, DAY),
            );
            self.schedules.insert((row.schedule.project.clone(), row.schedule.name.clone()), row);
        }
    }

    /// A schedule that fired every so many minutes.
    fn past_schedule(
        &mut self,
        project: Option<&ProjectName>,
        name: &str,
        trigger: Trigger,
        action: ScheduleAction,
        minutes: u64,
        present: Time,
    ) -> Key {
        let key: Key = (project.cloned(), name.parse().expect("a name"));
        let seed = mix(self.identity.seed, minutes);
        // Not on the minute, and not all agents at once.
        let began = ago(present, FIRED * minutes + mix(seed, 1) % minutes.min(HOUR));
        let mut row = ScheduleRow::new(key.clone(), spec(trigger, action), "alice", began);
        let mut due = began;
        for number in 1..=FIRED {
            let next = row.due_after(due).unwrap_or(due.plus(Duration::from_secs(60 * minutes)));
            if next > present {
                break;
            }
            due = next;
            let firing = self.past_firing(&row, number, due, mix(seed, number));
            row.push(firing);
        }
        row.schedule.progress.through = present;
        self.schedules.insert(key.clone(), row);
        key
    }

    fn past_firing(&mut self, row: &ScheduleRow, number: u64, due: Time, bits: u64) -> Firing {
        let action = row.schedule.spec.action.clone();
        let (state, jobs, detail) = match &action {
            ScheduleAction::CheckSource { source } if source.as_str() == "supplier" => (
                FiringState::Failed,
                Vec::new(),
                format!("{source} is vanished: 404 Not Found; {}", HOSTILE[0]),
            ),
            ScheduleAction::CheckSource { source } if source.as_str() == "share" && number > FIRED - 2 => {
                let text = format!("{source} is unreachable: connect to 192.0.2.7:443: timed out after 10 s");
                (FiringState::Failed, Vec::new(), text)
            }
            ScheduleAction::CheckSource { .. } if bits.is_multiple_of(5) => {
                // Its job is as old as the firing, and was forgotten since.
                let job = FiredJob { job: self.fresh_id(due), state: None };
                (FiringState::Submitted, vec![job], format!("version {} is new", number / 10 + 1))
            }
            ScheduleAction::CheckSource { .. } => {
                (FiringState::Skipped, Vec::new(), "nothing is newer than what was imported".to_owned())
            }
            ScheduleAction::Backup { folder } => {
                (FiringState::Done, Vec::new(), format!("{folder}/vigie-{number} with 2,114 files, 1.1 GB"))
            }
            other => {
                let job = FiredJob { job: self.fresh_id(due), state: None };
                (FiringState::Submitted, vec![job], other.name())
            }
        };
        let cause = match (&row.schedule.spec.trigger, number % 11) {
            (Trigger::Event { .. }, _) => FiringCause::Event { seq: number * 40, events: 1 + bits % 3 },
            (_, 4) => FiringCause::Asked { by: "bob".to_owned() },
            (_, 7) => FiringCause::Missed { firings: 1 + (bits % 9) as u32 },
            _ => FiringCause::Due,
        };
        Firing {
            id: self.fresh_id(due),
            schedule: row.schedule.name.clone(),
            project: row.schedule.project.clone(),
            number,
            cause,
            action,
            due,
            began: due.plus(Duration::from_millis(bits % 4_000)),
            ended: Some(due.plus(Duration::from_secs(5))),
            state,
            jobs,
            detail,
        }
    }
}

fn spec(trigger: Trigger, action: ScheduleAction) -> ScheduleSpec {
    let description = match &action {
        ScheduleAction::Gc => "the disk fills otherwise".to_owned(),
        ScheduleAction::Collect { .. } => format!("what people corrected yesterday {}", HOSTILE[4]),
        _ => String::new(),
    };
    ScheduleSpec { trigger, action, catch_up: CatchUp::Once, jitter_s: 0, description }
}
