//! Setting a schedule up.

use std::time::Duration;

use clap::{ArgGroup, Args};
use vigie_protocol::dataset::Lineage;
use vigie_protocol::schedule::{CatchUp, EventFilter, Schedule, ScheduleAction, ScheduleSpec, Trigger};
use vigie_protocol::service::{ScheduleList, ScheduleSet};
use vigie_protocol::{IdempotencyKey, ScheduleName, SourceName};

use crate::app::App;
use crate::cli::parse;
use crate::exit::Failure;
use crate::session::{Session, ask};

const MORE: &str = "\
When it fires:
  --cron '30 2 * * MON-FRI'   minute, hour, day of the month, month, weekday, in --time-zone.
                              A time that the clock leaps over in spring fires once, as soon as it
                              has leapt; one that comes twice in autumn fires the first time.
                              'N * * * *' goes by elapsed time: no hour is skipped or doubled.
  --every 6h                  counted from now; 1 minute to 366 days
  --on dataset:production     a version of that line was made; also dataset, changeset (proposed or
                              rejected), model, alias, alias:production, data-changed (what the rules
                              say once reference changed). With --debounce it waits until no more such
                              events came for so long, ten times as long at most.

After a downtime:
  --catch-up once             one firing stands for all that were missed (the usual)
  --catch-up skip             they are only noted in the history
  --catch-up all:5            each of the newest five fires, at most 100
";

/// What `vigie schedules add` says.
#[derive(Debug, Args)]
#[command(after_help = MORE)]
#[command(group(ArgGroup::new("when").required(true).args(["cron", "every", "on"])))]
#[command(group(ArgGroup::new("what").required(true).args(
    ["check_source", "collect", "update_reference", "preprocess", "gc", "backup"]
)))]
pub struct Add {
    /// Its name: a-z, 0-9, '-' and '_'
    name: ScheduleName,
    /// When, as a cron expression of five fields
    #[arg(long, value_name = "EXPRESSION")]
    cron: Option<String>,
    /// The IANA time zone that the expression is read in
    #[arg(long, value_name = "ZONE", default_value = "UTC", requires = "cron")]
    time_zone: String,
    /// When, as an interval such as 6h
    #[arg(long, value_name = "TIME", value_parser = parse::span)]
    every: Option<Duration>,
    /// When something happened: dataset[:LINE], changeset, model, alias[:NAME], data-changed
    #[arg(long, value_name = "EVENT", value_parser = event)]
    on: Option<EventFilter>,
    /// Wait until no such event has come for so long
    #[arg(long, value_name = "TIME", value_parser = parse::span, requires = "on", default_value = "60s")]
    debounce: Duration,

    /// Look whether this source has a newer version, and bring it in
    #[arg(long, value_name = "SOURCE")]
    check_source: Option<SourceName>,
    /// Make a change-set of production from what people said of predictions
    #[arg(long)]
    collect: bool,
    /// Bring what the newest version of source or production has into reference
    #[arg(long, value_name = "LINE")]
    update_reference: Option<Lineage>,
    /// Decode the newest version of reference into what trainings read
    #[arg(long)]
    preprocess: bool,
    /// Remove blobs that nothing refers to
    #[arg(long)]
    gc: bool,
    /// Copy the agent's state into a new folder in this one, on the agent's machine
    #[arg(long, value_name = "FOLDER")]
    backup: Option<String>,
    /// Accept the change-set at once when nothing but additions is in it
    #[arg(long)]
    accept: bool,

    /// Come up to so much late, each firing by its own share, so that a fleet does not ask all at once
    #[arg(long, value_name = "TIME", value_parser = parse::span, default_value = "0s")]
    jitter: Duration,
    /// What becomes of firings missed while the agent was down: skip, once or all:N
    #[arg(long, value_name = "HOW", value_parser = catch_up, default_value = "once")]
    catch_up: CatchUp,
    /// What it is for
    #[arg(long, value_name = "TEXT", default_value = "")]
    description: String,
    /// Change the schedule of this name when there is one
    #[arg(long)]
    replace: bool,
}

impl Add {
    /// Sets it up.
    pub async fn run(self, app: &App, session: &Session) -> Result<Schedule, Failure> {
        let replace = self.replace;
        let name = self.name.clone();
        let spec = self.spec()?;
        let project = if spec.action.of_agent() { None } else { Some(app.project(session).await?) };
        let there = ask!(session, schedule_list, ScheduleList::default()).await?;
        let there = there
            .into_iter()
            .map(|status| status.schedule)
            .find(|schedule| schedule.name == name && schedule.project == project);
        let expected_generation = match there {
            Some(_) if !replace => {
                return Err(Failure::usage(format!("there is a schedule {name} already"))
                    .hint("change it with --replace"));
            }
            Some(schedule) => schedule.generation,
            None => 0,
        };
        let key = IdempotencyKey::new();
        ask!(
            session,
            schedule_set,
            ScheduleSet {
                key,
                project: project.clone(),
                name: name.clone(),
                expected_generation,
                spec: spec.clone()
            }
        )
        .await
    }

    fn spec(self) -> Result<ScheduleSpec, Failure> {
        let Self {
            name: _,
            cron,
            time_zone,
            every,
            on,
            debounce,
            check_source,
            collect,
            update_reference,
            preprocess,
            gc: _,
            backup,
            accept,
            jitter,
            catch_up,
            description,
            replace: _,
        } = self;
        if accept && !collect && update_reference.is_none() {
            return Err(Failure::usage("--accept goes with --update-reference or --collect"));
        }
        let trigger = match (cron, every, on) {
            (Some(expression), _, _) => Trigger::Cron { expression, time_zone },
            (_, Some(every), _) => Trigger::Interval { seconds: seconds(every) },
            (_, _, Some(on)) => Trigger::Event { on, debounce_s: seconds(debounce) },
            (None, None, None) => return Err(Failure::usage("when? see --cron, --every and --on")),
        };
        let action = match (check_source, update_reference, backup) {
            (Some(source), _, _) => ScheduleAction::CheckSource { source },
            (_, Some(from), _) => ScheduleAction::UpdateReference { from, accept },
            (_, _, Some(folder)) => ScheduleAction::Backup { folder },
            (None, None, None) if collect => ScheduleAction::Collect { accept },
            (None, None, None) if preprocess => ScheduleAction::Preprocess,
            (None, None, None) => ScheduleAction::Gc,
        };
        Ok(ScheduleSpec { trigger, action, catch_up, jitter_s: seconds(jitter), description })
    }
}

fn seconds(span: Duration) -> u32 {
    u32::try_from(span.as_secs()).unwrap_or(u32::MAX)
}

fn event(text: &str) -> Result<EventFilter, String> {
    let (kind, of) = match text.split_once(':') {
        Some((kind, of)) => (kind, Some(of)),
        None => (text, None),
    };
    match (kind, of) {
        ("dataset", of) => Ok(EventFilter::Dataset { lineage: of.map(str::parse).transpose()? }),
        ("changeset", None) => Ok(EventFilter::ChangeSet),
        ("model", None) => Ok(EventFilter::Model),
        ("alias", of) => {
            let alias = of.map(str::parse).transpose();
            Ok(EventFilter::Alias {
                alias: alias.map_err(|error: vigie_protocol::InvalidId| error.to_string())?,
            })
        }
        ("data-changed", None) => Ok(EventFilter::DataChanged),
        _ => Err(format!(
            "{text:?} is none of dataset, dataset:LINE, changeset, model, alias, alias:NAME, data-changed"
        )),
    }
}

fn catch_up(text: &str) -> Result<CatchUp, String> {
    match text {
        "skip" => Ok(CatchUp::Skip),
        "once" => Ok(CatchUp::Once),
        _ => text
            .strip_prefix("all:")
            .and_then(|count| count.parse().ok())
            .filter(|count| (1..=100).contains(count))
            .map(|at_most| CatchUp::All { at_most })
            .ok_or_else(|| format!("{text:?} is none of skip, once, all:1 to all:100")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_and_catch_ups_are_read() {
        let of = |lineage| Ok(EventFilter::Dataset { lineage });
        assert_eq!(event("dataset"), of(None));
        assert_eq!(event("dataset:production"), of(Some(Lineage::Production)));
        assert_eq!(event("data-changed"), Ok(EventFilter::DataChanged));
        assert_eq!(event("alias:shadow"), Ok(EventFilter::Alias { alias: "shadow".parse().ok() }));
        for bad in ["", "dataset:", "dataset:train", "model:3", "alias:No Such", "job"] {
            assert!(event(bad).is_err(), "{bad}");
        }
        assert_eq!(catch_up("all:7"), Ok(CatchUp::All { at_most: 7 }));
        for bad in ["", "all", "all:0", "all:101", "all:-1", "never"] {
            assert!(catch_up(bad).is_err(), "{bad}");
        }
    }
}
