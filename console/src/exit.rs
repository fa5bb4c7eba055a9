//! How a command ends, and how it says why.

use std::fmt::Write;
use std::io;
use std::process::ExitCode;

use vigie_protocol::{ApiError, ErrorCode};

/// The process's exit code. Scripts rely on these: none is ever given another meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// All done.
    Ok = 0,
    /// It failed, and none of the others says it better.
    Failed = 1,
    /// The arguments make no sense.
    Usage = 2,
    /// The agent cannot be reached, or a part of it is down.
    Unreachable = 3,
    /// The agent knows who asks and refuses, or does not know them.
    Refused = 4,
    /// What was named does not exist.
    NotFound = 5,
    /// It exists already, changed meanwhile, is not possible yet, or the gate refused.
    Conflict = 6,
    /// The agent did not answer in time.
    Timeout = 7,
    /// Ctrl-C or SIGTERM.
    Interrupted = 130,
    /// Whoever read the output went away.
    PipeClosed = 141,
}

impl Exit {
    const ALL: [(Exit, &'static str); 10] = [
        (Exit::Ok, "done"),
        (Exit::Failed, "failed"),
        (Exit::Usage, "the arguments make no sense (see --help)"),
        (Exit::Unreachable, "the agent cannot be reached, or is not available"),
        (Exit::Refused, "the agent does not let you"),
        (Exit::NotFound, "what was named does not exist"),
        (Exit::Conflict, "exists already, changed meanwhile, not possible yet, or the gate refused"),
        (Exit::Timeout, "the agent did not answer in time"),
        (Exit::Interrupted, "interrupted; jobs that were started go on"),
        (Exit::PipeClosed, "the reader of the output went away"),
    ];

    /// The section of `--help` and of the man pages.
    pub fn help() -> String {
        Self::ALL.iter().fold("Exit codes:\n".to_owned(), |mut text, (exit, meaning)| {
            // Writing to a string cannot fail.
            let _ = writeln!(text, "  {:>3}  {meaning}", *exit as u8);
            text
        })
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit as u8)
    }
}

impl From<ErrorCode> for Exit {
    fn from(code: ErrorCode) -> Self {
        match code {
            ErrorCode::Invalid => Exit::Usage,
            ErrorCode::NotFound => Exit::NotFound,
            ErrorCode::Conflict | ErrorCode::Precondition | ErrorCode::GateRefused => Exit::Conflict,
            ErrorCode::Forbidden | ErrorCode::Unauthenticated => Exit::Refused,
            ErrorCode::Unavailable => Exit::Unreachable,
            ErrorCode::Timeout => Exit::Timeout,
            ErrorCode::TooLarge
            | ErrorCode::BadImage
            | ErrorCode::Overloaded
            | ErrorCode::Storage
            | ErrorCode::Unsupported
            | ErrorCode::Internal
            | ErrorCode::Unknown => Exit::Failed,
        }
    }
}

/// An expected end that is not success: what happened, what to do about it, which exit code.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct Failure {
    /// How the process ends.
    pub exit: Exit,
    /// What happened: a lower-case fragment without a full stop.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Failure {
    /// A failure without a hint.
    pub fn new(exit: Exit, message: impl Into<String>) -> Self {
        Self { exit, message: message.into(), hint: None }
    }

    /// Arguments that make no sense.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Exit::Usage, message)
    }

    /// The person or the system wants this process to end.
    pub fn interrupted() -> Self {
        Self::new(Exit::Interrupted, "interrupted")
    }

    /// Whether a later attempt may meet an agent that is there.
    pub fn is_away(&self) -> bool {
        matches!(self.exit, Exit::Unreachable | Exit::Timeout)
    }

    /// Says what to do next.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        let ApiError { code, message, hint, retry_after_ms } = error;
        let retry = retry_after_ms.map(|ms| format!("try again in {:.1} s", ms as f64 / 1_000.0));
        Self { exit: code.into(), message, hint: hint.or(retry) }
    }
}

/// What the process ends with after `error`, and what it says on standard error: nothing when
/// whoever read the output has gone.
pub fn report(error: &anyhow::Error) -> (Exit, Option<String>) {
    let broken_pipe = |cause: &(dyn std::error::Error + 'static)| {
        cause.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
            || cause
                .downcast_ref::<serde_json::Error>()
                .is_some_and(|error| error.io_error_kind() == Some(io::ErrorKind::BrokenPipe))
    };
    let failure = error.chain().find_map(|cause| cause.downcast_ref::<Failure>());
    if failure.is_none() && error.chain().any(broken_pipe) {
        return (Exit::PipeClosed, None);
    }
    let mut text = format!("error: {}", crate::out::safe(&format!("{error:#}")));
    if let Some(hint) = failure.and_then(|failure| failure.hint.as_deref()) {
        text.push_str("\nhint: ");
        text.push_str(&crate::out::safe(hint));
    }
    (failure.map_or(Exit::Failed, |failure| failure.exit), Some(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use anyhow::Context;

    #[test]
    fn codes_of_the_agent_become_exit_codes() {
        for (code, exit) in [
            (ErrorCode::Invalid, 2),
            (ErrorCode::Unavailable, 3),
            (ErrorCode::Forbidden, 4),
            (ErrorCode::Unauthenticated, 4),
            (ErrorCode::NotFound, 5),
            (ErrorCode::Conflict, 6),
            (ErrorCode::GateRefused, 6),
            (ErrorCode::Precondition, 6),
            (ErrorCode::Timeout, 7),
            (ErrorCode::BadImage, 1),
        ] {
            assert_eq!(Exit::from(code) as u8, exit, "{code:?}");
        }
    }

    #[test]
    fn every_exit_code_is_documented_once() {
        let codes: std::collections::BTreeSet<u8> = Exit::ALL.iter().map(|(exit, _)| *exit as u8).collect();
        assert_eq!(codes.len(), Exit::ALL.len());
        insta::assert_snapshot!(Exit::help());
    }

    #[test]
    fn reports_say_what_and_what_to_do() {
        let api = ApiError::not_found("model v9").with_hint("see `vigie models list`");
        let error = Err::<(), _>(Failure::from(api)).context("promoting").expect_err("an error");
        let (exit, text) = report(&error);
        assert_eq!(exit, Exit::NotFound);
        assert_eq!(
            text.as_deref(),
            Some("error: promoting: model v9 does not exist\nhint: see `vigie models list`")
        );
    }

    #[test]
    fn a_closed_pipe_ends_quietly() {
        let error = anyhow::Error::from(io::Error::from(io::ErrorKind::BrokenPipe)).context("printing");
        assert_eq!(report(&error), (Exit::PipeClosed, None));
    }
}
