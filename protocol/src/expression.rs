//! How a label is read from a column of a table.
//!
//! A column and what is done to its text, step by step:
//!
//! ```text
//! product_category_tree | strip '["]' | part 1 of '>>'
//! ```
//!
//! takes `["Home Furnishing >> Curtains >> …"]` to `Home Furnishing`. The steps are `trim`, `lower`,
//! `strip 'CHARACTERS'` (off both ends, with spaces) and `part N of 'SEPARATOR'` (from 1; -1 is the
//! last). Texts stand in single or double quotes. Nothing else can be said, so that an expression
//! can neither run for long nor reach anything.

use std::fmt;
use std::str::FromStr;

/// The longest expression in bytes.
pub const EXPRESSION_BYTES: usize = 500;

/// A column, and what is done to its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Expression {
    /// The column's name in the table's first row.
    pub column: String,
    /// What is done, in order.
    pub steps: Vec<Step>,
}

/// One thing done to a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// Spaces go from both ends.
    Trim,
    /// Capitals become small letters.
    Lower,
    /// These characters, and spaces, go from both ends.
    Strip {
        /// Which.
        characters: String,
    },
    /// One of the parts between separators.
    Part {
        /// Which, from 1; counted from the end when negative.
        number: i32,
        /// What stands between parts; not empty.
        separator: String,
    },
}

impl Expression {
    /// What it makes of the column's text; nothing when a part is asked for that is not there.
    pub fn of(&self, text: &str) -> Option<String> {
        let mut text = text.to_owned();
        for step in &self.steps {
            text = step.of(&text)?;
        }
        Some(text)
    }
}

impl Step {
    fn of(&self, text: &str) -> Option<String> {
        Some(match self {
            Step::Trim => text.trim().to_owned(),
            Step::Lower => text.to_lowercase(),
            Step::Strip { characters } => {
                text.trim_matches(|c: char| c.is_whitespace() || characters.contains(c)).to_owned()
            }
            Step::Part { number, separator } => {
                let place = usize::try_from(number.unsigned_abs()).ok()?.checked_sub(1)?;
                let mut parts = text.split(separator.as_str());
                let part = if *number > 0 { parts.nth(place) } else { text.rsplit(separator).nth(place) };
                part?.to_owned()
            }
        })
    }
}

impl FromStr for Expression {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text.len() > EXPRESSION_BYTES {
            return Err(format!("an expression has at most {EXPRESSION_BYTES} bytes"));
        }
        let mut pieces = pieces(text)?.into_iter();
        let column = match pieces.next().as_deref() {
            Some([Word::Quoted(column)]) => column.clone(),
            Some(words) => words.iter().map(Word::text).collect::<Vec<_>>().join(" "),
            None => String::new(),
        };
        if column.is_empty() {
            return Err("an expression begins with the name of a column".to_owned());
        }
        let steps = pieces.map(|words| step(&words)).collect::<Result<_, _>>()?;
        Ok(Self { column, steps })
    }
}

fn step(words: &[Word]) -> Result<Step, String> {
    use Word::{Bare, Quoted};
    let bare = |word: &Word, expected: &str| matches!(word, Bare(text) if text == expected);
    match words {
        [word] if bare(word, "trim") => Ok(Step::Trim),
        [word] if bare(word, "lower") => Ok(Step::Lower),
        [word, Quoted(characters)] if bare(word, "strip") => {
            Ok(Step::Strip { characters: characters.clone() })
        }
        [word, Bare(number), of, Quoted(separator)] if bare(word, "part") && bare(of, "of") => {
            let number: i32 =
                number.parse().map_err(|_| format!("{number:?} is not the number of a part"))?;
            if number == 0 || separator.is_empty() {
                return Err("parts count from 1, or -1 from the end, between separators".to_owned());
            }
            Ok(Step::Part { number, separator: separator.clone() })
        }
        words => {
            let said: Vec<&str> = words.iter().map(Word::text).collect();
            Err(format!(
                "{:?} is not a step; they are trim, lower, strip 'CHARACTERS', part N of 'SEPARATOR'",
                said.join(" ")
            ))
        }
    }
}

/// A word as it was written.
#[derive(Debug)]
enum Word {
    Bare(String),
    Quoted(String),
}

impl Word {
    fn text(&self) -> &str {
        match self {
            Word::Bare(text) | Word::Quoted(text) => text,
        }
    }
}

/// The words between bars.
fn pieces(text: &str) -> Result<Vec<Vec<Word>>, String> {
    let mut pieces = vec![Vec::new()];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let words = pieces.last_mut().ok_or("unreadable")?;
        match first {
            '|' => {
                pieces.push(Vec::new());
                rest = &rest[1..];
            }
            '\'' | '"' => {
                let (quoted, after) =
                    rest[1..].split_once(first).ok_or_else(|| format!("the quote {first} is not closed"))?;
                words.push(Word::Quoted(quoted.to_owned()));
                rest = after;
            }
            _ => {
                let ends = |c: char| c.is_whitespace() || matches!(c, '|' | '\'' | '"');
                let (word, after) = rest.split_at(rest.find(ends).unwrap_or(rest.len()));
                words.push(Word::Bare(word.to_owned()));
                rest = after;
            }
        }
        rest = rest.trim_start();
    }
    Ok(pieces)
}

impl fmt::Display for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let quoted =
            |text: &str| if text.contains('\'') { format!("\"{text}\"") } else { format!("'{text}'") };
        f.write_str(&quoted(&self.column))?;
        for step in &self.steps {
            match step {
                Step::Trim => f.write_str(" | trim")?,
                Step::Lower => f.write_str(" | lower")?,
                Step::Strip { characters } => write!(f, " | strip {}", quoted(characters))?,
                Step::Part { number, separator } => write!(f, " | part {number} of {}", quoted(separator))?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn expressions_read_labels() {
        let tree = r#"["Home Furnishing >> Curtains >> Elegance "]"#;
        for (expression, text, expected) in [
            ("label", " Owl ", Some(" Owl ")),
            ("label | trim | lower", " Owl ", Some("owl")),
            ("tree | strip '[\"]' | part 1 of '>>' | trim", tree, Some("Home Furnishing")),
            ("tree | strip '[\"]' | part -1 of '>>' | trim", tree, Some("Elegance")),
            ("tree | part 2 of \">>\"", tree, Some(" Curtains ")),
            ("tree | part 4 of '>>'", tree, None),
            ("tree | part -4 of '>>'", tree, None),
            ("'a | b' | trim", " x ", Some("x")),
            ("base colour | strip ''", " blue ", Some("blue")),
            ("é | part 2 of 'é'", "aéb", Some("b")),
        ] {
            let parsed: Expression = expression.parse().unwrap_or_else(|e| panic!("{expression}: {e}"));
            assert_eq!(parsed.of(text).as_deref(), expected, "{expression}");
            assert_eq!(parsed.to_string().parse(), Ok(parsed));
        }
    }

    #[test]
    fn what_is_no_expression_is_refused_with_its_reason() {
        let long = "x".repeat(EXPRESSION_BYTES + 1);
        for (expression, reason) in [
            ("", "begins with the name"),
            ("  | trim", "begins with the name"),
            ("a | part 0 of ','", "from 1"),
            ("a | part x of ','", "not the number"),
            ("a | part 99999999999 of ','", "not the number"),
            ("a | part 1 of ''", "between separators"),
            ("a | strip '[", "not closed"),
            ("a | eval 'x'", "is not a step"),
            ("a | ", "is not a step"),
            ("a | 'trim'", "is not a step"),
            (&long, "at most"),
        ] {
            let refused = expression.parse::<Expression>().expect_err(expression);
            assert!(refused.contains(reason), "{expression}: {refused}");
        }
    }
}
