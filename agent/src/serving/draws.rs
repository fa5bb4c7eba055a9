//! Drawing from what was logged: the audit sample, and images kept for their confidence. On the log's
//! thread, once a group is durable: no answer waits for it.

use vigie_core::store::catalog::Catalog;
use vigie_core::store::log::Logged;
use vigie_protocol::ProjectName;
use vigie_protocol::prediction::Prediction;

/// Records that wait while the facts cannot be written. What is beyond is drawn from at the next
/// start.
const WAITING: usize = 10_000;

/// What the log tells of every durable group.
pub fn drawing(catalog: Catalog) -> Logged {
    let mut waiting: Vec<(ProjectName, Prediction)> = Vec::new();
    Box::new(move |group| {
        let drawn = if waiting.is_empty() {
            catalog.set_aside(group)
        } else {
            waiting.extend_from_slice(group);
            catalog.set_aside(&waiting)
        };
        match drawn {
            Ok(()) => waiting.clear(),
            Err(error) => {
                if waiting.is_empty() {
                    tracing::warn!(%error, "the audit sample cannot be written; trying again");
                    waiting.extend_from_slice(group);
                }
                waiting.truncate(WAITING);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use vigie_core::store::State;
    use vigie_core::store::log::LogWriter;
    use vigie_protocol::project::{Project, ProjectSettings};
    use vigie_protocol::samples::Sample;
    use vigie_protocol::{PredictionId, Time};

    use super::*;

    #[test]
    fn what_is_logged_is_drawn_from_also_after_a_crash() {
        let dir = tempfile::tempdir().expect("a folder");
        let now = Time::now();
        let state = State::open(&dir.path().join("state"), now, None).expect("a state");
        let settings = ProjectSettings { audit_percent: 100.0, ..ProjectSettings::default() };
        let project = Project { settings, ..Project::sample() };
        state.catalog.create_project(&project, None).expect("created");
        let prediction = || Prediction {
            id: PredictionId::given_at(now),
            at: now,
            picture_kept: true,
            feedback: None,
            ..Prediction::sample()
        };
        let due = || state.catalog.count_audit_due(&project.name, 100).expect("counted");

        let writer = LogWriter::start_and_tell(state.log.clone(), 100, drawing(state.catalog.clone()));
        let writer = writer.expect("a thread");
        for _ in 0..5 {
            assert!(writer.submit(project.name.clone(), prediction()));
        }
        assert!(writer.flush(Duration::from_secs(60)));
        assert_eq!(due(), 5);
        drop(writer);

        // Logged, and the agent died before it drew.
        let writer = LogWriter::start(state.log.clone(), 100).expect("a thread");
        writer.submit(project.name.clone(), prediction());
        drop(writer);
        assert_eq!(due(), 5);
        let log: Arc<dyn vigie_core::store::PredictionLog> = state.log.clone();
        for _ in 0..2 {
            state.catalog.catch_up_draws(&*log, now).expect("caught up");
            assert_eq!(due(), 6);
        }
    }
}
