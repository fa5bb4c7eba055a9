//! What the rules look at: the newest versions of a project's lines, and their history.

use vigie_core::data::admission::{Feeding, History, Room, Update};
use vigie_core::data::naming::Names;
use vigie_core::store::manifest::Manifest;
use vigie_core::store::{Blobs, State, StoreError};
use vigie_protocol::classes::{ClassList, UnknownLabels};
use vigie_protocol::dataset::{DatasetRef, DatasetVersion, Lineage};
use vigie_protocol::project::ProjectSettings;
use vigie_protocol::rules::{ClassRule, UpdateRule, WaitingRoom};
use vigie_protocol::{ProjectName, Time};

/// Versions read at once, and at most, of a line.
const VERSIONS: (usize, usize) = (100, 1_000);

/// How far back a rate looks, and a little more.
const HISTORY: std::time::Duration = std::time::Duration::from_secs(31 * 24 * 3600);

/// The lines of a project.
pub(crate) struct Evidence {
    reference: Option<Line>,
    source: Option<Line>,
    production: Option<Line>,
    now: Time,
}

/// A line that has a version.
struct Line {
    head: DatasetRef,
    manifest: Manifest,
    /// Images of it that are left aside because the class list lacks their label.
    nameless: u64,
    /// The newest first, as far as rates look.
    versions: Vec<DatasetVersion>,
}

impl Evidence {
    /// Reads a project's lines. Blocks; reads the newest manifest of each.
    ///
    /// # Errors
    /// Those of the store.
    pub(crate) fn gather(state: &State, project: &ProjectName, now: Time) -> Result<Self, StoreError> {
        let line = |lineage| Line::read(state, project, lineage, now);
        let list = state.catalog.class_list(project)?;
        let unknown = state.catalog.project(project)?.settings.unknown_labels;
        // As an update would bring them in.
        let feeding = |lineage| Ok::<_, StoreError>(line(lineage)?.map(|line| line.named(&list, unknown)));
        Ok(Self {
            reference: line(Lineage::Reference)?,
            source: feeding(Lineage::Source)?,
            production: feeding(Lineage::Production)?,
            now,
        })
    }

    /// Who waits to enter reference. A rule that is only tried takes the place of the project's own.
    pub(crate) fn room(&self, rule: ClassRule, simulated: bool) -> WaitingRoom {
        let lines: Vec<&[DatasetVersion]> =
            self.feeding_lines().map(|line| line.versions.as_slice()).collect();
        let history = History::of(&lines, self.now);
        let reference = self.reference.as_ref().map(|line| (line.head, &line.manifest));
        Room { rule, simulated, reference, feeding: self.feeding(), history: &history }.look()
    }

    /// What the update rule says of a line; nothing when the line has no version, or feeds nothing.
    pub(crate) fn update(&self, lineage: Lineage, settings: &ProjectSettings) -> Option<UpdateRule> {
        let line = match lineage {
            Lineage::Source => self.source.as_ref(),
            Lineage::Production => self.production.as_ref(),
            Lineage::Reference => None,
        }?;
        let history = History::of(&[&line.versions], self.now);
        let update = Update {
            from_ref: line.head,
            from: &line.manifest,
            reference: self.reference.as_ref().map(|line| &line.manifest),
            feeding: self.feeding(),
            rule: settings.class_rule,
            percent: settings.update_percent,
            nameless: line.nameless,
            history: &history,
        };
        Some(update.look())
    }

    fn feeding(&self) -> Feeding<'_> {
        Feeding {
            source: self.source.as_ref().map(|line| &line.manifest),
            production: self.production.as_ref().map(|line| &line.manifest),
        }
    }

    fn feeding_lines(&self) -> impl Iterator<Item = &Line> {
        self.source.iter().chain(&self.production)
    }
}

impl Line {
    /// The line under the names of the class list.
    fn named(self, list: &ClassList, unknown: UnknownLabels) -> Self {
        let (manifest, left_out) = Names::new(list, unknown).of_manifest(self.manifest);
        Self { manifest, nameless: left_out.len() as u64, ..self }
    }

    fn read(
        state: &State,
        project: &ProjectName,
        lineage: Lineage,
        now: Time,
    ) -> Result<Option<Self>, StoreError> {
        let (stride, most) = VERSIONS;
        let (mut versions, mut cursor) = (Vec::new(), None);
        loop {
            let page = state.catalog.datasets(project, Some(lineage), cursor.as_ref(), stride)?;
            versions.extend(page.items);
            cursor = page.next;
            let reaches = versions.last().is_some_and(|oldest| oldest.created < now.minus(HISTORY));
            if reaches || cursor.is_none() || versions.len() >= most {
                break;
            }
        }
        let Some(head) = versions.first() else { return Ok(None) };
        let missing =
            || StoreError::NotFound { what: format!("the manifest {} in the blobs", head.manifest) };
        let manifest = Manifest::decode(&state.blobs.get(head.manifest)?.ok_or_else(missing)?)?;
        Ok(Some(Self { head: head.dataset, manifest, nameless: 0, versions }))
    }
}
