//! What happens to jobs when workers or the agent die.

use std::time::Duration;

use tokio::time::Instant;
use vigie_protocol::Time;
use vigie_protocol::dataset::Lineage;
use vigie_protocol::job::{FailureCause, JobOutcome, JobState, Wait};
use vigie_protocol::run::RunState;

use super::super::*;
use super::world::{World, birds, epoch, proposed};
use crate::worker::{Report, Work, WorkDone};

#[tokio::test(start_paused = true)]
async fn a_killed_worker_is_followed_by_another() {
    let world = World::new();
    let id = world.import(Lineage::Source, &[]).await;
    world.worker().await.killed().await;
    let job = world.until(id, |job| job.state == JobState::Queued && job.failure.is_some()).await;
    assert_eq!(job.failure.unwrap().cause, FailureCause::Killed);
    let began = Instant::now();
    world.worker().await.killed().await;
    assert_eq!(began.elapsed().as_secs(), 2);
    let began = Instant::now();
    let last = world.worker().await;
    assert_eq!(began.elapsed().as_secs(), 10);
    let tokens: Vec<u64> = world.catalog.leases().unwrap().iter().map(|lease| lease.token).collect();
    assert_eq!(tokens, [3]);
    last.killed().await;
    let job = world.until(id, |job| job.state.is_final()).await;
    assert_eq!((job.state, job.attempts), (JobState::Failed, 3));
    assert!(world.log(id).await.contains("SIGKILL; trying again in 2 s"));

    world.jobs.retry(id, None).await.unwrap();
    world.worker().await.done(proposed("a")).await;
    let job = world.until(id, |job| job.state.is_final()).await;
    assert_eq!((job.state, job.attempts, job.failure), (JobState::Succeeded, 1, None));
}

#[tokio::test(start_paused = true)]
async fn memory_runs_out_once_more_at_most() {
    let world = World::new();
    let id = world.import(Lineage::Source, &[]).await;
    for _ in 0..2 {
        let ending = Ending { signal: Some(9), oom_kill: true, ..Ending::default() };
        world.worker().await.end(ending).await;
    }
    let job = world.until(id, |job| job.state.is_final()).await;
    assert_eq!((job.failure.unwrap().cause, job.attempts), (FailureCause::OutOfMemory, 2));
}

#[tokio::test(start_paused = true)]
async fn a_training_goes_on_where_it_was() {
    let world = World::new();
    let training = world.train().await;
    let (id, run) = (training.job.id, training.run);
    for attempt in 1..=5 {
        // Each attempt gets an epoch further, so none of them counts as in vain.
        let worker = world.worker().await;
        assert!(
            matches!(&worker.task.work, Work::Train { run_dir, .. } if run_dir.ends_with(run.to_string()))
        );
        worker.say(Report::Epoch { metrics: epoch(attempt, 1.0 / f64::from(attempt)) }).await;
        worker.killed().await;
    }
    let worker = world.worker().await;
    let row = world.catalog.run(&birds(), run).unwrap();
    assert_eq!((row.state, row.epochs.len(), row.best_epoch), (RunState::Running, 5, Some(5)));
    let epochs: Vec<_> = (1..=6).map(|n| epoch(n, 1.0)).collect();
    worker.done(WorkDone::Trained { best_epoch: 4, epochs, resumed_from: Some(5) }).await;
    let job = world.until(id, |job| job.state.is_final()).await;
    assert_eq!(job.outcome, Some(JobOutcome::Run { run, best_epoch: 4 }));
    let row = world.catalog.run(&birds(), run).unwrap();
    assert_eq!((row.state, row.epochs.len(), row.resumed), (RunState::Finished, 6, 1));
    assert!(world.memory.events.lock().unwrap().iter().any(|text| text.contains("epoch 5 of 30")));
}

#[tokio::test(start_paused = true)]
async fn a_killed_agent_takes_its_jobs_up_again() {
    let world = World::new();
    let training = world.train().await;
    let id = training.job.id;
    let waiting = world.import(Lineage::Source, &[id]).await;
    let lost = world.worker().await;
    lost.say(Report::Epoch { metrics: epoch(1, 1.0) }).await;
    world.until(id, |job| job.state == JobState::Running).await;
    assert_eq!(world.catalog.leases().unwrap().len(), 3);

    let world = world.killed_and_started().await;
    let worker = world.worker().await;
    let job = world.until(id, |job| job.state == JobState::Running).await;
    assert_eq!((job.attempts, job.failure.unwrap().cause), (2, FailureCause::Interrupted));
    assert!(world.catalog.leases().unwrap().iter().all(|lease| lease.holder == id && lease.token == 2));
    worker
        .done(WorkDone::Trained { best_epoch: 1, epochs: vec![epoch(1, 1.0)], resumed_from: Some(1) })
        .await;
    assert_eq!(world.worker().await.job, waiting);
    assert_eq!(world.catalog.run(&birds(), training.run).unwrap().state, RunState::Finished);
}

#[tokio::test(start_paused = true)]
async fn a_cancel_survives_the_agent() {
    let world = World::new();
    let training = world.train().await;
    let _lost = world.worker().await;
    world.until(training.job.id, |job| job.state == JobState::Running).await;
    world.jobs.cancel(training.job.id).await.unwrap();
    let world = world.killed_and_started().await;
    world.until(training.job.id, |job| job.state == JobState::Cancelled).await;
    assert_eq!(world.catalog.run(&birds(), training.run).unwrap().state, RunState::Cancelled);
    assert_eq!(world.catalog.leases().unwrap(), []);
}

#[tokio::test(start_paused = true)]
async fn a_stopping_agent_stops_its_workers() {
    let world = World::new();
    let id = world.import(Lineage::Source, &[]).await;
    let mut worker = world.worker().await;
    world.until(id, |job| job.state == JobState::Running).await;
    let jobs = world.jobs.clone();
    let world = world
        .stopped_and_started(async move {
            assert_eq!(worker.orders.recv().await, Some(Order::Stop));
            worker.end(Ending { code: Some(3), ..Ending::default() }).await;
        })
        .await;
    assert!(jobs.cancel(id).await.is_err());
    world.worker().await.done(proposed("a")).await;
    let job = world.until(id, |job| job.state.is_final()).await;
    assert_eq!((job.state, job.attempts, job.failure), (JobState::Succeeded, 2, None));
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_does_not_stop_is_killed() {
    let world = World::new();
    let id = world.import(Lineage::Source, &[]).await;
    let mut worker = world.worker().await;
    world.until(id, |job| job.state == JobState::Running).await;
    let began = Instant::now();
    let world = world
        .stopped_and_started(async move {
            assert_eq!(worker.orders.recv().await, Some(Order::Stop));
            assert_eq!(worker.orders.recv().await, Some(Order::Kill));
            assert_eq!(began.elapsed().as_secs(), 10);
            worker.killed().await;
        })
        .await;
    assert_eq!(world.worker().await.job, id);
}

#[tokio::test(start_paused = true)]
async fn a_stale_result_is_refused() {
    let world = World::new();
    let id = world.import(Lineage::Source, &[]).await;
    let worker = world.worker().await;
    world.until(id, |job| job.state == JobState::Running).await;
    // Someone else's claim passes over the resource while the worker is at it.
    world.catalog.acquire_leases(id, &["lineage:birds/source".to_owned()], Time::now()).unwrap().unwrap();
    worker.done(proposed("stale")).await;
    let job = world.until(id, |job| job.state == JobState::Queued).await;
    assert!(job.failure.unwrap().message.contains("too late"));
    assert_eq!(world.catalog.change_sets(&birds(), None, 10).unwrap().items, []);
    world.worker().await.done(proposed("fresh")).await;
    world.until(id, |job| job.state == JobState::Succeeded).await;
}

#[tokio::test(start_paused = true)]
async fn leases_that_a_full_disk_keeps_come_back_once_there_is_room() {
    let world = World::new();
    let first = world.import(Lineage::Source, &[]).await;
    let worker = world.worker().await;
    world.until(first, |job| job.state == JobState::Running).await;
    let second = world.import(Lineage::Source, &[]).await;
    let lease = Wait::Lease { resource: "lineage:birds/source".to_owned(), holder: first };
    world.until(second, |job| job.waits_for == [lease.clone()]).await;

    world.disk_is_full(true);
    worker.fail(FailureCause::Refused, "no room").await;
    world.until(first, |job| job.state == JobState::Failed).await;
    // A full second and more: what was refused was tried again, and refused again.
    tokio::time::sleep(Duration::from_millis(2_500)).await;
    let waiting = world.jobs.get(second).await.unwrap();
    assert_eq!((waiting.state, waiting.waits_for), (JobState::Queued, vec![lease]));
    world.disk_is_full(false);

    let job = world.until(second, |job| job.state != JobState::Queued).await;
    assert_eq!((job.state, job.attempts, job.failure), (JobState::Running, 1, None));
    world.worker().await.done(proposed("a")).await;
    world.until(second, |job| job.state == JobState::Succeeded).await;
    assert_eq!(world.catalog.leases().unwrap(), []);
    assert_eq!(world.catalog.job(first).unwrap().state, JobState::Failed);
}
