//! `vigie config`.

use clap::{Args, Subcommand};
use toml_edit::{DocumentMut, table, value};
use vigie_protocol::ProjectName;

use crate::app::App;
use crate::config::{Config, edit};
use crate::out::{Cell, Column, Sheet, Table, note};
use crate::session;

const EXAMPLES: &str = "\
Examples:
  vigie config add lab ssh://vigie@lab.example --project birds
  vigie config use lab
  vigie config contexts

The file (~/.config/vigie/config.toml):
  default = \"lab\"

  [contexts.lab]
  target = \"ssh://vigie@lab.example\"   # or unix:/run/vigie/agent.sock
  project = \"birds\"                    # optional: the project used when none is named
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Configs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Show the configuration and which agent it chooses
    #[command(after_help = EXAMPLES)]
    Show,
    /// List the contexts
    Contexts,
    /// Add a context, or change one
    Add {
        /// What to call the agent
        name: String,
        /// Where it is: unix:PATH or ssh://USER@HOST (the project is set with --project)
        target: String,
    },
    /// Make a context the default
    Use {
        /// The context
        name: String,
    },
}

impl Configs {
    pub fn run(self, app: &App) -> anyhow::Result<()> {
        match self.verb {
            Verb::Show => show(app),
            Verb::Contexts => {
                let Config { default, contexts, keys: _, terminal: _ } = &app.config;
                let mut table = Table::new(
                    [
                        Column::text("DEFAULT"),
                        Column::text("NAME"),
                        Column::flexible("TARGET"),
                        Column::text("PROJECT"),
                    ],
                    "no contexts yet; `vigie config add NAME TARGET` adds one",
                );
                for (name, context) in contexts {
                    table.row([
                        Cell::from(if default.as_ref() == Some(name) { "*" } else { "" }),
                        name.as_str().into(),
                        context.target.as_str().into(),
                        Cell::maybe(context.project.as_ref()),
                    ]);
                }
                Ok(app.out.value(contexts, |style| table.render(style))?)
            }
            Verb::Add { name, target } => {
                session::target(Some(&target))?;
                let project = app.named_on_command_line().map(ProjectName::to_string);
                edit(&app.config_path, |document| add(document, &name, &target, project))?;
                note(format!(
                    "added {name} to {}; `vigie config use {name}` makes it the default",
                    app.config_path.display()
                ));
                Ok(())
            }
            Verb::Use { name } => {
                app.config.context(&name)?;
                edit(&app.config_path, |document| document["default"] = value(&name))?;
                note(format!("{name} is the default now"));
                Ok(())
            }
        }
    }
}

/// Sets a context, as `[contexts.NAME]`.
fn add(document: &mut DocumentMut, name: &str, target: &str, project: Option<String>) {
    let contexts = document["contexts"].or_insert(table());
    if let Some(contexts) = contexts.as_table_mut() {
        contexts.set_implicit(true);
    }
    let context = contexts[name].or_insert(table());
    context["target"] = value(target);
    if let Some(project) = project {
        context["project"] = value(project);
    }
}

fn show(app: &App) -> anyhow::Result<()> {
    let chosen = app.chosen()?;
    let target = session::target(chosen.target.as_deref())?;
    Ok(app.out.value(&app.config, |style| {
        Sheet::new()
            .field("File", app.config_path.display().to_string())
            .field("Context", Cell::maybe(chosen.name.as_ref()))
            .field("Agent", target.to_string())
            .field("Project", Cell::maybe(app.named_project().ok().flatten()))
            .render(style)
    })?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn contexts_are_written_as_a_person_would() {
        let mut document = DocumentMut::new();
        add(&mut document, "lab", "ssh://lab", Some("birds".to_owned()));
        add(&mut document, "here", "unix:/run/a.sock", None);
        add(&mut document, "lab", "ssh://vigie@lab", None);
        document["default"] = value("lab");
        insta::assert_snapshot!(document.to_string(), @r#"
        default = "lab"

        [contexts.lab]
        target = "ssh://vigie@lab"
        project = "birds"

        [contexts.here]
        target = "unix:/run/a.sock"
        "#);
    }
}
