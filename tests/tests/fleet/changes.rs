//! Changes: carried out once for their key, refused for the reasons of the real agent, told to those
//! who watch.

use std::io::{Cursor, ErrorKind};
use std::time::Duration;

use tarpc::client::RpcError;
use vigie_protocol::access::Role;
use vigie_protocol::dataset::{ChangeSet, ChangeSetState, Lineage};
use vigie_protocol::event::Subject;
use vigie_protocol::job::{JobSpec, JobState};
use vigie_protocol::model::MoveKind;
use vigie_protocol::page::PageRequest;
use vigie_protocol::prediction::PredictionFilter;
use vigie_protocol::service::*;
use vigie_protocol::wire::blobs;
use vigie_protocol::wire::client::AgentClient;
use vigie_protocol::{AliasName, ErrorCode, Hash, IdempotencyKey, ModelNumber};

use crate::{ask, birds, fleet};

async fn production(client: &AgentClient) -> vigie_protocol::model::Alias {
    let aliases = ask!(client, alias_list, InProject { project: birds() }).expect("listed");
    aliases.into_iter().find(|alias| alias.name == AliasName::production()).expect("held")
}

fn promotion(candidate: u32, expected_generation: u64) -> Promote {
    Promote {
        key: IdempotencyKey::new(),
        project: birds(),
        candidate: ModelNumber(candidate),
        alias: AliasName::production(),
        expected_generation,
        reason: None,
        override_gate: false,
    }
}

#[tokio::test(start_paused = true)]
async fn the_gate_decides_and_a_lost_answer_moves_nothing_twice() {
    let (fleet, client) = fleet(1, 1_000);
    let before = production(&client).await;
    assert_eq!((before.model, before.generation), (ModelNumber(4), 5));

    let refused = ask!(client, promote, promotion(6, 5)).expect_err("worse, and not reproduced");
    assert_eq!(refused.code, ErrorCode::GateRefused);
    for check in ["golden-set", "test-accuracy"] {
        assert!(refused.message.contains(check), "{}", refused.message);
    }
    let without_reason = Promote { override_gate: true, ..promotion(6, 5) };
    assert_eq!(ask!(client, promote, without_reason).expect_err("why?").code, ErrorCode::Invalid);
    let stale = ask!(client, promote, promotion(5, 4)).expect_err("moved since");
    assert_eq!(stale.code, ErrorCode::Conflict);

    let request = promotion(5, 5);
    fleet.agent(0).lose_answers_to("promote", 1);
    let lost = ask!(client, promote, request.clone()).expect_err("nobody answered");
    assert_eq!(lost.code, ErrorCode::Timeout);
    let moved = ask!(client, promote, request.clone()).expect("the first answer again");
    assert_eq!(
        (moved.alias.model, moved.alias.generation, moved.alias.previous),
        (ModelNumber(5), 6, Some(ModelNumber(4)))
    );
    assert_eq!(production(&client).await, moved.alias);
    assert!(moved.moved.verdict.as_ref().is_some_and(|verdict| verdict.passed()));
    let reused = Promote { key: request.key, ..promotion(4, 6) };
    assert_eq!(ask!(client, promote, reused).expect_err("another request").code, ErrorCode::Precondition);

    let told = ask!(client, event_list, EventList::default()).expect("listed").items;
    let moves = |to: u32| {
        told.iter().filter(|event| matches!(&event.subject, Subject::Alias { to: ModelNumber(n), alias } if *n == to && alias.as_str() == "production")).count()
    };
    assert_eq!((moves(5), moves(6)), (1, 0));
    let audit = ask!(client, audit_list, AuditList::default()).expect("listed").items;
    let done = audit.iter().filter(|line| line.method == "promote" && line.outcome == "ok");
    assert_eq!(done.count(), 1);
    let verdict = ask!(client, audit_verify, Empty {}).expect("checked");
    assert_eq!((verdict.broken_at, verdict.lines), (None, audit[0].seq));

    // The predictions that come from now on are the new model's.
    fleet.tick(Duration::from_secs(48 * 3_600));
    let since = Some(fleet.now().minus(Duration::from_secs(36 * 3_600)));
    let list = PredictionList {
        project: birds(),
        filter: PredictionFilter { since, ..PredictionFilter::default() },
        page: PageRequest::default(),
    };
    let newest = ask!(client, prediction_list, list).expect("listed").items;
    assert!(newest.len() > 10 && newest.iter().all(|prediction| prediction.model == ModelNumber(5)));

    // Two steps back, and no third to and fro.
    for (to, generation) in [(4, 7), (2, 8)] {
        let request = Rollback {
            key: IdempotencyKey::new(),
            project: birds(),
            alias: AliasName::production(),
            expected_generation: None,
            reason: Some("worse".to_owned()),
        };
        let moved = ask!(client, rollback, request).expect("rolled back");
        assert_eq!(
            (moved.alias.model.0, moved.alias.generation, moved.moved.kind),
            (to, generation, MoveKind::Rollback)
        );
    }
    let forced = Promote { override_gate: true, reason: Some("owls".to_owned()), ..promotion(6, 8) };
    assert_eq!(ask!(client, promote, forced).expect("against the gate").moved.kind, MoveKind::Override);
}

#[tokio::test(start_paused = true)]
async fn change_sets_are_decided_once() {
    let (_fleet, client) = fleet(1, 0);
    let list = ChangeSetList { project: birds(), page: PageRequest::default() };
    let sets = ask!(client, change_set_list, list).expect("listed").items;
    let open = |set: &&ChangeSet| set.state == ChangeSetState::Proposed && set.lineage == Lineage::Reference;
    let open: Vec<_> = sets.iter().filter(open).collect();
    assert_eq!(open.len(), 2);
    assert!(open.iter().any(|set| set.totals().removed > 0 && set.totals().relabelled_in > 0));
    let decide = |set: usize, accept, expected_generation| ChangeSetDecide {
        key: IdempotencyKey::new(),
        project: birds(),
        change_set: open[set].id,
        expected_generation,
        accept,
        reason: Some("looked at it".to_owned()),
        selection: None,
    };
    let stale = ask!(client, change_set_decide, decide(0, true, 9)).expect_err("another generation");
    assert_eq!(stale.code, ErrorCode::Conflict);
    let accept = decide(0, true, 1);
    let accepted = ask!(client, change_set_decide, accept.clone()).expect("accepted");
    assert_eq!(ask!(client, change_set_decide, accept).as_ref(), Ok(&accepted));
    assert_eq!(
        (accepted.state, accepted.accepted_as, accepted.generation),
        (ChangeSetState::Accepted, Some(5), 2)
    );
    let dataset = vigie_protocol::dataset::DatasetRef { lineage: Lineage::Reference, number: 5 };
    let version = ask!(client, dataset_get, DatasetGet { project: birds(), dataset }).expect("made");
    assert_eq!((version.classes, version.manifest), (accepted.result, accepted.manifest));
    for (set, accept, why) in [(0, false, "decided before"), (1, true, "moved on")] {
        let error = ask!(client, change_set_decide, decide(set, accept, if set == 0 { 2 } else { 1 }))
            .expect_err(why);
        assert!(error.code == ErrorCode::Precondition && error.message.contains(why), "{error}");
    }
    let rejected = ask!(client, change_set_decide, decide(1, false, 1)).expect("rejected");
    assert_eq!(rejected.state, ChangeSetState::Rejected);
}

#[tokio::test(start_paused = true)]
async fn jobs_are_cancelled_and_tried_again() {
    let (fleet, client) = fleet(1, 0);
    let in_state = async |state| {
        let list = JobList { state: Some(state), ..JobList::default() };
        ask!(client, job_list, list).expect("listed").items
    };
    let change = |job: &vigie_protocol::job::Job| JobChange { key: IdempotencyKey::new(), job: job.id };
    let (running, queued, failed) = (
        in_state(JobState::Running).await,
        in_state(JobState::Queued).await,
        in_state(JobState::Failed).await,
    );
    let stopping = ask!(client, job_cancel, change(&running[0])).expect("asked to stop");
    assert_eq!(stopping.state, JobState::Cancelling);
    let cancelled = ask!(client, job_cancel, change(&queued[0])).expect("cancelled");
    assert_eq!(cancelled.state, JobState::Cancelled);
    let refused = ask!(client, job_cancel, change(&failed[0])).expect_err("ended");
    assert_eq!(refused.code, ErrorCode::Precondition);
    let refused = ask!(client, job_retry, change(&queued[1])).expect_err("not ended");
    assert_eq!(refused.code, ErrorCode::Precondition);
    let again = change(&failed[0]);
    let queued_again = ask!(client, job_retry, again).expect("tried again");
    assert!(!queued_again.state.is_final());
    assert_eq!(ask!(client, job_retry, again).as_ref(), Ok(&queued_again), "the same answer");
    fleet.tick(Duration::from_secs(3_600));
    for (job, state) in [(&running[0], JobState::Cancelled), (&failed[0], JobState::Succeeded)] {
        assert_eq!(ask!(client, job_get, JobGet { job: job.id }).expect("there").state, state);
    }
    let log = ask!(client, job_log, JobLog { job: failed[0].id, offset: 0 }).expect("read");
    assert!(log.lines.len() > 10 && log.lines.is_sorted_by_key(|line| line.at));
    let rest = ask!(client, job_log, JobLog { job: failed[0].id, offset: log.offset }).expect("read");
    assert!(log.end && rest.lines.is_empty() && rest.end);
}

#[tokio::test(start_paused = true)]
async fn a_submitted_job_runs_and_leaves_what_it_makes() {
    let (fleet, client) = fleet(4, 0);
    // Nothing goes on here that could be in the way.
    let client = {
        drop(client);
        crate::client(&fleet, 3)
    };
    let models = async || {
        let list = ModelList { project: birds(), page: PageRequest::default() };
        ask!(client, model_list, list).expect("listed").items
    };
    let dataset = vigie_protocol::dataset::DatasetRef { lineage: Lineage::Reference, number: 4 };
    let recipe = vigie_protocol::run::Recipe { epochs: 5, ..Default::default() };
    let train =
        TrainSubmit { key: IdempotencyKey::new(), project: birds(), dataset, recipe, after: Vec::new() };
    let submitted = ask!(client, train_submit, train.clone()).expect("submitted");
    assert_eq!(ask!(client, train_submit, train).as_ref(), Ok(&submitted));
    let (key, run) = (IdempotencyKey::new(), submitted.run);
    let (project, spec, after) = (Some(birds()), JobSpec::Evaluate { run }, vec![submitted.job.id]);
    let evaluate = ask!(client, job_submit, JobSubmit { key, project, spec, after }).expect("submitted");
    assert_eq!(evaluate.waits_for, [vigie_protocol::job::Wait::Job { job: submitted.job.id }]);
    let leases = ask!(client, lease_list, Empty {}).expect("listed");
    assert!(leases.iter().any(|lease| lease.resource == "device:cpu" && lease.holder == submitted.job.id));

    fleet.tick(Duration::from_secs(600));
    let run = ask!(client, run_get, RunGet { project: birds(), run }).expect("there");
    assert_eq!((run.state, run.epochs.len()), (vigie_protocol::run::RunState::Finished, 5));
    let evaluate = ask!(client, job_get, JobGet { job: evaluate.id }).expect("there");
    let made = evaluate.outcome.expect("it succeeded");
    assert_eq!(made, vigie_protocol::job::JobOutcome::Model { number: ModelNumber(7) });
    let model = models().await.into_iter().next().expect("registered");
    let detail = ask!(client, model_get, ModelGet { project: birds(), number: model.number }).expect("there");
    let evaluation = &detail.passport.evaluation;
    assert_eq!(evaluation.accuracy, model.accuracy);
    assert_eq!((evaluation.confusion.len(), evaluation.classes.len()), (525, 525));
    let right = evaluation.outcomes.iter().filter(|outcome| outcome.truth == outcome.predicted).count();
    let diagonal: u64 = (0..525).map(|class| evaluation.confusion[class][class]).sum();
    assert_eq!((right as u64, evaluation.outcomes.len() as u64), (diagonal, model.accuracy.n));
    assert_eq!(detail.passport.run, run.id);
}

#[tokio::test(start_paused = true)]
async fn pictures_come_and_go_as_blobs() {
    let (fleet, client) = fleet(1, 2_000);
    let newest = async || {
        let (filter, page) = (PredictionFilter::default(), PageRequest::default());
        ask!(client, prediction_list, PredictionList { project: birds(), filter, page })
            .expect("listed")
            .items
    };
    let mut shown = 0;
    for prediction in newest().await {
        match blobs::fetch(&client, prediction.image, 1 << 20).await {
            // The hash was held against the bytes already.
            Ok(bytes) if prediction.picture_kept => shown += usize::from(bytes.len() > 100),
            Err(error) if !prediction.picture_kept => assert_eq!(error.code, ErrorCode::NotFound),
            other => panic!("{prediction:?}: {other:?}"),
        }
    }
    assert!((60..100).contains(&shown), "{shown} of a hundred");

    let dataset = vigie_protocol::dataset::DatasetRef { lineage: Lineage::Reference, number: 4 };
    let list =
        DatasetImages { project: birds(), dataset, class: None, split: None, page: PageRequest::default() };
    let image = ask!(client, dataset_images, list).expect("listed").items[0].image;
    let mut own = blobs::fetch(&client, image, 1 << 20).await.expect("a dataset's picture");
    own.extend_from_slice(b"made its own by this");
    let hash = Hash::of(&own);
    assert_eq!(blobs::fetch(&client, hash, 1 << 20).await.expect_err("not yet").code, ErrorCode::NotFound);
    blobs::upload(&client, Cursor::new(own.clone()), hash, own.len() as u64, |_| {}).await.expect("uploaded");
    let predict = |image: Vec<u8>, blob| Predict {
        project: birds(),
        image,
        blob,
        top: 3,
        name: Some("own.jpg".to_owned()),
    };
    let answered = ask!(client, predict, predict(Vec::new(), Some(hash))).expect("answered");
    assert_eq!((answered.image, answered.top.len(), answered.at), (hash, 3, fleet.now()));
    let again = ask!(client, predict, predict(own, None)).expect("answered");
    assert_eq!(again.top, answered.top, "the same image, the same answer");
    let listed = newest().await;
    assert_eq!([listed[0].id, listed[1].id], [again.id, answered.id]);

    let bad = ask!(client, predict, predict(b"not an image".to_vec(), None)).expect_err("no image");
    assert_eq!(bad.code, ErrorCode::BadImage);
    let forget = PredictionForget { key: IdempotencyKey::new(), project: birds(), prediction: answered.id };
    assert_eq!(ask!(client, prediction_forget, forget.clone()), Ok(Empty {}));
    assert_eq!(ask!(client, prediction_forget, forget), Ok(Empty {}), "the first answer again");
    assert_eq!(newest().await[1].id, listed[2].id);
    let gone = PredictionGet { project: birds(), prediction: answered.id };
    assert_eq!(ask!(client, prediction_get, gone).expect_err("forgotten").code, ErrorCode::NotFound);
}

#[tokio::test(start_paused = true)]
async fn roles_are_those_of_the_table() {
    let (fleet, _) = fleet(1, 0);
    for role in Role::ALL {
        fleet.agent(0).role(role);
        let client = crate::client(&fleet, 0);
        assert_eq!(ask!(client, whoami, Empty {}).expect("known").role, role);
        let outcomes = client
            .with_timeout(Duration::from_secs(60))
            .call(|client, _| async move { Ok(Ok(call_every(&client).await)) })
            .await
            .expect("connected");
        for (name, outcome) in outcomes {
            let least = method(name).expect("in the table").role;
            let refused =
                matches!(&outcome, Err(RpcError::Server(error)) if error.kind == ErrorKind::PermissionDenied);
            assert_eq!(refused, role < least, "{name} as {role}: {outcome:?}");
        }
    }
}
