//! Lists: every row once, filters that mean what they say, counts that add up.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use vigie_protocol::dataset::{DatasetImage, DatasetRef, Lineage, Split, SplitCounts};
use vigie_protocol::job::JobState;
use vigie_protocol::page::PageRequest;
use vigie_protocol::prediction::{Prediction, PredictionFilter};
use vigie_protocol::service::*;
use vigie_protocol::wire::client::AgentClient;
use vigie_protocol::{AliasName, ApiError, ErrorCode, ModelNumber, Time};
use vigie_tests::fleet::{Fleet, FleetOptions};

use crate::{ask, birds, client, fleet, once, read_all, texts};

/// Reads a list in pages of different sizes: the same rows each time, each of them once.
macro_rules! check_list {
    ($client:expr, $method:ident, $at_least:expr, |$page:ident| $request:expr) => {{
        let client = &$client;
        let read = async |limit| read_all(limit, async |$page| ask!(client, $method, $request)).await;
        let (all, _) = read(1_000).await;
        assert!(all.len() >= $at_least, "{} has {} rows", stringify!($method), all.len());
        once(stringify!($method), &all);
        for limit in [0, 7] {
            let (rows, pages) = read(limit).await;
            assert_eq!(texts(&rows), texts(&all), "{} by {limit}", stringify!($method));
            assert!(limit == 0 || pages > 1, "{} fits one page", stringify!($method));
        }
        all
    }};
}

#[tokio::test(start_paused = true)]
async fn every_list_gives_every_row_once() {
    let (_fleet, client) = fleet(1, 2_000);
    let project = birds();
    let production = AliasName::production;
    let datasets = check_list!(client, dataset_list, 8, |page| {
        DatasetList { project: birds(), lineage: None, page }
    });
    assert!(datasets.is_sorted_by_key(|version| std::cmp::Reverse(version.created)));
    check_list!(client, change_set_list, 12, |page| ChangeSetList { project: birds(), page });
    let jobs = check_list!(client, job_list, 30, |page| JobList { page, ..JobList::default() });
    assert!(jobs.is_sorted_by_key(|job| std::cmp::Reverse(job.id)));
    check_list!(client, run_list, 10, |page| RunList { project: birds(), page });
    let history = read_all(2, async |page| {
        ask!(client, alias_history, AliasHistory { project: birds(), alias: production(), page })
    });
    let generations: Vec<u64> = history.await.0.iter().map(|moved| moved.generation).collect();
    assert_eq!(generations, [5, 4, 3, 2, 1]);
    let models =
        read_all(4, async |page| ask!(client, model_list, ModelList { project: birds(), page })).await;
    let numbers: Vec<u32> = models.0.iter().map(|model| model.number.0).collect();
    assert_eq!((numbers, models.1), (vec![6, 5, 4, 3, 2, 1], 2));
    let events = check_list!(client, event_list, 50, |page| EventList { page, ..EventList::default() });
    assert!(events.iter().rev().zip(1..).all(|(event, seq)| event.seq == seq), "numbered without a gap");
    assert!(events.is_sorted_by_key(|event| std::cmp::Reverse(event.at)));
    let predictions = check_list!(client, prediction_list, 1_000, |page| {
        PredictionList { project: birds(), filter: PredictionFilter::default(), page }
    });
    assert_eq!(predictions.len(), 1_000, "half of them; the other project has the rest");
    assert!(predictions.is_sorted_by_key(|prediction| std::cmp::Reverse(prediction.at)));

    // A job of a project, of a state; a lineage: what the unfiltered list has of it.
    let (failed, _) = read_all(3, async |page| {
        ask!(client, job_list, JobList { project: Some(birds()), state: Some(JobState::Failed), page })
    })
    .await;
    let wanted =
        jobs.iter().filter(|job| job.state == JobState::Failed && job.project == Some(project.clone()));
    assert_eq!(texts(&failed), texts(&wanted.cloned().collect::<Vec<_>>()));
    assert!(failed.len() >= 8);
    let lineage = Some(Lineage::Production);
    let (line, _) =
        read_all(1, async |page| ask!(client, dataset_list, DatasetList { project: birds(), lineage, page }))
            .await;
    let numbers: Vec<String> = line.iter().map(|version| version.dataset.to_string()).collect();
    assert_eq!(numbers, ["production@v2", "production@v1"]);
}

async fn predictions(
    client: &AgentClient,
    filter: &PredictionFilter,
    limit: u32,
) -> (Vec<Prediction>, usize) {
    read_all(limit, async |page| {
        ask!(client, prediction_list, PredictionList { project: birds(), filter: filter.clone(), page })
    })
    .await
}

#[tokio::test(start_paused = true)]
async fn filters_of_predictions_are_those_of_the_protocol() {
    let (fleet, client) = fleet(1, 20_000);
    let (all, _) = predictions(&client, &PredictionFilter::default(), 1_000).await;
    assert_eq!(all.len(), 10_000);
    once("the log", &all);
    let classes: BTreeSet<&str> = all.iter().map(Prediction::class).collect();
    assert!(classes.len() > 400, "{} classes are asked for", classes.len());
    let models: BTreeSet<ModelNumber> = all.iter().map(|prediction| prediction.model).collect();
    assert_eq!(models, [1, 2, 3, 4].map(ModelNumber).into());

    let (class, rare) = (all[17].class().to_owned(), all[9_000].class().to_owned());
    let ago = |hours: u64| Some(fleet.now().minus(Duration::from_secs(hours * 3_600)));
    let none = PredictionFilter::default();
    let filters = [
        PredictionFilter { model: Some(ModelNumber(2)), ..none.clone() },
        PredictionFilter { model: Some(ModelNumber(6)), ..none.clone() },
        PredictionFilter { class: Some(class.clone()), ..none.clone() },
        PredictionFilter { class: Some("no such class".to_owned()), ..none.clone() },
        PredictionFilter { confidence_below: Some(0.5), ..none.clone() },
        PredictionFilter { confidence_below: Some(0.01), ..none.clone() },
        PredictionFilter { since: ago(24), ..none.clone() },
        PredictionFilter { until: ago(24 * 20), ..none.clone() },
        PredictionFilter { since: ago(300), until: ago(200), ..none.clone() },
        PredictionFilter { since: ago(200), until: ago(300), ..none.clone() },
        // The very instants of a row: the first belongs to it, the second does not.
        PredictionFilter { since: Some(all[500].at), until: Some(all[100].at), ..none.clone() },
        PredictionFilter {
            model: Some(ModelNumber(4)),
            class: Some(rare),
            confidence_below: Some(0.9),
            since: ago(100),
            until: None,
            feedback: None,
        },
    ];
    let mut partial = 0;
    for filter in &filters {
        let wanted: Vec<Prediction> = all.iter().filter(|row| filter.matches(row)).cloned().collect();
        for limit in [0, 13, 1_000] {
            let (found, pages) = predictions(&client, filter, limit).await;
            assert_eq!(texts(&found), texts(&wanted), "{filter:?} by {limit}");
            let full = if limit == 0 { 100 } else { limit as usize };
            partial += usize::from(pages > found.len().div_ceil(full).max(1));
        }
    }
    assert!(partial > 5, "a search that looks long gives what it has, and goes on");

    for prediction in [&all[0], &all[5_000], &all[9_999]] {
        let request = PredictionGet { project: birds(), prediction: prediction.id };
        assert_eq!(ask!(client, prediction_get, request).as_ref(), Ok(prediction));
    }
    let elsewhere = PredictionGet { project: "products".parse().expect("a name"), prediction: all[0].id };
    assert_eq!(ask!(client, prediction_get, elsewhere).expect_err("of birds").code, ErrorCode::NotFound);
}

/// What an hour of one model adds up to.
#[derive(Default)]
struct Sums {
    predictions: u64,
    confidence: f64,
    total_us: u64,
    classes: BTreeMap<String, u64>,
}

#[tokio::test(start_paused = true)]
async fn counts_are_those_of_the_list() {
    let (fleet, client) = fleet(1, 4_000);
    let (all, _) = predictions(&client, &PredictionFilter::default(), 1_000).await;
    let hours = |hours: u64| fleet.now().minus(Duration::from_secs(hours * 3_600));
    for (since, until) in [(hours(31 * 24), hours(0)), (hours(50), hours(3)), (hours(9 * 24), hours(7 * 24))]
    {
        let counts = ask!(client, prediction_counts, PredictionCounts { project: birds(), since, until });
        let counts = counts.expect("counted");
        assert!(counts.is_sorted_by_key(|count| (count.hour, count.model)));
        let mut sums: BTreeMap<(Time, ModelNumber), Sums> = BTreeMap::new();
        for row in all.iter().filter(|row| (since.hour()..=until.hour()).contains(&row.at.hour())) {
            let hour = Time::from_micros(row.at.hour() * 3_600_000_000);
            let sums = sums.entry((hour, row.model)).or_default();
            sums.predictions += 1;
            sums.confidence += f64::from(row.confidence());
            sums.total_us += u64::from(row.timings.total);
            *sums.classes.entry(row.class().to_owned()).or_default() += 1;
        }
        assert_eq!(counts.len(), sums.len());
        for count in counts {
            let sums = &sums[&(count.hour, count.model)];
            assert_eq!((count.predictions, count.total_us_sum), (sums.predictions, sums.total_us));
            assert_eq!(count.classes, sums.classes);
            assert!((count.confidence_sum - sums.confidence).abs() < 1e-6);
        }
    }
    let (since, until) = (hours(93 * 24), hours(0));
    let counts = ask!(client, prediction_counts, PredictionCounts { project: birds(), since, until });
    assert_eq!(counts.expect_err("too long").code, ErrorCode::Invalid);
}

#[tokio::test(start_paused = true)]
async fn a_dataset_lists_what_it_counts() {
    let (_fleet, client) = fleet(1, 0);
    let dataset = DatasetRef { lineage: Lineage::Reference, number: 4 };
    for (project, classes) in [("birds", 525), ("products", 6)] {
        let project: vigie_protocol::ProjectName = project.parse().expect("a name");
        let get = DatasetGet { project: project.clone(), dataset };
        let version = ask!(client, dataset_get, get).expect("there");
        assert_eq!(version.classes.len(), classes);
        let list =
            async |class: Option<String>, split: Option<Split>| -> Result<Vec<DatasetImage>, ApiError> {
                let (rows, _) = read_all(1_000, async |page| {
                    let (project, class) = (project.clone(), class.clone());
                    ask!(client, dataset_images, DatasetImages { project, dataset, class, split, page })
                })
                .await;
                Ok(rows)
            };
        let all = list(None, None).await.expect("listed");
        assert!(all.is_sorted_by_key(|row| row.image) && all.len() as u64 == version.images());
        once("the dataset", &all);
        let mut counts: BTreeMap<String, SplitCounts> = BTreeMap::new();
        for row in &all {
            *counts.entry(row.label.clone()).or_default().of_mut(row.split) += 1;
        }
        assert_eq!(counts, version.classes);
        let class = all[3].label.clone();
        let some = list(Some(class.clone()), Some(Split::Test)).await.expect("listed");
        let wanted = all.iter().filter(|row| row.label == class && row.split == Split::Test);
        assert_eq!(some, wanted.cloned().collect::<Vec<_>>());
        assert_eq!(some.len() as u64, version.classes[&class].test);
    }
}

/// The million of the whole fleet, and that it costs next to nothing to have.
#[tokio::test(start_paused = true)]
async fn a_fleet_holds_as_many_predictions_as_were_asked_for() {
    let options = FleetOptions::default();
    let fleet = Fleet::new(&options);
    assert_eq!(fleet.names().len(), 200);
    assert_eq!(fleet.names()[199], "agent-199");
    let (since, until) = (fleet.now().minus(Duration::from_secs(31 * 24 * 3_600)), fleet.now());
    let mut sum = 0;
    let mut of_first = 0;
    for number in 0..200 {
        let client = client(&fleet, number);
        for project in ask!(client, project_list, Empty {}).expect("listed") {
            let request = PredictionCounts { project: project.name, since, until };
            let counts = ask!(client.with_timeout(Duration::from_secs(60)), prediction_counts, request);
            sum += counts.expect("counted").iter().map(|count| count.predictions).sum::<u64>();
        }
        if number == 0 {
            of_first = sum;
        }
    }
    assert_eq!(sum, options.predictions);
    assert!((500_000..510_000).contains(&of_first), "{of_first}");
}

#[tokio::test(start_paused = true)]
async fn the_same_seed_is_the_same_fleet() {
    let list = async |seed| {
        let options = FleetOptions { agents: 3, predictions: 8_000, seed, ..FleetOptions::default() };
        let fleet = Fleet::new(&options);
        fleet.tick(Duration::from_secs(3_600));
        let client = client(&fleet, 2);
        let page = PageRequest { cursor: None, limit: 1_000 };
        let jobs = ask!(client, job_list, JobList { page: page.clone(), ..JobList::default() });
        let events = ask!(client, event_list, EventList { page, ..EventList::default() });
        let (predictions, _) = predictions(&client, &PredictionFilter::default(), 1_000).await;
        [texts(&jobs.expect("jobs").items), texts(&events.expect("events").items), texts(&predictions)]
    };
    let (first, second, other) = (list(7).await, list(7).await, list(8).await);
    assert_eq!(first, second);
    assert!(first.iter().zip(&other).all(|(first, other)| first != other));
}
