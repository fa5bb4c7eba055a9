//! How `vigie datasets import` is told to read its source.

use std::path::Path;

use anyhow::Context;
use clap::{Args, ValueEnum};
use vigie_protocol::expression::Expression;
use vigie_protocol::import::{GivenSplit, GroupRule, ImportOptions, TableOptions};

#[derive(Clone, Debug, Args)]
pub struct Reading {
    /// Deal the splits anew that the source gives: all of them, or train and valid alone, which keeps
    /// the test split as its author made it
    #[arg(long, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "all")]
    redraw_split: Option<Redrawn>,
    /// A table that says what the images are: a CSV file in the source, or beside the agent
    #[arg(long, value_name = "FILE", requires_all = ["image_column", "label"])]
    csv: Option<String>,
    /// The table's column with the image's path, its file name, or that without the ending
    #[arg(long, value_name = "COLUMN", requires = "csv")]
    image_column: Option<String>,
    /// The label: a column, or steps over one, such as "category | strip '[]' | part 1 of '>>'"
    ///
    /// The steps are trim, lower, strip 'CHARACTERS' (off both ends, with spaces) and part N of
    /// 'SEPARATOR' (from 1; -1 is the last), each behind a bar.
    #[arg(long, value_name = "EXPRESSION", requires = "csv", value_parser = expression)]
    label: Option<String>,
    /// The table's column with the split: train, valid or test
    #[arg(long, value_name = "COLUMN", requires = "csv")]
    split_column: Option<String>,
    /// The columns kept with each image, between commas; all others up to 16 when absent
    #[arg(long, value_name = "COLUMNS", requires = "csv", value_delimiter = ',')]
    columns: Vec<String>,
    /// The table's column that tells what belongs together (a patient, a product): it never crosses
    /// splits
    #[arg(long, value_name = "COLUMN", requires = "csv", conflicts_with = "group_pattern")]
    group: Option<String>,
    /// The same read from paths: a regular expression, whose first group counts if it has one
    #[arg(long, value_name = "REGEX")]
    group_pattern: Option<String>,
}

/// Which of the given splits are dealt anew.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Redrawn {
    /// Train, valid and test
    All,
    /// Train and valid
    Valid,
}

impl Reading {
    /// The choices as the agent takes them. `source` is absent when the agent downloads it; `local` says
    /// whether it can read this machine's files.
    pub fn options(&self, source: Option<&Path>, local: bool) -> anyhow::Result<ImportOptions> {
        let given_split = match self.redraw_split {
            None => GivenSplit::Keep,
            Some(Redrawn::Valid) => GivenSplit::RedrawValid,
            Some(Redrawn::All) => GivenSplit::Redraw,
        };
        let table = match &self.csv {
            None => None,
            Some(file) => Some(TableOptions {
                file: match source {
                    Some(source) => table_file(source, file, local)?,
                    None => file.clone(),
                },
                image: self.image_column.clone().unwrap_or_default(),
                label: self.label.clone().unwrap_or_default(),
                split: self.split_column.clone(),
                columns: self.columns.clone(),
            }),
        };
        let column = self.group.clone().map(|column| GroupRule::Column { column });
        let group = column.or_else(|| self.group_pattern.clone().map(|pattern| GroupRule::Path { pattern }));
        Ok(ImportOptions { given_split, table, group })
    }
}

/// How the agent calls the table: by its path in the source when it is there, else by where it is.
fn table_file(source: &Path, file: &str, local: bool) -> anyhow::Result<String> {
    if source.is_dir() && source.join(file).is_file() && !Path::new(file).is_absolute() {
        return Ok(file.to_owned());
    }
    let Ok(absolute) = Path::new(file).canonicalize() else {
        // Inside a zip file, as it seems.
        return Ok(file.to_owned());
    };
    let folder = source.canonicalize().unwrap_or_default();
    if let Ok(inside) = absolute.strip_prefix(&folder)
        && folder.is_dir()
    {
        return Ok(inside.to_str().context("the table's path is not valid UTF-8")?.to_owned());
    }
    anyhow::ensure!(
        local,
        "{file} is not in the source, and the agent is elsewhere; put it into the zip file"
    );
    Ok(absolute.to_str().context("the table's path is not valid UTF-8")?.to_owned())
}

fn expression(text: &str) -> Result<String, String> {
    text.parse::<Expression>().map(|_| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_is_named_by_its_place_in_the_source() {
        let folder = tempfile::tempdir().expect("temp folder");
        let at = |name: &str| folder.path().join(name).display().to_string();
        std::fs::create_dir(folder.path().join("shop")).expect("folder");
        for name in ["shop/in.csv", "out.csv", "shop.zip"] {
            std::fs::write(folder.path().join(name), b"").expect("file");
        }
        let (shop, zip) = (folder.path().join("shop"), folder.path().join("shop.zip"));
        let outside = folder.path().canonicalize().expect("path").join("out.csv").display().to_string();
        for (source, file, local, expected) in [
            (&shop, "in.csv".to_owned(), false, Some("in.csv")),
            (&shop, at("shop/in.csv"), false, Some("in.csv")),
            (&shop, at("out.csv"), true, Some(&*outside)),
            (&shop, at("out.csv"), false, None),
            (&zip, "labels/in.csv".to_owned(), false, Some("labels/in.csv")),
            (&zip, at("out.csv"), true, Some(&*outside)),
        ] {
            assert_eq!(table_file(source, &file, local).ok().as_deref(), expected, "{file}");
        }
    }
}
