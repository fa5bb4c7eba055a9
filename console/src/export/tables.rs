//! Tables of what is known of dataset versions, for spreadsheets.

use serde::Serialize;
use vigie_protocol::dataset::{ClassChange, DatasetVersion, Split, SplitCounts};
use vigie_protocol::history::{DatasetHistory, DatasetModelMetadata, SplitFigures};
use vigie_protocol::model::Proportion;
use vigie_protocol::run::{Init, Recipe};

use crate::exit::{Exit, Failure};

/// The history of a line: a row a version.
///
/// # Errors
/// None that data can cause.
pub fn history(rows: &[DatasetHistory]) -> Result<Vec<u8>, Failure> {
    const COLUMNS: [&str; 21] = [
        "version",
        "created",
        "by",
        "origin",
        "reason",
        "images",
        "added",
        "removed",
        "relabelled",
        "moved",
        "unchanged",
        "left_out",
        "classes",
        "train",
        "valid",
        "test",
        "bytes",
        "window",
        "class_names",
        "manifest",
        "change_set",
    ];
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.write_record(COLUMNS).map_err(failed)?;
    for DatasetHistory { version, origin, change, unchanged, quarantined, reason } in rows {
        let DatasetVersion { dataset, manifest, created, by, change_set, classes, bytes, window } = version;
        let ClassChange { added, removed, relabelled_in, relabelled_out: _, moved } = change;
        let sum = |split: fn(&SplitCounts) -> u64| classes.values().map(split).sum::<u64>().to_string();
        let names: Vec<&str> = classes.keys().map(String::as_str).collect();
        let record: [String; 21] = [
            dataset.to_string(),
            created.to_string(),
            by.clone(),
            origin.clone(),
            reason.clone().unwrap_or_default(),
            version.images().to_string(),
            added.to_string(),
            removed.to_string(),
            relabelled_in.to_string(),
            moved.to_string(),
            unchanged.to_string(),
            quarantined.to_string(),
            classes.len().to_string(),
            sum(|counts| counts.train),
            sum(|counts| counts.valid),
            sum(|counts| counts.test),
            bytes.to_string(),
            window.map(|window| window.to_string()).unwrap_or_default(),
            names.join("; "),
            manifest.to_string(),
            change_set.to_string(),
        ];
        writer.write_record(&record).map_err(failed)?;
    }
    writer.into_inner().map_err(failed)
}

/// The one row of a dataset version and a model version together.
#[derive(Debug, Serialize)]
struct MetadataRow {
    project: String,
    dataset: String,
    manifest: String,
    dataset_created: String,
    images: u64,
    bytes: u64,
    classes: usize,
    class_names: String,
    train_images: u64,
    train_hash: String,
    valid_images: u64,
    valid_hash: String,
    test_images: u64,
    test_hash: String,
    model: String,
    model_created: String,
    trained_on: String,
    model_classes: String,
    architecture: String,
    run: String,
    epoch: u32,
    init: String,
    input: u32,
    epochs: u32,
    batch: u32,
    learning_rate: f64,
    weight_decay: f64,
    label_smoothing: f64,
    dropout: f64,
    mirror: bool,
    class_weights: &'static str,
    patience: u32,
    seed: u64,
    preprocess: String,
    weights: String,
    passport: String,
    temperature: f64,
    accuracy: f64,
    accuracy_low: f64,
    accuracy_high: f64,
    accuracy_n: u64,
    top3_accuracy: f64,
    balanced_accuracy: f64,
    macro_f1: f64,
    log_loss: f64,
    calibration_error: f64,
    made_by: String,
}

/// The file that the metadata of a pair is called by: `reference@v3_v7_metadata.csv`.
pub fn metadata_name(metadata: &DatasetModelMetadata) -> String {
    format!("{}_{}_metadata.csv", metadata.dataset, metadata.model)
}

/// The metadata of a dataset version and a model version: a header and one row.
///
/// # Errors
/// None that data can cause.
pub fn metadata(metadata: &DatasetModelMetadata) -> Result<Vec<u8>, Failure> {
    let mut writer = csv::Writer::from_writer(Vec::new());
    writer.serialize(row(metadata)).map_err(failed)?;
    writer.into_inner().map_err(failed)
}

fn row(metadata: &DatasetModelMetadata) -> MetadataRow {
    let DatasetModelMetadata {
        project,
        dataset,
        manifest,
        dataset_created,
        dataset_classes,
        bytes,
        splits,
        model,
        trained_on,
        model_classes,
        architecture,
        run,
        epoch,
        recipe,
        preprocess,
        weights,
        passport,
        temperature,
        accuracy: Proportion { value: accuracy, low, high, n },
        top3_accuracy,
        balanced_accuracy,
        macro_f1,
        log_loss,
        calibration_error,
        made_by,
        model_created,
    } = metadata;
    let Recipe {
        architecture: _,
        init,
        input,
        epochs,
        batch,
        learning_rate,
        weight_decay,
        label_smoothing,
        dropout,
        mirror,
        class_weights,
        patience,
        seed,
    } = recipe;
    let split = |wanted: Split| {
        let found = splits.iter().find(|split| split.split == wanted);
        found
            .map_or((0, String::new()), |SplitFigures { images, hash, split: _ }| (*images, hash.to_string()))
    };
    let [(train_images, train_hash), (valid_images, valid_hash), (test_images, test_hash)] =
        Split::ALL.map(split);
    MetadataRow {
        project: project.to_string(),
        dataset: dataset.to_string(),
        manifest: manifest.to_string(),
        dataset_created: dataset_created.to_string(),
        images: train_images + valid_images + test_images,
        bytes: *bytes,
        classes: dataset_classes.len(),
        class_names: dataset_classes.join("; "),
        train_images,
        train_hash,
        valid_images,
        valid_hash,
        test_images,
        test_hash,
        model: model.to_string(),
        model_created: model_created.to_string(),
        trained_on: trained_on.to_string(),
        model_classes: model_classes.join("; "),
        architecture: architecture.to_string(),
        run: run.to_string(),
        epoch: *epoch,
        init: start(init),
        input: *input,
        epochs: *epochs,
        batch: *batch,
        learning_rate: *learning_rate,
        weight_decay: *weight_decay,
        label_smoothing: *label_smoothing,
        dropout: *dropout,
        mirror: *mirror,
        class_weights: class_weights.as_str(),
        patience: *patience,
        seed: *seed,
        preprocess: preprocess.to_string(),
        weights: weights.to_string(),
        passport: passport.to_string(),
        temperature: *temperature,
        accuracy: *accuracy,
        accuracy_low: *low,
        accuracy_high: *high,
        accuracy_n: *n,
        top3_accuracy: top3_accuracy.value,
        balanced_accuracy: *balanced_accuracy,
        macro_f1: *macro_f1,
        log_loss: *log_loss,
        calibration_error: *calibration_error,
        made_by: made_by.clone(),
    }
}

fn start(init: &Init) -> String {
    match init {
        Init::Pretrained { name } => name.clone(),
        Init::Model { number } => number.to_string(),
        Init::Random => "random".to_owned(),
        Init::Unknown => "unknown".to_owned(),
    }
}

fn failed(error: impl std::fmt::Display) -> Failure {
    Failure::new(Exit::Failed, format!("the table cannot be written: {error}"))
}

#[cfg(test)]
mod tests {
    use vigie_protocol::samples::Sample;

    use super::*;

    fn text(csv: Result<Vec<u8>, Failure>) -> String {
        String::from_utf8(csv.expect("written")).expect("text")
    }

    #[test]
    fn a_history_has_a_row_a_version() {
        let mut odd = DatasetHistory::sample();
        odd.origin = "import of \"a,b\".zip\nand more".to_owned();
        odd.reason = None;
        insta::assert_snapshot!(text(history(&[odd])), @r#"
        version,created,by,origin,reason,images,added,removed,relabelled,moved,unchanged,left_out,classes,train,valid,test,bytes,window,class_names,manifest,change_set
        reference@v3,2026-11-21T00:00:00Z,alice,"import of ""a,b"".zip
        and more",,10,5,4,3,1,10,1,1,7,2,1,123456,last 30 days,owl,0101010101010101010101010101010101010101010101010101010101010101,01980000-0000-7000-8000-000000000002
        "#);
        assert_eq!(text(history(&[])).lines().count(), 1, "a header even when there is nothing");
    }

    #[test]
    fn metadata_is_one_row_under_its_header() {
        let sample = DatasetModelMetadata::sample();
        assert_eq!(metadata_name(&sample), "reference@v3_v7_metadata.csv");
        let written = text(metadata(&sample));
        let mut reader = csv::Reader::from_reader(written.as_bytes());
        let header = reader.headers().expect("a header").clone();
        let row = reader.records().next().expect("a row").expect("whole");
        let fields: String =
            header.iter().zip(&row).map(|(name, value)| format!("{name}={value}\n")).collect();
        insta::assert_snapshot!(fields, @r#"
        project=birds
        dataset=reference@v3
        manifest=0101010101010101010101010101010101010101010101010101010101010101
        dataset_created=2026-11-21T00:00:00Z
        images=7
        bytes=123456
        classes=2
        class_names=jay; owl
        train_images=7
        train_hash=0808080808080808080808080808080808080808080808080808080808080808
        valid_images=0
        valid_hash=
        test_images=0
        test_hash=
        model=v7
        model_created=2026-11-21T00:00:05Z
        trained_on=reference@v3
        model_classes=jay; owl
        architecture=efficientnet-b0
        run=01980000-0000-7000-8000-000000000004
        epoch=1
        init=v6
        input=160
        epochs=3
        batch=16
        learning_rate=0.5
        weight_decay=0.25
        label_smoothing=0.125
        dropout=0.25
        mirror=false
        class_weights=balanced
        patience=2
        seed=9
        preprocess=0606060606060606060606060606060606060606060606060606060606060606
        weights=0303030303030303030303030303030303030303030303030303030303030303
        passport=0202020202020202020202020202020202020202020202020202020202020202
        temperature=1.25
        accuracy=0.75
        accuracy_low=0.5
        accuracy_high=0.875
        accuracy_n=12
        top3_accuracy=0.75
        balanced_accuracy=0.75
        macro_f1=0.625
        log_loss=0.5
        calibration_error=0.03125
        made_by=vigie-agent 0.1.0 on cpu
        "#);
    }
}
