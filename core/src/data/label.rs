//! Class names as people and folders give them: bounded, and told apart from spelling mistakes.

/// Longest class name in bytes.
pub const LABEL_BYTES: usize = 200;

/// A class name without blanks around it.
///
/// # Errors
/// Why it cannot be one, for people.
pub fn label(text: &str) -> Result<String, String> {
    let label = text.trim();
    if label.is_empty() {
        return Err("the class name is empty".to_owned());
    }
    if label.len() > LABEL_BYTES {
        return Err(format!("the class name has more than {LABEL_BYTES} bytes"));
    }
    if label.chars().any(char::is_control) {
        return Err("the class name holds control characters".to_owned());
    }
    Ok(label.to_owned())
}

/// The class that a name was probably meant to be: the nearest one, if no more than a third of its
/// letters have to be changed. Case does not count.
pub fn closest<'a>(name: &str, classes: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let folded: Vec<char> = name.to_lowercase().chars().collect();
    let scored = classes.filter_map(|class| {
        let other: Vec<char> = class.to_lowercase().chars().collect();
        let far = distance(&folded, &other);
        (far * 3 <= folded.len().max(other.len())).then_some((far, class))
    });
    scored.min().map(|(_, class)| class)
}

/// Letters to insert, delete, replace or swap with their neighbour to make one text of the other (the
/// optimal string alignment distance, Boytsov 2011, doi:10.1145/1963190.1963191).
fn distance(a: &[char], b: &[char]) -> usize {
    let mut before: Vec<usize> = Vec::new();
    let mut last: Vec<usize> = (0..=b.len()).collect();
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            row[j] = replaced.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                row[j] = row[j].min(before[j - 2] + 1);
            }
        }
        before = std::mem::replace(&mut last, row);
    }
    last[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_bounded() {
        assert_eq!(label(" snowy owl "), Ok("snowy owl".to_owned()));
        for bad in ["", "  ", "a\nb", "\u{1b}[2J", &"é".repeat(101)] {
            assert!(label(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn mistakes_are_told_from_other_names() {
        let classes = ["snowy owl", "barn owl", "jay", "kite"];
        for (name, expected) in [
            ("Snowy Owl", Some("snowy owl")),
            ("sonwy owl", Some("snowy owl")),
            ("barnowl", Some("barn owl")),
            ("kit", Some("kite")),
            ("jya", Some("jay")),
            ("puffin", None),
            ("", None),
        ] {
            assert_eq!(closest(name, classes.into_iter()), expected, "{name}");
        }
    }
}
