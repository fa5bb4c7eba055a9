//! `vigie projects`.

mod apply;

use clap::{Args, Subcommand};
use vigie_protocol::classes::UnknownLabels;
use vigie_protocol::project::{NEAR_BITS, PicturePolicy, Project, ProjectSettings};
use vigie_protocol::rules::{ClassRule, UpdatePolicy};
use vigie_protocol::service::{Empty, InProject, ProjectCreate, ProjectUpdate};
use vigie_protocol::{IdempotencyKey, ProjectName};

use crate::app::App;
use crate::cli::parse::share;
use crate::exit::Failure;
use crate::out::{Cell, Column, Sheet, Style, Table, age, when};
use crate::session::ask;

const EXAMPLES: &str = "\
Examples:
  vigie projects create birds --description 'Birds at the feeder'
  vigie projects list
  vigie projects set birds --keep-pictures 10% --picture-days 90
  vigie projects set birds --class-rule 40 --updates accept
  vigie projects set birds --audit 2%
  vigie projects apply configs/projects/birds.toml --dry-run
";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Projects {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// List the projects
    List,
    /// Show one project with its settings
    Show {
        /// The project; the usual one when absent
        name: Option<ProjectName>,
    },
    /// Create a project
    Create {
        /// Its name: a-z, 0-9, '-' and '_'
        name: ProjectName,
        #[command(flatten)]
        changes: Changes,
    },
    /// Make a project what a file says, with its classes, sources and schedules
    Apply(apply::Apply),
    /// Change a project's description or settings
    Set {
        /// The project
        name: ProjectName,
        #[command(flatten)]
        changes: Changes,
    },
}

/// What can be set; what is not named stays.
#[derive(Debug, Args)]
struct Changes {
    /// What the project is about
    #[arg(long, value_name = "TEXT")]
    description: Option<String>,
    /// Which pictures of predictions are kept: none, all, or a share such as 10%
    #[arg(long, value_name = "POLICY", value_parser = picture_policy)]
    keep_pictures: Option<PicturePolicy>,
    /// For how many days they are kept; 0 keeps them for ever
    #[arg(long, value_name = "DAYS")]
    picture_days: Option<u32>,
    /// Shares of train, valid and test in new dataset versions, in percent
    #[arg(long, value_name = "TRAIN,VALID,TEST", value_parser = split)]
    split: Option<[u8; 3]>,
    /// What becomes of images that come in under a label that is not in the class list: quarantine or keep
    #[arg(long, value_name = "POLICY", value_parser = unknown_labels)]
    unknown_labels: Option<UnknownLabels>,
    /// Bits of 64 in which the fingerprints of near duplicates differ at most, 0 to 8
    ///
    /// Images that look so alike belong together: they serve in one split and are one group in label
    /// checks. 0 takes only equal fingerprints; from 6 on, pictures of one kind pass for copies. Images
    /// that are in a line keep their splits: a change counts for what comes in, is reviewed, re-split
    /// or checked from then on, and `vigie datasets resplit` brings a line under it.
    #[arg(long, value_name = "BITS", value_parser = near_bits)]
    near_bits: Option<u8>,

    /// When a new class enters reference: smallest (with as many images as the smallest class of
    /// reference), none (at once), or a number of images
    #[arg(long, value_name = "RULE", value_parser = class_rule)]
    class_rule: Option<ClassRule>,
    /// New images that make an update of reference worth it, in percent of reference
    #[arg(long, value_name = "PERCENT")]
    update_percent: Option<f64>,
    /// What happens by itself then: off, propose or accept; see `vigie rules --help`
    #[arg(long, value_name = "POLICY", value_parser = update_policy)]
    updates: Option<UpdatePolicy>,
    /// Share of predictions drawn for the audit sample, such as 1% or 0.01; 0 draws none
    #[arg(long, value_name = "SHARE", value_parser = share)]
    audit: Option<f32>,
    /// From which confidence on images that nobody looked at are collected too, such as 70%; or off
    ///
    /// Off unless set, and better left off: a model that learns from its own answers is confirmed in
    /// its errors (self-training bias), and the images it is sure of teach it the least. Random, low
    /// margin and audit images are worth more.
    #[arg(long, value_name = "SHARE|off", value_parser = confident)]
    keep_confident: Option<Confident>,
}

/// A limit, or none.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Confident(Option<f32>);

impl Changes {
    fn is_empty(&self) -> bool {
        let Self {
            description,
            keep_pictures,
            picture_days,
            split,
            unknown_labels,
            near_bits,
            class_rule,
            update_percent,
            updates,
            audit,
            keep_confident,
        } = self;
        description.is_none()
            && keep_pictures.is_none()
            && picture_days.is_none()
            && split.is_none()
            && unknown_labels.is_none()
            && near_bits.is_none()
            && class_rule.is_none()
            && update_percent.is_none()
            && updates.is_none()
            && audit.is_none()
            && keep_confident.is_none()
    }

    fn apply(self, description: &mut String, settings: &mut ProjectSettings) {
        *description = self.description.unwrap_or_else(|| std::mem::take(description));
        settings.keep_pictures = self.keep_pictures.unwrap_or(settings.keep_pictures);
        settings.picture_days = self.picture_days.unwrap_or(settings.picture_days);
        settings.split_percent = self.split.unwrap_or(settings.split_percent);
        settings.unknown_labels = self.unknown_labels.unwrap_or(settings.unknown_labels);
        settings.near_bits = self.near_bits.unwrap_or(settings.near_bits);
        settings.class_rule = self.class_rule.unwrap_or(settings.class_rule);
        settings.update_percent = self.update_percent.unwrap_or(settings.update_percent);
        settings.update_policy = self.updates.unwrap_or(settings.update_policy);
        settings.audit_percent = self.audit.map_or(settings.audit_percent, |share| share * 100.0);
        settings.keep_confident = self.keep_confident.map_or(settings.keep_confident, |limit| limit.0);
    }
}

impl Projects {
    pub async fn run(self, app: &App) -> anyhow::Result<()> {
        if let Verb::Set { changes, .. } = &self.verb
            && changes.is_empty()
        {
            return Err(Failure::usage("nothing to change; see `vigie projects set --help`").into());
        }
        let session = app.connect().await?;
        let project = match self.verb {
            Verb::Apply(apply) => return apply.run(app, &session).await,
            Verb::List => {
                let projects = ask!(session, project_list, Empty {}).await?;
                return Ok(app.out.value(&projects, |style| table(&projects, style).render(style))?);
            }
            Verb::Show { name } => {
                let project = match name {
                    Some(name) => name,
                    None => app.project(&session).await?,
                };
                ask!(session, project_get, InProject { project }).await?
            }
            Verb::Create { name, changes } => {
                let (mut description, mut settings) = Default::default();
                changes.apply(&mut description, &mut settings);
                let request = ProjectCreate { key: IdempotencyKey::new(), name, description, settings };
                ask!(session, project_create, request).await?
            }
            Verb::Set { name, changes } => {
                let seen = ask!(session, project_get, InProject { project: name.clone() }).await?;
                let Project { generation, mut description, mut settings, .. } = seen;
                changes.apply(&mut description, &mut settings);
                let request = ProjectUpdate {
                    key: IdempotencyKey::new(),
                    project: name,
                    expected_generation: generation,
                    description,
                    settings,
                };
                ask!(session, project_update, request).await?
            }
        };
        Ok(app.out.value(&project, |style| sheet(&project, style).render(style))?)
    }
}

fn table(projects: &[Project], style: &Style) -> Table {
    let mut table = Table::new(
        [Column::text("NAME"), Column::text("CREATED"), Column::text("BY"), Column::flexible("DESCRIPTION")],
        "no projects yet; `vigie projects create NAME` makes one",
    );
    for project in projects {
        table.row([
            project.name.as_str().into(),
            age(style.now, project.created).into(),
            project.by.as_str().into(),
            Cell::from(project.description.as_str()),
        ]);
    }
    table
}

fn sheet(project: &Project, style: &Style) -> Sheet {
    let Project { name, description, created, by, settings, generation: _ } = project;
    let ProjectSettings {
        keep_pictures,
        picture_days,
        split_percent: [train, valid, test],
        unknown_labels,
        near_bits,
        class_rule,
        update_percent,
        update_policy,
        audit_percent,
        keep_confident,
    } = settings;
    let enters = match class_rule {
        ClassRule::Smallest => "with as many images as the smallest class of reference".to_owned(),
        ClassRule::Fixed { images } => format!("with {images} images"),
        ClassRule::None => "at once".to_owned(),
        ClassRule::Unknown => "by a rule this console does not know".to_owned(),
    };
    let pictures = match keep_pictures {
        PicturePolicy::None => "none is kept".to_owned(),
        PicturePolicy::Sampled { percent } => format!("{percent} % are kept"),
        PicturePolicy::All => "all are kept".to_owned(),
        PicturePolicy::Unknown => "a policy this console does not know".to_owned(),
    };
    let days = match picture_days {
        0 => String::new(),
        days => format!(" for {days} days"),
    };
    Sheet::new()
        .field("Name", name.as_str())
        .field("Description", if description.is_empty() { Cell::none() } else { description.as_str().into() })
        .field("Created", format!("{} by {by}", when(style.now, *created)))
        .field("Pictures", pictures + &days)
        .field("Split", format!("{train} % train, {valid} % valid, {test} % test"))
        .field(
            "Unknown labels",
            match unknown_labels {
                UnknownLabels::Quarantine => "their images are left out",
                UnknownLabels::Keep => "are kept",
                UnknownLabels::Unknown => "a policy this console does not know",
            },
        )
        .field(
            "Near duplicates",
            match near_bits {
                0 => "have equal fingerprints".to_owned(),
                1 => "differ in at most 1 bit of their fingerprints".to_owned(),
                bits => format!("differ in at most {bits} bits of their fingerprints"),
            },
        )
        .field("New class", format!("enters reference {enters}"))
        .field("Updates", format!("{}, from {update_percent} % new images on", update_policy.as_str()))
        .field("Audit sample", format!("{audit_percent} % of the predictions"))
        .maybe(
            "Unseen images",
            keep_confident.map(|limit| format!("collected from {} % confidence on", limit * 100.0)),
        )
}

fn class_rule(text: &str) -> Result<ClassRule, String> {
    match text {
        "smallest" => Ok(ClassRule::Smallest),
        "none" => Ok(ClassRule::None),
        _ => text
            .parse()
            .ok()
            .filter(|images| *images > 0)
            .map(|images| ClassRule::Fixed { images })
            .ok_or_else(|| format!("{text:?} is neither smallest, none nor a number of images")),
    }
}

fn update_policy(text: &str) -> Result<UpdatePolicy, String> {
    [UpdatePolicy::Off, UpdatePolicy::Propose, UpdatePolicy::Accept]
        .into_iter()
        .find(|policy| policy.as_str() == text)
        .ok_or_else(|| format!("{text:?} is none of off, propose, accept"))
}

fn picture_policy(text: &str) -> Result<PicturePolicy, String> {
    match text {
        "none" => Ok(PicturePolicy::None),
        "all" => Ok(PicturePolicy::All),
        _ => text
            .strip_suffix('%')
            .and_then(|percent| percent.parse().ok())
            .filter(|percent| (1..=99).contains(percent))
            .map(|percent| PicturePolicy::Sampled { percent })
            .ok_or_else(|| format!("{text:?} is neither none, all nor a share from 1% to 99%")),
    }
}

fn unknown_labels(text: &str) -> Result<UnknownLabels, String> {
    match text {
        "quarantine" => Ok(UnknownLabels::Quarantine),
        "keep" => Ok(UnknownLabels::Keep),
        _ => Err(format!("{text:?} is neither quarantine nor keep")),
    }
}

fn near_bits(text: &str) -> Result<u8, String> {
    let (least, most) = (NEAR_BITS.start(), NEAR_BITS.end());
    let bits = text.parse().ok().filter(|bits| NEAR_BITS.contains(bits));
    bits.ok_or_else(|| format!("{text:?} is not a number of bits from {least} to {most}"))
}

fn confident(text: &str) -> Result<Confident, String> {
    if text == "off" { Ok(Confident(None)) } else { share(text).map(|share| Confident(Some(share))) }
}

fn split(text: &str) -> Result<[u8; 3], String> {
    let shares: Vec<u8> = text.split(',').map_while(|share| share.trim().parse().ok()).collect();
    <[u8; 3]>::try_from(shares)
        .ok()
        .filter(|shares| shares.iter().map(|&share| u32::from(share)).sum::<u32>() == 100)
        .ok_or_else(|| format!("{text:?} is not three shares that add up to 100, such as 70,15,15"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn policies_and_splits_are_checked() {
        assert_eq!((near_bits("0"), near_bits("8")), (Ok(0), Ok(8)));
        for bits in ["9", "-1", "four", ""] {
            assert!(near_bits(bits).is_err_and(|error| error.ends_with("bits from 0 to 8")), "{bits}");
        }
        assert_eq!(picture_policy("10%"), Ok(PicturePolicy::Sampled { percent: 10 }));
        assert_eq!(picture_policy("all"), Ok(PicturePolicy::All));
        for bad in ["0%", "100%", "10", "some"] {
            assert!(picture_policy(bad).is_err(), "{bad}");
        }
        assert_eq!((confident("off"), confident("70%")), (Ok(Confident(None)), Ok(Confident(Some(0.7)))));
        assert!(confident("70").is_err());
        assert_eq!(split("70,15,15"), Ok([70, 15, 15]));
        for bad in ["70,15", "70,15,16", "a,b,c", "70,15,15,0", "70,x,30", "300,0,0"] {
            assert!(split(bad).is_err(), "{bad}");
        }
    }
}
