//! Sources of projects: how they are set up, and how far each was followed.

use vigie_protocol::dataset::Lineage;
use vigie_protocol::event::Event;
use vigie_protocol::import::ImportOptions;
use vigie_protocol::source::{Acceptance, Source, SourceOrigin};
use vigie_protocol::{ProjectName, SourceName, Time};

use super::{Catalog, EventDraft, Key, Receipt, check_generation, missing};
use crate::store::{Result, StoreError};

/// How many sources a project may have: lists of them are answered whole.
pub const MAX_SOURCES: usize = 200;

/// How a source is to be set up.
#[derive(Clone, Debug, PartialEq)]
pub struct SourceDraft {
    /// Its project.
    pub project: ProjectName,
    /// Its name.
    pub name: SourceName,
    /// Where the images are.
    pub origin: SourceOrigin,
    /// Into which line they go.
    pub lineage: Lineage,
    /// How it is read.
    pub options: ImportOptions,
    /// Who decides on new versions.
    pub acceptance: Acceptance,
    /// Whether new versions are packed at once.
    pub preprocess: bool,
    /// When.
    pub at: Time,
    /// By whom.
    pub by: String,
}

fn in_project(project: &ProjectName) -> Key {
    Key::of("source").word(project.as_str())
}

fn key(project: &ProjectName, name: &SourceName) -> Vec<u8> {
    in_project(project).word(name.as_str()).bytes()
}

fn what(name: &SourceName) -> String {
    format!("source {name}")
}

impl Catalog {
    /// Sets a source up, or changes it when `expected_generation` is given. Another origin or line
    /// starts its history anew. An origin that is the present one without its secrets is the present
    /// one: whoever reads a source is not shown them, and may still change the rest.
    ///
    /// # Errors
    /// [`StoreError::NotFound`] without its project or, to change, the source;
    /// [`StoreError::Exists`]; [`StoreError::Conflict`] when its generation is another;
    /// [`StoreError::Precondition`] beyond [`MAX_SOURCES`].
    pub fn set_source(
        &self,
        draft: &SourceDraft,
        expected_generation: Option<u64>,
        receipt: Option<&Receipt>,
    ) -> Result<Source> {
        let SourceDraft { project, name, .. } = draft;
        self.change(receipt, |change| {
            change.project(project)?;
            let before: Option<Source> = change.read(key(project, name))?;
            let source = match (before, expected_generation) {
                (Some(_), None) => return Err(StoreError::Exists { what: what(name) }),
                (None, Some(_)) => return Err(missing(what(name))),
                (Some(before), Some(expected)) => {
                    check_generation(what(name), before.generation, expected)?;
                    changed(before, draft)
                }
                (None, None) => {
                    if self.sources(project)?.len() >= MAX_SOURCES {
                        let text = format!("a project may have at most {MAX_SOURCES} sources");
                        return Err(StoreError::Precondition(text));
                    }
                    fresh(draft)
                }
            };
            change.put(key(project, name), &source);
            Ok(source)
        })
    }

    /// One source.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn source(&self, project: &ProjectName, name: &SourceName) -> Result<Source> {
        self.need(key(project, name), what(name))
    }

    /// A project's sources, by name.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn sources(&self, project: &ProjectName) -> Result<Vec<Source>> {
        self.all(in_project(project))
    }

    /// Writes down how a source was found or how far it was followed, with the event that `follow`
    /// tells of it. A source that meanwhile has another origin or line than the one `seen` is left as
    /// it is: the news are not about it.
    ///
    /// # Errors
    /// [`StoreError::NotFound`].
    pub fn follow_source(
        &self,
        seen: &Source,
        follow: impl Fn(&mut Source) -> Option<EventDraft>,
    ) -> Result<(Source, Option<Event>)> {
        let key = key(&seen.project, &seen.name);
        self.change(None, |change| {
            let before: Source = change.read(key.clone())?.ok_or_else(|| missing(what(&seen.name)))?;
            if before.origin != seen.origin || before.lineage != seen.lineage {
                return Ok((before, None));
            }
            let mut source = before.clone();
            let event = follow(&mut source).map(|draft| change.add_event(&draft)).transpose()?;
            if source != before {
                source.generation = before.generation + 1;
                change.put(key.clone(), &source);
            }
            Ok((source, event))
        })
    }

    /// Removes a source, and answers what it was. What was imported from it stays.
    ///
    /// # Errors
    /// [`StoreError::NotFound`]; [`StoreError::Conflict`] when its generation is another.
    pub fn remove_source(
        &self,
        project: &ProjectName,
        name: &SourceName,
        expected_generation: u64,
        receipt: Option<&Receipt>,
    ) -> Result<Source> {
        let key = key(project, name);
        self.change(receipt, |change| {
            let source: Source = change.read(key.clone())?.ok_or_else(|| missing(what(name)))?;
            check_generation(what(name), source.generation, expected_generation)?;
            change.delete(key.clone());
            Ok(source)
        })
    }
}

fn changed(before: Source, draft: &SourceDraft) -> Source {
    let same_origin = draft.origin == before.origin || draft.origin == before.origin.clone().redacted();
    let origin = if same_origin { before.origin.clone() } else { draft.origin.clone() };
    let generation = before.generation + 1;
    if same_origin && before.lineage == draft.lineage {
        let SourceDraft { options, acceptance, preprocess, .. } = draft.clone();
        Source { options, acceptance, preprocess, generation, ..before }
    } else {
        Source { origin, generation, ..fresh(draft) }
    }
}

fn fresh(draft: &SourceDraft) -> Source {
    let SourceDraft { project, name, origin, lineage, options, acceptance, preprocess, at, by } =
        draft.clone();
    let new = Source::new(project, name, origin, lineage, at, by);
    Source { options, acceptance, preprocess, ..new }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "tests")]

    use vigie_protocol::event::{Severity, Subject};
    use vigie_protocol::source::{Revision, SourceState};

    use super::*;
    use crate::store::conformance::on_each;
    use crate::store::samples::{at, name, project};

    fn draft(url: &str) -> SourceDraft {
        SourceDraft {
            project: name("birds"),
            name: "feeder".parse().unwrap(),
            origin: SourceOrigin::Url { url: url.to_owned() },
            lineage: Lineage::Source,
            options: ImportOptions::default(),
            acceptance: Acceptance::Ask,
            preprocess: false,
            at: at(1),
            by: "ada".to_owned(),
        }
    }

    const SECRET: &str = "https://example.org/birds.zip?sig=1";

    #[test]
    fn sources_are_set_up_once_and_changed_by_generation() {
        on_each(|facts| {
            let catalog = Catalog::new(facts);
            let missing = catalog.set_source(&draft(SECRET), None, None);
            assert!(matches!(missing, Err(StoreError::NotFound { .. })));
            catalog.create_project(&project("birds"), None).unwrap();

            let first = catalog.set_source(&draft(SECRET), None, None).unwrap();
            assert_eq!((first.generation, first.state), (1, SourceState::Unchecked));
            let again = catalog.set_source(&draft(SECRET), None, None);
            assert!(matches!(again, Err(StoreError::Exists { what }) if what == "source feeder"));
            let stale = catalog.set_source(&draft(SECRET), Some(7), None);
            assert!(matches!(stale, Err(StoreError::Conflict { .. })));

            assert_eq!(catalog.sources(&first.project).unwrap(), std::slice::from_ref(&first));
            let stale = catalog.remove_source(&first.project, &first.name, 7, None);
            assert!(matches!(stale, Err(StoreError::Conflict { .. })));
            catalog.remove_source(&first.project, &first.name, 1, None).unwrap();
            assert!(matches!(catalog.source(&first.project, &first.name), Err(StoreError::NotFound { .. })));
            let gone = catalog.set_source(&draft(SECRET), Some(1), None);
            assert!(matches!(gone, Err(StoreError::NotFound { .. })));
        });
    }

    #[test]
    fn only_another_origin_or_line_starts_anew() {
        on_each(|facts| {
            let catalog = Catalog::new(facts);
            catalog.create_project(&project("birds"), None).unwrap();
            let first = catalog.set_source(&draft(SECRET), None, None).unwrap();
            let latest = Some(Revision::Version { number: 2 });
            let news = EventDraft {
                at: at(2),
                project: Some(first.project.clone()),
                severity: Severity::Info,
                subject: Subject::Source { source: first.name.clone() },
                text: "version 2".to_owned(),
            };
            let follow = |source: &mut Source| {
                let is_new = source.latest != latest;
                source.latest.clone_from(&latest);
                is_new.then(|| news.clone())
            };
            let (followed, event) = catalog.follow_source(&first, follow).unwrap();
            assert_eq!((followed.generation, event.unwrap().text.as_str()), (2, "version 2"));
            assert_eq!(catalog.follow_source(&first, follow).unwrap(), (followed, None));
            assert_eq!(catalog.events(None, None, 9).unwrap().items.len(), 1);

            // As it is shown to people, the query is missing.
            let shown = SourceDraft { preprocess: true, ..draft("https://example.org/birds.zip?…") };
            let kept = catalog.set_source(&shown, Some(2), None).unwrap();
            assert_eq!((&kept.origin, &kept.latest, kept.preprocess), (&first.origin, &latest, true));

            let line = SourceDraft { lineage: Lineage::Reference, ..shown };
            let moved = catalog.set_source(&line, Some(3), None).unwrap();
            assert_eq!((&moved.origin, &moved.latest, moved.generation), (&first.origin, &None, 4));

            let other = catalog.set_source(&draft("https://example.org/2.zip"), Some(4), None).unwrap();
            assert_ne!(other.origin, first.origin);
            let unmoved = catalog.follow_source(&first, follow).unwrap();
            assert_eq!(unmoved, (other, None), "the news are about what it was before");
        });
    }
}
