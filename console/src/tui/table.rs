//! Tables: columns, rows that are built only when they are looked at, and the order they are shown
//! in.

use std::cmp::Ordering;
use std::sync::Arc;

use super::filter::Filter;
use super::state::{AgentIndex, At, OrderOf, State, Want};
use super::theme::Role;
use crate::out::safe;

/// One column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its title, in capitals.
    pub name: &'static str,
    /// Whether figures stand at its right edge.
    pub right: bool,
    /// How wide it may become at most, in cells; 0 for whatever is left.
    pub most: u16,
}

impl Column {
    /// Text that is rarely longer than 24 cells.
    pub const fn text(name: &'static str) -> Self {
        Self { name, right: false, most: 24 }
    }

    /// Text of at most so many cells.
    pub const fn short(name: &'static str, most: u16) -> Self {
        Self { name, right: false, most }
    }

    /// Text that takes what the others leave.
    pub const fn rest(name: &'static str) -> Self {
        Self { name, right: false, most: 0 }
    }

    /// Figures of at most so many cells: shares with their intervals.
    pub const fn figures(name: &'static str, most: u16) -> Self {
        Self { name, right: true, most }
    }

    /// Figures.
    pub const fn figure(name: &'static str) -> Self {
        Self { name, right: true, most: 16 }
    }
}

/// One cell: what it says and what it sorts by.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    /// Safe to show: control characters are spelled out.
    pub text: String,
    /// What it is.
    pub role: Role,
    /// What it sorts and compares by; its text when absent.
    pub sort: Option<f64>,
}

impl Cell {
    /// Plain text.
    pub fn text(text: impl AsRef<str>) -> Self {
        Self { text: safe(text.as_ref()), role: Role::Text, sort: None }
    }

    /// A figure with its value.
    pub fn figure(text: impl Into<String>, value: f64) -> Self {
        Self { text: text.into(), role: Role::Text, sort: Some(value) }
    }

    /// Nothing to say.
    pub fn none() -> Self {
        Self { text: String::new(), role: Role::Dim, sort: None }
    }

    /// What it is.
    #[must_use]
    pub fn role(mut self, role: Role) -> Self {
        self.role = role;
        self
    }

    /// What it sorts by.
    #[must_use]
    pub fn by(mut self, value: f64) -> Self {
        self.sort = Some(value);
        self
    }
}

impl<T: AsRef<str>> From<T> for Cell {
    fn from(text: T) -> Self {
        Cell::text(text)
    }
}

/// One row.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// A cell for each column.
    pub cells: Vec<Cell>,
    /// Whether something is wrong with what it shows: what the faults-only switch keeps.
    pub fault: bool,
    /// Whether it is too old to trust.
    pub stale: bool,
}

impl Row {
    /// A row of which nothing is wrong.
    pub fn new(cells: Vec<Cell>) -> Self {
        Self { cells, fault: false, stale: false }
    }

    /// Says whether something is wrong.
    #[must_use]
    pub fn fault(mut self, fault: bool) -> Self {
        self.fault = fault;
        self
    }

    /// Says whether it is too old to trust.
    #[must_use]
    pub fn stale(mut self, stale: bool) -> Self {
        self.stale = stale;
        self
    }
}

/// Rows by their number.
pub trait Source {
    /// How many there are.
    fn count(&self) -> usize;
    /// What makes the n-th what it is, for as long as it exists.
    fn key(&self, n: usize) -> String;
    /// The n-th, built anew.
    fn row(&self, n: usize) -> Row;
    /// The n-th as JSON, as the command line would print it; nothing where rows are no values.
    fn json(&self, _n: usize) -> Option<String> {
        None
    }
}

/// A table as a view describes it.
pub struct Table<'a> {
    /// Its columns.
    pub columns: &'static [Column],
    /// Its rows.
    pub source: Box<dyn Source + 'a>,
    /// Rises when the rows change.
    pub revision: u64,
    /// The list that more rows can be had of, and whether there are more.
    pub want: Option<(Want, bool)>,
    /// What to say when there are no rows, and what to do about it.
    pub empty: String,
}

/// Rows made from values that lie in one place.
pub struct Slice<'a, T, K, R> {
    items: Items<'a, T>,
    key: K,
    row: R,
}

enum Items<'a, T> {
    Borrowed(&'a [T]),
    Owned(Vec<T>),
    Shared(Arc<Vec<T>>),
}

impl<'a, T, K, R> Slice<'a, T, K, R>
where
    K: Fn(&T) -> String + 'a,
    R: Fn(&T) -> Row + 'a,
    T: serde::Serialize,
{
    /// Rows with their identities.
    pub fn boxed(items: &'a [T], key: K, row: R) -> Box<dyn Source + 'a> {
        Box::new(Self { items: Items::Borrowed(items), key, row })
    }

    /// Rows that were gathered for this table.
    pub fn owned(items: Vec<T>, key: K, row: R) -> Box<dyn Source + 'a> {
        Box::new(Self { items: Items::Owned(items), key, row })
    }

    /// Rows that were gathered for several looks at a table.
    pub fn shared(items: Arc<Vec<T>>, key: K, row: R) -> Box<dyn Source + 'a> {
        Box::new(Self { items: Items::Shared(items), key, row })
    }
}

impl<T> Items<'_, T> {
    fn all(&self) -> &[T] {
        match self {
            Items::Borrowed(items) => items,
            Items::Owned(items) => items,
            Items::Shared(items) => items,
        }
    }
}

impl<T, K, R> Source for Slice<'_, T, K, R>
where
    K: Fn(&T) -> String,
    R: Fn(&T) -> Row,
    T: serde::Serialize,
{
    fn count(&self) -> usize {
        self.items.all().len()
    }

    fn key(&self, n: usize) -> String {
        self.items.all().get(n).map(&self.key).unwrap_or_default()
    }

    fn row(&self, n: usize) -> Row {
        self.items.all().get(n).map_or_else(|| Row::new(Vec::new()), &self.row)
    }

    fn json(&self, n: usize) -> Option<String> {
        serde_json::to_string_pretty(self.items.all().get(n)?).ok()
    }
}

/// Rows that lie with their agents.
pub struct Across<'a, T> {
    /// The state they lie in.
    pub state: &'a State,
    /// Which, in their order.
    pub at: Arc<Vec<At>>,
    /// Finds one.
    pub find: fn(&'a State, At) -> Option<&'a T>,
    /// What makes one what it is.
    pub key: fn(AgentIndex, &T) -> String,
    /// Shows one.
    pub row: fn(&State, AgentIndex, &T) -> Row,
}

impl<'a, T> Across<'a, T> {
    fn get(&self, n: usize) -> Option<(AgentIndex, &'a T)> {
        let at = *self.at.get(n)?;
        Some((at.0, (self.find)(self.state, at)?))
    }
}

impl<T: serde::Serialize> Source for Across<'_, T> {
    fn count(&self) -> usize {
        self.at.len()
    }

    fn key(&self, n: usize) -> String {
        self.get(n).map(|(agent, found)| (self.key)(agent, found)).unwrap_or_default()
    }

    fn row(&self, n: usize) -> Row {
        self.get(n)
            .map_or_else(|| Row::new(Vec::new()), |(agent, found)| (self.row)(self.state, agent, found))
    }

    fn json(&self, n: usize) -> Option<String> {
        serde_json::to_string_pretty(self.get(n)?.1).ok()
    }
}

/// The order of a table's rows as the user wants them; nothing when it is the source's own. A filter
/// that cannot be compiled keeps everything: the prompt says what is wrong with it.
///
/// # Errors
/// [`Superseded`] when `superseded` says so meanwhile; it is asked now and then.
pub fn order(
    table: &Table<'_>,
    of: &OrderOf,
    superseded: impl Fn() -> bool,
) -> Result<Option<Vec<u32>>, Superseded> {
    let Filter(text) = &of.filter;
    if text.trim().is_empty() && of.sort.is_none() && !of.faults_only {
        return Ok(None);
    }
    let filter = of.filter.compile(table.columns).ok();
    let wanted = |row: &Row| {
        (!of.faults_only || row.fault) && filter.as_ref().is_none_or(|filter| filter.matches(row))
    };
    let mut kept: Vec<(u32, Option<Cell>)> = Vec::new();
    for n in 0..table.source.count() {
        if n.is_multiple_of(ASK_EVERY) && superseded() {
            return Err(Superseded);
        }
        let mut row = table.source.row(n);
        let by = of.sort.map(|(column, _)| usize::from(column)).filter(|&at| at < row.cells.len());
        if wanted(&row) {
            kept.push((n as u32, by.map(|at| row.cells.swap_remove(at))));
        }
    }
    if let Some((_, descending)) = of.sort {
        kept.sort_by(|(_, a), (_, b)| {
            let order = compare(a.as_ref(), b.as_ref());
            if descending { order.reverse() } else { order }
        });
    }
    Ok(Some(kept.into_iter().map(|(n, _)| n).collect()))
}

/// After so many rows an order's maker looks whether it is still wanted: some tenths of a millisecond.
const ASK_EVERY: usize = 128;

/// An order is not wanted any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Superseded;

/// Figures by their values, text without regard to case, what has neither last.
fn compare(a: Option<&Cell>, b: Option<&Cell>) -> Ordering {
    let (Some(a), Some(b)) = (a, b) else { return b.is_some().cmp(&a.is_some()) };
    match (a.sort, b.sort) {
        (Some(a), Some(b)) => a.total_cmp(&b),
        (Some(_), None) => Ordering::Less,
        (None, Some(_)) => Ordering::Greater,
        (None, None) => a.text.to_lowercase().cmp(&b.text.to_lowercase()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLUMNS: [Column; 2] = [Column::text("NAME"), Column::figure("N")];

    fn table(items: &[(String, f64)]) -> Table<'_> {
        let row = |(name, n): &(String, f64)| {
            Row::new(vec![name.into(), Cell::figure(n.to_string(), *n)]).fault(*n < 0.0)
        };
        Table {
            columns: &COLUMNS,
            source: Slice::boxed(items, |(name, _)| name.clone(), row),
            revision: 1,
            want: None,
            empty: "nothing".to_owned(),
        }
    }

    #[test]
    fn rows_are_shown_as_asked() {
        let items = [("b", 10.0), ("A", 9.0), ("c", -1.0), ("d", f64::NAN)];
        let items = items.map(|(name, n)| (name.to_owned(), n));
        for (filter, sort, faults_only, expected) in [
            ("", None, false, None),
            ("", Some((0, false)), false, Some(vec![1, 0, 2, 3])),
            ("", Some((1, true)), false, Some(vec![3, 0, 1, 2])),
            ("!d", Some((1, false)), false, Some(vec![2, 1, 0])),
            ("", None, true, Some(vec![2])),
            ("name:a|b", None, false, Some(vec![0, 1])),
            // What cannot be compiled filters nothing; no such column sorts nothing.
            ("(", Some((9, false)), false, Some(vec![0, 1, 2, 3])),
        ] {
            let of = OrderOf {
                screen: 1,
                revision: 1,
                rows: 4,
                filter: Filter(filter.to_owned()),
                sort,
                faults_only,
            };
            assert_eq!(order(&table(&items), &of, || false), Ok(expected), "{of:?}");
        }
    }

    #[test]
    fn what_is_not_wanted_any_more_is_given_up() {
        let items: Vec<(String, f64)> = (0..1_000).map(|n| (n.to_string(), 0.0)).collect();
        let of = OrderOf {
            screen: 1,
            revision: 1,
            rows: items.len(),
            filter: Filter("7".to_owned()),
            sort: None,
            faults_only: false,
        };
        let asked = std::cell::Cell::new(0);
        let superseded = || {
            asked.set(asked.get() + 1);
            asked.get() == 3
        };
        assert_eq!(order(&table(&items), &of, superseded), Err(Superseded));
        assert_eq!(asked.get(), 3);
    }
}
