//! What a source says of an image.

use std::collections::BTreeMap;

use regex::{Regex, RegexBuilder};
use vigie_protocol::classes::RenameKind;
use vigie_protocol::dataset::Split;
use vigie_protocol::import::GroupRule;

use crate::data::labels::{Named, class_name};

/// Longest name of a group in bytes.
const NAME_BYTES: usize = 200;
/// Longest pattern of a group in bytes.
pub(super) const PATTERN_BYTES: usize = 500;
/// What a compiled pattern may take, so that a hostile one is refused.
const PATTERN_MEMORY: usize = 1 << 20;

/// What a source says of an image, beside its pixels.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Placed {
    pub label: String,
    pub split: Option<Split>,
    pub group: Option<String>,
    pub metadata: BTreeMap<String, String>,
    /// The label that the source says, where the class list has another for it, and why.
    pub given: Option<(String, RenameKind)>,
}

impl Placed {
    pub fn new(label: String, split: Option<Split>) -> Self {
        Self { label, split, ..Self::default() }
    }

    /// The same under the name that the class list has for its label.
    pub fn named(self, named: Named) -> Self {
        let Named { class, renamed } = named;
        Self { given: renamed.map(|why| (self.label, why)), label: class, ..self }
    }
}

/// A class name as it is kept.
///
/// # Errors
/// The reason to leave the image out, for people.
pub(super) fn label(text: &str) -> Result<String, String> {
    class_name(text)
}

/// A group's name as it is kept; nothing for an empty one.
///
/// # Errors
/// As [`label`].
pub(super) fn group(text: &str) -> Result<Option<String>, String> {
    let name = text.trim();
    if name.len() > NAME_BYTES {
        return Err(format!("the group name has more than {NAME_BYTES} bytes"));
    }
    if name.chars().any(char::is_control) {
        return Err("the group name holds control characters".to_owned());
    }
    Ok((!name.is_empty()).then(|| name.to_owned()))
}

/// The split that a folder or a column names.
pub(super) fn split_named(name: &str) -> Option<Split> {
    match name.trim().to_ascii_lowercase().as_str() {
        "train" | "training" => Some(Split::Train),
        "valid" | "val" | "validation" => Some(Split::Valid),
        "test" | "testing" => Some(Split::Test),
        _ => None,
    }
}

/// The rule that reads groups from paths, if there is one.
///
/// # Errors
/// Why a pattern is none, for people.
pub(super) fn path_rule(rule: Option<&GroupRule>) -> Result<Option<Regex>, String> {
    let Some(GroupRule::Path { pattern }) = rule else { return Ok(None) };
    if pattern.len() > PATTERN_BYTES {
        return Err(format!("the pattern of a group has at most {PATTERN_BYTES} bytes"));
    }
    let built = RegexBuilder::new(pattern).size_limit(PATTERN_MEMORY).dfa_size_limit(PATTERN_MEMORY).build();
    built.map(Some).map_err(|error| format!("the pattern of the group is unreadable: {error}"))
}

/// The group that a path names: the pattern's first group, else the whole match.
pub(super) fn group_in<'p>(rule: &Regex, path: &'p str) -> Option<&'p str> {
    let found = rule.captures(path)?;
    found.get(1).or_else(|| found.get(0)).map(|found| found.as_str())
}
