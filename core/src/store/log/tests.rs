#![expect(clippy::unwrap_used, reason = "tests")]

use std::os::unix::fs::FileExt;
use std::sync::Condvar;
use std::sync::mpsc;

use proptest::prelude::*;
use uuid::Uuid;
use vigie_protocol::ModelNumber;
use vigie_protocol::prediction::LogHealth;

use super::*;
use crate::store::samples::prediction;

const DAY_US: i64 = 24 * 3_600_000_000;
/// 2026-11-21T00:00:00Z.
const START: i64 = 1_795_219_200_000_000;
const ENDLESS: Duration = Duration::MAX;

fn project(name: &str) -> ProjectName {
    name.parse().unwrap()
}

fn birds() -> ProjectName {
    project("birds")
}

fn log() -> (tempfile::TempDir, DayLog) {
    let dir = tempfile::tempdir().unwrap();
    let log = DayLog::open(&dir.path().join("predictions")).unwrap();
    (dir, log)
}

fn append(log: &DayLog, records: &[Prediction]) {
    let group: Vec<_> = records.iter().map(|record| (birds(), record.clone())).collect();
    log.append(&group).unwrap();
}

/// Reads all pages.
fn pages(log: &DayLog, filter: &PredictionFilter, limit: usize, budget: Duration) -> Vec<Prediction> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page = log.page(&birds(), filter, cursor.as_ref(), limit, budget).unwrap();
        assert!(page.items.len() <= limit);
        all.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

#[test]
fn what_was_appended_is_read_back() {
    let (_dir, log) = log();
    let records: Vec<_> = (0..5).map(|n| prediction(START + n * DAY_US / 2, 1, "owl", 0.5)).collect();
    append(&log, &records);
    append(&log, &records[1..3]);
    log.append(&[(project("birds-2"), prediction(START, 1, "owl", 0.5))]).unwrap();

    assert_eq!(log.days().unwrap(), ["2026-11-21", "2026-11-22", "2026-11-23"]);
    let newest_first: Vec<_> = records.iter().rev().cloned().collect();
    assert_eq!(pages(&log, &PredictionFilter::default(), 2, ENDLESS), newest_first);
    for record in &records {
        assert_eq!(log.get(&birds(), record.id).unwrap().as_ref(), Some(record));
        assert_eq!(log.get(&project("birds-2"), record.id).unwrap(), None);
    }
    assert_eq!(log.get(&birds(), PredictionId::new()).unwrap(), None);
    assert_eq!(log.get(&birds(), Uuid::from_u128(7).into()).unwrap(), None);
    let unknown = log.page(&project("none"), &PredictionFilter::default(), None, 9, ENDLESS).unwrap();
    assert_eq!(unknown, Page::whole(Vec::new()));

    log.drop_day("2026-11-21").unwrap();
    log.drop_day("2026-11-21").unwrap();
    assert!(log.drop_day("../meta").is_err());
    assert_eq!(pages(&log, &PredictionFilter::default(), 9, ENDLESS), newest_first[..3]);
}

#[test]
fn counters_follow_records() {
    let (_dir, log) = log();
    let hour = 3_600_000_000;
    let records = [
        prediction(START + 1, 1, "owl", 0.5),
        prediction(START + 2, 1, "owl", 0.75),
        prediction(START + 3, 1, "wren", 0.25),
        prediction(START + 4, 2, "owl", 1.0),
        prediction(START + hour, 1, "owl", 0.5),
    ];
    append(&log, &records);
    let counts = |since, until| {
        log.counts(&birds(), Time::from_micros(since), Time::from_micros(until))
            .unwrap()
            .into_iter()
            .map(|count| {
                let classes: Vec<_> = count.classes.into_iter().collect();
                (
                    count.hour.as_micros() - START,
                    count.model.0,
                    count.predictions,
                    count.confidence_sum,
                    classes,
                )
            })
            .collect::<Vec<_>>()
    };
    let of = |class: &str, n: u64| (class.to_owned(), n);
    let first = (0, 1, 3, 1.5, vec![of("owl", 2), of("wren", 1)]);
    let second = (0, 2, 1, 1.0, vec![of("owl", 1)]);
    let third = (hour, 1, 1, 0.5, vec![of("owl", 1)]);
    assert_eq!(counts(START, START + DAY_US), [first.clone(), second.clone(), third.clone()]);
    assert_eq!(counts(START + hour - 1, START + hour - 1), [first, second.clone()]);
    assert_eq!(counts(START + hour, i64::MAX), [third]);
    assert_eq!(counts(START + DAY_US, START), []);

    assert_eq!(log.forget(&birds(), records[4].id).unwrap().as_ref(), Some(&records[4]));
    assert_eq!(log.forget(&birds(), records[0].id).unwrap().as_ref(), Some(&records[0]));
    assert_eq!(log.forget(&birds(), records[0].id).unwrap(), None);
    assert_eq!(log.get(&birds(), records[0].id).unwrap(), None);
    let left = (0, 1, 2, 1.0, vec![of("owl", 1), of("wren", 1)]);
    assert_eq!(counts(START, START + DAY_US), [left, second]);
    assert_eq!(pages(&log, &PredictionFilter::default(), 9, ENDLESS).len(), 3);
    let owls = PredictionFilter { class: Some("owl".to_owned()), ..PredictionFilter::default() };
    assert_eq!(pages(&log, &owls, 9, ENDLESS).len(), 2);
}

fn filters() -> impl Strategy<Value = PredictionFilter> {
    let time = || prop::option::of((0..3 * DAY_US).prop_map(|micros| Time::from_micros(START + micros)));
    (prop::option::of(1..4_u32), prop::option::of(0..4_u32), prop::option::of(0.0..1.0_f32), time(), time())
        .prop_map(|(model, class, confidence_below, since, until)| PredictionFilter {
            model: model.map(ModelNumber),
            class: class.map(|n| format!("kind-{n}")),
            confidence_below,
            since,
            until,
            feedback: None,
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(8))]

    #[test]
    fn pages_hold_what_filters_want(
        raw in prop::collection::vec((0..3 * DAY_US, 1..4_u32, 0..3_u32, 0.0..1.0_f32), 0..200),
        filters in prop::collection::vec(filters(), 6),
        limit in 4..40_usize,
    ) {
        let (_dir, log) = log();
        // Few distinct times, so that records of one time meet a page's end.
        let records: Vec<_> = raw
            .iter()
            .map(|(micros, model, class, confidence)| {
                let micros = START + micros / (DAY_US / 10) * (DAY_US / 10);
                prediction(micros, *model, &format!("kind-{class}"), *confidence)
            })
            .collect();
        append(&log, &records);
        let mut newest_first: Vec<_> = records.iter().enumerate().collect();
        newest_first.sort_by_key(|(n, record)| std::cmp::Reverse((record.at, *n)));
        for filter in filters {
            let expected: Vec<_> = newest_first
                .iter()
                .filter(|(_, record)| filter.matches(record))
                .map(|(_, record)| (*record).clone())
                .collect();
            for budget in [ENDLESS, Duration::ZERO] {
                prop_assert_eq!(&pages(&log, &filter, limit, budget), &expected);
            }
        }
    }
}

#[test]
fn a_strangers_cursor_is_refused() {
    let (_dir, log) = log();
    append(&log, &[prediction(START, 1, "owl", 0.5)]);
    for text in ["", "x", "2026-11-21", "2026-11-21.1.2", "2026-11-21.x.2", "../etc.0.0", "a.b.c.d"] {
        let cursor = PageCursor(text.to_owned());
        let read = log.page(&birds(), &PredictionFilter::default(), Some(&cursor), 9, ENDLESS);
        assert!(matches!(read, Err(StoreError::BadCursor)), "{text}");
    }
}

#[test]
fn a_damaged_day_costs_that_day_only() {
    let (_dir, log) = log();
    let good = prediction(START, 1, "owl", 0.5);
    append(&log, std::slice::from_ref(&good));
    fs::write(log.path_of("2026-11-22"), b"no database".repeat(1_000)).unwrap();

    assert_eq!(pages(&log, &PredictionFilter::default(), 9, ENDLESS), std::slice::from_ref(&good));
    let until = Time::from_micros(START + 2 * DAY_US);
    assert_eq!(log.counts(&birds(), good.at, until).unwrap().len(), 1);
    assert_eq!(log.faults().into_keys().collect::<Vec<_>>(), ["2026-11-22"]);

    let next = prediction(START + DAY_US, 1, "owl", 0.5);
    append(&log, std::slice::from_ref(&next));
    assert_eq!(pages(&log, &PredictionFilter::default(), 9, ENDLESS), [next, good]);
    assert!(log.folder.join("2026-11-22.damaged-1").exists());
}

/// Writes `to` over the type of every page of a database file that has the type `from`.
fn mistype(path: &Path, from: u8, to: u8) {
    const PAGE: usize = 4096;
    let pages = fs::read(path).unwrap();
    let file = fs::File::options().write(true).open(path).unwrap();
    // The first is no page of a tree.
    let mut changed = 0;
    for (n, _) in pages.chunks(PAGE).enumerate().skip(1).filter(|(_, page)| page[0] == from) {
        file.write_all_at(&[to], (n * PAGE) as u64).unwrap();
        changed += 1;
    }
    assert!(changed > 0);
}

#[test]
fn a_day_that_is_damaged_while_it_is_open_is_begun_anew() {
    const LEAF: u8 = 1;
    const BRANCH: u8 = 2;
    for (from, to) in [(LEAF, 0), (LEAF, 9), (LEAF, BRANCH), (BRANCH, 0), (BRANCH, 9), (BRANCH, LEAF)] {
        let (_dir, log) = log();
        let records: Vec<_> = (0..500).map(|n| prediction(START + n, 1, "owl", 0.5)).collect();
        append(&log, &records);
        // Another handle, which remembers no page of it.
        let log = DayLog { cache_bytes: 0, ..DayLog::open(&{ log }.folder).unwrap() };
        assert!(log.day("2026-11-21").unwrap().is_some());
        mistype(&log.path_of("2026-11-21"), from, to);

        let next: Vec<_> = (0..2).map(|n| prediction(START + 1_000 + n, 1, "owl", 0.5)).collect();
        append(&log, &next[..1]);
        append(&log, &next[1..]);
        let newest_first: Vec<_> = next.iter().rev().cloned().collect();
        let found = pages(&log, &PredictionFilter::default(), 9, ENDLESS);
        assert_eq!((found.len(), found), (2, newest_first), "{from} {to}");
        assert_eq!(log.faults().into_keys().collect::<Vec<_>>(), ["2026-11-21"]);
        assert!(log.folder.join("2026-11-21.damaged-1").exists());
        assert!(!log.folder.join("2026-11-21.damaged-2").exists());
    }
}

#[test]
fn a_day_that_was_removed_while_it_was_open_is_begun_anew() {
    let (_dir, log) = log();
    append(&log, &[prediction(START, 1, "owl", 0.5)]);
    let path = log.path_of("2026-11-21");
    fs::remove_file(&path).unwrap();
    log.move_aside("2026-11-21", &path, "it is gone").unwrap();
    let next = prediction(START + 1, 1, "owl", 0.5);
    append(&log, std::slice::from_ref(&next));
    assert_eq!(pages(&log, &PredictionFilter::default(), 9, ENDLESS), [next]);
}

#[test]
fn few_days_stay_open_and_all_stay_readable() {
    let (_dir, log) = log();
    let records: Vec<_> = (0..20).map(|n| prediction(START + n * DAY_US, 1, "owl", 0.5)).collect();
    append(&log, &records);
    assert_eq!(pages(&log, &PredictionFilter::default(), 3, ENDLESS).len(), 20);
    assert_eq!(lock(&log.open).len(), OPEN_DAYS);
    // Readers of many days at once never open a file twice.
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(pages(&log, &PredictionFilter::default(), 7, ENDLESS).len(), 20));
        }
    });
}

#[test]
fn a_log_that_was_not_closed_is_whole() {
    let (dir, log) = log();
    let records: Vec<_> = (0..50).map(|n| prediction(START + n, 1, "owl", 0.5)).collect();
    append(&log, &records);
    // A copy of the files as they are while the log is open: what a killed process leaves behind.
    let left = dir.path().join("left");
    fs::create_dir(&left).unwrap();
    fs::copy(log.path_of("2026-11-21"), left.join("2026-11-21.redb")).unwrap();
    let reopened = DayLog::open(&left).unwrap();
    assert_eq!(pages(&reopened, &PredictionFilter::default(), 100, ENDLESS).len(), 50);
}

#[test]
fn the_writer_makes_everything_durable() {
    let (_dir, log) = log();
    let log = Arc::new(log);
    let writer = LogWriter::start(log.clone(), QUEUE_RECORDS).unwrap();
    for n in 0..2_500 {
        assert!(writer.submit(birds(), prediction(START + n, 1, "owl", 0.5)));
    }
    assert!(writer.flush(Duration::from_secs(60)));
    assert_eq!(writer.health(), LogHealth { pending: 0, shed: 0, window_ms: 30 });
    assert!(writer.submit(birds(), prediction(START + 9_999, 1, "owl", 0.5)));
    drop(writer);
    let counts = log.counts(&birds(), Time::from_micros(START), Time::from_micros(START)).unwrap();
    assert_eq!(counts[0].predictions, 2_501);
}

/// A log that refuses or waits as it is told.
#[derive(Default)]
struct Stubborn {
    refuses: Mutex<bool>,
    panics: Mutex<bool>,
    changed: Condvar,
    written: Mutex<usize>,
    tried: Mutex<Option<mpsc::Sender<()>>>,
}

impl PredictionLog for Stubborn {
    fn append(&self, group: &[(ProjectName, Prediction)]) -> Result<()> {
        if let Some(tried) = lock(&self.tried).as_ref() {
            let _ = tried.send(());
        }
        assert!(!*lock(&self.panics), "what is in it makes no sense");
        if *lock(&self.refuses) {
            return Err(StoreError::Precondition("the disk is full".to_owned()));
        }
        *lock(&self.written) += group.len();
        self.changed.notify_all();
        Ok(())
    }
    fn page(
        &self,
        _: &ProjectName,
        _: &PredictionFilter,
        _: Option<&PageCursor>,
        _: usize,
        _: Duration,
    ) -> Result<Page<Prediction>> {
        Ok(Page::whole(Vec::new()))
    }
    fn get(&self, _: &ProjectName, _: PredictionId) -> Result<Option<Prediction>> {
        Ok(None)
    }
    fn forget(&self, _: &ProjectName, _: PredictionId) -> Result<Option<Prediction>> {
        Ok(None)
    }
    fn counts(&self, _: &ProjectName, _: Time, _: Time) -> Result<Vec<HourCount>> {
        Ok(Vec::new())
    }
    fn days(&self) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn drop_day(&self, _: &str) -> Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_queue_sheds_and_recovers() {
    let (tried, tries) = mpsc::channel();
    let log = Arc::new(Stubborn::default());
    *lock(&log.refuses) = true;
    *lock(&log.tried) = Some(tried);
    let writer = LogWriter::start(log.clone(), QUEUE_RECORDS).unwrap();
    let record = prediction(START, 1, "owl", 0.5);
    let many = 3 * QUEUE_RECORDS;
    for _ in 0..many {
        writer.submit(birds(), record.clone());
    }
    tries.recv().unwrap();
    tries.recv().unwrap(); // so the first refusal is known
    let health = writer.health();
    assert_eq!(writer.error().as_deref(), Some("the disk is full"));
    assert!(health.shed >= (many - QUEUE_RECORDS - 1_000) as u64, "{health:?}");
    assert_eq!(health.pending + health.shed, many as u64);
    assert!(!writer.flush(Duration::ZERO));

    *lock(&log.refuses) = false;
    assert!(writer.flush(Duration::from_secs(60)));
    assert_eq!(*lock(&log.written) as u64, health.pending);
    assert_eq!((writer.health().pending, writer.error()), (0, None));

    *lock(&log.refuses) = true;
    writer.submit(birds(), record);
    drop(writer); // ends although the disk refuses
    assert_eq!(*lock(&log.written) as u64, health.pending);
}

#[test]
fn a_log_that_panics_says_so_and_goes_on() {
    let (tried, tries) = mpsc::channel();
    let log = Arc::new(Stubborn::default());
    *lock(&log.panics) = true;
    *lock(&log.tried) = Some(tried);
    let writer = LogWriter::start(log.clone(), QUEUE_RECORDS).unwrap();
    writer.submit(birds(), prediction(START, 1, "owl", 0.5));
    tries.recv().unwrap();
    tries.recv().unwrap(); // so the first panic is known
    assert_eq!(writer.error().as_deref(), Some("the prediction log: writing it panicked"));

    *lock(&log.panics) = false;
    assert!(writer.flush(Duration::from_secs(60)));
    assert_eq!((*lock(&log.written), writer.health().shed, writer.error()), (1, 0, None));
}

#[test]
fn who_is_told_may_panic() {
    let (_dir, log) = log();
    let (told, tells) = mpsc::channel();
    let logged: Logged = Box::new(move |group| {
        told.send(group.len()).unwrap();
        panic!("whoever is told may");
    });
    let writer = LogWriter::start_and_tell(Arc::new(log), 8, logged).unwrap();
    for n in 0..2 {
        assert!(writer.submit(birds(), prediction(START + n, 1, "owl", 0.5)));
        assert_eq!(tells.recv_timeout(Duration::from_secs(60)), Ok(1));
    }
}
