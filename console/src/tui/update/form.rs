//! Filling in a form.

use crossterm::event::{KeyCode, KeyModifiers};

use crate::tui::command;
use crate::tui::effect::{Change, Effects, Request};
use crate::tui::key::Key;
use crate::tui::state::{Form, FormAction, Line, Overlay, State};

pub(super) fn pressed(state: &mut State, mut form: Form, key: Key, effects: &mut Effects) {
    form.error = None;
    let fields = form.fields.len().max(1);
    match key.code {
        KeyCode::Esc => return state.say("nothing was done", false),
        KeyCode::Tab | KeyCode::Down => form.focus = (form.focus + 1) % fields,
        KeyCode::BackTab | KeyCode::Up => form.focus = (form.focus + fields - 1) % fields,
        KeyCode::Enter => match form.fields.iter().position(|field| field.wrong().is_some()) {
            None => match refusal(state, &form) {
                None => return act(state, form, effects),
                refusal => form.error = refusal,
            },
            // What is wrong is told where it is; the first Enter in a fine field goes on to the next.
            Some(at) => {
                let here = form.fields.get(form.focus).and_then(|field| field.wrong());
                if here.is_some() || at == form.focus {
                    form.error = here;
                } else {
                    form.focus = at;
                }
            }
        },
        _ => {
            if let Some(field) = form.fields.get_mut(form.focus) {
                edit(&mut field.line, key);
            }
        }
    }
    state.overlay = Some(Overlay::Form(form));
}

/// Keys that edit a line. Returns whether it was one.
pub(super) fn edit(line: &mut Line, key: Key) -> bool {
    match (key.code, key.modifiers) {
        (KeyCode::Char('w'), KeyModifiers::CONTROL) => line.delete_word(),
        (KeyCode::Char('u'), KeyModifiers::CONTROL) => *line = Line::default(),
        (KeyCode::Char('a'), KeyModifiers::CONTROL) | (KeyCode::Home, _) => line.home(),
        (KeyCode::Char('e'), KeyModifiers::CONTROL) | (KeyCode::End, _) => line.end(),
        (KeyCode::Left, _) => line.left(),
        (KeyCode::Right, _) => line.right(),
        (KeyCode::Delete, _) => line.delete(),
        (KeyCode::Backspace, _) => {
            line.backspace();
        }
        (KeyCode::Char(c), KeyModifiers::NONE) => line.insert(c.encode_utf8(&mut [0; 4])),
        _ => return false,
    }
    true
}

/// Why what the form is about may not be asked for: all of it or nothing.
fn refusal(state: &State, form: &Form) -> Option<String> {
    let FormAction::Send { changes } = &form.action;
    changes.iter().find_map(|(agent, change)| command::askable(state, *agent, change).err())
}

fn act(state: &mut State, form: Form, effects: &mut Effects) {
    let typed = |label: &str| {
        let field = form.fields.iter().find(|field| field.label == label)?;
        Some(field.line.text.trim().to_owned()).filter(|text| !text.is_empty())
    };
    let FormAction::Send { changes } = form.action;
    let reason = typed("reason");
    for (agent, change) in changes {
        command::send(state, agent, with_reason(change, reason.as_deref()), effects);
    }
}

fn with_reason(mut change: Change, typed: Option<&str>) -> Change {
    if let Change::Ask(request) = &mut change {
        let reason = match request {
            Request::Promote(promote) => &mut promote.reason,
            Request::Rollback(rollback) => &mut rollback.reason,
            Request::Decide(decide) => &mut decide.reason,
            Request::CancelJob(_)
            | Request::RetryJob(_)
            | Request::SubmitJob(_)
            | Request::Train(_)
            | Request::Forget(_)
            | Request::Feedback(_)
            | Request::Withdraw(_)
            | Request::LabelCluster(_)
            | Request::CheckSource(_)
            | Request::PauseSchedule(_)
            | Request::RunSchedule(_)
            | Request::Predict(_) => return change,
        };
        if let Some(typed) = typed {
            *reason = Some(typed.to_owned());
        }
    }
    change
}
