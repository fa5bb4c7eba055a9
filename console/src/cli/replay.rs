//! `vigie replay`: a session that the terminal UI wrote down.

use std::path::PathBuf;

use clap::Args;

use crate::app::App;
use crate::exit::Failure;
use crate::tui::record::Recording;
use crate::tui::replay::{Player, watch};

const EXAMPLES: &str = "\
Examples:
  vigie replay vigie-20261121-140207.replay          on the terminal; space stops, n steps
  vigie replay FILE --text                           the last screen, as text
  vigie replay FILE --text --events 120              the screen after 120 events

The terminal UI writes such a file when F12 is pressed. It holds what was on its screens: names,
labels, events. It holds no pictures and no keys to any agent.
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Replay {
    /// The file
    file: PathBuf,
    /// Print a screen as text instead of playing
    #[arg(long)]
    text: bool,
    /// With --text: the screen after so many events; all of them when absent
    #[arg(long, value_name = "N", requires = "text")]
    events: Option<usize>,
}

impl Replay {
    pub fn run(self, app: &App) -> anyhow::Result<()> {
        let recording = Recording::read(&self.file)?;
        if self.text {
            let mut player = Player::new(recording);
            player.play_to(self.events.unwrap_or(usize::MAX));
            return Ok(app.out.bytes(player.text().as_bytes())?);
        }
        match watch(recording)? {
            0 => Ok(()),
            _ => Err(Failure::interrupted().into()),
        }
    }
}
