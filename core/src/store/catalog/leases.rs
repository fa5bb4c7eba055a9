//! Leases: which job holds which resource.
//!
//! A resource's token rises with every acquisition and is kept after the release, for ever: whoever
//! comes back with an older one is told apart from the present holder.

use vigie_protocol::job::Lease;
use vigie_protocol::{JobId, Time};

use super::change::Change;
use super::{Catalog, Key};
use crate::store::{Result, StoreError};

fn key(resource: &str) -> Vec<u8> {
    Key::of("lease").text(resource)
}

fn token_key(resource: &str) -> Vec<u8> {
    Key::of("lease-token").text(resource)
}

impl Catalog {
    /// Claims resources for a job: all of them, or none when another job holds one; then the answer
    /// is that resource and its holder. What the job holds already it gets again with a new token:
    /// a new attempt fences off the one before.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn acquire_leases(
        &self,
        job: JobId,
        resources: &[String],
        now: Time,
    ) -> Result<Result<Vec<Lease>, (String, JobId)>> {
        self.change(None, |change| {
            let mut leases = Vec::new();
            for resource in resources {
                let held: Option<Lease> = change.read(key(resource))?;
                if let Some(lease) = held.filter(|lease| lease.holder != job) {
                    return Ok(Err((resource.clone(), lease.holder)));
                }
                let last: Option<u64> = change.read(token_key(resource))?;
                let token = last.unwrap_or(0) + 1;
                leases.push(Lease { resource: resource.clone(), holder: job, token, since: now });
            }
            for lease in &leases {
                change.put(key(&lease.resource), lease);
                change.put(token_key(&lease.resource), &lease.token);
            }
            Ok(Ok(leases))
        })
    }

    /// Gives back everything a job holds.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn release_leases(&self, job: JobId) -> Result<()> {
        self.change(None, |change| {
            for (_, lease) in change.read_all::<Lease>(Key::of("lease"))? {
                if lease.holder == job {
                    change.delete(key(&lease.resource));
                }
            }
            Ok(())
        })
    }

    /// All leases that are held, by resource.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn leases(&self) -> Result<Vec<Lease>> {
        self.all(Key::of("lease"))
    }
}

impl Change<'_> {
    /// Refuses a lease that is no longer held.
    pub(super) fn check_lease(&mut self, lease: &Lease) -> Result<()> {
        let current: Option<Lease> = self.read(key(&lease.resource))?;
        if current.is_some_and(|current| current.token == lease.token && current.holder == lease.holder) {
            return Ok(());
        }
        Err(StoreError::Precondition(format!("the lease on {} has passed on", lease.resource)))
    }
}
