//! What goes wrong with datasets.

use std::io;
use std::path::{Path, PathBuf};

use vigie_protocol::Hash;

use crate::infer::EngineError;
use crate::store::StoreError;
use crate::vision::spec::InvalidSpec;

/// Why work on a dataset stopped. A single bad file never stops an import: it is quarantined.
#[derive(Debug, thiserror::Error)]
pub enum DataError {
    /// The source has no image that an import could take.
    #[error(
        "{name} holds no images in folders named after their class; put them in <class>/<image>.jpg, or in \
         train/<class>/, valid/<class>/ and test/<class>/"
    )]
    NoImages {
        /// What was imported.
        name: String,
    },
    /// The choices of the import cannot be carried out.
    #[error("the import cannot be read as asked: {0}")]
    Options(String),
    /// The table that says what the images are cannot be used.
    #[error("{name}: {detail}")]
    Table {
        /// The table's file.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The zip file cannot be read as one.
    #[error("{name} is not a readable zip file, make or download it again: {detail}")]
    Archive {
        /// What was imported.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The file cannot be read as a manifest.
    #[error("{name} is not a manifest that can be read: {detail}")]
    Manifest {
        /// What was imported.
        name: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The source is larger than the import's limits.
    #[error("{name} {what}; raise the import's limits if you trust it")]
    TooMuch {
        /// What was imported.
        name: String,
        /// What it exceeds: `holds more than 5000000 files`.
        what: String,
    },
    /// An image of the dataset cannot be read any more.
    #[error("image {} ({origin}): {reason}", hash.short())]
    Image {
        /// Which.
        hash: Hash,
        /// The path it was imported from.
        origin: String,
        /// Why.
        reason: String,
    },
    /// A pack is torn, altered or of another format.
    #[error("the pack {path} cannot be used, preprocess the dataset again: {detail}", path = path.display())]
    Pack {
        /// Where it is.
        path: PathBuf,
        /// What is wrong with it.
        detail: String,
    },
    /// The preprocess spec cannot be carried out.
    #[error(transparent)]
    Spec(#[from] InvalidSpec),
    /// The work was asked to stop.
    #[error("cancelled")]
    Cancelled,
    /// The file system refused.
    #[error("{what} {path}", path = path.display())]
    Io {
        /// What was being done: `cannot read`.
        what: &'static str,
        /// On what.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The network that looks at images failed.
    #[error(transparent)]
    Engine(#[from] EngineError),
    /// The store refused.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl DataError {
    /// For `map_err` on calls of the file system.
    pub(super) fn io<'a>(what: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> Self + 'a {
        move |source| Self::Io { what, path: path.to_owned(), source }
    }
}
