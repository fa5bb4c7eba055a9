//! How the console begins and ends.

use std::fs::OpenOptions;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::process::Command;
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::Signal;

use crate::console::{VIGIE, at_home, command, configure, lab, shows, start, start_at, wait_for_view};
use crate::terminal::{GONE, NO_SPIN, Terminal, becomes_readable, has_colour, line};

/// Agents that cannot be reached, each for another reason.
const NOBODY: &str = r#"
[contexts.gone]
target = "unix:/nowhere/agent.sock"
[contexts.absent]
target = "exec:/no/such/program"
[contexts.mute]
target = "exec:/bin/sleep 1000"
[contexts.babbling]
target = "exec:/usr/bin/yes"
"#;

fn nobody() -> tempfile::TempDir {
    let home = tempfile::tempdir().expect("temp dir");
    configure(home.path(), NOBODY);
    home
}

#[test]
fn comes_up_without_any_agent_and_says_why() {
    let home = nobody();
    let begun = Instant::now();
    let mut terminal = start(home.path(), |_| {});
    // Without the network a frame takes a fraction of a second; this machine may do much else.
    assert!(begun.elapsed() < Duration::from_secs(10), "{:?}", begun.elapsed());
    assert!(terminal.screen().alternate_screen() && terminal.screen().hide_cursor());
    assert!(terminal.screen().bracketed_paste() && !terminal.is_as_before());
    assert_eq!(terminal.screen().mouse_protocol_mode(), vt100::MouseProtocolMode::None);
    terminal.resize(140, 24);
    for (agent, reason) in [
        ("gone", "no link: no agent listens on /nowhere/agent.sock"),
        ("absent", "no link: cannot run /no/such/program: No such file"),
        ("mute", "no link yet"),
        ("babbling", "no link: the peer does not speak Vigie's protocol"),
    ] {
        terminal.wait_for(agent, |screen| {
            (0..24).any(|n| line(screen, n).contains(agent) && line(screen, n).contains(reason))
        });
    }
    assert!(terminal.line(0).contains("0/4 agents"));
    terminal.press("?");
    wait_for_view(&mut terminal, "help", &["IN OVERVIEW", "ctrl-r", "reconnect"]);
    terminal.press("\x1b");
    terminal.wait_for("the overview", |screen| shows(screen, "overview"));
    terminal.press("q");
    assert!(terminal.ends(0).cpu < NO_SPIN);
}

#[test]
fn signals_end_it_and_the_terminal_is_given_back() {
    for (signal, code) in [(Signal::HUP, 129), (Signal::INT, 130), (Signal::QUIT, 131), (Signal::TERM, 143)] {
        let home = nobody();
        let mut terminal = start(home.path(), |_| {});
        terminal.signal(signal);
        terminal.ends(code);
        assert!(!terminal.screen().contents().contains("overview"), "{signal:?}");
    }
}

#[test]
fn ends_when_the_terminal_has_gone() {
    for (name, prepare) in GONE {
        let home = nobody();
        let ended = start(home.path(), prepare).hang_up();
        assert_eq!(ended.code, 129, "{name}");
        assert!(ended.cpu < NO_SPIN, "{name}: {ended:?}");
    }
}

#[test]
fn the_commands_that_reach_agents_end_with_it() {
    type End = fn(Terminal);
    let quit: End = |mut terminal| {
        terminal.press("q");
        terminal.ends(0);
    };
    let terminated: End = |mut terminal| {
        terminal.signal(Signal::TERM);
        terminal.ends(143);
    };
    let gone: End = |terminal| assert_eq!(terminal.hang_up().code, 129);
    let [as_is, ..] = GONE;
    let asked = [("quit", as_is.1, quit), ("terminated", as_is.1, terminated)];
    for (name, prepare, end) in asked.into_iter().chain(GONE.map(|(name, prepare)| (name, prepare, gone))) {
        let home = tempfile::tempdir().expect("temp dir");
        let [fifo, reach] = ["fifo", "reach"].map(|name| home.path().join(name));
        assert!(Command::new("mkfifo").arg(&fifo).status().expect("it runs").success());
        // It holds the pipe open for as long as it lives, and takes no notice of its own input's end.
        let script = format!("exec 3> {}\necho up >&3\nexec sleep 1000\n", fifo.display());
        std::fs::write(&reach, script).expect("written");
        configure(home.path(), &format!("[contexts.far]\ntarget = \"exec:/bin/sh {}\"\n", reach.display()));
        // Opened before anybody writes to it, without waiting for that.
        let flags = OFlags::NONBLOCK.bits().cast_signed();
        let mut pipe = OpenOptions::new().read(true).custom_flags(flags).open(&fifo).expect("there");
        let terminal = start(home.path(), prepare);
        let mut said = [0; 3];
        assert!(becomes_readable(&pipe), "{name}");
        pipe.read_exact(&mut said).expect("said");
        end(terminal);
        assert!(becomes_readable(&pipe), "{name}: it goes on");
        assert_eq!(pipe.read(&mut said).expect("the end"), 0, "{name}");
    }
}

#[test]
fn ctrl_z_hands_over_to_the_shell_and_fg_back() {
    let home = nobody();
    let mut terminal = Terminal::start("/bin/sh", |command| {
        at_home(home.path(), command);
        command.arg("-i");
        command.env("PS1", "ready> ");
    });
    let shell = |screen: &vt100::Screen| {
        !screen.alternate_screen() && screen.contents().trim_end().ends_with("ready>")
    };
    terminal.wait_for("the shell", shell);
    terminal.press(&format!("{VIGIE}\r"));
    terminal.wait_for("the overview", |screen| shows(screen, "overview"));
    command(&mut terminal, "agents");
    terminal.wait_for("the agents", |screen| shows(screen, "agents"));
    for round in 0..2 {
        terminal.press("\x1a");
        terminal.wait_for("the shell", shell);
        assert!(!terminal.screen().hide_cursor() && !terminal.screen().bracketed_paste(), "{round}");
        terminal.press("fg\r");
        terminal.wait_for("the agents again", |screen| {
            screen.alternate_screen() && screen.hide_cursor() && shows(screen, "agents")
        });
    }
    terminal.press("q");
    terminal.wait_for("the shell", shell);
    terminal.press("exit $?\r");
    terminal.ends(0);
}

#[test]
fn every_size_is_drawn_or_politely_refused() {
    let home = nobody();
    let mut terminal = start(home.path(), |_| {});
    // A prompt, a menu and help must fit too, or give way.
    for (keys, shown) in [
        ("", "enter open"),
        (":mo", ":mo"),
        ("\x1b", "enter open"),
        ("?", "EVERYWHERE"),
        ("\x1b", "enter open"),
    ] {
        terminal.press(keys);
        terminal.wait_for_text(shown);
        for (columns, rows, notice) in [
            (1, 1, "…"),
            (79, 24, "vigie needs 80x24 cells; here are 79x24"),
            (80, 1, "vigie needs 80x24 cells; here are 80x1"),
        ] {
            terminal.resize(columns, rows);
            terminal.wait_for(notice, |screen| screen.contents().lines().next() == Some(notice));
        }
        for (columns, rows) in [(300, 100), (80, 24)] {
            terminal.resize(columns, rows);
            terminal.wait_for(shown, |screen| {
                screen.contents().contains(shown) && screen.contents().contains("vigie overview")
            });
        }
    }
    terminal.press("q");
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn no_color_means_no_colour() {
    let lab = lab();
    for (no_color, colours) in [("1", false), ("", true)] {
        let mut terminal = start(lab.home(), |command| command.env("NO_COLOR", no_color));
        terminal.wait_for_text("birds v1");
        command(&mut terminal, "models");
        wait_for_view(&mut terminal, "models", &["v2", "● pro"]);
        let bytes = terminal.take_bytes();
        assert_eq!(has_colour(&bytes), colours, "{bytes:?}");
        // What is selected can be told without colours.
        assert!(bytes.contains("\x1b[7m") || bytes.contains(";7m"), "{bytes:?}");
        terminal.press("q");
        terminal.ends(0);
    }
}

#[test]
fn says_what_it_needs() {
    let home = nobody();
    for (term, said) in [(Some("dumb"), "but TERM is `dumb`"), (None, "but TERM is not set")] {
        let mut terminal = Terminal::start(VIGIE, |command| {
            at_home(home.path(), command);
            match term {
                Some(term) => command.env("TERM", term),
                None => command.env_remove("TERM"),
            }
        });
        terminal.ends(2);
        let bytes = terminal.take_bytes();
        assert!(bytes.contains(said) && bytes.contains("every screen is a command too"), "{bytes:?}");
        assert!(!bytes.contains('\x1b'), "{bytes:?}");
    }
}

#[test]
fn a_pipe_at_either_end_gets_the_help() {
    let home = nobody();
    for line in ["\"$0\" < /dev/null", "\"$0\" | cat"] {
        let mut terminal = Terminal::start("/bin/sh", |command| {
            at_home(home.path(), command);
            command.args(["-c", line, VIGIE]);
        });
        terminal.ends(0);
        let bytes = terminal.take_bytes();
        assert!(bytes.contains("Usage: vigie [OPTIONS] [COMMAND]"), "{line}: {bytes:?}");
        assert!(!bytes.contains("\x1b[?1049h"), "{line}: {bytes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn ends_with_an_agent_as_without() {
    let lab = lab();
    let mut terminal = start_at(&lab);
    terminal.signal(Signal::TERM);
    terminal.ends(143);
    let ended = start_at(&lab).hang_up();
    assert!(ended.code == 129 && ended.cpu < NO_SPIN, "{ended:?}");
}
