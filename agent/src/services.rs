//! The states of the agent's services: set by the services themselves, shown to everyone.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use vigie_protocol::Time;
use vigie_protocol::health::{ServiceHealth, ServiceState};

/// Every service with its state and since when.
#[derive(Debug, Default)]
pub struct Services {
    states: Mutex<BTreeMap<String, ServiceHealth>>,
}

impl Services {
    /// Says how a service is. Returns whether its state (not just its detail) is new.
    pub fn set(&self, name: &str, state: ServiceState, detail: impl Into<String>, now: Time) -> bool {
        let mut states = self.states.lock().unwrap_or_else(PoisonError::into_inner);
        let service = states.entry(name.to_owned()).or_insert_with(|| ServiceHealth {
            name: name.to_owned(),
            state: ServiceState::Unknown,
            since: now,
            detail: String::new(),
        });
        service.detail = detail.into();
        let changed = service.state != state;
        if changed {
            service.state = state;
            service.since = now;
        }
        changed
    }

    /// All of them, by name.
    pub fn all(&self) -> Vec<ServiceHealth> {
        self.states.lock().unwrap_or_else(PoisonError::into_inner).values().cloned().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_kept_while_the_state_stays() {
        let services = Services::default();
        let at = Time::from_micros;
        assert!(services.set("store", ServiceState::Up, "", at(1)));
        assert!(!services.set("store", ServiceState::Up, "busy", at(2)));
        assert_eq!((services.all()[0].since, services.all()[0].detail.as_str()), (at(1), "busy"));
        assert!(services.set("store", ServiceState::Down, "disk full", at(3)));
        assert_eq!(services.all()[0].since, at(3));
    }
}
