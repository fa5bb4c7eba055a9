//! Whether a failed attempt is followed by another, and when.

use std::time::Duration;

use vigie_protocol::job::FailureCause;

/// Attempts in a row that may fail without getting any further.
const MAX_FAILURES: u32 = 3;

/// Attempts in a row that may run out of memory: the next would most likely, too.
const MAX_OUT_OF_MEMORY: u32 = 2;

/// Pauses after the first and the second failure.
const BACKOFF: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(10)];

/// Failures in a row of one job. Kept in memory: a restart of the agent grants a fresh count.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Failures {
    all: u32,
    out_of_memory: u32,
}

impl Failures {
    /// Takes in a failed attempt; returns the pause before the next, or nothing when it was the last.
    /// An attempt that left something durable behind (an epoch) was not in vain: it starts the
    /// count again.
    pub(super) fn next(&mut self, cause: FailureCause, got_further: bool) -> Option<Duration> {
        if got_further {
            *self = Self::default();
        }
        self.all += 1;
        let again = match cause {
            FailureCause::Refused
            | FailureCause::Dependency
            | FailureCause::Interrupted
            // The download asked again and again already.
            | FailureCause::Remote => false,
            FailureCause::OutOfMemory => {
                self.out_of_memory += 1;
                self.out_of_memory < MAX_OUT_OF_MEMORY
            }
            FailureCause::Error | FailureCause::Killed | FailureCause::Crashed | FailureCause::Unknown => {
                true
            }
        };
        if !again || self.all >= MAX_FAILURES {
            return None;
        }
        BACKOFF.get(self.all as usize - 1).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_by_cause() {
        use FailureCause::*;
        let s = |s| Some(Duration::from_secs(s));
        type Case<'a> = (&'a [(FailureCause, bool)], Option<Duration>);
        let table: &[Case<'_>] = &[
            (&[(Refused, false)], None),
            (&[(Remote, true)], None),
            (&[(Killed, false)], s(2)),
            (&[(Killed, false), (Crashed, false)], s(10)),
            (&[(Killed, false), (Crashed, false), (Error, false)], None),
            (&[(OutOfMemory, false)], s(2)),
            (&[(OutOfMemory, false), (OutOfMemory, false)], None),
            (&[(Killed, false), (OutOfMemory, false)], s(10)),
            (&[(Killed, false), (Killed, false), (Killed, true)], s(2)),
        ];
        for (failures, expected) in table {
            let mut counter = Failures::default();
            let last = failures.iter().map(|&(cause, further)| counter.next(cause, further)).last();
            assert_eq!(last, Some(*expected), "{failures:?}");
        }
    }
}
