//! `vigie audit`.

use clap::{Args, Subcommand};
use vigie_protocol::service::{AuditEntry, AuditList, AuditVerdict, Empty};

use crate::app::App;
use crate::cli::Limit;
use crate::exit::{Exit, Failure};
use crate::out::{Cell, Column, Sheet, Style, Table, Tone, age, count};
use crate::session::ask;

const EXAMPLES: &str = "\
Examples:
  vigie audit list
  vigie audit verify          keep the head it prints elsewhere: a cut log is then noticed too
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Audit {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List who changed what, newest first
    List {
        #[command(flatten)]
        limit: Limit,
    },
    /// Check that no line was changed or removed; exit code 1 when one was
    Verify,
}

impl Audit {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        match self.verb {
            Verb::List { limit } => {
                let entries = session
                    .pages(limit.limit, async |page| ask!(session, audit_list, AuditList { page }).await)
                    .await?;
                Ok(app.out.value(&entries, |style| table(&entries, style).render(style))?)
            }
            Verb::Verify => {
                let session = session.patient();
                let verdict = ask!(session, audit_verify, Empty {}).await?;
                app.out.value(&verdict, |style| sheet(&verdict).render(style))?;
                match verdict.broken_at {
                    None => Ok(()),
                    Some(broken) => {
                        Err(Failure::new(Exit::Failed, format!("the audit log is broken: {broken}")).into())
                    }
                }
            }
        }
    }
}

fn sheet(verdict: &AuditVerdict) -> Sheet {
    let AuditVerdict { lines, broken_at, head } = verdict;
    Sheet::new()
        .field("Lines", count(*lines))
        .field(
            "Chain",
            match broken_at {
                None => Cell::toned("whole", Tone::Good),
                Some(broken) => Cell::toned(format!("broken: {broken}"), Tone::Bad),
            },
        )
        .field("Head", head.to_string())
}

fn table(entries: &[AuditEntry], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::figure("#"),
            Column::text("WHEN"),
            Column::text("WHO"),
            Column::text("ROLE"),
            Column::text("METHOD"),
            Column::flexible("TARGET"),
            Column::flexible("OUTCOME"),
            Column::flexible("REASON"),
        ],
        "nothing was changed yet",
    );
    for entry in entries {
        let AuditEntry { seq, at, principal, role, via: _, method, target, outcome, reason, prev: _ } = entry;
        let tone = if outcome == "ok" { Tone::Plain } else { Tone::Warn };
        table.row([
            Cell::from(seq.to_string()),
            age(style.now, *at).into(),
            principal.as_str().into(),
            role.as_str().into(),
            method.as_str().into(),
            target.as_str().into(),
            Cell::toned(outcome, tone),
            reason.as_deref().unwrap_or_default().into(),
        ]);
    }
    table
}
