//! How jobs, their logs and leases are shown.

use vigie_protocol::classes::Relabelling;
use vigie_protocol::job::{FailureCause, Job, JobOutcome, JobSpec, JobState, Lease, LogLine, Progress};

use crate::cli::blobs::{gc_files, gc_line};
use crate::follow;
use crate::out::{
    Cell, Column, Sheet, Style, Table, Tone, age, bytes, count, duration, eta, percent, safe, when,
};

/// A line of a job's log.
pub fn log_line(line: &LogLine, style: &Style) -> String {
    let tone = log_tone(&line.level);
    let at = line.at.timestamp().strftime("%H:%M:%S");
    format!("{at} {:<5} {}", safe(&line.level), tone.paint(&safe(&line.text), style))
}

/// How grave a line of a log is.
pub fn log_tone(level: &str) -> Tone {
    match level {
        "error" => Tone::Bad,
        "warn" => Tone::Warn,
        _ => Tone::Plain,
    }
}

/// Jobs, one a row.
pub fn table(jobs: &[Job], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("ID"),
            Column::text("KIND"),
            Column::text("PROJECT"),
            Column::text("STATE"),
            Column::figure("DONE"),
            Column::text("CREATED"),
            Column::text("BY"),
            Column::flexible("REMARK"),
        ],
        "no jobs",
    );
    for job in jobs {
        table.row([
            job.id.to_string().into(),
            job.spec.kind().into(),
            Cell::maybe(job.project.as_ref()),
            state(job.state),
            format!("{:.0} %", f64::from(job.progress.fraction) * 100.0).into(),
            age(style.now, job.created).into(),
            job.by.as_str().into(),
            remark(job).into(),
        ]);
    }
    table
}

/// A job's state in its colour.
fn state(state: JobState) -> Cell {
    let tone = match state {
        JobState::Succeeded => Tone::Good,
        JobState::Failed => Tone::Bad,
        JobState::Cancelling => Tone::Warn,
        JobState::Queued | JobState::Running => Tone::Plain,
        JobState::Cancelled | JobState::Unknown => Tone::Dim,
    };
    Cell::toned(state.to_string(), tone)
}

/// The one thing worth knowing of a job in its state.
fn remark(job: &Job) -> String {
    match job.state {
        JobState::Queued => {
            job.waits_for.first().map(|wait| format!("waits for {}", follow::waits_for(wait)))
        }
        JobState::Running | JobState::Cancelling => Some(job.progress.stage.clone()),
        JobState::Succeeded => job.outcome.as_ref().map(outcome),
        JobState::Failed => job.failure.as_ref().map(|failure| failure.message.clone()),
        JobState::Cancelled | JobState::Unknown => None,
    }
    .unwrap_or_default()
}

/// What a job made, in one line.
pub fn outcome(outcome: &JobOutcome) -> String {
    match outcome {
        JobOutcome::ChangeSet { dataset: Some(dataset), change_set: _ } => format!("made {dataset}"),
        JobOutcome::ChangeSet { dataset: None, change_set } => {
            format!("proposed change-set {change_set}; `vigie changesets show {change_set}` shows it")
        }
        JobOutcome::NoChange { dataset: Some(dataset) } => {
            format!("nothing to change, {dataset} holds everything already")
        }
        JobOutcome::NoChange { dataset: None } => "nothing to change".to_owned(),
        JobOutcome::Pack { pack, images, bytes: size, reused } => {
            let verb = if *reused { "reused" } else { "packed" };
            format!("{verb} {} images, {} (pack {})", count(*images), bytes(*size), pack.short())
        }
        JobOutcome::Run { run, best_epoch } => format!("run {run}, best epoch {best_epoch}"),
        JobOutcome::Model { number } => format!("registered model {number}"),
        JobOutcome::LabelCheck { images, issues } => {
            let (images, issues) = (count(*images), count(*issues));
            format!("{issues} of {images} labels may be wrong; `vigie datasets label-issues` lists them")
        }
        JobOutcome::Clusters { clusters, images } => {
            format!("{} images in {clusters} clusters; `vigie label clusters` shows them", count(*images))
        }
        JobOutcome::Gc { report } => gc_line(report),
        JobOutcome::Unknown => "made something this console does not know".to_owned(),
    }
}

/// What a job came to, for whoever waited for it: with what one line has no room for.
pub fn ended(made: Option<&JobOutcome>, style: &Style) -> String {
    let Some(made) = made else { return "done".to_owned() };
    match files(made) {
        Some(files) => format!("{}\n\n{}", outcome(made), files.render(style).trim_end()),
        None => outcome(made),
    }
}

fn files(made: &JobOutcome) -> Option<Table> {
    let JobOutcome::Gc { report } = made else { return None };
    gc_files(report)
}

/// A job in full.
pub fn sheet(job: &Job, style: &Style) -> Sheet {
    let Job {
        id,
        project,
        spec,
        after,
        state: job_state,
        waits_for,
        progress,
        attempts,
        outcome: made,
        failure,
        created,
        started,
        finished,
        by,
        worker_pid,
        generation: _,
    } = job;
    let mut sheet = Sheet::new()
        .field("Job", id.to_string())
        .field("Does", does(spec))
        .maybe("Project", project.as_ref())
        .field("State", state(*job_state))
        .field("Created", format!("{} by {by}", when(style.now, *created)));
    for job in after {
        sheet = sheet.field("After", job.to_string());
    }
    for wait in waits_for {
        sheet = sheet.field("Waits for", follow::waits_for(wait));
    }
    if let Some(started) = started {
        let until = finished.unwrap_or(style.now);
        sheet = sheet
            .field("Started", when(style.now, *started))
            .field(if finished.is_some() { "Took" } else { "For" }, duration(until.since(*started)));
    }
    if matches!(job_state, JobState::Running | JobState::Cancelling) {
        sheet = sheet
            .field("Progress", format!("{} · {}", percent(f64::from(progress.fraction)), amount(progress)));
    }
    sheet = sheet
        .maybe("Attempts", (*attempts > 1).then_some(attempts))
        .maybe("Worker", worker_pid.map(|pid| format!("pid {pid}")))
        .maybe("Made", made.as_ref().map(outcome));
    if let Some(failure) = failure {
        let cause = follow::cause(failure.cause).map(|cause| format!("{cause}: ")).unwrap_or_default();
        let tone = if failure.cause == FailureCause::Unknown { Tone::Plain } else { Tone::Bad };
        sheet = sheet
            .field("Failure", Cell::toned(format!("{cause}{}", failure.message), tone))
            .maybe("Hint", failure.hint.as_ref());
    }
    match made.as_ref().and_then(files) {
        Some(files) => sheet.table("Files that can be made again:", files),
        None => sheet,
    }
}

/// What is being done, how much of it, how fast and for how long: `downloading 1.2 GiB of 3.4 GiB, 21
/// MiB/s, 2 min left`.
fn amount(progress: &Progress) -> String {
    let Progress { stage, done, total, unit, fraction: _, eta_s, rate } = progress;
    let figure = |n: u64| if unit == "bytes" { bytes(n) } else { count(n) };
    let unit = if unit == "bytes" { String::new() } else { format!(" {unit}") };
    let mut text = stage.clone();
    if *total > 0 {
        text.push_str(&format!(" {} of {}{unit}", figure(*done), figure(*total)));
    } else if *done > 0 {
        text.push_str(&format!(" {}{unit}", figure(*done)));
    }
    if let Some(rate) = rate {
        text.push_str(&format!(", {}{unit}/s", figure(*rate as u64)));
    }
    if let Some(seconds) = eta_s {
        text.push_str(&format!(", {} left", eta(*seconds)));
    }
    text
}

/// What a job is to do, in one line.
fn does(spec: &JobSpec) -> String {
    match spec {
        JobSpec::Import { source, lineage, accept, options } => {
            let table = options.table.as_ref().map(|table| format!(" by {}", table.file)).unwrap_or_default();
            format!("import {}{table} into {lineage}{}", source.name(), accepting(*accept))
        }
        JobSpec::Propose { from, into, accept, admit_all, only_add, window } => {
            let window = window.map(|window| format!(" ({window})")).unwrap_or_default();
            let additions = if *only_add { ", only additions" } else { "" };
            let all = if *admit_all { ", every class" } else { "" };
            format!("bring what {from} has{window} into {into}{all}{additions}{}", accepting(*accept))
        }
        JobSpec::Relabel { lineage, relabelling, accept } => {
            let what = match relabelling {
                Relabelling::Classes { renames, more } => {
                    format!("rename {} classes of {lineage}", renames.len() as u64 + more)
                }
                Relabelling::Images { labels, more } => {
                    format!("give {} images of {lineage} other labels", labels.len() as u64 + more)
                }
                Relabelling::Undo { version } => format!("undo the other labels of {lineage}@v{version}"),
                Relabelling::Unknown => format!("give images of {lineage} other labels"),
            };
            what + accepting(*accept)
        }
        JobSpec::Balance { lineage, per_class, seed: _, accept } => {
            let limit = per_class.map_or("as many as the smallest".to_owned(), |limit| limit.to_string());
            format!("leave each class of {lineage} {limit} train images{}", accepting(*accept))
        }
        JobSpec::LabelCheck { dataset, folds, recipe: _ } => {
            format!("look for wrong labels in {dataset}, {folds} folds")
        }
        JobSpec::Resplit { lineage } => format!("propose new splits for {lineage}"),
        JobSpec::Preprocess { dataset, spec } => format!("pack {dataset} at {0}×{0} pixels", spec.crop),
        JobSpec::Train { dataset, recipe, run } => {
            format!("train {} on {dataset}, run {run}", recipe.architecture)
        }
        JobSpec::Evaluate { run } => format!("evaluate run {run}"),
        JobSpec::Collect { accept } => {
            format!("bring images that people labelled into production{}", accepting(*accept))
        }
        JobSpec::Cluster { .. } => "group the deferred images".to_owned(),
        JobSpec::Gc { dry_run: true } => "look for blobs that nothing refers to".to_owned(),
        JobSpec::Gc { dry_run: false } => "remove blobs that nothing refers to".to_owned(),
        JobSpec::Unknown => "something this console does not know".to_owned(),
    }
}

fn accepting(accept: bool) -> &'static str {
    if accept { "" } else { ", for review" }
}

/// Who holds what, one a row.
pub fn leases(leases: &[Lease], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::flexible("RESOURCE"),
            Column::text("HELD BY"),
            Column::text("SINCE"),
            Column::figure("TOKEN"),
        ],
        "no resource is held",
    );
    for lease in leases {
        table.row([
            lease.resource.as_str().into(),
            lease.holder.to_string().into(),
            age(style.now, lease.since).into(),
            lease.token.to_string().into(),
        ]);
    }
    table
}
