//! `vigie whoami`.

use clap::Args;
use vigie_protocol::service::Empty;

use crate::app::App;
use crate::out::Sheet;
use crate::session::ask;

const EXAMPLES: &str = "\
Examples:
  vigie whoami
  vigie whoami --agent ssh://vigie@lab
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Whoami {}

impl Whoami {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = app.connect().await?;
        let principal = ask!(session, whoami, Empty {}).await?;
        Ok(app.out.value(&principal, |style| {
            Sheet::new()
                .field("Name", principal.name.as_str())
                .field("Role", principal.role.as_str())
                .field("Via", principal.via.as_str())
                .render(style)
        })?)
    }
}
