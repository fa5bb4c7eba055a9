use proptest::prelude::*;

use super::*;

fn list(classes: &[&str], aliases: &[(&str, &str)]) -> ClassList {
    ClassList {
        classes: classes.iter().map(|&class| class.to_owned()).collect(),
        aliases: aliases.iter().map(|&(alias, class)| (alias.to_owned(), class.to_owned())).collect(),
        ..ClassList::default()
    }
}

fn birds() -> ClassList {
    list(
        &["Great Tit", "Snowy Owl", "Steller's Jay", "Häher", "Rødhals", "Straße", "crow", "cow"],
        &[("Parus major", "Great Tit"), ("GT", "Great Tit")],
    )
}

#[test]
fn labels_are_found_as_people_write_them() {
    let list = birds();
    let matcher = Matcher::new(&list);
    use MatchKind::{Alias, Exact, Folded, Missing};
    for (label, kind, class) in [
        ("Great Tit", Exact, "Great Tit"),
        ("Parus major", Alias, "Great Tit"),
        ("PARUS MAJOR", Folded, "Great Tit"),
        ("great_tit", Folded, "Great Tit"),
        ("Great-Tit", Folded, "Great Tit"),
        ("  great   tit ", Folded, "Great Tit"),
        ("Great\u{a0}Tit", Folded, "Great Tit"),
        ("gt", Folded, "Great Tit"),
        ("STELLERS JAY", Folded, "Steller's Jay"),
        ("Steller’s Jay", Folded, "Steller's Jay"),
        ("Ha\u{308}her", Folded, "Häher"),
        ("haher", Folded, "Häher"),
        ("RODHALS", Folded, "Rødhals"),
        ("strasse", Folded, "Straße"),
        ("GreatTit", Missing, ""),
        ("Great Tits", Missing, ""),
        ("", Missing, ""),
    ] {
        assert_eq!(matcher.find(label), (kind, Some(class).filter(|class| !class.is_empty())), "{label:?}");
    }
    // Marks of scripts that write their vowels so are letters.
    assert_ne!(fold("कि"), fold("क"));
    assert_ne!(fold("が"), fold("か"));
}

#[test]
fn only_one_near_class_is_suggested() {
    let list = birds();
    let matcher = Matcher::new(&list);
    for (label, expected) in [
        ("Great Tits", Some(("Great Tit", 1))),
        ("GreatTit", Some(("Great Tit", 1))),
        ("Graet tit", Some(("Great Tit", 1))),
        ("Snowwy Olw", Some(("Snowy Owl", 2))),
        ("parus mayor", Some(("Great Tit", 1))),
        // As near to the crow as to the cow.
        ("crw", None),
        ("cro", Some(("crow", 1))),
        ("cww", Some(("cow", 1))),
        ("crwo", Some(("crow", 1))),
        ("cqw", Some(("cow", 1))),
        ("eagle", None),
        ("x", None),
    ] {
        let found = matcher.suggest(label);
        let found = found.as_ref().map(|near| (near.class.as_str(), near.distance));
        assert_eq!(found, expected, "{label:?}");
    }
    let equals = ["bat", "hat"];
    let twins = self::list(&equals, &[]);
    assert_eq!(Matcher::new(&twins).suggest("cat"), None, "two are equally near");
    let one = self::list(&["bat"], &[("hat", "bat")]);
    assert_eq!(Matcher::new(&one).suggest("cat").map(|near| near.distance), Some(1), "both lead to one");
}

#[test]
fn lists_that_cannot_be_used_say_why() {
    let check = |classes: &[&str], aliases: &[(&str, &str)]| check_list(&list(classes, aliases));
    assert_eq!(check(&[], &[]), Ok(()));
    assert_eq!(check_list(&birds()), Ok(()));
    for (classes, aliases, word) in [
        (&["owl", "OWL"][..], &[][..], "differ only"),
        (&["great tit", "Great_Tit"], &[], "differ only"),
        (&["owl"], &[("strix", "jay")], "no class of the list"),
        (&["owl", "jay"], &[("jay", "owl")], "is a class"),
        (&["owl", "jay"], &[("Jay", "owl")], "could stand for"),
        (&["owl", "jay"], &[("strix", "owl"), ("STRIX", "jay")], "could stand for"),
        (&[" owl"], &[], "blanks"),
        (&[""], &[], "empty"),
        (&["o\u{7}wl"], &[], "control"),
    ] {
        let error = check(classes, aliases).expect_err(word);
        assert!(error.contains(word), "{error}");
    }
    let long = "x".repeat(NAME_BYTES + 1);
    assert!(check(&[&long], &[]).is_err());
}

#[test]
fn an_import_renames_keeps_or_leaves_out() {
    let list = birds();
    let name = |unknown, label: &str| Naming::new(&list, unknown).name(label);
    let named = |class: &str, renamed| Ok(Named { class: class.to_owned(), renamed });
    use UnknownLabels::{Keep, Quarantine};
    assert_eq!(name(Quarantine, "Snowy Owl"), named("Snowy Owl", None));
    assert_eq!(name(Quarantine, "snowy_owl"), named("Snowy Owl", Some(RenameKind::Folded)));
    assert_eq!(name(Quarantine, "GT"), named("Great Tit", Some(RenameKind::Alias)));
    assert_eq!(name(Keep, "eagle"), named("eagle", None));
    assert_eq!(
        name(Quarantine, "Snowy Owls"),
        Err("\"Snowy Owls\" is not in the class list; did you mean \"Snowy Owl\"?".to_owned())
    );
    assert_eq!(name(Quarantine, "eagle"), Err("\"eagle\" is not in the class list".to_owned()));
    let empty = ClassList::default();
    assert_eq!(Naming::new(&empty, Quarantine).name("eagle"), named("eagle", None), "an empty list is none");
}

#[test]
fn an_admission_keeps_the_label_an_image_came_with() {
    for (how, given) in [("imported", None), ("from source@v2", Some("a, named b")), ("imported", Some("É"))]
    {
        assert_eq!(given_label(&admission(how, given)), (how, given));
    }
}

proptest! {
    #[test]
    fn the_bounded_distance_is_the_distance(a in "[abc]{0,9}", b in "[abc]{0,9}", bound in 0usize..6) {
        let expected = strsim::osa_distance(&a, &b);
        let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
        prop_assert_eq!(distance_within(&a, &b, bound), Some(expected).filter(|&found| found <= bound));
    }

    #[test]
    fn folding_is_final(name in "\\PC{0,30}") {
        let folded = fold(&name);
        prop_assert_eq!(fold(&folded), folded.clone());
        prop_assert!(!folded.starts_with(' ') && !folded.ends_with(' ') && !folded.contains("  "));
        prop_assert_eq!(fold(&name.to_uppercase()), fold(&name.to_uppercase().to_lowercase()));
    }

    #[test]
    fn a_class_is_found_however_it_is_folded(words in "[a-zà-ÿ]{1,8}( [a-zà-ÿ]{1,8}){0,2}") {
        let list = list(&[&words], &[]);
        let matcher = Matcher::new(&list);
        for written in [words.to_uppercase(), words.replace(' ', "_"), words.replace(' ', " - ")] {
            prop_assert_eq!(matcher.find(&written).1, Some(words.as_str()), "{}", written);
        }
    }
}
