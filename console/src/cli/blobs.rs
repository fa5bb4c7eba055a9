//! `vigie blobs`.

use std::io::IsTerminal;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use vigie_protocol::blob::{GcReport, RebuildableFile};
use vigie_protocol::job::JobSpec;
use vigie_protocol::service::JobSubmit;
use vigie_protocol::{Hash, IdempotencyKey};

use crate::app::App;
use crate::cli::Waiting;
use crate::cli::jobs::finish;
use crate::exit::Failure;
use crate::out::{Column, Table, bytes, count, note};
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
    /// Find what is not needed: blobs that nothing refers to, files that can be made again
    ///
    /// Blobs go an hour after they were last put when nothing refers to them, downloads when no job or
    /// source goes on with them.
    ///
    /// Packs, and the features beside them, go when no unfinished job needs them, their dataset version
    /// is not the newest of its line, and a day has passed since they were made and since a training on
    /// them was asked for. What a training computed on its way goes when it has finished, or a day
    /// after it failed or was cancelled; its checkpoints stay. Whatever goes is made again when a job
    /// needs it.
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
        rebuildable,
        rebuildable_bytes,
        rebuildable_files: _,
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
    if *rebuildable > 0 {
        line.push_str(&format!(
            "; {verb} {} files that can be made again ({})",
            count(*rebuildable),
            bytes(*rebuildable_bytes)
        ));
    }
    if !missing.is_empty() {
        line.push_str(&format!("; {} that are referred to are MISSING: run `vigie doctor`", missing.len()));
    }
    line
}

/// The files of a report that can be made again, the largest first; nothing when there are none.
pub fn gc_files(report: &GcReport) -> Option<Table> {
    let mut table = Table::new([Column::figure("SIZE"), Column::text("FILE")], "");
    for RebuildableFile { path, bytes: size } in &report.rebuildable_files {
        table.row([bytes(*size).into(), path.as_str().into()]);
    }
    (!report.rebuildable_files.is_empty()).then_some(table)
}

#[cfg(test)]
mod tests {
    use vigie_protocol::Time;
    use vigie_protocol::job::JobOutcome;

    use super::*;
    use crate::cli::jobs::ended;
    use crate::out::Style;

    fn shown(report: GcReport) -> String {
        ended(Some(&JobOutcome::Gc { report }), &Style { colour: false, width: None, now: Time::default() })
    }

    #[test]
    fn a_report_names_what_can_be_made_again() {
        insta::assert_snapshot!(shown(GcReport::default()), @"could remove 0 blobs (0 B); 0 are in use (0 B)");
        let file = |path: &str, bytes| RebuildableFile { path: path.to_owned(), bytes };
        let report = GcReport {
            removed: true,
            rebuildable: 2,
            rebuildable_bytes: 3 << 30,
            rebuildable_files: vec![file("packs/00ff.pack", 2 << 30), file("runs/7/\u{1b}.bin", 1 << 30)],
            ..GcReport::default()
        };
        insta::assert_snapshot!(shown(report), @r"
        removed 0 blobs (0 B); 0 are in use (0 B); removed 2 files that can be made again (3.0 GiB)

           SIZE  FILE
        2.0 GiB  packs/00ff.pack
        1.0 GiB  runs/7/\u{1b}.bin
        ");
    }
}
