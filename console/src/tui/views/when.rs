//! Cells that many tables have.

use vigie_protocol::Time;
use vigie_protocol::health::ServiceState;
use vigie_protocol::job::JobState;
use vigie_protocol::model::Proportion;

use crate::out::{age, percent};
use crate::tui::state::{Agent, Link, State};
use crate::tui::table::Cell;
use crate::tui::theme::Role;

/// How long ago; sorts by the moment, so that it does not change its place as it ages.
pub(super) fn ago(state: &State, then: Time) -> Cell {
    Cell::figure(coarse(state.now, then), -(then.as_micros() as f64)).role(Role::Dim)
}

/// An age that changes rarely: below a minute by tens of seconds, so that a screen full of ages is
/// not drawn anew each second.
pub(super) fn coarse(now: Time, then: Time) -> String {
    match now.since(then).as_secs() {
        0..10 => "now".to_owned(),
        seconds @ 10..60 => format!("{} s", seconds / 10 * 10),
        _ => {
            let text = age(now, then);
            text.strip_suffix(" ago").unwrap_or(&text).to_owned()
        }
    }
}

/// The state of a service: mark, word, colour.
pub(super) fn service(state: &State, service: ServiceState) -> Cell {
    let role = role_of(service);
    Cell::text(format!("{} {}", state.theme.mark(role), service.as_str())).role(role)
}

pub(super) fn role_of(service: ServiceState) -> Role {
    match service {
        ServiceState::Up => Role::Good,
        ServiceState::Starting => Role::Busy,
        ServiceState::Degraded => Role::Warn,
        ServiceState::Down => Role::Bad,
        ServiceState::Off | ServiceState::Unknown => Role::Dim,
    }
}

/// The state of a job.
pub(super) fn job_role(job: JobState) -> Role {
    match job {
        JobState::Succeeded => Role::Good,
        JobState::Running => Role::Busy,
        JobState::Failed => Role::Bad,
        JobState::Cancelling | JobState::Cancelled => Role::Warn,
        JobState::Queued | JobState::Unknown => Role::Dim,
    }
}

/// How the link to an agent stands, in one word.
pub(super) fn link(state: &State, agent: &Agent) -> Cell {
    let (role, word) = match &agent.snapshot.link {
        Link::Connected { .. } if agent.is_stale(state.now) => (Role::Stale, "silent"),
        Link::Connected { .. } => (Role::Good, "connected"),
        Link::Connecting => (Role::Busy, "connecting"),
        Link::Waiting { .. } => (Role::Bad, "lost"),
        Link::Refused { .. } => (Role::Bad, "refused"),
    };
    Cell::text(format!("{} {word}", state.theme.mark(role))).role(role)
}

/// A share with its interval, as all shares are shown.
pub(super) fn share(proportion: &Proportion) -> Cell {
    if proportion.n == 0 {
        return Cell::none();
    }
    let Proportion { value, low, high, n } = proportion;
    let text = format!("{} [{:.1}–{:.1}, n={n}]", percent(*value), low * 100.0, high * 100.0);
    Cell::figure(text, *value)
}

/// A share of one without more to say of it.
pub(super) fn portion(value: f64) -> Cell {
    Cell::figure(percent(value), value)
}
