//! Methods that answer from an agent's real parts: its configuration, a state on disk, its log.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;
use std::sync::Arc;

use tarpc::context;
use tokio_util::sync::{CancellationToken, DropGuard};
use vigie_core::data::changeset::split_counts;
use vigie_core::store::manifest::Manifest;
use vigie_core::store::{Blobs, State};
use vigie_protocol::access::Role;
use vigie_protocol::dataset::{
    ChangeKind, ChangeSet, ChangeSetState, ClassChange, DatasetImage, DatasetRef, Decision, Lineage, Quality,
    Split,
};
use vigie_protocol::health::{Environment, EnvironmentColour};
use vigie_protocol::page::{PageCursor, PageRequest};
use vigie_protocol::project::{Project, ProjectSettings};
use vigie_protocol::review::FindingCounts;
use vigie_protocol::run::Recipe;
use vigie_protocol::service::{
    AgentLog, DatasetDiff, DatasetGet, Empty, Predict, ProjectCreate, Rollback, TrainSubmit, Vigie,
};
use vigie_protocol::{AliasName, ApiError, ChangeSetId, ErrorCode, Hash, IdempotencyKey, ProjectName, Time};

use crate::app::App;
use crate::config::Config;
use crate::log::LogRing;
use crate::rpc::Api;
use crate::run::assemble;

/// An agent whose parts nobody runs.
pub(super) struct Agent {
    pub(super) app: Arc<App>,
    log: LogRing,
    _stop: DropGuard,
    _folder: tempfile::TempDir,
}

impl Agent {
    pub(super) async fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("agent.toml");
        let text = format!(
            "[agent]\nstate = {:?}\nenvironment = \"production\"\nenvironment_colour = \"red\"\n[serving]\nthreads = 1",
            folder.path().join("state")
        );
        std::fs::write(&file, text).unwrap();
        let config = Config::load(Some(&file), &|_| None).unwrap();
        let state = Arc::new(State::open(&config.agent.state, Time::now(), None).unwrap());
        let (log, stop) = (LogRing::default(), CancellationToken::new());
        let (app, _engine) = assemble(config, log.clone(), state, Time::now(), stop.clone()).await.unwrap();
        Self { app, log, _stop: stop.drop_guard(), _folder: folder }
    }

    pub(super) fn api(&self) -> Api {
        Api::new(super::session(Role::Operator), self.app.clone())
    }

    pub(super) fn project(&self) {
        let project = Project::new(birds(), Time::now(), "ada");
        self.app.state.catalog.create_project(&project, None).unwrap();
    }

    /// Makes the next version of a line, of these images.
    pub(super) fn version(&self, lineage: Lineage, images: &[(u8, &str, Split)]) -> DatasetRef {
        let State { catalog, blobs, .. } = &*self.app.state;
        let images = images.iter().map(|&(n, label, split)| image(n, label, split));
        let decoded = Manifest::new(images.collect());
        let manifest = blobs.put(&decoded.encode()).unwrap();
        let base = catalog.dataset_head(&birds(), lineage).unwrap().map(|head| head.dataset.number);
        let (at, by) = (Time::now(), "ada".to_owned());
        let set = ChangeSet {
            id: ChangeSetId::new(),
            project: birds(),
            lineage,
            base,
            state: ChangeSetState::Proposed,
            origin: "a test".to_owned(),
            created: at,
            by: by.clone(),
            manifest,
            classes: BTreeMap::new(),
            result: split_counts(decoded.images()),
            bytes: 0,
            unchanged: 0,
            duplicates: 0,
            quarantine: Vec::new(),
            quarantined: 0,
            renames: Vec::new(),
            window: None,
            findings: FindingCounts::default(),
            left: BTreeMap::new(),
            accepted_as: None,
            decided: None,
            generation: 0,
        };
        catalog.propose(&set, None).unwrap();
        catalog.accept(&birds(), set.id, None, &Decision { at, by, reason: None }, None).unwrap();
        DatasetRef { lineage, number: base.unwrap_or(0) + 1 }
    }
}

pub(super) fn birds() -> ProjectName {
    "birds".parse().unwrap()
}

fn image(n: u8, label: &str, split: Split) -> DatasetImage {
    let quality = Quality { width: 8, height: 8, bytes: 10, brightness: 0.5, ..Quality::default() };
    let (origin, admission) = (format!("{n}.jpg"), "imported".to_owned());
    DatasetImage::new(Hash::from([n; 32]), label.to_owned(), split, origin, quality, admission)
}

#[tokio::test]
async fn no_text_is_longer_than_may_be_kept() {
    let agent = Agent::new().await;
    agent.project();
    let (api, key) = (agent.api(), IdempotencyKey::new);
    let (context, long) = (context::current, || "x".repeat(1 << 20));
    let create = ProjectCreate {
        key: key(),
        name: "owls".parse().unwrap(),
        description: long(),
        settings: ProjectSettings::default(),
    };
    let rollback = Rollback {
        key: key(),
        project: birds(),
        alias: AliasName::production(),
        expected_generation: None,
        reason: Some(long()),
    };
    let (image, blob, top) = (Vec::new(), None, 1);
    let predict = Predict { project: birds(), image, blob, top, name: Some(long()) };
    for refused in [
        api.clone().project_create(context(), create).await.map(drop),
        api.clone().rollback(context(), rollback).await.map(drop),
        api.predict(context(), predict).await.map(drop),
    ] {
        assert_eq!(refused.unwrap_err().code, ErrorCode::TooLarge);
    }
}

#[tokio::test]
async fn a_project_is_remembered_for_when_it_cannot_be_read() {
    let agent = Agent::new().await;
    let serving = &agent.app.serving;
    let refused = |code| Err(ApiError::new(code, "no"));
    let code = |read| serving.last_known(&birds(), read).map_err(|error| error.code);
    assert_eq!(code(refused(ErrorCode::Storage)), Err(ErrorCode::Storage), "it was never read");
    let project = Project::new(birds(), Time::now(), "ada");
    let newer = Project { generation: 2, ..project.clone() };
    for read in [project, newer] {
        assert_eq!(code(Ok(read.clone())), Ok(read.clone()));
        assert_eq!(code(refused(ErrorCode::Storage)), Ok(read));
    }
    assert_eq!(code(refused(ErrorCode::NotFound)), Err(ErrorCode::NotFound), "the disk answers");
}

#[tokio::test]
async fn health_says_what_the_agent_is_for() {
    let agent = Agent::new().await;
    let health = agent.api().health(context::current(), Empty {}).await.unwrap();
    let production = Environment { name: "production".to_owned(), colour: EnvironmentColour::Red };
    assert_eq!(health.environment, Some(production));
}

#[tokio::test]
async fn the_log_is_read_in_pages_of_bounded_length() {
    let agent = Agent::new().await;
    (1..=1_500).for_each(|n| agent.log.push(Time::now(), "info", "test".to_owned(), format!("line {n}")));
    for (cursor, limit, first, last, next) in [
        (None, 0, 1_401, 1_500, 1_501),
        (None, 2, 1_499, 1_500, 1_501),
        (Some(0), 5_000, 1, 1_000, 1_001),
        (Some(1_001), 5_000, 1_001, 1_500, 1_501),
    ] {
        let page = agent.api().agent_log(context::current(), AgentLog { cursor, limit }).await.unwrap();
        let text = |line: Option<&vigie_protocol::service::AgentLogLine>| line.unwrap().text.clone();
        assert_eq!(text(page.lines.first()), format!("line {first}"));
        assert_eq!(text(page.lines.last()), format!("line {last}"));
        assert_eq!((page.next, page.dropped, page.epoch), (next, 0, agent.app.hub.epoch()));
    }
}

#[tokio::test]
async fn dataset_versions_of_any_line_are_told_apart() {
    use Split::{Test, Train};
    let agent = Agent::new().await;
    agent.project();
    let source = agent.version(Lineage::Source, &[(1, "owl", Train), (2, "owl", Train), (3, "jay", Test)]);
    let reference =
        agent.version(Lineage::Reference, &[(2, "jay", Test), (3, "jay", Test), (4, "owl", Train)]);
    let request = |from, to, class: Option<&str>, limit| DatasetDiff {
        project: birds(),
        from,
        to,
        class: class.map(str::to_owned),
        page: PageRequest { cursor: None, limit },
    };
    let diff = |request| agent.api().dataset_diff(context::current(), request);

    let all = diff(request(Some(source), reference, None, 0)).await.unwrap();
    let owls = ClassChange { added: 1, removed: 1, relabelled_out: 1, ..ClassChange::default() };
    let jays = ClassChange { relabelled_in: 1, moved: 1, ..ClassChange::default() };
    assert_eq!(all.classes, BTreeMap::from([("jay".to_owned(), jays), ("owl".to_owned(), owls)]));
    let kinds: Vec<_> = all.images.items.iter().map(|change| (change.image, change.kind)).collect();
    let of = |n: u8| Hash::from([n; 32]);
    assert_eq!(
        kinds,
        [(of(1), ChangeKind::Removed), (of(2), ChangeKind::Relabelled), (of(4), ChangeKind::Added)]
    );

    let jays = diff(request(Some(source), reference, Some("jay"), 0)).await.unwrap();
    assert_eq!((jays.images.items, jays.classes), (vec![all.images.items[1].clone()], all.classes));

    let mut page = request(Some(source), reference, None, 2);
    let first = diff(page.clone()).await.unwrap().images;
    page.page.cursor = first.next;
    let second = diff(page.clone()).await.unwrap().images;
    assert_eq!([first.items, second.items].concat(), all.images.items);
    assert_eq!(second.next, None);

    let nothing = diff(request(None, reference, None, 0)).await.unwrap();
    assert!(
        nothing.images.items.len() == 3 && nothing.images.items.iter().all(|change| change.from.is_none())
    );
    let same = diff(request(Some(source), source, None, 0)).await.unwrap();
    assert!(same.classes.is_empty() && same.images.items.is_empty());

    let sizes = DatasetGet { project: birds(), dataset: source };
    let sizes = agent.api().dataset_sizes(context::current(), sizes).await.unwrap();
    let found: Vec<_> = sizes.iter().map(|of| (of.class.as_str(), of.images)).collect();
    assert_eq!(found, [("jay", 1), ("owl", 2)]);

    let code = |result: Result<_, ApiError>| result.map(drop).unwrap_err().code;
    let missing = DatasetRef { number: 2, ..source };
    assert_eq!(code(diff(request(Some(missing), reference, None, 0)).await), ErrorCode::NotFound);
    assert_eq!(code(diff(request(None, missing, None, 0)).await), ErrorCode::NotFound);
    let elsewhere = DatasetDiff { project: "fish".parse().unwrap(), ..page.clone() };
    assert_eq!(code(diff(elsewhere).await), ErrorCode::NotFound);
    page.page.cursor = Some(PageCursor("elsewhere".to_owned()));
    assert_eq!(code(diff(page).await), ErrorCode::Invalid);
}

/// Nobody runs the engine here: what is not refused finds it gone.
#[tokio::test]
async fn a_training_that_can_come_to_no_model_is_refused_when_it_is_asked_for() {
    use Split::{Test, Train, Valid};
    let agent = Agent::new().await;
    agent.project();
    for (images, code, word) in [
        (
            &[(1, "owl", Train), (2, "jay", Train), (3, "jay", Valid)][..],
            ErrorCode::Precondition,
            "test split",
        ),
        (&[(1, "owl", Train), (2, "jay", Valid), (3, "jay", Test)], ErrorCode::Precondition, "one class"),
        (
            &[(1, "owl", Train), (2, "jay", Train), (3, "jay", Valid), (4, "owl", Test)],
            ErrorCode::Unavailable,
            "stopping",
        ),
    ] {
        let dataset = agent.version(Lineage::Reference, images);
        let (key, recipe) = (IdempotencyKey::new(), Recipe::default());
        let request = TrainSubmit { key, project: birds(), dataset, recipe, after: Vec::new() };
        let error = agent.api().train_submit(context::current(), request).await.unwrap_err();
        assert!(error.code == code && error.message.contains(word), "{images:?}: {error:?}");
    }
}
