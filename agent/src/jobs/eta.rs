//! How long a job will still take.

use std::time::Duration;

/// Time constant of the smoothing: a rate counts for a third of its weight after this long.
const TAU_S: f64 = 20.0;

/// No guess before this much was done and seen: the first files say little about the rest.
const LEAST_FRACTION: f64 = 0.01;
const LEAST_ELAPSED_S: f64 = 2.0;

/// A guess beyond a year says nothing: the job stands still.
const LONGEST_S: f64 = 365.0 * 86_400.0;

/// An exponentially smoothed rate of one attempt, with the start-up bias divided out as in Adam
/// (Kingma & Ba 2015, arXiv:1412.6980, section 3).
#[derive(Clone, Debug, Default)]
pub(super) struct Eta {
    first: Option<(f64, f64)>,
    last: (f64, f64),
    rate: f64,
    weight: f64,
}

impl Eta {
    /// Takes in that `fraction` (0–1) of the job was done `elapsed` into the attempt, and returns
    /// the seconds that are left when there is ground for a guess. What an attempt finds done
    /// already when it resumes is no work of its own: only the rise after the first call counts.
    pub(super) fn observe(&mut self, elapsed: Duration, fraction: f32) -> Option<f32> {
        let (now, fraction) = (elapsed.as_secs_f64(), f64::from(fraction.clamp(0.0, 1.0)));
        let Some((began, base)) = self.first else {
            self.first = Some((now, fraction));
            self.last = (now, fraction);
            return None;
        };
        let (then, before) = self.last;
        let span = now - then;
        if span > 0.0 {
            let keep = (-span / TAU_S).exp();
            self.rate = keep * self.rate + (1.0 - keep) * ((fraction - before).max(0.0) / span);
            self.weight = keep * self.weight + (1.0 - keep);
            self.last = (now, fraction);
        }
        // Without a rate this is infinite or no number, and no comparison with it holds.
        let left = (1.0 - fraction) * self.weight / self.rate;
        let grounded = fraction - base >= LEAST_FRACTION && now - began >= LEAST_ELAPSED_S;
        (grounded && left <= LONGEST_S).then_some(left as f32)
    }
}

/// Units a second of one stage, smoothed as [`Eta`] is.
#[derive(Clone, Debug, Default)]
pub(super) struct Rate {
    first: Option<(f64, u64)>,
    last: (f64, u64),
    rate: f64,
    weight: f64,
}

impl Rate {
    /// Takes in that `done` units of the stage were done `elapsed` into the attempt, and returns how
    /// many are done a second when there is ground for it. What the stage began with is no work of it.
    pub(super) fn observe(&mut self, elapsed: Duration, done: u64) -> Option<f32> {
        let now = elapsed.as_secs_f64();
        let Some((began, base)) = self.first else {
            self.first = Some((now, done));
            self.last = (now, done);
            return None;
        };
        let (then, before) = self.last;
        let span = now - then;
        if span > 0.0 {
            let keep = (-span / TAU_S).exp();
            self.rate = keep * self.rate + (1.0 - keep) * (done.saturating_sub(before) as f64 / span);
            self.weight = keep * self.weight + (1.0 - keep);
            self.last = (now, done);
        }
        let rate = self.rate / self.weight;
        let grounded = done > base && now - began >= LEAST_ELAPSED_S;
        (grounded && rate.is_finite()).then_some(rate as f32)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn after(steps: impl IntoIterator<Item = (f64, f32)>) -> Option<f32> {
        let mut eta = Eta::default();
        steps.into_iter().fold(None, |_, (s, fraction)| eta.observe(Duration::from_secs_f64(s), fraction))
    }

    #[test]
    fn a_steady_rate_is_found() {
        let steady = (0..=100).map(|i| (f64::from(i) * 0.5, i as f32 / 200.0));
        let left = after(steady).expect("half is done");
        assert!((left - 50.0).abs() < 0.5, "{left}");
    }

    #[test]
    fn no_guess_without_ground() {
        assert_eq!(after([]), None);
        assert_eq!(after([(0.0, 0.5)]), None, "resumed at a half, nothing done yet");
        assert_eq!(after([(0.0, 0.0), (1.0, 0.5)]), None, "too early");
        assert_eq!(after([(0.0, 0.0), (60.0, 0.001)]), None, "too little");
        assert_eq!(after([(0.0, 0.0), (60.0, 0.0)]), None, "nothing at all");
    }

    #[test]
    fn what_was_resumed_is_not_speed() {
        let left = after((0..=20).map(|i| (f64::from(i), 0.8 + i as f32 * 0.001))).expect("moves");
        assert!((left - 180.0).abs() < 5.0, "{left}");
    }

    #[test]
    fn a_slower_stage_is_followed() {
        let fast = (0..=50).map(|i| (f64::from(i), i as f32 * 0.01));
        let slow = (1..=60).map(|i| (50.0 + f64::from(i), 0.5 + i as f32 * 0.001));
        let left = after(fast.chain(slow)).expect("moves");
        assert!((300.0..500.0).contains(&left), "{left}");
    }

    #[test]
    fn a_rate_is_of_what_came_lately() {
        let after = |steps: &mut dyn Iterator<Item = (f64, u64)>| {
            let mut rate = Rate::default();
            steps.fold(None, |_, (s, done)| rate.observe(Duration::from_secs_f64(s), done))
        };
        let steady = after(&mut (0..=20).map(|i| (f64::from(i) * 0.5, 7_000 + i as u64 * 50)));
        assert!((steady.expect("moves") - 100.0).abs() < 0.1, "{steady:?}");
        assert_eq!(after(&mut [(0.0, 5), (1.0, 500)].into_iter()), None, "too early");
        assert_eq!(after(&mut [(0.0, 5), (9.0, 5)].into_iter()), None, "nothing came");
        let stalled = after(&mut (0..=200).map(|i| (f64::from(i), (i as u64 * 100).min(1_000))));
        assert!(stalled.expect("moved") < 1.0, "{stalled:?}");
    }

    proptest! {
        #[test]
        fn never_negative_or_infinite(steps in proptest::collection::vec((0.0..1e6f64, -1f32..2.0), 0..50)) {
            let mut eta = Eta::default();
            for (s, fraction) in steps {
                if let Some(left) = eta.observe(Duration::from_secs_f64(s), fraction) {
                    prop_assert!(left.is_finite() && left >= 0.0, "{}", left);
                }
            }
        }
    }
}
