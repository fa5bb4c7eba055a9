//! Writing behind: what long work has written reaches the disk while the work goes on.
//!
//! Left alone the kernel begins to write when a good part of memory is dirty, and the flush at the
//! end then waits for all of it with every core idle.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use super::DataError;

/// Bytes between two flushes: a tenth of a second of an ordinary disk.
const STRIDE: u64 = 32 << 20;

/// Counts what is written.
pub(super) struct Written {
    bytes: AtomicU64,
    nudge: SyncSender<()>,
}

impl Written {
    /// Something was written.
    pub fn add(&self, bytes: u64) {
        let before = self.bytes.fetch_add(bytes, Ordering::Relaxed);
        if before / STRIDE != (before + bytes) / STRIDE {
            // One that waits already covers this too.
            let _ = self.nudge.try_send(());
        }
    }
}

/// Runs `work`, and `flush` beside it whenever much has been written, and once more at the end.
///
/// # Errors
/// That of `work`, else that of `flush`.
pub(super) fn write_behind<T>(
    flush: impl Fn() -> Result<(), DataError> + Sync,
    work: impl FnOnce(&Written) -> Result<T, DataError>,
) -> Result<T, DataError> {
    let (nudge, nudges) = sync_channel(1);
    thread::scope(|scope| {
        let flushing = scope.spawn(|| nudges.into_iter().try_for_each(|()| flush()));
        let done = work(&Written { bytes: AtomicU64::new(0), nudge });
        let flushed = flushing.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let done = done?;
        flushed.and_then(|()| flush())?;
        Ok(done)
    })
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    #[test]
    fn much_is_flushed_meanwhile_and_all_at_the_end() {
        let flushes = AtomicUsize::new(0);
        let flush = || {
            flushes.fetch_add(1, Ordering::SeqCst);
            Ok(())
        };
        write_behind(flush, |written| {
            written.add(1);
            Ok(())
        })
        .expect("nothing fails");
        assert_eq!(flushes.load(Ordering::SeqCst), 1);
        write_behind(flush, |written| {
            written.add(5 * STRIDE);
            written.add(1);
            Ok(())
        })
        .expect("nothing fails");
        assert_eq!(flushes.load(Ordering::SeqCst), 3);
    }

    #[test]
    fn errors_of_both_sides_are_told() {
        let fails = || Err(DataError::Cancelled);
        assert!(write_behind(fails, |_| Ok(())).is_err());
        assert!(write_behind(|| Ok(()), |_| Err::<(), _>(DataError::Cancelled)).is_err());
        let failed_early = write_behind(fails, |written| {
            (0..100).for_each(|_| written.add(STRIDE));
            Ok(())
        });
        assert!(failed_early.is_err());
    }
}
