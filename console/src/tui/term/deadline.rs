//! The end that comes even when the loop is stuck, for instance in a write to a stalled terminal.

use std::process;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use super::guard;

/// How long the loop has to end by itself.
const GRACE: Duration = Duration::from_secs(2);

/// Ends the process with `code` after [`GRACE`], should it still be there. The first call counts.
pub fn end_soon(code: u8) {
    static ARMED: AtomicBool = AtomicBool::new(false);
    if ARMED.swap(true, Ordering::Relaxed) {
        return;
    }
    let armed = thread::Builder::new().name("vigie-deadline".into()).spawn(move || {
        let until = Instant::now() + GRACE;
        while let Some(left) = until.checked_duration_since(Instant::now()) {
            thread::park_timeout(left);
        }
        end(code);
    });
    if armed.is_err() {
        end(code);
    }
}

/// Gives the terminal back and ends the process.
pub fn end(code: u8) -> ! {
    guard::restore();
    process::exit(i32::from(code));
}
