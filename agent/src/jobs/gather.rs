//! What a collection is offered: images whose class people agree on, and, where a project wants it,
//! those that the model was sure of.

use std::collections::{BTreeMap, HashMap, HashSet};

use vigie_core::data::collect::Offer;
use vigie_core::store::catalog::{Catalog, Confident, Fate, Source};
use vigie_core::store::manifest::Manifest;
use vigie_core::store::{Result, StoreError};
use vigie_protocol::feedback::{Consensus, Feedback, FeedbackState, Said, Vote};
use vigie_protocol::{Hash, PredictionId, ProjectName};

/// Rows read at once.
const PAGE: usize = 500;
/// The offers of one job fit a frame of its worker's pipe with room to spare. What is beyond waits for
/// the next job.
const MAX_BYTES: usize = 2 << 20;
/// Bytes of an offer beside its texts, at most.
const OVERHEAD: usize = 160;

/// What is offered, and what is not.
#[derive(Debug, Default)]
pub(super) struct Gathered {
    pub(super) offers: Vec<Offer>,
    /// Images of which several predictions were judged, and differently.
    pub(super) differ: u64,
    /// Images that the line has under another class; a collection only adds.
    pub(super) contradict: u64,
    /// Whether some wait for the next job.
    pub(super) more: bool,
    /// Bytes that the offers take.
    taken: usize,
}

impl Gathered {
    /// Adds an offer of at most `size` bytes, or leaves it for the next job.
    fn offer(&mut self, size: usize, offer: impl FnOnce() -> Offer) {
        if self.taken + size > MAX_BYTES {
            self.more = true;
            return;
        }
        self.taken += size;
        self.offers.push(offer());
    }
}

/// Gathers the offers of a project for a line whose newest version is `base`. Settles first what was
/// decided since. What people differ on and what contradicts the line stays open for ever, maybe: it
/// must keep nothing else from being offered.
pub(super) fn gather(
    catalog: &Catalog,
    project: &ProjectName,
    keep_confident: Option<f32>,
    base: Option<&Manifest>,
) -> Result<Gathered> {
    catalog.settle_taken(project)?;
    let mut gathered = Gathered::default();
    let open = open_images(catalog, project)?;
    for (image, predictions) in &open {
        let rows = predictions.iter().filter_map(|&id| catalog.feedback(project, id).transpose());
        let mut rows = rows.collect::<Result<Vec<Feedback>>>()?;
        // Somebody may have said something else since the list was read.
        rows.retain(|row| row.state == FeedbackState::Open);
        if rows.is_empty() {
            continue;
        }
        match class(&rows) {
            None => gathered.differ += 1,
            Some(label) if contradicts(base, *image, &label) => gathered.contradict += 1,
            Some(label) => {
                gathered.offer(rows.iter().map(size).sum(), || offer(*image, &label, &rows));
            }
        }
    }
    let looked_at = open.into_iter().map(|(image, _)| image).collect();
    confident(catalog, project, keep_confident, &looked_at, base, &mut gathered)?;
    Ok(gathered)
}

/// The images that open feedback is about, each with its predictions; that on the oldest one first.
fn open_images(catalog: &Catalog, project: &ProjectName) -> Result<Vec<(Hash, Vec<PredictionId>)>> {
    let mut images: Vec<(Hash, Vec<PredictionId>)> = Vec::new();
    let mut places: HashMap<Hash, usize> = HashMap::new();
    let mut after = None;
    loop {
        let rows = catalog.open_feedback(project, after, PAGE)?;
        let Some(last) = rows.last() else { return Ok(images) };
        after = Some(last.prediction);
        for row in rows.into_iter().filter(|row| row.state == FeedbackState::Open) {
            let place = *places.entry(row.image).or_insert(images.len());
            if place == images.len() {
                images.push((row.image, Vec::new()));
            }
            images[place].1.push(row.prediction);
        }
    }
}

/// Whether a version has an image under another class.
fn contradicts(base: Option<&Manifest>, image: Hash, label: &str) -> bool {
    let images = base.map(Manifest::images).unwrap_or_default();
    let found = images.binary_search_by_key(&image, |known| known.image);
    found.is_ok_and(|place| images[place].label != label)
}

/// Bytes that a row adds to an offer, at most.
fn size(row: &Feedback) -> usize {
    OVERHEAD + row.label().map_or(0, str::len) + row.name.as_ref().map_or(0, String::len)
}

/// The class that people agree on over all predictions of one image; of each person the newest word
/// counts.
fn class(rows: &[Feedback]) -> Option<String> {
    let first = rows.first()?.label()?;
    if rows.iter().all(|row| row.label() == Some(first)) {
        return Some(first.to_owned());
    }
    let mut newest: BTreeMap<&str, Vote> = BTreeMap::new();
    for row in rows {
        for vote in &row.votes {
            let class = match &vote.said {
                Said::Correct => Said::Wrong { class: row.predicted().to_owned() },
                said => said.clone(),
            };
            if newest.get(vote.by.as_str()).is_none_or(|known| known.at <= vote.at) {
                newest.insert(&vote.by, Vote { said: class, ..vote.clone() });
            }
        }
    }
    match Consensus::of(newest.values()) {
        Consensus::Wrong { class } => Some(class),
        Consensus::Correct | Consensus::WrongUnknown | Consensus::Disputed | Consensus::Unknown => None,
    }
}

fn offer(image: Hash, label: &str, rows: &[Feedback]) -> Offer {
    let mut people: Vec<&str> = rows.iter().flat_map(|row| &row.votes).map(|vote| vote.by.as_str()).collect();
    people.sort_unstable();
    people.dedup();
    let more = people.len().saturating_sub(3);
    people.truncate(3);
    let others = if more > 0 { format!(" and {more} others") } else { String::new() };
    let prediction = rows.first().map(|row| row.prediction.to_string()).unwrap_or_default();
    Offer {
        image,
        label: label.to_owned(),
        origin: origin(rows.iter().find_map(|row| row.name.as_deref()), &prediction),
        admission: format!("labelled by {}{others}, prediction {prediction}", people.join(", ")),
        sources: rows
            .iter()
            .map(|row| Source::Feedback { prediction: row.prediction, generation: row.generation })
            .collect(),
    }
}

fn origin(name: Option<&str>, prediction: &str) -> String {
    // Names come from whoever asked; an origin is one line.
    let name: String = name.unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
    if name.is_empty() { format!("prediction {prediction}") } else { name }
}

/// Offers what the model was sure of and nobody looked at. What somebody looked at, or no longer
/// reaches the limit, is dropped from the list.
fn confident(
    catalog: &Catalog,
    project: &ProjectName,
    limit: Option<f32>,
    looked_at: &HashSet<Hash>,
    base: Option<&Manifest>,
    gathered: &mut Gathered,
) -> Result<(), StoreError> {
    let mut after = None;
    loop {
        let rows = catalog.confident(project, after, PAGE)?;
        let Some(last) = rows.last() else { return Ok(()) };
        after = Some(last.prediction);
        let mut dropped = Vec::new();
        for row in rows {
            let source = Source::Confident { prediction: row.prediction };
            let judged = catalog.feedback(project, row.prediction)?.is_some();
            if limit.is_none_or(|limit| row.confidence < limit) || judged || looked_at.contains(&row.image) {
                dropped.push((source, Fate::AlreadyThere));
            } else if contradicts(base, row.image, &row.class) {
                gathered.contradict += 1;
            } else {
                let size = OVERHEAD + row.class.len() + row.name.as_ref().map_or(0, String::len);
                gathered.offer(size, || sure(row, source));
            }
        }
        catalog.note_fates(project, &dropped, None)?;
    }
}

fn sure(row: Confident, source: Source) -> Offer {
    let Confident { prediction, model, image, class, confidence, name } = row;
    let prediction = prediction.to_string();
    let share = confidence * 100.0;
    Offer {
        image,
        origin: origin(name.as_deref(), &prediction),
        admission: format!("kept at {share:.0} % by {model}, nobody looked, prediction {prediction}"),
        label: class,
        sources: vec![source],
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use std::sync::Arc;

    use vigie_core::store::catalog::Voted;
    use vigie_core::store::facts::RedbFacts;
    use vigie_protocol::Time;
    use vigie_protocol::dataset::DatasetImage;
    use vigie_protocol::prediction::Prediction;
    use vigie_protocol::project::Project;
    use vigie_protocol::samples::Sample;

    use super::*;

    /// Who said what, and when.
    type Votes<'a> = &'a [(&'a str, i64, &'a str)];

    /// Rows of one image: what was predicted, and who said what when.
    fn rows(said: &[(&str, Votes<'_>)]) -> Vec<Feedback> {
        let row = |&(predicted, votes): &(&str, Votes<'_>)| {
            let mut row = Feedback { votes: Vec::new(), ..Feedback::sample() };
            row.top[0].class = predicted.to_owned();
            row.votes = votes
                .iter()
                .map(|&(by, at, class)| Vote {
                    by: by.to_owned(),
                    at: Time::from_micros(at),
                    said: Said::class(class, predicted),
                    blind: false,
                })
                .collect();
            row.consensus = Consensus::of(row.votes.iter());
            row
        };
        said.iter().map(row).collect()
    }

    #[test]
    fn predictions_of_one_image_are_judged_together() {
        type Case<'a> = (&'a [(&'a str, &'a [(&'a str, i64, &'a str)])], Option<&'a str>);
        let cases: [Case<'_>; 4] = [
            (&[("owl", &[("ada", 1, "owl")]), ("jay", &[("bob", 2, "owl")])], Some("owl")),
            (&[("owl", &[("ada", 1, "owl")]), ("jay", &[("bob", 2, "jay")])], None),
            (&[("owl", &[("ada", 1, "owl")]), ("jay", &[("ada", 2, "jay")])], Some("jay")),
            (&[("owl", &[("ada", 1, "owl"), ("eve", 1, "owl")]), ("jay", &[("bob", 2, "jay")])], Some("owl")),
        ];
        for (said, expected) in cases {
            assert_eq!(class(&rows(said)).as_deref(), expected, "{said:?}");
        }
    }

    #[test]
    fn an_offer_says_who_and_which_prediction() {
        let rows =
            rows(&[("owl", &[("eve", 1, "jay"), ("ada", 1, "jay"), ("bob", 2, "jay"), ("joe", 3, "jay")])]);
        let offer = offer(rows[0].image, "jay", &rows);
        let prediction = rows[0].prediction;
        let expected = format!("labelled by ada, bob, eve and 1 others, prediction {prediction}");
        assert_eq!((offer.admission, offer.origin.as_str()), (expected, "owl.jpg"));
        assert_eq!(origin(Some("\u{1b}[2J"), "7"), "[2J");
    }

    /// A project in which people judge predictions, one a second.
    struct World {
        _folder: tempfile::TempDir,
        catalog: Catalog,
        birds: ProjectName,
        second: i64,
    }

    impl World {
        fn new() -> Self {
            let folder = tempfile::tempdir().unwrap();
            let facts = RedbFacts::open(&folder.path().join("meta.redb"), None).unwrap();
            let (catalog, birds) = (Catalog::new(Arc::new(facts)), "birds".parse().unwrap());
            catalog
                .create_project(&Project::new("birds".parse().unwrap(), Time::now(), "ada"), None)
                .unwrap();
            Self { _folder: folder, catalog, birds, second: 0 }
        }

        /// Ada says what is on an image that was predicted to be a kite.
        fn say(&mut self, image: &str, class: &str, name_bytes: usize) {
            self.second += 1;
            let at = Time::from_micros(self.second * 1_000_000);
            let id = PredictionId::given_at(at);
            let image = Hash::of(image.as_bytes());
            let mut about = Feedback::about(&Prediction { id, image, at, ..Prediction::sample() });
            about.top[0].class = "kite".to_owned();
            about.name = Some("n".repeat(name_bytes));
            let by = format!("person {}", self.second);
            let vote = Vote { by, at, said: Said::class(class, "kite"), blind: false };
            self.catalog.give_feedback(&self.birds, &Voted { about, picture: true }, &vote, None).unwrap();
        }

        fn gathered(&self, base: Option<&Manifest>) -> Gathered {
            gather(&self.catalog, &self.birds, None, base).unwrap()
        }
    }

    fn images(gathered: &Gathered) -> Vec<Hash> {
        gathered.offers.iter().map(|offer| offer.image).collect()
    }

    fn hashes(images: &[&str]) -> Vec<Hash> {
        images.iter().map(|image| Hash::of(image.as_bytes())).collect()
    }

    #[test]
    fn what_stays_open_for_ever_keeps_nothing_else_back() {
        let mut world = World::new();
        let third = MAX_BYTES / 3;
        for image in ["contradicts 1", "contradicts 2", "contradicts 3"] {
            world.say(image, "owl", third);
        }
        for image in ["differ 1", "differ 2"] {
            world.say(image, "owl", third);
            world.say(image, "jay", third);
        }
        world.say("too large for any job", "owl", MAX_BYTES);
        world.say("known", "owl", 9);
        world.say("new", "owl", 9);

        let known = |image: &str, label: &str| DatasetImage {
            image: Hash::of(image.as_bytes()),
            label: label.to_owned(),
            ..DatasetImage::sample()
        };
        let other = ["contradicts 1", "contradicts 2", "contradicts 3"].map(|image| known(image, "jay"));
        let base = Manifest::new(other.into_iter().chain([known("known", "owl")]).collect());
        let gathered = world.gathered(Some(&base));
        assert_eq!(images(&gathered), hashes(&["known", "new"]));
        assert_eq!((gathered.contradict, gathered.differ, gathered.more), (3, 2, true));
    }

    #[test]
    fn what_does_not_fit_waits_for_the_next_job_the_oldest_first() {
        let mut world = World::new();
        let third = MAX_BYTES / 3;
        for (image, bytes) in [("a", third), ("b", third), ("c", third), ("d", 9)] {
            world.say(image, "owl", bytes);
        }
        let gathered = world.gathered(None);
        assert_eq!(images(&gathered), hashes(&["a", "b", "d"]));
        assert!(gathered.more && gathered.taken <= MAX_BYTES);
    }
}
