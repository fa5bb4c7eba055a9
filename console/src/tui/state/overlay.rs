//! What lies over a screen and has the keys: a prompt, a form, a menu.

use serde::{Deserialize, Serialize};

use super::{AgentIndex, Question};
use crate::tui::effect::Change;
use crate::tui::views::Subject;

/// What has the keys.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum Overlay {
    /// A line to type.
    Prompt(Prompt),
    /// Fields to fill in before something is done.
    Form(Form),
    /// Things to choose from.
    Menu(Menu),
}

/// What was under the user's hand when something was laid over the screen. What is typed or chosen
/// there is meant for that, whatever arrives meanwhile.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Hand {
    /// The number of the screen.
    pub screen: u64,
    /// What the selected row, or else the screen, is about.
    pub subject: Option<Subject>,
    /// What is asked at the labelling desk.
    pub asked: Option<Question>,
}

/// A line of text with a cursor.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Line {
    /// What is typed.
    pub text: String,
    /// The byte before which the cursor stands; always between characters.
    pub cursor: usize,
}

/// The longest line that can be typed or pasted, in bytes.
const LONGEST: usize = 4_096;

impl Line {
    /// A line with the cursor at its end.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        Self { cursor: text.len(), text }
    }

    /// Types text at the cursor; what moves cursors or would not fit is left out.
    pub fn insert(&mut self, text: &str) {
        let clean: String = text.chars().filter(|c| !c.is_control()).collect();
        if self.text.len() + clean.len() <= LONGEST {
            self.text.insert_str(self.cursor, &clean);
            self.cursor += clean.len();
        }
    }

    /// Removes the character before the cursor. Returns whether there was one.
    pub fn backspace(&mut self) -> bool {
        let before = self.before();
        let found = before < self.cursor;
        self.text.drain(before..self.cursor);
        self.cursor = before;
        found
    }

    /// Removes the character under the cursor.
    pub fn delete(&mut self) {
        let after = self.after();
        self.text.drain(self.cursor..after);
    }

    /// Removes the word before the cursor.
    pub fn delete_word(&mut self) {
        let head = self.text[..self.cursor].trim_end();
        let start = head
            .rfind(char::is_whitespace)
            .map_or(0, |at| at + head[at..].chars().next().map_or(0, char::len_utf8));
        self.text.drain(start..self.cursor);
        self.cursor = start;
    }

    /// Moves the cursor a character to the left.
    pub fn left(&mut self) {
        self.cursor = self.before();
    }

    /// Moves the cursor a character to the right.
    pub fn right(&mut self) {
        self.cursor = self.after();
    }

    /// Moves the cursor to the beginning.
    pub fn home(&mut self) {
        self.cursor = 0;
    }

    /// Moves the cursor to the end.
    pub fn end(&mut self) {
        self.cursor = self.text.len();
    }

    fn before(&self) -> usize {
        self.text[..self.cursor].char_indices().next_back().map_or(0, |(at, _)| at)
    }

    fn after(&self) -> usize {
        self.cursor + self.text[self.cursor..].chars().next().map_or(0, char::len_utf8)
    }
}

/// A line that is typed at the bottom of the screen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Prompt {
    /// What the line is for.
    pub kind: PromptKind,
    /// The line.
    pub line: Line,
    /// What would complete it, best first.
    pub candidates: Vec<Candidate>,
    /// Which of them is chosen; none before the user chose.
    pub chosen: Option<usize>,
    /// How far back in the history the line was taken from, and what was typed before.
    pub history: Option<(usize, String)>,
    /// What is wrong with it.
    pub error: Option<String>,
}

/// What a prompt is for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PromptKind {
    /// A command.
    Command,
    /// The filter of the table; `before` is taken back when the user gives up.
    Filter {
        /// The filter before.
        before: String,
    },
    /// The class of what is asked at the labelling desk.
    Class {
        /// Whether it may be a new one.
        founds: bool,
    },
}

/// Something that would complete a line.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Candidate {
    /// The whole line with it.
    pub line: String,
    /// What is shown of it.
    pub shown: String,
    /// What it means.
    pub doc: String,
    /// Why it cannot be had now.
    pub reason: Option<String>,
}

/// Fields to fill in, then something is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Form {
    /// What would be done.
    pub title: String,
    /// What there is to know before.
    pub lines: Vec<String>,
    /// What to fill in.
    pub fields: Vec<Field>,
    /// The field that has the keys.
    pub focus: usize,
    /// Whether it changes what users get, or destroys.
    pub grave: bool,
    /// What is done.
    pub action: FormAction,
    /// What is still wrong.
    pub error: Option<String>,
}

/// A field of a form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Field {
    /// What to type.
    pub label: String,
    /// The only thing that is taken; anything when absent.
    pub exactly: Option<String>,
    /// Whether it may stay empty.
    pub optional: bool,
    /// What is typed.
    pub line: Line,
}

impl Field {
    /// A field that takes one text only: the name of what is to be changed.
    pub fn exactly(label: impl Into<String>, text: impl Into<String>) -> Self {
        Self { label: label.into(), exactly: Some(text.into()), optional: false, line: Line::default() }
    }

    /// A field that takes anything, or nothing if `optional`.
    pub fn free(label: impl Into<String>, optional: bool) -> Self {
        Self { label: label.into(), exactly: None, optional, line: Line::default() }
    }

    /// What is wrong with what is typed.
    pub fn wrong(&self) -> Option<String> {
        let typed = self.line.text.trim();
        match &self.exactly {
            Some(exactly) if typed != exactly => Some(format!("type {exactly} to go on")),
            None if typed.is_empty() && !self.optional => Some(format!("{} is needed", self.label)),
            _ => None,
        }
    }
}

/// What is done once a form is filled in.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum FormAction {
    /// An agent is asked, for each of several rows if they were marked. A field called `reason` becomes
    /// the reason of what has one.
    Send {
        /// Which agent, and what.
        changes: Vec<(AgentIndex, Change)>,
    },
}

/// Things to choose from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Menu {
    /// What they are.
    pub title: String,
    /// The things.
    pub items: Vec<MenuItem>,
    /// The chosen one.
    pub selected: usize,
}

/// A thing to choose.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MenuItem {
    /// What it is called.
    pub label: String,
    /// The key that does the same outside the menu.
    pub keys: String,
    /// Why it cannot be chosen now.
    pub reason: Option<String>,
    /// What is done.
    pub does: MenuAction,
}

/// What choosing does.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub enum MenuAction {
    /// Runs a command line.
    Command(String),
    /// Goes somewhere.
    Go(Box<super::View>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_edited_by_characters() {
        let mut line = Line::new("über 猫 wort");
        line.delete_word();
        assert_eq!(line.text, "über 猫 ");
        line.backspace();
        line.backspace();
        assert_eq!(line.text, "über ");
        line.home();
        line.delete();
        line.insert("Ü\x1b[2J\n");
        assert_eq!((line.text.as_str(), line.cursor), ("Ü[2Jber ", 5));
        line.left();
        line.right();
        line.right();
        line.end();
        line.right();
        line.insert(&"x".repeat(5_000));
        assert_eq!(line.text, "Ü[2Jber ");
        for _ in 0..20 {
            line.backspace();
        }
        assert_eq!(line, Line::default());
    }

    #[test]
    fn names_are_typed_in_full() {
        let mut field = Field::exactly("model", "v7");
        assert!(field.wrong().is_some());
        field.line.insert("v7 ");
        assert_eq!(field.wrong(), None);
        assert!(Field::free("reason", false).wrong().is_some());
        assert_eq!(Field::free("reason", true).wrong(), None);
    }
}
