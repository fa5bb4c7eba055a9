//! The observer that reports over the pipe.

use std::fs::File;
use std::io::{self, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use vigie_core::observe::{Level, Observer, Step};
use vigie_protocol::run::EpochMetrics;

use super::frames::{self, FrameError};
use super::task::Report;

/// The least time between two steps that are sent.
const STEP_INTERVAL: Duration = Duration::from_millis(100);

/// Takes standard output for reports: whatever else the process (or a driver's C library) prints
/// there goes to standard error from now on, and cannot tear a frame.
pub(super) fn take_stdout() -> io::Result<File> {
    let pipe = rustix::io::dup(rustix::stdio::stdout())?;
    rustix::stdio::dup2_stdout(rustix::stdio::stderr())?;
    Ok(File::from(pipe))
}

/// Sends what it observes as frames. Notes and epochs always, steps as [`Throttle`] lets them.
pub(super) struct PipeObserver<W> {
    pipe: Mutex<W>,
    throttle: Mutex<Throttle>,
    stop: Arc<AtomicBool>,
}

impl<W: Write> PipeObserver<W> {
    pub(super) fn new(pipe: W, stop: Arc<AtomicBool>) -> Self {
        Self { pipe: Mutex::new(pipe), throttle: Mutex::default(), stop }
    }

    pub(super) fn report(&self, report: &Report) -> Result<(), FrameError> {
        let mut pipe = self.pipe.lock().unwrap_or_else(PoisonError::into_inner);
        frames::write(&mut *pipe, report)
    }

    fn report_or_stop(&self, report: &Report) {
        // A report that does not go through means that the agent is gone: nobody will commit.
        if self.report(report).is_err() {
            self.stop.store(true, Ordering::Relaxed);
        }
    }
}

impl<W: Write + Send> Observer for PipeObserver<W> {
    fn step(&self, step: Step<'_>) {
        let passes = {
            let mut throttle = self.throttle.lock().unwrap_or_else(PoisonError::into_inner);
            throttle.passes(&step, Instant::now())
        };
        if passes {
            let Step { stage, done, total, unit, fraction } = step;
            self.report_or_stop(&Report::Step {
                stage: clip(stage),
                done,
                total,
                unit: clip(unit),
                fraction,
            });
        }
    }

    fn note(&self, level: Level, text: &str) {
        let level = match level {
            Level::Info => "info",
            Level::Warn => "warn",
            Level::Error => "error",
        };
        self.report_or_stop(&Report::Note { level: level.to_owned(), text: clip(text) });
    }

    fn epoch(&self, metrics: &EpochMetrics) {
        self.report_or_stop(&Report::Epoch { metrics: metrics.clone() });
    }

    fn cancelled(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Texts come from file names, too: none may fill a frame.
fn clip(text: &str) -> String {
    const MOST: usize = 4096;
    text[..text.floor_char_boundary(MOST)].to_owned()
}

/// Lets a step through when the last one is long enough ago, a new stage begins or a stage ends.
#[derive(Debug, Default)]
struct Throttle {
    last: Option<Instant>,
    stage: String,
}

impl Throttle {
    fn passes(&mut self, step: &Step<'_>, now: Instant) -> bool {
        let due = self.last.is_none_or(|last| now.saturating_duration_since(last) >= STEP_INTERVAL);
        let new_stage = self.stage != step.stage;
        let ends = step.total > 0 && step.done == step.total;
        if due || new_stage || ends {
            self.last = Some(now);
            if new_stage {
                self.stage = step.stage.to_owned();
            }
            return true;
        }
        false
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    fn step(stage: &str, done: u64) -> Step<'_> {
        Step { stage, done, total: 1000, unit: "images", fraction: 0.5 }
    }

    #[test]
    fn steps_are_throttled_but_not_beginnings_and_ends() {
        let start = Instant::now();
        let at = |ms| start + Duration::from_millis(ms);
        let cases = [
            (0, "reading", 1, true),
            (1, "reading", 2, false),
            (99, "reading", 3, false),
            (100, "reading", 4, true),
            (150, "packing", 1, true),
            (151, "packing", 2, false),
            (152, "packing", 1000, true),
            (260, "packing", 1000, true),
        ];
        let mut throttle = Throttle::default();
        for (ms, stage, done, passes) in cases {
            assert_eq!(throttle.passes(&step(stage, done), at(ms)), passes, "{stage} {done} at {ms} ms");
        }
    }

    #[test]
    fn notes_and_epochs_all_arrive() {
        let stop = Arc::new(AtomicBool::new(false));
        let observer = PipeObserver::new(Vec::new(), Arc::clone(&stop));
        for i in 0..100 {
            observer.note(Level::Warn, &format!("note {i}"));
            observer.step(step("reading", i));
        }
        observer.note(Level::Info, &"é".repeat(10_000));
        let bytes = observer.pipe.into_inner().unwrap();
        let mut pipe = bytes.as_slice();
        let (mut notes, mut steps) = (0, 0);
        while !pipe.is_empty() {
            match frames::read(&mut pipe).unwrap() {
                Report::Note { text, .. } => {
                    notes += 1;
                    assert!(text.len() <= 4096);
                }
                Report::Step { .. } => steps += 1,
                other => panic!("{other:?}"),
            }
        }
        assert_eq!(notes, 101);
        assert!((1..100).contains(&steps), "{steps}");
        assert!(!stop.load(Ordering::Relaxed));
    }

    #[test]
    fn a_broken_pipe_stops_the_work() {
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let observer = PipeObserver::new(Broken, Arc::new(AtomicBool::new(false)));
        observer.note(Level::Info, "anyone there");
        assert!(observer.cancelled());
    }
}
