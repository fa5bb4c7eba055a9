//! `vigie` without a verb, at a home of its own.

use std::path::Path;

use portable_pty::CommandBuilder;
use vigie_protocol::dataset::{DatasetRef, DatasetVersion};
use vigie_protocol::event::Subject;
use vigie_protocol::job::Job;
use vigie_protocol::model::{Alias, ModelVersion};
use vigie_protocol::run::Run;
use vigie_protocol::samples::Sample;
use vigie_protocol::{AliasName, ModelNumber, Time};

use crate::fake::{Fake, World};
use crate::terminal::{Terminal, line};

pub const VIGIE: &str = env!("CARGO_BIN_EXE_vigie");

/// Writes the configuration of a home.
pub fn configure(home: &Path, text: &str) {
    let folder = home.join(".config/vigie");
    std::fs::create_dir_all(&folder).expect("made");
    std::fs::write(folder.join("config.toml"), text).expect("written");
}

/// Prepares a command to find its home there, and nothing of this machine's.
pub fn at_home(home: &Path, command: &mut CommandBuilder) {
    command.env("HOME", home);
    command.cwd(home);
}

/// Starts the console and waits for its first frame.
pub fn start(home: &Path, prepare: impl FnOnce(&mut CommandBuilder)) -> Terminal {
    let mut terminal = Terminal::start(VIGIE, |command| {
        at_home(home, command);
        prepare(command);
    });
    terminal.wait_for("the overview", |screen| shows(screen, "overview"));
    terminal
}

/// An agent `lab` with a project that has everything, in which only what is told happens.
pub fn lab() -> Fake {
    let mut world = World::birds();
    world.stands_still = true;
    let version = |number| DatasetVersion {
        dataset: DatasetRef { number, ..DatasetRef::sample() },
        ..DatasetVersion::sample()
    };
    world.datasets = (1..=3).map(version).collect();
    world.runs = vec![Run::sample()];
    world.jobs = vec![Job::sample()];
    let model = |number| ModelVersion { number: ModelNumber(number), ..ModelVersion::sample() };
    world.models = vec![model(1), model(2)];
    let (name, since) = (AliasName::production(), Time::now());
    let held = Alias { name, model: ModelNumber(1), previous: None, generation: 1, since, ..Alias::sample() };
    world.production = Some(held);
    world.says("warn", "the lamp flickers");
    world.tell(Subject::Agent, "the agent started");
    let fake = Fake::start(world);
    configure(fake.home(), &format!("[contexts.lab]\ntarget = \"unix:{}\"\n", fake.socket().display()));
    fake
}

/// Starts the console and waits until it has all that `lab` tells without being asked.
pub fn start_at(lab: &Fake) -> Terminal {
    let mut terminal = start(lab.home(), |_| {});
    terminal.wait_for("the agent", |screen| {
        let text = screen.contents();
        ["1/1 agents", "birds v1", "the agent started"].iter().all(|part| text.contains(part))
    });
    terminal
}

/// Types a command.
pub fn command(terminal: &mut Terminal, text: &str) {
    terminal.press(&format!(":{text}\r"));
}

/// Whether the screen shows this view.
pub fn shows(screen: &vt100::Screen, view: &str) -> bool {
    line(screen, 1).split(' ').next() == Some(view)
}

/// Waits for a view with these texts on it.
pub fn wait_for_view(terminal: &mut Terminal, view: &str, texts: &[&str]) {
    terminal.wait_for(&format!("{view} with {texts:?}"), |screen| {
        let text = screen.contents();
        shows(screen, view) && texts.iter().all(|part| text.contains(part)) && !text.contains("asking…")
    });
}
