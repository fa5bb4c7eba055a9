//! Answers at the labelling desk. The next image is shown in the frame of the key; the answer travels
//! meanwhile, and what becomes of it is told when it is known.

use vigie_protocol::feedback::{Clusters, LabelItem, LabelQueue, Said};
use vigie_protocol::service::{FeedbackGive, FeedbackWithdraw, LabelCluster};
use vigie_protocol::{ApiError, IdempotencyKey};

use crate::tui::effect::{Change, Effects, Request, Ticket};
use crate::tui::state::{Desk, Done, Labelling, State};
use crate::tui::{command, views};

/// So many images before the end of what is here, the next page of the queue is asked for.
const AHEAD: usize = 30;

/// What an answer is about.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::tui) enum Asked {
    /// One image.
    Image(LabelItem),
    /// A cluster of the deferred ones.
    Cluster(u32),
}

/// What is asked at the desk that is looked at.
pub(in crate::tui) fn asked(state: &State) -> Option<Asked> {
    let desk = views::label::desk(state.screen())?;
    match desk.queue {
        LabelQueue::Cluster => views::label::cluster(state).map(|cluster| Asked::Cluster(cluster.number)),
        _ => views::label::next(state).cloned().map(Asked::Image),
    }
}

/// Answers what is asked; `founds` when the class may be a new one.
pub(in crate::tui) fn answer(state: &mut State, said: Said, founds: bool, effects: &mut Effects) {
    let Some(desk) = views::label::desk(state.screen()) else { return };
    match (asked(state), said) {
        (Some(Asked::Image(item)), said) => image(state, desk, item, said, founds, effects),
        (Some(Asked::Cluster(number)), Said::Wrong { class }) => {
            cluster(state, &desk, number, class, founds, effects);
        }
        (Some(Asked::Cluster(_)), _) => {
            state.say("a cluster is answered with a class: w picks one, n founds one", false);
        }
        (None, _) => state.say("nothing is asked here", false),
    }
}

fn image(state: &mut State, desk: Desk, item: LabelItem, said: Said, founds: bool, effects: &mut Effects) {
    let now = state.now;
    let blind = desk.queue == LabelQueue::Audit && !sitting(state, &desk).shown;
    let request = Request::Feedback(FeedbackGive {
        key: IdempotencyKey::new(),
        project: desk.place.project.clone(),
        prediction: item.prediction,
        said: said.clone(),
        blind,
        new_class: founds,
    });
    let ticket = command::send(state, desk.place.agent, Change::Ask(request), effects);
    sitting(state, &desk).pass(item, Some((said, ticket)), now);
}

fn cluster(state: &mut State, desk: &Desk, number: u32, class: String, founds: bool, effects: &mut Effects) {
    let Some(made) = views::label::clusters(state).and_then(|clusters: &Clusters| clusters.made) else {
        return;
    };
    let request = Request::LabelCluster(LabelCluster {
        key: IdempotencyKey::new(),
        project: desk.place.project.clone(),
        made,
        cluster: number,
        except: Vec::new(),
        class,
        new_class: founds,
    });
    command::send(state, desk.place.agent, Change::Ask(request), effects);
    let sitting = sitting(state, desk);
    match &mut sitting.clusters {
        Some((of, answered)) if *of == made => {
            answered.insert(number);
        }
        clusters => *clusters = Some((made, [number].into())),
    }
}

/// The next image, without an answer to this one.
pub(in crate::tui) fn skip(state: &mut State) {
    let Some(desk) = views::label::desk(state.screen()) else { return };
    match asked(state) {
        Some(Asked::Image(item)) => {
            let now = state.now;
            sitting(state, &desk).pass(item, None, now);
        }
        Some(Asked::Cluster(_)) => {
            let screen = state.nav.top_mut();
            screen.scroll = screen.scroll.saturating_add(1);
        }
        None => state.say("nothing is asked here", false),
    }
}

/// Takes the last answer back, here and at the agent.
pub(in crate::tui) fn undo(state: &mut State, effects: &mut Effects) {
    let Some(desk) = views::label::desk(state.screen()) else { return };
    let Some(Done { item, said }) = sitting(state, &desk).undo() else {
        return state.say("there is nothing to undo", false);
    };
    if said.is_some() {
        // Behind the answer itself: what one desk says goes to its agent in order.
        let request = Request::Withdraw(FeedbackWithdraw {
            key: IdempotencyKey::new(),
            project: desk.place.project.clone(),
            prediction: item.prediction,
        });
        command::send(state, desk.place.agent, Change::Ask(request), effects);
    }
}

/// Shows what was predicted in an audit; the answer is then no longer blind.
pub(in crate::tui) fn reveal(state: &mut State) {
    if let Some(desk) = views::label::desk(state.screen()) {
        sitting(state, &desk).shown = true;
    }
}

/// An answer did not reach its agent, or was refused: what it was about is asked again.
pub(super) fn refused(state: &mut State, ticket: Ticket, request: &Request, error: &ApiError) {
    let again = match request {
        Request::Feedback(_) => state.labelling.refused(ticket),
        Request::LabelCluster(answer) => state
            .labelling
            .clusters
            .as_mut()
            .is_some_and(|(made, answered)| *made == answer.made && answered.remove(&answer.cluster)),
        _ => false,
    };
    let back = if again { "; it is asked again" } else { "" };
    state.complain(&format!("the answer did not count{back}"), error);
}

/// Whether more of the queue should be asked for, before its end is reached.
pub(super) fn runs_out(state: &State) -> bool {
    views::label::desk(state.screen()).is_some_and(|desk| desk.queue != LabelQueue::Cluster)
        && views::label::upcoming(state, AHEAD).len() < AHEAD
}

/// The sitting at a desk; another desk begins another one.
fn sitting<'a>(state: &'a mut State, desk: &Desk) -> &'a mut Labelling {
    if state.labelling.desk.as_ref() != Some(desk) {
        state.labelling = Labelling::at(desk.clone());
    }
    &mut state.labelling
}
