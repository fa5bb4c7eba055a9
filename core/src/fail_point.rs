//! Named places where a test can end everything, as a power cut would.
//!
//! `VIGIE_FAIL_POINT=alias-before-move` kills the process the first time it comes there,
//! `alias-before-move:3` the third time. A worker takes its agent with it. Only development builds
//! look; in release builds [`pass`] is nothing.

use std::fmt;

/// A place where a crash could tear something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailPoint {
    /// A blob has its name and is not durable yet.
    BlobRenamed,
    /// A piece of a download is written.
    DownloadPiece,
    /// A download is complete and what it should be; nothing was imported.
    DownloadComplete,
    /// Some images of an import are stored.
    ImportImage,
    /// Some images of an import are stored and noted as measured.
    ImportNoted,
    /// An import's blobs are durable; nothing names them.
    ImportSynced,
    /// A change-set is laid down and not accepted yet.
    ChangeSetProposed,
    /// What a part of a change-set makes is durable; nothing names it.
    PartStored,
    /// A change-set is decided; who decided does not know.
    ChangeSetDecided,
    /// A version exists; the job that made it does not say so.
    VersionAccepted,
    /// A job imports a new version of a source; the source does not say so.
    SourceSubmitted,
    /// A source's change-set was decided; the source does not say so.
    SourceDecided,
    /// Some images of a pack are written.
    PackImage,
    /// A pack is written under its temporary name.
    PackWritten,
    /// A checkpoint's head is written, its state not.
    CheckpointHead,
    /// A checkpoint is durable; the agent does not know of it.
    CheckpointWritten,
    /// An epoch is durable; nobody was told.
    EpochLanded,
    /// A model's blobs are durable; it has no number.
    ModelStored,
    /// A model version exists; the job that made it does not say so.
    ModelRegistered,
    /// A candidate is loaded and passed the gate; its alias has not moved.
    AliasBeforeMove,
    /// An alias moved; what serves has not.
    AliasAfterMove,
    /// What serves has moved; the caller does not know.
    Swapped,
    /// A change is durable; the audit log does not say so.
    AuditDue,
    /// The audit log says so; the catalog does not know.
    AuditWritten,
    /// A group of predictions is about to be written.
    LogAppend,
    /// A prediction is out of the log; its picture is still there.
    PredictionForgotten,
    /// Feedback is durable; who gave it does not know.
    FeedbackGiven,
    /// What was collected is in a change-set; the feedback does not say so.
    CollectionLanded,
    /// A backup's facts are copied, its blobs not.
    BackupFacts,
    /// A backup is complete under its temporary name.
    BackupFilled,
    /// A collection has removed some blobs.
    BlobCollected,
    /// A firing is laid down; its action has not begun.
    FiringLaid,
    /// A firing's action is carried out, or handed over; the firing does not say so.
    FiringActed,
    /// The rules have submitted a job; how far they have come does not say so.
    RulesSubmitted,
}

impl FailPoint {
    /// All of them.
    pub const ALL: [FailPoint; 34] = [
        FailPoint::BlobRenamed,
        FailPoint::DownloadPiece,
        FailPoint::DownloadComplete,
        FailPoint::ImportImage,
        FailPoint::ImportNoted,
        FailPoint::ImportSynced,
        FailPoint::ChangeSetProposed,
        FailPoint::PartStored,
        FailPoint::ChangeSetDecided,
        FailPoint::VersionAccepted,
        FailPoint::SourceSubmitted,
        FailPoint::SourceDecided,
        FailPoint::PackImage,
        FailPoint::PackWritten,
        FailPoint::CheckpointHead,
        FailPoint::CheckpointWritten,
        FailPoint::EpochLanded,
        FailPoint::ModelStored,
        FailPoint::ModelRegistered,
        FailPoint::AliasBeforeMove,
        FailPoint::AliasAfterMove,
        FailPoint::Swapped,
        FailPoint::AuditDue,
        FailPoint::AuditWritten,
        FailPoint::LogAppend,
        FailPoint::PredictionForgotten,
        FailPoint::FeedbackGiven,
        FailPoint::CollectionLanded,
        FailPoint::BackupFacts,
        FailPoint::BackupFilled,
        FailPoint::BlobCollected,
        FailPoint::FiringLaid,
        FailPoint::FiringActed,
        FailPoint::RulesSubmitted,
    ];

    /// Its name in the environment: `alias-before-move`.
    pub fn name(self) -> String {
        let mut name = String::new();
        for letter in format!("{self:?}").chars() {
            if letter.is_uppercase() && !name.is_empty() {
                name.push('-');
            }
            name.push(letter.to_ascii_lowercase());
        }
        name
    }
}

impl fmt::Display for FailPoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

/// Dies here, when the environment says so.
#[inline]
pub fn pass(point: FailPoint) {
    #[cfg(debug_assertions)]
    armed::pass(point);
    #[cfg(not(debug_assertions))]
    let _ = point;
}

/// The variable with which a child takes this process with it.
pub fn bound_to_me() -> Option<(&'static str, String)> {
    #[cfg(debug_assertions)]
    if std::env::var_os(armed::POINT).is_some() {
        return Some((armed::COMPANION, std::process::id().to_string()));
    }
    None
}

#[cfg(debug_assertions)]
mod armed {
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    use rustix::process::{Pid, Signal, getpid, kill_process};

    use super::FailPoint;

    pub(super) const POINT: &str = "VIGIE_FAIL_POINT";
    pub(super) const COMPANION: &str = "VIGIE_FAIL_COMPANION";

    /// Which point, and at which passing.
    static ARMED: OnceLock<Option<(String, u64)>> = OnceLock::new();
    static PASSED: AtomicU64 = AtomicU64::new(0);

    pub(super) fn pass(point: FailPoint) {
        let armed = ARMED.get_or_init(|| {
            let text = std::env::var(POINT).ok()?;
            Some(match text.split_once(':') {
                Some((name, passing)) => (name.to_owned(), passing.parse().unwrap_or(1)),
                None => (text, 1),
            })
        });
        let Some((name, passing)) = armed else { return };
        if *name == point.name() && PASSED.fetch_add(1, Ordering::Relaxed) + 1 == *passing {
            die();
        }
    }

    fn die() -> ! {
        let companion =
            std::env::var(COMPANION).ok().and_then(|pid| pid.parse().ok()).and_then(Pid::from_raw);
        for process in companion.into_iter().chain([getpid()]) {
            // A companion that is gone already needs no killing.
            let _ = kill_process(process, Signal::KILL);
        }
        unreachable!("no process outlives SIGKILL");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_documentation() {
        assert_eq!(FailPoint::AliasBeforeMove.name(), "alias-before-move");
        let mut names = FailPoint::ALL.map(FailPoint::name);
        names.sort();
        assert!(names.windows(2).all(|pair| pair[0] != pair[1]));
    }
}
