//! Panics of other people's decoders, fed with bytes that anyone may have made.

use std::cell::Cell;
use std::panic::{AssertUnwindSafe, catch_unwind};

thread_local! {
    static GUARDED: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread is about to be caught and told as an ordinary error. A panic hook
/// that restores the terminal must let such panics pass.
pub fn is_guarded() -> bool {
    GUARDED.get()
}

/// What `work` returns; nothing if it panics.
pub(super) fn guarded<T>(work: impl FnOnce() -> T) -> Option<T> {
    let outer = GUARDED.replace(true);
    // What it touched is dropped with it.
    let done = catch_unwind(AssertUnwindSafe(work));
    GUARDED.set(outer);
    done.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn panics_end_at_the_guard() {
        assert!(!is_guarded());
        assert_eq!(guarded(is_guarded), Some(true));
        let panicking = || -> u8 { panic!("as a decoder might") };
        assert_eq!(guarded(panicking), None);
        assert!(!is_guarded());
    }
}
