//! The terminal's edge in a real terminal: whatever happens, the terminal is given back, and the
//! process ends with the exit code that says why.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use portable_pty::CommandBuilder;
use rustix::process::Signal;

use crate::terminal::{GONE, NO_SPIN, Terminal, has_colour};

/// What runs in the terminal.
const PROGRAM: &str = "edge";

#[test]
fn starts_and_quits() {
    let mut terminal = start(|_| {});
    assert!(terminal.screen().alternate_screen() && terminal.screen().hide_cursor());
    assert!(terminal.screen().bracketed_paste() && !terminal.is_as_before());
    assert_eq!(terminal.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    terminal.press("q");
    ends(&mut terminal, 0);
}

#[test]
fn every_way_out_restores_the_terminal() {
    for (keys, signal, code, said) in [
        ("e", None, 1, "error: as told"),
        ("w", None, 1, "error: drawing: the terminal is broken"),
        ("p", None, 101, "as told"),
        ("b", None, 101, "as told, elsewhere"),
        ("m", Some(Signal::HUP), 129, ""),
        ("m", Some(Signal::INT), 130, ""),
        ("m", Some(Signal::QUIT), 131, ""),
        ("m", Some(Signal::TERM), 143, ""),
        // The loop takes no notice.
        ("ms", Some(Signal::TERM), 143, ""),
    ] {
        let mut terminal = start(|_| {});
        terminal.press(keys);
        if let Some(signal) = signal {
            terminal.wait_for_text("mouse true");
            assert_ne!(terminal.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
            terminal.signal(signal);
        }
        ends(&mut terminal, code);
        assert!(terminal.screen().contents().contains(said), "{keys} {signal:?}");
        assert!(!terminal.screen().contents().contains("edge 80x24"), "{keys} {signal:?}");
    }
}

#[test]
fn a_panic_is_reported_on_the_restored_screen() {
    let mut terminal = start(|_| {});
    terminal.take_bytes();
    terminal.press("p");
    ends(&mut terminal, 101);
    let bytes = terminal.take_bytes();
    let (restored, reported) = (bytes.find("\x1b[?1049l"), bytes.find("panicked at"));
    assert!(restored.is_some() && restored < reported, "{bytes:?}");
}

#[test]
fn a_stalled_terminal_keeps_nobody() {
    let mut terminal = start(|_| {});
    terminal.press("f");
    terminal.wait_for_text("last flood");
    terminal.signal(Signal::TERM);
    // Nobody reads: it is stuck in a write, and so is whatever it would say at the end.
    let ended = terminal.wait_without_reading();
    assert_eq!(ended.code, 143);
    assert!(terminal.is_as_before());

    let mut terminal = start(|_| {});
    terminal.press("f");
    terminal.wait_for_text("last flood");
    assert_eq!(terminal.hang_up().code, 129);
}

#[test]
fn ends_when_the_terminal_has_gone() {
    for ((name, prepare), keys) in GONE.iter().flat_map(|how| [(how, ""), (how, "s")]) {
        let mut terminal = start(prepare);
        terminal.press(&format!("x{keys}"));
        terminal.wait_for_text("last x");
        let ended = terminal.hang_up();
        assert_eq!(ended.code, 129, "{name}, {keys:?}");
        assert!(ended.cpu < NO_SPIN, "{name}, {keys:?}: {ended:?}");
    }
}

#[test]
fn ctrl_z_hands_over_to_the_shell_and_fg_back() {
    let mut terminal = Terminal::start("/bin/sh", |command| {
        command.arg("-i");
        command.env("PS1", "ready> ");
    });
    terminal.wait_for_text("ready>");
    terminal.press(&format!("{}\r", program().display()));
    terminal.wait_for_text("edge 80x24");
    terminal.press("xm");
    terminal.wait_for_text("mouse true");
    let shell = |screen: &vt100::Screen| {
        !screen.alternate_screen() && screen.contents().trim_end().ends_with("ready>")
    };
    for round in 0..2 {
        terminal.press("\x1a");
        terminal.wait_for("the shell", shell);
        assert!(!terminal.screen().hide_cursor() && !terminal.screen().bracketed_paste(), "{round}");
        assert_eq!(terminal.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None, "{round}");
        terminal.press("fg\r");
        terminal.wait_for("the program again", |screen| {
            screen.alternate_screen() && screen.hide_cursor() && screen.contents().contains("last x")
        });
        assert_ne!(terminal.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None, "{round}");
    }
    terminal.press("q");
    terminal.wait_for("the shell", shell);
    terminal.press("exit $?\r");
    ends(&mut terminal, 0);
}

#[test]
fn ctrl_z_without_a_shell_repaints() {
    let mut terminal = start(|_| {});
    terminal.take_bytes();
    terminal.press("\x1a");
    terminal.wait_for_text("keys 1");
    assert!(terminal.take_bytes().contains("\x1b[2J"));
    terminal.press("q");
    ends(&mut terminal, 0);
}

#[test]
fn whoever_stops_it_gets_it_repainted() {
    let mut terminal = start(|_| {});
    terminal.signal(Signal::STOP);
    terminal.resize(100, 30);
    terminal.take_bytes();
    terminal.signal(Signal::CONT);
    terminal.wait_for_text("edge 100x30");
    assert!(terminal.take_bytes().contains("\x1b[?1049h"));
    terminal.press("q");
    ends(&mut terminal, 0);
}

#[test]
fn sizes_follow_the_window() {
    let mut terminal = start(|_| {});
    for (columns, rows, shown) in
        [(1, 1, "e"), (120, 40, "edge 120x40"), (3, 200, "edg"), (80, 24, "edge 80x24")]
    {
        terminal.resize(columns, rows);
        terminal.wait_for(shown, |screen| {
            screen.contents().lines().next() == Some(shown)
                && screen.contents().lines().all(|line| line.len() <= usize::from(columns))
        });
    }
    terminal.press("q");
    ends(&mut terminal, 0);
}

#[test]
fn no_color_keeps_bold_and_reverse() {
    for (no_color, colours) in [(None, true), (Some("1"), false), (Some(""), true)] {
        let mut terminal = start(|command| {
            no_color.into_iter().for_each(|value| command.env("NO_COLOR", value));
        });
        let cell = |row| terminal.screen().cell(row, 0).expect("on the screen");
        assert_eq!(cell(0).fgcolor() != vt100::Color::Default, colours, "{no_color:?}");
        assert!(cell(1).bold() && cell(2).inverse(), "{no_color:?}");
        let bytes = terminal.take_bytes();
        assert_eq!(has_colour(&bytes), colours, "{no_color:?} {bytes:?}");
        terminal.press("q");
        ends(&mut terminal, 0);
    }
}

#[test]
fn keys_arrive_however_many_at_once() {
    let mut terminal = start(|_| {});
    terminal.press(&"x".repeat(3_000));
    terminal.wait_for_text("keys 3000 last x");
    terminal.press("\x1b[200~pasted\x1b[201~");
    terminal.wait_for_text("last paste pasted");
    terminal.press("\x1b");
    terminal.wait_for_text("last Esc");
    terminal.press("m");
    terminal.wait_for_text("mouse true");
    terminal.press("\x1b[<0;7;3M");
    terminal.wait_for_text("last mouse 6,2");
    terminal.press("mq");
    ends(&mut terminal, 0);
}

#[test]
fn says_what_it_needs() {
    for (term, said) in [("dumb", "but TERM is `dumb`"), ("", "but TERM is not set")] {
        let mut terminal = Terminal::start(&path(), |command| command.env("TERM", term));
        ends(&mut terminal, 2);
        let bytes = terminal.take_bytes();
        assert!(bytes.contains(said) && !bytes.contains('\x1b'), "{bytes:?}");
    }
    let output =
        Command::new(program()).stdin(Stdio::null()).env("TERM", "xterm").output().expect("it starts");
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(2), &b""[..]));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(said, "error: needs a terminal, but standard input is none\n");
}

/// Starts the program and waits for its first frame.
fn start(prepare: impl FnOnce(&mut CommandBuilder)) -> Terminal {
    let mut terminal = Terminal::start(&path(), prepare);
    terminal.wait_for_text("mouse false");
    terminal
}

/// Waits for the end, and for a terminal that is as if nothing had been.
fn ends(terminal: &mut Terminal, code: u32) {
    let ended = terminal.ends(code);
    assert!(ended.cpu < NO_SPIN, "{ended:?}");
}

fn path() -> String {
    program().into_os_string().into_string().expect("a path in UTF-8")
}

/// Where cargo puts examples: beside this test's own directory.
fn program() -> PathBuf {
    let this = std::env::current_exe().expect("a path");
    let built = this.parent().and_then(|deps| deps.parent()).expect("target/<profile>/deps");
    let program = built.join("examples").join(PROGRAM);
    assert!(program.exists(), "`cargo build --example {PROGRAM}` makes {}", program.display());
    program
}
