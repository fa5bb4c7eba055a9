//! What a row, or a screen as a whole, is about: what keys act on and links lead to.

use serde::{Deserialize, Serialize};
use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::event::{Event, Subject as Told};
use vigie_protocol::job::{Job, JobOutcome, JobSpec, Wait};
use vigie_protocol::prediction::PredictionFilter;
use vigie_protocol::schedule::ScheduleAction;
use vigie_protocol::{
    ChangeSetId, Hash, JobId, ModelNumber, PredictionId, ProjectName, RunId, ScheduleName, SourceName,
};

use crate::tui::state::{AgentIndex, Answer, Place, Query, State, View};

/// Something that can be acted on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the thing of its name and where it is")]
pub enum Subject {
    Agent(AgentIndex),
    Project(Place),
    Dataset { place: Place, dataset: DatasetRef },
    Class { place: Place, dataset: DatasetRef, class: String },
    Image { place: Place, image: Hash, dataset: DatasetRef },
    ChangeSet { place: Place, id: ChangeSetId },
    ChangedClass { place: Place, id: ChangeSetId, class: String },
    ChangedImage { place: Place, id: ChangeSetId, image: Hash },
    Job { agent: AgentIndex, job: JobId },
    Run { place: Place, run: RunId },
    Model { place: Place, number: ModelNumber },
    Prediction { place: Place, id: PredictionId },
    Source { place: Place, name: SourceName },
    Schedule { place: Place, project: Option<ProjectName>, name: ScheduleName },
}

impl Subject {
    /// The view that shows it.
    pub fn view(&self) -> View {
        match self.clone() {
            Subject::Agent(agent) => View::Agent { agent },
            Subject::Project(place) => View::Models { place },
            Subject::Dataset { place, dataset } => View::Dataset { place, dataset },
            Subject::Class { place, dataset, class } => {
                View::Images { place, dataset, class: Some(class), split: None }
            }
            Subject::Image { place, dataset, .. } => View::Dataset { place, dataset },
            Subject::ChangeSet { place, id } | Subject::ChangedImage { place, id, .. } => {
                View::ChangeSet { place, id }
            }
            Subject::ChangedClass { place, id, class } => {
                View::Review { place, id, class: Some(class), kind: None }
            }
            Subject::Job { agent, job } => View::Job { agent, job },
            Subject::Run { place, run } => View::Curves { place, runs: vec![run] },
            Subject::Model { place, number } => View::Model { place, number },
            Subject::Prediction { place, id } => View::Prediction { place, id },
            Subject::Source { place, .. } => View::Sources { place },
            Subject::Schedule { place, project, name } => View::Schedule { place, project, name },
        }
    }

    /// The agent that has it.
    pub fn agent(&self) -> AgentIndex {
        match self {
            Subject::Agent(agent) | Subject::Job { agent, .. } => *agent,
            Subject::Project(place)
            | Subject::Dataset { place, .. }
            | Subject::Class { place, .. }
            | Subject::Image { place, .. }
            | Subject::ChangeSet { place, .. }
            | Subject::ChangedClass { place, .. }
            | Subject::ChangedImage { place, .. }
            | Subject::Run { place, .. }
            | Subject::Model { place, .. }
            | Subject::Prediction { place, .. }
            | Subject::Source { place, .. }
            | Subject::Schedule { place, .. } => place.agent,
        }
    }

    /// The project that it is part of.
    pub fn place(&self) -> Option<&Place> {
        match self {
            Subject::Agent(_) | Subject::Job { .. } => None,
            Subject::Project(place)
            | Subject::Dataset { place, .. }
            | Subject::Class { place, .. }
            | Subject::Image { place, .. }
            | Subject::ChangeSet { place, .. }
            | Subject::ChangedClass { place, .. }
            | Subject::ChangedImage { place, .. }
            | Subject::Run { place, .. }
            | Subject::Model { place, .. }
            | Subject::Prediction { place, .. }
            | Subject::Source { place, .. }
            | Subject::Schedule { place, .. } => Some(place),
        }
    }

    /// What names it, as commands of the shell take it.
    pub fn text(&self, state: &State) -> String {
        match self {
            Subject::Agent(agent) => state.agent_name(*agent).to_owned(),
            Subject::Project(place) => place.project.to_string(),
            Subject::Dataset { dataset, .. } => dataset.to_string(),
            Subject::Class { class, .. } => class.clone(),
            Subject::Image { image, .. } => image.to_string(),
            Subject::ChangeSet { id, .. } => id.to_string(),
            Subject::ChangedClass { class, .. } => class.clone(),
            Subject::ChangedImage { image, .. } => image.to_string(),
            Subject::Job { job, .. } => job.to_string(),
            Subject::Run { run, .. } => run.to_string(),
            Subject::Model { number, .. } => number.to_string(),
            Subject::Prediction { id, .. } => id.to_string(),
            Subject::Source { name, .. } => name.to_string(),
            Subject::Schedule { name, .. } => name.to_string(),
        }
    }

    /// Where it leads: what made it, and what was made of it.
    pub fn links(&self, state: &State) -> Vec<(String, View)> {
        let mut links = Vec::new();
        let mut to = |label: String, subject: Subject| links.push((label, subject.view()));
        match self {
            Subject::Agent(agent) => {
                let projects = state.fleet.get(*agent).map(|agent| agent.snapshot.projects.as_slice());
                for glance in projects.unwrap_or_default() {
                    let place = state.place_of(*agent, &glance.project.name);
                    to(format!("project {}", place.project), Subject::Project(place));
                }
                links.push(("log of the agent".to_owned(), View::Log { agent: *agent }));
            }
            Subject::Project(place) => {
                for held in state.glance(place).map(|glance| glance.aliases.as_slice()).unwrap_or_default() {
                    let (place, number) = (place.clone(), held.model);
                    to(format!("{} {number}", held.name), Subject::Model { place, number });
                }
                links.extend(project_views(place));
            }
            Subject::Dataset { place, dataset } => {
                if let Some(version) = version(state, place, *dataset) {
                    let (place, id) = (place.clone(), version.change_set);
                    to(format!("change-set {id} that made it"), Subject::ChangeSet { place, id });
                }
                links.push(pictures(place, *dataset, None));
            }
            Subject::Class { place, dataset, class } => {
                let (place, dataset) = (place.clone(), *dataset);
                links.push(pictures(&place, dataset, Some(class.clone())));
                let filter = PredictionFilter { class: Some(class.clone()), ..PredictionFilter::default() };
                links.push((format!("predictions as {class}"), View::Predictions { place, filter }));
            }
            Subject::Image { place, dataset, .. } => {
                let (place, dataset) = (place.clone(), *dataset);
                to(format!("dataset version {dataset}"), Subject::Dataset { place, dataset });
            }
            Subject::ChangedClass { place, id, class } => {
                to(format!("images of {class} in the change-set"), self.clone());
                links.push(("all images of the change-set".to_owned(), all_changed(place, *id)));
            }
            Subject::ChangedImage { place, id, .. } => {
                to(format!("change-set {id}"), Subject::ChangeSet { place: place.clone(), id: *id });
            }
            Subject::ChangeSet { place, id } => {
                links.push(("images of the change-set".to_owned(), all_changed(place, *id)));
                let mut to = |label: String, subject: Subject| links.push((label, subject.view()));
                if let Some(set) = super::find_change_set(state, place, *id)
                    && let Some(number) = set.accepted_as
                {
                    let dataset = DatasetRef { lineage: set.lineage, number };
                    let place = place.clone();
                    to(format!("dataset version {dataset}"), Subject::Dataset { place, dataset });
                }
            }
            Subject::Job { agent, .. } => {
                if let Some(job) = super::job(state, self) {
                    for (label, subject) in job_links(*agent, job) {
                        to(label, subject);
                    }
                }
                to(format!("agent {}", state.agent_name(*agent)), Subject::Agent(*agent));
            }
            Subject::Run { place, run } => {
                if let Some(run) = super::run(state, place, *run) {
                    let (at, dataset) = (place.clone(), run.dataset);
                    to(format!("dataset version {dataset}"), Subject::Dataset { place: at, dataset });
                    let (agent, job) = (place.agent, run.job);
                    to(format!("job {job}"), Subject::Job { agent, job });
                }
                if let Some(number) = model_of(state, place, *run) {
                    let place = place.clone();
                    to(format!("model version {number}"), Subject::Model { place, number });
                }
            }
            Subject::Model { place, number } => {
                if let Some(model) = super::model(state, place, *number) {
                    let (at, run) = (place.clone(), model.run);
                    to(format!("run {run}"), Subject::Run { place: at, run });
                    let (at, dataset) = (place.clone(), model.dataset);
                    to(format!("dataset version {dataset}"), Subject::Dataset { place: at, dataset });
                }
                let filter = PredictionFilter { model: Some(*number), ..PredictionFilter::default() };
                let place = place.clone();
                links.push((format!("predictions by {number}"), View::Predictions { place, filter }));
            }
            Subject::Source { place, name } => {
                let source = super::source(state, place, name);
                if let Some(pending) = source.and_then(|source| source.pending.as_ref()) {
                    if let Some(id) = pending.change_set {
                        let place = place.clone();
                        to(format!("change-set {id} to review"), Subject::ChangeSet { place, id });
                    }
                    let (agent, job) = (place.agent, pending.job);
                    to(format!("job {job} that imports it"), Subject::Job { agent, job });
                }
                let imported = source.and_then(|source| source.imported.as_ref());
                if let Some(dataset) = imported.and_then(|imported| imported.dataset) {
                    let place = place.clone();
                    to(format!("dataset version {dataset}"), Subject::Dataset { place, dataset });
                }
            }
            Subject::Schedule { place, project, name } => {
                to(format!("what {name} did"), self.clone());
                if let Some(status) = super::schedule(state, place, project.as_ref(), name) {
                    for fired in status.last.iter().flat_map(|last| &last.jobs) {
                        let (agent, job) = (place.agent, fired.job);
                        to(format!("job {job} of the last firing"), Subject::Job { agent, job });
                    }
                    if let ScheduleAction::CheckSource { source } = &status.schedule.spec.action {
                        let (place, name) = (place.clone(), source.clone());
                        to(format!("source {name}"), Subject::Source { place, name });
                    }
                }
            }
            Subject::Prediction { place, id } => {
                if let Some(prediction) = super::prediction(state, place, *id) {
                    let (at, number) = (place.clone(), prediction.model);
                    to(format!("model version {number}"), Subject::Model { place: at, number });
                    let class = prediction.class().to_owned();
                    if let Some(model) = super::model(state, place, prediction.model) {
                        let (at, run) = (place.clone(), model.run);
                        to(format!("run {run}"), Subject::Run { place: at, run });
                        let (at, dataset) = (place.clone(), model.dataset);
                        to(format!("dataset version {dataset}"), Subject::Dataset { place: at, dataset });
                        links.push(pictures(place, model.dataset, Some(class)));
                    }
                }
            }
        }
        links
    }
}

/// Where an event leads.
pub(super) fn of_event(agent: AgentIndex, event: &Event) -> Subject {
    let place = event.project.clone().map(|project| Place { agent, project });
    match (&event.subject, place) {
        (Told::Job { job, .. }, _) => Subject::Job { agent, job: *job },
        (Told::ChangeSet { change_set }, Some(place)) => Subject::ChangeSet { place, id: *change_set },
        (Told::Dataset { dataset }, Some(place)) => Subject::Dataset { place, dataset: *dataset },
        (Told::Epoch { run, .. }, Some(place)) => Subject::Run { place, run: *run },
        (Told::Model { number }, Some(place)) => Subject::Model { place, number: *number },
        (Told::Alias { to, .. }, Some(place)) => Subject::Model { place, number: *to },
        (Told::Schedule { schedule, .. }, Some(place)) => {
            let (project, name) = (Some(place.project.clone()), schedule.clone());
            Subject::Schedule { place, project, name }
        }
        (Told::Project, Some(place)) => Subject::Project(place),
        _ => Subject::Agent(agent),
    }
}

/// What a job works on, waits for and made.
fn job_links(agent: AgentIndex, job: &Job) -> Vec<(String, Subject)> {
    let mut links = Vec::new();
    for wait in &job.waits_for {
        if let Wait::Job { job } | Wait::Lease { holder: job, .. } = wait {
            links.push((format!("job {job} that it waits for"), Subject::Job { agent, job: *job }));
        }
    }
    let Some(place) = job.project.clone().map(|project| Place { agent, project }) else { return links };
    let dataset = |dataset: DatasetRef| {
        (format!("dataset version {dataset}"), Subject::Dataset { place: place.clone(), dataset })
    };
    let run = |run: RunId| (format!("run {run}"), Subject::Run { place: place.clone(), run });
    match &job.spec {
        JobSpec::Train { dataset: of, run: filled, .. } => links.extend([dataset(*of), run(*filled)]),
        JobSpec::Evaluate { run: of } => links.push(run(*of)),
        JobSpec::Preprocess { dataset: of, .. }
        | JobSpec::Propose { from: of, .. }
        | JobSpec::LabelCheck { dataset: of, .. } => links.push(dataset(*of)),
        JobSpec::Import { .. }
        | JobSpec::Relabel { .. }
        | JobSpec::Balance { .. }
        | JobSpec::Resplit { .. }
        | JobSpec::Collect { .. }
        | JobSpec::Cluster { .. }
        | JobSpec::Gc { .. }
        | JobSpec::Unknown => {}
    }
    match &job.outcome {
        Some(JobOutcome::ChangeSet { change_set, dataset: made }) => {
            let set = Subject::ChangeSet { place: place.clone(), id: *change_set };
            links.push((format!("change-set {change_set}"), set));
            links.extend(made.map(dataset));
        }
        Some(JobOutcome::Model { number }) => {
            let model = Subject::Model { place: place.clone(), number: *number };
            links.push((format!("model version {number}"), model));
        }
        Some(
            JobOutcome::NoChange { .. }
            | JobOutcome::Pack { .. }
            | JobOutcome::Run { .. }
            | JobOutcome::LabelCheck { .. }
            | JobOutcome::Clusters { .. }
            | JobOutcome::Gc { .. }
            | JobOutcome::Unknown,
        )
        | None => {}
    }
    links
}

fn all_changed(place: &Place, id: ChangeSetId) -> View {
    View::Review { place: place.clone(), id, class: None, kind: None }
}

fn project_views(place: &Place) -> Vec<(String, View)> {
    let at = || place.clone();
    vec![
        ("models".to_owned(), View::Models { place: at() }),
        ("runs".to_owned(), View::Runs { place: at() }),
        ("datasets".to_owned(), View::Datasets { place: at() }),
        ("change-sets".to_owned(), View::ChangeSets { place: at() }),
        ("predictions".to_owned(), View::Predictions { place: at(), filter: PredictionFilter::default() }),
        ("labelling".to_owned(), View::Label { place: at() }),
        ("sources".to_owned(), View::Sources { place: at() }),
        ("schedules".to_owned(), View::Schedules { place: at() }),
        ("waiting room of classes".to_owned(), View::Waiting { place: at(), threshold: None }),
    ]
}

fn pictures(place: &Place, dataset: DatasetRef, class: Option<String>) -> (String, View) {
    let label = match &class {
        Some(class) => format!("pictures of {class} in {dataset}"),
        None => format!("pictures of {dataset}"),
    };
    (label, View::Images { place: place.clone(), dataset, class, split: None })
}

fn version<'a>(
    state: &'a State,
    place: &Place,
    dataset: DatasetRef,
) -> Option<&'a vigie_protocol::dataset::DatasetVersion> {
    let query = Query::Datasets { project: place.project.clone(), lineage: None };
    match state.answer(place.agent, query)? {
        Answer::Datasets(rows) => rows.rows.iter().find(|version| version.dataset == dataset),
        _ => None,
    }
}

fn model_of(state: &State, place: &Place, run: RunId) -> Option<ModelNumber> {
    match state.answer(place.agent, Query::Models { project: place.project.clone() })? {
        Answer::Models(rows) => rows.rows.iter().find(|model| model.run == run).map(|model| model.number),
        _ => None,
    }
}
