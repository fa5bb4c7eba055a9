//! `vigie blobs`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use vigie_protocol::blob::GcReport;
use vigie_protocol::job::JobSpec;
use vigie_protocol::service::JobSubmit;
use vigie_protocol::{Hash, IdempotencyKey};

use crate::app::App;
use crate::cli::Waiting;
use crate::cli::jobs::finish;
use crate::exit::Failure;
use crate::out::{bytes, count, note};
use crate::session::{Session, ask};

/// What goes to standard output passes through memory, whole, so that it can be verified first.
const LARGEST_SHOWN: u64 = 1 << 30;

const EXAMPLES: &str = "\
Examples:
  vigie blobs put report.pdf                        prints its hash
  vigie blobs get 9f2c…64 hex digits… owl.jpg
  vigie blobs gc                                    what could be removed?
  vigie blobs gc --remove
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Blobs {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Fetch a blob
    Get {
        /// Its BLAKE3 hash
        hash: Hash,
        /// Where to write it; standard output when absent
        file: Option<PathBuf>,
    },
    /// Send a file to the blob store and print its hash
    Put {
        /// The file
        file: PathBuf,
    },
    /// Find blobs that nothing refers to
    Gc {
        /// And remove them
        #[arg(long)]
        remove: bool,
        #[command(flatten)]
        waiting: Waiting,
    },
}

impl Blobs {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        match self.verb {
            Verb::Get { hash, file } => write_blob(app, session, hash, file.as_deref()).await,
            Verb::Put { file } => {
                let hash = session.upload(&file, &format!("sending {}", file.display())).await?;
                Ok(app.out.value(&hash, |_| hash.to_string())?)
            }
            Verb::Gc { remove, waiting } => {
                let spec = JobSpec::Gc { dry_run: !remove };
                let request =
                    JobSubmit { key: IdempotencyKey::new(), project: None, spec, after: Vec::new() };
                finish(app, session, ask!(session, job_submit, request).await?, waiting).await
            }
        }
    }
}

/// Writes a blob to a file, whole or not at all, or to standard output.
pub async fn write_blob(app: &App, session: &Session, hash: Hash, file: Option<&Path>) -> anyhow::Result<()> {
    let Some(file) = file else {
        if std::io::stdout().is_terminal() {
            return Err(Failure::usage("the bytes of a blob would garble the terminal")
                .hint("name a file, or redirect the output")
                .into());
        }
        let content = session.fetch(hash, LARGEST_SHOWN).await?;
        return Ok(app.out.bytes(&content)?);
    };
    let size = session.download(hash, file).await?;
    note(format!("wrote {} ({})", file.display(), bytes(size)));
    Ok(())
}

/// What garbage collection found, in one line.
pub fn gc_line(report: &GcReport) -> String {
    let GcReport {
        referenced,
        referenced_bytes,
        orphans,
        orphan_bytes,
        removed,
        examples: _,
        missing,
        downloads,
        download_bytes,
    } = report;
    let verb = if *removed { "removed" } else { "could remove" };
    let mut line = format!(
        "{verb} {} blobs ({}); {} are in use ({})",
        count(*orphans),
        bytes(*orphan_bytes),
        count(*referenced),
        bytes(*referenced_bytes)
    );
    if *downloads > 0 {
        line.push_str(&format!(
            "; {verb} {} files of downloads that ended ({})",
            count(*downloads),
            bytes(*download_bytes)
        ));
    }
    if !missing.is_empty() {
        line.push_str(&format!("; {} that are referred to are MISSING: run `vigie doctor`", missing.len()));
    }
    line
}
