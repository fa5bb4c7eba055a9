//! What the terminal UI wants done: `update` asks, tasks carry out, the outcome comes back as an
//! event.

use serde::{Deserialize, Serialize};
use vigie_protocol::Hash;
use vigie_protocol::dataset::ChangeSet;
use vigie_protocol::job::Job;
use vigie_protocol::page::PageCursor;
use vigie_protocol::prediction::Prediction;
use vigie_protocol::schedule::{Firing, Schedule};
use vigie_protocol::service::{AliasMoved, ClusterLabelled, SourceChecked};

use super::state::{AgentIndex, Cells, OrderOf, Want};

/// Names a request, so that its outcome finds the one who asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Ticket(pub u64);

/// Something to do outside.
#[derive(Clone, Debug)]
pub enum Effect {
    /// Ask an agent for data.
    Fetch {
        /// What.
        want: Want,
        /// From where on; absent for the first page.
        cursor: Option<PageCursor>,
    },
    /// Ask an agent to change something.
    Change {
        /// Names it.
        ticket: Ticket,
        /// Which agent.
        agent: AgentIndex,
        /// What. Carries its idempotency key: asking twice does it once.
        change: Box<Change>,
    },
    /// Filter and sort a long table on another thread.
    Order(OrderOf),
    /// Fetch a picture and make it drawable.
    Picture {
        /// Where it lies.
        agent: AgentIndex,
        /// Which.
        image: Hash,
        /// How large it may be, in cells.
        cells: Cells,
    },
    /// Put a text on the user's clipboard.
    Copy(String),
    /// Write a text to a file that does not exist yet.
    Save {
        /// The file's name; a folder is chosen outside.
        name: String,
        /// What goes into it.
        text: String,
    },
    /// Write the recorded events to a file.
    Dump,
    /// Try to reach an agent now.
    Reconnect(AgentIndex),
    /// Listen to the mouse, or no longer.
    Mouse(bool),
    /// Draw everything anew.
    Repaint,
    /// Give the terminal back until the shell returns it.
    Suspend,
    /// End.
    Quit,
}

/// A change of something at an agent.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[expect(clippy::large_enum_variant, reason = "few exist at a time, and those that travel are boxed")]
pub enum Change {
    /// A request as it goes over the wire.
    Ask(Request),
    /// Read an image file of this machine and classify it.
    PredictFile {
        /// In which project.
        project: vigie_protocol::ProjectName,
        /// The file.
        path: String,
    },
}

/// The requests that change something and that the terminal offers.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Request {
    /// See [`vigie_protocol::service::Promote`].
    Promote(vigie_protocol::service::Promote),
    /// See [`vigie_protocol::service::Rollback`].
    Rollback(vigie_protocol::service::Rollback),
    /// See [`vigie_protocol::service::JobChange`].
    CancelJob(vigie_protocol::service::JobChange),
    /// See [`vigie_protocol::service::JobChange`].
    RetryJob(vigie_protocol::service::JobChange),
    /// See [`vigie_protocol::service::JobSubmit`].
    SubmitJob(vigie_protocol::service::JobSubmit),
    /// See [`vigie_protocol::service::TrainSubmit`].
    Train(vigie_protocol::service::TrainSubmit),
    /// See [`vigie_protocol::service::ChangeSetDecide`].
    Decide(vigie_protocol::service::ChangeSetDecide),
    /// See [`vigie_protocol::service::PredictionForget`].
    Forget(vigie_protocol::service::PredictionForget),
    /// See [`vigie_protocol::service::FeedbackGive`].
    Feedback(vigie_protocol::service::FeedbackGive),
    /// See [`vigie_protocol::service::FeedbackWithdraw`].
    Withdraw(vigie_protocol::service::FeedbackWithdraw),
    /// See [`vigie_protocol::service::LabelCluster`].
    LabelCluster(vigie_protocol::service::LabelCluster),
    /// See [`vigie_protocol::service::SourceCheck`].
    CheckSource(vigie_protocol::service::SourceCheck),
    /// See [`vigie_protocol::service::SchedulePause`].
    PauseSchedule(vigie_protocol::service::SchedulePause),
    /// See [`vigie_protocol::service::ScheduleRun`].
    RunSchedule(vigie_protocol::service::ScheduleRun),
    /// See [`vigie_protocol::service::Predict`]: of an image that the agent holds.
    Predict(vigie_protocol::service::Predict),
}

impl Change {
    /// The agent's method that carries it out: what a role must allow.
    pub fn method(&self) -> &'static str {
        match self {
            Change::Ask(request) => match request {
                Request::Promote(_) => "promote",
                Request::Rollback(_) => "rollback",
                Request::CancelJob(_) => "job_cancel",
                Request::RetryJob(_) => "job_retry",
                Request::SubmitJob(_) => "job_submit",
                Request::Train(_) => "train_submit",
                Request::Decide(_) => "change_set_decide",
                Request::Forget(_) => "prediction_forget",
                Request::Feedback(_) => "feedback_give",
                Request::Withdraw(_) => "feedback_withdraw",
                Request::LabelCluster(_) => "label_cluster",
                Request::CheckSource(_) => "source_check",
                Request::PauseSchedule(_) => "schedule_pause",
                Request::RunSchedule(_) => "schedule_run",
                Request::Predict(_) => "predict",
            },
            Change::PredictFile { .. } => "predict",
        }
    }
}

impl Request {
    /// Whether it says what images show. Such requests reach their agent one after another, so that a
    /// word that is taken back or replaced does not overtake its predecessor.
    pub fn is_label(&self) -> bool {
        matches!(self, Request::Feedback(_) | Request::Withdraw(_) | Request::LabelCluster(_))
    }
}

/// What a change came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Done {
    /// An alias moved.
    Moved(Box<AliasMoved>),
    /// A job was asked for, or changed.
    Job(Box<Job>),
    /// A change-set was decided.
    Decided(Box<ChangeSet>),
    /// A source was looked at.
    SourceChecked(Box<SourceChecked>),
    /// A schedule was paused, or goes on.
    Schedule(Box<Schedule>),
    /// A schedule fired.
    Fired(Box<Firing>),
    /// An image was classified.
    Predicted(Box<Prediction>),
    /// A prediction is gone.
    Forgotten,
    /// A word on a prediction counts, or counts no longer.
    Said,
    /// A cluster was labelled.
    ClusterLabelled(ClusterLabelled),
}

/// Effects in the order they were asked for.
pub type Effects = Vec<Effect>;
