//! What can go wrong between the agent and a source. No text here holds a secret: URLs are named
//! without user, password and query, and answers are quoted in part.

use std::io;
use std::time::Duration;

use vigie_protocol::job::{FailureCause, JobFailure};
use vigie_protocol::source::{Checksum, SourceState};
use vigie_protocol::{ApiError, ErrorCode};

/// Why nothing came from a source.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// The configuration forbids outbound connections.
    #[error("this agent opens no outbound connections")]
    Off,
    /// The agent's HTTP client could not be made.
    #[error("this agent cannot open outbound connections: {0}")]
    Client(String),
    /// The URL cannot be used.
    #[error("{url}: {reason}")]
    Url {
        /// The URL, redacted.
        url: String,
        /// Why not.
        reason: &'static str,
    },
    /// It leads into a private network, and the configuration does not allow that.
    #[error("{0} is in a private network")]
    Private(String),
    /// It is not there.
    #[error("{0} is not there")]
    Vanished(String),
    /// It is not for us.
    #[error("{place} is refused to us{said}")]
    Forbidden {
        /// What.
        place: String,
        /// What the server said: empty, or `: …`.
        said: String,
    },
    /// Its licence, rules or terms have to be accepted first.
    #[error("{place} wants its licence or terms accepted first{said}")]
    Licence {
        /// What.
        place: String,
        /// What the server said: empty, or `: …`.
        said: String,
    },
    /// No connection, or one that broke.
    #[error("{place} cannot be reached: {why}")]
    Unreachable {
        /// What.
        place: String,
        /// What the system said.
        why: String,
    },
    /// Its certificate is not trusted.
    #[error("{place} is not trusted: {why}")]
    Certificate {
        /// What.
        place: String,
        /// What is wrong with the certificate.
        why: String,
        /// What to do about it.
        hint: &'static str,
    },
    /// The proxy wants other credentials than it was told.
    #[error("the proxy {0} does not let us through: it wants a user and a password")]
    Proxy(String),
    /// The server has no time, or fails.
    #[error("{place} answers {status}")]
    Busy {
        /// What.
        place: String,
        /// The HTTP status.
        status: u16,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// Nothing came for too long.
    #[error("{place} sent nothing for {seconds} s")]
    Stalled {
        /// What.
        place: String,
        /// For how long.
        seconds: u64,
    },
    /// The connection ended before the file did.
    #[error("{place} ended at byte {have} of {total}")]
    Truncated {
        /// What.
        place: String,
        /// Bytes that came.
        have: u64,
        /// Bytes that should have.
        total: u64,
    },
    /// It became another file while it was being downloaded.
    #[error("{0} changed while it was downloaded")]
    Changed(String),
    /// An answer that makes no sense.
    #[error("{place} {what}")]
    Odd {
        /// What.
        place: String,
        /// What it did.
        what: String,
    },
    /// It is more than the configuration allows.
    #[error("{place} has more than {max} bytes")]
    TooLarge {
        /// What.
        place: String,
        /// The most that is allowed.
        max: u64,
    },
    /// There is no room for it, or no longer.
    #[error(
        "the disk is full: {place} needs {} more; of {free} MiB free {reserve} MiB are kept",
        mebibytes(*.needed)
    )]
    NoSpace {
        /// What.
        place: String,
        /// What is still to come, and what its images take once imported, in MiB; nothing when its
        /// server does not say how much there is.
        needed: Option<u64>,
        /// What there is, in MiB.
        free: u64,
        /// What has to stay free, in MiB.
        reserve: u64,
    },
    /// Its bytes are not those that were asked for.
    #[error("the bytes of {place} come to {found}, not to {wanted}")]
    Checksum {
        /// What.
        place: String,
        /// The checksum that was asked for.
        wanted: Checksum,
        /// What they come to.
        found: Checksum,
    },
    /// This machine's disk or a local source failed.
    #[error("{what}: {source}")]
    Io {
        /// What was being done.
        what: String,
        /// What the system said.
        source: io::Error,
    },
}

impl SourceError {
    pub(super) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }

    /// Whether the disk has no room, whoever noticed.
    pub(super) fn is_full_disk(&self) -> bool {
        match self {
            Self::NoSpace { .. } => true,
            Self::Io { source, .. } => {
                matches!(source.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
            }
            _ => false,
        }
    }

    /// Whether trying again soon may help; and when the server wants that, if it said so.
    pub(super) fn again(&self) -> Option<Option<Duration>> {
        match self {
            Self::Busy { retry_after, .. } => Some(*retry_after),
            Self::Unreachable { .. } | Self::Stalled { .. } | Self::Truncated { .. } | Self::Changed(_) => {
                Some(None)
            }
            Self::Off
            | Self::Client(_)
            | Self::Url { .. }
            | Self::Private(_)
            | Self::Vanished(_)
            | Self::Forbidden { .. }
            | Self::Licence { .. }
            | Self::Certificate { .. }
            | Self::Proxy(_)
            | Self::Odd { .. }
            | Self::TooLarge { .. }
            | Self::NoSpace { .. }
            | Self::Checksum { .. }
            | Self::Io { .. } => None,
        }
    }

    /// How a source is that cannot be had for this reason.
    pub(super) fn state(&self) -> SourceState {
        match self {
            Self::Vanished(_) => SourceState::Vanished,
            Self::Forbidden { .. } | Self::Private(_) => SourceState::Forbidden,
            Self::Licence { .. } => SourceState::Licence,
            Self::Url { .. } | Self::TooLarge { .. } | Self::Checksum { .. } => SourceState::Broken,
            Self::Off
            | Self::Client(_)
            | Self::Unreachable { .. }
            | Self::Certificate { .. }
            | Self::Proxy(_)
            | Self::Busy { .. }
            | Self::Stalled { .. }
            | Self::Truncated { .. }
            | Self::Changed(_)
            | Self::Odd { .. }
            | Self::NoSpace { .. }
            | Self::Io { .. } => SourceState::Unreachable,
        }
    }

    /// What to do about it.
    pub(super) fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::Off => "set `enabled = true` under [sources] in the agent's configuration",
            Self::Client(_) => {
                "it needs the system's root certificates, and a `ca_file` under [sources] that can be read"
            }
            Self::Certificate { hint, .. } => hint,
            Self::Proxy(_) => "say them in `proxy` under [sources]: http://USER:PASSWORD@HOST:PORT",
            Self::Private(_) => "if that is meant, set `allow_private = true` under [sources]",
            Self::Forbidden { .. } => {
                "check the credentials: `vigie doctor` says which are used, `vigie sources --help` where they lie"
            }
            Self::Licence { .. } => "accept them on its web page, as the user whose credentials are used",
            Self::TooLarge { .. } => "if that is meant, raise `max_download_gib` under [sources]",
            Self::NoSpace { .. } => {
                "make room (`vigie blobs gc`), then retry the job: it goes on where it stopped"
            }
            Self::Url { .. }
            | Self::Vanished(_)
            | Self::Unreachable { .. }
            | Self::Busy { .. }
            | Self::Stalled { .. }
            | Self::Truncated { .. }
            | Self::Changed(_)
            | Self::Odd { .. }
            | Self::Checksum { .. }
            | Self::Io { .. } => return None,
        })
    }

    /// The end of the job that wanted it.
    pub(super) fn failure(&self) -> JobFailure {
        let cause = match self {
            Self::Off
            | Self::Url { .. }
            | Self::Private(_)
            | Self::TooLarge { .. }
            | Self::Checksum { .. } => FailureCause::Refused,
            Self::Io { .. } => FailureCause::Error,
            Self::Client(_)
            | Self::Vanished(_)
            | Self::Forbidden { .. }
            | Self::Licence { .. }
            | Self::Unreachable { .. }
            | Self::Certificate { .. }
            | Self::Proxy(_)
            | Self::Busy { .. }
            | Self::Stalled { .. }
            | Self::Truncated { .. }
            | Self::Changed(_)
            | Self::Odd { .. }
            | Self::NoSpace { .. } => FailureCause::Remote,
        };
        JobFailure { cause, message: self.to_string(), hint: self.hint().map(str::to_owned) }
    }

    /// What a caller is told who asked for what is not allowed at all.
    pub(super) fn refusal(&self) -> ApiError {
        let code = match self {
            Self::Url { .. } => ErrorCode::Invalid,
            _ => ErrorCode::Precondition,
        };
        let error = ApiError::new(code, self.to_string());
        match self.hint() {
            Some(hint) => error.with_hint(hint),
            None => error,
        }
    }
}

fn mebibytes(needed: Option<u64>) -> String {
    needed.map_or_else(|| "some".to_owned(), |needed| format!("{needed} MiB"))
}
