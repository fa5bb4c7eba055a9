//! Asking an agent to change something. What changes users' answers or destroys asks for the name of
//! its object first.

use vigie_protocol::job::{JobSpec, JobState};
use vigie_protocol::model::Alias;
use vigie_protocol::service::{
    JobChange, JobSubmit, Predict, PredictionForget, Promote, Rollback, TrainSubmit,
};
use vigie_protocol::{AliasName, IdempotencyKey};

use super::{Argument, BASE, Command, Kind, Risk, Scope, askable};
use crate::tui::effect::{Change, Effect, Effects, Request, Ticket};
use crate::tui::state::{
    AgentIndex, Answer, Asked, Field, Form, FormAction, Offer, Overlay, Place, Query, State,
};
use crate::tui::views::{self, Subject};

pub(super) const COMMANDS: &[Command] = &[
    Command {
        name: "promote",
        doc: "give the alias production to this model version, through the gate",
        keys: &["P"],
        scope: Scope::In(&["models", "model", "gate", "compare", "confusion"]),
        risk: Risk::Grave,
        argument: Argument::Optional(Kind::Text),
        method: Some("promote"),
        twin: Some("models promote"),
        enabled: |state| views::model_at_hand(state).map(|_| ()),
        run: promote,
        ..BASE
    },
    Command {
        name: "rollback",
        doc: "give production back to the model version before",
        keys: &["R"],
        scope: Scope::In(&[
            "overview",
            "projects",
            "models",
            "model",
            "gate",
            "compare",
            "aliases",
            "predictions",
            "prediction",
            "confusion",
        ]),
        risk: Risk::Grave,
        method: Some("rollback"),
        twin: Some("models rollback"),
        enabled: |state| previous(state).map(|_| ()),
        run: rollback,
        ..BASE
    },
    Command {
        name: "cancel",
        doc: "ask the job to stop",
        keys: &["X"],
        scope: Scope::In(&["jobs", "job"]),
        risk: Risk::Write,
        method: Some("job_cancel"),
        twin: Some("jobs cancel"),
        enabled: |state| job_that(state, |job| !job.is_final(), "it is over already"),
        run: |state, _, _| {
            change_jobs(state, "Cancel", |job| {
                let key = IdempotencyKey::new();
                Request::CancelJob(JobChange { key, job })
            });
        },
        ..BASE
    },
    Command {
        name: "retry",
        doc: "queue the failed or cancelled job again",
        keys: &["T"],
        scope: Scope::In(&["jobs", "job"]),
        risk: Risk::Write,
        method: Some("job_retry"),
        twin: Some("jobs retry"),
        enabled: |state| {
            let over = |state| matches!(state, JobState::Failed | JobState::Cancelled);
            job_that(state, over, "it neither failed nor was cancelled")
        },
        run: |state, _, effects| {
            for subject in views::subjects(state) {
                if let Subject::Job { agent, job } = subject {
                    let request = Request::RetryJob(JobChange { key: IdempotencyKey::new(), job });
                    send(state, agent, Change::Ask(request), effects);
                }
            }
        },
        ..BASE
    },
    Command {
        name: "train",
        doc: "train on this dataset version with the default recipe, or again with the run's own",
        keys: &["t"],
        scope: Scope::In(&["datasets", "dataset", "runs", "curves"]),
        risk: Risk::Write,
        method: Some("train_submit"),
        twin: Some("runs start"),
        enabled: |state| recipe(state).map(|_| ()),
        run: train,
        ..BASE
    },
    Command {
        name: "evaluate",
        doc: "evaluate the run on the held-out test split and register it as a model version",
        keys: &["E"],
        scope: Scope::In(&["runs", "curves"]),
        risk: Risk::Write,
        method: Some("job_submit"),
        twin: Some("models evaluate"),
        enabled: |state| match views::at_hand(state, run_of) {
            Some(_) => Ok(()),
            None => Err("no run is selected".to_owned()),
        },
        run: |state, _, effects| {
            if let Some((place, run)) = views::at_hand(state, run_of) {
                submit(state, &place, JobSpec::Evaluate { run }, effects);
            }
        },
        ..BASE
    },
    Command {
        name: "classify",
        doc: "ask the production model about the sample",
        keys: &["a"],
        scope: Scope::In(&["predict", "images"]),
        method: Some("predict"),
        twin: Some("predict"),
        enabled: |state| match views::subject(state) {
            Some(Subject::Image { .. }) => Ok(()),
            _ => Err("no sample is selected".to_owned()),
        },
        run: |state, _, effects| {
            if let Some(Subject::Image { place, image, .. }) = views::subject(state) {
                let (project, name) = (place.project.clone(), None);
                let request = Predict { project, image: Vec::new(), blob: Some(image), top: 5, name };
                send(state, place.agent, Change::Ask(Request::Predict(request)), effects);
            }
        },
        ..BASE
    },
    Command {
        name: "gc",
        doc: "remove blobs of the agent that nothing refers to",
        scope: Scope::In(&["agents", "agent", "overview"]),
        risk: Risk::Grave,
        method: Some("job_submit"),
        twin: Some("blobs gc"),
        run: collect_garbage,
        ..BASE
    },
    Command {
        name: "forget",
        doc: "erase the prediction with its picture and all that was derived from it",
        scope: Scope::In(&["predictions", "prediction"]),
        risk: Risk::Grave,
        method: Some("prediction_forget"),
        twin: Some("predictions forget"),
        enabled: |state| {
            let prediction = |subject| matches!(subject, Subject::Prediction { .. }).then_some(());
            views::at_hand(state, prediction).ok_or_else(|| "no prediction is selected".to_owned())
        },
        run: forget,
        ..BASE
    },
];

/// Sends a change off and remembers that it was. One that the agent may not be asked for is not sent:
/// the user is told why, and there is no ticket.
pub(in crate::tui) fn send(
    state: &mut State,
    agent: AgentIndex,
    change: Change,
    effects: &mut Effects,
) -> Option<Ticket> {
    if let Err(reason) = askable(state, agent, &change) {
        state.say(format!("nothing was asked of {}: {reason}", state.agent_name(agent)), true);
        return None;
    }
    let ticket = state.ticket();
    let since = state.now;
    state.asked.insert(ticket, Asked { agent, change: change.clone(), since });
    effects.push(Effect::Change { ticket, agent, change: Box::new(change) });
    Some(ticket)
}

/// Asks for the classification of an image file of this machine.
pub(in crate::tui) fn predict_file(state: &mut State, place: &Place, path: &str, effects: &mut Effects) {
    let change = Change::PredictFile { project: place.project.clone(), path: path.to_owned() };
    send(state, place.agent, change, effects);
}

fn promote(state: &mut State, reason: &str, _: &mut Effects) {
    let Ok((place, candidate)) = views::model_at_hand(state) else { return };
    let alias = AliasName::production();
    let holder =
        state.glance(&place).and_then(|glance| glance.aliases.iter().find(|held| held.name == alias));
    let mut lines = vec![format!(
        "{alias} of {} on {}: {} → {candidate}",
        place.project,
        state.agent_name(place.agent),
        holder.map_or("nobody".to_owned(), |held| held.model.to_string()),
    )];
    if let Some(held) = holder
        && held.model == candidate
    {
        return state.say(format!("{candidate} holds {alias} already"), false);
    }
    let query = Query::Gate { project: place.project.clone(), candidate, alias: alias.clone() };
    let refused = match state.answer(place.agent, query) {
        // One against an earlier holder says nothing about this move.
        Some(Answer::Gate(verdict)) if verdict.against == holder.map(|held| held.model) => {
            let word = |passed| if passed { "passed" } else { "FAILED" };
            lines.extend(
                verdict
                    .checks
                    .iter()
                    .map(|check| format!("{} {}: {}", word(check.passed), check.name, check.detail)),
            );
            !verdict.passed()
        }
        _ => {
            lines.push("the gate is asked when you confirm; it refuses what does not pass".to_owned());
            false
        }
    };
    let mut fields = vec![Field::exactly(format!("type {candidate}"), candidate.to_string())];
    if refused {
        lines.push("the gate refuses: going on overrides it, and the reason is kept for ever".to_owned());
    }
    let mut why = Field::free("reason", !refused);
    why.line.insert(reason);
    fields.push(why);
    let request = Request::Promote(Promote {
        key: IdempotencyKey::new(),
        project: place.project.clone(),
        candidate,
        alias,
        expected_generation: holder.map_or(0, |held| held.generation),
        reason: None,
        override_gate: refused,
    });
    state.overlay = Some(Overlay::Form(Form {
        title: format!("Promote {candidate}"),
        lines,
        fields,
        focus: 0,
        grave: true,
        action: FormAction::Send { changes: vec![(place.agent, Change::Ask(request))] },
        error: None,
    }));
}

/// Whom a rollback would give production to.
fn previous(state: &State) -> Result<(Place, Alias), String> {
    // The project that was visited last may be another agent's than the one selected.
    let of_acting = |place: &Place| views::acting_agent(state) == Some(place.agent);
    let place = views::subject_place(state)
        .or_else(|| state.place().filter(of_acting))
        .ok_or("no project is selected")?;
    let glance = state.glance(&place).ok_or("nothing is known of the project yet")?;
    let production = AliasName::production();
    let held = glance.aliases.iter().find(|held| held.name == production).cloned();
    // What was promoted from here is known before the agent's next snapshot tells of it.
    let seen = held.as_ref().map_or(0, |held| held.generation);
    let promoted = state.offer.as_ref().filter(|offer| offer.place == place && offer.moved.generation > seen);
    let promoted = promoted.map(|offer| Alias {
        project: place.project.clone(),
        name: production,
        model: offer.moved.to,
        previous: offer.moved.from,
        generation: offer.moved.generation,
        since: offer.moved.at,
    });
    let held = promoted.or(held).ok_or("nothing is in production")?;
    match held.previous {
        Some(_) => Ok((place, held)),
        None => Err(format!("{} is the first that ever was in production", held.model)),
    }
}

fn rollback(state: &mut State, reason: &str, effects: &mut Effects) {
    let Ok((place, held)) = previous(state) else { return };
    let Some(previous) = held.previous else { return };
    let request = Request::Rollback(Rollback {
        key: IdempotencyKey::new(),
        project: place.project.clone(),
        alias: held.name.clone(),
        expected_generation: Some(held.generation),
        reason: (!reason.is_empty()).then(|| reason.to_owned()),
    });
    // Right after a promotion from here one key takes it back: who just did it knows what it undoes.
    // What others moved since has another generation, whatever model holds it.
    let is_this = |offer: &mut Offer| offer.place == place && offer.moved.generation == held.generation;
    let offered = state.offer.take_if(is_this);
    if offered.is_some_and(|offer| offer.until > state.now) {
        send(state, place.agent, Change::Ask(request), effects);
        return;
    }
    let mut since = format!("{} has been in production since {}", held.model, state.clock(held.since));
    since.push_str("; the swap fails no request");
    state.overlay = Some(Overlay::Form(Form {
        title: format!("Roll back to {previous}"),
        lines: vec![
            format!(
                "{} of {} on {}: {} → {previous}",
                held.name,
                place.project,
                state.agent_name(place.agent),
                held.model
            ),
            since,
        ],
        fields: vec![
            Field::exactly(format!("type {previous}"), previous.to_string()),
            Field::free("reason", true),
        ],
        focus: 0,
        grave: true,
        action: FormAction::Send { changes: vec![(place.agent, Change::Ask(request))] },
        error: None,
    }));
}

fn job_that(state: &State, wanted: impl Fn(JobState) -> bool, otherwise: &str) -> Result<(), String> {
    let jobs: Vec<JobState> = views::subjects(state)
        .iter()
        .filter_map(|subject| views::job(state, subject).map(|job| job.state))
        .collect();
    match jobs.iter().any(|state| wanted(*state)) {
        true => Ok(()),
        false if jobs.is_empty() => Err("no job is selected".to_owned()),
        false => Err(otherwise.to_owned()),
    }
}

/// Asks before jobs are stopped: hours of work may hang on one key.
fn change_jobs(state: &mut State, verb: &str, request: impl Fn(vigie_protocol::JobId) -> Request) {
    let mut lines = Vec::new();
    let mut changes = Vec::new();
    for subject in views::subjects(state) {
        let (Subject::Job { agent, job: id }, Some(job)) = (&subject, views::job(state, &subject)) else {
            continue;
        };
        if !job.state.is_final() {
            lines.push(format!(
                "{} {} on {}: {} {:.0} %",
                job.spec.kind(),
                id,
                state.agent_name(*agent),
                job.state,
                job.progress.fraction * 100.0
            ));
            changes.push((*agent, Change::Ask(request(*id))));
        }
    }
    let wanted = if changes.len() == 1 { "yes".to_owned() } else { format!("yes {}", changes.len()) };
    state.overlay = Some(Overlay::Form(Form {
        title: format!("{verb} {} job{}", changes.len(), if changes.len() == 1 { "" } else { "s" }),
        lines,
        fields: vec![Field::exactly(format!("type {wanted}"), wanted)],
        focus: 0,
        grave: false,
        action: FormAction::Send { changes },
        error: None,
    }));
}

/// What a training from here would learn from and how.
fn recipe(
    state: &State,
) -> Result<(Place, vigie_protocol::dataset::DatasetRef, vigie_protocol::run::Recipe), String> {
    let dataset = views::at_hand(state, |subject| match subject {
        Subject::Dataset { place, dataset } => Some((place, dataset)),
        _ => None,
    });
    if let Some((place, dataset)) = dataset {
        return Ok((place, dataset, Default::default()));
    }
    let (place, run) = views::at_hand(state, run_of).ok_or("no dataset version and no run is selected")?;
    let run = views::run(state, &place, run).ok_or("the run is not here yet")?;
    Ok((place, run.dataset, run.recipe.clone()))
}

fn run_of(subject: Subject) -> Option<(Place, vigie_protocol::RunId)> {
    match subject {
        Subject::Run { place, run } => Some((place, run)),
        _ => None,
    }
}

fn train(state: &mut State, _: &str, _: &mut Effects) {
    let Ok((place, dataset, recipe)) = recipe(state) else { return };
    let lines = vec![
        format!("{} on {dataset} of {}", recipe.architecture, place.project),
        format!(
            "{} epochs, {} px, batch {}, learning rate {}",
            recipe.epochs, recipe.input, recipe.batch, recipe.learning_rate
        ),
        "other recipes: `vigie runs start --help`".to_owned(),
    ];
    let request = Request::Train(TrainSubmit {
        key: IdempotencyKey::new(),
        project: place.project.clone(),
        dataset,
        recipe,
        after: Vec::new(),
    });
    state.overlay = Some(Overlay::Form(Form {
        title: "Train".to_owned(),
        lines,
        fields: vec![Field::exactly("type train", "train")],
        focus: 0,
        grave: false,
        action: FormAction::Send { changes: vec![(place.agent, Change::Ask(request))] },
        error: None,
    }));
}

fn submit(state: &mut State, place: &Place, spec: JobSpec, effects: &mut Effects) {
    let project = Some(place.project.clone());
    let request =
        Request::SubmitJob(JobSubmit { key: IdempotencyKey::new(), project, spec, after: Vec::new() });
    send(state, place.agent, Change::Ask(request), effects);
}

fn collect_garbage(state: &mut State, _: &str, _: &mut Effects) {
    let Some(agent) = views::acting_agent(state) else { return };
    let name = state.agent_name(agent).to_owned();
    let request = Request::SubmitJob(JobSubmit {
        key: IdempotencyKey::new(),
        project: None,
        spec: JobSpec::Gc { dry_run: false },
        after: Vec::new(),
    });
    state.overlay = Some(Overlay::Form(Form {
        title: format!("Collect garbage on {name}"),
        lines: vec![
            "removes blobs that no dataset version, model, run or prediction refers to".to_owned(),
            "and files that can be made again and that no job needs: old packs, features".to_owned(),
            "`vigie blobs gc` says beforehand what would go".to_owned(),
        ],
        fields: vec![Field::exactly(format!("type {name}"), name)],
        focus: 0,
        grave: true,
        action: FormAction::Send { changes: vec![(agent, Change::Ask(request))] },
        error: None,
    }));
}

fn forget(state: &mut State, _: &str, _: &mut Effects) {
    let mut lines = Vec::new();
    let mut changes = Vec::new();
    let mut ids = Vec::new();
    for subject in views::subjects(state) {
        if let Subject::Prediction { place, id } = subject {
            lines.push(format!("{id} of {} on {}", place.project, state.agent_name(place.agent)));
            ids.push(id.to_string());
            let (key, project) = (IdempotencyKey::new(), place.project.clone());
            let request = Request::Forget(PredictionForget { key, project, prediction: id });
            changes.push((place.agent, Change::Ask(request)));
        }
    }
    lines.push("they cannot be brought back".to_owned());
    let wanted = match ids.as_slice() {
        // The end of an id differs from its neighbours'; its beginning is the time.
        [id] => id[id.len().saturating_sub(6)..].to_owned(),
        many => format!("forget {}", many.len()),
    };
    state.overlay = Some(Overlay::Form(Form {
        title: "Forget predictions".to_owned(),
        lines,
        fields: vec![Field::exactly(format!("type {wanted}"), wanted)],
        focus: 0,
        grave: true,
        action: FormAction::Send { changes },
        error: None,
    }));
}
