//! A small world for tests: three agents, one of them gone, one with a project that has everything.

use std::collections::BTreeMap;
use std::sync::Arc;

use vigie_protocol::access::Role;
use vigie_protocol::dataset::{ChangeSet, ChangeSetState, DatasetImage, DatasetVersion, SplitCounts};
use vigie_protocol::event::{Event as Happened, Severity};
use vigie_protocol::feedback::{Clusters, LabelItem, LabelQueue};
use vigie_protocol::health::{AgentHealth, ServiceHealth, ServiceState};
use vigie_protocol::job::{Job, JobState, Wait};
use vigie_protocol::model::{Alias, GateCheck, GateVerdict, ModelVersion};
use vigie_protocol::prediction::{Prediction, Scored};
use vigie_protocol::project::Project;
use vigie_protocol::review::{ChangeSetImage, ImageFinding};
use vigie_protocol::rules::WaitingRoom;
use vigie_protocol::run::{EpochMetrics, Run};
use vigie_protocol::samples::Sample;
use vigie_protocol::schedule::{Firing, FiringCause, FiringState, ScheduleAction, ScheduleStatus, Trigger};
use vigie_protocol::service::{METHODS, ModelDetail};
use vigie_protocol::source::{Source, SourceOrigin, SourceState};
use vigie_protocol::{AliasName, Hash, ModelNumber, Time};

use super::effect::Effects;
use super::event::Event;
use super::key::Keys;
use super::keymap::Keymap;
use super::state::{
    Agent, AgentIndex, Answer, Fleet, Glance, HourGlance, Lines, Link, Place, Query, Rate, Rows, Snapshot,
    State, View, Want,
};
use super::theme::{Glyphs, Level, Palette, Theme};
use super::update;

/// The world's now: ten minutes into the samples' day.
pub(crate) fn now() -> Time {
    at(600)
}

/// So many seconds into the samples' day.
pub(crate) fn at(seconds: i64) -> Time {
    Time::from_micros(1_795_219_200_000_000 + seconds * 1_000_000)
}

pub(crate) const DARK: Theme = Theme { palette: Palette::Dark, level: Level::Indexed, glyphs: Glyphs::Utf8 };
pub(crate) const MONO: Theme = Theme { palette: Palette::Mono, level: Level::None, glyphs: Glyphs::Utf8 };
pub(crate) const ASCII: Theme = Theme { palette: Palette::Mono, level: Level::None, glyphs: Glyphs::Ascii };

/// The agent that has everything.
pub(crate) const LAB: AgentIndex = AgentIndex(0);

/// The project that has everything.
pub(crate) fn birds() -> Place {
    Place { agent: LAB, project: "birds".parse().expect("a name") }
}

/// The whole world, with the overview on a terminal of this size.
pub(crate) fn world(size: (u16, u16), theme: Theme) -> State {
    let (keymap, wrong) = Keymap::new(&BTreeMap::new());
    assert_eq!(wrong, Vec::<String>::new());
    let mut agents = vec![
        Agent::new("lab", "ssh://vigie@lab"),
        Agent::new("edge", "unix:/run/vigie/agent.sock"),
        Agent::new("gone", "ssh://gone"),
    ];
    agents[1].group = Some("edges".to_owned());
    agents[0].rates =
        (0..20).map(|i| (i != 7).then_some(Rate { per_second: f64::from(i), mean_ms: Some(12.0) })).collect();
    let fleet = Fleet { agents };
    let mut state = State::new(now(), size, theme, keymap, fleet);
    let news = vec![
        (LAB, Arc::new(lab())),
        (AgentIndex(1), Arc::new(Snapshot { heard: Some(at(30)), ..connected(Role::Viewer) })),
        (
            AgentIndex(2),
            Arc::new(Snapshot {
                link: Link::Waiting {
                    until: at(609),
                    reason: "ssh: connect to host gone: timed out".to_owned(),
                },
                heard: Some(at(60)),
                ..Snapshot::default()
            }),
        ),
    ];
    update(&mut state, Event::Agents(news));
    for (query, answer) in answers() {
        state.store.arrived(&Want { agent: LAB, query }, now(), Ok(answer));
    }
    state.toast = None;
    state.messages.clear();
    state
}

fn connected(role: Role) -> Snapshot {
    let methods = METHODS.iter().map(|method| method.name.to_owned()).collect();
    let link = Link::Connected { version: "0.1.0".to_owned(), role, methods: Arc::new(methods) };
    let mut health = AgentHealth::sample();
    health.now = now();
    Snapshot { link, heard: Some(now()), health: Some(health), ..Snapshot::default() }
}

fn lab() -> Snapshot {
    let mut snapshot = connected(Role::Operator);
    let service = |name: &str, state, detail: &str| ServiceHealth {
        name: name.to_owned(),
        state,
        since: at(0),
        detail: detail.to_owned(),
    };
    if let Some(health) = &mut snapshot.health {
        health.services = vec![
            service("store", ServiceState::Up, ""),
            service("serving:birds", ServiceState::Degraded, "queue 93 % full"),
            service("telemetry", ServiceState::Down, "no \u{1b}[31mdriver"),
        ];
    }
    let mut alias = Alias::sample();
    alias.name = AliasName::production();
    (alias.model, alias.previous, alias.generation) = (ModelNumber(7), Some(ModelNumber(6)), 2);
    let hours = (0..24)
        .map(|i| HourGlance { predictions: i * 10, mean_ms: Some(12.5), confidence: Some(0.8) })
        .collect();
    snapshot.projects = vec![Glance { project: Project::sample(), aliases: vec![alias], hours }];
    snapshot.jobs = jobs();
    snapshot.events = vec![
        Happened {
            seq: 3,
            at: at(590),
            severity: Severity::Error,
            text: "train failed: memory ran out".to_owned(),
            ..Happened::sample()
        },
        Happened {
            seq: 2,
            at: at(500),
            text: "production promoted from v6 to v7 by alice".to_owned(),
            ..Happened::sample()
        },
        Happened { seq: 1, at: at(100), text: "猫 gpj.\u{202e}exe".to_owned(), ..Happened::sample() },
    ];
    snapshot
}

fn jobs() -> Vec<Job> {
    let failed = Job::sample();
    let mut running =
        Job { state: JobState::Running, failure: None, outcome: None, finished: None, ..Job::sample() };
    running.id = "01980000-0000-7000-8000-0000000000a1".parse().expect("an id");
    let mut queued = Job { state: JobState::Queued, started: None, ..running.clone() };
    queued.id = "01980000-0000-7000-8000-0000000000a2".parse().expect("an id");
    queued.waits_for = vec![Wait::Lease { resource: "device:cpu".to_owned(), holder: running.id }];
    vec![running, queued, failed]
}

fn rows<T>(rows: Vec<T>) -> Rows<T> {
    Rows { rows: Arc::new(rows), next: None }
}

/// An answer to every question that a view asks.
fn answers() -> Vec<(Query, Answer)> {
    let project = || birds().project;
    let version = DatasetVersion::sample();
    let mut older = DatasetVersion::sample();
    older.dataset.number = 2;
    older
        .classes
        .insert("猫 with a name that goes on".to_owned(), SplitCounts { train: 70, valid: 15, test: 15 });
    let dataset = version.dataset;
    let model = |n| ModelVersion { number: ModelNumber(n), ..ModelVersion::sample() };
    let prediction = |n: u8| Prediction {
        id: prediction_id(n),
        top: vec![
            Scored { class: "owl".to_owned(), probability: 0.99 - f32::from(n) / 10.0 },
            Scored { class: "jay".to_owned(), probability: f32::from(n) / 20.0 },
        ],
        at: at(500 - i64::from(n)),
        image: Hash::from([n; 32]),
        ..Prediction::sample()
    };
    let set = ChangeSet::sample().id;
    let sets = rows(vec![open_set(), ChangeSet::sample()]);
    let run = curve(Run::sample());
    let diff = vigie_protocol::dataset::DatasetDifference::sample();
    let verdict = GateVerdict {
        checks: vec![
            GateCheck { name: "golden-set".to_owned(), passed: true, detail: "16 of 16 alike".to_owned() },
            GateCheck {
                name: "test-accuracy".to_owned(),
                passed: false,
                detail: "75.0 % against 80.0 %".to_owned(),
            },
        ],
        against: Some(ModelNumber(7)),
        ..GateVerdict::sample()
    };
    let detail = ModelDetail::sample();
    let compared = crate::compare::compare(&detail.passport, &detail.passport);
    let job = Job::sample();
    let candidate = ModelNumber(8);
    let mut images = rows(vec![DatasetImage::sample()]);
    images.next = Some(vigie_protocol::page::PageCursor("more".to_owned()));
    vec![
        (Query::Datasets { project: project(), lineage: None }, Answer::Datasets(rows(vec![version, older]))),
        (
            Query::Datasets { project: project(), lineage: Some(dataset.lineage) },
            Answer::Datasets(rows(vec![DatasetVersion::sample()])),
        ),
        (Query::Images { project: project(), dataset, class: None, split: None }, Answer::Images(images)),
        (
            Query::Images {
                project: project(),
                dataset,
                class: None,
                split: Some(vigie_protocol::dataset::Split::Test),
            },
            Answer::Images(rows(vec![DatasetImage::sample()])),
        ),
        (
            Query::DatasetDiff { project: project(), from: None, to: dataset },
            Answer::DatasetDiff { classes: Arc::new(diff.classes), images: rows(diff.images.items) },
        ),
        (Query::DatasetSizes { project: project(), dataset }, Answer::DatasetSizes(Arc::new(Vec::sample()))),
        (Query::ChangeSets { project: project() }, Answer::ChangeSets(sets)),
        (Query::ChangeSet { project: project(), id: set }, Answer::ChangeSet(Arc::new(ChangeSet::sample()))),
        (Query::ChangeSet { project: project(), id: open_set().id }, Answer::ChangeSet(Arc::new(open_set()))),
        (changed_images(false), Answer::ChangeSetImages(rows((1..=4).map(changed).collect()))),
        (changed_images(true), Answer::ChangeSetImages(rows((1..=2).map(changed).collect()))),
        (Query::Job { job: job.id }, Answer::Job(Arc::new(job.clone()))),
        (
            Query::JobLog { job: job.id },
            Answer::JobLog(Lines {
                lines: Arc::new(vigie_protocol::service::JobLogPage::sample().lines),
                next: 10,
                dropped: 0,
            }),
        ),
        (Query::Leases, Answer::Leases(Arc::new(Vec::sample()))),
        (Query::Runs { project: project() }, Answer::Runs(rows(vec![run.clone()]))),
        (Query::Run { project: project(), run: run.id }, Answer::Run(Arc::new(run))),
        (Query::Models { project: project() }, Answer::Models(rows(vec![model(8), model(7), model(6)]))),
        (Query::Model { project: project(), number: ModelNumber(7) }, Answer::Model(Arc::new(detail))),
        (
            Query::Gate { project: project(), candidate, alias: AliasName::production() },
            Answer::Gate(Arc::new(verdict)),
        ),
        (
            Query::Compare { project: project(), candidate, base: ModelNumber(7) },
            Answer::Compare(Arc::new(compared)),
        ),
        (
            Query::AliasHistory { project: project(), alias: AliasName::production() },
            Answer::AliasHistory(rows(Vec::sample())),
        ),
        (
            Query::Predictions { project: project(), filter: Default::default() },
            Answer::Predictions(rows((1..=8).map(prediction).collect())),
        ),
        (
            Query::Prediction { project: project(), id: prediction_id(1) },
            Answer::Prediction(Arc::new(prediction(1))),
        ),
        (
            Query::LabelNext { project: project(), queue: LabelQueue::Deferred },
            Answer::LabelNext { items: rows((1..=8).map(to_label).collect()), waiting: 8, gone: 1 },
        ),
        (
            Query::LabelNext { project: project(), queue: LabelQueue::Audit },
            Answer::LabelNext { items: rows((1..=3).map(blind).collect()), waiting: 3, gone: 0 },
        ),
        (Query::LabelClusters { project: project() }, Answer::LabelClusters(Arc::new(Clusters::sample()))),
        (
            cluster_members(),
            Answer::LabelNext { items: rows((1..=9).map(to_label).collect()), waiting: 9, gone: 0 },
        ),
        (
            Query::LabelClasses { project: project() },
            Answer::LabelClasses(Arc::new(["barn owl", "jay", "kite", "owl"].map(str::to_owned).to_vec())),
        ),
        (Query::Sources { project: project() }, Answer::Sources(Arc::new(sources()))),
        (Query::Schedules, Answer::Schedules(Arc::new(schedules()))),
        (
            Query::Firings { project: Some(project()), name: Firing::sample().schedule },
            Answer::Firings(rows(vec![Firing::sample(), failed_firing()])),
        ),
        (
            Query::Waiting { project: project(), threshold: None },
            Answer::Waiting(Arc::new(WaitingRoom { simulated: false, ..WaitingRoom::sample() })),
        ),
        (
            Query::AgentLog,
            Answer::AgentLog(Lines {
                lines: Arc::new(vigie_protocol::service::AgentLogPage::sample().lines),
                next: 18,
                dropped: 3,
            }),
        ),
    ]
}

/// One with a version to review, one that is gone.
fn sources() -> Vec<Source> {
    let gone = Source {
        name: "server".parse().expect("a name"),
        origin: SourceOrigin::Url { url: "https://example.org/birds.zip".to_owned() },
        state: SourceState::Vanished,
        detail: "404 Not Found; \u{1b}[31mask its owner".to_owned(),
        latest: None,
        imported: None,
        pending: None,
        ..Source::sample()
    };
    vec![Source::sample(), gone]
}

/// A paused one of the project, and one of the whole agent that never fired.
fn schedules() -> Vec<ScheduleStatus> {
    let mut of_agent = ScheduleStatus { last: None, ..ScheduleStatus::sample() };
    of_agent.schedule.name = "sweep".parse().expect("a name");
    of_agent.schedule.project = None;
    of_agent.schedule.paused = None;
    of_agent.schedule.spec.trigger = Trigger::Interval { seconds: 86_400 };
    of_agent.schedule.spec.action = ScheduleAction::Gc;
    let paused = ScheduleStatus { next: Vec::new(), ..ScheduleStatus::sample() };
    vec![of_agent, paused]
}

fn failed_firing() -> Firing {
    Firing {
        number: 6,
        cause: FiringCause::Due,
        state: FiringState::Failed,
        jobs: Vec::new(),
        detail: "there is no source kaggle-birds".to_owned(),
        ..Firing::sample()
    }
}

/// A change-set that nobody has decided on.
pub(crate) fn open_set() -> ChangeSet {
    ChangeSet {
        id: "01980000-0000-7000-8000-0000000000c1".parse().expect("an id"),
        state: ChangeSetState::Proposed,
        base: Some(3),
        left: BTreeMap::new(),
        accepted_as: None,
        decided: None,
        generation: 1,
        ..ChangeSet::sample()
    }
}

/// What a review of it asks for.
fn changed_images(only_findings: bool) -> Query {
    let (project, id) = (birds().project, open_set().id);
    Query::ChangeSetImages { project, id, class: None, kind: None, only_findings }
}

/// Its n-th image: the first looks like another one and leaks, the second enters the test split.
fn changed(n: u8) -> ChangeSetImage {
    let mut image = ChangeSetImage::sample();
    image.change.image = Hash::from([n; 32]);
    image.change.origin = format!("owls/{n}.jpg");
    match n {
        1 => image.findings.push(ImageFinding::NearDuplicate {
            of: Hash::from([9; 32]),
            origin: "jays/9.jpg".to_owned(),
            label: "jay".to_owned(),
            bits: 3,
        }),
        2 => image.findings = vec![ImageFinding::EntersTest],
        _ => image.findings.clear(),
    }
    image
}

/// What is asked for the pictures of the one cluster.
fn cluster_members() -> Query {
    let clusters = Clusters::sample();
    let (made, cluster) = (clusters.made.unwrap_or_default(), clusters.clusters[0].number);
    Query::LabelMembers { project: birds().project, made, cluster }
}

/// The n-th image at the labelling desk.
fn to_label(n: u8) -> LabelItem {
    LabelItem {
        prediction: prediction_id(n),
        at: at(500 - i64::from(n)),
        image: Hash::from([n; 32]),
        name: Some(format!("IMG_{n:04}.jpg")),
        top: vec![
            Scored { class: "owl".to_owned(), probability: 0.42 },
            Scored { class: "jay".to_owned(), probability: 0.31 },
            Scored { class: "猫 with a name that goes on".to_owned(), probability: 0.02 },
        ],
        ..LabelItem::sample()
    }
}

/// The n-th image of the audit.
fn blind(n: u8) -> LabelItem {
    let mut item = to_label(n);
    item.blind();
    item
}

fn prediction_id(n: u8) -> vigie_protocol::PredictionId {
    format!("01980000-0000-7000-8000-0000000001{n:02}").parse().expect("an id")
}

/// A run with a curve that has a gap.
fn curve(run: Run) -> Run {
    let epoch = |n: u32| EpochMetrics {
        epoch: n,
        train_loss: 2.0 / f64::from(n),
        valid_loss: 2.2 / f64::from(n),
        valid_accuracy: 1.0 - 0.6 / f64::from(n),
        learning_rate: 0.001,
        seconds: 1.0,
        at: at(i64::from(n)),
    };
    Run {
        epochs: (1..=12).filter(|n| !(6..=7).contains(n)).map(epoch).collect(),
        best_epoch: Some(12),
        ..run
    }
}

/// Every view there is, about what the world has.
pub(crate) fn every_view() -> Vec<View> {
    let place = birds;
    let dataset = DatasetVersion::sample().dataset;
    let job = Job::sample().id;
    let (candidate, number, alias) = (ModelNumber(8), ModelNumber(7), AliasName::production());
    vec![
        View::Overview,
        View::Agents,
        View::Agent { agent: LAB },
        View::Services,
        View::Projects,
        View::Datasets { place: place() },
        View::Dataset { place: place(), dataset },
        View::DatasetDiff { place: place(), from: None, to: dataset },
        View::Images { place: place(), dataset, class: None, split: None },
        View::ChangeSets { place: place() },
        View::ChangeSet { place: place(), id: ChangeSet::sample().id },
        View::Review { place: place(), id: open_set().id, class: None, kind: None },
        View::Jobs,
        View::Job { agent: LAB, job },
        View::Runs { place: place() },
        View::Curves { place: place(), runs: vec![Run::sample().id] },
        View::Models { place: place() },
        View::Model { place: place(), number },
        View::Confusion { place: place(), number },
        View::Compare { place: place(), candidate, base: number },
        View::Gate { place: place(), candidate, alias: alias.clone() },
        View::Aliases { place: place(), alias },
        View::Predictions { place: place(), filter: Default::default() },
        View::Prediction { place: place(), id: prediction_id(1) },
        View::Predict { place: place() },
        View::Label { place: place() },
        View::Sources { place: place() },
        View::Schedules { place: place() },
        View::Schedule { place: place(), project: Some(place().project), name: Firing::sample().schedule },
        View::Waiting { place: place(), threshold: None },
        View::Events,
        View::Log { agent: LAB },
        View::Messages,
        View::Help,
    ]
}

/// Shows a view.
pub(crate) fn show(state: &mut State, view: View) -> Effects {
    state.nav.jump(view);
    update(state, Event::Second { now: now() })
}

/// Presses keys: words apart by blanks are keys, `'text'` is typed.
pub(crate) fn press(state: &mut State, script: &str) -> Effects {
    let mut effects = Vec::new();
    for word in script.split_whitespace() {
        match word.strip_prefix('\'').and_then(|word| word.strip_suffix('\'')) {
            Some(text) => {
                for c in text.replace('_', " ").chars() {
                    effects.extend(update(state, Event::Key(super::key::Key::char(c))));
                }
            }
            None => {
                let Keys(keys) = word.parse().expect("keys");
                effects.extend(
                    keys.into_iter().flat_map(|key| update(state, Event::Key(key))).collect::<Vec<_>>(),
                );
            }
        }
    }
    effects
}

/// The screen as text.
pub(crate) fn text(state: &State) -> String {
    super::views::screen_text(state)
}
