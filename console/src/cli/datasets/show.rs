//! How dataset versions are shown.

use std::collections::BTreeMap;

use vigie_protocol::dataset::{ClassSizes, DatasetImage, DatasetVersion, SplitCounts, Spread};

use crate::out::{Cell, Column, Sheet, Style, Table, age, bytes, count, percent, when};

/// Versions, one a row.
pub fn table(versions: &[DatasetVersion], style: &Style) -> Table {
    let mut table = Table::new(
        [
            Column::text("VERSION"),
            Column::figure("CLASSES"),
            Column::figure("IMAGES"),
            Column::figure("SIZE"),
            Column::text("CREATED"),
            Column::flexible("BY"),
        ],
        "no dataset versions yet; `vigie datasets import FILE` makes one",
    );
    for version in versions {
        table.row([
            version.dataset.to_string().into(),
            version.classes.len().to_string().into(),
            count(version.images()).into(),
            bytes(version.bytes).into(),
            age(style.now, version.created).into(),
            version.by.as_str().into(),
        ]);
    }
    table
}

/// A version with its images per class and split.
pub fn sheet(version: &DatasetVersion, style: &Style) -> Sheet {
    let DatasetVersion { dataset, manifest, created, by, change_set, classes, bytes: size, window } = version;
    Sheet::new()
        .field("Version", dataset.to_string())
        .field(
            "Images",
            format!("{} in {} classes, {}", count(version.images()), classes.len(), bytes(*size)),
        )
        .field("Created", format!("{} by {by}", when(style.now, *created)))
        .field("Change-set", change_set.to_string())
        .maybe("Window", window.as_ref())
        .field("Manifest", manifest.to_string())
        .table("Images", classes_table(classes))
}

/// Images per class and split.
pub fn classes_table(classes: &BTreeMap<String, SplitCounts>) -> Table {
    let mut table = Table::new(
        [
            Column::flexible("CLASS"),
            Column::figure("TRAIN"),
            Column::figure("VALID"),
            Column::figure("TEST"),
            Column::figure("TOTAL"),
            Column::figure("SHARE"),
        ],
        "no images",
    );
    let all: u64 = classes.values().map(SplitCounts::total).sum();
    for (class, counts) in classes {
        let SplitCounts { train, valid, test } = *counts;
        let total = counts.total();
        table.row([
            Cell::from(class.as_str()),
            count(train).into(),
            count(valid).into(),
            count(test).into(),
            count(total).into(),
            percent(total as f64 / all.max(1) as f64).into(),
        ]);
    }
    table
}

/// The sizes of each class's images: the median, and from the least to the most where they differ.
pub fn sizes_table(classes: &[ClassSizes]) -> Table {
    let mut table = Table::new(
        [
            Column::flexible("CLASS"),
            Column::figure("IMAGES"),
            Column::figure("WIDTH"),
            Column::figure("HEIGHT"),
            Column::figure("SIZE"),
        ],
        "no images",
    );
    let spread = |of: &Spread, show: fn(u64) -> String| match *of {
        Spread { least, median, most } if least == most => show(median),
        Spread { least, median, most } => format!("{} ({} to {})", show(median), show(least), show(most)),
    };
    for ClassSizes { class, images, width, height, bytes: size } in classes {
        table.row([
            Cell::from(class.as_str()),
            count(*images).into(),
            spread(width, |pixels| pixels.to_string()).into(),
            spread(height, |pixels| pixels.to_string()).into(),
            spread(size, bytes).into(),
        ]);
    }
    table
}

/// Images, one a row.
pub fn images_table(images: &[DatasetImage]) -> Table {
    let mut table = Table::new(
        [
            Column::text("IMAGE"),
            Column::text("CLASS"),
            Column::text("SPLIT"),
            Column::figure("PIXELS"),
            Column::figure("SIZE"),
            Column::flexible("ORIGIN"),
        ],
        "no such images",
    );
    for image in images {
        let DatasetImage { image, label, split, origin, quality, .. } = image;
        table.row([
            image.to_string().into(),
            label.as_str().into(),
            split.to_string().into(),
            format!("{}x{}", quality.width, quality.height).into(),
            bytes(quality.bytes).into(),
            origin.as_str().into(),
        ]);
    }
    table
}
