//! Answers at the labelling desk. The next image is shown in the frame of the key; the answer travels
//! meanwhile, and what becomes of it is told when it is known.

use vigie_protocol::feedback::{LabelItem, LabelQueue, Said};
use vigie_protocol::service::{FeedbackGive, FeedbackWithdraw, LabelCluster};
use vigie_protocol::{ApiError, IdempotencyKey, PredictionId};

use crate::tui::effect::{Change, Effects, Request, Ticket};
use crate::tui::state::{AtClusters, Desk, Done, Labelling, Question, State, Want};
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

/// The same, to tell it apart from what is asked later.
pub(in crate::tui) fn question(state: &State) -> Option<Question> {
    Some(match asked(state)? {
        Asked::Image(item) => Question::Image(item.prediction),
        Asked::Cluster(number) => {
            let made = views::label::clusters(state).and_then(|clusters| clusters.made);
            Question::Cluster { made, number }
        }
    })
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
    if let Some(ticket) = command::send(state, desk.place.agent, Change::Ask(request), effects) {
        sitting(state, &desk).pass(item, Some((said, ticket)), now);
    }
}

fn cluster(state: &mut State, desk: &Desk, number: u32, class: String, founds: bool, effects: &mut Effects) {
    let Some(made) = views::label::clusters(state).and_then(|clusters| clusters.made) else { return };
    let here = sitting(state, desk).clusters_mut(&desk.place, made);
    let except: Vec<PredictionId> = here.exceptions(number).collect();
    let all = views::label::cluster(state).map_or(0, |cluster| cluster.images);
    if except.len() as u64 >= all {
        return state.say("every picture is left out: there is nothing to answer for", true);
    }
    let request = Request::LabelCluster(LabelCluster {
        key: IdempotencyKey::new(),
        project: desk.place.project.clone(),
        made,
        cluster: number,
        except,
        class,
        new_class: founds,
    });
    if command::send(state, desk.place.agent, Change::Ask(request), effects).is_some() {
        sitting(state, desk).clusters_mut(&desk.place, made).answered.insert(number);
    }
}

/// Moves over the pictures of the cluster: so many to the right, so many down.
pub(in crate::tui) fn step(state: &mut State, right: isize, down: isize) {
    let across = views::label::across(state.size) as isize;
    let last = views::label::members(state).len().saturating_sub(1);
    let to = views::label::picture(state).saturating_add_signed(right + down * across).min(last);
    if let Some((here, cluster)) = at_cluster(state) {
        here.go_to(cluster, to);
    }
}

/// Leaves the picture that keys act on out of the answer for its cluster, or takes it in again, and
/// goes on to the next one.
pub(in crate::tui) fn except(state: &mut State) {
    let member = views::label::members(state).get(views::label::picture(state));
    let Some(prediction) = member.map(|item| item.prediction) else {
        return state.say("the pictures of the cluster are still asked for", false);
    };
    if let Some((here, cluster)) = at_cluster(state) {
        here.toggle(cluster, prediction);
        step(state, 1, 0);
    }
}

/// The cluster that is looked at, and what was done about those made with it.
fn at_cluster(state: &mut State) -> Option<(&mut AtClusters, u32)> {
    let place = views::label::desk(state.screen())?.place;
    let number = views::label::cluster(state)?.number;
    let made = views::label::clusters(state)?.made?;
    Some((state.labelling.clusters_mut(&place, made), number))
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

/// The cluster before.
pub(in crate::tui) fn before(state: &mut State) {
    let screen = state.nav.top_mut();
    screen.scroll = screen.scroll.saturating_sub(1);
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
            .at_clusters
            .as_mut()
            .is_some_and(|here| here.made == answer.made && here.answered.remove(&answer.cluster)),
        _ => false,
    };
    let back = if again { "; it is asked again" } else { "" };
    state.complain(&format!("the answer did not count{back}"), error);
}

/// The list that should be read on, before its end is reached.
pub(super) fn runs_out(state: &State) -> Option<Want> {
    match views::label::desk(state.screen())?.queue {
        LabelQueue::Cluster => {
            let left = views::label::members(state).len().saturating_sub(views::label::picture(state));
            let ahead = AHEAD.max(views::label::on_a_page(state.size));
            views::label::members_want(state).filter(|_| left <= ahead)
        }
        _ => {
            views::label::want(state.screen()).filter(|_| views::label::upcoming(state, AHEAD).len() < AHEAD)
        }
    }
}

/// The sitting at a desk; another desk begins another one.
fn sitting<'a>(state: &'a mut State, desk: &Desk) -> &'a mut Labelling {
    if state.labelling.desk.as_ref() != Some(desk) {
        let at_clusters = state.labelling.at_clusters.take();
        state.labelling = Labelling { at_clusters, ..Labelling::at(desk.clone()) };
    }
    &mut state.labelling
}
