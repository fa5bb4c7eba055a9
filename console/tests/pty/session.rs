//! A person at the console, and an agent that has everything.

use vigie_protocol::ModelNumber;
use vigie_protocol::model::Alias;

use crate::console::{command, lab, shows, start_at, wait_for_view};
use crate::fake::Fake;
use crate::terminal::line;

/// Views by what is typed to see them: keys, or a command. Then something that only they show.
#[tokio::test(flavor = "multi_thread")]
async fn every_view_shows_what_the_agent_has() {
    let lab = lab();
    lab.file("bird.png", b"a picture");
    let mut terminal = start_at(&lab);
    for way in [
        &[(":overview", "overview", "store degraded"), ("\r", "agent", "MACHINE")][..],
        &[(":agents", "agents", "● connect"), ("\r", "agent", "LEASES"), ("e", "log", "the lamp flickers")],
        &[(":services", "services", "the disk is nearly full"), ("\r", "agent", "SERVICES")],
        &[(":projects", "projects", "birds"), ("\r", "models", "VERSION")],
        &[(":datasets", "datasets", "VERSION BY VERSION"), ("\r", "dataset", "CLASS")],
        &[(":datasets", "datasets", "TRAIN"), ("d", "diff", "owl"), ("\x1b", "datasets", "TRAIN")],
        &[(":datasets", "datasets", "TRAIN"), ("p", "images", "owl")],
        &[(":changesets", "changesets", "accep"), ("\r", "changeset", "owls/2.txt  not an image")],
        &[(":jobs", "jobs", "failed"), ("\r", "job", "out of memory: memory ran out")],
        &[(":runs", "runs", "0.5000"), ("\r", "curves", "valid loss 0.5000")],
        &[(":models", "models", "v2"), ("\r", "model", "test accuracy 75.0 %"), ("C", "confusion", "owl")],
        &[(":models", "models", "v2"), ("v", "compare", "v1"), ("\x1b", "models", "v2")],
        &[(":models", "models", "v2"), ("gt", "gate", "test-accuracy")],
        &[(":models", "models", "v2"), ("H", "aliases", "alice")],
        &[(":predictions", "predictions", "93.1 %"), ("\r", "prediction", "BEST CLASSES")],
        &[(":predict", "predict", "owls/1.jpg"), (":predict bird.png", "prediction", "owl")],
        &[(":events", "events", "the agent started"), ("\r", "agent", "MACHINE")],
        &[(":messages", "messages", "owl 93.1 %")],
        &[(":help", "help", "IN TABLES")],
    ] {
        for (typed, view, text) in way {
            match typed.strip_prefix(':') {
                Some(text) => command(&mut terminal, text),
                None => terminal.press(typed),
            }
            wait_for_view(&mut terminal, view, &[text]);
            // What an agent's texts hold of a terminal's language is spelled out.
            assert!(!terminal.take_bytes().contains("\x1b[2J at the feeder"));
        }
    }
    assert_eq!(lab.world().submitted, Vec::<&str>::new());
    terminal.press("q");
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_asks_for_the_name_and_one_key_takes_it_back() {
    let lab = lab();
    let mut terminal = start_at(&lab);
    command(&mut terminal, "models");
    wait_for_view(&mut terminal, "models", &["v2"]);
    terminal.press("P");
    terminal.wait_for_text("type v2");
    // Another name moves nothing, and is told.
    terminal.press("v1\r");
    terminal.wait_for_text("✖ type v2 to go on");
    terminal.press("\x15v2\r");
    terminal.wait_for_text("production of birds on lab is v2 now (12 ms); R gives it back to v1");
    assert_eq!(production(&lab), (ModelNumber(2), 2));
    terminal.press("R");
    terminal.wait_for_text("production of birds on lab is v1 now");
    assert_eq!(production(&lab), (ModelNumber(1), 3));
    // The offer is used up. Once the agent has told of the move, it asks as always.
    command(&mut terminal, "events");
    wait_for_view(&mut terminal, "events", &["production is v1 now"]);
    command(&mut terminal, "models");
    wait_for_view(&mut terminal, "models", &["v2"]);
    terminal.press("R");
    terminal.wait_for_text("Roll back to v2");
    terminal.press("\x1b");
    terminal.wait_for_text("nothing was done");
    assert_eq!(production(&lab), (ModelNumber(1), 3));
    terminal.press("q");
    terminal.ends(0);
}

fn production(lab: &Fake) -> (ModelNumber, u64) {
    let world = lab.world();
    let Alias { model, generation, .. } = world.production.as_ref().expect("somebody serves");
    (*model, *generation)
}

#[tokio::test(flavor = "multi_thread")]
async fn grave_commands_ask_for_a_name() {
    let lab = lab();
    let mut terminal = start_at(&lab);
    for (view, grave) in [("predictions", "forget"), ("agents", "gc"), ("models", "promote")] {
        command(&mut terminal, view);
        wait_for_view(&mut terminal, view, &["▶"]);
        command(&mut terminal, grave);
        terminal.wait_for_text("type ");
        terminal.press("nonsense\r");
        terminal.wait_for_text("✖ type ");
        terminal.press("\x1b");
        terminal.wait_for("the end of the form", |screen| !screen.contents().contains("esc gives up"));
    }
    assert_eq!(lab.world().submitted, Vec::<&str>::new());
    assert_eq!(production(&lab), (ModelNumber(1), 1));
    command(&mut terminal, "agents");
    wait_for_view(&mut terminal, "agents", &["▶"]);
    command(&mut terminal, "gc");
    terminal.wait_for_text("type lab");
    terminal.press("lab\r");
    terminal.wait_for("the job", |screen| line(screen, 23).contains("on lab: queued"));
    assert_eq!(lab.world().submitted, ["gc"]);
    terminal.press("q");
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_pasted_runs_nothing() {
    let lab = lab();
    let mut terminal = start_at(&lab);
    terminal.press("\x1b[200~:models\rP\x1b[201~");
    terminal.wait_for_text("pasted text goes into a prompt");
    assert!(shows(terminal.screen(), "overview"));
    terminal.press(":\x1b[200~models\x1b[201~");
    terminal.wait_for(":models", |screen| line(screen, 23).starts_with(":models"));
    terminal.press("\r");
    wait_for_view(&mut terminal, "models", &["v2"]);
    terminal.press("q");
    terminal.ends(0);
}

#[tokio::test(flavor = "multi_thread")]
async fn help_lists_what_the_shell_lists() {
    let lab = lab();
    let mut terminal = start_at(&lab);
    terminal.resize(120, 150);
    terminal.press("?");
    wait_for_view(&mut terminal, "help", &["EVERYWHERE"]);
    let listed: Vec<serde_json::Value> = lab.vigie("keys -o json").await.json();
    let everywhere: Vec<&str> = listed
        .iter()
        .filter(|command| command["scope"] == "everywhere")
        .filter_map(|command| command["name"].as_str())
        .collect();
    assert!(everywhere.len() > 20, "{everywhere:?}");
    terminal.wait_for("every command", |screen| {
        let text = screen.contents();
        everywhere.iter().all(|name| text.split_whitespace().any(|word| word == *name))
    });
    terminal.press("q");
    terminal.ends(0);
}
