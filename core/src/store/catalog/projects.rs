//! Projects.

use vigie_protocol::ProjectName;
use vigie_protocol::project::{Project, ProjectSettings};

use super::change::Change;
use super::{Catalog, Key, Receipt, check_generation, missing};
use crate::store::{Result, StoreError};

fn key(name: &ProjectName) -> Vec<u8> {
    Key::of("project").word(name.as_str()).bytes()
}

fn what(name: &ProjectName) -> String {
    format!("project {name}")
}

impl Catalog {
    /// Creates a project; its generation becomes 1.
    ///
    /// # Errors
    /// [`StoreError::Exists`] when the name is taken.
    pub fn create_project(&self, project: &Project, receipt: Option<&Receipt>) -> Result<Project> {
        let project = Project { generation: 1, ..project.clone() };
        self.change(receipt, |change| {
            if change.read::<Project>(key(&project.name))?.is_some() {
                return Err(StoreError::Exists { what: what(&project.name) });
            }
            change.put(key(&project.name), &project);
            Ok(project.clone())
        })
    }

    /// The project of this name.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn project(&self, name: &ProjectName) -> Result<Project> {
        self.need(key(name), what(name))
    }

    /// All projects, by name.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn projects(&self) -> Result<Vec<Project>> {
        self.all(Key::of("project"))
    }

    /// Replaces a project's description and settings.
    ///
    /// # Errors
    /// [`StoreError::Conflict`] when its generation is not `expected_generation`.
    pub fn update_project(
        &self,
        name: &ProjectName,
        expected_generation: u64,
        description: &str,
        settings: &ProjectSettings,
        receipt: Option<&Receipt>,
    ) -> Result<Project> {
        self.change(receipt, |change| {
            let mut project = change.project(name)?;
            check_generation(what(name), project.generation, expected_generation)?;
            project.description = description.to_owned();
            project.settings = settings.clone();
            project.generation += 1;
            change.put(key(name), &project);
            Ok(project)
        })
    }
}

impl Change<'_> {
    /// The project, which must exist for anything to be made in it.
    pub(super) fn project(&mut self, name: &ProjectName) -> Result<Project> {
        self.read(key(name))?.ok_or_else(|| missing(what(name)))
    }
}
