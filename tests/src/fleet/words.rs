//! The words of the simulation: classes, people, and texts that a terminal must survive.

use super::dice::{mix, pick};

/// Who does things in the fleet.
pub(super) const PEOPLE: [&str; 5] = ["alice", "bob", "schedule", "józefina", "uid:1007"];

/// Text that does to a terminal what nobody asked for: moves its cursor, recolours it, rings, sets its
/// title, reverses the reading direction, takes more cells than characters or none at all.
pub(super) const HOSTILE: [&str; 8] = [
    "\u{1b}[2J\u{1b}[31mcleared your screen\u{1b}[0m",
    "bell\u{7}, tab\there, return\rback, new\nline",
    "\u{1b}]0;a new title\u{7}\u{9b}31mC1",
    "\u{202e}gpj.eltit eht morf\u{202c} right to left",
    "猫と犬と鳥の写真コレクション",
    "family 👨‍👩‍👧‍👦 flag 🏴‍☠️ heart ❤️",
    "z̷̢͕̲a̶͓͗l̵̡͝g̶̙̈́o̸͖͊ combining",
    "zero\u{200b}width\u{feff} and \u{ad}soft",
];

/// A text that is longer than any screen is wide.
pub(super) fn endless() -> String {
    "a name that goes on and on, ".repeat(40)
}

/// One of the hostile texts, the endless one among them.
pub(super) fn hostile(bits: u64) -> String {
    if bits.is_multiple_of(9) { endless() } else { (*pick(bits, &HOSTILE)).to_owned() }
}

/// `count` class names, sorted, each once. Small sets hold the awkward ones.
pub(super) fn classes(count: usize, seed: u64) -> Vec<String> {
    const EPITHETS: [&str; 25] = [
        "Common",
        "Lesser",
        "Greater",
        "Red-backed",
        "Blue-throated",
        "Golden",
        "Spotted",
        "Crested",
        "Hooded",
        "Masked",
        "Northern",
        "Southern",
        "Himalayan",
        "Andean",
        "Pygmy",
        "Giant",
        "White-eyed",
        "Black-capped",
        "Ruddy",
        "Snowy",
        "Striped",
        "Azure",
        "Rufous",
        "Scarlet",
        "Ashy",
    ];
    const KINDS: [&str; 21] = [
        "Owl",
        "Jay",
        "Kingfisher",
        "Warbler",
        "Bunting",
        "Kite",
        "Heron",
        "Tanager",
        "Finch",
        "Thrush",
        "Barbet",
        "Hornbill",
        "Plover",
        "Tern",
        "Grebe",
        "Shrike",
        "Wren",
        "Trogon",
        "Bee-eater",
        "Sunbird",
        "Woodpecker",
    ];
    const AWKWARD: [&str; 5] = [
        "猫 (cat)",
        "\u{202e}desrever\u{202c}",
        "red\u{1b}[31m alert",
        "nested/label, with: punctuation; and \"quotes\"",
        "a class whose name is rather longer than any column that a list of classes is likely to give it, \
         and then some more of it to be sure",
    ];
    let mut names: Vec<String> = if count < 20 {
        AWKWARD.iter().take(count.saturating_sub(1)).map(|&name| name.to_owned()).collect()
    } else {
        AWKWARD.iter().take(2).map(|&name| name.to_owned()).collect()
    };
    let start = (mix(seed, 0) % 525) as usize;
    for n in names.len()..count {
        let place = (start + n) % (EPITHETS.len() * KINDS.len());
        let name = format!("{} {}", EPITHETS[place % EPITHETS.len()], KINDS[place / EPITHETS.len()]);
        let round = n / (EPITHETS.len() * KINDS.len());
        names.push(if round == 0 { name } else { format!("{name} {}", round + 1) });
    }
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_class_has_a_name_of_its_own() {
        for count in [2, 6, 19, 20, 525, 1_000] {
            let names = classes(count, 7);
            assert!(names.is_sorted());
            assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), count);
        }
        assert!(classes(6, 7).iter().any(|name| name.chars().any(char::is_control)));
    }
}
