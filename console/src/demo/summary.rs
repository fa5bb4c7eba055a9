//! What the demo did, in figures.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;

use crate::out::{Sheet, bytes, count, duration};
use crate::pipeline::Report;

/// Predictions that were asked for, as the asker saw them.
#[derive(Clone, Debug, Serialize)]
pub struct Served {
    /// How many.
    pub predictions: u64,
    /// How many named the class the picture is labelled with.
    pub as_labelled: u64,
    /// Half were answered within this, in milliseconds, the way there and back included.
    pub p50_ms: f64,
    /// 95 of 100 were.
    pub p95_ms: f64,
    /// Predictions a second.
    pub per_second: f64,
}

impl Served {
    /// From the time of each answer and the time they took together.
    pub fn new(mut latencies: Vec<Duration>, as_labelled: u64, took: Duration) -> Self {
        latencies.sort();
        let predictions = latencies.len() as u64;
        let per_second = match took.as_secs_f64() {
            0.0 => 0.0,
            seconds => predictions as f64 / seconds,
        };
        Self {
            predictions,
            as_labelled,
            p50_ms: quantile_ms(&latencies, 50),
            p95_ms: quantile_ms(&latencies, 95),
            per_second,
        }
    }
}

/// The smallest latency that at least `percent` of them do not exceed; 0 when there are none.
fn quantile_ms(sorted: &[Duration], percent: usize) -> f64 {
    let rank = (sorted.len() * percent).div_ceil(100).max(1);
    sorted.get(rank - 1).map_or(0.0, |latency| latency.as_secs_f64() * 1_000.0)
}

/// Where things lie.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// The agent's state.
    pub state: PathBuf,
    /// Its size on disk.
    pub bytes: u64,
    /// Whether it stays when the demo is over.
    pub kept: bool,
    /// The agent's process, when the demo started it.
    pub agent_pid: Option<u32>,
}

impl Place {
    /// Measures a state directory.
    pub fn of(state: &Path, kept: bool, agent_pid: Option<u32>) -> Self {
        Self { state: state.to_owned(), bytes: size(state), kept, agent_pid }
    }
}

/// Bytes of all files below a folder; what cannot be read (or is just being replaced) counts as 0.
fn size(folder: &Path) -> u64 {
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => size(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

/// All of it.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// What the pipeline made.
    pub pipeline: Report,
    /// What the fresh model answered.
    pub served: Served,
    /// Where it lies.
    pub place: Place,
    /// Seconds from the start of the demo.
    pub seconds: f64,
}

impl Summary {
    /// Puts it together.
    pub fn new(pipeline: Report, served: Served, place: Place, took: Duration) -> Self {
        Self { pipeline, served, place, seconds: took.as_secs_f64() }
    }

    /// For people.
    pub fn sheet(&self) -> Sheet {
        let Self { pipeline, served, place, seconds } = self;
        let Report { source, reference, model, promoted, verdict, .. } = pipeline;
        let Served { predictions, as_labelled, p50_ms, p95_ms, per_second } = served;
        let checks = verdict.as_ref().map_or(0, |verdict| verdict.checks.len());
        let gate = match promoted {
            Some(moved) => format!(
                "{}, the gate's {checks} checks passed, swapped in within {} ms",
                model.number, moved.swap_ms
            ),
            None => format!("{}, since an earlier demo", model.number),
        };
        let fate = if place.kept { "" } else { ", removed now" };
        Sheet::new()
            .field("Datasets", format!("{source}, {}: {} images in {} classes", reference.dataset, count(reference.images()), reference.classes.len()))
            .field("Model", format!("{}, {}", model.number, model.architecture))
            .field("Test accuracy", model.accuracy.to_string())
            .field("In production", gate)
            .field(
                "Predictions",
                format!("{predictions} answered, {as_labelled} as labelled; p50 {p50_ms:.1} ms, p95 {p95_ms:.1} ms, {per_second:.0} a second"),
            )
            .field("On disk", format!("{} in {}{fate}", bytes(place.bytes), place.state.display()))
            .field("Took", duration(Duration::try_from_secs_f64(*seconds).unwrap_or_default()))
    }

    /// What to do with an agent that goes on; nothing when it does not.
    pub fn how_to_go_on(&self) -> Option<String> {
        let Place { state, bytes: _, kept, agent_pid } = &self.place;
        let stop = agent_pid.map(|pid| format!("\n  kill {pid}     # stops it")).unwrap_or_default();
        kept.then(|| {
            format!(
                "the agent goes on; for example:\n  export VIGIE_AGENT=unix:{}\n  vigie models list\n  vigie predictions list{stop}",
                state.join("agent.sock").display()
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_real_answers() {
        let of = |millis: &[u64]| -> Vec<Duration> {
            millis.iter().map(|&ms| Duration::from_millis(ms)).collect()
        };
        let hundred: Vec<u64> = (1..=100).collect();
        for (latencies, percent, expected) in [
            (of(&hundred), 50, 50.0),
            (of(&hundred), 95, 95.0),
            (of(&[7]), 95, 7.0),
            (of(&[1, 9]), 50, 1.0),
            (of(&[]), 50, 0.0),
        ] {
            assert_eq!(quantile_ms(&latencies, percent), expected);
        }
        let served = Served::new(of(&[3, 1, 2]), 2, Duration::from_millis(30));
        assert_eq!((served.predictions, served.p50_ms, served.per_second), (3, 2.0, 100.0));
    }
}
