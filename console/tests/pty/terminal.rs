//! A terminal for tests: a pseudo-terminal with a program in it and, at the other end, an emulator
//! that answers what programs ask. Nothing in here sleeps: it waits for output or for the end of the
//! process, both with a deadline.

use std::fmt::Debug;
use std::io::{Read as _, Write as _};
use std::num::NonZeroU16;
use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use filedescriptor::FileDescriptor;
use portable_pty::{Child, CommandBuilder, MasterPty, PtySize, SlavePty, native_pty_system};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};

/// The longest wait for anything: long enough for a machine that does much else.
const DEADLINE: Duration = Duration::from_secs(30);

/// More CPU time than it takes to start and to end, and much less than one takes that spins until it
/// is noticed.
pub const NO_SPIN: Duration = Duration::from_secs(1);

/// What is done to a command before it starts.
pub type Prepare = fn(&mut CommandBuilder);

/// The ways in which a terminal can go, and how to start what it is taken away from.
pub const GONE: [(&str, Prepare); 3] = [
    ("hung up", |_| {}),
    ("as under nohup", |command| {
        let program = command.get_argv()[0].clone();
        *command.get_argv_mut() = ["/bin/sh", "-c", "trap '' HUP; exec \"$0\""].map(Into::into).into();
        command.arg(program);
    }),
    ("a terminal of which no signal comes", |command| command.set_controlling_tty(false)),
];

/// A program in a terminal.
pub struct Terminal {
    master: Box<dyn MasterPty>,
    /// The same master, to be waited for.
    wire: FileDescriptor,
    /// Held so that the terminal outlives the program: its modes can be looked at after the end.
    slave: Box<dyn SlavePty>,
    child: Box<dyn Child + Send + Sync>,
    emulator: vt100::Parser<Answers>,
    bytes: Vec<u8>,
    modes: String,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// Its exit code.
    pub code: u32,
    /// The CPU time it took in all, in user and kernel mode.
    pub cpu: Duration,
}

/// What a program did while nobody did anything.
#[derive(Debug)]
pub struct Idle {
    /// What it wrote.
    pub bytes: String,
    /// The CPU time it took meanwhile, in user and kernel mode.
    pub cpu: Duration,
}

impl Terminal {
    /// Starts a program in a terminal of 80×24, `xterm-256color`, UTF-8; `prepare` adds arguments and
    /// variables.
    pub fn start(program: &str, prepare: impl FnOnce(&mut CommandBuilder)) -> Self {
        let size = PtySize { rows: 24, cols: 80, pixel_width: 0, pixel_height: 0 };
        let pair = native_pty_system().openpty(size).expect("a pseudo-terminal");
        let mut command = CommandBuilder::new(program);
        command.env_clear();
        for (name, value) in [("TERM", "xterm-256color"), ("LANG", "C.UTF-8"), ("PATH", "/usr/bin:/bin")] {
            command.env(name, value);
        }
        command.cwd(std::env::temp_dir());
        prepare(&mut command);
        let wire = FileDescriptor::dup(&pair.master.as_raw_fd().expect("a descriptor")).expect("another one");
        let modes = modes(pair.master.as_ref());
        let child = pair.slave.spawn_command(command).expect("the program starts");
        let emulator = vt100::Parser::new_with_callbacks(cells(24), cells(80), 0, Answers::default());
        Self { master: pair.master, wire, slave: pair.slave, child, emulator, bytes: Vec::new(), modes }
    }

    /// Reads until the screen is as `expected`, at the end of a frame.
    pub fn wait_for(&mut self, what: &str, expected: impl Fn(&vt100::Screen) -> bool) {
        let until = Instant::now() + DEADLINE;
        while self.emulator.callbacks().in_frame || !expected(self.screen()) {
            let there = self.read_until(until);
            assert!(there, "waited for {what}, but the screen shows:\n{}", self.screen().contents());
        }
    }

    /// Reads until the screen shows a text.
    pub fn wait_for_text(&mut self, text: &str) {
        self.wait_for(text, |screen| screen.contents().contains(text));
    }

    /// What it shows.
    pub fn screen(&self) -> &vt100::Screen {
        self.emulator.screen()
    }

    /// A line of what it shows, from 0, without blanks at its end.
    pub fn line(&self, n: usize) -> String {
        line(self.screen(), n)
    }

    /// Everything that was written to it, since the last call.
    pub fn take_bytes(&mut self) -> String {
        String::from_utf8_lossy(&std::mem::take(&mut self.bytes)).into_owned()
    }

    /// Types.
    pub fn press(&mut self, keys: &str) {
        self.wire.write_all(keys.as_bytes()).expect("the terminal takes keys");
    }

    /// Makes the window larger or smaller.
    pub fn resize(&mut self, columns: u16, rows: u16) {
        self.emulator.screen_mut().set_size(cells(rows), cells(columns));
        let size = PtySize { rows, cols: columns, pixel_width: 0, pixel_height: 0 };
        self.master.resize(size).expect("a new size");
    }

    /// Sends a signal to the program.
    pub fn signal(&self, signal: Signal) {
        rustix::process::kill_process(self.pid(), signal).expect("the program is there");
    }

    /// Whether the terminal's modes are as they were before the program started.
    pub fn is_as_before(&self) -> bool {
        modes(self.master.as_ref()) == self.modes
    }

    /// Takes the terminal away, as a window that is closed or a link that is cut; then waits for the
    /// program's end.
    pub fn hang_up(self) -> Ended {
        let Self { master, wire, slave, mut child, .. } = self;
        drop((master, wire));
        let ended = wait(child.as_mut());
        drop(slave);
        ended
    }

    /// Reads for so long whatever comes, and says what came and what it cost.
    pub fn idle(&mut self, time: Duration) -> Idle {
        let (until, before) = (Instant::now() + time, cpu(self.pid()));
        self.bytes.clear();
        while self.read_until(until) {}
        assert!(Instant::now() >= until, "it ended");
        Idle { bytes: self.take_bytes(), cpu: cpu(self.pid()) - before }
    }

    /// Waits for the program's end, and for a terminal that is as if nothing had been.
    pub fn ends(&mut self, code: u32) -> Ended {
        let ended = self.wait_for_end();
        assert_eq!(ended.code, code, "{}", self.screen().contents());
        let screen = self.screen();
        assert!(!screen.alternate_screen() && !screen.hide_cursor() && !screen.bracketed_paste());
        assert_eq!(screen.mouse_protocol_mode(), vt100::MouseProtocolMode::None);
        let plain = !screen.bold() && !screen.inverse() && screen.fgcolor() == vt100::Color::Default;
        assert!(plain && self.is_as_before(), "{:?}", self.take_bytes());
        ended
    }

    /// Waits for the program's end without reading what it writes.
    pub fn wait_without_reading(&mut self) -> Ended {
        wait(self.child.as_mut())
    }

    /// Reads until the program has ended, and all that it wrote.
    pub fn wait_for_end(&mut self) -> Ended {
        let until = Instant::now() + DEADLINE;
        let pidfd = pidfd_open(self.pid(), PidfdFlags::empty()).expect("the program is not reaped");
        loop {
            let [ended, written] = ready([pidfd.as_fd(), self.wire.as_fd()], until);
            if written {
                self.read();
            } else if ended {
                return wait(self.child.as_mut());
            } else {
                panic!("still running; the screen shows:\n{}", self.screen().contents());
            }
        }
    }

    fn pid(&self) -> Pid {
        pid(self.child.as_ref())
    }

    fn read_until(&mut self, until: Instant) -> bool {
        let [written] = ready([self.wire.as_fd()], until);
        written && self.read()
    }

    fn read(&mut self) -> bool {
        let mut buffer = [0; 65_536];
        // An error means that nobody has the other end any more.
        let Ok(read @ 1..) = self.wire.read(&mut buffer) else { return false };
        self.bytes.extend_from_slice(&buffer[..read]);
        self.emulator.process(&buffer[..read]);
        let answers = std::mem::take(&mut self.emulator.callbacks_mut().answers);
        self.wire.write_all(&answers).is_ok()
    }
}

/// A line of a screen, from 0, without blanks at its end.
pub fn line(screen: &vt100::Screen, n: usize) -> String {
    let (_, columns) = screen.size();
    screen.rows(0, columns.into()).nth(n).unwrap_or_default().trim_end().to_owned()
}

/// Whether bytes for a terminal set any colour.
pub fn has_colour(bytes: &str) -> bool {
    let sgr = bytes.split("\x1b[").filter_map(|rest| rest.split_once('m')).map(|(codes, _)| codes);
    sgr.flat_map(|codes| codes.split(';').filter_map(|code| code.parse::<u8>().ok()))
        .any(|code| matches!(code, 30..=49 | 90..=107))
}

/// What an xterm answers.
#[derive(Default)]
struct Answers {
    answers: Vec<u8>,
    /// Whether a frame has begun that is to be shown as a whole (DEC mode 2026).
    in_frame: bool,
}

impl vt100::Callbacks for Answers {
    fn unhandled_csi(
        &mut self,
        screen: &mut vt100::Screen,
        intermediate: Option<u8>,
        _: Option<u8>,
        parameters: &[&[u16]],
        last: char,
    ) {
        match (intermediate, parameters, last) {
            (None, [[6]], 'n') => {
                let (row, column) = screen.cursor_position();
                self.answers.extend_from_slice(format!("\x1b[{};{}R", row + 1, column + 1).as_bytes());
            }
            (None, [] | [[0]], 'c') => self.answers.extend_from_slice(b"\x1b[?62;22c"),
            (Some(b'?'), [[2026]], 'h' | 'l') => self.in_frame = last == 'h',
            _ => {}
        }
    }
}

/// Waits until there is something to read, be it the end.
pub fn becomes_readable(file: &impl AsFd) -> bool {
    let [readable] = ready([file.as_fd()], Instant::now() + DEADLINE);
    readable
}

fn ready<const N: usize>(fds: [BorrowedFd<'_>; N], until: Instant) -> [bool; N] {
    let left = until.saturating_duration_since(Instant::now());
    let left = Timespec::try_from(left).expect("a short time");
    let mut fds = fds.map(|fd| PollFd::from_borrowed_fd(fd, PollFlags::IN));
    poll(&mut fds, Some(&left)).expect("descriptors that are open");
    fds.map(|fd| !fd.revents().is_empty())
}

fn wait(child: &mut dyn Child) -> Ended {
    let pid = pid(child);
    let pidfd = pidfd_open(pid, PidfdFlags::empty()).expect("the program is not reaped");
    let [ended] = ready([pidfd.as_fd()], Instant::now() + DEADLINE);
    assert!(ended, "still running, after {:?} of CPU time", cpu(pid));
    // Not reaped yet, so the kernel still knows.
    let cpu = cpu(pid);
    let status = child.wait().expect("it has ended");
    assert_eq!(status.signal(), None, "killed");
    Ended { code: status.exit_code(), cpu }
}

fn pid(child: &dyn Child) -> Pid {
    let pid = child.process_id().and_then(|pid| i32::try_from(pid).ok());
    pid.and_then(Pid::from_raw).expect("a process")
}

fn cpu(pid: Pid) -> Duration {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_pid())).expect("a process");
    // The name, in parentheses, may contain anything; user and system time are the 14th and 15th field.
    let (_, fields) = stat.rsplit_once(") ").expect("a name");
    let ticks: u64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    // Linux counts in hundredths of a second here on every architecture.
    Duration::from_millis(ticks * 10)
}

fn cells(count: u16) -> NonZeroU16 {
    NonZeroU16::new(count).expect("a terminal has cells")
}

fn modes(master: &dyn MasterPty) -> String {
    // Only its debug form can be compared without depending on the crate it comes from.
    let termios: &dyn Debug = &master.get_termios().expect("a terminal");
    format!("{termios:?}")
}
