//! Dataset versions. They are only ever added, by accepting a change-set.

use vigie_protocol::ProjectName;
use vigie_protocol::dataset::{DatasetRef, DatasetVersion, Lineage};
use vigie_protocol::page::{Page, PageCursor};

use super::change::Change;
use super::{Catalog, Key};
use crate::store::Result;

fn in_line(project: &ProjectName, lineage: Lineage) -> Key {
    Key::of("dataset").word(project.as_str()).word(lineage.as_str())
}

fn key(project: &ProjectName, dataset: DatasetRef) -> Vec<u8> {
    in_line(project, dataset.lineage).u32(dataset.number).bytes()
}

/// The same versions in the order they were made, for lists over all lines.
fn by_time(project: &ProjectName) -> Key {
    Key::of("dataset-by-time").word(project.as_str())
}

impl Catalog {
    /// One dataset version.
    ///
    /// # Errors
    /// [`StoreError::NotFound`](crate::store::StoreError::NotFound).
    pub fn dataset(&self, project: &ProjectName, dataset: DatasetRef) -> Result<DatasetVersion> {
        self.need(key(project, dataset), dataset)
    }

    /// The newest version of a line.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn dataset_head(&self, project: &ProjectName, lineage: Lineage) -> Result<Option<DatasetVersion>> {
        Change::new(&**self.facts()).dataset_head(project, lineage)
    }

    /// A project's versions, of one line or of all, newest first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`](crate::store::StoreError::BadCursor).
    pub fn datasets(
        &self,
        project: &ProjectName,
        lineage: Option<Lineage>,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<DatasetVersion>> {
        if let Some(lineage) = lineage {
            return self.page_down(in_line(project, lineage), cursor, limit, |_| true);
        }
        let page: Page<DatasetRef> = self.page_down(by_time(project), cursor, limit, |_| true)?;
        let items = page.items.into_iter().map(|dataset| self.dataset(project, dataset));
        Ok(Page { items: items.collect::<Result<_>>()?, next: page.next })
    }
}

impl Change<'_> {
    pub(super) fn dataset_head(
        &self,
        project: &ProjectName,
        lineage: Lineage,
    ) -> Result<Option<DatasetVersion>> {
        self.last(in_line(project, lineage))
    }

    pub(super) fn add_dataset(&mut self, project: &ProjectName, version: &DatasetVersion) {
        let dataset = version.dataset;
        self.add(key(project, dataset), version);
        let by_time =
            by_time(project).time(version.created).word(dataset.lineage.as_str()).u32(dataset.number);
        self.put(by_time.bytes(), &dataset);
    }
}
