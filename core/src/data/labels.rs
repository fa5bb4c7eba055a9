//! Labels held against a project's class list.
//!
//! A label is looked up as it is, then among the aliases, then folded: without case, accents,
//! apostrophes, and with one blank for whatever separates words. What is found so is the class. What
//! is not may resemble one class more than any other; that is a suggestion for people, and never
//! applied.

use std::collections::HashMap;

use unicode_normalization::UnicodeNormalization;
use vigie_protocol::classes::{ClassList, LabelMatch, MatchKind, RenameKind, Suggestion, UnknownLabels};

/// Longest class name in bytes.
pub const NAME_BYTES: usize = 200;
/// The most names that a class list holds, aliases included.
pub const LIST_NAMES: usize = 20_000;
/// Labels of one import that are held against every name; of more, only the first get a suggestion.
const SUGGESTIONS: usize = 1_000;
/// The farthest that a suggestion may be from the label.
const FARTHEST: usize = 4;

/// A name that a class may have: without blanks around it.
///
/// # Errors
/// What is wrong with it, for people.
pub fn class_name(text: &str) -> Result<String, String> {
    let name = text.trim();
    if name.is_empty() {
        return Err("the class name is empty".to_owned());
    }
    if name.len() > NAME_BYTES {
        return Err(format!("the class name has more than {NAME_BYTES} bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err("the class name holds control characters".to_owned());
    }
    Ok(name.to_owned())
}

/// Whether a class list can be used: names that are names, aliases that lead to a class, and no two
/// classes that only case, accents or separators tell apart.
///
/// # Errors
/// What is wrong with it, for people.
pub fn check_list(list: &ClassList) -> Result<(), String> {
    let ClassList { classes, aliases, generation: _, changed: _, by: _ } = list;
    if classes.len() + aliases.len() > LIST_NAMES {
        return Err(format!("a class list has at most {LIST_NAMES} names and aliases"));
    }
    for name in classes.iter().chain(aliases.keys()) {
        if class_name(name).map_err(|why| format!("{name:?}: {why}"))? != *name {
            return Err(format!("{name:?} has blanks around it"));
        }
    }
    let mut folded: HashMap<String, &str> = HashMap::new();
    for name in classes {
        if let Some(other) = folded.insert(fold(name), name) {
            return Err(format!(
                "{other:?} and {name:?} differ only in case, accents or separators; keep one of them"
            ));
        }
    }
    for (alias, class) in aliases {
        if !classes.contains(class) {
            return Err(format!("the alias {alias:?} stands for {class:?}, which is no class of the list"));
        }
        if classes.contains(alias) {
            return Err(format!("{alias:?} is a class, so it cannot be an alias of {class:?}"));
        }
        if let Some(other) = folded.insert(fold(alias), class)
            && other != class
        {
            return Err(format!("{alias:?} could stand for {other:?} as well as for {class:?}"));
        }
    }
    Ok(())
}

/// Looks labels up in a class list that [`check_list`] found good.
#[derive(Debug)]
pub struct Matcher<'a> {
    list: &'a ClassList,
    folded: HashMap<String, &'a str>,
    /// Folded names, and the class that each leads to.
    names: Vec<(Vec<char>, &'a str)>,
}

impl<'a> Matcher<'a> {
    /// For a list.
    pub fn new(list: &'a ClassList) -> Self {
        let classes = list.classes.iter().map(|class| (fold(class), class.as_str()));
        let aliases = list.aliases.iter().map(|(alias, class)| (fold(alias), class.as_str()));
        let folded: HashMap<String, &str> = classes.chain(aliases).collect();
        let mut names: Vec<_> = folded.iter().map(|(name, &class)| (name.chars().collect(), class)).collect();
        names.sort_unstable();
        Self { list, folded, names }
    }

    /// How a label is found, and as which class.
    pub fn find(&self, label: &str) -> (MatchKind, Option<&'a str>) {
        if let Some(class) = self.list.classes.get(label) {
            (MatchKind::Exact, Some(class))
        } else if let Some(class) = self.list.aliases.get(label) {
            (MatchKind::Alias, Some(class))
        } else if let Some(class) = self.folded.get(&fold(label)) {
            (MatchKind::Folded, Some(class))
        } else {
            (MatchKind::Missing, None)
        }
    }

    /// The one class whose name, or one of whose aliases, is nearest to a label, if that is near: a
    /// letter in four, at most [`FARTHEST`], may be wrong. Two classes that are equally near are no
    /// suggestion.
    pub fn suggest(&self, label: &str) -> Option<Suggestion> {
        let label: Vec<char> = fold(label).chars().collect();
        let mut best: Option<(usize, &str)> = None;
        let mut contested = false;
        for (name, class) in &self.names {
            let allowed = (label.len().max(name.len()).div_ceil(4)).min(FARTHEST);
            let bound = best.map_or(allowed, |(distance, _)| allowed.min(distance));
            let Some(distance) = distance_within(&label, name, bound) else { continue };
            match best {
                Some((nearest, other)) if distance == nearest => contested |= other != *class,
                _ => (best, contested) = (Some((distance, *class)), false),
            }
        }
        let (distance, class) = best.filter(|_| !contested)?;
        Some(Suggestion { class: class.to_owned(), distance: u32::try_from(distance).unwrap_or(u32::MAX) })
    }

    /// All that the list says of a label.
    pub fn tell(&self, label: &str, images: u64) -> LabelMatch {
        let (kind, class) = self.find(label);
        let suggestion = if class.is_none() { self.suggest(label) } else { None };
        LabelMatch { label: label.to_owned(), images, kind, class: class.map(str::to_owned), suggestion }
    }
}

/// The labels of one import, put right.
#[derive(Debug)]
pub struct Naming<'a> {
    /// Nothing when the list is empty: then every label is right.
    matcher: Option<Matcher<'a>>,
    unknown: UnknownLabels,
    seen: HashMap<String, Result<Named, String>>,
    suggestions: usize,
}

/// What a label became.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Named {
    /// The class.
    pub class: String,
    /// Why it is another one than the label; nothing when it is the same.
    pub renamed: Option<RenameKind>,
}

impl<'a> Naming<'a> {
    /// By a class list, with a policy for labels that it lacks.
    pub fn new(list: &'a ClassList, unknown: UnknownLabels) -> Self {
        let matcher = (!list.classes.is_empty()).then(|| Matcher::new(list));
        Self { matcher, unknown, seen: HashMap::new(), suggestions: 0 }
    }

    /// The class of a label.
    ///
    /// # Errors
    /// Why its images are left out, for people.
    pub fn name(&mut self, label: &str) -> Result<Named, String> {
        if let Some(known) = self.seen.get(label) {
            return known.clone();
        }
        let named = self.look_up(label);
        self.seen.insert(label.to_owned(), named.clone());
        named
    }

    fn look_up(&mut self, label: &str) -> Result<Named, String> {
        let same = || Ok(Named { class: label.to_owned(), renamed: None });
        let Some(matcher) = &self.matcher else { return same() };
        let (kind, class) = matcher.find(label);
        let renamed = match kind {
            MatchKind::Alias => RenameKind::Alias,
            MatchKind::Folded => RenameKind::Folded,
            MatchKind::Exact | MatchKind::Missing | MatchKind::Unknown => RenameKind::Unknown,
        };
        match (class, self.unknown) {
            (Some(class), _) if class == label => same(),
            (Some(class), _) => Ok(Named { class: class.to_owned(), renamed: Some(renamed) }),
            (None, UnknownLabels::Keep) => same(),
            (None, UnknownLabels::Quarantine | UnknownLabels::Unknown) => {
                self.suggestions += 1;
                let suggestion = if self.suggestions <= SUGGESTIONS { matcher.suggest(label) } else { None };
                let meant = suggestion.map(|near| format!("; did you mean {:?}?", near.class));
                Err(format!("{label:?} is not in the class list{}", meant.unwrap_or_default()))
            }
        }
    }
}

/// What an image's admission says before the label that it came with.
const NAMED: &str = ", named ";

/// The admission of an image that was admitted `how`, and came under another label if there is one.
pub fn admission(how: &str, given: Option<&str>) -> String {
    match given {
        Some(given) => format!("{how}{NAMED}{given}"),
        None => how.to_owned(),
    }
}

/// How an image was admitted, and the label it came with if its admission keeps one.
pub fn given_label(admission: &str) -> (&str, Option<&str>) {
    match admission.split_once(NAMED) {
        Some((how, given)) => (how, Some(given)),
        None => (admission, None),
    }
}

/// The admission of an image whose label becomes another: it keeps the label that the image came with.
pub fn relabelled_admission(admitted: &str, from: &str, to: &str) -> String {
    let (how, given) = given_label(admitted);
    admission(how, Some(given.unwrap_or(from)).filter(|given| *given != to))
}

/// A name without what people write differently: case, diacritics (by Unicode's compatibility
/// decomposition), apostrophes; every run of blanks, underscores, dashes and dots is one blank.
pub fn fold(name: &str) -> String {
    let mut folded = String::with_capacity(name.len());
    let mut apart = false;
    for c in name.nfkd() {
        if is_diacritic(c) || matches!(c, '\'' | '’' | '‘' | 'ʼ' | '`' | '´') {
            continue;
        }
        if c.is_whitespace() || is_separator(c) {
            apart = !folded.is_empty();
            continue;
        }
        if std::mem::take(&mut apart) {
            folded.push(' ');
        }
        // Up first: the capital of ß is SS, and of a final sigma the same as of others.
        for c in c.to_uppercase().flat_map(char::to_lowercase) {
            match undecomposed(c) {
                Some(letters) => folded.push_str(letters),
                None => folded.push(c),
            }
        }
    }
    folded
}

/// Marks of Latin, Greek and Cyrillic letters. Not those of other scripts, where they are vowels.
fn is_diacritic(c: char) -> bool {
    matches!(c, '\u{300}'..='\u{36f}' | '\u{1ab0}'..='\u{1aff}' | '\u{1dc0}'..='\u{1dff}' | '\u{20d0}'..='\u{20ff}')
}

fn is_separator(c: char) -> bool {
    matches!(c, '_' | '-' | '.' | '\u{2010}'..='\u{2015}' | '\u{2212}')
}

/// Letters with a stroke or joined, which Unicode does not decompose.
fn undecomposed(c: char) -> Option<&'static str> {
    Some(match c {
        'æ' => "ae",
        'œ' => "oe",
        'ø' => "o",
        'đ' | 'ð' => "d",
        'ł' => "l",
        'þ' => "th",
        'ħ' => "h",
        'ı' => "i",
        _ => return None,
    })
}

/// The optimal-string-alignment distance (Damerau–Levenshtein in which no part is edited twice) of two
/// words when it is at most `bound`: insertions, deletions, replacements and swaps of neighbours.
///
/// Only the band of width 2 · `bound` + 1 about the diagonal is looked at (Ukkonen 1985).
fn distance_within(a: &[char], b: &[char], bound: usize) -> Option<usize> {
    if a.len().abs_diff(b.len()) > bound {
        return None;
    }
    let far = bound + 1;
    let mut before = vec![far; b.len() + 1];
    let mut last: Vec<usize> = (0..=b.len()).map(|j| j.min(far)).collect();
    let mut row = vec![far; b.len() + 1];
    for i in 1..=a.len() {
        row.fill(far);
        if i <= bound {
            row[0] = i;
        }
        let (from, to) = (i.saturating_sub(bound).max(1), b.len().min(i + bound));
        for j in from..=to {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut least = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                least = least.min(before[j - 2] + 1);
            }
            row[j] = least.min(far);
        }
        if row[from.saturating_sub(1)..=to].iter().all(|&distance| distance > bound) {
            return None;
        }
        std::mem::swap(&mut before, &mut last);
        std::mem::swap(&mut last, &mut row);
    }
    Some(last[b.len()]).filter(|&distance| distance <= bound)
}

#[cfg(test)]
#[path = "labels/tests.rs"]
mod tests;
