//! Class lists: one row a project, absent until the first change.

use vigie_protocol::ProjectName;
use vigie_protocol::classes::ClassList;

use super::{Catalog, Key, Receipt, check_generation};
use crate::store::{Result, StoreError};

fn key(project: &ProjectName) -> Vec<u8> {
    Key::of("class-list").word(project.as_str()).bytes()
}

impl Catalog {
    /// The class list of a project; an empty one before the first change.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn class_list(&self, project: &ProjectName) -> Result<ClassList> {
        Ok(self.row(key(project))?.unwrap_or_default())
    }

    /// Replaces the class list of a project; its generation rises by one.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without the project, [`StoreError::Conflict`] when the list's
    /// generation is not `expected_generation`.
    pub fn set_class_list(
        &self,
        project: &ProjectName,
        expected_generation: u64,
        list: &ClassList,
        receipt: Option<&Receipt>,
    ) -> Result<ClassList, StoreError> {
        self.change(receipt, |change| {
            change.project(project)?;
            let held: ClassList = change.read(key(project))?.unwrap_or_default();
            let what = format!("the class list of {project}");
            check_generation(what, held.generation, expected_generation)?;
            let list = ClassList { generation: held.generation + 1, ..list.clone() };
            change.put(key(project), &list);
            Ok(list)
        })
    }
}
