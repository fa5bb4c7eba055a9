//! `vigie backup`.

use std::time::Duration;

use clap::Args;
use vigie_protocol::IdempotencyKey;
use vigie_protocol::service::Backup as Request;

use crate::app::App;
use crate::out::{Sheet, bytes, count, duration};
use crate::session::ask_to_the_end;

const EXAMPLES: &str = "\
Examples:
  vigie backup /var/backups/vigie-2026-11-21
  vigie-agent restore /var/backups/vigie-2026-11-21 --state /var/lib/vigie    (on the agent's machine)
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Backup {
    /// An absolute path on the agent's machine that does not exist yet
    path: String,
}

impl Backup {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = app.connect().await?;
        let made =
            ask_to_the_end!(session, backup, Request { key: IdempotencyKey::new(), path: self.path }).await?;
        Ok(app.out.value(&made, |style| {
            let sheet = Sheet::new()
                .field("Path", made.path.as_str())
                .field("Files", count(made.files))
                .field("Size", bytes(made.bytes))
                .field("Took", duration(Duration::try_from_secs_f64(made.seconds).unwrap_or_default()));
            let left_out = format!("{} damaged files: see `vigie-agent store check`", count(made.damaged));
            let sheet = if made.damaged > 0 { sheet.field("Left out", left_out) } else { sheet };
            sheet.render(style)
        })?)
    }
}
