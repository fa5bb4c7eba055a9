//! How two model versions are shown side by side.

use serde::Serialize;
use vigie_protocol::ModelNumber;
use vigie_protocol::model::Proportion;

use crate::compare::{ClassComparison, Comparison, Overlap, Paired};
use crate::out::{Cell, Column, Sheet, Table, Tone, count};

/// Two model versions and how the one does beside the other.
#[derive(Debug, Serialize)]
pub struct Compared {
    /// What is compared.
    pub candidate: ModelNumber,
    /// With what.
    pub base: ModelNumber,
    /// How they do.
    pub comparison: Comparison,
}

/// The comparison with its `classes` worst classes; 0 for all of them.
pub fn sheet(compared: &Compared, classes: usize) -> Sheet {
    let Compared { candidate, base, comparison } = compared;
    let shown = match classes {
        0 => comparison.classes.len(),
        classes => classes.min(comparison.classes.len()),
    };
    let title = match comparison.classes.len() {
        all if shown < all => {
            format!("Recall by class, the {shown} worst of {all} ({candidate} less {base})")
        }
        _ => format!("Recall by class, the worst first ({candidate} less {base})"),
    };
    let sheet = Sheet::new()
        .field("Candidate", candidate.to_string())
        .field("Base", base.to_string())
        .table("Each on its own test split", overall(compared))
        .table(
            format!("On the test images both were judged on: {}", count(comparison.paired.images())),
            paired(compared),
        );
    cautions(compared)
        .iter()
        .fold(sheet, |sheet, caution| sheet.line(caution))
        .table(title, by_class(&comparison.classes[..shown]))
}

fn overall(compared: &Compared) -> Table {
    let mut table = Table::new(
        [
            Column::text("MODEL"),
            Column::text("TEST SPLIT OF"),
            Column::figure("ACCURACY (95 %, n)"),
            Column::figure("LOG LOSS"),
            Column::figure("CALIBRATION ERROR"),
        ],
        "nothing",
    );
    let Comparison { candidate, base, .. } = &compared.comparison;
    for (number, model) in [(compared.candidate, candidate), (compared.base, base)] {
        table.row([
            Cell::from(number.to_string()),
            model.dataset.to_string().into(),
            model.accuracy.to_string().into(),
            format!("{:.3}", model.log_loss).into(),
            format!("{:.3}", model.calibration_error).into(),
        ]);
    }
    table
}

fn paired(compared: &Compared) -> Table {
    let Compared { candidate, base, comparison } = compared;
    let Paired { both, only_candidate, only_base, neither, relabelled: _, p_value } = comparison.paired;
    let mut table = Table::new(
        [Column::text("RIGHT"), Column::figure("IMAGES")],
        "none: nothing can be said image by image",
    );
    let Some(p) = p_value else { return table };
    for (who, images) in [
        ("both".to_owned(), both),
        (format!("only {candidate}"), only_candidate),
        (format!("only {base}"), only_base),
        ("neither".to_owned(), neither),
    ] {
        table.row([Cell::from(who), count(images).into()]);
    }
    table.row([Cell::from("chance of this if they are equally good (McNemar, exact)"), p_value_cell(p)]);
    table
}

fn p_value_cell(p: f64) -> Cell {
    let text = if p < 0.001 { "p < 0.001".to_owned() } else { format!("p = {p:.3}") };
    Cell::toned(text, Tone::Plain)
}

/// What must be known to read the figures rightly.
fn cautions(compared: &Compared) -> Vec<String> {
    let Compared { candidate, base, comparison } = compared;
    let Comparison { candidate: ours, base: theirs, overlap, paired, .. } = comparison;
    let mut cautions = Vec::new();
    match overlap {
        Overlap::Same => {}
        Overlap::Partial => cautions.push(format!(
            "{candidate} was tested on {} images and {base} on {}: but for the ones both were judged on, figures are of different images.",
            count(ours.images),
            count(theirs.images),
        )),
        Overlap::None => cautions.push(format!(
            "The test images of {candidate} and {base} do not overlap: every difference here may be one of the images, not of the models."
        )),
    }
    if paired.relabelled > 0 {
        cautions.push(format!(
            "{} of the shared images had another label when {base} was tested; the label of {candidate} counts for both.",
            count(paired.relabelled)
        ));
    }
    cautions
}

fn by_class(classes: &[ClassComparison]) -> Table {
    let mut table = Table::new(
        [
            Column::flexible("CLASS"),
            Column::figure("DIFFERENCE"),
            Column::figure("CANDIDATE (95 %, n)"),
            Column::figure("BASE (95 %, n)"),
        ],
        "the passports have no report by class",
    );
    for ClassComparison { class, candidate, base, difference } in classes {
        let recall = |recall: &Option<Proportion>| Cell::maybe(recall.as_ref());
        table.row([Cell::from(class.as_str()), points(*difference), recall(candidate), recall(base)]);
    }
    table
}

/// A difference of two shares, in percentage points.
fn points(difference: Option<f64>) -> Cell {
    match difference {
        // Rounded first, so that what is shown as nothing has no sign.
        Some(difference) => match (difference * 1_000.0).round() / 10.0 {
            points if points < 0.0 => Cell::toned(format!("{points:.1} pp"), Tone::Bad),
            points if points > 0.0 => Cell::toned(format!("+{points:.1} pp"), Tone::Good),
            _ => Cell::from("0.0 pp"),
        },
        None => Cell::none(),
    }
}
