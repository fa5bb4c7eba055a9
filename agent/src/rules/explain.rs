//! What the rules of a project say now, for those who ask.

use vigie_core::store::{Result, State};
use vigie_protocol::Time;
use vigie_protocol::dataset::Lineage;
use vigie_protocol::project::Project;
use vigie_protocol::rules::{ChainStep, RulesExplained, UpdatePolicy};

use super::Evidence;

/// Explains the rules of a project. Blocks; changes nothing.
///
/// # Errors
/// Those of the store.
pub(crate) fn explain(state: &State, project: &Project, now: Time) -> Result<RulesExplained> {
    let settings = &project.settings;
    let evidence = Evidence::gather(state, &project.name, now)?;
    let progress = state.catalog.rules_progress(&project.name)?;
    let looked = |lineage, looked: Option<&vigie_core::store::catalog::Looked>| ChainStep {
        lineage,
        seen: looked.map(|looked| looked.number),
        job: looked.and_then(|looked| looked.job),
    };
    let followed = progress.reference.filter(|followed| followed.number > 0);
    Ok(RulesExplained {
        policy: settings.update_policy,
        classes: evidence.room(settings.class_rule, false),
        updates: [Lineage::Source, Lineage::Production]
            .into_iter()
            .filter_map(|lineage| evidence.update(lineage, settings))
            .collect(),
        chain: vec![
            looked(Lineage::Source, progress.source.as_ref()),
            looked(Lineage::Production, progress.production.as_ref()),
            ChainStep {
                lineage: Lineage::Reference,
                seen: followed.map(|followed| followed.number),
                job: followed.and_then(|followed| followed.job),
            },
        ],
        sentence: sentence(settings.update_policy).to_owned(),
    })
}

fn sentence(policy: UpdatePolicy) -> &'static str {
    match policy {
        UpdatePolicy::Off => {
            "nothing happens by itself: bring images in with `vigie datasets update`, or set a policy with \
             `vigie projects set NAME --updates propose`"
        }
        UpdatePolicy::Propose => {
            "an update that is worth it is proposed; `vigie changesets accept` makes it a version, which is \
             then preprocessed"
        }
        UpdatePolicy::Accept => {
            "an update that is worth it is accepted as far as it only adds, and preprocessed; labels that \
             differ are left for `vigie datasets update --review`"
        }
        UpdatePolicy::Unknown => "this build does not know the project's policy: nothing happens by itself",
    }
}
