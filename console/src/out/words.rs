//! What commands and screens say alike.

use vigie_protocol::job::JobState;
use vigie_protocol::review::{FindingCounts, ImageFinding};
use vigie_protocol::schedule::{EventFilter, FiredJob, Firing, FiringCause, FiringState, Trigger};
use vigie_protocol::source::Acceptance;

use super::{Tone, count};

/// What was found about an image, in a line.
pub fn finding(finding: &ImageFinding) -> String {
    match finding {
        ImageFinding::NearDuplicate { of: _, origin, label, bits } => {
            format!("looks like {origin} ({label}, {bits} of 64 bits off)")
        }
        ImageFinding::Leak { of: _, origin, split } => format!("leaks into {split}: {origin}"),
        ImageFinding::Outlier { feature, value, z } => format!("{feature} {value:.2} is unusual (z {z:+.1})"),
        ImageFinding::EntersTest => "enters the test split".to_owned(),
        ImageFinding::Unknown => "something that this console does not know".to_owned(),
    }
}

/// How many images have something that speaks for a second look; nothing when none has.
pub fn findings(counts: &FindingCounts) -> Option<String> {
    let FindingCounts { near_duplicates, leaks, outliers, enter_test } = *counts;
    let parts: Vec<String> = [
        (near_duplicates, "look like another image"),
        (leaks, "leak between splits"),
        (outliers, "are unusual"),
        (enter_test, "enter the test split"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, what)| format!("{} {what}", count(n)))
    .collect();
    (!parts.is_empty()).then(|| parts.join(", "))
}

/// What becomes of new versions of a source.
pub fn accepted(acceptance: Acceptance) -> String {
    match acceptance {
        Acceptance::Ask => "are reviewed".to_owned(),
        Acceptance::Under { percent } => {
            format!("are accepted when they touch under {percent} % of the line")
        }
        Acceptance::Unknown => "are treated in a way this console does not know".to_owned(),
    }
}

/// What came of a firing: of its jobs, when it has some.
pub fn outcome(firing: &Firing) -> (String, Tone) {
    let of_job = |FiredJob { state, .. }: &FiredJob| match state {
        Some(state @ (JobState::Failed | JobState::Cancelled)) => Some((format!("job {state}"), Tone::Bad)),
        Some(state @ JobState::Succeeded) => Some((format!("job {state}"), Tone::Good)),
        Some(state) => Some((format!("job {state}"), Tone::Plain)),
        None => None,
    };
    let tone = match firing.state {
        FiringState::Failed => Tone::Bad,
        FiringState::Done => Tone::Good,
        FiringState::Skipped => Tone::Dim,
        FiringState::Begun | FiringState::Submitted | FiringState::Unknown => Tone::Plain,
    };
    firing.jobs.first().and_then(of_job).unwrap_or_else(|| (firing.state.as_str().to_owned(), tone))
}

/// Why a schedule fired.
pub fn why(cause: &FiringCause) -> String {
    match cause {
        FiringCause::Due => "due".to_owned(),
        FiringCause::Missed { firings: 1 } => "missed".to_owned(),
        FiringCause::Missed { firings } => format!("{firings} missed"),
        FiringCause::Event { events: 1, .. } => "an event".to_owned(),
        FiringCause::Event { events, .. } => format!("{events} events"),
        FiringCause::Asked { by } => format!("{by} asked"),
        FiringCause::Unknown => "a cause this console does not know".to_owned(),
    }
}

/// When a schedule fires, in a line.
pub fn fires(trigger: &Trigger) -> String {
    match trigger {
        Trigger::Cron { expression, time_zone } => format!("{expression} {time_zone}"),
        Trigger::Interval { seconds } => format!("every {}", span(*seconds)),
        Trigger::Event { on, debounce_s: 0 } => format!("on {}", event(on)),
        Trigger::Event { on, debounce_s } => {
            format!("on {}, after {} of quiet", event(on), span(*debounce_s))
        }
        Trigger::Unknown => "a trigger this console does not know".to_owned(),
    }
}

fn event(on: &EventFilter) -> String {
    match on {
        EventFilter::Dataset { lineage: Some(lineage) } => format!("dataset:{lineage}"),
        EventFilter::Dataset { lineage: None } => "dataset".to_owned(),
        EventFilter::ChangeSet => "changeset".to_owned(),
        EventFilter::Model => "model".to_owned(),
        EventFilter::Alias { alias: Some(alias) } => format!("alias:{alias}"),
        EventFilter::Alias { alias: None } => "alias".to_owned(),
        EventFilter::DataChanged => "data-changed".to_owned(),
        EventFilter::Unknown => "events this console does not know".to_owned(),
    }
}

/// A span in its largest whole unit: `6h`, `90s`.
fn span(seconds: u32) -> String {
    for (unit, name) in [(86_400, "d"), (3_600, "h"), (60, "m")] {
        if seconds >= unit && seconds.is_multiple_of(unit) {
            return format!("{}{name}", seconds / unit);
        }
    }
    format!("{seconds}s")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_whole() {
        for (seconds, text) in
            [(59, "59s"), (60, "1m"), (90, "90s"), (21_600, "6h"), (172_800, "2d"), (0, "0s")]
        {
            assert_eq!(span(seconds), text);
        }
    }
}
