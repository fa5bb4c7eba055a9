//! Rows of the catalog held against each other.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::Path;

use serde::de::DeserializeOwned;
use vigie_protocol::dataset::{ChangeSetState, DatasetRef, DatasetVersion, Lineage, Split, SplitCounts};
use vigie_protocol::job::Job;
use vigie_protocol::model::{Alias, AliasMove, ModelVersion, MoveKind};
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::run::RunState;
use vigie_protocol::source::Pending;
use vigie_protocol::{Hash, ModelNumber, ProjectName};

use super::{Check, is_there};
use crate::data::labels::check_list;
use crate::store::blobs::FolderBlobs;
use crate::store::catalog::Catalog;
use crate::store::gc::uploaded;
use crate::store::manifest::Manifest;
use crate::store::{Blobs, Result, StoreError, label_report, passport};

const PAGE: usize = 500;

impl Check<'_> {
    pub(super) fn catalog(&mut self, catalog: &Catalog, blobs: &Path) -> Result<()> {
        let blobs = FolderBlobs::open_to_look(blobs);
        for project in catalog.projects()? {
            let mut part = Part { check: self, catalog, blobs: &blobs, project: &project.name };
            part.datasets()?;
            part.change_sets()?;
            part.sources()?;
            part.runs()?;
            part.label_checks()?;
            part.class_list();
            let models = part.models()?;
            part.aliases(&models)?;
            part.feedback()?;
        }
        self.jobs(catalog)?;
        self.events(catalog)?;
        for fault in catalog.schedules_at_odds()? {
            self.broken("schedules", fault);
        }
        self.receipts(catalog)
    }

    fn jobs(&mut self, catalog: &Catalog) -> Result<()> {
        let mut unfinished: HashSet<_> = HashSet::new();
        match catalog.unfinished_jobs() {
            Ok(jobs) => unfinished.extend(jobs.iter().map(|job| job.id)),
            Err(error) => self.broken("unfinished jobs", error),
        }
        let mut finished = HashMap::new();
        for job in all(|cursor| catalog.jobs(None, None, cursor, PAGE))? {
            let listed = unfinished.remove(&job.id);
            if listed == job.state.is_final() {
                let text = if listed {
                    "it has ended and is listed as unfinished"
                } else {
                    "it is not listed as unfinished"
                };
                self.broken(format_args!("job {}", job.id), text);
            }
            self.uploads(&job);
            finished.insert(job.id, job.state.is_final());
        }
        for lease in catalog.leases()? {
            match finished.get(&lease.holder) {
                Some(false) => {}
                Some(true) => {
                    let text =
                        format!("{} has ended and holds it still; the next start frees it", lease.holder);
                    self.note(format_args!("lease on {}", lease.resource), text);
                }
                None => {
                    self.broken(format_args!("lease on {}", lease.resource), "its job does not exist");
                }
            }
        }
        Ok(())
    }

    /// What a job that has not ended still needs.
    fn uploads(&mut self, job: &Job) {
        if let Some(hash) = uploaded(&job.spec)
            && !job.state.is_final()
        {
            self.names(hash, &format!("job {}", job.id));
        }
    }

    fn events(&mut self, catalog: &Catalog) -> Result<()> {
        let mut newer = None;
        for event in all(|cursor| catalog.events(None, cursor, PAGE))? {
            if newer.is_some_and(|newer| newer != event.seq + 1) {
                self.broken(format_args!("event {}", event.seq), "the event after it is missing");
            }
            newer = Some(event.seq);
        }
        Ok(())
    }

    fn receipts(&mut self, catalog: &Catalog) -> Result<()> {
        for fault in catalog.receipts_without_twin()? {
            self.broken("receipts", fault);
        }
        let due = catalog.audit_due()?.len();
        if due > 0 {
            self.note(
                "audit.log",
                format_args!("{due} lines are not written yet; the next start writes them"),
            );
        }
        Ok(())
    }
}

/// A project's part of the check.
pub(super) struct Part<'c, 'a> {
    pub(super) check: &'c mut Check<'a>,
    pub(super) catalog: &'c Catalog,
    blobs: &'c FolderBlobs,
    pub(super) project: &'c ProjectName,
}

impl Part<'_, '_> {
    fn datasets(&mut self) -> Result<()> {
        let mut by_line = 0;
        for lineage in Lineage::ALL {
            let mut versions =
                all(|cursor| self.catalog.datasets(self.project, Some(lineage), cursor, PAGE))?;
            versions.reverse();
            by_line += versions.len();
            let mut before = HashMap::new();
            for (expected, version) in (1..).zip(&versions) {
                if version.dataset != (DatasetRef { lineage, number: expected }) {
                    self.broken(version.dataset, format_args!("version {expected} is missing before it"));
                }
                before = self.version(version, &before);
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

    fn class_list(&mut self) {
        match self.catalog.class_list(self.project) {
            Ok(list) => {
                if let Err(error) = check_list(&list) {
                    self.broken("class list", error);
                }
            }
            Err(error) => self.broken("class list", error),
        }
    }

    fn models(&mut self) -> Result<HashSet<ModelNumber>> {
        let mut models = all(|cursor| self.catalog.models(self.project, cursor, PAGE))?;
        models.reverse();
        for (expected, model) in (1..).zip(&models) {
            let place = format!("model {}", model.number);
            if model.number != ModelNumber(expected) {
                self.broken(&place, format_args!("v{expected} is missing before it"));
            }
            self.model(model, &place);
        }
        Ok(models.iter().map(|model| model.number).collect())
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

    fn aliases(&mut self, models: &HashSet<ModelNumber>) -> Result<()> {
        for alias in self.catalog.aliases(self.project)? {
            let history = |cursor: Option<&PageCursor>| {
                self.catalog.alias_history(self.project, &alias.name, cursor, PAGE)
            };
            let mut moves = all(history)?;
            moves.reverse();
            self.alias(&alias, &moves, models);
        }
        Ok(())
    }

    fn alias(&mut self, alias: &Alias, moves: &[AliasMove], models: &HashSet<ModelNumber>) {
        let place = format!("alias {}", alias.name);
        if !models.contains(&alias.model) {
            self.broken(&place, format_args!("{} does not exist", alias.model));
        }
        let mut holder = None;
        for (generation, moved) in (1..).zip(moves) {
            if moved.generation != generation || moved.from != holder {
                self.broken(&place, format_args!("its move {generation} is missing"));
            }
            holder = Some(moved.to);
            let reasoned = moved.reason.as_ref().is_some_and(|reason| !reason.trim().is_empty());
            let allowed = match (moved.kind, &moved.verdict) {
                (MoveKind::Promote, Some(verdict)) => verdict.passed(),
                (MoveKind::Override, Some(_)) => reasoned,
                (MoveKind::Promote | MoveKind::Override, None) => false,
                (MoveKind::Rollback | MoveKind::Unknown, _) => true,
            };
            if !allowed {
                self.broken(
                    &place,
                    format_args!("its move {generation} had neither the gate's word nor a reason"),
                );
            }
        }
        if holder != Some(alias.model) || alias.generation != moves.len() as u64 {
            self.broken(&place, "its holder is not where its last move led");
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

    fn exists<T>(&mut self, place: &str, what: &str, found: Result<T>) {
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
