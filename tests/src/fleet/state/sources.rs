//! Sources: simulated agents have none, and open no connections.

use vigie_protocol::access::Principal;
use vigie_protocol::service::{InProject, SourceCheck, SourceChecked, SourceRemove, SourceSet};
use vigie_protocol::source::Source;
use vigie_protocol::{ApiError, ProjectName, SourceName};

use super::State;
use super::refusal::{missing, precondition};

impl State {
    pub(in super::super) fn source_list(
        &mut self,
        _: &Principal,
        request: InProject,
    ) -> Result<Vec<Source>, ApiError> {
        self.project(&request.project).map(|_| Vec::new())
    }

    pub(in super::super) fn source_set(
        &mut self,
        _: &Principal,
        request: SourceSet,
    ) -> Result<Source, ApiError> {
        self.project(&request.project)?;
        Err(precondition("this agent opens no outbound connections")
            .with_hint("set `enabled = true` under [sources] in the agent's configuration"))
    }

    pub(in super::super) fn source_remove(
        &mut self,
        _: &Principal,
        request: SourceRemove,
    ) -> Result<Source, ApiError> {
        self.no_source(&request.project, &request.name)
    }

    pub(in super::super) fn source_check(
        &mut self,
        _: &Principal,
        request: SourceCheck,
    ) -> Result<SourceChecked, ApiError> {
        self.no_source(&request.project, &request.name)
    }

    fn no_source<T>(&self, project: &ProjectName, name: &SourceName) -> Result<T, ApiError> {
        self.project(project)?;
        Err(missing(format_args!("source {name}")))
    }
}
