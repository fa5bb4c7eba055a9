//! How many connections there may be, in all and of one user, and how much a user's requests may
//! hold: so that nobody's runaway script keeps the others out, or fills the memory.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use vigie_protocol::{ApiError, ErrorCode};

/// Places beyond the limit, for root and the agent's own user: whoever comes to see what is wrong
/// must get in, however many users are at it together.
const KEPT: usize = 8;

/// Bytes of requests under way that one user may have, over all connections: 64 images of two
/// megabytes.
pub(super) const REQUEST_BYTES: usize = 128 << 20;

/// The places of one server.
#[derive(Debug)]
pub(super) struct Room {
    places: usize,
    per_user: usize,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    all: usize,
    by_user: HashMap<u32, User>,
}

#[derive(Debug)]
struct User {
    connections: usize,
    requests: Budget,
}

impl Room {
    /// Room for `places` connections, of which one user may take `per_user`.
    pub(super) fn new(places: usize, per_user: usize) -> Arc<Self> {
        Arc::new(Self { places, per_user, taken: Mutex::default() })
    }

    /// A place for a connection of the user `uid`, until it is dropped. A `keeper` finds one even
    /// when all are taken.
    ///
    /// # Errors
    /// `Overloaded` says which limit is reached.
    pub(super) fn enter(self: &Arc<Self>, uid: u32, keeper: bool) -> Result<Place, ApiError> {
        let mut taken = self.lock();
        let places = if keeper { self.places + KEPT } else { self.places };
        if taken.all >= places {
            return Err(full("the agent has too many connections", "connections.max"));
        }
        let fresh = || User { connections: 0, requests: Budget::new(REQUEST_BYTES) };
        let user = taken.by_user.entry(uid).or_insert_with(fresh);
        if user.connections >= self.per_user {
            return Err(full(
                &format!("uid {uid} has {} connections, as many as one user may", user.connections),
                "connections.max_per_user",
            ));
        }
        user.connections += 1;
        let requests = user.requests.clone();
        taken.all += 1;
        Ok(Place { room: Arc::clone(self), uid, requests })
    }

    fn lock(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn full(message: &str, key: &str) -> ApiError {
    ApiError::new(ErrorCode::Overloaded, message)
        .with_hint(format!("close some consoles, or have an administrator raise {key} of the agent"))
        .retry_after_ms(1_000)
}

/// A connection's place.
#[derive(Debug)]
pub(super) struct Place {
    room: Arc<Room>,
    uid: u32,
    requests: Budget,
}

impl Place {
    /// What the requests of this connection's user may hold, over all their connections.
    pub(super) fn requests(&self) -> &Budget {
        &self.requests
    }
}

/// Bytes of which so many may be held at one time. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct Budget(Arc<Semaphore>);

impl Budget {
    /// A budget of `bytes`.
    pub(super) fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(bytes)))
    }

    /// Holds `bytes` until the answer is dropped; nothing when too many are held.
    pub(super) fn take(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.0).try_acquire_many_owned(u32::try_from(bytes).ok()?).ok()
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.room.lock();
        taken.all -= 1;
        if let Some(user) = taken.by_user.get_mut(&self.uid) {
            user.connections -= 1;
            if user.connections == 0 {
                taken.by_user.remove(&self.uid);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_user_does_not_take_the_room_of_others() {
        let room = Room::new(5, 2);
        let mut places: Vec<Place> = (0..2).map(|_| room.enter(7, false).expect("room")).collect();
        let refused = room.enter(7, false).expect_err("two is the limit");
        assert_eq!(refused.code, ErrorCode::Overloaded);
        assert!(refused.hint.as_deref().unwrap_or_default().contains("connections.max_per_user"));
        places.extend([8, 8, 9].map(|uid| room.enter(uid, false).expect("room for others")));

        let refused = room.enter(10, false).expect_err("five is the limit");
        assert!(refused.hint.as_deref().unwrap_or_default().ends_with("connections.max of the agent"));
        let repairs = room.enter(0, true).expect("root gets in");

        places.clear();
        drop(repairs);
        let taken = room.lock();
        assert!((taken.all, taken.by_user.len()) == (0, 0), "{taken:?}");
    }

    #[test]
    fn a_users_connections_share_one_budget() {
        let room = Room::new(9, 9);
        let [one, two, other] = [7, 7, 8].map(|uid| room.enter(uid, false).expect("room"));
        let held = one.requests().take(REQUEST_BYTES - 10).expect("all but ten");
        assert!(two.requests().take(11).is_none() && two.requests().take(10).is_some());
        assert!(other.requests().take(11).is_some(), "another user's are others");
        drop(held);
        assert!(two.requests().take(11).is_some());
    }

    #[test]
    fn not_even_keepers_come_without_end() {
        let room = Room::new(1, usize::MAX);
        let places: Vec<Place> = std::iter::from_fn(|| room.enter(0, true).ok()).collect();
        assert_eq!(places.len(), 1 + KEPT);
    }
}
