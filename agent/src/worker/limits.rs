//! Bounds a worker puts on itself before it works.

use std::io;

use rustix::process::{Resource, Rlimit, getrlimit, nice, setrlimit};

use super::task::WorkerTask;

/// Applies the task's niceness and memory limit to this process.
///
/// The limit is `RLIMIT_DATA`: heap and other private writable memory. Past it an allocation
/// fails, Rust aborts with `memory allocation of … bytes failed`, and the agent reports that memory
/// ran out. `RLIMIT_AS` would also count memory-mapped packs and the address ranges that a CUDA
/// driver reserves, neither of which is memory used.
///
/// # Errors
/// When the system refuses either.
pub(super) fn apply(task: &WorkerTask) -> io::Result<()> {
    if task.nice > 0 {
        nice(task.nice)?;
    }
    if let Some(mb) = task.memory_limit_mb {
        let bytes = mb.saturating_mul(1024 * 1024);
        let hard = getrlimit(Resource::Data).maximum;
        let bytes = hard.map_or(bytes, |hard| hard.min(bytes));
        setrlimit(Resource::Data, Rlimit { current: Some(bytes), maximum: hard })?;
    }
    Ok(())
}
