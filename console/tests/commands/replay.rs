//! `vigie replay`: a session that a console wrote down, on record.
//!
//! `cargo test -p vigie --test pty -- --ignored make_the_fixture` makes it anew. That is due when the
//! form of recordings changes, and with it `VERSION` in `console/src/tui/record.rs`.

use crate::fake::{Fake, World};

const RECORDING: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/session.replay");

#[tokio::test]
async fn a_recording_leads_to_the_same_screen() {
    let fake = Fake::start(World::empty());
    let ran = fake.vigie(&format!("replay {RECORDING} --text")).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (0, ""));
    insta::assert_snapshot!(ran.stdout, @r#"
     vigie [production] overview › models                                                              lab: connected · UTC
    models birds on lab                                                                                                  1/2
       VERSION  ALIASES                  TEST ACCURACY  ARCHITECTURE         CLASSES  DATASET        MADE  BY
    ▶       v2  ● production  75.0 % [50.0–87.5, n=12]  efficientnet-lite0         2  reference@v3   15 h  alice
            v1                75.0 % [50.0–87.5, n=12]  efficientnet-lite0         2  reference@v3   15 h  alice


















    ● production of birds on lab is v2 now (12 ms); R gives it back to v1
    "#);
}

#[tokio::test]
async fn what_is_no_recording_is_refused() {
    let fake = Fake::start(World::empty());
    let whole = std::fs::read(RECORDING).expect("the fixture");
    let torn = fake.file("torn.replay", &whole[..whole.len() / 2]);
    let text = fake.file("text.replay", b"not a recording");
    for (file, said) in [
        (&*torn, "torn.replay is no recording of a console"),
        (&*text, "text.replay is no recording of a console"),
        ("/nowhere/at/all.replay", "cannot read /nowhere/at/all.replay"),
    ] {
        let ran = fake.vigie(&format!("replay {file} --text")).await;
        assert_eq!((ran.code, ran.stdout.as_str()), (1, ""), "{ran:?}");
        assert!(ran.stderr.starts_with("error: ") && ran.stderr.contains(said), "{ran:?}");
    }
}
