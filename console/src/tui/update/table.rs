//! Tables under way: selection, scrolling, order, the next page.

use std::sync::Arc;

use ratatui::layout::Rect;

use crate::tui::effect::{Effect, Effects};
use crate::tui::event::Mouse;
use crate::tui::state::{OrderOf, State};
use crate::tui::table::order;
use crate::tui::views;

/// Tables of more rows than this are filtered and sorted on another thread.
const ON_THE_SPOT: usize = 500;
/// So many rows before the end of what is here, the next page is asked for.
const AHEAD: usize = 100;

/// The screen without its first line, its title and its last line.
pub(in crate::tui) fn body(size: (u16, u16)) -> Rect {
    Rect::new(0, 2, size.0, size.1.saturating_sub(3))
}

/// Moves the selection by so many rows, and asks for more where the rows end.
pub(in crate::tui) fn select(state: &mut State, by: isize) {
    let shown = views::shown_rows(state);
    let table = &mut state.nav.top_mut().table;
    table.selected = table.selected.saturating_add_signed(by).min(shown.saturating_sub(1));
    table.selected_key = None;
}

/// The wheel moves the selection, a click takes it to the row.
pub(super) fn mouse(state: &mut State, mouse: Mouse) {
    if state.overlay.is_some() {
        return;
    }
    match mouse {
        Mouse::Down => select(state, 3),
        Mouse::Up => select(state, -3),
        Mouse::Click { y, .. } => {
            // One line below the body's first is the table's header.
            let first = body(state.size).y + 1;
            let table = &state.screen().table;
            if let Some(row) = y.checked_sub(first).map(usize::from)
                && row < table.height
                && table.offset + row < views::shown_rows(state)
            {
                let table = &mut state.nav.top_mut().table;
                table.selected = table.offset + row;
                table.selected_key = None;
            }
        }
    }
}

/// An order that was made elsewhere, for a screen that others may lie on by now; one for a table that
/// changed meanwhile is no use.
pub(super) fn ordered(state: &mut State, of: OrderOf, made: Arc<Vec<u32>>) {
    if let Some(screen) = state.nav.screen_mut(of.screen)
        && screen.table.order_asked.as_ref() == Some(&of)
    {
        screen.table.order = Some(made);
        screen.table.order_of = Some(of);
        screen.table.order_asked = None;
    }
}

/// Brings the table of the screen in line with what is there now.
pub(super) fn settle(state: &mut State, effects: &mut Effects) {
    let height = usize::from(views::table_height(state));
    let Some(facts) = facts(state) else { return };
    let Facts { of, inline, key_at, want, keys_wanted } = facts;
    let table = &mut state.nav.top_mut().table;
    if let Some(made) = inline {
        table.order = made.map(Arc::new);
        table.order_of = Some(of);
        table.order_asked = None;
    } else if table.order_of.as_ref() == Some(&of) {
        table.order_asked = None;
    } else if table.order_asked.as_ref() != Some(&of) {
        // The old order stays until the new one is there, as long as it names rows that exist.
        let rows = of.rows as u32;
        table.order = table.order.take().filter(|order| order.iter().all(|row| *row < rows));
        table.order_asked = Some(of.clone());
        effects.push(Effect::Order(of));
    }
    let shown = views::shown_rows(state);
    let keep = keys_wanted.and_then(|_| key_at.and_then(|source| views::position_of(state, source)));
    let table = &mut state.nav.top_mut().table;
    if let Some(at) = keep {
        table.selected = at;
    }
    table.selected = table.selected.min(shown.saturating_sub(1));
    table.height = height;
    let most = shown.saturating_sub(height.max(1));
    table.offset =
        table.offset.clamp((table.selected + 1).saturating_sub(height.max(1)), table.selected).min(most);
    let near = table.selected + height + AHEAD >= shown;
    state.nav.top_mut().table.selected_key = views::selected_key(state);
    if near
        && let Some(want) = want
        && let Some(cursor) = state.store.more(&want)
    {
        effects.push(Effect::Fetch { want, cursor: Some(cursor) });
    }
    // A marked row that is gone is not acted on. While something has the keys that was opened for the
    // marked rows, the mark stays: without any, what is chosen there would be about the selected row.
    if state.overlay.is_none() {
        views::drop_dead_marks(state);
    }
}

/// What must be known of a table before anything of the state is changed.
struct Facts {
    of: OrderOf,
    /// The order, when it had to be made and is made quickly.
    inline: Option<Option<Vec<u32>>>,
    /// Where the selected row is now among the source's rows.
    key_at: Option<usize>,
    /// The list to read on, when it has more.
    want: Option<crate::tui::state::Want>,
    keys_wanted: Option<String>,
}

fn facts(state: &State) -> Option<Facts> {
    let table = views::table(state)?;
    let screen = state.screen();
    let rows = table.source.count();
    let of = OrderOf {
        screen: screen.id,
        revision: table.revision,
        rows,
        filter: screen.table.filter.clone(),
        sort: screen.table.sort,
        faults_only: state.faults_only,
    };
    let plain = of.filter.is_empty() && of.sort.is_none() && !of.faults_only;
    let known = screen.table.order_of.as_ref() == Some(&of);
    let inline =
        (!known && (rows <= ON_THE_SPOT || plain)).then(|| order(&table, &of, || false).unwrap_or_default());
    // The row that was selected is looked for where it was, then everywhere.
    let keys_wanted = screen.table.selected_key.clone();
    let key_at = keys_wanted.as_ref().and_then(|key| {
        let before = screen.table.order.as_ref().and_then(|order| order.get(screen.table.selected));
        let guess = before.map_or(screen.table.selected, |row| *row as usize);
        if guess < rows && table.source.key(guess) == *key {
            return Some(guess);
        }
        (0..rows).find(|n| table.source.key(*n) == *key)
    });
    let want = table.want.filter(|(_, more)| *more).map(|(want, _)| want);
    Some(Facts { of, inline, key_at, want, keys_wanted })
}
