//! Class lists, label issues and figures, answered from a state on disk.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use tarpc::context;
use vigie_core::store::Blobs;
use vigie_core::store::label_report::{self, LabelReport};
use vigie_protocol::balance::Balance;
use vigie_protocol::classes::{ClassList, ImageLabel, MatchKind, Relabelling};
use vigie_protocol::dataset::{DatasetRef, Lineage, Split};
use vigie_protocol::job::JobSpec;
use vigie_protocol::label_check::{LabelCheck, LabelIssue};
use vigie_protocol::model::Proportion;
use vigie_protocol::page::PageRequest;
use vigie_protocol::run::Recipe;
use vigie_protocol::service::{
    ClassCheck, ClassListSet, DatasetBalance, DatasetList, InProject, JobSubmit, LabelCheckList,
    LabelIssueList, LabelKeep, Vigie,
};
use vigie_protocol::window::Window;
use vigie_protocol::{ApiError, ErrorCode, Hash, IdempotencyKey, JobId, Time};

use super::answers::{Agent, birds};

fn code<T>(result: Result<T, ApiError>) -> ErrorCode {
    result.map(drop).unwrap_err().code
}

fn set(expected_generation: u64, classes: &[&str], aliases: &[(&str, &str)]) -> ClassListSet {
    ClassListSet {
        key: IdempotencyKey::new(),
        project: birds(),
        expected_generation,
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        aliases: aliases.iter().map(|&(alias, class)| (alias.to_owned(), class.to_owned())).collect(),
    }
}

#[tokio::test]
async fn a_class_list_is_set_and_asked() {
    let agent = Agent::new().await;
    agent.project();
    let list = || agent.api().class_list_get(context::current(), InProject { project: birds() });
    assert_eq!(list().await.unwrap(), ClassList::default());

    let first = set(0, &["owl", "jay"], &[("Strix", "owl")]);
    let made = agent.api().class_list_set(context::current(), first.clone()).await.unwrap();
    assert_eq!((made.generation, made.by.as_deref()), (1, Some("ann")));
    // The same request again: the same answer, and nothing is set twice.
    assert_eq!(agent.api().class_list_set(context::current(), first).await.unwrap(), made);
    assert_eq!(list().await.unwrap(), made);
    let try_set = |request| agent.api().class_list_set(context::current(), request);
    assert_eq!(code(try_set(set(0, &["owl"], &[])).await), ErrorCode::Conflict);
    assert_eq!(code(try_set(set(1, &["owl", "OWL"], &[])).await), ErrorCode::Invalid);
    assert_eq!(code(try_set(set(1, &["owl"], &[("x", "kite")])).await), ErrorCode::Invalid);

    let reference = agent.version(Lineage::Reference, &[(1, "Jay", Split::Train), (2, "owll", Split::Test)]);
    let check = ClassCheck { project: birds(), labels: vec!["strix".to_owned()], dataset: Some(reference) };
    let found = agent.api().class_check(context::current(), check.clone()).await.unwrap();
    let rows: Vec<_> = found
        .iter()
        .map(|row| {
            let class = row.class.as_deref().or(row.suggestion.as_ref().map(|near| near.class.as_str()));
            (row.label.as_str(), row.images, row.kind, class)
        })
        .collect();
    assert_eq!(
        rows,
        [
            ("Jay", 1, MatchKind::Folded, Some("jay")),
            ("owll", 1, MatchKind::Missing, Some("owl")),
            ("strix", 0, MatchKind::Folded, Some("owl")),
        ]
    );
    let many = ClassCheck { labels: vec![String::new(); 1_001], ..check };
    assert_eq!(code(agent.api().class_check(context::current(), many).await), ErrorCode::Invalid);
}

fn issue(n: u8, label: &str, score: f32) -> LabelIssue {
    LabelIssue {
        image: Hash::from([n; 32]),
        label: label.to_owned(),
        suggested: "jay".to_owned(),
        score,
        label_probability: 0.1,
        suggested_probability: 0.9,
        split: Split::Train,
        origin: format!("{n}.jpg"),
    }
}

fn checked(agent: &Agent, dataset: DatasetRef, issues: Vec<LabelIssue>) -> LabelCheck {
    let check = LabelCheck {
        job: JobId::new(),
        dataset,
        manifest: Hash::of(b"manifest"),
        images: 9,
        folds: 5,
        agreement: Proportion { value: 0.5, low: 0.2, high: 0.8, n: 9 },
        issues: issues.len() as u64,
        report: agent.app.state.blobs.put(&label_report::encode(&LabelReport { issues })).unwrap(),
        created: Time::now(),
        by: "ann".to_owned(),
    };
    agent.app.state.catalog.save_label_check(&birds(), &check).unwrap();
    check
}

#[tokio::test]
async fn candidates_are_listed_until_somebody_decides() {
    use Split::Train;
    let agent = Agent::new().await;
    agent.project();
    let images = [(1, "owl", Train), (2, "owl", Train), (3, "kite", Train), (4, "owl", Train)];
    let first = agent.version(Lineage::Reference, &images);
    let list = |check, class: Option<&str>, page| {
        let request = LabelIssueList { project: birds(), check, class: class.map(str::to_owned), page };
        agent.api().label_issue_list(context::current(), request)
    };
    assert_eq!(code(list(None, None, PageRequest::default()).await), ErrorCode::NotFound);

    let candidates =
        vec![issue(4, "owl", 0.1), issue(3, "kite", 0.2), issue(2, "owl", 0.3), issue(9, "owl", 0.4)];
    let check = checked(&agent, first, candidates);
    let older = checked(&agent, first, vec![issue(1, "owl", 0.1)]);
    let found = async |check: Option<&LabelCheck>, class| {
        let answer = list(check.map(|check| check.job), class, PageRequest::default()).await.unwrap();
        answer.issues.items.iter().map(|issue| issue.image.as_bytes()[0]).collect::<Vec<_>>()
    };
    assert_eq!(found(None, None).await, [1], "the newest check");
    // 9 is no longer in the line.
    assert_eq!(found(Some(&check), None).await, [4, 3, 2]);
    assert_eq!(found(Some(&check), Some("owl")).await, [4, 2]);
    let mut page = PageRequest { cursor: None, limit: 2 };
    let one = list(Some(check.job), None, page.clone()).await.unwrap().issues;
    assert_eq!(one.items.len(), 2);
    page.cursor = one.next;
    let two = list(Some(check.job), None, page).await.unwrap().issues;
    assert_eq!((two.items[0].image.as_bytes()[0], two.next), (2, None));

    let label = |n: u8, label: &str| ImageLabel { image: Hash::from([n; 32]), label: label.to_owned() };
    let keep = |labels| LabelKeep { key: IdempotencyKey::new(), project: birds(), labels };
    agent.api().label_keep(context::current(), keep(vec![label(4, "owl")])).await.unwrap();
    assert_eq!(found(Some(&check), None).await, [3, 2], "somebody said that it is right");
    agent.version(Lineage::Reference, &[(2, "jay", Train), (3, "kite", Train), (4, "jay", Train)]);
    assert_eq!(found(Some(&check), None).await, [3], "another label, another question");
    assert_eq!(code(agent.api().label_keep(context::current(), keep(Vec::new())).await), ErrorCode::Invalid);

    let request = LabelCheckList { project: birds(), page: PageRequest::default() };
    let checks = agent.api().label_check_list(context::current(), request).await.unwrap();
    assert_eq!(checks.items, [older, check]);
}

#[tokio::test]
async fn versions_tell_their_history_and_what_balance_would_cost() {
    use Split::{Test, Train};
    let agent = Agent::new().await;
    agent.project();
    agent.version(Lineage::Reference, &[(1, "owl", Train), (2, "owl", Train), (3, "jay", Test)]);
    let second = agent.version(
        Lineage::Reference,
        &[(1, "owl", Train), (2, "owl", Train), (3, "jay", Test), (4, "jay", Train)],
    );
    let request =
        DatasetList { project: birds(), lineage: Some(Lineage::Reference), page: PageRequest::default() };
    let history = agent.api().dataset_history(context::current(), request).await.unwrap().items;
    assert_eq!(history.iter().map(|row| row.version.dataset.number).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(history[0].origin, "a test");

    let ask = |balance| {
        let request = DatasetBalance { project: birds(), dataset: second, balance };
        agent.api().dataset_balance(context::current(), request)
    };
    let plan = ask(Balance::Down { per_class: None }).await.unwrap();
    assert_eq!((plan.epoch, plan.epoch_after, plan.classes["owl"].after), (3, 2, 1));
    assert_eq!(ask(Balance::Over).await.unwrap().epoch_after, 4);
    assert_eq!(code(ask(Balance::Down { per_class: Some(0) }).await), ErrorCode::Invalid);
}

#[tokio::test]
async fn jobs_that_cannot_be_are_refused_before_they_begin() {
    let agent = Agent::new().await;
    agent.project();
    let dataset = DatasetRef { lineage: Lineage::Reference, number: 1 };
    let lineage = Lineage::Reference;
    let relabel = |relabelling| JobSpec::Relabel { lineage, relabelling, accept: true };
    let blank = Relabelling::classes(BTreeMap::from([("owl".to_owned(), " ".to_owned())]));
    let check = |folds, recipe| JobSpec::LabelCheck { dataset, folds, recipe };
    let window = Some(Window::Unknown);
    for (spec, expected) in [
        (relabel(blank), ErrorCode::Invalid),
        (relabel(Relabelling::images(Vec::new())), ErrorCode::Invalid),
        (relabel(Relabelling::Unknown), ErrorCode::Unsupported),
        (JobSpec::Balance { lineage, per_class: Some(0), seed: 0, accept: true }, ErrorCode::Invalid),
        (check(1, Recipe::default()), ErrorCode::Invalid),
        (check(5, Recipe { input: 33, ..Recipe::default() }), ErrorCode::Invalid),
        (
            JobSpec::Propose {
                from: dataset,
                into: lineage,
                accept: true,
                admit_all: true,
                only_add: false,
                window,
            },
            ErrorCode::Unsupported,
        ),
    ] {
        let request = JobSubmit {
            key: IdempotencyKey::new(),
            project: Some(birds()),
            spec: spec.clone(),
            after: Vec::new(),
        };
        assert_eq!(code(agent.api().job_submit(context::current(), request).await), expected, "{spec:?}");
    }
}
