//! The demo's end: the terminal UI on its agent, with somebody asking for predictions.

use std::path::Path;
use std::time::Duration;

use vigie_protocol::ProjectName;
use vigie_protocol::dataset::{Lineage, Split};
use vigie_protocol::service::{DatasetImages, DatasetList, Predict};
use vigie_protocol::wire::target::Target;

use super::LARGEST;
use crate::app::App;
use crate::exit::{Exit, Failure};
use crate::out::note;
use crate::session::{Session, ask};
use crate::tui::state::{Agent, Scope};
use crate::tui::{Member, open};

/// Between two predictions: enough to see the curves move, little enough to hear no fan.
const PACE: Duration = Duration::from_millis(250);
/// Pictures that are asked about in turn.
const PICTURES: usize = 100;

/// Opens the terminal UI until the user leaves it.
pub(super) async fn show(
    app: &App,
    session: &Session,
    project: &ProjectName,
    socket: &Path,
) -> anyhow::Result<()> {
    note("opening the terminal; q leaves it and ends the demo");
    let target = Target::Unix(socket.to_owned());
    let mut agent = Agent::new("demo", target.to_string());
    agent.project = Some(project.clone());
    let member = Member { agent, dialer: target.into() };
    let (config, runtime) = (app.config.clone(), tokio::runtime::Handle::current());
    // It blocks as long as it is open.
    let opened =
        tokio::task::spawn_blocking(move || open(&config, vec![member], Scope::All, false, &runtime));
    let code = tokio::select! {
        opened = opened => opened??,
        () = ask_on(session, project) => Exit::Interrupted as u8,
    };
    match code {
        0 => Ok(()),
        code => Err(Failure::new(Exit::Interrupted, format!("the terminal ended with {code}")).into()),
    }
}

/// Asks for predictions of pictures that the model has not learnt from, until interrupted.
async fn ask_on(session: &Session, project: &ProjectName) {
    let mut ticks = tokio::time::interval(PACE);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        match round(session, project, &mut ticks).await {
            Ok(()) => {}
            Err(failure) if failure.exit == Exit::Interrupted => return,
            Err(failure) => {
                tracing::debug!(%failure, "a round of predictions was cut short");
                ticks.tick().await;
            }
        }
    }
}

async fn round(
    session: &Session,
    project: &ProjectName,
    ticks: &mut tokio::time::Interval,
) -> Result<(), Failure> {
    let newest = DatasetList {
        project: project.clone(),
        lineage: Some(Lineage::Reference),
        page: vigie_protocol::page::PageRequest { cursor: None, limit: 1 },
    };
    let versions = ask!(session, dataset_list, newest).await?;
    let dataset =
        versions.items.first().ok_or_else(|| Failure::new(Exit::NotFound, "no reference yet"))?.dataset;
    let images = session
        .pages(PICTURES, async |page| {
            let (project, split) = (project.clone(), Some(Split::Test));
            ask!(session, dataset_images, DatasetImages { project, dataset, class: None, split, page }).await
        })
        .await?;
    for image in images {
        ticks.tick().await;
        let picture = session.fetch(image.image, LARGEST).await?;
        let (project, name) = (project.clone(), Some(image.origin));
        session.predict(Predict { project, image: picture, blob: None, top: 3, name }).await?;
    }
    Ok(())
}
