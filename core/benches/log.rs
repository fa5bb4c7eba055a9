//! The prediction log at a million records: how fast they come in while people read, how fast pages
//! and counters come out, how long a start after a crash takes.
//!
//! `cargo bench --workspace --bench log`: about two minutes and 2 GB under `target/tmp`.

mod figures;

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use std::{env, thread};

use figures::{Times, figure};
use rustix::fs::{Advice, fadvise};
use uuid::{NoContext, Timestamp, Uuid};
use vigie_core::store::catalog::Voted;
use vigie_core::store::log::DayLog;
use vigie_core::store::{PredictionLog, State};
use vigie_protocol::feedback::{Feedback, FeedbackFilter, Said, Vote};
use vigie_protocol::prediction::{Prediction, PredictionFilter, Scored, Timings};
use vigie_protocol::project::Project;
use vigie_protocol::{Hash, ModelNumber, ProjectName, Time};

const RECORDS: i64 = 1_000_000;
/// As the agent's writer groups them.
const GROUP: i64 = 1_000;
/// 2026-11-21T00:00:00Z, and a record each 86 ms: they fill that day.
const START: i64 = 1_795_219_200_000_000;
const STEP: i64 = 86_000;
const HOUR: i64 = 3_600_000_000;
const CLASSES: u64 = 100;
const MODELS: u64 = 5;
/// One in so many is of the rare kind: 20 in all.
const RARE: i64 = 50_000;

const PAGE: usize = 100;
/// What the agent gives a page.
const BUDGET: Duration = Duration::from_millis(40);

/// Set for the process that is killed: the folder it appends to.
const VICTIM: &str = "VIGIE_BENCH_VICTIM";

fn main() {
    if let Some(folder) = env::var_os(VICTIM) {
        return append_until_killed(Path::new(&folder));
    }
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).expect("temp folder");
    disk_floor(folder.path());
    let predictions = folder.path().join("predictions");
    append(&predictions);
    pages(&predictions);
    feedback_pages(folder.path());
    crashes(&predictions);
}

fn birds() -> ProjectName {
    "birds".parse().expect("a name")
}

/// Record `n`: its model, class and confidence have nothing to do with each other or with time.
fn record(n: i64) -> Prediction {
    let at = Time::from_micros(START + n * STEP);
    let seconds = u64::try_from(at.as_micros() / 1_000_000).expect("after 1970");
    let chance = Hash::of(&n.to_le_bytes());
    let number = |i: usize| u64::from(chance.as_bytes()[i]) << 8 | u64::from(chance.as_bytes()[i + 1]);
    let (model, class, confidence) = if n % RARE == 123 {
        (3, 7, 0.01)
    } else {
        (1 + number(0) % MODELS, number(2) % CLASSES, 0.02 + 0.98 * number(4) as f32 / 65_536.0)
    };
    let scored = |class: u64, probability| Scored { class: kind(class), probability };
    let others = (1..5).map(|i| scored((class + i) % CLASSES, 0.001));
    Prediction {
        id: Uuid::new_v7(Timestamp::from_unix(NoContext, seconds, 0)).into(),
        at,
        model: ModelNumber(u32::try_from(model).expect("small")),
        weights: Hash::of(&model.to_le_bytes()),
        image: chance,
        picture_kept: true,
        top: [scored(class, confidence)].into_iter().chain(others).collect(),
        timings: Timings { queue: 110, decode: 2_400, infer: 9_800, total: 12_600 },
        by: "till-3".to_owned(),
        name: Some(format!("shelf-12/IMG_{n:07}.jpg")),
        feedback: None,
    }
}

fn kind(class: u64) -> String {
    format!("kind-{class:02}")
}

fn group(first: i64) -> Vec<(ProjectName, Prediction)> {
    (first..first + GROUP).map(|n| (birds(), record(n))).collect()
}

fn filters() -> Vec<(&'static str, PredictionFilter)> {
    let all = PredictionFilter::default;
    let (model, class) = (Some(ModelNumber(3)), Some(kind(7)));
    let at = |hours| Some(Time::from_micros(START + hours * HOUR));
    vec![
        ("all", all()),
        ("by model", PredictionFilter { model, ..all() }),
        ("by class", PredictionFilter { class: class.clone(), ..all() }),
        ("confidence below 0.2", PredictionFilter { confidence_below: Some(0.2), ..all() }),
        ("confidence below 0.015, 20 rows", PredictionFilter { confidence_below: Some(0.015), ..all() }),
        ("an hour at noon", PredictionFilter { since: at(12), until: at(13), ..all() }),
        (
            "class, model, confidence: 20 rows",
            PredictionFilter { model, class, confidence_below: Some(0.015), ..all() },
        ),
        ("a class that never was", PredictionFilter { class: Some("none".to_owned()), ..all() }),
    ]
}

/// A page's rows and whether there may be more.
fn first_page(log: &DayLog, filter: &PredictionFilter) -> (usize, bool) {
    let page = log.page(&birds(), filter, None, PAGE, BUDGET).expect("page");
    (page.items.len(), page.next.is_some())
}

/// What the disk allows.
fn disk_floor(folder: &Path) {
    let path = folder.join("floor");
    let mut file = File::create(&path).expect("create");
    let block = vec![1_u8; 1 << 20];
    let syncs = Times::of(200, || {
        file.write_all(&block[..4096]).expect("write");
        file.sync_data().expect("sync");
    });
    figure("disk: 4 KiB appended and synced", syncs.summary(), "floor");
    let started = Instant::now();
    for _ in 0..512 {
        file.write_all(&block).expect("write");
    }
    file.sync_all().expect("sync");
    let rate = 512.0 / started.elapsed().as_secs_f64();
    figure("disk: 512 MiB written in order and synced", format!("{rate:.0} MiB/s"), "floor");
    fs::remove_file(path).expect("remove");
}

/// Appends the million in durable groups while another thread asks for pages and counters.
fn append(folder: &Path) {
    let log = DayLog::open(folder).expect("log");
    let done = AtomicBool::new(false);
    let (mut busy, mut commits) = (Duration::ZERO, Times::default());
    let queries = thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut times = Times::default();
            while !done.load(Ordering::Relaxed) {
                for (_, filter) in filters() {
                    times.take(|| first_page(&log, &filter));
                }
                times.take(|| dashboard(&log));
            }
            times
        });
        for first in (0..RECORDS).step_by(GROUP as usize) {
            // Making the records is not the log's work.
            let records = group(first);
            let started = Instant::now();
            commits.take(|| log.append(&records)).expect("append");
            busy += started.elapsed();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().expect("the reader ends")
    });
    let rate = RECORDS as f64 / busy.as_secs_f64();
    figure("append, durable groups of 1,000, under queries", format!("{rate:.0} records/s"), ">= 20,000/s");
    figure("  a group's commit", commits.summary(), "");
    figure("  queries meanwhile", queries.summary(), "< 50 ms");
    figure("  file", format!("{} MiB", fs::metadata(day(folder)).expect("file").len() >> 20), "");
}

fn dashboard(log: &DayLog) -> usize {
    let (since, until) = (Time::from_micros(START), Time::from_micros(START + 24 * HOUR));
    log.counts(&birds(), since, until).expect("counts").len()
}

fn pages(folder: &Path) {
    let log = DayLog::open(folder).expect("log");
    let mut opening = Times::default();
    opening.take(|| first_page(&log, &PredictionFilter::default()));
    figure("open after a clean end, and the first page", opening.summary(), "");
    for (name, filter) in filters() {
        let (rows, more) = first_page(&log, &filter);
        let times = Times::of(100, || first_page(&log, &filter));
        let end = if rows < PAGE && more { "partial" } else { "whole" };
        figure(&format!("page: {name}"), times.summary(), &format!("< 50 ms; {rows} rows, {end}"));
    }
    let times = Times::of(100, || dashboard(&log));
    figure("dashboard: 24 hours x 5 models x 100 classes", times.summary(), "< 10 ms");
}

/// Who looks at one prediction in so many says whether it is right.
const LOOKED_AT: usize = 20;

/// Pages of those with feedback, of 50,000: two in three were correct, one in six is another class,
/// of one in six nobody knows.
fn feedback_pages(folder: &Path) {
    let state = State::open(folder, Time::from_micros(START), None).expect("state");
    let at = Time::from_micros(START + 24 * HOUR);
    let project = Project::new(birds(), at, "ada");
    state.catalog.create_project(&project, None).expect("project");
    let said = [
        Said::Correct,
        Said::Correct,
        Said::Wrong { class: kind(99) },
        Said::Correct,
        Said::Correct,
        Said::WrongUnknown,
    ];
    let mut cursor = None;
    for turn in 0.. {
        let filter = PredictionFilter::default();
        let page = state.log.page(&birds(), &filter, cursor.as_ref(), 20_000, Duration::MAX).expect("page");
        for (n, one_says) in said.iter().enumerate() {
            let looked_at = page.items.iter().step_by(LOOKED_AT).skip(n).step_by(said.len());
            let voted: Vec<Voted> =
                looked_at.map(|one| Voted { about: Feedback::about(one), picture: false }).collect();
            let vote = Vote { by: format!("user-{turn}"), at, said: one_says.clone(), blind: false };
            state.catalog.give_feedback_to_all(&birds(), &voted, &vote, None).expect("votes");
        }
        cursor = page.next;
        if cursor.is_none() {
            break;
        }
    }
    let first_page = |filter: &PredictionFilter| {
        let page = state.predictions(&birds(), filter, None, PAGE, BUDGET).expect("page");
        (page.items.len(), page.next.is_some())
    };
    let by = |feedback, confidence_below| PredictionFilter {
        feedback: Some(feedback),
        confidence_below,
        ..PredictionFilter::default()
    };
    for (name, filter) in [
        ("all, with what people said", PredictionFilter::default()),
        ("with feedback", by(FeedbackFilter::Any, None)),
        ("wrong, of another class", by(FeedbackFilter::Wrong, None)),
        ("nobody knows", by(FeedbackFilter::WrongUnknown, None)),
        ("without feedback", by(FeedbackFilter::None, None)),
        ("wrong, confidence below 0.05", by(FeedbackFilter::Wrong, Some(0.05))),
        ("with feedback, confidence below 0.015", by(FeedbackFilter::Any, Some(0.015))),
    ] {
        let (rows, more) = first_page(&filter);
        let times = Times::of(100, || first_page(&filter));
        let end = if rows < PAGE && more { "partial" } else { "whole" };
        figure(&format!("page: {name}"), times.summary(), &format!("< 50 ms; {rows} rows, {end}"));
    }
}

fn day(folder: &Path) -> PathBuf {
    folder.join("2026-11-21.redb")
}

/// Kills a process that appends, three times, and opens what it left: once as the system has it
/// in memory, and once from the disk.
fn crashes(folder: &Path) {
    let mut durable = u64::try_from(RECORDS).expect("positive");
    for (from, cold) in [("memory", false), ("disk", true), ("memory, again", false)] {
        durable += kill_in_the_middle(folder);
        if cold {
            let file = File::open(day(folder)).expect("file");
            file.sync_all().expect("sync");
            fadvise(&file, 0, None, Advice::DontNeed).expect("fadvise");
        }
        let log = DayLog::open(folder).expect("log");
        let mut opening = Times::default();
        opening.take(|| first_page(&log, &PredictionFilter::default()));
        figure(&format!("open after a crash, from {from}"), opening.summary(), "< 2 s");
        let hours = log.counts(&birds(), Time::from_micros(START), Time::from_micros(START + 48 * HOUR));
        let found: u64 = hours.expect("counts").iter().map(|hour| hour.predictions).sum();
        assert!(found >= durable, "{found} records are left of {durable}");
        durable = found;
    }
}

/// Returns how many records the process said were durable before it died.
fn kill_in_the_middle(folder: &Path) -> u64 {
    let this = env::current_exe().expect("this bench");
    let mut victim =
        Command::new(this).env(VICTIM, folder).stdout(Stdio::piped()).spawn().expect("the victim starts");
    let lines = BufReader::new(victim.stdout.take().expect("piped")).lines();
    let mut groups = lines.map_while(Result::ok);
    let mut said = groups.by_ref().take(20).count();
    victim.kill().expect("kill");
    victim.wait().expect("wait");
    said += groups.count();
    said as u64 * GROUP as u64
}

fn append_until_killed(folder: &Path) {
    let log = DayLog::open(folder).expect("log");
    let mut out = std::io::stdout();
    // All at the day's end, with new identities.
    for _ in 0.. {
        log.append(&group(RECORDS - GROUP)).expect("append");
        writeln!(out, "durable").expect("the bench listens");
    }
}
