//! The terminal as the operating system sees it: standard input and output, without `std`'s locks,
//! which a thread that is stuck in a write would hold for ever.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use ratatui::layout::Size;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{getpgrp, getsid};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{tcgetpgrp, tcgetsid, tcgetwinsize};

/// The longest that giving the terminal back waits for a terminal that takes no output.
const PATIENCE: Duration = Duration::from_secs(1);

/// Assumed where the terminal does not know, as on a serial line.
const UNKNOWN: Size = Size::new(80, 24);

/// Standard output, unbuffered: one write of a frame is one write to the terminal.
pub fn output() -> io::Result<File> {
    Ok(File::from(stdout().try_clone_to_owned()?))
}

/// The terminal's size in cells.
pub fn size() -> Size {
    match tcgetwinsize(stdout()) {
        Ok(size) if size.ws_col > 0 && size.ws_row > 0 => Size::new(size.ws_col, size.ws_row),
        Ok(_) | Err(_) => UNKNOWN,
    }
}

/// Writes all of `bytes`, however long the terminal takes.
pub fn say(bytes: &[u8]) -> io::Result<()> {
    io::Write::write_all(&mut output()?, bytes)
}

/// Writes as much of `bytes` as a terminal takes that may be stalled or gone.
pub fn say_briefly(bytes: &[u8]) {
    let own = nonblocking();
    let to = own.as_ref().map_or(stdout(), |own| own.as_fd());
    let until = Instant::now() + PATIENCE;
    let mut left = bytes;
    while !left.is_empty() && wait(to, PollFlags::OUT, Some(until)) == Wait::Ready {
        match rustix::io::write(to, left) {
            Ok(written) => left = left.get(written..).unwrap_or_default(),
            Err(Errno::AGAIN | Errno::INTR) => {}
            Err(_) => return,
        }
    }
}

/// Whether another job has the terminal: then neither its modes nor its screen are ours.
pub fn in_background() -> bool {
    // An error means that it is not our controlling terminal: then there are no jobs to it.
    tcgetpgrp(stdin()).is_ok_and(|group| group != getpgrp())
}

/// What waiting ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wait {
    /// What was waited for is there.
    Ready,
    /// It was not in time.
    TimedOut,
    /// It never will be: the terminal has gone.
    Gone,
}

/// Waits until `fd` is ready for `what`; a hang-up counts more than what is left to read.
pub fn wait(fd: BorrowedFd<'_>, what: PollFlags, until: Option<Instant>) -> Wait {
    loop {
        let left = until.map(|until| until.saturating_duration_since(Instant::now()));
        let timeout = left.and_then(|left| Timespec::try_from(left).ok());
        let mut fds = [PollFd::from_borrowed_fd(fd, what)];
        match poll(&mut fds, timeout.as_ref()) {
            Ok(0) => return Wait::TimedOut,
            Ok(_) if fds[0].revents().intersects(PollFlags::HUP | PollFlags::ERR | PollFlags::NVAL) => {
                return Wait::Gone;
            }
            Ok(_) => return Wait::Ready,
            Err(Errno::INTR) => {}
            Err(_) => return Wait::Gone,
        }
    }
}

/// The same terminal once more, such that a write never waits. The flag cannot be set on standard
/// output itself: the shell and whoever else shares the terminal would get it too.
fn nonblocking() -> Option<OwnedFd> {
    let ours = tcgetsid(stdout()).ok()? == getsid(None).ok()?;
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    ours.then(|| rustix::fs::open("/dev/tty", flags, Mode::empty()).ok()).flatten()
}
