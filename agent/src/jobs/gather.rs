//! What a collection is offered: images whose class people agree on, and, where a project wants it,
//! those that the model was sure of.

use std::collections::{BTreeMap, HashSet};

use vigie_core::data::collect::Offer;
use vigie_core::store::catalog::{Catalog, Confident, Fate, Source};
use vigie_core::store::{Result, StoreError};
use vigie_protocol::feedback::{Consensus, Feedback, FeedbackState, Said, Vote};
use vigie_protocol::{Hash, ProjectName};

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
    /// Whether some wait for the next job.
    pub(super) more: bool,
}

/// Gathers the offers of a project. Settles first what was decided since.
pub(super) fn gather(
    catalog: &Catalog,
    project: &ProjectName,
    keep_confident: Option<f32>,
) -> Result<Gathered> {
    catalog.settle_taken(project)?;
    let mut gathered = Gathered::default();
    let mut room = MAX_BYTES;
    let mut images: BTreeMap<Hash, Vec<Feedback>> = BTreeMap::new();
    let mut after = None;
    'rows: loop {
        let rows = catalog.open_feedback(project, after, PAGE)?;
        let Some(last) = rows.last() else { break };
        after = Some(last.prediction);
        for row in rows.into_iter().filter(|row| row.state == FeedbackState::Open) {
            let size = OVERHEAD + row.label().map_or(0, str::len) + row.name.as_ref().map_or(0, String::len);
            if size > room {
                gathered.more = true;
                break 'rows;
            }
            room -= size;
            images.entry(row.image).or_default().push(row);
        }
    }
    let offered: HashSet<Hash> = images.keys().copied().collect();
    for (image, rows) in images {
        match class(&rows) {
            Some(label) => gathered.offers.push(offer(image, &label, &rows)),
            None => gathered.differ += 1,
        }
    }
    confident(catalog, project, keep_confident, &offered, room, &mut gathered)?;
    Ok(gathered)
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
    offered: &HashSet<Hash>,
    mut room: usize,
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
            let looked_at = catalog.feedback(project, row.prediction)?.is_some();
            let size = OVERHEAD + row.class.len() + row.name.as_ref().map_or(0, String::len);
            if limit.is_none_or(|limit| row.confidence < limit) || looked_at || offered.contains(&row.image) {
                dropped.push((source, Fate::AlreadyThere));
            } else if size > room {
                gathered.more = true;
            } else {
                room -= size;
                gathered.offers.push(sure(row, source));
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
    use vigie_protocol::Time;
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
}
