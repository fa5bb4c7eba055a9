//! Parts of change-sets, sources and schedules: what the simulated agents do of them.

use std::time::Duration;

use vigie_protocol::dataset::{ChangeKind, ChangeSet, ChangeSetState, DatasetRef, Lineage};
use vigie_protocol::job::JobState;
use vigie_protocol::page::PageRequest;
use vigie_protocol::review::{ChangeSetImage, Selection};
use vigie_protocol::schedule::{FiringCause, FiringState, ScheduleStatus};
use vigie_protocol::service::*;
use vigie_protocol::source::{Source, SourceState};
use vigie_protocol::wire::client::AgentClient;
use vigie_protocol::{ErrorCode, IdempotencyKey, ScheduleName};

use crate::{ask, birds, fleet, read_all};

async fn open_set(client: &AgentClient) -> ChangeSet {
    let sets =
        ask!(client, change_set_list, ChangeSetList { project: birds(), page: PageRequest::default() });
    let open = |set: &ChangeSet| set.state == ChangeSetState::Proposed && set.totals().removed > 0;
    sets.expect("listed").items.into_iter().find(open).expect("one that removes images too")
}

async fn changes(client: &AgentClient, set: &ChangeSet) -> Vec<ChangeSetImage> {
    let images = read_all(0, async |page| {
        let (project, change_set) = (birds(), set.id);
        let request =
            ChangeSetImages { project, change_set, class: None, kind: None, only_findings: false, page };
        ask!(client, change_set_images, request)
    });
    images.await.0
}

fn accept(set: &ChangeSet, selection: Selection) -> ChangeSetDecide {
    ChangeSetDecide {
        key: IdempotencyKey::new(),
        project: birds(),
        change_set: set.id,
        expected_generation: set.generation,
        accept: true,
        reason: None,
        selection: Some(Box::new(selection)),
    }
}

/// A selection takes the changes that `taken` says, and the version holds these and no others.
async fn check_part(
    make: impl Fn(&ChangeSet, &[ChangeSetImage]) -> Selection,
    taken: impl Fn(&ChangeSetImage, &Selection) -> bool,
) {
    let (_fleet, client) = fleet(1, 0);
    let set = open_set(&client).await;
    let whole = changes(&client, &set).await;
    let selection = make(&set, &whole);
    let part = ask!(client, change_set_decide, accept(&set, selection.clone())).expect("accepted");
    assert_eq!(part.state, ChangeSetState::Accepted);
    let expected: Vec<_> = whole.iter().filter(|image| taken(image, &selection)).map(|i| &i.change).collect();
    let got = changes(&client, &part).await;
    assert_eq!(got.iter().map(|image| &image.change).collect::<Vec<_>>(), expected);
    let (all, took, left) = (set.totals(), part.totals(), part.left.values());
    let (added, removed) = left.fold((0, 0), |(a, r), class| (a + class.added, r + class.removed));
    assert_eq!((took.added + added, took.removed + removed), (all.added, all.removed));
    let dataset = DatasetRef { lineage: set.lineage, number: part.accepted_as.expect("made") };
    let version = ask!(client, dataset_get, DatasetGet { project: birds(), dataset }).expect("there");
    assert_eq!((version.classes, version.manifest), (part.result, part.manifest));
}

#[tokio::test(start_paused = true)]
async fn a_part_of_a_change_set_is_taken() {
    let class = |image: &ChangeSetImage| {
        let placement = image.change.to.as_ref().or(image.change.from.as_ref());
        placement.map(|placement| placement.label.clone()).unwrap_or_default()
    };
    let has = |image: &ChangeSetImage, class: &String| {
        [&image.change.from, &image.change.to].into_iter().flatten().any(|at| at.label == *class)
    };
    // By class.
    let by_class = |_: &ChangeSet, images: &[ChangeSetImage]| Selection {
        classes: vec![class(&images[0]), class(&images[9])],
        ..Selection::default()
    };
    check_part(by_class, |image, part| part.classes.iter().any(|class| has(image, class))).await;
    // By image: one of each kind.
    let by_image = |_: &ChangeSet, images: &[ChangeSetImage]| Selection {
        images: [ChangeKind::Added, ChangeKind::Removed, ChangeKind::Relabelled]
            .into_iter()
            .filter_map(|kind| images.iter().find(|image| image.change.kind == kind))
            .map(|image| image.change.image)
            .collect(),
        ..Selection::default()
    };
    check_part(by_image, |image, part| part.images.contains(&image.change.image)).await;
    // All but some.
    let without = |_: &ChangeSet, images: &[ChangeSetImage]| Selection {
        without: images.iter().take(5).map(|image| image.change.image).collect(),
        ..Selection::default()
    };
    check_part(without, |image, part| !part.without.contains(&image.change.image)).await;
}

#[tokio::test(start_paused = true)]
async fn a_part_that_means_nothing_is_refused() {
    let (_fleet, client) = fleet(1, 0);
    let set = open_set(&client).await;
    let no_class = Selection { classes: vec!["nobody".to_owned()], ..Selection::default() };
    let refused = ask!(client, change_set_decide, accept(&set, no_class.clone())).expect_err("no such class");
    assert!(refused.message.contains("changes nothing of the class"), "{refused}");
    let reject = ChangeSetDecide { accept: false, ..accept(&set, no_class) };
    assert_eq!(ask!(client, change_set_decide, reject).expect_err("whole").code, ErrorCode::Invalid);
}

async fn sources(client: &AgentClient) -> Vec<Source> {
    ask!(client, source_list, InProject { project: birds() }).expect("listed")
}

async fn source(client: &AgentClient, name: &str) -> Source {
    sources(client).await.into_iter().find(|source| source.name.as_str() == name).expect("there")
}

#[tokio::test(start_paused = true)]
async fn a_source_is_followed_from_check_to_version() {
    let (fleet, client) = fleet(1, 0);
    let states: Vec<SourceState> = sources(&client).await.iter().map(|source| source.state).collect();
    for state in [SourceState::Ok, SourceState::Unchecked, SourceState::Vanished, SourceState::Licence] {
        assert!(states.contains(&state), "{states:?}");
    }
    assert!(!format!("{:?}", sources(&client).await).contains("secret"));
    // What waits for a decision is not brought in twice; decided on, it is imported.
    let check = |name: &str| SourceCheck {
        key: IdempotencyKey::new(),
        project: birds(),
        name: name.parse().expect("a name"),
    };
    let checked = ask!(client, source_check, check("kaggle")).expect("checked");
    assert!(checked.job.is_none() && checked.source.detail.contains("awaits review"), "{checked:?}");
    let waits = checked.source.pending.and_then(|pending| pending.change_set).expect("to review");
    let decide = |change_set, accept| ChangeSetDecide {
        key: IdempotencyKey::new(),
        project: birds(),
        change_set,
        expected_generation: 1,
        accept,
        reason: None,
        selection: None,
    };
    ask!(client, change_set_decide, decide(waits, true)).expect("accepted");
    let kaggle = source(&client, "kaggle").await;
    let imported = kaggle.imported.expect("imported");
    assert!(kaggle.pending.is_none() && Some(imported.revision) == kaggle.latest);
    assert_eq!(imported.dataset.map(|dataset| dataset.lineage), Some(Lineage::Source));
    // A new version becomes a job, then a change-set; turned down, it is declined.
    let checked = ask!(client, source_check, check("nightly")).expect("checked");
    let job = checked.job.expect("something new");
    fleet.tick(Duration::from_secs(3_600));
    let job = ask!(client, job_get, JobGet { job: job.id }).expect("kept");
    assert_eq!(job.state, JobState::Succeeded, "{:?}", job.failure);
    let nightly = source(&client, "nightly").await;
    let waits = nightly.pending.and_then(|pending| pending.change_set).expect("to review");
    ask!(client, change_set_decide, decide(waits, false)).expect("rejected");
    let nightly = source(&client, "nightly").await;
    assert!(nightly.pending.is_none() && nightly.declined == nightly.latest && nightly.imported.is_none());
}

async fn schedule(client: &AgentClient, name: &str) -> ScheduleStatus {
    let all = ask!(client, schedule_list, ScheduleList { project: Some(birds()) }).expect("listed");
    all.into_iter().find(|status| status.schedule.name.as_str() == name).expect("there")
}

#[tokio::test(start_paused = true)]
async fn schedules_fire_when_they_are_due_or_asked() {
    let (fleet, client) = fleet(1, 0);
    let name = |name: &str| -> ScheduleName { name.parse().expect("a name") };
    let supplier = schedule(&client, "supplier").await;
    let (due, before) = (supplier.next[0].due, supplier.schedule.progress.firings);
    assert_eq!(supplier.next.len(), 5);
    fleet.tick(due.since(fleet.now()) + Duration::from_secs(5));
    let last = schedule(&client, "supplier").await.last.expect("fired");
    assert_eq!((last.number, last.due, last.state), (before + 1, due, FiringState::Failed));
    assert!(last.cause == FiringCause::Due && last.detail.contains("vanished"), "{last:?}");
    // Paused, it rests; a paused one fires all the same when it is asked to.
    let (key, project) = (IdempotencyKey::new(), Some(birds()));
    let pause = SchedulePause { key, project, name: name("collect"), pause: true, reason: None };
    assert!(ask!(client, schedule_pause, pause).expect("paused").paused.is_some());
    fleet.tick(Duration::from_secs(2 * 86_400));
    let collect = schedule(&client, "collect").await;
    assert!(
        collect.next.is_empty()
            && collect.last.is_some_and(|last| last.began < fleet.now().minus(Duration::from_secs(86_400)))
    );
    let run = ScheduleRun { key: IdempotencyKey::new(), project: Some(birds()), name: name("collect") };
    let fired = ask!(client, schedule_run, run).expect("fired");
    assert_eq!(
        (fired.state, fired.cause),
        (FiringState::Submitted, FiringCause::Asked { by: "alice".to_owned() })
    );
    let history = read_all(7, async |page| {
        let (project, name) = (Some(birds()), name("collect"));
        ask!(client, schedule_history, ScheduleHistory { project, name, page })
    });
    let numbers: Vec<u64> = history.await.0.iter().map(|firing| firing.number).collect();
    assert!(
        numbers.iter().zip(numbers.iter().skip(1)).all(|(newer, older)| newer == &(older + 1)),
        "{numbers:?}"
    );
    assert_eq!(numbers.first(), Some(&fired.number));
}

#[tokio::test(start_paused = true)]
async fn classes_wait_by_the_rule_of_the_real_agent() {
    let (_fleet, client) = fleet(1, 0);
    let look = async |threshold| {
        ask!(client, class_waiting, ClassWaiting { project: birds(), threshold }).expect("looked")
    };
    let room = look(None).await;
    assert!(room.total == room.waiting.len() as u64 && room.total > 3 && room.entering == 1, "{room:?}");
    assert!(room.waiting.iter().any(|class| class.growth.is_some_and(|growth| growth.eta_days.is_some())));
    let tried = look(Some(1)).await;
    assert!(tried.simulated && tried.entering == tried.total, "{tried:?}");
}
