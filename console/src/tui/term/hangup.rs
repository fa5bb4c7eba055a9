//! Sees to it that the process ends when its terminal does. SIGHUP may be ignored (nohup), blocked, or
//! never sent (another session's terminal), and the loop may be busy elsewhere.

use std::io;
use std::thread;
use std::time::{Duration, Instant};

use rustix::event::PollFlags;
use rustix::process::getppid;
use rustix::stdio::stdin;
use rustix::termios::tcgetattr;

use super::tty::{self, Wait};
use super::{GONE, deadline};

/// A pseudo-terminal wakes us when it goes; other terminals need to be asked.
const ASK_EVERY: Duration = Duration::from_secs(5);

/// Watches from now on, in a thread that nobody waits for.
pub fn watch() -> io::Result<()> {
    let parent = getppid();
    thread::Builder::new().name("vigie-hangup".into()).spawn(move || {
        loop {
            let gone = tty::wait(stdin(), PollFlags::empty(), Some(Instant::now() + ASK_EVERY)) == Wait::Gone;
            // Who started us has died and another job took the terminal: nobody will ever hand it back.
            let orphaned = || getppid() != parent && tty::in_background();
            if gone || tcgetattr(stdin()).is_err() || orphaned() {
                return deadline::end_soon(GONE);
            }
        }
    })?;
    Ok(())
}
