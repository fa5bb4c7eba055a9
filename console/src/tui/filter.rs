//! The filter of tables: `owl !crow conf<0.4 state:failed`.
//!
//! Words apart by blanks must all hold. A word is a regular expression looked for in every cell
//! (without regard to case unless it has a capital); `!word` must not be found; `column:word` looks
//! in one column; `column<0.4`, `>`, `<=`, `>=`, `=` compare what the column sorts by. A column may be
//! shortened to its beginning.

use regex::{Regex, RegexBuilder};
use serde::{Deserialize, Serialize};

use super::table::{Column, Row};

/// A filter as it is typed; only what compiles is ever applied.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Filter(pub String);

/// No expression may need more memory than this when compiled: they come from a keyboard, and from
/// whoever pastes into it.
const LARGEST_EXPRESSION: usize = 1 << 20;

impl Filter {
    /// Whether everything is wanted.
    pub fn is_empty(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// Makes it ready to be applied to rows of these columns.
    ///
    /// # Errors
    /// What is wrong with it, for people.
    pub fn compile(&self, columns: &[Column]) -> Result<Compiled, String> {
        self.0.split_whitespace().map(|word| term(word, columns)).collect::<Result<_, _>>().map(Compiled)
    }
}

/// A filter that can be applied.
#[derive(Debug)]
pub struct Compiled(Vec<Term>);

#[derive(Debug)]
struct Term {
    wanted: bool,
    column: Option<usize>,
    test: Test,
}

#[derive(Debug)]
enum Test {
    Looks(Regex),
    Compares(Comparison, f64),
}

#[derive(Clone, Copy, Debug)]
enum Comparison {
    Less,
    AtMost,
    More,
    AtLeast,
    Equal,
}

impl Compiled {
    /// Whether a row is wanted.
    pub fn matches(&self, row: &Row) -> bool {
        self.0.iter().all(|term| term.wanted == term.holds(row))
    }
}

impl Term {
    fn holds(&self, row: &Row) -> bool {
        let mut cells = match self.column {
            Some(column) => row.cells.get(column..=column).unwrap_or_default().iter(),
            None => row.cells.iter(),
        };
        match &self.test {
            Test::Looks(pattern) => cells.any(|cell| pattern.is_match(&cell.text)),
            Test::Compares(comparison, limit) => cells.any(|cell| {
                cell.sort.is_some_and(|value| match comparison {
                    Comparison::Less => value < *limit,
                    Comparison::AtMost => value <= *limit,
                    Comparison::More => value > *limit,
                    Comparison::AtLeast => value >= *limit,
                    Comparison::Equal => value == *limit,
                })
            }),
        }
    }
}

fn term(word: &str, columns: &[Column]) -> Result<Term, String> {
    let (wanted, word) = match word.strip_prefix('!') {
        Some(rest) if !rest.is_empty() => (false, rest),
        _ => (true, word),
    };
    for (sign, comparison) in [
        ("<=", Comparison::AtMost),
        (">=", Comparison::AtLeast),
        ("<", Comparison::Less),
        (">", Comparison::More),
        ("=", Comparison::Equal),
    ] {
        if let Some((name, limit)) = word.split_once(sign)
            && let Ok(limit) = number(limit)
        {
            let column = Some(find(name, columns).ok_or_else(|| unknown(name, columns))?);
            return Ok(Term { wanted, column, test: Test::Compares(comparison, limit) });
        }
    }
    let (column, pattern) = match word.split_once(':') {
        Some((name, pattern)) => match find(name, columns) {
            Some(column) => (Some(column), pattern),
            None => (None, word),
        },
        None => (None, word),
    };
    let expression = RegexBuilder::new(pattern)
        .case_insensitive(!pattern.chars().any(char::is_uppercase))
        .size_limit(LARGEST_EXPRESSION)
        .build()
        .map_err(|_| format!("{pattern:?} is not a regular expression; write \\( for a plain bracket"))?;
    Ok(Term { wanted, column, test: Test::Looks(expression) })
}

/// `0.4`, `40%`, `2k`.
fn number(text: &str) -> Result<f64, std::num::ParseFloatError> {
    for (suffix, per) in [("%", 100.0), ("k", 1e-3), ("M", 1e-6)] {
        if let Some(text) = text.strip_suffix(suffix) {
            return text.parse::<f64>().map(|value| value / per);
        }
    }
    text.parse()
}

/// The column whose name begins so; an exact name wins.
fn find(name: &str, columns: &[Column]) -> Option<usize> {
    if name.is_empty() {
        return None;
    }
    let is = |column: &Column| column.name.eq_ignore_ascii_case(name);
    let begins =
        |column: &Column| column.name.get(..name.len()).is_some_and(|head| head.eq_ignore_ascii_case(name));
    columns.iter().position(is).or_else(|| columns.iter().position(begins))
}

fn unknown(name: &str, columns: &[Column]) -> String {
    let names: Vec<String> = columns.iter().map(|column| column.name.to_lowercase()).collect();
    format!("there is no column {name:?}; there are {}", names.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tui::table::Cell;

    const COLUMNS: [Column; 3] = [Column::text("CLASS"), Column::figure("CONFIDENCE"), Column::text("STATE")];

    fn wanted(filter: &str) -> Vec<&'static str> {
        let rows = [("owl", 0.9, "done"), ("Crow", 0.3, "failed"), ("owlet (x)", 0.41, "failed")];
        let compiled = Filter(filter.to_owned()).compile(&COLUMNS).expect(filter);
        let rows = rows.into_iter().filter(|(class, confidence, state)| {
            let cells = vec![
                Cell::text(*class),
                Cell::figure(format!("{confidence}"), *confidence),
                Cell::text(*state),
            ];
            compiled.matches(&Row::new(cells))
        });
        rows.map(|(class, ..)| class).collect()
    }

    #[test]
    fn words_must_all_hold() {
        for (filter, expected) in [
            ("", vec!["owl", "Crow", "owlet (x)"]),
            ("owl", vec!["owl", "owlet (x)"]),
            ("^owl$", vec!["owl"]),
            ("crow", vec!["Crow"]),
            ("Owl", vec![]),
            ("!owl", vec!["Crow"]),
            ("failed conf<0.4", vec!["Crow"]),
            ("conf>=41%", vec!["owl", "owlet (x)"]),
            ("class:fail", vec![]),
            ("state:fail !class:crow", vec!["owlet (x)"]),
            ("a:b", vec![]),
            ("!", vec![]),
        ] {
            assert_eq!(wanted(filter), expected, "{filter}");
        }
    }

    #[test]
    fn mistakes_are_explained() {
        for (filter, message) in [
            ("(", "\"(\" is not a regular expression; write \\( for a plain bracket"),
            ("size>3", "there is no column \"size\"; there are class, confidence, state"),
            (
                "(a{1000}){1000}",
                "\"(a{1000}){1000}\" is not a regular expression; write \\( for a plain bracket",
            ),
        ] {
            let error = Filter(filter.to_owned()).compile(&COLUMNS).map(|_| ()).expect_err(filter);
            assert_eq!(error, message);
        }
    }
}
