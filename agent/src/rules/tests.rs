//! Step by step over a state on disk, without jobs: the tests land what the jobs would.

#![expect(clippy::unwrap_used, reason = "tests")]

use std::collections::BTreeMap;

use tempfile::TempDir;
use vigie_core::data::changeset::split_counts;
use vigie_core::store::catalog::EventDraft;
use vigie_core::store::manifest::Manifest;
use vigie_core::store::{Blobs, State};
use vigie_protocol::classes::ClassList;
use vigie_protocol::dataset::{
    ChangeSet, ChangeSetState, DatasetImage, DatasetRef, Decision, Lineage, Quality, Split,
};
use vigie_protocol::event::{Severity, Subject};
use vigie_protocol::job::{Job, JobSpec, JobState, Progress};
use vigie_protocol::project::{Project, ProjectSettings};
use vigie_protocol::review::FindingCounts;
use vigie_protocol::rules::{ClassRule, UpdatePolicy};
use vigie_protocol::{ChangeSetId, Hash, JobId, ProjectName, Time};

use super::explain;
use super::step::{Step, Submit, next};

struct Test {
    _folder: TempDir,
    state: State,
    now: Time,
}

fn birds() -> ProjectName {
    "birds".parse().unwrap()
}

fn policy(update_policy: UpdatePolicy) -> ProjectSettings {
    ProjectSettings { update_policy, ..ProjectSettings::default() }
}

fn image(n: u32, label: &str) -> DatasetImage {
    let quality = Quality { width: 8, height: 8, bytes: 10, ..Quality::default() };
    let (hash, origin) = (Hash::of(&n.to_le_bytes()), n.to_string());
    DatasetImage::new(hash, label.to_owned(), Split::Train, origin, quality, "imported".to_owned())
}

fn images(label: &str, numbers: std::ops::Range<u32>) -> Vec<DatasetImage> {
    numbers.map(|n| image(n, label)).collect()
}

impl Test {
    fn new(settings: &ProjectSettings) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let now: Time = "2026-11-21T12:00:00Z".parse().unwrap();
        let state = State::open(&folder.path().join("state"), now, None).unwrap();
        let project = Project { settings: settings.clone(), ..Project::new(birds(), now, "ada") };
        state.catalog.create_project(&project, None).unwrap();
        Self { _folder: folder, state, now }
    }

    fn set(&self, settings: &ProjectSettings) {
        let generation = self.state.catalog.project(&birds()).unwrap().generation;
        self.state.catalog.update_project(&birds(), generation, "", settings, None).unwrap();
    }

    /// A line's next version.
    fn version(&self, lineage: Lineage, images: Vec<DatasetImage>) -> DatasetRef {
        let manifest = Manifest::new(images);
        let base = self.state.catalog.dataset_head(&birds(), lineage).unwrap();
        let set = ChangeSet {
            id: ChangeSetId::new(),
            project: birds(),
            lineage,
            base: base.map(|head| head.dataset.number),
            state: ChangeSetState::Proposed,
            origin: "a test".to_owned(),
            created: self.now,
            by: "ada".to_owned(),
            manifest: self.state.blobs.put(&manifest.encode()).unwrap(),
            classes: BTreeMap::new(),
            result: split_counts(manifest.images()),
            bytes: 0,
            unchanged: 0,
            duplicates: 0,
            quarantine: Vec::new(),
            quarantined: 0,
            renames: Vec::new(),
            window: None,
            findings: FindingCounts::default(),
            left: BTreeMap::new(),
            accepted_as: None,
            decided: None,
            generation: 1,
        };
        self.state.catalog.propose(&set, None).unwrap();
        let decision = Decision { at: self.now, by: "ada".to_owned(), reason: None };
        let (accepted, _) = self.state.catalog.accept(&birds(), set.id, None, &decision, None).unwrap();
        DatasetRef { lineage, number: accepted.accepted_as.unwrap() }
    }

    fn next(&self) -> Option<Step> {
        next(&self.state, &birds(), self.now).unwrap()
    }

    /// Takes every step that is left; says what each was. Jobs are laid down as queued, once a key.
    fn go(&self) -> Vec<String> {
        let mut said = Vec::new();
        while let Some(step) = self.next() {
            assert!(said.len() < 20, "{said:#?}");
            let step = match &step.submit {
                Some(submit) => {
                    let job = self.job(submit);
                    said.push(format!("submits {:?}", short(&submit.spec)));
                    step.clone().with(job)
                }
                None => step,
            };
            if let Some(EventDraft { text, severity, .. }) = &step.event {
                said.push(format!("{severity:?}: {text}"));
            }
            self.state.catalog.move_rules(&birds(), &step.seen, &step.to, step.event.as_ref()).unwrap();
        }
        said
    }

    fn job(&self, submit: &Submit) -> JobId {
        let job = Job {
            id: JobId::new(),
            project: Some(birds()),
            spec: submit.spec.clone(),
            after: Vec::new(),
            state: JobState::Queued,
            waits_for: Vec::new(),
            progress: Progress::default(),
            attempts: 0,
            outcome: None,
            failure: None,
            created: self.now,
            started: None,
            finished: None,
            by: "rules".to_owned(),
            worker_pid: None,
            generation: 1,
        };
        self.state.catalog.insert_job(&job, Some(&submit.receipt)).unwrap().id
    }

    fn end_newest_job(&self, state: JobState) {
        let job = self.state.catalog.jobs(None, None, None, 1).unwrap().items.remove(0);
        self.state.catalog.save_job(&Job { state, ..job }).unwrap();
    }
}

fn short(spec: &JobSpec) -> String {
    match spec {
        JobSpec::Propose { from, into, accept, admit_all, only_add, window } => {
            assert!(!admit_all && window.is_none());
            format!("{from} into {into}, accept {accept}, only add {only_add}")
        }
        JobSpec::Preprocess { dataset, .. } => format!("preprocess of {dataset}"),
        other => format!("{other:?}"),
    }
}

#[test]
fn production_grows_reference_follows() {
    use Lineage::{Production, Reference};
    let test = Test::new(&policy(UpdatePolicy::Accept));
    test.version(Reference, images("owl", 0..200));
    // What was there before is nobody's news.
    assert_eq!(test.go(), [""; 0]);
    test.version(Production, images("owl", 199..201));
    let nothing_yet = "Info: production@v1 has 1 new image for reference, needs 2 (1 % of 200); how fast it grows is not known yet";
    assert_eq!(test.go(), [nothing_yet]);
    test.version(Production, images("owl", 199..202));
    assert_eq!(
        test.go(),
        [
            "submits \"production@v2 into reference, accept true, only add true\"",
            "Info: production@v2 has 2 new images for reference, needs 2 (1 % of 200): an update is worth it: adding them to reference",
        ]
    );
    // The job's version.
    test.version(Reference, images("owl", 0..202));
    assert_eq!(
        test.go(),
        ["submits \"preprocess of reference@v2\"", "Info: reference@v2 has 202 images: preprocessing it",]
    );
    assert_eq!(test.next(), None, "it waits for the pack");
    test.end_newest_job(JobState::Succeeded);
    assert_eq!(
        test.go(),
        [
            "Warning: data changed, consider retraining: reference@v2 has 202 images in 1 classes, no model is in production"
        ]
    );
    let told = test.state.catalog.events_since(0, 99).unwrap().pop().unwrap();
    let dataset = DatasetRef { lineage: Reference, number: 2 };
    assert!(matches!(told.subject, Subject::DataChanged { dataset: of, job: Some(_) } if of == dataset));
    assert_eq!((told.severity, test.go().len()), (Severity::Warning, 0));
}

#[test]
fn a_step_is_the_same_however_often_it_is_looked_for() {
    let test = Test::new(&policy(UpdatePolicy::Accept));
    test.go();
    test.version(Lineage::Production, images("owl", 0..5));
    let first = test.next().unwrap();
    let again =
        next(&test.state, &birds(), test.now.plus(std::time::Duration::from_secs(99))).unwrap().unwrap();
    let key = |step: &Step| step.submit.as_ref().unwrap().receipt.key;
    assert_eq!(key(&first), key(&again));
    // Submitted, and then the power went: the same key again. Another look is another key.
    let submitted = test.job(first.submit.as_ref().unwrap());
    assert_eq!(key(&test.next().unwrap()), key(&first));
    assert_eq!(test.job(first.submit.as_ref().unwrap()), submitted);
    test.set(&ProjectSettings { update_percent: 2.0, ..policy(UpdatePolicy::Accept) });
    assert_ne!(key(&test.next().unwrap()), key(&first));
}

#[test]
fn a_class_waits_until_it_is_large_enough() {
    use Lineage::{Production, Reference, Source};
    let test = Test::new(&policy(UpdatePolicy::Accept));
    test.version(Reference, [images("owl", 0..50), images("jay", 50..60)].concat());
    test.go();
    test.version(Production, images("wren", 100..106));
    let waits = "Info: production@v1 has 0 new images for reference, needs 1 (1 % of 60); how fast it grows is not known yet; 6 more are of classes that wait";
    assert_eq!(test.go(), [waits]);
    // Source brings the rest: then each line has something to bring in.
    test.version(Source, images("wren", 106..110));
    let submitted: Vec<String> = test.go().into_iter().filter(|said| said.starts_with("submits")).collect();
    assert_eq!(
        submitted,
        [
            "submits \"production@v1 into reference, accept true, only add true\"",
            "submits \"source@v1 into reference, accept true, only add true\"",
        ]
    );
    test.version(Reference, [images("owl", 0..50), images("jay", 50..60), images("wren", 100..110)].concat());
    let said = test.go();
    assert_eq!(
        said,
        ["submits \"preprocess of reference@v2\"", "Info: reference@v2 has 70 images: preprocessing it"]
    );
}

#[test]
fn another_rule_is_another_look() {
    let rule = |class_rule| ProjectSettings { class_rule, ..policy(UpdatePolicy::Propose) };
    let test = Test::new(&rule(ClassRule::Fixed { images: 40 }));
    test.version(Lineage::Reference, images("owl", 0..50));
    test.version(Lineage::Source, images("wren", 100..120));
    let said = test.go();
    assert!(said.len() == 1 && said[0].contains("20 more are of classes that wait"), "{said:?}");
    test.set(&rule(ClassRule::Fixed { images: 20 }));
    let said = test.go();
    assert_eq!(said[0], "submits \"source@v1 into reference, accept false, only add true\"");
    assert!(said[1].ends_with("proposing it"), "{said:?}");
    // Production's labels are people's: for review they come as they are.
    test.version(Lineage::Production, [images("owl", 200..210), images("hawk", 0..3)].concat());
    let said = test.go();
    assert_eq!(said[0], "submits \"production@v1 into reference, accept false, only add false\"");
}

#[test]
fn a_setting_that_is_changed_back_proposes_anew() {
    let percent = |update_percent| ProjectSettings { update_percent, ..policy(UpdatePolicy::Propose) };
    let test = Test::new(&percent(1.0));
    test.version(Lineage::Reference, images("owl", 0..100));
    test.version(Lineage::Source, images("owl", 100..102));
    let proposed = || {
        let said = test.go();
        assert!(said.last().is_some_and(|last| last.ends_with("proposing it")), "{said:?}");
        test.state.catalog.rules_progress(&birds()).unwrap().source.unwrap().job.unwrap()
    };
    let mut before = proposed();
    for _ in 0..2 {
        test.set(&percent(5.0));
        test.go();
        test.set(&percent(1.0));
        assert_eq!(test.next().unwrap().submit.unwrap().replaces, Some(before));
        // The change-set of the job before is turned down for this one's: it must be another job.
        let now = proposed();
        assert_ne!(now, before);
        before = now;
    }
}

#[test]
fn the_class_list_is_asked_and_another_one_is_another_look() {
    let test = Test::new(&policy(UpdatePolicy::Accept));
    let list = |names: &[&str]| ClassList {
        classes: names.iter().map(|&name| name.to_owned()).collect(),
        ..ClassList::default()
    };
    test.state.catalog.set_class_list(&birds(), 0, &list(&["owl"]), None).unwrap();
    test.version(Lineage::Reference, images("owl", 0..50));
    test.go();
    // Owls under any name are owls; of wrens nobody has heard.
    test.version(Lineage::Source, [images("OWL", 0..10), images("wren", 100..160)].concat());
    let said = test.go();
    assert!(said.len() == 1 && said[0].starts_with("Info: source@v1 has 0 new images"), "{said:?}");
    assert!(said[0].ends_with("; 60 more have labels that the class list lacks"), "{said:?}");
    assert_eq!(test.go(), [""; 0]);
    test.state.catalog.set_class_list(&birds(), 1, &list(&["owl", "wren"]), None).unwrap();
    assert_eq!(test.go()[0], "submits \"source@v1 into reference, accept true, only add true\"");
}

#[test]
fn off_is_off_and_on_begins_anew() {
    let test = Test::new(&policy(UpdatePolicy::Off));
    test.version(Lineage::Source, images("owl", 0..50));
    assert_eq!(test.next(), None);
    test.set(&policy(UpdatePolicy::Propose));
    assert_eq!(test.go().len(), 2);
    test.set(&policy(UpdatePolicy::Off));
    assert_eq!(test.go(), [""; 0]);
    test.version(Lineage::Reference, images("owl", 0..50));
    assert_eq!(test.next(), None);
    test.set(&policy(UpdatePolicy::Accept));
    // Reference grew while they were off: that is no change to tell.
    let said = test.go();
    assert_eq!(
        said,
        [
            "Info: source@v1 has 0 new images for reference, needs 1 (1 % of 50); how fast it grows is not known yet"
        ]
    );
}

#[test]
fn a_pack_that_cannot_be_made_is_told_too() {
    let test = Test::new(&policy(UpdatePolicy::Accept));
    test.go();
    test.version(Lineage::Reference, images("owl", 0..5));
    test.go();
    test.end_newest_job(JobState::Failed);
    let said = test.go();
    assert_eq!(
        said,
        ["Warning: reference@v1 is not preprocessed: its job did not succeed; a training does it itself"]
    );
}

#[test]
fn the_rules_explain_themselves() {
    let test = Test::new(&policy(UpdatePolicy::Accept));
    test.version(Lineage::Reference, images("owl", 0..50));
    test.go();
    test.version(
        Lineage::Production,
        [images("owl", 50..51), images("wren", 100..120), images("jay", 0..2)].concat(),
    );
    test.go();
    let project = test.state.catalog.project(&birds()).unwrap();
    let explained = explain(&test.state, &project, test.now).unwrap();
    assert_eq!(
        explained.classes.sentence,
        "reference lacks 2 classes, none may enter now: a new class needs 50 images, as many as owl, the smallest class of reference"
    );
    assert_eq!(explained.updates.len(), 1);
    let update = &explained.updates[0];
    assert_eq!((update.new, update.waiting, update.relabelled, update.met), (1, 20, 2, true));
    assert_eq!(explained.chain[1].seen, Some(1));
    assert!(explained.chain[1].job.is_some() && explained.sentence.contains("only adds"));
}
