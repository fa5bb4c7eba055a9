//! Manifests as JSON lines and as CSV.

use vigie_protocol::exchange::{ManifestFormat, ManifestRow};

use crate::exit::{Exit, Failure};

/// The content of a manifest's file.
///
/// # Errors
/// When this build does not know the form.
pub fn encode(rows: &[ManifestRow], format: ManifestFormat) -> Result<Vec<u8>, Failure> {
    let failed = |error: &dyn std::fmt::Display| {
        Failure::new(Exit::Failed, format!("the manifest cannot be written: {error}"))
    };
    match format {
        ManifestFormat::Jsonl => {
            let mut text = Vec::new();
            for row in rows {
                serde_json::to_writer(&mut text, row).map_err(|error| failed(&error))?;
                text.push(b'\n');
            }
            Ok(text)
        }
        ManifestFormat::Csv => {
            let mut writer = csv::Writer::from_writer(Vec::new());
            for row in rows {
                writer.serialize(row).map_err(|error| failed(&error))?;
            }
            writer.into_inner().map_err(|error| failed(&error))
        }
        ManifestFormat::Unknown => Err(failed(&"its form is unknown")),
    }
}
