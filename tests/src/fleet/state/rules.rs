//! The rules by which data enters reference. The classes that wait are of the waiting room alone: the
//! datasets of the simulation hold none that reference lacks.

use std::collections::BTreeMap;
use std::time::Duration;

use vigie_core::data::admission::{Feeding, History, Room};
use vigie_core::store::manifest::Manifest;
use vigie_protocol::access::Principal;
use vigie_protocol::dataset::{
    DatasetImage, DatasetRef, DatasetVersion, Lineage, Quality, Split, SplitCounts,
};
use vigie_protocol::rules::{ClassRule, RulesExplained, WaitingRoom};
use vigie_protocol::service::{ClassWaiting, InProject};
use vigie_protocol::{ApiError, ProjectName, Time};

use super::super::dice::{hash, mix, uuid};
use super::super::words::HOSTILE;
use super::{Character, State};

/// Classes that wait: their images in source and in production, and how many of these came within the
/// last ten days, each as a share of what a class needs.
const NEWCOMERS: [(&str, f64, f64, f64); 6] = [
    ("waxwing", 1.1, 0.2, 0.4),
    ("hoopoe", 0.7, 0.2, 0.3),
    ("nutcracker", 0.5, 0.0, 0.1),
    ("red-footed falcon with a name that goes on and on", 0.3, 0.1, 0.0),
    ("dipper", 0.0, 0.2, 0.2),
    (HOSTILE[1], 0.1, 0.0, -0.1),
];

/// The span of the newcomers' growth.
const GREW: Duration = Duration::from_secs(10 * 86_400);

impl State {
    pub(in super::super) fn class_waiting(
        &mut self,
        _: &Principal,
        request: ClassWaiting,
    ) -> Result<WaitingRoom, ApiError> {
        self.waiting_room(&request.project, request.threshold)
    }

    pub(in super::super) fn rules_explain(
        &mut self,
        _: &Principal,
        request: InProject,
    ) -> Result<RulesExplained, ApiError> {
        let classes = self.waiting_room(&request.project, None)?;
        let project = &self.project(&request.project)?.project;
        Ok(RulesExplained {
            policy: project.settings.update_policy,
            classes,
            updates: Vec::new(),
            chain: Vec::new(),
            sentence: "nothing follows by itself on a simulated agent".to_owned(),
        })
    }

    /// By the rule of the real agent.
    fn waiting_room(&self, name: &ProjectName, threshold: Option<u32>) -> Result<WaitingRoom, ApiError> {
        let project = self.project(name)?;
        let plan = &project.plan;
        let head = project.head(Lineage::Reference);
        let reference = head.map(|head| {
            let images = plan.images(head.content).map(|image| plan.image(head.content, image));
            (head.dataset, Manifest::new(images.collect()))
        });
        let smallest = head.and_then(|head| plan.counts(head.content).values().map(SplitCounts::total).min());
        let unit = smallest.unwrap_or(0).max(20) as f64;
        let comes = !matches!(self.identity.character, Character::Quiet | Character::Fresh);
        let newcomers = || (0_u64..).zip(NEWCOMERS).filter(|_| comes && head.is_some());
        let count = |share: f64| (unit * share).round() as u64;
        let of = |share: fn(&(&str, f64, f64, f64)) -> f64, seed: u64| {
            let images = newcomers().flat_map(|(n, newcomer)| {
                (0..count(share(&newcomer))).map(move |image| sent(mix(seed, n), image, newcomer.0))
            });
            Manifest::new(images.collect())
        };
        let (source, production) = (of(|one| one.1, plan.seed ^ 8), of(|one| one.2, plan.seed ^ 9));
        let counts = |less: f64| {
            let of = |(_, (class, source, production, came)): (u64, (&str, f64, f64, f64))| {
                let train = count((source + production - less * came).max(0.0));
                (class.to_owned(), SplitCounts { train, ..SplitCounts::default() })
            };
            newcomers().map(of).collect::<BTreeMap<_, _>>()
        };
        let line = [version(1, self.now.minus(GREW), counts(1.0)), version(2, self.now, counts(0.0))];
        let rule =
            threshold.map_or(project.project.settings.class_rule, |images| ClassRule::Fixed { images });
        Ok(Room {
            rule,
            simulated: threshold.is_some(),
            reference: reference.as_ref().map(|(dataset, manifest)| (*dataset, manifest)),
            feeding: Feeding { source: Some(&source), production: Some(&production) },
            history: &History::of(&[&line], self.now),
        }
        .look())
    }
}

/// An image of a class that waits.
fn sent(seed: u64, n: u64, class: &str) -> DatasetImage {
    let (origin, admission) = (format!("new/{n}.jpg"), "imported".to_owned());
    DatasetImage::new(hash(seed, n), class.to_owned(), Split::Train, origin, Quality::default(), admission)
}

/// A version of the line that the newcomers came in by.
fn version(number: u32, created: Time, classes: BTreeMap<String, SplitCounts>) -> DatasetVersion {
    DatasetVersion {
        dataset: DatasetRef { lineage: Lineage::Source, number },
        manifest: hash(0, u64::from(number)),
        created,
        by: "alice".to_owned(),
        change_set: uuid(created, u64::from(number)).into(),
        classes,
        bytes: 0,
        window: None,
    }
}
