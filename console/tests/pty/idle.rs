//! What a console costs when nothing happens.

use std::time::Duration;

use crate::console::{command, lab, start_at, wait_for_view};
use crate::terminal::Terminal;

/// For so long nothing is done.
const QUIET: Duration = Duration::from_secs(10);

/// Of one core: ten times what it takes, for all that this machine does besides.
const MOST: f64 = if cfg!(debug_assertions) { 0.05 } else { 0.01 };

/// One a second for the ages, and some for an agent's figures and for a message that is shown no more.
const MOST_FRAMES: usize = 15;

/// Of each frame: its two ends, a place, a colour, an age.
const MOST_BYTES: usize = 80;

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_console_writes_nothing_but_ages() {
    let lab = lab();
    let mut terminal = start_at(&lab);
    stays_quiet(&mut terminal);
    command(&mut terminal, "back");
    command(&mut terminal, "messages");
    wait_for_view(&mut terminal, "messages", &["this is the first screen"]);
    stays_quiet(&mut terminal);
    terminal.press("q");
    terminal.ends(0);
}

fn stays_quiet(terminal: &mut Terminal) {
    // What was asked for at the start has come by then.
    terminal.idle(Duration::from_secs(2));
    let before = timeless(terminal);
    let idle = terminal.idle(QUIET);
    let frames = idle.bytes.matches("\x1b[?2026h").count();
    assert!(idle.cpu <= QUIET.mul_f64(MOST), "{:?}", idle.cpu);
    assert!(frames <= MOST_FRAMES, "{frames} frames: {:?}", idle.bytes);
    assert!(idle.bytes.len() <= frames * MOST_BYTES + 200, "{:?}", idle.bytes);
    assert_eq!(timeless(terminal), before);
}

/// The screen without its last line and without what changes as time goes by: ages, and the figures
/// of the last minutes with their little charts.
fn timeless(terminal: &Terminal) -> String {
    let text = (0..23).map(|n| terminal.line(n)).collect::<Vec<_>>().join("\n");
    let ages = ["just", "now", "ago", "min", " s ", "/s"];
    let text = ages.iter().fold(text, |text, age| text.replace(age, ""));
    text.chars().filter(|c| !(c.is_ascii_digit() || ('▁'..='█').contains(c) || " .-–".contains(*c))).collect()
}
