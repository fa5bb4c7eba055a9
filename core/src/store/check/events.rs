//! Events follow one another, and tell of every version, every model and every move of an alias.

use std::collections::HashSet;
use std::time::Duration;

use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::event::Subject;
use vigie_protocol::model::AliasMove;
use vigie_protocol::{AliasName, ModelNumber, ProjectName, Time};

use super::Check;
use super::catalog::all;
use crate::store::Result;
use crate::store::catalog::Catalog;

const PAGE: usize = 500;
/// By how much times may not follow the order of events: a move takes its time, a clock is set back.
const SLACK: Duration = Duration::from_secs(24 * 3600);

/// What the events tell.
#[derive(Debug, Default)]
pub(super) struct Told {
    versions: HashSet<(ProjectName, DatasetRef)>,
    models: HashSet<(ProjectName, ModelNumber)>,
    moves: HashSet<(ProjectName, AliasName, ModelNumber, Time)>,
    known: Known,
}

/// How far back the events go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Known {
    /// Nobody can say: they cannot be read.
    #[default]
    Nothing,
    /// Those until this time may have been dropped for their number.
    Since(Time),
    /// None was ever dropped.
    Everything,
}

impl Told {
    /// Whether what happened at a time must have its event.
    pub(super) fn must_know(&self, at: Time) -> bool {
        match self.known {
            Known::Nothing => false,
            Known::Since(since) => at > since.plus(SLACK),
            Known::Everything => true,
        }
    }

    pub(super) fn knows_version(&self, project: &ProjectName, dataset: DatasetRef) -> bool {
        self.versions.contains(&(project.clone(), dataset))
    }

    pub(super) fn knows_model(&self, project: &ProjectName, number: ModelNumber) -> bool {
        self.models.contains(&(project.clone(), number))
    }

    pub(super) fn knows_move(&self, project: &ProjectName, moved: &AliasMove) -> bool {
        self.moves.contains(&(project.clone(), moved.alias.clone(), moved.to, moved.at))
    }
}

impl Check<'_> {
    pub(super) fn events(&mut self, catalog: &Catalog) -> Result<Told> {
        let mut told = Told { known: Known::Everything, ..Told::default() };
        let mut newer = None;
        for event in all(|cursor| catalog.events(None, cursor, PAGE))? {
            if newer.is_some_and(|newer| newer != event.seq + 1) {
                self.broken(format_args!("event {}", event.seq), "the event after it is missing");
            }
            newer = Some(event.seq);
            told.known = if event.seq > 1 { Known::Since(event.at) } else { Known::Everything };
            match (event.project, event.subject) {
                (Some(project), Subject::Dataset { dataset }) => {
                    told.versions.insert((project, dataset));
                }
                (Some(project), Subject::Model { number }) => {
                    told.models.insert((project, number));
                }
                (Some(project), Subject::Alias { alias, to }) => {
                    told.moves.insert((project, alias, to, event.at));
                }
                _ => {}
            }
        }
        Ok(told)
    }
}
