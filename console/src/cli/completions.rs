//! `vigie completions` and `vigie man`: what packages install beside the binary.

use std::path::PathBuf;

use anyhow::Context as _;
use clap::{Args, CommandFactory};
use clap_complete::Shell;

use crate::app::App;
use crate::cli::Cli;
use crate::out::note;

const COMPLETIONS: &str = "\
Examples:
  vigie completions bash > ~/.local/share/bash-completion/completions/vigie
  vigie completions zsh > ~/.zfunc/_vigie
  vigie completions fish > ~/.config/fish/completions/vigie.fish
";

const MAN: &str = "\
Examples:
  vigie man ~/.local/share/man/man1 && man vigie-models
";

#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS)]
pub struct Completions {
    /// The shell
    shell: Shell,
}

impl Completions {
    pub fn run(self, app: &App) -> anyhow::Result<()> {
        let mut script = Vec::new();
        clap_complete::generate(self.shell, &mut Cli::command(), "vigie", &mut script);
        Ok(app.out.bytes(&script)?)
    }
}

#[derive(Debug, Args)]
#[command(after_help = MAN)]
pub struct Man {
    /// The folder; it is made when missing
    folder: PathBuf,
}

impl Man {
    pub fn run(self, _: &App) -> anyhow::Result<()> {
        let folder = self.folder.display();
        std::fs::create_dir_all(&self.folder).with_context(|| format!("cannot create {folder}"))?;
        clap_mangen::generate_to(Cli::command(), &self.folder)
            .with_context(|| format!("cannot write into {folder}"))?;
        note(format!("wrote the manual pages into {folder}"));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shell_gets_completions_and_every_command_a_page() {
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "vigie", &mut script);
            assert!(String::from_utf8_lossy(&script).contains("rollback"), "{shell}");
        }
        let dir = tempfile::tempdir().expect("temp dir");
        clap_mangen::generate_to(Cli::command(), dir.path()).expect("pages");
        for page in ["vigie.1", "vigie-models.1", "vigie-models-promote.1"] {
            assert!(dir.path().join(page).exists(), "{page}");
        }
    }
}
