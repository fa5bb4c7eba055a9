//! What the end of a worker process means for its job.

use vigie_protocol::job::{FailureCause, JobFailure};

use crate::worker::{EXIT_STOPPED, WorkDone};

/// How a worker process ended.
#[derive(Clone, Debug, Default)]
pub struct Ending {
    /// Its exit code, when it exited.
    pub code: Option<i32>,
    /// The signal that ended it, when one did.
    pub signal: Option<i32>,
    /// Whether the kernel killed a process of the agent's control group for memory meanwhile.
    pub oom_kill: bool,
    /// Why its reports could not be read, when they could not.
    pub garbled: Option<String>,
    /// The last lines it wrote to standard error.
    pub last_words: Vec<String>,
}

/// What an attempt came to.
#[derive(Debug)]
pub(super) enum AttemptEnd {
    /// The work is done.
    Done(WorkDone),
    /// It stopped because the engine asked it to.
    Stopped,
    /// It failed.
    Failed(JobFailure),
}

/// The last report of a worker, if it came so far.
pub(super) type Verdict = Result<WorkDone, JobFailure>;

const SIGABRT: i32 = 6;
const SIGKILL: i32 = 9;
const SIGTERM: i32 = 15;

/// What Rust, libc and drivers say when an allocation fails.
const OUT_OF_MEMORY_WORDS: [&str; 4] =
    ["memory allocation of", "Cannot allocate memory", "out of memory", "os error 12"];

/// What the system says when a disk or a user's share of it is full.
const DISK_FULL_WORDS: [&str; 3] = ["No space left on device", "os error 28", "os error 122"];

/// Judges an ended worker by its last report and the way it ended. `asked_to_stop`: the engine sent
/// SIGTERM or SIGKILL.
pub(super) fn judge(ending: &Ending, verdict: Option<Verdict>, asked_to_stop: bool) -> AttemptEnd {
    let failure = match verdict {
        Some(Ok(done)) => return AttemptEnd::Done(done),
        _ if asked_to_stop => return AttemptEnd::Stopped,
        Some(Err(failure)) => blame_memory(failure),
        None => unreported(ending),
    };
    AttemptEnd::Failed(failure)
}

/// A failure with what to do about it, when it says none itself and its words are known.
pub(super) fn advised(failure: JobFailure) -> JobFailure {
    let full = DISK_FULL_WORDS.iter().any(|words| failure.message.contains(words));
    let advice = full.then(|| {
        "the disk is full: make room (`vigie blobs gc` shows what nothing refers to), then retry the job"
            .to_owned()
    });
    JobFailure { hint: failure.hint.or(advice), ..failure }
}

fn blame_memory(failure: JobFailure) -> JobFailure {
    if failure.cause == FailureCause::Error && speaks_of_memory(&failure.message) {
        return out_of_memory(failure.message);
    }
    failure
}

/// A worker that ended without a last report.
fn unreported(ending: &Ending) -> JobFailure {
    let plain = |cause, message: String| JobFailure { cause, message, hint: None };
    if let Some(garbled) = &ending.garbled {
        return plain(FailureCause::Crashed, format!("the worker's reports cannot be read: {garbled}"));
    }
    let memory = ending.last_words.iter().rev().find(|line| speaks_of_memory(line));
    match (ending.signal, ending.code) {
        (Some(SIGKILL), _) if ending.oom_kill => {
            out_of_memory("the kernel killed the worker because memory ran out".to_owned())
        }
        (Some(SIGKILL), _) => JobFailure {
            cause: FailureCause::Killed,
            message: "the worker was killed by SIGKILL".to_owned(),
            hint: Some(
                "if nobody did, the kernel may have run out of memory: look at its log (dmesg)".to_owned(),
            ),
        },
        (Some(SIGTERM), _) => plain(FailureCause::Killed, "the worker was ended by SIGTERM".to_owned()),
        (Some(SIGABRT), _) | (None, Some(101)) if memory.is_some() => {
            out_of_memory(memory.cloned().unwrap_or_default())
        }
        (Some(signal), _) => {
            let words = last_words(ending);
            plain(FailureCause::Crashed, format!("the worker was ended by signal {signal}{words}"))
        }
        (None, Some(101)) => {
            plain(FailureCause::Crashed, format!("the worker panicked{}", last_words(ending)))
        }
        (None, Some(code)) if code == i32::from(EXIT_STOPPED) => plain(
            FailureCause::Killed,
            "the worker was asked to stop by someone other than the agent".to_owned(),
        ),
        (None, code) => {
            let code = code.map_or("no code".to_owned(), |code| format!("code {code}"));
            let words = last_words(ending);
            plain(FailureCause::Error, format!("the worker ended with {code} and no result{words}"))
        }
    }
}

fn out_of_memory(message: String) -> JobFailure {
    JobFailure {
        cause: FailureCause::OutOfMemory,
        message,
        hint: Some(
            "lower the recipe's batch or input, or raise the worker's memory limit in the agent's configuration"
                .to_owned(),
        ),
    }
}

fn speaks_of_memory(text: &str) -> bool {
    OUT_OF_MEMORY_WORDS.iter().any(|words| text.contains(words))
}

/// What a panic says lies in the line after `panicked at`; otherwise the last line has to do.
fn last_words(ending: &Ending) -> String {
    let lines = &ending.last_words;
    let panic = lines.iter().rposition(|line| line.contains("panicked at")).and_then(|at| lines.get(at + 1));
    match panic.or(lines.last()) {
        Some(line) => format!(": {line}"),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn by_signal(signal: i32) -> Ending {
        Ending { signal: Some(signal), ..Ending::default() }
    }

    fn by_code(code: i32, words: &[&str]) -> Ending {
        let last_words = words.iter().map(|&word| word.to_owned()).collect();
        Ending { code: Some(code), last_words, ..Ending::default() }
    }

    #[test]
    fn ends_without_a_report() {
        use FailureCause::*;
        let abort = |words: &[&str]| Ending { signal: Some(SIGABRT), code: None, ..by_code(0, words) };
        let table = [
            (by_signal(SIGKILL), Killed, "SIGKILL"),
            (Ending { oom_kill: true, ..by_signal(SIGKILL) }, OutOfMemory, "memory ran out"),
            (by_signal(SIGTERM), Killed, "SIGTERM"),
            (by_signal(11), Crashed, "signal 11"),
            (abort(&["memory allocation of 4096 bytes failed", ""]), OutOfMemory, "4096"),
            (abort(&["stack overflow"]), Crashed, "stack overflow"),
            (
                by_code(101, &["thread 'main' panicked at a.rs:1:2:", "index 7", "note: run"]),
                Crashed,
                "index 7",
            ),
            (by_code(101, &["thread 'main' panicked at x", "CUDA: out of memory"]), OutOfMemory, "CUDA"),
            (by_code(3, &[]), Killed, "someone other"),
            (by_code(0, &[]), Error, "code 0 and no result"),
            (by_code(2, &["worker: no such subcommand"]), Error, "no such subcommand"),
            (Ending { garbled: Some("too long".into()), ..by_code(0, &[]) }, Crashed, "too long"),
        ];
        for (ending, cause, words) in table {
            match judge(&ending, None, false) {
                AttemptEnd::Failed(failure) => {
                    assert_eq!(failure.cause, cause, "{ending:?}");
                    assert!(failure.message.contains(words), "{failure:?} lacks {words:?}");
                }
                other => panic!("{other:?}"),
            }
            assert!(matches!(judge(&ending, None, true), AttemptEnd::Stopped), "{ending:?}");
        }
    }

    #[test]
    fn a_full_disk_is_to_be_given_room() {
        let failure = |message: &str, hint: Option<&str>| JobFailure {
            cause: FailureCause::Error,
            message: message.to_owned(),
            hint: hint.map(str::to_owned),
        };
        for (message, hint, expected) in [
            ("writing x: No space left on device (os error 28)", None, "make room"),
            ("writing x: Disk quota exceeded (os error 122)", None, "make room"),
            ("No space left on device", Some("its own"), "its own"),
        ] {
            let hint = advised(failure(message, hint)).hint;
            assert!(hint.as_deref().is_some_and(|hint| hint.contains(expected)), "{message}: {hint:?}");
        }
        assert_eq!(advised(failure("writing x: Input/output error (os error 5)", None)).hint, None);
    }

    #[test]
    fn a_report_counts_more_than_the_end() {
        let done = || WorkDone::Trained { best_epoch: 1, epochs: vec![], resumed_from: None };
        assert!(matches!(judge(&by_signal(SIGKILL), Some(Ok(done())), false), AttemptEnd::Done(_)));
        let failure = |cause, message: &str| JobFailure { cause, message: message.into(), hint: None };
        let table = [
            (failure(FailureCause::Refused, "no images"), FailureCause::Refused),
            (
                failure(FailureCause::Error, "reading: Cannot allocate memory (os error 12)"),
                FailureCause::OutOfMemory,
            ),
            (failure(FailureCause::Error, "disk"), FailureCause::Error),
        ];
        for (failure, cause) in table {
            match judge(&by_code(1, &[]), Some(Err(failure)), false) {
                AttemptEnd::Failed(failure) => assert_eq!(failure.cause, cause),
                other => panic!("{other:?}"),
            }
        }
    }
}
