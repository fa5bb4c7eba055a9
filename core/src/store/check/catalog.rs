//! Rows of the catalog held against each other.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;

use serde::de::DeserializeOwned;
use vigie_protocol::dataset::{ChangeSetState, DatasetRef, DatasetVersion, Lineage, Split, SplitCounts};
use vigie_protocol::model::ModelVersion;
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::run::RunState;
use vigie_protocol::source::Pending;
use vigie_protocol::{Hash, ModelNumber, ProjectName};

use super::events::Told;
use super::{Check, is_there};
use crate::data::labels::check_list;
use crate::store::blobs::FolderBlobs;
use crate::store::catalog::Catalog;
use crate::store::manifest::Manifest;
use crate::store::{Blobs, Result, StoreError, label_report, passport};

const PAGE: usize = 500;

impl Check<'_> {
    pub(super) fn catalog(&mut self, catalog: &Catalog, blobs: &Path) -> Result<()> {
        let blobs = FolderBlobs::open_to_look(blobs);
        let told = self.events(catalog);
        let told = self.legible("events", told)?.unwrap_or_default();
        let projects = self.legible("projects", catalog.projects())?.unwrap_or_default();
        for project in projects {
            let mut part = Part { check: self, catalog, blobs: &blobs, told: &told, project: &project.name };
            part.look()?;
        }
        self.agent(catalog)
    }
}

/// Looks at one kind of rows of a project.
type Look<P> = fn(&mut P) -> Result<()>;

/// A project's part of the check.
pub(super) struct Part<'c, 'a> {
    pub(super) check: &'c mut Check<'a>,
    pub(super) catalog: &'c Catalog,
    blobs: &'c FolderBlobs,
    pub(super) told: &'c Told,
    pub(super) project: &'c ProjectName,
}

impl Part<'_, '_> {
    /// Looks at everything; what cannot be read keeps nothing else from being looked at.
    fn look(&mut self) -> Result<()> {
        let looks: [(&str, Look<Self>); 9] = [
            ("datasets", Self::datasets),
            ("change-sets", Self::change_sets),
            ("sources", Self::sources),
            ("runs", Self::runs),
            ("label checks", Self::label_checks),
            ("class list", Self::class_list),
            ("models", Self::models),
            ("aliases", Self::aliases),
            ("feedback", Self::feedback),
        ];
        for (place, look) in looks {
            let looked = look(self);
            let place = self.place(place);
            self.check.legible(place, looked)?;
        }
        Ok(())
    }

    fn datasets(&mut self) -> Result<()> {
        let mut by_line = 0;
        for lineage in Lineage::ALL {
            let mut versions =
                all(|cursor| self.catalog.datasets(self.project, Some(lineage), cursor, PAGE))?;
            versions.reverse();
            by_line += versions.len();
            let mut before = HashMap::new();
            let mut expected = 1;
            for version in &versions {
                if version.dataset.number != expected {
                    self.broken(version.dataset, format_args!("version {expected} is missing before it"));
                }
                expected = version.dataset.number.saturating_add(1);
                before = self.version(version, &before);
                if self.told.must_know(version.created)
                    && !self.told.knows_version(self.project, version.dataset)
                {
                    self.broken(version.dataset, "no event tells of it");
                }
            }
        }
        let by_time = all(|cursor| self.catalog.datasets(self.project, None, cursor, PAGE))?.len();
        if by_time != by_line {
            let text = format!("{by_line} versions in their lines, {by_time} in the list by time");
            self.broken("datasets", text);
        }
        Ok(())
    }

    /// Checks a version against the splits of the one before it; answers with its own.
    fn version(&mut self, version: &DatasetVersion, before: &HashMap<Hash, Split>) -> HashMap<Hash, Split> {
        let dataset = version.dataset;
        let mut moves = 0;
        match self.catalog.change_set(self.project, version.change_set) {
            Ok(set)
                if set.state == ChangeSetState::Accepted
                    && set.accepted_as == Some(dataset.number)
                    && set.manifest == version.manifest =>
            {
                moves = set.totals().moved;
            }
            Ok(_) => self.broken(dataset, "its change-set was not accepted as it"),
            Err(error) => self.broken(dataset, error),
        }
        let mut splits = HashMap::new();
        let Some(manifest) = self.manifest(version.manifest, &dataset.to_string()) else { return splits };
        let mut classes: BTreeMap<String, SplitCounts> = BTreeMap::new();
        let mut moved = 0;
        for image in manifest.images() {
            *classes.entry(image.label.clone()).or_default().of_mut(image.split) += 1;
            moved += u64::from(before.get(&image.image).is_some_and(|before| *before != image.split));
            splits.insert(image.image, image.split);
        }
        if moved != moves {
            let text = format!("{moved} of its images changed their split, its change-set says {moves}");
            self.broken(dataset, text);
        }
        if classes != version.classes {
            self.broken(dataset, "its counts are not those of its manifest");
        }
        splits
    }

    fn change_sets(&mut self) -> Result<()> {
        for set in all(|cursor| self.catalog.change_sets(self.project, cursor, PAGE))? {
            let place = format!("change-set {}", set.id);
            match (set.state, set.accepted_as) {
                (ChangeSetState::Accepted, Some(number)) => {
                    let dataset = DatasetRef { lineage: set.lineage, number };
                    match self.catalog.dataset(self.project, dataset) {
                        Ok(version) if version.change_set == set.id => {}
                        Ok(_) => self.broken(place, format_args!("{dataset} came from another one")),
                        Err(error) => self.broken(place, error),
                    }
                }
                (ChangeSetState::Accepted, None) => self.broken(place, "accepted as no version"),
                (ChangeSetState::Proposed, None) => {
                    self.manifest(set.manifest, &place);
                }
                (ChangeSetState::Rejected | ChangeSetState::Unknown, None) => {}
                (_, Some(_)) => self.broken(place, "a version without having been accepted"),
            }
        }
        Ok(())
    }

    fn sources(&mut self) -> Result<()> {
        for source in self.catalog.sources(self.project)? {
            let place = format!("source {}", source.name);
            if let Some(dataset) = source.imported.as_ref().and_then(|imported| imported.dataset) {
                self.exists(&place, "what was imported", self.catalog.dataset(self.project, dataset));
            }
            let Some(Pending { job, change_set, supersedes, .. }) = source.pending else { continue };
            self.exists(&place, "its job", self.catalog.job(job));
            for set in change_set.into_iter().chain(supersedes) {
                self.exists(&place, "its change-set", self.catalog.change_set(self.project, set));
            }
        }
        Ok(())
    }

    fn manifest(&mut self, hash: Hash, place: &str) -> Option<Manifest> {
        let manifest: Manifest = self.read(hash, place, Manifest::decode)?;
        let place = self.place(place);
        for image in manifest.images() {
            self.check.names(image.image, &place);
        }
        Some(manifest)
    }

    fn runs(&mut self) -> Result<()> {
        for run in all(|cursor| self.catalog.runs(self.project, cursor, PAGE))? {
            let place = format!("run {}", run.id);
            self.exists(&place, "its job", self.catalog.job(run.job));
            if run.epochs.windows(2).any(|pair| pair[1].epoch != pair[0].epoch + 1) {
                self.broken(&place, "its epochs are not each there once and in order");
            }
            if run.state == RunState::Finished && run.best_epoch.is_none() {
                self.broken(&place, "it finished without a best epoch");
            }
        }
        Ok(())
    }

    fn label_checks(&mut self) -> Result<()> {
        for check in all(|cursor| self.catalog.label_checks(self.project, cursor, PAGE))? {
            let place = format!("label check {}", check.job);
            self.exists(&place, "its job", self.catalog.job(check.job));
            self.exists(&place, "its dataset", self.catalog.dataset(self.project, check.dataset));
            if let Some(report) = self.read(check.report, &place, label_report::decode)
                && report.issues.len() as u64 != check.issues
            {
                self.broken(&place, "its count is not that of its report");
            }
        }
        Ok(())
    }

    fn class_list(&mut self) -> Result<()> {
        if let Err(error) = check_list(&self.catalog.class_list(self.project)?) {
            self.broken("class list", error);
        }
        Ok(())
    }

    fn models(&mut self) -> Result<()> {
        let mut models = all(|cursor| self.catalog.models(self.project, cursor, PAGE))?;
        models.reverse();
        let mut expected = 1;
        for model in &models {
            let place = format!("model {}", model.number);
            if model.number != ModelNumber(expected) {
                self.broken(&place, format_args!("v{expected} is missing before it"));
            }
            expected = model.number.0.saturating_add(1);
            if self.told.must_know(model.created) && !self.told.knows_model(self.project, model.number) {
                self.broken(&place, "no event tells of it");
            }
            self.model(model, &place);
        }
        Ok(())
    }

    fn model(&mut self, model: &ModelVersion, place: &str) {
        self.exists(place, "its run", self.catalog.run(self.project, model.run));
        self.exists(place, "its dataset", self.catalog.dataset(self.project, model.dataset));
        let full = self.place(place);
        self.check.names(model.weights, &full);
        let Some(passport) = self.read(model.passport, place, passport::decode) else { return };
        if passport.weights != model.weights || passport.run != model.run || passport.dataset != model.dataset
        {
            self.broken(place, "its passport is of another model");
        }
        if passport.preprocess.hash() != passport.preprocess_hash {
            self.broken(place, "its passport's preprocessing is not what it was made with");
        }
        for golden in &passport.golden {
            self.check.names(golden.image, &full);
        }
    }

    /// Reads a blob of a known kind; what is wrong with it is a finding.
    fn read<T>(&mut self, hash: Hash, place: &str, decode: impl Fn(&[u8]) -> Result<T>) -> Option<T> {
        let full = self.place(place);
        self.check.names(hash, &full);
        if !is_there(&self.blobs.path_of(hash)) {
            return None; // said once, with the other missing blobs
        }
        match self.blobs.get(hash).and_then(|bytes| bytes.map(|bytes| decode(&bytes)).transpose()) {
            Ok(value) => value,
            Err(error) => {
                self.broken(place, error);
                None
            }
        }
    }

    pub(super) fn exists<T>(&mut self, place: &str, what: &str, found: Result<T>) {
        if let Err(error) = found {
            self.broken(place, format_args!("{what}: {error}"));
        }
    }

    pub(super) fn place(&self, place: impl std::fmt::Display) -> String {
        format!("{} {place}", self.project)
    }

    pub(super) fn broken(&mut self, place: impl std::fmt::Display, detail: impl std::fmt::Display) {
        let place = self.place(place);
        self.check.broken(place, detail);
    }
}

/// Every row of a paged list, newest first.
pub(super) fn all<T: DeserializeOwned>(
    read: impl Fn(Option<&PageCursor>) -> Result<Page<T>, StoreError>,
) -> Result<Vec<T>> {
    let mut rows = Vec::new();
    let mut cursor = None;
    loop {
        let page = read(cursor.as_ref())?;
        rows.extend(page.items);
        match page.next {
            Some(next) => cursor = Some(next),
            None => return Ok(rows),
        }
    }
}
