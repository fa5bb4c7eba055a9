//! Contents that no rule computes: versions that took a part of a change-set.

use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};

/// Names a part among those of a project.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct PartId(u32);

/// Spelt out: which images a version has, and under which labels.
#[derive(Debug, PartialEq)]
pub(super) struct Part {
    /// Its first image.
    pub(super) from: usize,
    /// The class of each image from the first one on; none of those it lacks.
    pub(super) labels: Vec<Option<usize>>,
}

impl Part {
    /// The images it speaks of; beyond them it says nothing.
    pub(super) fn range(&self) -> Range<usize> {
        self.from..self.from + self.labels.len()
    }

    /// The class of an image; `None` for one it says nothing of, `Some(None)` for one it lacks.
    pub(super) fn label(&self, image: usize) -> Option<Option<usize>> {
        self.labels.get(image.checked_sub(self.from)?).copied()
    }
}

/// The parts of one project, over all agents.
#[derive(Debug, Default)]
pub(super) struct Parts(Mutex<Vec<Arc<Part>>>);

impl Parts {
    /// Keeps a part; one that is there already keeps its name.
    pub(super) fn keep(&self, part: Part) -> PartId {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let there = parts.iter().position(|known| **known == part);
        let at = there.unwrap_or_else(|| {
            parts.push(Arc::new(part));
            parts.len() - 1
        });
        PartId(u32::try_from(at).unwrap_or(u32::MAX))
    }

    pub(super) fn get(&self, id: PartId) -> Option<Arc<Part>> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        parts.get(id.0 as usize).map(Arc::clone)
    }
}
