//! `vigie keys`: what the terminal's keys do, and whether the configured ones can.

use crate::fake::{Fake, World};

#[tokio::test]
async fn every_command_is_listed_with_its_keys() {
    let fake = Fake::start(World::empty());
    let ran = fake.vigie("keys").await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.starts_with("KEYS "), "{ran:?}");
    let promote = ran.stdout.lines().find(|line| line.starts_with("P ")).expect("a key");
    for word in ["promote", "models", "asks for a name first", "vigie models promote"] {
        assert!(promote.contains(word), "{promote}");
    }
    let moved = fake.file("moved.toml", b"[keys]\npromote = [\"f5\"]\n");
    let ran = fake.vigie(&format!("keys --check --config {moved}")).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    assert!(ran.stdout.lines().any(|line| line.starts_with("f5 ") && line.contains("promote")), "{ran:?}");
}

#[tokio::test]
async fn keys_that_clash_are_told() {
    let fake = Fake::start(World::empty());
    for (keys, said) in [
        ("quit = [\"?\"]", "keys: ? means help and ? means quit\n"),
        ("fly = [\"f\"]", "keys: there is no command \"fly\"; `vigie keys` lists them\n"),
        (
            "quit = [\"hyper-q\"]",
            "keys: quit: \"hyper-q\" is not a key such as q, G, ctrl-l, shift-tab, space or f5\n",
        ),
    ] {
        let config = fake.file("config.toml", format!("[keys]\n{keys}\n").as_bytes());
        let ran = fake.vigie(&format!("keys --check --config {config}")).await;
        assert_eq!((ran.code, ran.stderr), (1, format!("{said}error: 1 mistakes in the configured keys\n")));
        assert!(ran.stdout.starts_with("KEYS "), "what can be obeyed is listed: {keys}");
        assert_eq!(fake.vigie(&format!("keys --config {config}")).await.code, 0, "{keys}");
    }
}
