//! What is done about clusters at the labelling desk: which were answered, which of their pictures the
//! answer leaves out.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use vigie_protocol::{PredictionId, Time};

use super::nav::Place;

/// The clusters of a project that were made together, as far as something was done about them here.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct AtClusters {
    /// Whose.
    pub place: Place,
    /// When they were made; later ones take their place, and begin afresh.
    pub made: Time,
    /// Those that were answered.
    pub answered: BTreeSet<u32>,
    /// The exceptions of each: pictures that an answer leaves out, so that they stay deferred.
    pub except: BTreeMap<u32, BTreeSet<PredictionId>>,
    /// The picture that keys act on, counted from 0, and its cluster; the first one of any other.
    picture: Option<(u32, usize)>,
}

impl AtClusters {
    /// Nothing was done yet.
    pub fn new(place: Place, made: Time) -> Self {
        Self { place, made, answered: BTreeSet::new(), except: BTreeMap::new(), picture: None }
    }

    /// The picture of a cluster that keys act on, counted from 0.
    pub fn picture(&self, cluster: u32) -> usize {
        self.picture.filter(|(of, _)| *of == cluster).map_or(0, |(_, picture)| picture)
    }

    /// Goes to a picture of a cluster.
    pub fn go_to(&mut self, cluster: u32, picture: usize) {
        self.picture = Some((cluster, picture));
    }

    /// Whether an answer leaves the picture out.
    pub fn leaves_out(&self, cluster: u32, picture: PredictionId) -> bool {
        self.except.get(&cluster).is_some_and(|except| except.contains(&picture))
    }

    /// The exceptions of a cluster.
    pub fn exceptions(&self, cluster: u32) -> impl ExactSizeIterator<Item = PredictionId> {
        self.except.get(&cluster).cloned().unwrap_or_default().into_iter()
    }

    /// Leaves a picture out of the answer, or takes it in again.
    pub fn toggle(&mut self, cluster: u32, picture: PredictionId) {
        let except = self.except.entry(cluster).or_default();
        if !except.remove(&picture) {
            except.insert(picture);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::state::AgentIndex;

    #[test]
    fn each_cluster_has_its_own_exceptions_and_begins_with_its_first_picture() {
        let place = Place { agent: AgentIndex(0), project: "birds".parse().expect("a name") };
        let mut here = AtClusters::new(place, Time::default());
        let id = |n: u128| -> PredictionId { uuid::Uuid::from_u128(n).into() };
        here.go_to(2, 7);
        assert_eq!((here.picture(2), here.picture(3)), (7, 0));
        here.toggle(2, id(5));
        here.toggle(2, id(4));
        here.toggle(3, id(9));
        here.toggle(2, id(5));
        assert_eq!(here.exceptions(2).collect::<Vec<_>>(), [id(4)]);
        assert!(here.leaves_out(3, id(9)) && !here.leaves_out(2, id(9)) && !here.leaves_out(2, id(5)));
        assert_eq!(here.exceptions(1).len(), 0);
    }
}
