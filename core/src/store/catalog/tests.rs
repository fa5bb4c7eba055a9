#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use vigie_protocol::classes::{ClassList, ImageLabel};
use vigie_protocol::dataset::{ChangeSet, ChangeSetState, ClassChange, Lineage, SplitCounts};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::{Job, JobState};
use vigie_protocol::model::MoveKind;
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::project::{Project, ProjectSettings};
use vigie_protocol::{AliasName, Hash, IdempotencyKey, JobId, ModelNumber, RunId};

use super::*;
use crate::store::conformance::{MemoryFacts, on_each};
use crate::store::samples::{at, change_set, decision, job, label_check, model, name, project, run};

fn catalog() -> Catalog {
    let catalog = Catalog::new(Arc::new(MemoryFacts::default()));
    catalog.create_project(&project("birds"), None).unwrap();
    catalog
}

fn receipt(method: &'static str) -> Receipt {
    Receipt {
        key: IdempotencyKey::new(),
        method,
        request: Some(Hash::of(b"a request")),
        at: at(5),
        audit: None,
    }
}

fn to(number: u32, kind: MoveKind, expected_generation: u64) -> AliasMoveDraft {
    AliasMoveDraft {
        alias: AliasName::production(),
        kind,
        to: ModelNumber(number),
        at: at(7),
        by: "ada".to_owned(),
        reason: None,
        verdict: None,
        expected_generation,
    }
}

/// Reads all pages and checks that none is over its limit.
fn pages<T>(limit: usize, read: impl Fn(Option<&PageCursor>) -> Result<Page<T>>) -> Vec<T> {
    let mut all = Vec::new();
    let mut cursor = None;
    loop {
        let page = read(cursor.as_ref()).unwrap();
        assert!(page.items.len() <= limit);
        all.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return all,
        }
    }
}

#[test]
fn projects_are_created_once_and_changed_by_generation() {
    on_each(|facts| {
        let catalog = Catalog::new(facts);
        let birds = catalog.create_project(&project("birds"), None).unwrap();
        assert_eq!(birds.generation, 1);
        let again = catalog.create_project(&project("birds"), None);
        assert!(matches!(again, Err(StoreError::Exists { what }) if what == "project birds"));

        let settings = ProjectSettings { picture_days: 3, ..ProjectSettings::default() };
        let changed = catalog.update_project(&birds.name, 1, "owls", &settings, None).unwrap();
        assert_eq!((changed.generation, changed.description.as_str()), (2, "owls"));
        let stale = catalog.update_project(&birds.name, 1, "wrens", &settings, None);
        assert!(matches!(stale, Err(StoreError::Conflict { .. })));

        catalog.create_project(&project("birds-2"), None).unwrap();
        assert_eq!(catalog.projects().unwrap().len(), 2);
        assert_eq!(catalog.project(&birds.name).unwrap(), changed);
        assert!(matches!(catalog.project(&name("none")), Err(StoreError::NotFound { .. })));
    });
}

#[test]
fn a_class_list_is_replaced_by_generation() {
    on_each(|facts| {
        let catalog = Catalog::new(facts);
        let birds = name("birds");
        let owls = ClassList { classes: ["owl".to_owned()].into(), ..ClassList::default() };
        assert!(matches!(catalog.set_class_list(&birds, 0, &owls, None), Err(StoreError::NotFound { .. })));
        catalog.create_project(&project("birds"), None).unwrap();
        assert_eq!(catalog.class_list(&birds).unwrap(), ClassList::default());
        let receipt = receipt("class_list_set");
        let set = catalog.set_class_list(&birds, 0, &owls, Some(&receipt)).unwrap();
        assert_eq!(set, ClassList { generation: 1, ..owls.clone() });
        assert_eq!(catalog.set_class_list(&birds, 0, &owls, Some(&receipt)).unwrap(), set, "once");
        assert!(matches!(catalog.set_class_list(&birds, 0, &owls, None), Err(StoreError::Conflict { .. })));
        assert_eq!(catalog.class_list(&birds).unwrap(), set);
    });
}

#[test]
fn labels_that_are_right_are_remembered_as_they_were() {
    on_each(|facts| {
        let catalog = Catalog::new(facts);
        catalog.create_project(&project("birds"), None).unwrap();
        let (birds, image) = (name("birds"), Hash::of(b"1"));
        let label = |label: &str| ImageLabel { image, label: label.to_owned() };
        catalog.keep_labels(&birds, &[label("owl")], "ada", at(1)).unwrap();
        assert!(catalog.is_label_kept(&birds, image, "owl").unwrap());
        assert!(!catalog.is_label_kept(&birds, image, "jay").unwrap(), "another label is another question");
        assert!(!catalog.is_label_kept(&birds, Hash::of(b"2"), "owl").unwrap());

        let checks = [JobId::new(), JobId::new()];
        for job in checks {
            catalog.save_label_check(&birds, &label_check(job, image)).unwrap();
            catalog.save_label_check(&birds, &label_check(job, image)).unwrap();
        }
        let page = catalog.label_checks(&birds, None, 10).unwrap();
        let found: Vec<JobId> = page.items.iter().map(|check| check.job).collect();
        assert_eq!(found, [checks[1], checks[0]], "each once, the newest first");
        assert_eq!(catalog.label_check(&birds, checks[0]).unwrap(), page.items[1]);
    });
}

#[test]
fn a_receipt_gives_the_first_answer() {
    let catalog = catalog();
    let receipt = receipt("project_create");
    let first = catalog.create_project(&project("owls"), Some(&receipt)).unwrap();
    assert_eq!(catalog.create_project(&project("owls"), Some(&receipt)).unwrap(), first);
    assert_eq!(catalog.receipt::<Project>(&receipt).unwrap(), Some(first.clone()));
    let fresh = Receipt { key: IdempotencyKey::new(), ..receipt.clone() };
    assert_eq!(catalog.receipt::<Project>(&fresh).unwrap(), None);
    // A row of a build that kept no digest.
    let undigested = Receipt { request: None, ..receipt.clone() };
    assert_eq!(catalog.receipt::<Project>(&undigested).unwrap(), Some(first));

    for other in [
        Receipt { method: "project_update", ..receipt.clone() },
        Receipt { request: Some(Hash::of(b"another request")), ..receipt.clone() },
    ] {
        let reused = catalog.create_project(&project("wrens"), Some(&other));
        assert!(matches!(reused, Err(StoreError::Precondition(_))));
        assert!(matches!(catalog.receipt::<Project>(&other), Err(StoreError::Precondition(_))));
    }

    assert_eq!(catalog.prune_receipts(at(5).plus(RECEIPTS_KEPT)).unwrap(), 0);
    let later = at(6).plus(RECEIPTS_KEPT);
    assert_eq!(catalog.prune_receipts(later).unwrap(), 1);
    assert_eq!(catalog.receipt::<Project>(&receipt).unwrap(), None);
    assert_eq!(catalog.prune_receipts(later).unwrap(), 0);
}

#[test]
fn an_accepted_change_set_is_the_next_version() {
    on_each(|facts| {
        let catalog = Catalog::new(facts);
        catalog.create_project(&project("birds"), None).unwrap();
        let birds = name("birds");
        let (a, b) = (change_set("birds", Lineage::Source, None), change_set("birds", Lineage::Source, None));
        for set in [&a, &b] {
            assert_eq!(catalog.propose(set, None).unwrap().generation, 1);
        }
        assert!(matches!(catalog.propose(&a, None), Err(StoreError::Exists { .. })));
        let homeless = change_set("nowhere", Lineage::Source, None);
        assert!(matches!(catalog.propose(&homeless, None), Err(StoreError::NotFound { .. })));

        let stale = catalog.accept(&birds, a.id, Some(7), &decision(8), None);
        assert!(matches!(stale, Err(StoreError::Conflict { .. })));
        let receipt = receipt("change_set_decide");
        let (accepted, told) = catalog.accept(&birds, a.id, Some(1), &decision(8), Some(&receipt)).unwrap();
        let set = &accepted;
        let version = catalog.dataset_head(&birds, Lineage::Source).unwrap().unwrap();
        assert_eq!((set.state, set.accepted_as, set.generation), (ChangeSetState::Accepted, Some(1), 2));
        assert_eq!((version.dataset.number, version.images()), (1, 10));
        assert_eq!(catalog.change_set(&birds, a.id).unwrap(), *set);
        assert_eq!(catalog.dataset(&birds, version.dataset).unwrap(), version);
        assert_eq!(catalog.dataset_head(&birds, Lineage::Reference).unwrap(), None);
        let again = catalog.accept(&birds, a.id, Some(1), &decision(9), Some(&receipt)).unwrap();
        assert_eq!(again, (accepted, None));
        let told = told.unwrap();
        assert_eq!((&told.subject, told.at), (&Subject::Dataset { dataset: version.dataset }, at(8)));
        assert_eq!(told.text, "source@v1 was made from import of birds.zip by ada");
        assert_eq!(catalog.events_since(0, 9).unwrap(), [told]);

        let twice = catalog.accept(&birds, a.id, None, &decision(9), None);
        assert!(matches!(twice, Err(StoreError::Precondition(_))));
        let outdated = catalog.accept(&birds, b.id, None, &decision(9), None);
        assert!(matches!(outdated, Err(StoreError::Precondition(text)) if text.contains("moved on")));
        let rejected = catalog.reject(&birds, b.id, Some(1), &decision(9), None).unwrap();
        assert_eq!((rejected.state, rejected.decided), (ChangeSetState::Rejected, Some(decision(9))));
        assert_eq!(catalog.change_sets(&birds, None, 9).unwrap().items.len(), 2);
    });
}

#[test]
fn a_part_of_a_change_set_becomes_the_version_in_one_commit() {
    on_each(|facts| {
        let catalog = Catalog::new(facts);
        catalog.create_project(&project("birds"), None).unwrap();
        let birds = name("birds");
        let set = catalog.propose(&change_set("birds", Lineage::Source, None), None).unwrap();
        let change = |added| ClassChange { added, ..ClassChange::default() };
        let part = AcceptedPart {
            manifest: Hash::of(b"the part"),
            classes: BTreeMap::from([("owl".to_owned(), change(3))]),
            left: BTreeMap::from([("owl".to_owned(), change(7))]),
            result: BTreeMap::from([("owl".to_owned(), SplitCounts { train: 3, valid: 0, test: 0 })]),
            bytes: 30,
        };
        let receipt = receipt("change_set_decide");
        let accept =
            |receipt| catalog.accept_part(&birds, set.id, Some(1), Some(&part), &decision(8), receipt);
        let (accepted, told) = accept(Some(&receipt)).unwrap();
        assert!(told.unwrap().text.contains("from a part of import of birds.zip"));
        assert_eq!((accepted.manifest, &accepted.left), (part.manifest, &part.left));
        let version = catalog.dataset_head(&birds, Lineage::Source).unwrap().unwrap();
        assert_eq!((version.manifest, version.images(), version.bytes), (part.manifest, 3, 30));
        assert_eq!(accept(Some(&receipt)).unwrap(), (accepted, None), "once");
        assert!(matches!(accept(None), Err(StoreError::Precondition(_))), "decided");
    });
}

#[test]
fn only_one_of_many_threads_accepts() {
    on_each(|facts| {
        // Two catalogs over the same facts do not share their turn: only the batch decides.
        let catalogs = [Catalog::new(facts.clone()), Catalog::new(facts)];
        let birds = catalogs[0].create_project(&project("birds"), None).unwrap().name;
        let sets: Vec<ChangeSet> = (0..8).map(|_| change_set("birds", Lineage::Source, None)).collect();
        for set in &sets {
            catalogs[0].propose(set, None).unwrap();
        }
        let accepted = std::thread::scope(|scope| {
            let accept = |(n, set): (usize, &ChangeSet)| {
                let (catalog, birds, id) = (&catalogs[n % 2], &birds, set.id);
                scope.spawn(move || catalog.accept(birds, id, None, &decision(8), None).is_ok())
            };
            let threads: Vec<_> = sets.iter().enumerate().map(accept).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).filter(|&ok| ok).count()
        });
        assert_eq!(accepted, 1);
        assert_eq!(catalogs[0].datasets(&birds, None, None, 9).unwrap().items.len(), 1);
    });
}

#[test]
fn lists_come_newest_first_in_pages() {
    let catalog = catalog();
    let birds = name("birds");
    catalog.create_project(&project("birds-2"), None).unwrap();
    let lines = [Lineage::Source, Lineage::Reference, Lineage::Source, Lineage::Production, Lineage::Source];
    for (n, lineage) in (10..).zip(lines) {
        for project in ["birds", "birds-2"] {
            let base = catalog.dataset_head(&name(project), lineage).unwrap().map(|head| head.dataset.number);
            let set = catalog.propose(&change_set(project, lineage, base), None).unwrap();
            catalog.accept(&set.project, set.id, None, &decision(n), None).unwrap();
        }
    }
    for limit in [1, 2, 5, 100] {
        let all = pages(limit, |cursor| catalog.datasets(&birds, None, cursor, limit));
        let text: Vec<String> = all.iter().map(|version| version.dataset.to_string()).collect();
        assert_eq!(text, ["source@v3", "production@v1", "source@v2", "reference@v1", "source@v1"]);
        let line = pages(limit, |cursor| catalog.datasets(&birds, Some(Lineage::Source), cursor, limit));
        assert_eq!(line.iter().map(|version| version.dataset.number).collect::<Vec<_>>(), [3, 2, 1]);
    }
    for bad in ["", "xyz", "0", "é0", &"00".repeat(200)] {
        let read = catalog.datasets(&birds, None, Some(&PageCursor(bad.to_owned())), 1);
        assert!(matches!(read, Err(StoreError::BadCursor)), "{bad}");
    }
}

#[test]
fn long_rows_make_short_pages() {
    let catalog = catalog();
    for _ in 0..40 {
        let set = ChangeSet { origin: "x".repeat(100_000), ..change_set("birds", Lineage::Source, None) };
        catalog.propose(&set, None).unwrap();
    }
    let first = catalog.change_sets(&name("birds"), None, 100).unwrap();
    assert_eq!(first.items.len(), 11);
    assert_eq!(pages(100, |cursor| catalog.change_sets(&name("birds"), cursor, 100)).len(), 40);
}

#[test]
fn unfinished_jobs_are_found_until_they_end() {
    let catalog = catalog();
    let mut jobs: Vec<Job> = (0..4).map(|n| job((n % 2 == 0).then_some("birds"))).collect();
    for job in &jobs {
        catalog.insert_job(job, None).unwrap();
    }
    assert!(matches!(catalog.insert_job(&jobs[0], None), Err(StoreError::Exists { .. })));
    assert!(matches!(catalog.insert_job(&job(Some("none")), None), Err(StoreError::NotFound { .. })));
    assert_eq!(catalog.unfinished_jobs().unwrap(), jobs);

    jobs[1].state = JobState::Failed;
    catalog.save_job(&jobs[1]).unwrap();
    assert_eq!(catalog.job(jobs[1].id).unwrap(), jobs[1]);
    assert_eq!(catalog.unfinished_jobs().unwrap().len(), 3);
    jobs[1].state = JobState::Queued;
    catalog.save_job(&jobs[1]).unwrap();
    assert_eq!(catalog.unfinished_jobs().unwrap().len(), 4);
    assert!(matches!(catalog.save_job(&job(None)), Err(StoreError::NotFound { .. })));

    let birds = name("birds");
    let ids = |jobs: Vec<Job>| jobs.iter().map(|job| job.id).collect::<Vec<_>>();
    let of_birds = pages(1, |cursor| catalog.jobs(Some(&birds), None, cursor, 1));
    assert_eq!(ids(of_birds), [jobs[2].id, jobs[0].id]);
    let all = pages(3, |cursor| catalog.jobs(None, Some(JobState::Queued), cursor, 3));
    assert_eq!(ids(all), ids(jobs.into_iter().rev().collect()));
}

#[test]
fn a_training_is_laid_down_whole() {
    let catalog = catalog();
    let birds = name("birds");
    let (other, job, mut run) = (job(Some("birds")), job(Some("birds")), run());
    catalog.insert_training(&birds, &job, &run, None).unwrap();
    assert_eq!(catalog.job(job.id).unwrap(), job);
    run.best_epoch = Some(3);
    catalog.save_run(&birds, &run).unwrap();
    assert_eq!(catalog.run(&birds, run.id).unwrap(), run);
    assert_eq!(catalog.runs(&birds, None, 9).unwrap().items, [run.clone()]);

    assert!(catalog.insert_training(&birds, &other, &run, None).is_err());
    assert!(matches!(catalog.job(other.id), Err(StoreError::NotFound { .. })));
}

#[test]
fn leases_are_all_or_nothing_and_fence() {
    on_each(|facts| {
        let catalog = Catalog::new(facts);
        let (a, b) = (job(None), job(None));
        for job in [&a, &b] {
            catalog.insert_job(job, None).unwrap();
        }
        let names = |list: &[&str]| list.iter().map(|&text| text.to_owned()).collect::<Vec<_>>();
        let device = names(&["device:cpu"]);
        let both = names(&["lineage:birds/reference", "device:cpu"]);

        let first = catalog.acquire_leases(a.id, &device, at(1)).unwrap().unwrap();
        assert_eq!(first[0].token, 1);
        let refused = catalog.acquire_leases(b.id, &both, at(2)).unwrap();
        assert_eq!(refused, Err(("device:cpu".to_owned(), a.id)));
        assert_eq!(catalog.leases().unwrap(), first);
        catalog.save_job_fenced(&a, &first).unwrap();

        let resumed = catalog.acquire_leases(a.id, &device, at(3)).unwrap().unwrap();
        assert_eq!(resumed[0].token, 2);
        assert!(matches!(catalog.save_job_fenced(&a, &first), Err(StoreError::Precondition(_))));

        catalog.release_leases(a.id).unwrap();
        assert!(matches!(catalog.save_job_fenced(&a, &resumed), Err(StoreError::Precondition(_))));
        let second = catalog.acquire_leases(b.id, &both, at(4)).unwrap().unwrap();
        assert_eq!(second.iter().map(|lease| lease.token).collect::<Vec<_>>(), [1, 3]);
        catalog.save_job_fenced(&b, &second).unwrap();
    });
}

#[test]
fn a_run_is_registered_once() {
    let catalog = catalog();
    let birds = name("birds");
    let runs = [RunId::new(), RunId::new()];
    let (first, told) = catalog.register_model(&birds, &model(runs[0])).unwrap();
    assert_eq!(
        (first.number, told.unwrap().subject),
        (ModelNumber(1), Subject::Model { number: first.number })
    );
    let later = ModelDraft { created: at(99), ..model(runs[0]) };
    assert_eq!(catalog.register_model(&birds, &later).unwrap(), (first, None));
    assert_eq!(catalog.register_model(&birds, &model(runs[1])).unwrap().0.number, ModelNumber(2));
    let listed = pages(1, |cursor| catalog.models(&birds, cursor, 1));
    assert_eq!(listed.iter().map(|model| model.number.0).collect::<Vec<_>>(), [2, 1]);
    assert!(matches!(catalog.model(&birds, ModelNumber(3)), Err(StoreError::NotFound { .. })));
}

#[test]
fn aliases_move_with_their_history() {
    let catalog = catalog();
    let birds = name("birds");
    for _ in 0..3 {
        catalog.register_model(&birds, &model(RunId::new())).unwrap();
    }
    let production = AliasName::production();
    assert!(matches!(catalog.alias(&birds, &production), Err(StoreError::NotFound { .. })));
    let moved = |draft: AliasMoveDraft| catalog.move_alias(&birds, &draft, None);

    use MoveKind::{Promote, Rollback};
    for (draft, holder, previous) in [
        (to(1, Promote, 0), 1, None),
        (to(2, Promote, 1), 2, Some(1)),
        (to(3, Promote, 2), 3, Some(2)),
        (to(2, Rollback, 3), 2, Some(1)),
        (to(1, Rollback, 4), 1, None),
        (to(3, Promote, 5), 3, Some(1)),
    ] {
        let (alias, record, event) = moved(draft.clone()).unwrap();
        assert_eq!(catalog.events_since(event.seq - 1, 9).unwrap(), [event]);
        assert_eq!((alias.model.0, alias.previous.map(|model| model.0)), (holder, previous));
        assert_eq!((alias.generation, record.to), (record.generation, draft.to));
        assert_eq!(catalog.alias(&birds, &production).unwrap(), alias);
    }
    assert!(matches!(moved(to(2, Promote, 5)), Err(StoreError::Conflict { .. })));
    assert!(matches!(moved(to(9, Promote, 6)), Err(StoreError::NotFound { .. })));
    assert!(matches!(moved(to(3, Promote, 6)), Err(StoreError::Precondition(_))));
    assert!(matches!(moved(to(2, Rollback, 6)), Err(StoreError::Precondition(_))));

    let history = pages(2, |cursor| catalog.alias_history(&birds, &production, cursor, 2));
    assert_eq!(history.iter().map(|moved| moved.generation).collect::<Vec<_>>(), [6, 5, 4, 3, 2, 1]);
    assert_eq!(history[2].from, Some(ModelNumber(3)));
    assert_eq!(catalog.aliases(&birds).unwrap().len(), 1);
}

#[test]
fn events_are_numbered_for_ever() {
    let catalog = catalog();
    let draft = |project: Option<&str>| EventDraft {
        at: at(1),
        project: project.map(name),
        severity: Severity::Info,
        subject: Subject::Agent,
        text: "started".to_owned(),
    };
    for n in 1..=6 {
        let event = catalog.append_event(&draft((n % 2 == 0).then_some("birds"))).unwrap();
        assert_eq!(event.seq, n);
    }
    let numbers = |events: Vec<vigie_protocol::event::Event>| -> Vec<u64> {
        events.iter().map(|event| event.seq).collect()
    };
    assert_eq!(numbers(pages(2, |cursor| catalog.events(None, cursor, 2))), [6, 5, 4, 3, 2, 1]);
    let birds = name("birds");
    assert_eq!(numbers(pages(2, |cursor| catalog.events(Some(&birds), cursor, 2))), [6, 4, 2]);
    assert_eq!(numbers(catalog.events_since(2, 3).unwrap()), [3, 4, 5]);
}

#[test]
fn many_threads_append_events() {
    on_each(|facts| {
        let catalog = Catalog::new(facts);
        std::thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..10 {
                        let draft = EventDraft {
                            at: at(1),
                            project: None,
                            severity: Severity::Info,
                            subject: Subject::Agent,
                            text: String::new(),
                        };
                        catalog.append_event(&draft).unwrap();
                    }
                });
            }
        });
        let all = catalog.events_since(0, 100).unwrap();
        assert!(all.iter().map(|event| event.seq).eq(1..=40));
    });
}

#[test]
fn damaged_rows_are_errors() {
    let facts = Arc::new(MemoryFacts::default());
    let catalog = Catalog::new(facts.clone());
    for value in [&b""[..], b"\x09\x80", b"\x01\xc1", b"\x01"] {
        let batch = crate::store::Batch {
            puts: vec![(b"project/birds/".to_vec(), value.to_vec())],
            ..crate::store::Batch::default()
        };
        facts.commit(&batch).unwrap();
        assert!(matches!(catalog.project(&name("birds")), Err(StoreError::Damaged { .. })));
    }
}
