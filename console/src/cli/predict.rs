//! `vigie predict`.

use std::io::Read;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::Args;
use futures::StreamExt;
use vigie_protocol::ProjectName;
use vigie_protocol::prediction::{Prediction, Scored};
use vigie_protocol::service::Predict as Request;

use crate::app::App;
use crate::exit::{Exit, Failure};
use crate::out::{Style, Tone, bytes, micros, note, percent, safe};
use crate::session::Session;

/// No agent takes more for one image (its own limit may be lower).
const LARGEST: u64 = 64 << 20;

const EXAMPLES: &str = "\
Examples:
  vigie predict owl.jpg hawk.jpg
  find . -name '*.jpg' -print0 | xargs -0 vigie predict --top 1
  curl -s https://example.org/owl.jpg | vigie predict -
  vigie predict *.jpg -o json | jq -r '[.name, .top[0].class] | @tsv'

One line a file, in the order given; as JSON, one object a line. A file that fails does not stop
the others; the exit code is then 1.
";

/// Classify images with the project's production model, and log the answers.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Predict {
    /// Image files (JPEG, PNG, WebP); - reads one from standard input
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// How many classes to show
    #[arg(long, default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=1000))]
    top: u32,
    /// How many to ask for at once
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=64))]
    concurrency: u32,
}

impl Predict {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        let session = &app.connect().await?;
        let project = &app.project(session).await?;
        let Self { files, top, concurrency } = self;
        let asked = files.len();
        let answers = futures::stream::iter(files)
            .map(async |file| {
                let answer = one(session, project, &file, top).await;
                (file, answer)
            })
            .buffered(concurrency as usize);
        let mut answers = std::pin::pin!(answers);
        let mut failed = 0;
        while let Some((file, answer)) = answers.next().await {
            match answer {
                Ok(prediction) => app.out.line(&prediction, |style| line(&file, &prediction, style))?,
                Err(error) => {
                    let (exit, text) = crate::exit::report(&error);
                    // What concerns all files is not said once a file.
                    if matches!(exit, Exit::Interrupted | Exit::Unreachable | Exit::Refused | Exit::NotFound)
                        || asked == 1
                    {
                        return Err(error.context(file.display().to_string()));
                    }
                    failed += 1;
                    note(format!("{}: {}", safe(&file.display().to_string()), text.unwrap_or_default()));
                }
            }
        }
        match failed {
            0 => Ok(()),
            n => Err(Failure::new(Exit::Failed, format!("{n} of {asked} files got no prediction")).into()),
        }
    }
}

async fn one(session: &Session, project: &ProjectName, file: &Path, top: u32) -> anyhow::Result<Prediction> {
    let image = read(file)?;
    let name = (file != Path::new("-")).then(|| file.display().to_string());
    Ok(session.predict(Request { project: project.clone(), image, blob: None, top, name }).await?)
}

/// A whole file, but never more than an image may have.
fn read(file: &Path) -> anyhow::Result<Vec<u8>> {
    let mut image = Vec::new();
    let shown = file.display();
    if file == Path::new("-") {
        std::io::stdin()
            .lock()
            .take(LARGEST + 1)
            .read_to_end(&mut image)
            .context("cannot read standard input")?;
    } else {
        let opened = std::fs::File::open(file).with_context(|| format!("cannot open {shown}"))?;
        opened.take(LARGEST + 1).read_to_end(&mut image).with_context(|| format!("cannot read {shown}"))?;
    }
    if image.is_empty() {
        return Err(Failure::new(Exit::Failed, "it is empty").into());
    }
    if image.len() as u64 > LARGEST {
        return Err(Failure::new(Exit::Failed, format!("it is larger than {}", bytes(LARGEST)))
            .hint("is it an image? a smaller copy is enough")
            .into());
    }
    Ok(image)
}

/// `owl.jpg: owl 93.1 % · barn owl 4.2 %  (v3, 12.3 ms)`
fn line(file: &Path, prediction: &Prediction, style: &Style) -> String {
    let classes: Vec<String> = prediction
        .top
        .iter()
        .enumerate()
        .map(|(i, Scored { class, probability })| {
            let text = format!("{} {}", safe(class), percent(f64::from(*probability)));
            if i == 0 { Tone::Good } else { Tone::Dim }.paint(&text, style)
        })
        .collect();
    let took = micros(u64::from(prediction.timings.total));
    let by = Tone::Dim.paint(&format!("({}, {took})", prediction.model), style);
    format!("{}: {}  {by}", safe(&file.display().to_string()), classes.join(" · "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_bounded_before_they_are_sent() {
        let dir = tempfile::tempdir().expect("temp dir");
        let path = dir.path().join("big");
        std::fs::File::create(&path).expect("made").set_len(LARGEST + 1).expect("sparse");
        let error = read(&path).expect_err("too big");
        assert_eq!(error.to_string(), "it is larger than 64.0 MiB");
        std::fs::write(&path, b"").expect("emptied");
        assert_eq!(read(&path).expect_err("empty").to_string(), "it is empty");
        assert!(read(&dir.path().join("gone")).is_err());
    }
}
