//! Agents that go, come back, or stay away, under a console that is open.

use std::time::{Duration, Instant};

use vigie_protocol::event::Subject;

use crate::console::{command, lab, shows, start_at, wait_for_view};
use crate::terminal::line;

/// The longest that a loss may go unnoticed: a person has looked away by then. It takes much less, but
/// for what else this machine does.
const NOTICED: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_comes_back_is_taken_up_again() {
    let lab = lab();
    let mut terminal = start_at(&lab);
    command(&mut terminal, "models");
    wait_for_view(&mut terminal, "models", &["lab: connected", "v2"]);
    for round in 0..2 {
        let begun = Instant::now();
        lab.stop().await;
        terminal.wait_for("the loss", |screen| line(screen, 0).contains("lab: retry"));
        assert!(begun.elapsed() < NOTICED, "{round}: {:?}", begun.elapsed());
        // What is known stays, and what would ask the agent says why it does not.
        assert!(terminal.screen().contents().contains("v2"), "{round}");
        terminal.press("P");
        terminal.wait_for_text("promote: lab is not connected");
        lab.start_again();
        terminal.wait_for("the agent again", |screen| line(screen, 0).contains("lab: connected"));
    }
    command(&mut terminal, "messages");
    // Why it was lost, or, if that was known sooner than it was drawn, why it could not be reached.
    wait_for_view(&mut terminal, "messages", &["✖ failed  lab: "]);
    lab.world().tell(Subject::Agent, "told since");
    command(&mut terminal, "events");
    wait_for_view(&mut terminal, "events", &["told since"]);
    terminal.press("q");
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_that_stays_away_leaves_a_live_console() {
    let lab = lab();
    let mut terminal = start_at(&lab);
    lab.stop().await;
    terminal.wait_for("the reason", |screen| {
        line(screen, 0).contains("0/1 agents") && screen.contents().contains("no link: no agent listens on")
    });
    command(&mut terminal, "models");
    // With the seconds that are left, once the waits are that long.
    terminal.wait_for("the next attempt", |screen| line(screen, 0).contains("lab: retry in "));
    terminal.press("?");
    wait_for_view(&mut terminal, "help", &["IN MODELS"]);
    terminal.press("\x1b");
    terminal.wait_for("the models", |screen| shows(screen, "models"));
    terminal.press("q");
    terminal.ends(0);
}
