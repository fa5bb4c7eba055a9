//! The deferred queue, and the clusters that its images were grouped into last.

use serde::{Deserialize, Serialize};
use vigie_protocol::feedback::Feedback;
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::{ModelNumber, PredictionId, ProjectName, Time};

use super::change::Change;
use super::feedback::deferred;
use super::{Catalog, Key};
use crate::store::{Order, Result};

/// Deferred images grouped by what a model sees in them. Made anew each time.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Clustering {
    /// When.
    pub made: Time,
    /// From whose features.
    pub model: ModelNumber,
    /// The predictions of each cluster, the one in its middle first; the largest cluster first.
    pub clusters: Vec<Vec<PredictionId>>,
}

fn key(project: &ProjectName) -> Vec<u8> {
    Key::of("clusters").word(project.as_str()).bytes()
}

impl Catalog {
    /// Feedback whose image waits for somebody who knows it, that on the newest predictions first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`](crate::store::StoreError::BadCursor).
    pub fn deferred(
        &self,
        project: &ProjectName,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<Feedback>> {
        let page: Page<PredictionId> = self.page_down(deferred(project), cursor, limit, |_| true)?;
        let mut items = Vec::with_capacity(page.items.len());
        for id in page.items {
            // Answered between the two looks: no longer deferred.
            items.extend(self.feedback(project, id)?);
        }
        Ok(Page { items, next: page.next })
    }

    /// How many those are, counted up to `most`.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn count_deferred(&self, project: &ProjectName, most: usize) -> Result<u64> {
        Ok(self.facts().scan(&deferred(project).bytes(), None, Order::Ascending, most)?.len() as u64)
    }

    /// The clusters that were made last.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn clustering(&self, project: &ProjectName) -> Result<Option<Clustering>> {
        self.row(key(project))
    }

    /// Puts new clusters in the place of those before.
    ///
    /// # Errors
    /// [`StoreError::NotFound`](crate::store::StoreError::NotFound) without the project.
    pub fn save_clustering(&self, project: &ProjectName, clustering: &Clustering) -> Result<()> {
        self.change(None, |change| {
            change.project(project)?;
            change.put(key(project), clustering);
            Ok(())
        })
    }
}

impl Change<'_> {
    /// Takes a prediction out of the cluster it is in.
    pub(super) fn leave_cluster(&mut self, project: &ProjectName, id: PredictionId) -> Result<()> {
        let Some(mut clustering) = self.read::<Clustering>(key(project))? else { return Ok(()) };
        if clustering.clusters.iter().any(|cluster| cluster.contains(&id)) {
            clustering.clusters.iter_mut().for_each(|cluster| cluster.retain(|member| *member != id));
            self.put(key(project), &clustering);
        }
        Ok(())
    }
}
