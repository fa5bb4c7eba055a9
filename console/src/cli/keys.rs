//! `vigie keys`: the terminal UI's commands and their keys, as they are configured.

use clap::Args;
use serde::Serialize;

use crate::app::App;
use crate::exit::{Exit, Failure};
use crate::out::{Cell, Column, Table, note};
use crate::tui::command::{self, Argument, Risk};
use crate::tui::keymap::Keymap;

const EXAMPLES: &str = "\
Examples:
  vigie keys                       every command of the terminal UI with its keys
  vigie keys -o json               the same for scripts
  vigie keys --check               exit code 1 when the configured keys clash

Keys are changed in the configuration:
  [keys]
  promote = [\"P\", \"f5\"]
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Keys {
    /// Fail when the configuration's keys clash or name what does not exist
    #[arg(long)]
    check: bool,
}

/// A command of the terminal UI.
#[derive(Debug, Serialize)]
struct Listed {
    name: &'static str,
    aliases: &'static [&'static str],
    argument: Option<&'static str>,
    keys: Vec<String>,
    scope: String,
    risk: &'static str,
    doc: &'static str,
    twin: Option<&'static str>,
}

impl Keys {
    pub fn run(self, app: &App) -> anyhow::Result<()> {
        let (map, wrong) = Keymap::new(&app.config.keys);
        let listed: Vec<Listed> = command::all()
            .map(|command| Listed {
                name: command.name,
                aliases: command.aliases,
                argument: match command.argument {
                    Argument::None => None,
                    Argument::Optional(kind) | Argument::Needed(kind) => Some(kind.placeholder()),
                },
                keys: map.keys(command.name).map(ToString::to_string).collect(),
                scope: command.scope.to_string(),
                risk: match command.risk {
                    Risk::Read => "looks",
                    Risk::Write => "changes",
                    Risk::Grave => "asks for a name first",
                },
                doc: command.doc,
                twin: command.twin,
            })
            .collect();
        app.out.value(&listed, |style| table(&listed).render(style))?;
        wrong.iter().for_each(note);
        match wrong.len() {
            n if self.check && n > 0 => {
                Err(Failure::new(Exit::Failed, format!("{n} mistakes in the configured keys")).into())
            }
            _ => Ok(()),
        }
    }
}

fn table(listed: &[Listed]) -> Table {
    let columns = ["KEYS", "COMMAND", "WHERE", "RISK"].map(Column::text);
    let columns: Vec<Column> =
        columns.into_iter().chain([Column::flexible("DOES"), Column::text("SHELL")]).collect();
    let mut table = Table::new(columns, "no commands");
    for command in listed {
        table.row([
            Cell::from(command.keys.join(" ")),
            command.name.into(),
            command.scope.as_str().into(),
            command.risk.into(),
            command.doc.into(),
            Cell::maybe(command.twin.map(|twin| format!("vigie {twin}"))),
        ]);
    }
    table
}
