//! Background work of every agent: what runs, what waits for whom, what failed.

use std::cmp::Reverse;
use std::sync::Arc;

use vigie_protocol::job::{Job, JobState, Wait};

use super::{Page, Subject, when};
use crate::out::eta;
use crate::tui::state::{AgentIndex, At, Screen, State};
use crate::tui::table::{Across, Cell, Column, Row, Table};
use crate::tui::theme::Role;

pub(super) struct Jobs;

const COLUMNS: [Column; 9] = [
    Column::short("JOB", 10),
    Column::short("KIND", 12),
    Column::short("PROJECT", 14),
    Column::short("AGENT", 16),
    Column::short("STATE", 14),
    Column::figure("DONE"),
    Column::figure("LEFT"),
    Column::figure("ASKED"),
    Column::rest("WHAT"),
];

impl Page for Jobs {
    fn table<'a>(&self, state: &'a State, _: &'a Screen) -> Option<Table<'a>> {
        let key = |_, job: &Job| job.id.to_string();
        Some(Table {
            columns: &COLUMNS,
            source: Box::new(Across { state, at: all(state), find, key, row }),
            revision: state.revision,
            want: None,
            empty: "no job yet: `vigie datasets import FILE` starts one".to_owned(),
        })
    }

    fn subject(&self, state: &State, _: &Screen, n: usize) -> Option<Subject> {
        let at = *all(state).get(n)?;
        Some(Subject::Job { agent: at.0, job: find(state, at)?.id })
    }
}

fn find(state: &State, (agent, n): At) -> Option<&Job> {
    state.fleet.get(agent)?.snapshot.jobs.get(n as usize)
}

/// Those that are not over first, then the newest.
fn all(state: &State) -> Arc<Vec<At>> {
    state.memos.jobs.get(state.revision, || {
        let rank = |job: &Job| match job.state {
            JobState::Running | JobState::Cancelling => 0_u8,
            JobState::Queued => 1,
            JobState::Failed | JobState::Succeeded | JobState::Cancelled | JobState::Unknown => 2,
        };
        let mut jobs: Vec<_> = state
            .in_scope()
            .flat_map(|(index, agent)| {
                agent.snapshot.jobs.iter().zip(0..).map(move |(job, n)| (index, n, job))
            })
            .map(|(index, n, job)| ((rank(job), Reverse(job.created), job.id), (index, n)))
            .collect();
        jobs.sort_unstable();
        jobs.into_iter().map(|(_, at)| at).collect()
    })
}

fn row(state: &State, index: AgentIndex, job: &Job) -> Row {
    let role = when::job_role(job.state);
    let id = job.id.to_string();
    let progress = &job.progress;
    let left = progress.eta_s.filter(|_| job.state == JobState::Running);
    let stale = state.fleet.get(index).is_some_and(|agent| agent.is_stale(state.now));
    Row::new(vec![
        // The end of a time-ordered id tells neighbours apart, its beginning does not.
        Cell::text(&id[id.len().saturating_sub(8)..]),
        Cell::text(job.spec.kind()),
        job.project.as_ref().map_or_else(Cell::none, |project| Cell::text(project.as_str())),
        Cell::text(state.agent_name(index)),
        Cell::text(format!("{} {}", state.theme.mark(role), job.state)).role(role),
        Cell::figure(format!("{:.0} %", progress.fraction * 100.0), f64::from(progress.fraction)),
        left.map_or_else(Cell::none, |left| Cell::figure(eta(left), f64::from(left))),
        when::ago(state, job.created),
        Cell::text(what(state, index, job)).role(if job.state == JobState::Failed {
            Role::Bad
        } else {
            Role::Text
        }),
    ])
    .fault(job.state == JobState::Failed)
    .stale(stale)
}

/// What a job does, waits for, or ended with.
pub(super) fn what(state: &State, index: AgentIndex, job: &Job) -> String {
    match job.state {
        JobState::Queued => waits(state, index, job),
        JobState::Running | JobState::Cancelling => {
            let progress = &job.progress;
            match progress.total {
                0 => progress.stage.clone(),
                total => format!("{} {}/{total} {}", progress.stage, progress.done, progress.unit),
            }
        }
        JobState::Failed => job.failure.as_ref().map(|failure| failure.message.clone()).unwrap_or_default(),
        JobState::Succeeded | JobState::Cancelled | JobState::Unknown => outcome(job),
    }
}

/// What a job waits for, and who holds it.
pub(super) fn waits(state: &State, index: AgentIndex, job: &Job) -> String {
    let kind_of = |id| {
        let jobs = state.fleet.get(index).map(|agent| agent.snapshot.jobs.as_slice()).unwrap_or_default();
        let holder = jobs.iter().find(|job| job.id == id);
        let text = id.to_string();
        let tail = &text[text.len().saturating_sub(8)..];
        format!("{} {tail}", holder.map_or("job", |job| job.spec.kind()))
    };
    let one = |wait: &Wait| match wait {
        Wait::Job { job } => format!("{} first", kind_of(*job)),
        Wait::Lease { resource, holder } => format!("{resource}, held by {}", kind_of(*holder)),
        Wait::Slot => "a free worker".to_owned(),
        Wait::Backoff { until } => format!("the next attempt at {}", state.clock(*until)),
        Wait::Unknown => "something this console does not know".to_owned(),
    };
    let waits: Vec<String> = job.waits_for.iter().map(one).collect();
    if waits.is_empty() { "about to start".to_owned() } else { format!("waits for {}", waits.join("; ")) }
}

/// What a job made.
pub(super) fn outcome(job: &Job) -> String {
    use vigie_protocol::job::JobOutcome;
    match &job.outcome {
        None => String::new(),
        Some(JobOutcome::ChangeSet { dataset: Some(dataset), .. }) => format!("made {dataset}"),
        Some(JobOutcome::ChangeSet { dataset: None, .. }) => {
            "proposed a change-set, to be reviewed".to_owned()
        }
        Some(JobOutcome::NoChange { .. }) => "nothing to change".to_owned(),
        Some(JobOutcome::Pack { images, reused: true, .. }) => {
            format!("the pack of {images} images was there")
        }
        Some(JobOutcome::Pack { images, reused: false, .. }) => format!("packed {images} images"),
        Some(JobOutcome::Run { best_epoch, .. }) => format!("best epoch {best_epoch}"),
        Some(JobOutcome::Model { number }) => format!("registered {number}"),
        Some(JobOutcome::Clusters { clusters, images }) => format!("{images} images in {clusters} clusters"),
        Some(JobOutcome::Gc { .. }) => "garbage collected".to_owned(),
        Some(JobOutcome::Unknown) => "an outcome this console does not know".to_owned(),
    }
}
