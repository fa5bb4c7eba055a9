//! `vigie doctor`.

use clap::Args;
use vigie_protocol::health::{Finding, ServiceState};
use vigie_protocol::service::Empty;

use crate::app::App;
use crate::cli::agents::state;
use crate::exit::{Exit, Failure};
use crate::out::{Column, Table, note};
use crate::session::ask;

const EXAMPLES: &str = "\
Examples:
  vigie doctor
  vigie doctor -o json | jq '.[] | select(.state != \"up\")'

It ends with exit code 1 when a finding wants action.
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Doctor {}

impl Doctor {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = app.connect().await?;
        let findings = ask!(session, doctor, Empty {}).await?;
        app.out.value(&findings, |style| table(&findings).render(style))?;
        if !app.out.is_json() {
            hints(&findings);
        }
        verdict(findings.iter())
    }
}

/// The findings, one a row.
pub fn table(findings: &[Finding]) -> Table {
    let mut table = Table::new(
        [Column::text("STATE"), Column::text("CHECK"), Column::flexible("FOUND")],
        "the agent checks nothing",
    );
    for finding in findings {
        table.row([state(finding.state), finding.check.as_str().into(), finding.detail.as_str().into()]);
    }
    table
}

fn hints(findings: &[Finding]) {
    for (finding, hint) in findings.iter().filter_map(|finding| Some((finding, finding.hint.as_ref()?))) {
        note(format!("hint: {}: {}", crate::out::safe(&finding.check), crate::out::safe(hint)));
    }
}

/// Whether no finding wants action.
///
/// # Errors
/// How many do.
pub fn verdict<'a>(findings: impl Iterator<Item = &'a Finding>) -> anyhow::Result<()> {
    let (mut down, mut all) = (0, 0);
    for finding in findings {
        down += u32::from(finding.state == ServiceState::Down);
        all += 1;
    }
    match down {
        0 => Ok(()),
        n => Err(Failure::new(Exit::Failed, format!("{n} of {all} checks want action")).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_down_ends_it_badly() {
        for (states, wrong) in [
            (vec![], None),
            (vec![ServiceState::Up, ServiceState::Degraded], None),
            (
                vec![ServiceState::Up, ServiceState::Down, ServiceState::Down],
                Some("2 of 3 checks want action"),
            ),
        ] {
            let finding = |state| Finding { check: String::new(), state, detail: String::new(), hint: None };
            let findings: Vec<Finding> = states.into_iter().map(finding).collect();
            let said = verdict(findings.iter()).err().map(|error| error.to_string());
            assert_eq!(said.as_deref(), wrong);
        }
    }
}
