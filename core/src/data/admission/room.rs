//! The waiting room: classes that reference lacks, and what they wait for.

use vigie_protocol::dataset::DatasetRef;
use vigie_protocol::rules::{ClassCount, ClassRule, WaitingClass, WaitingRoom};

use super::growth::outlook;
use super::{Feeding, History, needs, sizes};
use crate::store::manifest::Manifest;

/// How many classes are listed: the answer must fit a frame.
pub const WAITING_LISTED: usize = 1_000;

/// How many classes a sentence names.
const NAMED: usize = 5;

/// What the waiting room looks at.
#[derive(Clone, Copy, Debug)]
pub struct Room<'a> {
    /// The rule.
    pub rule: ClassRule,
    /// Whether the rule is only tried.
    pub simulated: bool,
    /// Reference, and which version that is.
    pub reference: Option<(DatasetRef, &'a Manifest)>,
    /// The lines that feed it.
    pub feeding: Feeding<'a>,
    /// Their history, for rates.
    pub history: &'a History,
}

impl Room<'_> {
    /// Who waits, and what for.
    pub fn look(&self) -> WaitingRoom {
        let images = self.reference.map(|(_, manifest)| manifest.images()).unwrap_or_default();
        let sizes = sizes(images);
        let needs = needs(self.rule, &sizes);
        // Of classes of one size the first by name.
        let smallest = sizes.iter().min_by_key(|(_, images)| **images);
        let smallest = smallest.map(|(class, &images)| ClassCount { class: (*class).to_owned(), images });
        let lacking = self.feeding.holdings().into_iter().filter(|(class, _)| !sizes.contains_key(class));
        let mut waiting: Vec<WaitingClass> = lacking
            .map(|(class, holding)| {
                let growth = self.history.of_class(class, holding.has, needs);
                let mut waits = WaitingClass {
                    class: class.to_owned(),
                    has: holding.has,
                    in_source: holding.in_source,
                    in_production: holding.in_production,
                    needs: needs.unwrap_or(0),
                    enters: needs.is_some_and(|needs| holding.has >= needs),
                    growth,
                    sentence: String::new(),
                };
                waits.sentence = self.sentence(&waits, needs.is_some());
                waits
            })
            .collect();
        waiting.sort_by(|a, b| (b.enters, b.has).cmp(&(a.enters, a.has)).then_with(|| a.class.cmp(&b.class)));
        let entering: Vec<&str> =
            waiting.iter().filter(|waits| waits.enters).map(|waits| waits.class.as_str()).collect();
        let (total, count) = (waiting.len() as u64, entering.len() as u64);
        let sentence = self.summary(total, &entering, needs, smallest.as_ref());
        waiting.truncate(WAITING_LISTED);
        WaitingRoom {
            rule: self.rule,
            simulated: self.simulated,
            reference: self.reference.map(|(dataset, _)| dataset),
            smallest,
            needs,
            waiting,
            total,
            entering: count,
            sentence,
        }
    }

    fn sentence(&self, waits: &WaitingClass, known: bool) -> String {
        let WaitingClass { class, has, needs, enters, growth, .. } = waits;
        if !known {
            return format!("{class} has {has}; this build does not know the project's class rule");
        }
        if *enters {
            let may = if self.simulated { "would" } else { "may" };
            return format!("{class} has {has}, needs {needs}: it {may} enter");
        }
        format!("{class} has {has}, needs {needs}{}", outlook(growth.as_ref()))
    }

    fn summary(
        &self,
        total: u64,
        entering: &[&str],
        needs: Option<u64>,
        smallest: Option<&ClassCount>,
    ) -> String {
        if total == 0 {
            return "no class waits: reference has every class of source and production".to_owned();
        }
        let Some(needs) = needs else {
            return format!("reference lacks {}: this build does not know the class rule", classes(total));
        };
        if self.simulated {
            return match entering.len() as u64 {
                0 => format!("at threshold {needs}, none of {} would enter", classes(total)),
                count => {
                    format!(
                        "at threshold {needs}, {count} of {} would enter: {}",
                        classes(total),
                        names(entering)
                    )
                }
            };
        }
        let because = match (self.rule, smallest) {
            (ClassRule::Smallest, Some(ClassCount { class, images })) => {
                format!(
                    "a new class needs {images} images, as many as {class}, the smallest class of reference"
                )
            }
            (ClassRule::Smallest, None) => {
                "reference is empty, and whatever comes first founds it".to_owned()
            }
            (ClassRule::Fixed { images }, _) => format!("a new class needs {images} images"),
            (ClassRule::None | ClassRule::Unknown, _) => "a new class needs no images".to_owned(),
        };
        let now = match entering.len() {
            0 => "none may enter now".to_owned(),
            count => format!("{count} may enter now ({})", names(entering)),
        };
        format!("reference lacks {}, {now}: {because}", classes(total))
    }
}

fn classes(count: u64) -> String {
    if count == 1 { "1 class".to_owned() } else { format!("{count} classes") }
}

/// Some names, and how many more there are.
fn names(all: &[&str]) -> String {
    let named = all.iter().take(NAMED).copied().collect::<Vec<_>>().join(", ");
    match all.len().saturating_sub(NAMED) {
        0 => named,
        more => format!("{named} and {more} more"),
    }
}
