//! Every finding about a project: one row of a whole state is damaged, and the check names that place in
//! those words, and no other place but where it must follow.

use vigie_protocol::classes::ClassList;
use vigie_protocol::dataset::{ChangeSetState, ClassChange, DatasetVersion};
use vigie_protocol::event::{Event, Subject};
use vigie_protocol::feedback::{Consensus, FeedbackState};
use vigie_protocol::label_check::LabelCheck;
use vigie_protocol::model::{ModelVersion, MoveKind};
use vigie_protocol::run::EpochMetrics;
use vigie_protocol::source::{Imported, Revision};
use vigie_protocol::{ChangeSetId, JobId, ModelNumber, PredictionId, RunId};

use super::patient::{ALIAS, check_all, model, moved, version};
use super::*;
use crate::store::key::Key;
use crate::store::samples::passport;

const UNJUSTIFIED_1: &str =
    "birds alias production: its move 1 had neither the gate's word on its model nor a reason against it";
const UNJUSTIFIED_2: &str =
    "birds alias production: its move 2 had neither the gate's word on its model nor a reason against it";

#[test]
fn a_version_and_its_change_set() {
    check_all(&[
        ("nothing", |_| {}, &[]),
        (
            "a version is gone",
            |it| it.delete(version(2)),
            &[
                "birds change-set …: reference@v2 does not exist",
                "birds datasets: reference@v2 does not exist",
                "birds reference@v3: version 2 is missing before it",
            ],
        ),
        (
            "it is not in the list by time",
            |it| it.delete(it.first_key(b"dataset-by-time/birds/")),
            &["birds datasets: 4 versions in their lines, 3 in the list by time"],
        ),
        (
            "its counts",
            |it| it.version(|row| row.classes.values_mut().for_each(|counts| counts.valid += 1)),
            &["birds reference@v2: its counts are not those of its manifest"],
        ),
        (
            "its manifest is that of another version",
            |it| {
                let (_, other): (_, DatasetVersion) = it.find(&version(3), |_| true);
                it.version(|row| {
                    row.manifest = other.manifest;
                    row.classes = other.classes;
                });
            },
            &["birds reference@v2: its change-set was not accepted as it"],
        ),
        (
            "it came from another change-set",
            |it| {
                let (_, other): (_, DatasetVersion) = it.find(&version(3), |_| true);
                it.version(|row| row.change_set = other.change_set);
            },
            &[
                "birds change-set …: reference@v2 came from another one",
                "birds reference@v2: its change-set was not accepted as it",
            ],
        ),
        (
            "it came from no change-set",
            |it| it.version(|row| row.change_set = ChangeSetId::new()),
            &[
                "birds change-set …: reference@v2 came from another one",
                "birds reference@v2: change-set … does not exist",
            ],
        ),
        (
            "no event tells of it",
            |it| {
                let tells = |event: &Event| event.text.starts_with("reference@v2 was made");
                it.event(tells, |event| event.subject = Subject::Agent);
            },
            &["birds reference@v2: no event tells of it"],
        ),
        (
            "the change-set's moves of a split",
            |it| {
                it.set(|row| {
                    row.classes.insert("owl".to_owned(), ClassChange { moved: 1, ..ClassChange::default() });
                });
            },
            &["birds reference@v2: 0 of its images changed their split, its change-set says 1"],
        ),
        (
            "it was accepted as no version",
            |it| it.set(|row| row.accepted_as = None),
            &[
                "birds change-set …: accepted as no version",
                "birds reference@v2: its change-set was not accepted as it",
            ],
        ),
        (
            "it was accepted as a version that is not there",
            |it| it.set(|row| row.accepted_as = Some(9)),
            &[
                "birds change-set …: reference@v9 does not exist",
                "birds reference@v2: its change-set was not accepted as it",
            ],
        ),
        (
            "it was rejected",
            |it| it.set(|row| row.state = ChangeSetState::Rejected),
            &[
                "birds change-set …: a version without having been accepted",
                "birds reference@v2: its change-set was not accepted as it",
            ],
        ),
        (
            "what is proposed is gone",
            |it| it.proposed(Hash::of(b"gone")),
            &["birds change-set …: its blob … is missing; restore it from a backup"],
        ),
        (
            "what is proposed is no manifest",
            |it| it.proposed(it.find(&model(1), |_: &ModelVersion| true).1.weights),
            &["birds change-set …: manifest is damaged: format 119 is unknown"],
        ),
    ]);
}

#[test]
fn a_model_and_its_run() {
    check_all(&[
        ("a model is gone", |it| it.delete(model(2)), &["birds model v3: v2 is missing before it"]),
        (
            "its run",
            |it| it.model(|row| row.run = RunId::new()),
            &[
                "birds model v1: its passport is of another model",
                "birds model v1: its run: run … does not exist",
            ],
        ),
        (
            "its dataset",
            |it| it.model(|row| row.dataset.number = 9),
            &[
                "birds model v1: its dataset: reference@v9 does not exist",
                "birds model v1: its passport is of another model",
            ],
        ),
        (
            "its weights are another's",
            |it| {
                let (_, other): (_, ModelVersion) = it.find(&model(2), |_| true);
                it.model(|row| row.weights = other.weights);
            },
            &["birds model v1: its passport is of another model"],
        ),
        (
            "its passport's preprocessing",
            |it| {
                let (_, row): (_, ModelVersion) = it.find(&model(1), |_| true);
                let bytes = it.blobs.get(row.passport).unwrap().unwrap();
                let mut passport = crate::store::passport::decode(&bytes).unwrap();
                passport.preprocess.crop += 1;
                let passport = it.blobs.put(&crate::store::passport::encode(&passport)).unwrap();
                it.model(|row| row.passport = passport);
            },
            &["birds model v1: its passport's preprocessing is not what it was made with"],
        ),
        (
            "no event tells of the model",
            |it| {
                let tells = |event: &Event| event.text.starts_with("model v1:");
                it.event(tells, |event| event.subject = Subject::Agent);
            },
            &["birds model v1: no event tells of it"],
        ),
        (
            "a golden image is gone",
            |it| {
                let (_, row): (_, ModelVersion) = it.find(&model(1), |_| true);
                let passport = passport(row.run, row.weights, Hash::of(b"gone"));
                let passport = it.blobs.put(&crate::store::passport::encode(&passport)).unwrap();
                it.model(|row| row.passport = passport);
            },
            &["birds model v1: its blob … is missing; restore it from a backup"],
        ),
        (
            "its passport is none",
            |it| it.model(|row| row.passport = row.weights),
            &["birds model v1: a passport is damaged: row version 119 is unknown"],
        ),
        (
            "the run's job",
            |it| it.run(|row| row.job = JobId::new()),
            &["birds run …: its job: job … does not exist"],
        ),
        (
            "an epoch is missing",
            |it| {
                it.run(|row| {
                    let epoch = |epoch| EpochMetrics {
                        epoch,
                        train_loss: 1.0,
                        valid_loss: 1.0,
                        valid_accuracy: 0.5,
                        learning_rate: 0.1,
                        seconds: 1.0,
                        at: at(1),
                    };
                    row.epochs = [1, 3].map(epoch).into();
                });
            },
            &["birds run …: its epochs are not each there once and in order"],
        ),
        (
            "its best epoch",
            |it| it.run(|row| row.best_epoch = None),
            &["birds run …: it finished without a best epoch"],
        ),
    ]);
}

#[test]
fn an_alias_and_its_moves() {
    // Promoted to v1, to v2 against the gate, rolled back to v1, promoted to v3.
    check_all(&[
        (
            "the alias is gone",
            |it| it.delete(ALIAS.to_vec()),
            &["birds alias production: it has moves and no holder"],
        ),
        (
            "its holder",
            |it| it.alias(|alias| alias.model = ModelNumber(2)),
            &["birds alias production: its holder is not where its last move led"],
        ),
        (
            "its holder is no model",
            |it| it.alias(|alias| alias.model = ModelNumber(9)),
            &[
                "birds alias production: its holder is not where its last move led",
                "birds alias production: its holder: model v9 does not exist",
            ],
        ),
        (
            "its generation",
            |it| it.alias(|alias| alias.generation += 1),
            &["birds alias production: its holder is not where its last move led"],
        ),
        (
            "its holder before",
            |it| it.alias(|alias| alias.previous = Some(ModelNumber(2))),
            &["birds alias production: its holder before is not the one that its moves say"],
        ),
        ("a move is gone", |it| it.delete(moved(2)), &["birds alias production: its move 2 is missing"]),
        (
            "the last move is gone",
            |it| it.delete(moved(4)),
            &[
                "birds alias production: its holder before is not the one that its moves say",
                "birds alias production: its holder is not where its last move led",
            ],
        ),
        (
            "a move begins elsewhere",
            |it| it.moved(2, |row| row.from = Some(ModelNumber(3))),
            &["birds alias production: its move 2 begins where the one before did not end"],
        ),
        ("a promotion without a verdict", |it| it.moved(1, |row| row.verdict = None), &[UNJUSTIFIED_1]),
        (
            "a promotion with a verdict on another",
            |it| it.moved(1, |row| row.verdict.as_mut().unwrap().candidate = ModelNumber(2)),
            &[UNJUSTIFIED_1],
        ),
        (
            "a promotion that the gate refused",
            |it| it.moved(1, |row| row.verdict.as_mut().unwrap().checks[0].passed = false),
            &[UNJUSTIFIED_1],
        ),
        (
            "an override without a reason",
            |it| it.moved(2, |row| row.reason = Some(" ".to_owned())),
            &[UNJUSTIFIED_2],
        ),
        ("an override of no verdict", |it| it.moved(2, |row| row.verdict = None), &[UNJUSTIFIED_2]),
        (
            "an override of a verdict on another",
            |it| it.moved(2, |row| row.verdict.as_mut().unwrap().candidate = ModelNumber(1)),
            &[UNJUSTIFIED_2],
        ),
        (
            "a rollback to no earlier holder",
            |it| it.moved(4, |row| row.kind = MoveKind::Rollback),
            &["birds alias production: its move 4 rolled back to v3, which was not the holder before"],
        ),
        ("a move of a kind to come", |it| it.moved(3, |row| row.kind = MoveKind::Unknown), &[]),
        (
            "no event tells of a move",
            |it| {
                let tells = |event: &Event| event.text.contains("rolled back");
                it.event(tells, |event| event.subject = Subject::Agent);
            },
            &["birds alias production: no event tells of its move 3"],
        ),
    ]);
}

#[test]
fn a_source_a_label_check_and_the_class_list() {
    check_all(&[
        (
            "what a source brought",
            |it| {
                it.source(|row| {
                    let dataset = Some("source@v9".parse().unwrap());
                    row.imported =
                        Some(Imported { revision: Revision::Version { number: 1 }, at: at(1), dataset });
                });
            },
            &["birds source feeder-2: what was imported: source@v9 does not exist"],
        ),
        (
            "the job that brings",
            |it| it.source(|row| row.pending.as_mut().unwrap().job = JobId::new()),
            &["birds source feeder-2: its job: job … does not exist"],
        ),
        (
            "what it became",
            |it| it.source(|row| row.pending.as_mut().unwrap().change_set = Some(ChangeSetId::new())),
            &["birds source feeder-2: its change-set: change-set … does not exist"],
        ),
        (
            "what it supersedes",
            |it| it.source(|row| row.pending.as_mut().unwrap().supersedes = Some(ChangeSetId::new())),
            &["birds source feeder-2: its change-set: change-set … does not exist"],
        ),
        (
            "a label check's job",
            |it| it.edit(b"label-check/birds/", |row: &mut LabelCheck| row.job = JobId::new()),
            &["birds label check …: its job: job … does not exist"],
        ),
        (
            "its dataset",
            |it| it.edit(b"label-check/birds/", |row: &mut LabelCheck| row.dataset.number = 9),
            &["birds label check …: its dataset: source@v9 does not exist"],
        ),
        (
            "its count",
            |it| it.edit(b"label-check/birds/", |row: &mut LabelCheck| row.issues = 3),
            &["birds label check …: its count is not that of its report"],
        ),
        (
            "its report",
            |it| it.edit(b"label-check/birds/", |row: &mut LabelCheck| row.report = Hash::of(b"gone")),
            &["birds label check …: its blob … is missing; restore it from a backup"],
        ),
        (
            "an alias in the class list",
            |it| {
                it.edit(b"class-list/birds/", |row: &mut ClassList| {
                    row.classes.remove("owl");
                });
            },
            &["birds class list: the alias \"hibou\" stands for \"owl\", which is no class of the list"],
        ),
    ]);
}

#[test]
fn feedback_and_its_queues() {
    check_all(&[
        (
            "what votes come to",
            |it| it.feedback(FeedbackState::NoPicture, |row| row.consensus = Consensus::Disputed),
            &["birds feedback on …: its votes come to something else than it says"],
        ),
        (
            "two votes of one person",
            |it| it.feedback(FeedbackState::NoPicture, |row| row.votes.push(row.votes[0].clone())),
            &["birds feedback on …: not each of its people has one vote"],
        ),
        (
            "its state",
            |it| it.feedback(FeedbackState::Open, |row| row.state = FeedbackState::Deferred),
            &["birds feedback on …: it is not in the queues that its state says"],
        ),
        (
            "it is in no queue",
            |it| it.delete(it.first_key(b"feedback-open/birds/")),
            &["birds feedback on …: it is not in the queues that its state says"],
        ),
        (
            "a queue holds another",
            |it| {
                let id = PredictionId::new();
                it.put(Key::of("feedback-deferred").word("birds").uuid(id.uuid()).bytes(), &id);
            },
            &["birds feedback: prediction … is in a queue and has no feedback"],
        ),
        (
            "the classes that votes name",
            |it| it.edit(b"feedback-class/birds/jay", |(_, count): &mut (String, u64)| *count += 1),
            &["birds feedback: the classes that votes name are not counted right"],
        ),
        (
            "the audit sample",
            |it| {
                let id = PredictionId::new();
                it.put(Key::of("audit-sample-due").word("birds").uuid(id.uuid()).bytes(), &id);
            },
            &["birds audit sample: prediction … waits for a label and was not drawn"],
        ),
        (
            "a picture is gone",
            |it| it.feedback(FeedbackState::Open, |row| row.image = Hash::of(b"gone")),
            &["birds feedback on …: its blob … is missing; restore it from a backup"],
        ),
    ]);
}
