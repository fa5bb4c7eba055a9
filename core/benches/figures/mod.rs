//! What the benches of whole runs share: times, memory, and lines of one shape.
//!
//! Criterion is for functions that can be called a hundred times; a million records or 20,000
//! photographs go by once.

#![expect(clippy::print_stdout, reason = "figures are what a bench is for")]
#![allow(dead_code, reason = "each bench takes what it needs")]

use std::fmt::Display;
use std::fs;
use std::time::{Duration, Instant};

/// One line: what was measured, what came out, and what it is held against.
pub fn figure(what: &str, found: impl Display, goal: &str) {
    println!("{what:<52} {:<34} {goal}", found.to_string());
}

/// Times of one thing done many times.
#[derive(Default)]
pub struct Times(Vec<Duration>);

impl Times {
    /// Does it `count` times.
    pub fn of<T>(count: usize, mut body: impl FnMut() -> T) -> Self {
        let mut times = Self::default();
        for _ in 0..count {
            times.take(&mut body);
        }
        times
    }

    /// Does it once more.
    pub fn take<T>(&mut self, body: impl FnOnce() -> T) -> T {
        let started = Instant::now();
        let value = body();
        self.add(started.elapsed());
        value
    }

    /// Adds one that was taken elsewhere.
    pub fn add(&mut self, time: Duration) {
        self.0.push(time);
    }

    /// The time that this share of all, 0–1, did not exceed.
    pub fn quantile(&self, share: f64) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort();
        let last = sorted.len().saturating_sub(1);
        sorted.get((last as f64 * share).round() as usize).copied().unwrap_or_default()
    }

    /// `p50 1.2 ms, p99 3.4 ms, max 5.6 ms (n 100)`.
    pub fn summary(&self) -> String {
        let [half, most, all] = [0.5, 0.99, 1.0].map(|share| self.quantile(share).as_secs_f64() * 1e3);
        format!("p50 {half:.2} ms, p99 {most:.2} ms, max {all:.2} ms (n {})", self.0.len())
    }
}

/// What something took.
#[derive(Clone, Copy, Default)]
pub struct Spent {
    /// Time that passed.
    pub wall: Duration,
    /// Processor time of all threads of this process, to 10 ms: what other programs do meanwhile
    /// hardly shows in it.
    pub cpu: Duration,
}

impl Spent {
    /// By doing something.
    pub fn by<T>(body: impl FnOnce() -> T) -> (Self, T) {
        let (started, cpu) = (Instant::now(), cpu());
        let value = body();
        (Self { wall: started.elapsed(), cpu: self::cpu() - cpu }, value)
    }
}

impl std::ops::AddAssign for Spent {
    fn add_assign(&mut self, more: Self) {
        self.wall += more.wall;
        self.cpu += more.cpu;
    }
}

/// Processor time of this process, of all threads that are or were.
fn cpu() -> Duration {
    let stat = fs::read_to_string("/proc/self/stat").expect("stat");
    // The program's name, in parentheses, may hold anything.
    let (_, fields) = stat.rsplit_once(')').expect("a name");
    let ticks: u64 =
        fields.split_whitespace().skip(11).take(2).map(|n| n.parse::<u64>().expect("ticks")).sum();
    // A hundredth of a second on every machine that Linux runs on today.
    Duration::from_millis(ticks * 10)
}

/// The most memory this process held since [`forget_peak`], in MiB.
pub fn peak() -> u64 {
    let status = fs::read_to_string("/proc/self/status").expect("status");
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).expect("VmHWM");
    line.split_whitespace().nth(1).and_then(|kib| kib.parse::<u64>().ok()).expect("a number") / 1024
}

/// Sets the peak back to what is held now.
pub fn forget_peak() {
    fs::write("/proc/self/clear_refs", "5").expect("clear_refs");
}
