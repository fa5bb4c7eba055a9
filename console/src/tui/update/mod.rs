//! What happens when something happens: `update(state, event) -> effects`. It neither waits nor reads
//! a clock, so that the same events lead to the same state wherever they are played.

mod arrive;
mod form;
mod keys;
mod label;
mod prompt;
mod table;

use std::time::Duration;

use super::effect::{Effect, Effects};
use super::event::Event;
use super::state::{Cells, PictureState, State, TOAST};
use super::views;
use vigie_protocol::Hash;

pub(super) use label::{Asked, answer, asked, before, except, question, reveal, skip, step, undo};
pub(super) use prompt::complete;
pub(super) use table::{body, select};

/// Pictures whose fate is remembered.
const PICTURES: usize = 64;

/// Takes an event in; says what is to be done outside.
pub fn update(state: &mut State, event: Event) -> Effects {
    let mut effects = Vec::new();
    match event {
        Event::Key(key) => keys::pressed(state, key, &mut effects),
        Event::Paste(text) => keys::pasted(state, &text),
        Event::Mouse(mouse) => table::mouse(state, mouse),
        Event::Resize { width, height } => {
            state.size = (width, height);
        }
        Event::Second { now } => second(state, now),
        Event::Agents(news) => {
            for (agent, snapshot) in news {
                arrive::snapshot(state, agent, snapshot);
            }
        }
        Event::Fetched { want, at, answer } => arrive::data(state, &want, at, answer),
        Event::Done { ticket, at, outcome } => arrive::done(state, ticket, at, outcome),
        Event::Ordered { of, order } => table::ordered(state, of, order),
        Event::Picture { image, cells, error, gone } => {
            for key in gone {
                state.pictures.insert(key, PictureState::Gone);
            }
            let fate = error.map_or(PictureState::Ready, PictureState::Failed);
            state.pictures.insert((image, cells), fate);
        }
        Event::Note { text, bad } => state.say(text, bad),
    }
    table::settle(state, &mut effects);
    remember_hand(state);
    more_to_label(state, &mut effects);
    fetch(state, &mut effects);
    effects
}

/// Notes what was under the user's hand when something was laid over the screen.
fn remember_hand(state: &mut State) {
    match (&state.overlay, &state.hand) {
        (None, _) => state.hand = None,
        (Some(_), None) => state.hand = Some(views::hand(state)),
        (Some(_), Some(_)) => {}
    }
}

/// The screen stands still, or goes on with what arrived meanwhile.
pub(super) fn freeze(state: &mut State) {
    state.frozen = !state.frozen;
    if state.frozen {
        return;
    }
    for agent in &mut state.fleet.agents {
        if let Some(snapshot) = agent.held.take() {
            agent.learn(snapshot);
        }
    }
    state.revision += 1;
}

fn second(state: &mut State, now: vigie_protocol::Time) {
    // A clock that was set back must not leave a toast for hours.
    let shown_for = |message: &super::state::Message| now.since(message.at);
    let future = |message: &super::state::Message| message.at.since(now) > Duration::from_secs(1);
    if state.toast.as_ref().is_some_and(|toast| shown_for(toast) >= TOAST || future(toast)) {
        state.toast = None;
    }
    if !state.frozen {
        state.now = now;
    }
    if state.offer.as_ref().is_some_and(|offer| offer.until <= now) {
        state.offer = None;
    }
}

/// Asks for the next page of what is labelled before its end is reached.
fn more_to_label(state: &mut State, effects: &mut Effects) {
    if let Some(want) = label::runs_out(state)
        && let Some(cursor) = state.store.more(&want)
    {
        effects.push(Effect::Fetch { want, cursor: Some(cursor) });
    }
}

/// Asks for the data and the pictures that are looked at.
fn fetch(state: &mut State, effects: &mut Effects) {
    if state.frozen {
        return;
    }
    for want in views::wants(state) {
        if !state.fleet.get(want.agent).is_some_and(|agent| agent.snapshot.is_connected()) {
            continue;
        }
        if let Some(cursor) = state.store.look(&want, state.now) {
            effects.push(Effect::Fetch { want, cursor });
        }
    }
    let pictures = views::pictures(state);
    let wanted = |key: &(Hash, Cells)| pictures.iter().any(|(shown, cells)| *key == (shown.image, *cells));
    state.pictures.retain(|key, fate| *fate != PictureState::Gone || wanted(key));
    for (n, (shown, cells)) in pictures.iter().enumerate() {
        let (shown, cells) = (*shown, *cells);
        let key = (shown.image, cells);
        let known = match state.pictures.get(&key) {
            // Only the first one takes the room of others: all that are looked at would do so in turn,
            // for ever.
            Some(PictureState::Gone) => n > 0,
            known => known.is_some(),
        };
        if cells.0 == 0 || cells.1 == 0 || known {
            continue;
        }
        if state.pictures.len() >= PICTURES {
            // Any but those looked at now: they would be asked for again at once.
            if let Some(other) = state.pictures.keys().find(|key| !wanted(key)).copied() {
                state.pictures.remove(&other);
            }
        }
        state.pictures.insert(key, PictureState::Asked);
        effects.push(Effect::Picture { agent: shown.agent, image: shown.image, cells });
    }
}

#[cfg(test)]
mod hand_tests;
#[cfg(test)]
mod label_tests;
#[cfg(test)]
mod review_tests;
#[cfg(test)]
mod tests;
