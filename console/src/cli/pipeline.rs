use crate::app::App;
use clap::Args;
/// x
#[derive(Debug, Args)]
#[command(after_help = "Examples:")]
pub struct Pipeline {}
impl Pipeline {
    pub async fn run(self, _: &App) -> anyhow::Result<()> {
        Ok(())
    }
}
