//! What happened, written down with one key and played back.

use std::path::PathBuf;

use crate::console::{VIGIE, at_home, command, lab, start_at, wait_for_view};
use crate::fake::Fake;
use crate::terminal::{Terminal, line};

const F12: &str = "\x1b[24~";

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_written_down_and_played_back() {
    let lab = lab();
    let (path, shown) = record(&lab);
    let path = path.to_str().expect("UTF-8");
    let ran = lab.vigie(&format!("replay {path} --text")).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert_eq!(timeless(&ran.stdout), timeless(&shown));
    let ran = lab.vigie(&format!("replay {path} --text --events 0")).await;
    assert!(ran.stdout.contains(" vigie overview ") && ran.stdout.contains("0/1 agents"), "{ran:?}");

    let mut terminal = Terminal::start(VIGIE, |command| {
        at_home(lab.home(), command);
        command.args(["replay", path]);
    });
    terminal.resize(120, 24);
    terminal.wait_for_text(" playing at 1×");
    terminal.press("G");
    terminal.wait_for_text("models birds on lab");
    terminal.press("q");
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "makes tests/fixtures/session.replay anew, which tests/commands/replay.rs plays"]
async fn make_the_fixture() {
    let lab = lab();
    let (path, _) = record(&lab);
    let fixture = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/session.replay");
    std::fs::create_dir_all(fixture.parent().expect("a folder")).expect("made");
    std::fs::copy(path, fixture).expect("copied");
}

/// A session that ends after a promotion. Returns the file, and the screen it ends on.
fn record(lab: &Fake) -> (PathBuf, String) {
    let mut terminal = start_at(lab);
    terminal.resize(120, 24);
    command(&mut terminal, "models");
    wait_for_view(&mut terminal, "models", &["v2", "lab: connected"]);
    terminal.press("P");
    terminal.wait_for_text("type v2");
    terminal.press("v2\r");
    terminal.wait_for("v2 in production", |screen| {
        (0..23).any(|n| ["v2", "● production"].iter().all(|part| line(screen, n).contains(part)))
    });
    let shown = terminal.screen().contents();
    terminal.press(F12);
    terminal.wait_for_text("; `vigie replay` plays it back");
    let bottom = terminal.line(23);
    let path = bottom.split_once("wrote ").and_then(|(_, rest)| rest.split_once(';'));
    let (path, _) = path.expect("the path");
    terminal.press("q");
    terminal.ends(0);
    (PathBuf::from(path), shown)
}

/// A screen without its last line and without figures: between the look and the key, a second may
/// have begun.
fn timeless(screen: &str) -> String {
    let lines: Vec<&str> = screen.lines().take(23).collect();
    lines.concat().chars().filter(|c| !c.is_ascii_digit() && !c.is_whitespace()).collect()
}
