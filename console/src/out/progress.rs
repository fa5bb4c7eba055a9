//! How far long work is, on standard error: a bar on a terminal, now and then a line elsewhere.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use vigie_protocol::job::Progress as JobProgress;

use super::{bytes, count, eta, note, safe};

/// Between two lines where there is no terminal: a log should not fill with them.
const LINE_EVERY: Duration = Duration::from_secs(10);
/// The bar's length: shares of the whole are shown in thousandths.
const THOUSANDTHS: u64 = 1_000;

/// Shows one piece of work. Dropped, it leaves nothing of a bar behind.
pub struct Progress {
    prefix: String,
    face: Face,
    meter: Meter,
}

enum Face {
    Bar(ProgressBar),
    Lines { last: Option<Instant>, stage: String },
}

impl Progress {
    /// Shows work called `prefix`.
    pub fn new(prefix: impl Into<String>) -> Self {
        let prefix = safe(&prefix.into());
        let face = if io::stderr().is_terminal() {
            let bar = ProgressBar::with_draw_target(Some(THOUSANDTHS), ProgressDrawTarget::stderr());
            bar.set_style(bar_style());
            bar.set_prefix(prefix.clone());
            bar.enable_steady_tick(Duration::from_millis(200));
            Face::Bar(bar)
        } else {
            Face::Lines { last: None, stage: String::new() }
        };
        Self { prefix, face, meter: Meter::default() }
    }

    /// Takes the newest state of the work.
    pub fn update(&mut self, progress: &JobProgress, now: Instant) {
        let rate = progress.rate.map(f64::from).or_else(|| self.meter.rate(progress, now));
        let text = describe(progress, rate);
        match &mut self.face {
            Face::Bar(bar) => {
                bar.set_position(thousandths(progress.fraction));
                bar.set_message(text);
            }
            Face::Lines { last, stage } => {
                let due = last.is_none_or(|last| now.saturating_duration_since(last) >= LINE_EVERY);
                if due || *stage != progress.stage {
                    note(format!(
                        "{}: {} % {text}",
                        self.prefix,
                        thousandths(progress.fraction) * 100 / THOUSANDTHS
                    ));
                    *last = Some(now);
                    stage.clone_from(&progress.stage);
                }
            }
        }
    }

    /// Says something above the bar.
    pub fn say(&self, text: impl AsRef<str>) {
        match &self.face {
            Face::Bar(bar) => bar.suspend(|| note(text)),
            Face::Lines { .. } => note(text),
        }
    }
}

impl Drop for Progress {
    fn drop(&mut self) {
        if let Face::Bar(bar) = &self.face {
            bar.finish_and_clear();
        }
    }
}

fn bar_style() -> ProgressStyle {
    ProgressStyle::with_template("{prefix} {bar:24} {percent:>3} % {wide_msg}")
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .progress_chars("━╸─")
}

/// A share as thousandths; what is no share (NaN, beyond the ends) is brought within them.
fn thousandths(fraction: f32) -> u64 {
    (f64::from(fraction).clamp(0.0, 1.0) * THOUSANDTHS as f64) as u64
}

/// `4 s left · reading images 630/1,500 images · 210 images/s`: a narrow terminal cuts the end off.
fn describe(progress: &JobProgress, rate: Option<f64>) -> String {
    let JobProgress { stage, done, total, unit, fraction: _, eta_s, rate: _ } = progress;
    let amount = |n: u64| if unit == "bytes" { bytes(n) } else { count(n) };
    let mut parts = vec![safe(stage)];
    if *total > 0 {
        let unit = if unit == "bytes" { String::new() } else { format!(" {}", safe(unit)) };
        parts[0] = format!("{} {}/{}{unit}", parts[0], amount(*done), amount(*total));
    }
    if let Some(rate) = rate {
        parts.push(match unit.as_str() {
            "bytes" => format!("{}/s", bytes(rate as u64)),
            unit if rate >= 10.0 => format!("{} {}/s", count(rate as u64), safe(unit)),
            unit => format!("{rate:.1} {}/s", safe(unit)),
        });
    }
    if let Some(seconds) = eta_s {
        parts.insert(0, format!("{} left", eta(*seconds)));
    }
    parts.join(" · ").trim().to_owned()
}

/// Units a second over the current stage.
#[derive(Debug, Default)]
pub struct Meter {
    began: Option<(String, u64, Instant)>,
}

impl Meter {
    /// The mean rate since the stage began; none until a second has passed or when nothing counts.
    pub fn rate(&mut self, progress: &JobProgress, now: Instant) -> Option<f64> {
        let (_, from, since) = match &self.began {
            Some(began) if began.0 == progress.stage && began.1 <= progress.done => began,
            _ => self.began.insert((progress.stage.clone(), progress.done, now)),
        };
        let seconds = now.saturating_duration_since(*since).as_secs_f64();
        (progress.total > 0 && progress.done > *from && seconds >= 1.0)
            .then(|| (progress.done - from) as f64 / seconds)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(stage: &str, done: u64, total: u64, unit: &str, eta_s: Option<f32>) -> JobProgress {
        JobProgress { stage: stage.into(), done, total, unit: unit.into(), fraction: 0.4, eta_s, rate: None }
    }

    #[test]
    fn says_time_left_stage_amount_and_rate() {
        for (progress, rate, shown) in [
            (
                at("reading images", 630, 1_500, "images", Some(3.2)),
                Some(210.4),
                "4 s left · reading images 630/1,500 images · 210 images/s",
            ),
            (at("starting", 0, 0, "", None), None, "starting"),
            (
                at("sending", 1 << 20, 1 << 21, "bytes", None),
                Some(2048.0),
                "sending 1.0 MiB/2.0 MiB · 2.0 KiB/s",
            ),
            (
                at("epoch 3 of 30", 2, 30, "epochs", None),
                Some(0.5),
                "epoch 3 of 30 2/30 epochs · 0.5 epochs/s",
            ),
        ] {
            assert_eq!(describe(&progress, rate), shown);
        }
    }

    #[test]
    fn rates_start_anew_with_each_stage() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let mut meter = Meter::default();
        assert_eq!(meter.rate(&at("a", 10, 100, "x", None), start), None);
        assert_eq!(meter.rate(&at("a", 30, 100, "x", None), after(2)), Some(10.0));
        assert_eq!(meter.rate(&at("b", 5, 100, "x", None), after(3)), None);
        assert_eq!(meter.rate(&at("b", 6, 100, "x", None), after(5)), Some(0.5));
        // A retried attempt counts from its own beginning.
        assert_eq!(meter.rate(&at("b", 1, 100, "x", None), after(6)), None);
    }

    #[test]
    fn shares_stay_on_the_bar() {
        for (share, shown) in [(-1.0, 0), (0.5, 500), (7.0, 1_000), (f32::NAN, 0)] {
            assert_eq!(thousandths(share), shown);
        }
    }
}
