//! `vigie classes waiting`.

use clap::Args;
use vigie_protocol::ProjectName;
use vigie_protocol::rules::{Growth, WaitingRoom};
use vigie_protocol::service::ClassWaiting;

use crate::app::App;
use crate::out::{Cell, Column, Style, Table, Tone, count};
use crate::session::{Session, ask};

/// A new class enters reference when source and production together hold as many images of it as
/// reference holds of its smallest class (`vigie projects set NAME --class-rule` has other rules).
/// How fast it grows is measured over the versions of the last 30 days; the days are those until it is
/// large enough if that goes on and the smallest class stays as it is.
#[derive(Debug, Args)]
pub struct Waiting {
    /// Try a rule of so many images; changes nothing
    #[arg(long, value_name = "IMAGES")]
    threshold: Option<u32>,
}

impl Waiting {
    pub async fn run(self, app: &App, session: &Session, project: ProjectName) -> anyhow::Result<()> {
        let request = ClassWaiting { project, threshold: self.threshold };
        let room = ask!(session, class_waiting, request).await?;
        Ok(app.out.value(&room, |style| waiting(&room, style))?)
    }
}

/// The waiting room: a sentence, and who is in it.
pub fn waiting(room: &WaitingRoom, style: &Style) -> String {
    let mut table = Table::new(
        [
            Column::flexible("CLASS"),
            Column::figure("HAS"),
            Column::figure("NEEDS"),
            Column::figure("IN SOURCE"),
            Column::figure("IN PRODUCTION"),
            Column::figure("A DAY"),
            Column::text("DAYS LEFT"),
        ],
        "",
    );
    for waits in &room.waiting {
        let left = match &waits.growth {
            _ if waits.enters => {
                Cell::toned(if room.simulated { "would enter" } else { "may enter" }, Tone::Good)
            }
            Some(Growth { eta_days: Some(days), .. }) => count(*days).into(),
            Some(Growth { eta_days: None, .. }) => Cell::toned("never at this rate", Tone::Warn),
            None => Cell::toned("not known yet", Tone::Dim),
        };
        table.row([
            Cell::from(waits.class.as_str()),
            count(waits.has).into(),
            count(waits.needs).into(),
            count(waits.in_source).into(),
            count(waits.in_production).into(),
            Cell::maybe(waits.growth.map(|growth| format!("{:+.1}", growth.per_day))),
            left,
        ]);
    }
    let mut text = crate::out::safe(&room.sentence);
    text.push('\n');
    if !room.waiting.is_empty() {
        text.push('\n');
        text.push_str(&table.render(style));
    }
    let unlisted = room.total.saturating_sub(room.waiting.len() as u64);
    if unlisted > 0 {
        text.push_str(&format!("… and {} more\n", count(unlisted)));
    }
    text
}

#[cfg(test)]
mod tests {
    use vigie_protocol::rules::{ClassRule, WaitingClass};

    use super::*;

    #[test]
    fn the_room_is_told_and_listed() {
        let class = |class: &str, has, enters, growth| WaitingClass {
            class: class.to_owned(),
            has,
            in_source: has,
            in_production: 0,
            needs: 846,
            enters,
            growth,
            sentence: String::new(),
        };
        let growth = |per_day, eta_days| Some(Growth { per_day, days: 12.0, eta_days });
        let room = WaitingRoom {
            rule: ClassRule::Smallest,
            simulated: false,
            reference: "reference@v3".parse().ok(),
            smallest: None,
            needs: Some(846),
            waiting: vec![
                class("kite", 900, true, None),
                class("wren", 610, false, growth(79.2, Some(3))),
                class("rook", 12, false, growth(-0.5, None)),
                class("\u{1b}[31mhostile", 3, false, None),
            ],
            total: 1_004,
            entering: 1,
            sentence: "reference lacks 1004 classes".to_owned(),
        };
        let style = Style { colour: false, width: None, now: vigie_protocol::Time::default() };
        insta::assert_snapshot!(waiting(&room, &style), @r"
        reference lacks 1004 classes

        CLASS              HAS  NEEDS  IN SOURCE  IN PRODUCTION  A DAY  DAYS LEFT
        kite               900    846        900              0      -  may enter
        wren               610    846        610              0  +79.2  3
        rook                12    846         12              0   -0.5  never at this rate
        \u{1b}[31mhostile    3    846          3              0      -  not known yet
        … and 1,000 more
        ");
    }
}
