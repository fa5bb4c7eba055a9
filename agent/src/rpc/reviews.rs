//! Reviews of change-sets, kept while somebody pages through them: one looks at every image of a
//! version.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use vigie_core::data::near::Nearness;
use vigie_core::data::review::Review;
use vigie_core::store::StoreError;
use vigie_core::store::manifest::Manifest;
use vigie_protocol::Hash;

/// Reviews kept at once; as many people as review on one agent.
const KEPT: usize = 4;

/// The reviews that were asked for last.
#[derive(Debug, Default)]
pub struct Reviews {
    kept: Mutex<VecDeque<(Key, Arc<Review>)>>,
}

/// The manifests that are held against each other, and how.
type Key = (Option<Hash>, Hash, Nearness);

impl Reviews {
    /// What a review of these manifests finds. Blocks; who asks meanwhile waits for the same review.
    ///
    /// # Errors
    /// When a manifest cannot be read.
    pub(super) fn of(
        &self,
        base: Option<(Hash, &[u8])>,
        (proposed, bytes): (Hash, &[u8]),
        nearness: Nearness,
    ) -> Result<Arc<Review>, StoreError> {
        let key = (base.map(|(hash, _)| hash), proposed, nearness);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(at) = kept.iter().position(|(other, _)| *other == key)
            && let Some(found) = kept.remove(at)
        {
            let review = Arc::clone(&found.1);
            kept.push_front(found);
            return Ok(review);
        }
        let base = base.map(|(_, bytes)| Manifest::decode(bytes)).transpose()?;
        let review = Arc::new(Review::of(base.as_ref(), &Manifest::decode(bytes)?, nearness));
        kept.truncate(KEPT - 1);
        kept.push_front((key, Arc::clone(&review)));
        Ok(review)
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use super::*;

    #[test]
    fn the_last_are_kept() {
        let reviews = Reviews::default();
        let bytes = Manifest::default().encode();
        let of = |n: u8| reviews.of(None, (Hash::from([n; 32]), &bytes), Nearness::default()).unwrap();
        let first = of(0);
        let other = reviews.of(None, (Hash::from([0; 32]), &bytes), Nearness::bits(8)).unwrap();
        assert!(!Arc::ptr_eq(&first, &other), "by another setting it is another review");
        assert!(Arc::ptr_eq(&first, &of(0)));
        (1..KEPT as u8).for_each(|n| drop(of(n)));
        assert!(Arc::ptr_eq(&first, &of(0)), "asked for again, so kept longer");
        (10..10 + KEPT as u8).for_each(|n| drop(of(n)));
        assert!(!Arc::ptr_eq(&first, &of(0)));
        assert!(reviews.of(None, (Hash::from([99; 32]), b"no manifest"), Nearness::default()).is_err());
    }
}
