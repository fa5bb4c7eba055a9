//! The past of an agent: what it has when the simulation begins. The same for the same seed.

use std::sync::Arc;
use std::time::Duration;

use vigie_protocol::dataset::{ChangeSetState, Decision, Lineage};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::health::ServiceState;
use vigie_protocol::model::{Architecture, GateCheck, GateVerdict, MoveKind};
use vigie_protocol::project::{PicturePolicy, Project, ProjectSettings};
use vigie_protocol::run::{Recipe, RunState};
use vigie_protocol::{AliasName, ModelNumber, ProjectName, RunId, Time};

use super::super::dice::{mix, pick, share};
use super::super::words::{self, HOSTILE, PEOPLE};
use super::super::world::{Content, Plan};
use super::aliases::{Move, announcement};
use super::datasets::ChangeSetRow;
use super::models::Registered;
use super::runs::{Made, RunRow};
use super::{Character, State};

/// How long ago the first model went into production, in days.
const SPAN: f64 = 29.0;

/// Days ago at which no predictions came for five hours: a gap in every chart.
const OUTAGE: (f64, f64) = (8.0, 7.8);

/// The holders of `production`: days ago, how, which version.
const MOVES: [(f64, MoveKind, u32); 5] = [
    (SPAN, MoveKind::Promote, 1),
    (20.0, MoveKind::Promote, 2),
    (12.0, MoveKind::Override, 3),
    (11.0, MoveKind::Rollback, 2),
    (5.0, MoveKind::Promote, 4),
];

/// The model versions: days ago, share of the test images that are right. The third is worse than the
/// second, the fifth better than the fourth, the sixth clearly worse.
const MODELS: [(f64, f64); 6] =
    [(29.5, 0.86), (20.5, 0.91), (12.5, 0.88), (6.0, 0.93), (2.0, 0.94), (1.0, 0.78)];

/// In the run of this model an epoch is missing and another measured no number.
const ODD_RUN: u32 = 3;

fn days(days: f64) -> Duration {
    Duration::from_secs_f64(days * 86_400.0)
}

impl State {
    /// Fills the state with its past, `predictions` among it.
    pub(super) fn remember(&mut self, predictions: u64) {
        let present = self.now;
        self.started = present.minus(days(3.0 * share(mix(self.identity.seed, 41))));
        if self.identity.character != Character::Fresh {
            let plans = self.world.projects.clone();
            let serving = plans.iter().filter(|plan| self.serves(plan)).count().max(1) as u64;
            for plan in &plans {
                let first = u64::from(plan.index == 0);
                let ours = if self.serves(plan) {
                    predictions / serving + first * (predictions % serving)
                } else {
                    0
                };
                self.remember_project(plan, ours, present);
            }
            self.remember_jobs(present);
            self.remember_sources(present);
            self.remember_schedules(present);
        }
        self.now = self.started;
        self.agent_event("the agent started");
        self.serve_again();
        self.services.entry("http".to_owned()).or_insert_with(|| vigie_protocol::health::ServiceHealth {
            name: "http".to_owned(),
            state: ServiceState::Off,
            since: self.started,
            detail: "not configured".to_owned(),
        });
        self.now = present;
        if self.identity.character != Character::Fresh {
            self.odd_events(present);
        }
        for project in self.projects.values_mut() {
            if let Some(model) = project.log.model() {
                // What came between the start and now was counted among the past already.
                project.log.rewind(present, model);
            }
        }
        self.events.settle();
        self.hub.restart(self.epoch());
    }

    /// Whether a model of that project is in production here; on some agents one has none yet.
    fn serves(&self, plan: &Plan) -> bool {
        plan.index == 0 || !(self.identity.index + plan.index).is_multiple_of(8)
    }

    fn remember_project(&mut self, plan: &Arc<Plan>, predictions: u64, present: Time) {
        let name = plan.name.clone();
        let bits = mix(self.identity.seed, plan.index);
        let description = match bits % 4 {
            0 => format!("{name}: {}", words::hostile(bits)),
            1 => words::endless(),
            2 => String::new(),
            _ => format!("what comes in from the {name} desk"),
        };
        let settings = ProjectSettings {
            keep_pictures: if bits.is_multiple_of(3) {
                PicturePolicy::Sampled { percent: 20 }
            } else {
                PicturePolicy::All
            },
            ..ProjectSettings::default()
        };
        let created = present.minus(days(40.0));
        let by = "alice".to_owned();
        let project = Project { name: name.clone(), description, created, by, settings, generation: 1 };
        let lived = days(SPAN - (OUTAGE.0 - OUTAGE.1)).as_micros() as u64;
        let period = (predictions > 0).then(|| (lived / predictions).max(1).cast_signed());
        self.add_project(Arc::clone(plan), project, period);
        self.now = created;
        self.event(
            Some(&name),
            Severity::Info,
            Subject::Project,
            format!("project {name} was created by alice"),
        );
        self.remember_datasets(&name, plan, present);
        self.remember_models(&name, plan, present);
        if self.serves(plan) {
            self.remember_moves(&name, present);
            self.remember_predictions(&name, predictions, present);
        }
    }

    fn remember_datasets(&mut self, name: &ProjectName, plan: &Plan, present: Time) {
        let all = plan.images;
        let part = |share: f64| plan.first(share);
        let sent = |from: f64, to: f64| Content::between(part(from).to, part(to).to);
        let history = [
            (39.0, Lineage::Source, part(0.5), "import of archive.zip".to_owned()),
            (38.0, Lineage::Reference, part(0.5), "update from source@v1".to_owned()),
            (30.0, Lineage::Source, part(0.7), "import of archive-2.zip".to_owned()),
            (29.9, Lineage::Reference, part(0.7), "update from source@v2".to_owned()),
            (21.0, Lineage::Production, sent(0.8, 0.83), "feedback".to_owned()),
            (15.0, Lineage::Source, part(0.8), format!("import of {}", HOSTILE[(plan.index % 8) as usize])),
            (13.0, Lineage::Reference, part(0.75), "update from source@v3".to_owned()),
            (9.0, Lineage::Production, sent(0.8, 0.84), "feedback".to_owned()),
            (
                7.0,
                Lineage::Reference,
                Content { relabelled: all / 2, ..part(0.8) },
                "labels corrected".to_owned(),
            ),
        ];
        for (ago, lineage, content, origin) in history {
            let id = self.propose_past(name, present.minus(days(ago)), lineage, content, origin);
            let decision =
                Decision { at: self.now, by: "bob".to_owned(), reason: Some("looked at it".to_owned()) };
            self.decide(name, id, true, decision).expect("made against the newest version just now");
        }
        let at = present.minus(days(6.5));
        let id = self.propose_past(name, at, Lineage::Reference, part(0.81), words::hostile(plan.seed));
        let reason = Some(format!("labels are wrong: {}", HOSTILE[1]));
        let decision = Decision { at, by: "bob".to_owned(), reason };
        self.decide(name, id, false, decision).expect("proposed just now");
        let removing = Content { from: all / 50, relabelled: part(0.8).to, ..part(0.82) };
        for (ago, content, origin) in [
            (0.4, part(0.83), "import of monday.zip"),
            (0.1, removing, "labels corrected, and blurred images taken out"),
        ] {
            let at = present.minus(days(ago));
            self.propose_past(name, at, Lineage::Reference, content, origin.to_owned());
        }
    }

    /// A change-set as of `at`, against what was newest then.
    pub(super) fn propose_past(
        &mut self,
        name: &ProjectName,
        at: Time,
        lineage: Lineage,
        after: Content,
        origin: String,
    ) -> vigie_protocol::ChangeSetId {
        self.now = at;
        let (id, bits) = (self.fresh_id(at), self.fresh_bits());
        if let Some(project) = self.projects.get_mut(name) {
            let head = project.head(lineage);
            let before = head.map_or(Content::between(after.from, after.from), |head| head.content);
            let base = head.map(|head| head.dataset.number);
            let row = ChangeSetRow {
                id,
                lineage,
                base,
                state: ChangeSetState::Proposed,
                origin: origin.clone(),
                created: at,
                by: (*pick(bits, &PEOPLE)).to_owned(),
                before,
                after,
                left: None,
                duplicates: bits % 30,
                quarantined: if bits.is_multiple_of(5) { 1_200 } else { bits % 9 },
                accepted_as: None,
                decided: None,
                generation: 1,
            };
            project.change_sets.insert(id, row);
        }
        let text = format!("{origin}: proposed");
        self.event(Some(name), Severity::Info, Subject::ChangeSet { change_set: id }, text);
        id
    }

    fn remember_models(&mut self, name: &ProjectName, plan: &Plan, present: Time) {
        for (number, (ago, accuracy)) in (1..).zip(MODELS) {
            let at = present.minus(days(ago));
            let run = self.remember_run(name, at, RunState::Finished, 30, number == ODD_RUN);
            self.remember_evaluation(name, run, ModelNumber(number), at);
            self.now = at;
            let Some(project) = self.projects.get_mut(name) else { return };
            let head = project.datasets.iter().filter(|row| row.dataset.lineage == Lineage::Reference);
            let Some(head) = head.filter(|row| row.created <= at).max_by_key(|row| row.dataset) else {
                continue;
            };
            // A little better or worse on each machine; few classes are harder to tell from chance.
            let luck = 0.01 * share(mix(self.identity.seed ^ plan.seed, u64::from(number)));
            let registered = Registered {
                run,
                dataset: head.dataset,
                content: head.content,
                architecture: [Architecture::EfficientnetLite0, Architecture::EfficientnetB0]
                    [(number % 2) as usize],
                accuracy: accuracy - luck,
                at,
                by: "alice",
            };
            let number = project.register(&registered);
            if let Some(model) = project.models.last_mut() {
                // The last was made on another machine, whose arithmetic differs.
                model.reproduces = number.0 != 6;
            }
            let text = format!("model {number} was registered");
            self.event(Some(name), Severity::Info, Subject::Model { number }, text);
        }
        self.remember_run(name, present.minus(days(4.0)), RunState::Failed, 8, false);
        self.remember_run(name, present.minus(days(3.0)), RunState::Cancelled, 3, false);
    }

    /// A training of the past with its job; `odd` ones have holes in what they measured.
    fn remember_run(
        &mut self,
        name: &ProjectName,
        at: Time,
        state: RunState,
        epochs: u32,
        odd: bool,
    ) -> RunId {
        let began = at.minus(Duration::from_secs(40 * u64::from(epochs) + 300));
        let (id, seed): (RunId, u64) = (self.fresh_id(began), self.fresh_bits());
        let recipe = Recipe { seed: seed % 100, batch: 32, ..Recipe::default() };
        let job = self.remember_training(name, id, began, at, state, &recipe);
        let Some(project) = self.projects.get_mut(name) else { return id };
        let dataset = project.datasets.iter().filter(|row| row.dataset.lineage == Lineage::Reference);
        let Some(dataset) = dataset.filter(|row| row.created <= at).max_by_key(|row| row.dataset) else {
            return id;
        };
        let made = Made { manifest: project.plan.manifest(dataset.content), at: began, by: "alice", seed };
        let mut row = RunRow::new(id, job, dataset.dataset, recipe, &made);
        for epoch in (1..=epochs).filter(|&epoch| !odd || epoch != 7) {
            let ended = began.plus(Duration::from_secs(40 * u64::from(epoch)));
            let mut metrics = row.epoch(epoch, 38.5, ended);
            if odd && epoch == 12 {
                (metrics.train_loss, metrics.valid_loss) = (f64::NAN, f64::INFINITY);
            }
            row.push(metrics);
        }
        row.run.state = state;
        row.run.resumed = u32::from(odd);
        project.runs.insert(id, row);
        id
    }

    fn remember_moves(&mut self, name: &ProjectName, present: Time) {
        let production = AliasName::production();
        let other = |name: &str| name.parse::<AliasName>().unwrap_or_else(|_| AliasName::production());
        let others =
            [(10.0, MoveKind::Promote, 3, other("canary")), (1.5, MoveKind::Promote, 5, other("shadow"))];
        let moves = MOVES.map(|(ago, kind, to)| (ago, kind, to, production.clone()));
        for (ago, kind, to, alias) in moves.into_iter().chain(others) {
            self.now = present.minus(days(ago));
            let now = self.now;
            let reason = match kind {
                MoveKind::Override => Some(format!("owls matter more than the rest {}", HOSTILE[5])),
                MoveKind::Rollback => Some("worse on owls".to_owned()),
                MoveKind::Promote | MoveKind::Unknown => None,
            };
            let verdict = (kind != MoveKind::Rollback).then(|| past_verdict(ModelNumber(to), kind, now));
            let to_happen = Move { kind, to: ModelNumber(to), by: "alice", reason, verdict };
            let Some(project) = self.projects.get_mut(name) else { return };
            let Ok((alias, moved)) = project.move_alias(&alias, to_happen, now) else { continue };
            let severity = if kind == MoveKind::Promote { Severity::Info } else { Severity::Warning };
            let subject = Subject::Alias { alias: alias.name, to: alias.model };
            self.event(Some(name), severity, subject, announcement(&moved));
        }
    }

    /// Spreads the predictions over the reigns of the production models.
    fn remember_predictions(&mut self, name: &ProjectName, predictions: u64, present: Time) {
        let Some(project) = self.projects.get_mut(name) else { return };
        let mut reigns = Vec::new();
        for (n, &(from, _, model)) in MOVES.iter().enumerate() {
            let to = MOVES.get(n + 1).map_or(0.0, |next| next.0);
            if from > OUTAGE.0 && to < OUTAGE.1 {
                reigns.extend([(from, OUTAGE.0, model), (OUTAGE.1, to, model)]);
            } else {
                reigns.push((from, to, model));
            }
        }
        let lived: f64 = reigns.iter().map(|(from, to, _)| from - to).sum();
        let lengths = reigns.iter().map(|(from, to, _)| (predictions as f64 * (from - to) / lived) as u64);
        let mut lengths: Vec<u64> = lengths.collect();
        // What rounding left over comes first: nothing may be of the future.
        let rest = predictions.saturating_sub(lengths.iter().sum());
        if let Some(first) = lengths.first_mut() {
            *first += rest;
        }
        for ((from, _, model), length) in reigns.into_iter().zip(lengths) {
            project.log.past(present.minus(days(from)), ModelNumber(model), length);
        }
    }

    /// Events of every severity and subject, some from a newer agent, some that a terminal must survive.
    fn odd_events(&mut self, present: Time) {
        let name = self.projects.keys().next().cloned();
        let bits = self.identity.seed;
        let events = [
            (600, Severity::Error, Subject::Agent, format!("the disk refused a write: {}", HOSTILE[2])),
            (480, Severity::Warning, Subject::Agent, words::endless()),
            (
                300,
                Severity::Unknown,
                Subject::Unknown,
                "something that only a newer console knows".to_owned(),
            ),
            (120, Severity::Info, Subject::Project, words::hostile(bits)),
        ];
        for (ago, severity, subject, text) in events {
            self.now = present.minus(Duration::from_secs(ago));
            self.event(name.as_ref(), severity, subject, text);
        }
        self.now = present;
    }
}

/// What the gate said in the past.
fn past_verdict(candidate: ModelNumber, kind: MoveKind, at: Time) -> GateVerdict {
    let passed = kind != MoveKind::Override;
    let check = |name: &str, passed, detail: &str| GateCheck {
        name: name.to_owned(),
        passed,
        detail: detail.to_owned(),
    };
    let against = (candidate.0 > 1).then(|| ModelNumber(candidate.0 - 1));
    let accuracy = if passed {
        "not clearly below production on the 2205 test images both were judged on: 91.2 % against 86.4 % right"
    } else {
        "clearly below production on the 2205 test images both were judged on: 88.1 % against 91.2 % right; \
         equally good models differ this much or more with p = 0.001, below 0.05 is clear"
    };
    let checks = vec![
        check("golden-set", true, "this machine reproduces the answers to 16 golden images"),
        check("preprocess-hash", true, "trained and served with the same preprocessing, 4f1c09aa"),
        check("test-accuracy", passed, accuracy),
    ];
    GateVerdict { candidate, against, checks, at }
}
