//! How an import reads its source.

use serde::{Deserialize, Serialize};

/// How a source is read. The default is the usual layout: a folder a class, or a folder a split with
/// a folder a class in it, whose splits are kept.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImportOptions {
    /// What becomes of splits that the source gives.
    pub given_split: GivenSplit,
    /// The table that says what the images are; without one, their folders do.
    pub table: Option<TableOptions>,
    /// What tells images that belong together.
    pub group: Option<GroupRule>,
}

/// What becomes of splits that a source gives (`train/owl/1.jpg`, or a column).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum GivenSplit {
    /// New images keep them. A split that the source lacks is dealt from its train images.
    #[default]
    Keep,
    /// The test split stays as it is given; train and valid are dealt anew. For sources whose valid
    /// split is too small to choose a checkpoint by.
    RedrawValid,
    /// New images are dealt anew by content.
    Redraw,
    /// A choice this build does not know; nothing is imported.
    #[serde(other)]
    Unknown,
}

/// A CSV file with a row an image.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct TableOptions {
    /// Its path inside the source (`products.csv`), or an absolute one on the agent's machine.
    pub file: String,
    /// The column with the image's path, its file name, or that without the ending.
    pub image: String,
    /// The label: a column, or an expression over one (module `expression`).
    pub label: String,
    /// The column with the given split: train, valid or test.
    pub split: Option<String>,
    /// The columns kept with each image; when empty the first [`METADATA_COLUMNS`] of the others.
    pub columns: Vec<String>,
}

/// Columns kept with an image at most.
pub const METADATA_COLUMNS: usize = 16;
/// The longest text of a kept column in bytes; more is cut off.
pub const METADATA_BYTES: usize = 256;

/// What tells images that belong together: a patient's, those of one burst.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum GroupRule {
    /// Equal texts in a column of the table.
    Column {
        /// Its name.
        column: String,
    },
    /// Equal matches of a regular expression in the path: its first group (`(person\d+)_`), else all
    /// of it. Images without a match belong to nobody.
    Path {
        /// The expression, in the syntax of Rust's `regex`.
        pattern: String,
    },
    /// A rule this build does not know; nothing is imported.
    #[serde(other)]
    Unknown,
}
