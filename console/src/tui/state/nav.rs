//! Where the user is: a stack of screens, each with its table's selection, order and marks, so that
//! going back finds everything as it was left.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use vigie_protocol::dataset::{ChangeKind, DatasetRef, Split};
use vigie_protocol::prediction::PredictionFilter;
use vigie_protocol::{
    AliasName, ChangeSetId, Hash, JobId, ModelNumber, PredictionId, ProjectName, RunId, ScheduleName,
};

use super::AgentIndex;
use crate::tui::filter::Filter;
use crate::tui::widgets::chart::ChartView;
use crate::tui::widgets::heatmap::HeatView;

/// A project on an agent.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Place {
    /// Which agent.
    pub agent: AgentIndex,
    /// Which project.
    pub project: ProjectName,
}

/// What is looked at.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "each is the view of its name, with what it is about")]
pub enum View {
    Overview,
    Agents,
    Agent { agent: AgentIndex },
    Services,
    Projects,
    Datasets { place: Place },
    Dataset { place: Place, dataset: DatasetRef },
    DatasetDiff { place: Place, from: Option<DatasetRef>, to: DatasetRef },
    Images { place: Place, dataset: DatasetRef, class: Option<String>, split: Option<Split> },
    ChangeSets { place: Place },
    ChangeSet { place: Place, id: ChangeSetId },
    Review { place: Place, id: ChangeSetId, class: Option<String>, kind: Option<ChangeKind> },
    Jobs,
    Job { agent: AgentIndex, job: JobId },
    Runs { place: Place },
    Curves { place: Place, runs: Vec<RunId> },
    Models { place: Place },
    Model { place: Place, number: ModelNumber },
    Confusion { place: Place, number: ModelNumber },
    Compare { place: Place, candidate: ModelNumber, base: ModelNumber },
    Gate { place: Place, candidate: ModelNumber, alias: AliasName },
    Aliases { place: Place, alias: AliasName },
    Predictions { place: Place, filter: PredictionFilter },
    Prediction { place: Place, id: PredictionId },
    Predict { place: Place },
    Label { place: Place },
    Sources { place: Place },
    Schedules { place: Place },
    Schedule { place: Place, project: Option<ProjectName>, name: ScheduleName },
    Waiting { place: Place, threshold: Option<u32> },
    Events,
    Log { agent: AgentIndex },
    Messages,
    Help,
}

/// A picture that a view shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Whose blob.
    pub agent: AgentIndex,
    /// Which.
    pub image: Hash,
}

impl View {
    /// The project on an agent that it is about, if it is about one.
    pub fn place(&self) -> Option<&Place> {
        match self {
            View::Datasets { place }
            | View::Dataset { place, .. }
            | View::DatasetDiff { place, .. }
            | View::Images { place, .. }
            | View::ChangeSets { place }
            | View::ChangeSet { place, .. }
            | View::Review { place, .. }
            | View::Runs { place }
            | View::Curves { place, .. }
            | View::Models { place }
            | View::Model { place, .. }
            | View::Confusion { place, .. }
            | View::Compare { place, .. }
            | View::Gate { place, .. }
            | View::Aliases { place, .. }
            | View::Predictions { place, .. }
            | View::Prediction { place, .. }
            | View::Predict { place }
            | View::Label { place }
            | View::Sources { place }
            | View::Schedules { place }
            | View::Schedule { place, .. }
            | View::Waiting { place, .. } => Some(place),
            View::Overview
            | View::Agents
            | View::Agent { .. }
            | View::Services
            | View::Projects
            | View::Jobs
            | View::Job { .. }
            | View::Events
            | View::Log { .. }
            | View::Messages
            | View::Help => None,
        }
    }

    /// The agent that it is about, if it is about one.
    pub fn agent(&self) -> Option<AgentIndex> {
        match self {
            View::Agent { agent } | View::Job { agent, .. } | View::Log { agent } => Some(*agent),
            other => other.place().map(|place| place.agent),
        }
    }
}

/// A screen on the stack.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Screen {
    /// Tells screens apart that show the same view.
    pub id: u64,
    /// What it shows.
    pub view: View,
    /// Its table.
    pub table: TableState,
    /// First line shown of what scrolls beside or without a table.
    pub scroll: u16,
    /// Its chart.
    pub chart: ChartView,
    /// Its heat map.
    pub heat: HeatView,
    /// Whether the pane of details fills the screen.
    pub full: bool,
    /// Which of the view's panes, tabs or variants is shown, from 0.
    pub tab: u8,
}

/// How a table is looked at.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct TableState {
    /// The row that keys act on, counted in the order shown.
    pub selected: usize,
    /// The selected row's identity: it stays selected when others come and go.
    pub selected_key: Option<String>,
    /// The first row shown.
    pub offset: usize,
    /// Rows that fit, as last drawn for this size.
    pub height: usize,
    /// Which rows are shown.
    pub filter: Filter,
    /// The column sorted by, and whether the largest comes first.
    pub sort: Option<(u8, bool)>,
    /// Rows of the source in the order shown; absent when that is the source's own.
    pub order: Option<Arc<Vec<u32>>>,
    /// What `order` was made for.
    pub order_of: Option<OrderOf>,
    /// What another order is being made for: until it is there, `order` is that of other rows.
    #[serde(default)]
    pub order_asked: Option<OrderOf>,
    /// Identities of the marked rows.
    pub marks: BTreeSet<String>,
}

impl TableState {
    /// Begins at the top of other rows, in an order that is still to be made.
    pub fn begin_anew(&mut self) {
        self.selected = 0;
        self.selected_key = None;
        self.order_of = None;
        self.order_asked = None;
    }
}

/// What an order is made for: another source, filter or column makes another.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct OrderOf {
    /// The screen.
    pub screen: u64,
    /// What the table's rows depend on.
    pub revision: u64,
    /// Rows of the source.
    pub rows: usize,
    /// Which rows are wanted.
    pub filter: Filter,
    /// In which order.
    pub sort: Option<(u8, bool)>,
    /// Only rows with a fault.
    pub faults_only: bool,
}

impl Screen {
    /// A fresh one.
    pub fn new(id: u64, view: View) -> Self {
        Self {
            id,
            view,
            table: TableState::default(),
            scroll: 0,
            chart: ChartView::default(),
            heat: HeatView::default(),
            full: false,
            tab: 0,
        }
    }
}

/// The stack; never empty.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Nav {
    below: Vec<Screen>,
    top: Screen,
    next_id: u64,
}

/// Screens that can be gone back to; beyond them the first ones are forgotten.
const DEEPEST: usize = 32;

impl Nav {
    /// With one screen.
    pub fn new(view: View) -> Self {
        Self { below: Vec::new(), top: Screen::new(0, view), next_id: 1 }
    }

    /// What is looked at.
    pub fn top(&self) -> &Screen {
        &self.top
    }

    /// What is looked at, to be changed.
    pub fn top_mut(&mut self) -> &mut Screen {
        &mut self.top
    }

    /// The screen of this number, if it is on the way here.
    pub fn screen_mut(&mut self, id: u64) -> Option<&mut Screen> {
        self.below.iter_mut().chain([&mut self.top]).find(|screen| screen.id == id)
    }

    /// The whole way, the first one first.
    pub fn path(&self) -> impl Iterator<Item = &Screen> {
        self.below.iter().chain([&self.top])
    }

    /// Goes into something; going to where one is changes nothing.
    pub fn push(&mut self, view: View) {
        if self.top.view == view {
            return;
        }
        let screen = Screen::new(self.next_id, view);
        self.next_id += 1;
        self.below.push(std::mem::replace(&mut self.top, screen));
        if self.below.len() > DEEPEST {
            // The very first one stays: it is home.
            self.below.remove(1);
        }
    }

    /// Goes elsewhere: the way there starts at home, or where that view was left on this way.
    pub fn jump(&mut self, view: View) {
        if let Some(at) = self.below.iter().position(|screen| screen.view == view) {
            self.below.truncate(at + 1);
            self.pop();
            return;
        }
        if !self.below.is_empty() {
            self.below.truncate(1);
            self.pop();
        }
        self.push(view);
    }

    /// Goes up. Returns whether there was an up.
    pub fn pop(&mut self) -> bool {
        match self.below.pop() {
            Some(screen) => {
                self.top = screen;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(nav: &Nav) -> Vec<String> {
        nav.path().map(|screen| format!("{:?}", screen.view)).collect()
    }

    #[test]
    fn the_way_back_is_kept() {
        let mut nav = Nav::new(View::Overview);
        nav.push(View::Agents);
        nav.top_mut().table.selected = 3;
        nav.push(View::Agents);
        nav.push(View::Events);
        assert_eq!(names(&nav), ["Overview", "Agents", "Events"]);
        assert!(nav.pop());
        assert_eq!(nav.top().table.selected, 3);
        nav.push(View::Services);
        nav.jump(View::Jobs);
        assert_eq!(names(&nav), ["Overview", "Jobs"]);
        nav.jump(View::Overview);
        assert_eq!(names(&nav), ["Overview"]);
        assert!(!nav.pop());
        for agent in 0..100 {
            nav.push(View::Agent { agent: AgentIndex(agent) });
        }
        assert!(nav.path().count() <= DEEPEST + 1);
        nav.jump(View::Jobs);
        assert_eq!(names(&nav), ["Overview", "Jobs"]);
    }
}
