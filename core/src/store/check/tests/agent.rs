//! Every finding about what is of no project, and about files.

use redb::TableDefinition;
use uuid::Uuid;
use vigie_protocol::JobId;
use vigie_protocol::event::{Event, Subject};
use vigie_protocol::model::ModelVersion;
use vigie_protocol::prediction::Prediction;
use vigie_protocol::schedule::{Firing, FiringState, Schedule};

use super::patient::{SCHEDULE, check_all, model};
use super::*;
use crate::store::audit::AuditDraft;
use crate::store::disk::RealDisk;
use crate::store::key::Key;
use crate::store::samples::{name, prediction};
use crate::store::{Batch, Facts};

/// Long after whatever happened in a whole state, in microseconds.
const LATER: i64 = 3 * 24 * 3600 * 1_000_000;

#[test]
fn jobs_leases_receipts_and_events() {
    check_all(&[
        (
            "a job is not listed",
            |it| it.delete(it.first_key(b"job-unfinished/")),
            &["job …: it is not listed as unfinished"],
        ),
        (
            "a job that has ended is",
            |it| {
                let id = it.ended_job();
                it.put(Key::of("job-unfinished").uuid(id.uuid()).bytes(), &id);
            },
            &["job …: it has ended and is listed as unfinished"],
        ),
        (
            "no job is",
            |it| {
                let id = JobId::new();
                it.put(Key::of("job-unfinished").uuid(id.uuid()).bytes(), &id);
            },
            &["unfinished jobs: job … does not exist"],
        ),
        ("a lease of no job", |it| it.lease(JobId::new()), &["lease on gpu: its job does not exist"]),
        (
            "a lease of a job that has ended",
            |it| it.lease(it.ended_job()),
            &["note: lease on gpu: … has ended and holds it still; the next start frees it"],
        ),
        (
            "a receipt is gone",
            |it| it.delete(it.first_key(b"receipt/")),
            &["receipts: … is only in one of two lists"],
        ),
        (
            "a receipt is not in the list by time",
            |it| it.delete(it.first_key(b"receipt-by-time/")),
            &["receipts: … is only in one of two lists"],
        ),
        (
            "a line of the audit log is due",
            |it| {
                let draft = AuditDraft {
                    key: None,
                    at: at(1),
                    principal: "ada".to_owned(),
                    role: "admin".to_owned(),
                    via: "unix".to_owned(),
                    method: "create".to_owned(),
                    target: "birds".to_owned(),
                    outcome: "ok".to_owned(),
                    reason: None,
                };
                it.put(Key::of("audit-due").time(at(1)).bytes(), &draft);
            },
            &["note: audit.log: 1 lines are not written yet; the next start writes them"],
        ),
        (
            "an event is gone",
            |it| {
                let of_a_source = |event: &Event| matches!(event.subject, Subject::Source { .. });
                it.delete(it.find(b"event/", of_a_source).0);
            },
            &["event 11: the event after it is missing"],
        ),
        (
            "old events were dropped for their number",
            |it| {
                let newest = it.rows::<Event>(b"event/").len();
                it.rows::<Event>(b"event/").into_iter().take(newest - 1).for_each(|(key, _)| it.delete(key));
            },
            &[],
        ),
    ]);
}

#[test]
fn schedules_and_their_firings() {
    check_all(&[
        (
            "its count of firings",
            |it| it.edit(SCHEDULE, |row: &mut Schedule| row.progress.firings = 2),
            &["schedules: schedule nightly-1 of birds: its newest firing is not the one that it counts last"],
        ),
        (
            "a firing is missing between two",
            |it| {
                let (key, row): (_, Firing) = it.find(b"firing/birds/nightly-1/", |_| true);
                let third = [&key[..key.len() - 1], &[3]].concat();
                it.put(third, &Firing { number: 3, ..row });
            },
            &[
                "schedules: schedule nightly-1 of birds: a firing is missing between two others",
                "schedules: schedule nightly-1 of birds: its newest firing is not the one that it counts last",
            ],
        ),
        (
            "a firing that has not ended is not listed",
            |it| it.edit(b"firing/birds/nightly-1/", |row: &mut Firing| row.state = FiringState::Begun),
            &["schedules: schedule nightly-1 of birds: firing 1 is in one of two lists only"],
        ),
        (
            "a firing that is listed is of no schedule",
            |it| it.put(Key::of("firing-open").uuid(Uuid::now_v7()).bytes(), &()),
            &["schedules: an open firing is of no schedule"],
        ),
        (
            "its project",
            |it| {
                let (_, mut row): (_, Schedule) = it.find(SCHEDULE, |_| true);
                row.project = Some(name("ghost"));
                row.progress.firings = 0;
                it.put(b"schedule/ghost/nightly-1/".to_vec(), &row);
            },
            &["schedules: schedule nightly-1 of ghost: project ghost does not exist"],
        ),
    ]);
}

#[test]
fn files() {
    check_all(&[
        (
            "the weights are gone",
            |it| {
                let (_, row): (_, ModelVersion) = it.find(&model(1), |_| true);
                fs::remove_file(it.blobs.path_of(row.weights)).unwrap();
            },
            &["birds model v1: its blob … is missing; restore it from a backup"],
        ),
        (
            "the weights are others",
            |it| {
                let (_, row): (_, ModelVersion) = it.find(&model(1), |_| true);
                fs::write(it.blobs.path_of(row.weights), b"others").unwrap();
            },
            &["birds model v1: its blob's bytes are not what was put; restore it from a backup …"],
        ),
        (
            "a prediction of no project",
            |it| {
                let log = DayLog::open_on(Arc::new(RealDisk), &it.dir.join(PREDICTIONS));
                log.append(&[(name("ghost"), prediction(LATER, 1, "owl", 0.5))]).unwrap();
            },
            &["predictions of 1970-01-04: … is of no project"],
        ),
        (
            "a prediction's picture is gone",
            |it| {
                let kept = Prediction { picture_kept: true, ..prediction(LATER, 1, "owl", 0.5) };
                let log = DayLog::open_on(Arc::new(RealDisk), &it.dir.join(PREDICTIONS));
                log.append(&[(name("birds"), kept)]).unwrap();
            },
            &["prediction …: its blob … is missing; restore it from a backup"],
        ),
        (
            "a day of predictions is no database",
            |it| {
                let day = it.dir.join(PREDICTIONS).join("1970-01-04.redb");
                fs::write(day, vec![7; 10_000]).unwrap();
            },
            &["predictions of 1970-01-04: DIR/predictions/1970-01-04.redb is damaged: \
                Not a redb database: magic number mismatch"],
        ),
        (
            "the audit log is gone",
            |it| fs::remove_file(it.dir.join(AUDIT)).unwrap(),
            &["note: audit.log: it is missing; a new one is begun at the next start"],
        ),
        (
            "a line of the audit log is another",
            |it| {
                let path = it.dir.join(AUDIT);
                let text = fs::read_to_string(&path).unwrap();
                fs::write(path, text.replacen("\"ada\"", "\"eve\"", 1)).unwrap();
            },
            &["audit.log: line 2: it does not follow from the line before"],
        ),
    ]);
}

#[test]
fn a_page_of_the_facts() {
    let (_parent, dir) = a_whole_state();
    let path = dir.join(FACTS);
    let mut bytes = fs::read(&path).unwrap();
    let place = bytes.windows(9).position(|text| text == b"reference").unwrap();
    bytes[place] ^= 1;
    fs::write(&path, bytes).unwrap();
    let report = looked(&dir, Depth::Rows);
    let [Finding { place, detail, .. }] = &report.findings[..] else { panic!("{report:#?}") };
    assert!(place == FACTS && detail.contains("is damaged") && detail.ends_with("; restore a backup"));
}

#[test]
fn a_row_that_no_commit_put() {
    let (_parent, dir) = a_whole_state();
    let facts: TableDefinition<'_, &[u8], &[u8]> = TableDefinition::new("facts");
    let database = redb::Database::create(dir.join(FACTS)).unwrap();
    let transaction = database.begin_write().unwrap();
    transaction.open_table(facts).unwrap().insert(&b"stray/"[..], &b"1234567"[..]).unwrap();
    transaction.commit().unwrap();
    drop(database);
    let report = looked(&dir, Depth::Rows);
    let found: Vec<String> = report.findings.iter().map(Finding::to_string).collect();
    assert_eq!(found, ["stray/: stray/ is damaged: it has no generation"]);
}

/// Whatever row it is, the check comes to its end and says which.
#[test]
fn a_row_that_cannot_be_read_keeps_nothing_else_from_being_looked_at() {
    let (_parent, dir) = a_whole_state();
    let facts = RedbFacts::open(&dir.join(FACTS), None).unwrap();
    let mut rows = Vec::new();
    facts.each(&mut |key, fact| rows.push((key.to_vec(), fact.unwrap().value))).unwrap();
    let whole = looked_at(&dir, facts);
    for (key, value) in rows {
        let facts = RedbFacts::open(&dir.join(FACTS), None).unwrap();
        facts.commit(&Batch { puts: vec![(key.clone(), b"\x01\xc1".to_vec())], ..Batch::default() }).unwrap();
        let report = looked_at(&dir, facts);
        let key_text = readable(&key);
        let said = |finding: &Finding| finding.place == key_text && finding.detail.contains("is damaged");
        assert!(report.findings.iter().any(said), "{key_text}: {report:#?}");
        assert_eq!(
            (report.rows, report.predictions, report.audit_lines),
            (whole.rows, whole.predictions, whole.audit_lines),
            "{key_text}"
        );
        let facts = RedbFacts::open(&dir.join(FACTS), None).unwrap();
        facts.commit(&Batch { puts: vec![(key, value)], ..Batch::default() }).unwrap();
    }
    let facts = RedbFacts::open(&dir.join(FACTS), None).unwrap();
    assert_eq!(looked_at(&dir, facts), whole);
}

/// Closes the facts first: they are looked at in their file.
fn looked_at(dir: &Path, facts: RedbFacts) -> Report {
    drop(facts);
    looked(dir, Depth::Rows)
}
