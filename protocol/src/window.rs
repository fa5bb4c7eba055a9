//! Windows: the part of a dataset version that an update takes.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Which images of a version an update takes. An image's age is that of the version in which it
/// appeared in its line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Window {
    /// The newest ones; of those that appeared together, the ones with the smallest hashes.
    Last {
        /// How many.
        images: u64,
    },
    /// Those that appeared in the days before the update was asked for.
    Days {
        /// How many days.
        days: u32,
    },
    /// A random sample of each class, the same for the same seed.
    Reservoir {
        /// Images of each class at most.
        per_class: u64,
        /// Decides the sample.
        seed: u64,
    },
    /// A window this build does not know; it takes nothing.
    #[serde(other)]
    Unknown,
}

impl fmt::Display for Window {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Window::Last { images } => write!(f, "last {images} images"),
            Window::Days { days } => write!(f, "last {days} days"),
            Window::Reservoir { per_class, seed } => {
                write!(f, "at most {per_class} images of each class, drawn by seed {seed}")
            }
            Window::Unknown => f.write_str("an unknown window"),
        }
    }
}
