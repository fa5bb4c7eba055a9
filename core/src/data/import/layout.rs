//! Reading classes and splits from paths.

use std::collections::{BTreeMap, BTreeSet};

use vigie_protocol::dataset::Split;

use super::placed::{Placed, label, split_named};

/// How the folders of a source are to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Layout {
    /// Folders around everything, which mean nothing.
    wrapping: usize,
    /// Whether the splits come before the classes.
    splits: bool,
}

impl Layout {
    /// Reads the layout off all image paths.
    ///
    /// One folder around everything is skipped when images lie at least two folders deep. A second
    /// one is skipped only if it uncovers splits: it could as well be the only class. Splits are
    /// folders named train and valid or test, side by side; a class called `test` alone makes none.
    pub fn of<'a>(paths: impl Iterator<Item = &'a str> + Clone) -> Self {
        let at = |wrapping| Self { wrapping, splits: has_splits(paths.clone(), wrapping) };
        let [bare, once, twice] = [0, 1, 2].map(at);
        let wrapped = |depth| is_wrapped(paths.clone(), depth);
        if bare.splits || !wrapped(0) {
            return bare;
        }
        if !once.splits && twice.splits && wrapped(1) { twice } else { once }
    }

    /// The class and split of one path.
    ///
    /// # Errors
    /// The reason to leave it out, for people.
    pub fn place(self, path: &str) -> Result<Placed, String> {
        let mut folders: Vec<&str> = path.split('/').collect();
        folders.pop();
        let mut folders = folders.into_iter().skip(self.wrapping);
        let split = match folders.next() {
            Some(name) if self.splits => match split_named(name) {
                Some(split) => Some(split),
                None => return Err("outside of the train, valid and test folders".to_owned()),
            },
            Some(name) => return Ok(Placed::new(label(name)?, None)),
            None => return Err("not in a folder named after its class".to_owned()),
        };
        match folders.next() {
            Some(name) => Ok(Placed::new(label(name)?, split)),
            None => Err("not in a folder named after its class".to_owned()),
        }
    }
}

/// Whether all paths share the folder at this depth and some go two folders deeper than it.
fn is_wrapped<'a>(paths: impl Iterator<Item = &'a str>, depth: usize) -> bool {
    let (mut shared, mut deep) = (None, false);
    for path in paths {
        let mut folders = path.split('/').skip(depth);
        let (Some(first), Some(second)) = (folders.next(), folders.next()) else { return false };
        let _ = second;
        deep |= folders.next().is_some();
        if *shared.get_or_insert(first) != first {
            return false;
        }
    }
    deep
}

fn has_splits<'a>(paths: impl Iterator<Item = &'a str>, depth: usize) -> bool {
    // Whether each split's folder has classes in it.
    let mut found: BTreeMap<Split, bool> = BTreeMap::new();
    for path in paths {
        let mut folders = path.split('/').skip(depth);
        if let (Some(split), Some(_)) = (folders.next().and_then(split_named), folders.next()) {
            *found.entry(split).or_default() |= folders.next().is_some();
        }
    }
    let with_classes: BTreeSet<Split> =
        found.into_iter().filter_map(|(split, classes)| classes.then_some(split)).collect();
    with_classes.contains(&Split::Train) && with_classes.len() > 1
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Each path with `class`, `split:class` or `-` for left out.
    fn check(cases: &[(&str, &str)]) {
        let layout = Layout::of(cases.iter().map(|case| case.0));
        for (path, expected) in cases {
            let found = match layout.place(path) {
                Ok(Placed { label, split: None, .. }) => label,
                Ok(Placed { label, split: Some(split), .. }) => format!("{split}:{label}"),
                Err(_) => "-".to_owned(),
            };
            assert_eq!(&found, expected, "{path} in {layout:?}");
        }
    }

    #[test]
    fn classes_are_found_in_every_layout() {
        check(&[("owl/1.png", "owl"), ("kite/sub/2.png", "kite")]);
        check(&[("products/owl/1.png", "owl"), ("products/kite/deep/2.png", "kite")]);
        check(&[("owl/1.png", "owl"), ("owl/2.png", "owl")]);
        check(&[("products/owl/1.png", "owl"), ("products/2.png", "-")]);
        check(&[("owl/1.png", "owl"), ("2.png", "-")]);
        check(&[("1.png", "-"), ("2.png", "-")]);
        check(&[("a/b/owl/1.png", "b"), ("a/b/kite/1.png", "b")]);
        check(&[(" owl /1.png", "owl"), ("\u{7}/1.png", "-"), (" /1.png", "-")]);
        check(&[(&format!("{}/1.png", "é".repeat(101)), "-"), ("Éclair/1.png", "Éclair")]);
    }

    #[test]
    fn splits_are_found_beside_each_other_only() {
        check(&[
            ("train/owl/1.png", "train:owl"),
            ("Val/owl/2.png", "valid:owl"),
            ("test/owl/3.png", "test:owl"),
        ]);
        check(&[("x/train/owl/1.png", "train:owl"), ("x/test/kite/2.png", "test:kite")]);
        check(&[("x/x/train/owl/1.png", "train:owl"), ("x/x/test/kite/2.png", "test:kite")]);
        // The chest X-rays come with a copy of themselves.
        check(&[("c/train/a/1.png", "train:a"), ("c/val/a/2.png", "valid:a"), ("c/c/train/a/1.png", "-")]);
        // Unlabelled competition images.
        check(&[("train/a/1.png", "train:a"), ("val/a/2.png", "valid:a"), ("test/3.png", "-")]);
        // Vehicles, with a class that happens to be called train.
        check(&[("train/1.png", "train"), ("bus/2.png", "bus"), ("test/3.png", "test")]);
        check(&[("train/owl/1.png", "owl"), ("train/kite/2.png", "kite")]);
    }
}
