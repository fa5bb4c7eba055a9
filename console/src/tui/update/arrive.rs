//! What agents tell.

use std::sync::Arc;

use vigie_protocol::schedule::FiringState;
use vigie_protocol::service::SourceChecked;
use vigie_protocol::source::SourceState;
use vigie_protocol::{ApiError, ErrorCode, Time};

use super::label;
use crate::out::{count, words};
use crate::tui::command::follow;
use crate::tui::effect::{Change, Done, Request, Ticket};
use crate::tui::state::{
    AgentIndex, Answer, Asked, Field, Form, FormAction, Link, OFFER, Offer, Overlay, Place, Query, Snapshot,
    State, View, Want,
};

/// What is known of an agent, whole.
pub(super) fn snapshot(state: &mut State, agent: AgentIndex, snapshot: Arc<Snapshot>) {
    let frozen = state.frozen;
    let Some(known) = state.fleet.get_mut(agent) else { return };
    if frozen {
        known.held = Some(snapshot);
        return;
    }
    let happened = snapshot.happened != known.snapshot.happened;
    let back = snapshot.is_connected() && !known.snapshot.is_connected();
    let lost = match (&known.snapshot.link, &snapshot.link) {
        (Link::Connected { .. }, Link::Waiting { reason, .. } | Link::Refused { reason, .. }) => {
            Some(format!("{}: {reason}", known.name))
        }
        _ => None,
    };
    known.learn(snapshot);
    state.revision += 1;
    if happened || back {
        state.store.expire(agent);
    }
    if let Some(lost) = lost {
        state.say(lost, true);
    }
}

/// Data for a view.
pub(super) fn data(state: &mut State, want: &Want, at: Time, answer: Result<Answer, ApiError>) {
    // A connection that is lost says so itself, once, where the agent's link is shown.
    if let Err(error) = &answer
        && state.store.get(want).is_none_or(|slot| slot.error.as_ref() != Some(error))
        && error.code != ErrorCode::Unavailable
    {
        state.complain("cannot be shown", error);
    }
    state.store.arrived(want, at, answer);
}

/// What became of a change.
pub(super) fn done(state: &mut State, ticket: Ticket, at: Time, outcome: Result<Done, ApiError>) {
    let Some(Asked { agent, change, .. }) = state.asked.remove(&ticket) else { return };
    state.store.expire(agent);
    match outcome {
        Ok(done) => succeeded(state, agent, &change, at, done),
        Err(error) if error.code == ErrorCode::GateRefused => refused(state, agent, change, &error),
        Err(error) if matches!(&change, Change::Ask(request) if request.is_label()) => {
            if let Change::Ask(request) = &change {
                label::refused(state, ticket, request, &error);
            }
        }
        Err(error) => state.complain(what(&change), &error),
    }
}

fn succeeded(state: &mut State, agent: AgentIndex, change: &Change, at: Time, done: Done) {
    match done {
        Done::Moved(moved) => {
            let alias = &moved.alias;
            let place = Place { agent, project: alias.project.clone() };
            let mut text = format!(
                "{} of {} on {} is {} now ({} ms)",
                alias.name,
                alias.project,
                state.agent_name(agent),
                alias.model,
                moved.swap_ms
            );
            if matches!(change, Change::Ask(Request::Promote(_)))
                && let Some(previous) = moved.moved.from
            {
                let keys = state.keymap.shown("rollback");
                text.push_str(&format!("; {keys} gives it back to {previous}"));
                state.offer = Some(Offer { place, moved: moved.moved.clone(), until: at.plus(OFFER) });
            }
            state.say(text, false);
        }
        Done::Job(job) => {
            let kind = job.spec.kind();
            state.say(format!("{kind} {} on {}: {}", job.id, state.agent_name(agent), job.state), false);
        }
        Done::Decided(set) => {
            let text = match set.accepted_as {
                Some(number) if set.left.is_empty() => format!("{}@v{number} is made", set.lineage),
                Some(number) => format!("{}@v{number} is made of a part of it", set.lineage),
                None => format!("the change-set for {} is {}", set.lineage, decided(&set)),
            };
            state.say(text, false);
            let (project, id) = (set.project.clone(), set.id);
            // Of a set that was accepted in part, the images are those of the part.
            state.store.expire_those(|want| {
                want.agent == agent
                    && matches!(&want.query, Query::ChangeSetImages { id: of, .. } if *of == id)
            });
            let want = Want { agent, query: Query::ChangeSet { project, id } };
            state.store.arrived(&want, at, Ok(Answer::ChangeSet(Arc::new(*set))));
        }
        Done::SourceChecked(checked) => {
            let SourceChecked { source, job } = *checked;
            let detail =
                if source.detail.is_empty() { String::new() } else { format!(", {}", source.detail) };
            let found = job.map_or("nothing new".to_owned(), |job| format!("job {} imports it", job.id));
            let bad = !matches!(source.state, SourceState::Ok | SourceState::Unchecked);
            state.say(format!("{} is {}{detail}; {found}", source.name, source.state), bad);
        }
        Done::Schedule(schedule) => {
            let then = if schedule.paused.is_some() { "is paused" } else { "goes on" };
            state.say(format!("{} {then}", schedule.name), false);
        }
        Done::Fired(firing) => {
            let (word, _) = words::outcome(&firing);
            let detail =
                if firing.detail.is_empty() { String::new() } else { format!(": {}", firing.detail) };
            let bad = firing.state == FiringState::Failed;
            state.say(format!("{} fired, {word}{detail}", firing.schedule), bad);
        }
        Done::Predicted(prediction) => {
            state.say(
                format!("{} {:.1} %", prediction.class(), f64::from(prediction.confidence()) * 100.0),
                false,
            );
            if let Change::PredictFile { project, .. }
            | Change::Ask(Request::Predict(vigie_protocol::service::Predict { project, .. })) = change
            {
                let place = Place { agent, project: project.clone() };
                let query = Query::Prediction { project: project.clone(), id: prediction.id };
                let want = Want { agent, query };
                let id = prediction.id;
                state.store.arrived(&want, at, Ok(Answer::Prediction(Arc::new(*prediction))));
                follow(state, View::Prediction { place, id });
            }
        }
        // The desk shows what counts; elsewhere a word is worth a word.
        Done::Said if matches!(state.screen().view, View::Label { .. }) => {}
        Done::Said => state.say("noted", false),
        Done::ClusterLabelled(labelled) => {
            let left_out = match change {
                Change::Ask(Request::LabelCluster(answer)) => answer.except.len() as u64,
                _ => 0,
            };
            let mut text = format!("{} images labelled", count(labelled.images));
            if left_out > 0 {
                text.push_str(&format!("; {} left out, still deferred", count(left_out)));
            }
            state.say(text, false);
        }
        Done::Forgotten => {
            state.say("the prediction is forgotten", false);
            if matches!(state.screen().view, View::Prediction { .. }) {
                state.nav.pop();
            }
        }
    }
}

fn decided(set: &vigie_protocol::dataset::ChangeSet) -> &'static str {
    use vigie_protocol::dataset::ChangeSetState;
    match set.state {
        ChangeSetState::Accepted => "accepted",
        ChangeSetState::Rejected => "rejected",
        ChangeSetState::Proposed => "still open",
        ChangeSetState::Unknown => "in a state that this console does not know",
    }
}

/// The gate refused: it can be overridden by who says why.
fn refused(state: &mut State, agent: AgentIndex, change: Change, error: &ApiError) {
    state.complain("promote", error);
    let Change::Ask(Request::Promote(promote)) = change else { return };
    let candidate = promote.candidate;
    let request = vigie_protocol::service::Promote {
        key: vigie_protocol::IdempotencyKey::new(),
        override_gate: true,
        ..promote
    };
    state.overlay = Some(Overlay::Form(Form {
        title: format!("The gate refuses {candidate}"),
        lines: vec![
            error.message.clone(),
            "going on overrides it; the reason is kept with the move for ever".to_owned(),
        ],
        fields: vec![
            Field::exactly(format!("type {candidate}"), candidate.to_string()),
            Field::free("reason", false),
        ],
        focus: 0,
        grave: true,
        action: FormAction::Send { changes: vec![(agent, Change::Ask(Request::Promote(request)))] },
        error: None,
    }));
}

fn what(change: &Change) -> &'static str {
    match change {
        Change::PredictFile { .. } => "predict",
        Change::Ask(request) => match request {
            Request::Promote(_) => "promote",
            Request::Rollback(_) => "roll back",
            Request::CancelJob(_) => "cancel",
            Request::RetryJob(_) => "retry",
            Request::SubmitJob(_) => "the job",
            Request::Train(_) => "train",
            Request::Decide(_) => "the change-set",
            Request::Forget(_) => "forget",
            Request::Feedback(_) | Request::LabelCluster(_) => "the answer",
            Request::Withdraw(_) => "undo",
            Request::CheckSource(_) => "the check",
            Request::PauseSchedule(_) | Request::RunSchedule(_) => "the schedule",
            Request::Predict(_) => "predict",
        },
    }
}
