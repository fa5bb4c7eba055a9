//! Commands that tell two things apart, and that whatever can be read can be read by programs.

use serde_json::{Value, json};
use vigie_protocol::dataset::DatasetDifference;
use vigie_protocol::prediction::Prediction;

use crate::fake::{Fake, World};

/// A world with two runs and a model version of each.
async fn two_of_each() -> Fake {
    let fake = Fake::start(World::empty());
    let images = fake.file("images.zip", b"zip");
    for line in [
        &format!("pipeline {images} -p birds --input 96"),
        "runs start reference@v1 --input 96 --seed 7 --no-mirror",
    ] {
        assert_eq!(fake.vigie(line).await.code, 0, "{line}");
    }
    let second = fake.world().runs[1].id;
    assert_eq!(fake.vigie(&format!("models evaluate {second}")).await.stdout, "registered model v2\n");
    fake
}

/// What stands in snapshots for an identity, which is another each time.
fn name(name: &str, width: usize) -> String {
    format!("{name:-<width$}")
}

#[tokio::test]
async fn datasets_are_told_apart() {
    let fake = Fake::start(World::birds());
    let ran = fake.vigie("datasets diff source@v2 reference@v3 -n 0 -o json").await;
    let whole: DatasetDifference = ran.json();
    assert_eq!((whole.images.items.len(), &whole.images.next), (5, &None));
    assert_eq!(whole.classes["owl"].added, 5);
    let some: DatasetDifference = fake.vigie("datasets diff nothing reference@v3 -n 2 -o json").await.json();
    assert_eq!(some.images.items, whole.images.items[..2]);
    assert!(some.images.next.is_some());

    let ran = fake.vigie("datasets diff nothing reference@v3 -n 3 --class wren").await;
    let hash = whole.images.items[0].image.to_string();
    let shown =
        ran.stdout.replace(&hash, &name("hash", hash.len())).lines().take(10).collect::<Vec<_>>().join("\n");
    insta::assert_snapshot!(shown, @r"
    From  nothing
    To    reference@v3

    Changes
    CLASS  ADDED  REMOVED  RELABELLED IN  OUT  MOVED
    owl       +5       -4             +3   -2     ~1

    Images
    IMAGE                                                             CHANGE      FROM        TO          ORIGIN
    hash------------------------------------------------------------  relabelled  jay, train  wren, test  owls/1.jpg
    ");
    assert!(ran.stdout.ends_with("\n… and more; -n 0 lists them all\n"), "{ran:?}");
    for line in
        ["datasets diff nothing", "datasets diff x reference@v1", "datasets diff reference@v1 nothing"]
    {
        assert_eq!(fake.vigie(line).await.code, 2, "{line}");
    }
}

#[tokio::test]
async fn models_are_compared() {
    let fake = two_of_each().await;
    let ran = fake.vigie("models compare v1 v2").await;
    assert_eq!(ran.code, 0, "{ran:?}");
    insta::assert_snapshot!(ran.stdout, @r"
    Candidate  v2
    Base       v1

    Each on its own test split
    MODEL  TEST SPLIT OF        ACCURACY (95 %, n)  LOG LOSS  CALIBRATION ERROR
    v2     reference@v1   90.0 % [70.0–97.0, n=20]     0.300              0.020
    v1     reference@v1   90.0 % [70.0–97.0, n=20]     0.300              0.020

    On the test images both were judged on: 10
    RIGHT                                                        IMAGES
    both                                                              6
    only v2                                                           2
    only v1                                                           1
    neither                                                           1
    chance of this if they are equally good (McNemar, exact)  p = 1.000

    Recall by class, the worst first (v2 less v1)
    CLASS  DIFFERENCE      CANDIDATE (95 %, n)            BASE (95 %, n)
    猫       -20.0 pp  80.0 % [0.0–100.0, n=5]  100.0 % [0.0–100.0, n=5]
    owl      +40.0 pp  80.0 % [0.0–100.0, n=5]   40.0 % [0.0–100.0, n=5]
    ");

    let all: Value = fake.vigie("models compare v1 v2 -n 1 -o json").await.json();
    assert_eq!((&all["candidate"], &all["base"]), (&json!(2), &json!(1)));
    assert_eq!(all["comparison"]["classes"].as_array().map(Vec::len), Some(2));
    assert_eq!(all["comparison"]["overlap"], "same");
    let one = fake.vigie("models compare v1 v2 -n 1").await.stdout;
    assert!(one.contains("Recall by class, the 1 worst of 2 (v2 less v1)"), "{one}");
    assert_eq!(fake.vigie("models compare v1 v9").await.code, 5);
}

#[tokio::test]
async fn models_tested_on_other_images_are_not_called_better() {
    let fake = two_of_each().await;
    fake.world().models[1].dataset.number = 2;
    let shown = fake.vigie("models compare v1 v2").await.stdout;
    for expected in [
        "On the test images both were judged on: 0\nnone: nothing can be said image by image\n",
        "The test images of v2 and v1 do not overlap: every difference here may be one of the images",
    ] {
        assert!(shown.contains(expected), "{expected:?} is not in\n{shown}");
    }
    let json: Value = fake.vigie("models compare v1 v2 -o json").await.json();
    assert_eq!(json["comparison"]["paired"]["p_value"], Value::Null);
}

#[tokio::test]
async fn runs_are_compared() {
    let fake = two_of_each().await;
    let [first, second] = [0, 1].map(|i| fake.world().runs[i].id.to_string());
    let ran = fake.vigie(&format!("runs compare {first} {second}")).await;
    assert_eq!(ran.code, 0, "{ran:?}");
    let shown = ran.stdout.replace(&first, &name("first", 36)).replace(&second, &name("second", 36));
    insta::assert_snapshot!(shown, @r"
    Best epochs
    RUN                                   STATE     DATASET       EPOCHS  BEST  VALID LOSS  VALID ACC
    first-------------------------------  finished  reference@v1       1     1      0.4000     90.0 %
    second------------------------------  finished  reference@v1       1     1      0.4000     90.0 %

    What differs
    RUN                                   mirror  seed
    first-------------------------------  true    1
    second------------------------------  false   7
    ");
    let json: Value = fake.vigie(&format!("runs compare {first} {second} -o json")).await.json();
    assert_eq!(json["differences"][1], json!({"field": "seed", "values": ["1", "7"]}));

    let same = fake.vigie(&format!("runs compare {first} {first}")).await.stdout;
    assert!(same.ends_with("\nThe recipes are the same.\n"), "{same}");
    assert_eq!(fake.vigie(&format!("runs compare {first}")).await.code, 2, "one is nothing to compare");
}

#[tokio::test]
async fn whatever_can_be_read_is_there_as_json() {
    let fake = two_of_each().await;
    fake.world().says("info", "ready");
    let [run, other] = [0, 1].map(|i| fake.world().runs[i].id);
    let job = fake.world().jobs[0].id;
    let predictions: Vec<Prediction> = fake.vigie("predictions list -o json").await.json();
    let prediction = predictions[0].id;
    for line in [
        "agents list",
        "agents health",
        "agents log",
        "projects list",
        "projects show",
        "datasets list",
        "datasets show source@v1",
        "datasets images source@v1",
        "datasets diff source@v1 reference@v1",
        "changesets list",
        "changesets show 01980000-0000-7000-8000-000000000002",
        "jobs list",
        &format!("jobs show {job}"),
        &format!("jobs watch {job}"),
        "jobs leases",
        "runs list",
        &format!("runs show {run}"),
        &format!("runs compare {run} {other}"),
        "models list",
        "models show v1",
        "models compare v1 v2",
        "models gate v1",
        "models history",
        "predictions list",
        &format!("predictions show {prediction}"),
        "predictions counts",
        "events list",
        "whoami",
        "config show",
        "config contexts",
    ] {
        let ran = fake.vigie(&format!("{line} -o json")).await;
        assert_eq!((ran.code, ran.stderr.as_str()), (0, ""), "{line}");
        let json: Value = ran.json();
        assert!(json.is_object() || json.is_array(), "{line}: {json}");
    }
}
