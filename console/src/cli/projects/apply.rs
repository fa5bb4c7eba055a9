//! `vigie projects apply`: a project as a file says it, with its class list, sources and schedules.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::Context;
use clap::Args;
use serde::{Deserialize, Serialize};
use vigie_protocol::dataset::Lineage;
use vigie_protocol::import::ImportOptions;
use vigie_protocol::project::{Project, ProjectSettings};
use vigie_protocol::schedule::{CatchUp, ScheduleAction, ScheduleSpec, Trigger};
use vigie_protocol::service::{
    ClassListSet, InProject, ProjectCreate, ProjectUpdate, ScheduleList, ScheduleSet, SourceSet,
};
use vigie_protocol::source::{Acceptance, Source, SourceOrigin};
use vigie_protocol::{IdempotencyKey, ProjectName, ScheduleName, SourceName};

use crate::app::App;
use crate::exit::{Exit, Failure};
use crate::out::{Cell, Column, Table, Tone};
use crate::session::{Session, ask};

/// Largest file that is read as a preset: 1 MiB holds 10,000 classes.
const LARGEST: u64 = 1 << 20;

/// Makes a project what a file says: its settings, class list, sources and schedules. What is there
/// already and the same is left alone, so that it can be applied again after a change; what the file
/// does not name stays as it is. The files in configs/projects are commented examples.
#[derive(Debug, Args)]
pub struct Apply {
    /// The file, such as configs/projects/birds.toml
    file: PathBuf,
    /// Call the project so, whatever the file says
    #[arg(long, value_name = "NAME")]
    name: Option<ProjectName>,
    /// Only tell what would change
    #[arg(long)]
    dry_run: bool,
}

/// A project as a file says it.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Preset {
    name: ProjectName,
    #[serde(default)]
    description: Option<String>,
    #[serde(default)]
    settings: toml::Table,
    #[serde(default)]
    classes: Option<Classes>,
    #[serde(default)]
    sources: Vec<SourcePart>,
    #[serde(default)]
    schedules: Vec<SchedulePart>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Classes {
    names: BTreeSet<String>,
    #[serde(default)]
    aliases: BTreeMap<String, String>,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SourcePart {
    name: SourceName,
    origin: SourceOrigin,
    #[serde(default = "source")]
    lineage: Lineage,
    #[serde(default)]
    options: ImportOptions,
    #[serde(default)]
    acceptance: Acceptance,
    #[serde(default)]
    preprocess: bool,
}

#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct SchedulePart {
    name: ScheduleName,
    #[serde(default)]
    description: String,
    trigger: Trigger,
    action: ScheduleAction,
    #[serde(default)]
    catch_up: CatchUp,
    #[serde(default)]
    jitter_s: u32,
}

fn source() -> Lineage {
    Lineage::Source
}

/// What became of one part of a preset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
struct Step {
    /// `project birds`, `source kaggle`.
    what: String,
    became: Became,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Became {
    Created,
    Changed,
    Unchanged,
}

/// The one setting that may be absent; `false` in a preset takes it away.
const CONFIDENT: &str = "keep_confident";

impl Preset {
    /// Reads a preset.
    ///
    /// # Errors
    /// What is wrong with it, with its line, for people.
    pub fn parse(text: &str) -> anyhow::Result<Self> {
        let preset: Self = toml::from_str(text)?;
        preset.settings(&ProjectSettings::default())?;
        Ok(preset)
    }

    /// The settings: those of the file, otherwise as they are `now`.
    fn settings(&self, now: &ProjectSettings) -> anyhow::Result<ProjectSettings> {
        // A setting with a typing mistake would be one that is not there.
        let known = toml::Table::try_from(ProjectSettings::default())?;
        // Absent by default, so not among those.
        let known = |name: &String| known.contains_key(name) || name == CONFIDENT;
        if let Some(unknown) = self.settings.keys().find(|name| !known(name)) {
            anyhow::bail!("there is no setting {unknown:?}");
        }
        let mut settings = toml::Table::try_from(now)?;
        settings.extend(self.settings.clone());
        // TOML has no word for what is not there.
        if settings.get(CONFIDENT) == Some(&toml::Value::Boolean(false)) {
            settings.remove(CONFIDENT);
        }
        settings.try_into().context("in [settings]")
    }
}

impl Apply {
    pub async fn run(self, app: &App, session: &Session) -> anyhow::Result<()> {
        let shown = self.file.display();
        let size = std::fs::metadata(&self.file).with_context(|| format!("cannot read {shown}"))?.len();
        anyhow::ensure!(size <= LARGEST, "{shown} is no preset: it has {size} bytes");
        let text = std::fs::read_to_string(&self.file).with_context(|| format!("cannot read {shown}"))?;
        let preset = Preset::parse(&text).with_context(|| format!("{shown} is no preset"))?;
        let project = self.name.clone().unwrap_or_else(|| preset.name.clone());
        let apply = Applying { session, project, dry_run: self.dry_run };
        let mut steps = vec![apply.project(&preset).await?];
        // Of a project that would have to be made first nothing more can be told.
        if !(self.dry_run && steps[0].became == Became::Created) {
            if let Some(classes) = &preset.classes {
                steps.push(apply.classes(classes).await?);
            }
            steps.extend(apply.sources(preset.sources).await?);
            steps.extend(apply.schedules(preset.schedules).await?);
        }
        Ok(app.out.value(&steps, |style| table(&steps, self.dry_run).render(style))?)
    }
}

/// A preset on its way to an agent.
struct Applying<'a> {
    session: &'a Session,
    project: ProjectName,
    dry_run: bool,
}

impl Applying<'_> {
    async fn project(&self, preset: &Preset) -> anyhow::Result<Step> {
        let (session, name) = (self.session, self.project.clone());
        let what = format!("project {name}");
        let seen = match ask!(session, project_get, InProject { project: name.clone() }).await {
            Ok(project) => Some(project),
            Err(failure) if failure.exit == Exit::NotFound => None,
            Err(failure) => return Err(failure.into()),
        };
        let now = seen.as_ref().map(|project| project.settings.clone()).unwrap_or_default();
        let settings = preset.settings(&now)?;
        let before = seen.as_ref().map(|project| project.description.clone()).unwrap_or_default();
        let description = preset.description.clone().unwrap_or(before);
        let became = match seen {
            None => {
                if !self.dry_run {
                    let key = IdempotencyKey::new();
                    let request = ProjectCreate { key, name, description, settings };
                    ask!(session, project_create, request).await?;
                }
                Became::Created
            }
            Some(project) if project.description == description && project.settings == settings => {
                Became::Unchanged
            }
            Some(Project { generation, .. }) => {
                if !self.dry_run {
                    let request = ProjectUpdate {
                        key: IdempotencyKey::new(),
                        project: name,
                        expected_generation: generation,
                        description,
                        settings,
                    };
                    ask!(session, project_update, request).await?;
                }
                Became::Changed
            }
        };
        Ok(Step { what, became })
    }

    async fn classes(&self, wanted: &Classes) -> Result<Step, Failure> {
        let (session, project) = (self.session, self.project.clone());
        let seen = ask!(session, class_list_get, InProject { project: project.clone() }).await?;
        let Classes { names, aliases } = wanted.clone();
        let became = match seen.generation {
            _ if seen.classes == names && seen.aliases == aliases => Became::Unchanged,
            0 => Became::Created,
            _ => Became::Changed,
        };
        if became != Became::Unchanged && !self.dry_run {
            let request = ClassListSet {
                key: IdempotencyKey::new(),
                project,
                expected_generation: seen.generation,
                classes: names,
                aliases,
            };
            ask!(session, class_list_set, request).await?;
        }
        Ok(Step { what: "class list".to_owned(), became })
    }

    async fn sources(&self, wanted: Vec<SourcePart>) -> Result<Vec<Step>, Failure> {
        let (session, mut steps) = (self.session, Vec::new());
        let seen = ask!(session, source_list, InProject { project: self.project.clone() }).await?;
        for part in wanted {
            let before = seen.iter().find(|source| source.name == part.name);
            let became = match before {
                None => Became::Created,
                Some(source) if same(source, &part) => Became::Unchanged,
                Some(_) => Became::Changed,
            };
            let what = format!("source {}", part.name);
            if became != Became::Unchanged && !self.dry_run {
                let SourcePart { name, origin, lineage, options, acceptance, preprocess } = part;
                let request = SourceSet {
                    key: IdempotencyKey::new(),
                    project: self.project.clone(),
                    name,
                    expected_generation: before.map(|source| source.generation),
                    origin,
                    lineage,
                    options,
                    acceptance,
                    preprocess,
                };
                ask!(session, source_set, request).await?;
            }
            steps.push(Step { what, became });
        }
        Ok(steps)
    }

    async fn schedules(&self, wanted: Vec<SchedulePart>) -> Result<Vec<Step>, Failure> {
        let (session, mut steps) = (self.session, Vec::new());
        let list = ScheduleList { project: Some(self.project.clone()) };
        let seen = ask!(session, schedule_list, list).await?;
        for SchedulePart { name, description, trigger, action, catch_up, jitter_s } in wanted {
            let spec = ScheduleSpec { trigger, action, catch_up, jitter_s, description };
            let before = seen.iter().map(|status| &status.schedule).find(|schedule| schedule.name == name);
            let became = match before {
                None => Became::Created,
                Some(schedule) if schedule.spec == spec => Became::Unchanged,
                Some(_) => Became::Changed,
            };
            let what = format!("schedule {name}");
            if became != Became::Unchanged && !self.dry_run {
                let request = ScheduleSet {
                    key: IdempotencyKey::new(),
                    project: Some(self.project.clone()),
                    name,
                    expected_generation: before.map_or(0, |schedule| schedule.generation),
                    spec,
                };
                ask!(session, schedule_set, request).await?;
            }
            steps.push(Step { what, became });
        }
        Ok(steps)
    }
}

/// Whether a source is what a part says. What the agent tells of a URL lacks its secrets.
fn same(source: &Source, part: &SourcePart) -> bool {
    let SourcePart { name: _, origin, lineage, options, acceptance, preprocess } = part;
    source.origin == origin.clone().redacted()
        && source.lineage == *lineage
        && source.options == *options
        && source.acceptance == *acceptance
        && source.preprocess == *preprocess
}

fn table(steps: &[Step], dry_run: bool) -> Table {
    let mut table = Table::new([Column::flexible("WHAT"), Column::text("BECAME")], "nothing");
    for Step { what, became } in steps {
        let (text, tone) = match (became, dry_run) {
            (Became::Created, false) => ("created", Tone::Good),
            (Became::Created, true) => ("would be created", Tone::Good),
            (Became::Changed, false) => ("changed", Tone::Warn),
            (Became::Changed, true) => ("would be changed", Tone::Warn),
            (Became::Unchanged, _) => ("as it was", Tone::Dim),
        };
        table.row([Cell::from(what.as_str()), Cell::toned(text, tone)]);
    }
    table
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use vigie_protocol::project::PicturePolicy;

    use super::*;

    #[test]
    fn the_presets_that_ship_are_presets() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../configs/projects");
        let mut found = Vec::new();
        for entry in std::fs::read_dir(folder).expect("presets ship") {
            let path = entry.expect("an entry").path();
            let text = std::fs::read_to_string(&path).expect("readable");
            let preset = Preset::parse(&text).unwrap_or_else(|error| panic!("{}: {error:#}", path.display()));
            assert_eq!(path.file_stem().and_then(|stem| stem.to_str()), Some(preset.name.as_str()));
            assert!(!preset.sources.is_empty() && !preset.schedules.is_empty(), "{}", preset.name);
            found.push(preset.name.to_string());
        }
        found.sort();
        assert_eq!(found, ["birds", "mushrooms", "products", "radiography", "xray-vit"]);
    }

    #[test]
    fn mistakes_are_named() {
        for (text, message) in [
            ("name = 3", "invalid type"),
            ("nam = 'birds'", "unknown field `nam`"),
            ("name = 'birds'\n[settings]\naudit_procent = 1", "there is no setting \"audit_procent\""),
            ("name = 'birds'\n[settings]\npicture_days = 'many'", "in [settings]"),
            ("name = 'birds'\n[[sources]]\nname = 'a'", "missing field `origin`"),
        ] {
            let error = Preset::parse(text).expect_err(text);
            assert!(format!("{error:#}").contains(message), "{text}: {error:#}");
        }
        let preset = Preset::parse("name = 'birds'\n[settings]\nkeep_confident = 0.7").expect("a preset");
        let settings = preset.settings(&ProjectSettings::default()).expect("settings");
        assert_eq!(settings.keep_confident, Some(0.7));
    }

    #[test]
    fn what_the_file_does_not_name_stays_as_it_is() {
        let now = ProjectSettings {
            keep_pictures: PicturePolicy::Sampled { percent: 5 },
            picture_days: 365,
            keep_confident: Some(0.9),
            audit_percent: 2.5,
            ..ProjectSettings::default()
        };
        for (settings, expected) in [
            ("", now.clone()),
            ("keep_confident = false", ProjectSettings { keep_confident: None, ..now.clone() }),
            ("picture_days = 7", ProjectSettings { picture_days: 7, ..now.clone() }),
            (
                "keep_pictures = { kind = 'none' }\naudit_percent = 1",
                ProjectSettings { keep_pictures: PicturePolicy::None, audit_percent: 1.0, ..now.clone() },
            ),
        ] {
            let preset = Preset::parse(&format!("name = 'birds'\n[settings]\n{settings}")).expect(settings);
            assert_eq!(preset.settings(&now).expect(settings), expected, "{settings}");
        }
    }
}
