//! What happens to jobs while nothing is killed.

use vigie_protocol::ErrorCode;
use vigie_protocol::dataset::{DatasetRef, Lineage};
use vigie_protocol::import::ImportOptions;
use vigie_protocol::job::{FailureCause, JobOutcome, JobSpec, JobState, Wait};
use vigie_protocol::service::JobList;

use super::super::*;
use super::world::{World, birds, proposed, receipt};
use crate::worker::{Report, WorkDone};

#[tokio::test(start_paused = true)]
async fn an_import_becomes_a_version() {
    let world = World::new();
    let id = world.import(Lineage::Source, &[]).await;
    let worker = world.worker().await;
    assert_eq!(world.catalog.leases().unwrap()[0].resource, "lineage:birds/source");
    worker.print("decoding").await;
    worker.say(Report::Note { level: "warn".into(), text: "left out a.txt".into() }).await;
    for fraction in [0.1, 0.5, 0.4] {
        worker.step(fraction).await;
    }
    let job = world.until(id, |job| job.progress.fraction == 0.5).await;
    assert_eq!((job.state, job.worker_pid, job.attempts), (JobState::Running, Some(4), 1));
    worker.done(proposed("v1")).await;

    let job = world.until(id, |job| job.state.is_final()).await;
    let dataset = DatasetRef { lineage: Lineage::Source, number: 1 };
    assert!(
        matches!(job.outcome, Some(JobOutcome::ChangeSet { dataset: Some(made), .. }) if made == dataset)
    );
    assert_eq!((job.state, job.worker_pid, job.progress.fraction), (JobState::Succeeded, None, 1.0));
    let log = world.log(id).await;
    for words in ["attempt 1 begins", "decoding", "left out a.txt", "source@v1 with 2 images"] {
        assert!(log.contains(words), "{log}");
    }
    let again = world.import(Lineage::Source, &[]).await;
    world.worker().await.done(proposed("v1")).await;
    let job = world.until(again, |job| job.state.is_final()).await;
    assert_eq!(job.outcome, Some(JobOutcome::NoChange { dataset: Some(dataset) }));
    assert_eq!(world.catalog.leases().unwrap(), []);
    assert!(world.memory.events.lock().unwrap().iter().any(|text| text.contains("source@v1")));
}

#[tokio::test(start_paused = true)]
async fn an_import_that_ties_splits_together_waits_for_a_person() {
    let world = World::new();
    let id = world.import(Lineage::Source, &[]).await;
    let WorkDone::Proposed(mut leaking) = proposed("v1") else { panic!("a proposal") };
    leaking.findings.leaks = 1;
    world.worker().await.done(WorkDone::Proposed(leaking)).await;
    let job = world.until(id, |job| job.state.is_final()).await;
    assert!(matches!(job.outcome, Some(JobOutcome::ChangeSet { dataset: None, .. })), "{job:?}");
}

#[tokio::test(start_paused = true)]
async fn jobs_on_one_lineage_wait_for_each_other() {
    let world = World::new();
    let first = world.import(Lineage::Source, &[]).await;
    let second = world.import(Lineage::Source, &[]).await;
    let third = world.import(Lineage::Production, &[]).await;
    let fourth = world.import(Lineage::Reference, &[]).await;
    let (a, b) = (world.worker().await, world.worker().await);
    assert_eq!((a.job, b.job), (first, third));
    let resource = "lineage:birds/source".to_owned();
    let lease = Wait::Lease { resource, holder: first };
    world.until(second, |job| job.waits_for == [lease.clone()]).await;
    world.until(fourth, |job| job.waits_for == [Wait::Slot]).await;
    assert_eq!(world.jobs.counts(), JobCounts { running: 2, waiting: 2 });
    let listed = world.jobs.list(JobList::default()).await.unwrap();
    assert!(listed.items.iter().any(|job| job.id == second && job.waits_for == [lease.clone()]));
    world.no_worker().await;

    a.done(proposed("a")).await;
    assert_eq!(world.worker().await.job, second);
    b.done(proposed("b")).await;
    assert_eq!(world.worker().await.job, fourth);
}

#[tokio::test(start_paused = true)]
async fn jobs_wait_for_those_they_need() {
    let world = World::new();
    let first = world.import(Lineage::Source, &[]).await;
    let second = world.import(Lineage::Production, &[first]).await;
    let third = world.import(Lineage::Reference, &[second]).await;
    world.until(second, |job| job.waits_for == [Wait::Job { job: first }]).await;
    world.worker().await.done(proposed("a")).await;
    let worker = world.worker().await;
    assert_eq!(worker.job, second);
    worker.fail(FailureCause::Refused, "no images").await;

    let job = world.until(second, |job| job.state.is_final()).await;
    assert_eq!((job.state, job.attempts), (JobState::Failed, 1));
    let failure = world.until(third, |job| job.state.is_final()).await.failure.unwrap();
    assert_eq!(failure.cause, FailureCause::Dependency);
    assert!(failure.message.contains(&second.to_string()), "{failure:?}");
    let late = world.import(Lineage::Source, &[second]).await;
    world.until(late, |job| job.state == JobState::Failed).await;
    world.no_worker().await;
}

#[tokio::test(start_paused = true)]
async fn cancelling() {
    let world = World::new();
    let running = world.import(Lineage::Source, &[]).await;
    let queued = world.import(Lineage::Source, &[]).await;
    let needs = world.import(Lineage::Production, &[queued]).await;
    let mut worker = world.worker().await;
    assert_eq!(world.jobs.cancel(queued).await.unwrap().state, JobState::Cancelled);
    world.until(needs, |job| job.state == JobState::Failed).await;
    assert_eq!(world.jobs.cancel(queued).await.unwrap().state, JobState::Cancelled);

    assert_eq!(world.jobs.cancel(running).await.unwrap().state, JobState::Cancelling);
    let asked = tokio::time::Instant::now();
    assert_eq!(worker.orders.recv().await, Some(Order::Stop));
    assert_eq!(world.jobs.cancel(running).await.unwrap().state, JobState::Cancelling);
    assert_eq!(worker.orders.recv().await, Some(Order::Kill));
    assert_eq!(asked.elapsed().as_secs(), 10);
    worker.killed().await;
    let job = world.until(running, |job| job.state.is_final()).await;
    assert_eq!((job.state, job.failure), (JobState::Cancelled, None));

    let done = world.import(Lineage::Source, &[]).await;
    world.worker().await.done(proposed("a")).await;
    world.until(done, |job| job.state == JobState::Succeeded).await;
    assert_eq!(world.jobs.cancel(done).await.unwrap_err().code, ErrorCode::Precondition);
    assert_eq!(world.catalog.leases().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn asking_twice_is_asking_once() {
    let world = World::new();
    let source = vigie_protocol::job::ImportSource::Path { path: "/a".into() };
    let spec = JobSpec::Import {
        source,
        lineage: Lineage::Source,
        accept: false,
        options: ImportOptions::default(),
    };
    let draft = JobDraft { project: Some(birds()), spec, after: vec![], by: "ada".into() };
    let key = receipt("job_submit");
    let first = world.jobs.submit(draft.clone(), Some(key.clone())).await.unwrap();
    assert_eq!(world.jobs.submit(draft, Some(key)).await.unwrap().id, first.id);
    world.worker().await.fail(FailureCause::Refused, "no").await;
    world.until(first.id, |job| job.state == JobState::Failed).await;

    let key = receipt("job_retry");
    world.jobs.retry(first.id, Some(key.clone())).await.unwrap();
    world.worker().await.fail(FailureCause::Refused, "no").await;
    world.until(first.id, |job| job.state == JobState::Failed).await;
    world.jobs.retry(first.id, Some(key)).await.unwrap();
    assert_eq!(world.jobs.get(first.id).await.unwrap().state, JobState::Failed);
    world.no_worker().await;
}

#[tokio::test(start_paused = true)]
async fn what_cannot_be_is_refused() {
    let world = World::new();
    let submit =
        |project, spec, after| world.jobs.submit(JobDraft { project, spec, after, by: "ada".into() }, None);
    let gc = JobSpec::Gc { dry_run: true };
    let run = vigie_protocol::RunId::new();
    let code = |result: Result<_, vigie_protocol::ApiError>| result.unwrap_err().code;
    assert_eq!(code(submit(Some(birds()), JobSpec::Unknown, vec![]).await), ErrorCode::Unsupported);
    assert_eq!(code(submit(None, JobSpec::Evaluate { run }, vec![]).await), ErrorCode::Invalid);
    let unknown = vigie_protocol::JobId::new();
    assert_eq!(code(submit(None, gc.clone(), vec![unknown]).await), ErrorCode::NotFound);
    let nobody = "nobody".parse().unwrap();
    assert_eq!(code(submit(Some(nobody), JobSpec::Evaluate { run }, vec![]).await), ErrorCode::NotFound);
    // The run may yet be laid down when it is asked for; when its turn comes it must be there.
    let job = submit(Some(birds()), JobSpec::Evaluate { run }, vec![]).await.unwrap();
    let job = world.until(job.id, |job| job.state.is_final()).await;
    assert_eq!(job.failure.unwrap().cause, FailureCause::Refused);

    let job = submit(None, gc, vec![]).await.unwrap();
    let job = world.until(job.id, |job| job.state.is_final()).await;
    assert!(matches!(job.outcome, Some(JobOutcome::Gc { report }) if report.orphans == 3 && !report.removed));
}
