//! What the fleet is like, and what becomes of it while time passes.

use std::collections::BTreeSet;
use std::time::Duration;

use vigie_protocol::event::{Severity, Subject, Update};
use vigie_protocol::health::ServiceState;
use vigie_protocol::job::{FailureCause, Job, JobState, Wait};
use vigie_protocol::page::PageRequest;
use vigie_protocol::run::RunState;
use vigie_protocol::service::*;
use vigie_protocol::wire::client::AgentClient;
use vigie_tests::fleet::start;

use crate::{ask, birds, client, fleet, read_all};

async fn jobs(client: &AgentClient) -> Vec<Job> {
    read_all(1_000, async |page| ask!(client, job_list, JobList { page, ..JobList::default() })).await.0
}

fn words<T: std::fmt::Debug>(all: impl IntoIterator<Item = T>) -> BTreeSet<String> {
    all.into_iter()
        .map(|one| format!("{one:?}").split([' ', '(']).next().unwrap_or_default().to_owned())
        .collect()
}

fn set(words: &str) -> BTreeSet<String> {
    words.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test(start_paused = true)]
async fn everything_that_can_be_shown_is_there() {
    let (fleet, first) = fleet(16, 16_000);
    let all = jobs(&first).await;
    assert_eq!(
        words(all.iter().map(|job| job.state)),
        set("Queued Running Cancelling Succeeded Failed Cancelled")
    );
    assert_eq!(words(all.iter().flat_map(|job| &job.waits_for)), set("Job Lease Slot Backoff"));
    let causes = "Refused Error Killed OutOfMemory Crashed Dependency Interrupted Unknown";
    assert_eq!(
        words(all.iter().filter_map(|job| job.failure.as_ref()).map(|failure| failure.cause)),
        set(causes)
    );
    assert!(
        all.iter().filter_map(|job| job.failure.as_ref()).filter(|failure| failure.hint.is_some()).count()
            > 4
    );
    assert_eq!(
        words(all.iter().map(|job| job.spec.kind())),
        set(r#""import" "propose" "preprocess" "train" "evaluate" "gc" "unknown""#)
    );
    assert_eq!(
        words(all.iter().filter_map(|job| job.outcome.as_ref())),
        set("NoChange Pack Run Model Gc Unknown")
    );
    for wait in all.iter().flat_map(|job| &job.waits_for) {
        if let Wait::Lease { holder, .. } | Wait::Job { job: holder } = wait {
            assert!(all.iter().any(|job| job.id == *holder && !job.state.is_final()), "{wait:?}");
        }
    }

    let runs = ask!(first, run_list, RunList { project: birds(), page: PageRequest::default() })
        .expect("listed")
        .items;
    assert_eq!(words(runs.iter().map(|run| run.state)), set("Running Finished Failed Cancelled"));
    assert!(runs.iter().any(|run| run.state == RunState::Running && run.epochs.len() > 5));
    let odd =
        runs.iter().find(|run| run.epochs.iter().any(|epoch| epoch.train_loss.is_nan())).expect("no number");
    assert!(odd.epochs.len() == 29 && odd.epochs.iter().all(|epoch| epoch.epoch != 7), "and one is absent");
    assert!(odd.best_epoch.is_some_and(|best| best != 12));

    let events = ask!(
        first,
        event_list,
        EventList { page: PageRequest { cursor: None, limit: 1_000 }, ..EventList::default() }
    );
    let events = events.expect("listed").items;
    assert_eq!(words(events.iter().map(|event| event.severity)), set("Info Warning Error Unknown"));
    let subjects = "Agent Service Project Job ChangeSet Dataset Epoch Model Alias Unknown";
    assert_eq!(words(events.iter().map(|event| &event.subject)), set(subjects));
    assert!(events.iter().any(|event| event.text.chars().any(char::is_control)));
    assert!(events.iter().any(|event| event.text.len() > 500));

    let mut states = BTreeSet::new();
    let (mut gpus, mut hostile, mut without_projects) = (0, 0, 0);
    for number in 0..16 {
        let client = client(&fleet, number);
        let health = ask!(client, health, Empty {}).expect("answered");
        assert_eq!(health.now, start());
        states.extend(health.services.iter().map(|service| service.state.as_str()));
        gpus += health.gpus.len();
        hostile += usize::from(!health.host.hostname.is_ascii() || health.host.hostname.contains('\u{1b}'));
        without_projects += usize::from(ask!(client, project_list, Empty {}).expect("listed").is_empty());
        let ailing = health
            .services
            .iter()
            .filter(|service| matches!(service.state, ServiceState::Degraded | ServiceState::Down));
        let findings = ask!(client, doctor, Empty {}).expect("examined");
        for service in ailing {
            assert!(
                findings.iter().any(|finding| finding.check == service.name && finding.hint.is_some()),
                "{service:?}"
            );
        }
    }
    assert_eq!(states, BTreeSet::from(["up", "starting", "degraded", "down", "off"]));
    assert_eq!((gpus, without_projects), (6, 1));
    assert!(hostile >= 2, "{hostile}");
}

#[tokio::test(start_paused = true)]
async fn time_passes_when_the_test_says_so() {
    let (fleet, client) = fleet(1, 100_000);
    tokio::time::sleep(Duration::from_secs(3_600)).await;
    assert_eq!(fleet.now(), start());
    let running = async || {
        jobs(&client).await.into_iter().filter(|job| job.state == JobState::Running).collect::<Vec<_>>()
    };
    let training =
        running().await.into_iter().find(|job| job.spec.kind() == "train").expect("a training runs");
    let mut cursor = ask!(client, watch, Watch { cursor: None, max_wait_ms: 0 }).expect("answered").next;
    let (mut fraction, mut epochs, mut ended) = (training.progress.fraction, 0, false);
    for _ in 0..1_800 {
        fleet.tick(Duration::from_secs(1));
        let news = ask!(client, watch, Watch { cursor: Some(cursor), max_wait_ms: 0 }).expect("answered");
        assert!(!news.resync);
        cursor = news.next;
        for update in news.updates {
            match update {
                Update::Job { job } if job.id == training.id => {
                    assert!(job.progress.fraction >= fraction, "progress never falls");
                    fraction = job.progress.fraction;
                    ended |= job.state == JobState::Succeeded;
                }
                Update::Event { event } => {
                    assert!(event.at <= fleet.now());
                    epochs += usize::from(matches!(event.subject, Subject::Epoch { .. }));
                }
                Update::Job { .. } | Update::Unknown => {}
            }
        }
    }
    assert!(ended && fraction == 1.0 && epochs > 10, "{ended} {fraction} {epochs}");
    let all = jobs(&client).await;
    let evaluated = all.iter().find(|job| job.after == [training.id]).expect("it waited");
    assert_eq!(evaluated.state, JobState::Succeeded);
    assert_eq!(all.iter().filter(|job| job.state == JobState::Cancelling).count(), 0);
    // As many predictions as in half an hour before.
    let counts = PredictionCounts { project: birds(), since: start(), until: start() };
    let counted = ask!(client, prediction_counts, counts).expect("counted");
    let new: u64 = counted.iter().map(|count| count.predictions).sum();
    assert!((30..=37).contains(&new), "{new} in half an hour, of 50,000 in a month");
}

/// However long a simulation runs, it holds no more than after its first hours.
#[tokio::test(start_paused = true)]
async fn a_long_life_leaves_bounded_lists() {
    let (fleet, client) = fleet(1, 1_000);
    let mut sizes = Vec::new();
    for _ in 0..3 {
        fleet.tick(Duration::from_secs(24 * 3_600));
        let events = read_all(1_000, async |page| {
            ask!(client, event_list, EventList { page, ..EventList::default() })
        })
        .await
        .0;
        let runs =
            read_all(1_000, async |page| ask!(client, run_list, RunList { project: birds(), page })).await.0;
        let sets = read_all(1_000, async |page| {
            ask!(client, change_set_list, ChangeSetList { project: birds(), page })
        })
        .await
        .0;
        let all = jobs(&client).await;
        assert!(all.iter().filter(|job| !job.state.is_final()).count() < 12, "the queue is worked off");
        assert!(all.iter().any(|job| {
            job.failure.as_ref().is_some_and(|failure| failure.cause == FailureCause::OutOfMemory)
        }));
        assert!(events.iter().any(|event| event.severity == Severity::Warning));
        assert!(all.len() <= 72 && runs.len() <= 24, "{} jobs, {} runs", all.len(), runs.len());
        sizes.push((events.len(), sets.len()));
    }
    assert_eq!(sizes[0], sizes[2], "full after the first day");
}
