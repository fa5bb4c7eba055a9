//! What a step made is there.

#![expect(clippy::unwrap_used, reason = "tests")]

use vigie_protocol::dataset::{DatasetRef, Lineage};
use vigie_protocol::event::Subject;
use vigie_protocol::job::JobState;
use vigie_protocol::model::MoveKind;
use vigie_protocol::run::RunState;
use vigie_protocol::schedule::FiringState;
use vigie_protocol::{Hash, ModelNumber};

use super::life::Step;
use super::rows::{
    birds, bringing, feeder, images_of, key, nightly, predictions_of, production, said_of, taken_of, training,
};
use crate::store::samples::manifest;
use crate::store::{Blobs, PredictionLog, State, StoreError};

/// What a step made is there, whole, but for what one of the steps that were `begun` took away.
pub(super) fn holds(state: &State, step: Step, begun: &[Step]) {
    let catalog = &state.catalog;
    let audited = |method: &'static str, number| audited(state, method, number);
    match step {
        Step::Import(version) => {
            version_holds(state, Lineage::Reference, version, &images_of(version));
            audited("propose", version);
            audited("accept", version);
        }
        Step::AcceptPart(version) => {
            version_holds(state, Lineage::Source, version, &taken_of(version));
            audited("propose-part", version);
            audited("accept-part", version);
        }
        Step::Train(number) => {
            let (job, run) = training(number);
            assert_eq!(catalog.job(job.id).unwrap().state, JobState::Succeeded);
            assert_eq!(catalog.run(&birds(), run.id).unwrap().state, RunState::Finished);
            let model = catalog.model(&birds(), ModelNumber(number)).unwrap();
            assert!(state.blobs.get(model.weights).unwrap().is_some());
            // A later training that was cut short may hold one.
            assert!(catalog.leases().unwrap().iter().all(|lease| lease.holder != job.id));
            audited("train", number);
        }
        Step::Promote(number) => moved(state, MoveKind::Promote, Some(number), "promotion", number),
        Step::Override(number) => moved(state, MoveKind::Override, Some(number), "override", number),
        Step::Rollback(number) => moved(state, MoveKind::Rollback, None, "rollback", number),
        Step::Predict(number) => {
            let forgotten = begun.contains(&Step::Forget(number));
            for (n, prediction) in predictions_of(number).iter().enumerate() {
                if n == 0 && forgotten {
                    continue;
                }
                assert_eq!(state.log.get(&birds(), prediction.id).unwrap().as_ref(), Some(prediction));
                assert!(!prediction.picture_kept || state.blobs.get(prediction.image).unwrap().is_some());
            }
        }
        Step::Say(number) => {
            for (n, (by, prediction, said)) in (0..).zip(said_of(number)) {
                let Some(row) = catalog.feedback(&birds(), prediction.id).unwrap() else {
                    assert!(n == 0 && begun.contains(&Step::Forget(number)), "a vote is lost");
                    continue;
                };
                let own: Vec<_> = row.votes.iter().filter(|vote| vote.by == by).collect();
                assert_eq!((own.len(), &own[0].said), (1, &said));
                if row.state.needs_picture() {
                    assert!(state.blobs.get(row.image).unwrap().is_some());
                }
                audited("say", number * 10 + n);
            }
        }
        Step::Forget(number) => {
            let first = &predictions_of(number)[0];
            assert_eq!(state.log.get(&birds(), first.id).unwrap(), None);
            assert_eq!(catalog.feedback(&birds(), first.id).unwrap(), None);
            assert_eq!(state.blobs.get(first.image).unwrap(), None);
        }
        Step::Follow(number) => {
            audited("bring", number);
            audited("follow", number);
            assert_eq!(catalog.job(bringing(number).id).unwrap().state, JobState::Queued);
            let told = |subject: &Subject| *subject == Subject::Source { source: feeder(number) };
            assert_eq!(told_of(state, told), 1);
            match catalog.source(&birds(), &feeder(number)) {
                Ok(source) => assert_eq!(source.pending.unwrap().job, bringing(number).id),
                Err(StoreError::NotFound { .. }) if begun.contains(&Step::Unfollow(number)) => {}
                Err(error) => panic!("source {number}: {error}"),
            }
        }
        Step::Unfollow(number) => {
            let found = catalog.source(&birds(), &feeder(number));
            assert!(matches!(found, Err(StoreError::NotFound { .. })));
            audited("unfollow", number);
        }
        Step::Schedule(number) => {
            let (birds, name) = (birds(), nightly(number));
            assert_eq!(catalog.schedule(Some(&birds), &name).unwrap().progress.firings, 1);
            let firings = catalog.firings(Some(&birds), &name, None, 9).unwrap().items;
            assert_eq!((firings.len(), firings[0].state), (1, FiringState::Done));
            let told = |subject: &Subject| matches!(subject, Subject::Schedule { schedule, .. } if *schedule == name);
            assert_eq!(told_of(state, told), 1);
            audited("schedule", number);
            audited("fire", number);
        }
        Step::Collect => {}
    }
}

fn version_holds(state: &State, lineage: Lineage, number: u32, images: &[Hash]) {
    let dataset = DatasetRef { lineage, number };
    let version = state.catalog.dataset(&birds(), dataset).unwrap();
    assert_eq!(version.manifest, Hash::of(&manifest(images).encode()));
    for image in images {
        assert!(state.blobs.get(*image).unwrap().is_some());
    }
    assert_eq!(told_of(state, |subject| *subject == Subject::Dataset { dataset }), 1);
}

/// `production` moved once so, with its event.
fn moved(state: &State, kind: MoveKind, to: Option<u32>, method: &'static str, number: u32) {
    let reason = format!("{method} {number}");
    let moves = state.catalog.alias_history(&birds(), &production(), None, 100).unwrap().items;
    let moves: Vec<_> = moves.into_iter().filter(|moved| moved.reason.as_deref() == Some(&reason)).collect();
    assert_eq!((moves.len(), moves[0].kind), (1, kind));
    assert!(to.is_none_or(|to| moves[0].to == ModelNumber(to)));
    let events = state.catalog.events(Some(&birds()), None, 100).unwrap().items;
    let told = format!("to {} by ada: {reason}", moves[0].to);
    assert_eq!(events.iter().filter(|event| event.text.ends_with(&told)).count(), 1);
    audited(state, method, number);
}

fn told_of(state: &State, wanted: impl Fn(&Subject) -> bool) -> usize {
    let events = state.catalog.events(Some(&birds()), None, 100).unwrap().items;
    events.iter().filter(|event| wanted(&event.subject)).count()
}

fn audited(state: &State, method: &'static str, number: u32) {
    let lines = state.audit.page(None, usize::MAX).unwrap();
    let key = Some(key(method, number));
    let found = lines.iter().filter(|line| line.key == key).count();
    assert_eq!(found, 1, "{method} {number} in the audit log");
}
