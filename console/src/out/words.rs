//! What commands and screens say alike.

use vigie_protocol::review::{FindingCounts, ImageFinding};

use super::count;

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
