//! `vigie rules`.

use clap::Args;
use vigie_protocol::rules::{ChainStep, RulesExplained, UpdateRule};
use vigie_protocol::service::InProject;

use crate::app::App;
use crate::cli::classes;
use crate::out::{Cell, Column, Style, Table, count, safe};
use crate::session::ask;

const HELP: &str = "\
Examples:
  vigie rules -p birds
  vigie projects set birds --updates accept      what is worth it enters reference by itself
  vigie projects set birds --update-percent 2    when 2 % of reference are new
  vigie projects set birds --class-rule 40       a new class enters with 40 images
  vigie events list -p birds                     what the rules did

How data enters reference:
  class rule    a class that reference lacks waits until source and production hold enough of it
  update rule   when source or production has new images for reference, at least 1 % of it, an update
                is worth it; images of classes that wait do not count
  policy        off (the usual): nothing by itself. propose: a change-set of reference, for review.
                accept: additions enter at once; labels that differ are left for a person.
                A new version of reference is then preprocessed, and an event tells that the data
                changed and a training may be worth it.
";

/// Show what the rules of a project say now: what may enter reference, and what happens by itself.
#[derive(Debug, Args)]
#[command(after_help = HELP)]
pub struct Rules {}

impl Rules {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = app.project(session).await?;
        let explained = ask!(session, rules_explain, InProject { project: project.clone() }).await?;
        Ok(app.out.value(&explained, |style| shown(&explained, style))?)
    }
}

fn shown(explained: &RulesExplained, style: &Style) -> String {
    let RulesExplained { policy, classes, updates, chain, sentence } = explained;
    let mut text = format!("policy {}: {}\n", policy.as_str(), safe(sentence));
    for UpdateRule { sentence, .. } in updates {
        text.push_str(&format!("\n{}\n", safe(sentence)));
    }
    text.push('\n');
    text.push_str(&classes::waiting(classes, style));
    let looked: Vec<&ChainStep> = chain.iter().filter(|step| step.seen.is_some()).collect();
    if !looked.is_empty() {
        let mut table = Table::new([Column::text("LINE"), Column::figure("SEEN"), Column::text("JOB")], "");
        for ChainStep { lineage, seen, job } in looked {
            table.row([
                Cell::from(lineage.as_str()),
                seen.map_or_else(String::new, |seen| format!("v{}", count(seen.into()))).into(),
                Cell::maybe(job.as_ref()),
            ]);
        }
        text.push('\n');
        text.push_str(&table.render(style));
    }
    text
}
