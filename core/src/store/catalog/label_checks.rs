//! Label checks, and the labels that people said are right.

use serde::{Deserialize, Serialize};
use vigie_protocol::classes::ImageLabel;
use vigie_protocol::label_check::LabelCheck;
use vigie_protocol::page::{Page, PageCursor};
use vigie_protocol::{Hash, JobId, ProjectName, Time};

use super::{Catalog, Key};
use crate::store::Result;

fn in_project(project: &ProjectName) -> Key {
    Key::of("label-check").word(project.as_str())
}

fn key(project: &ProjectName, job: JobId) -> Vec<u8> {
    in_project(project).uuid(job.uuid()).bytes()
}

fn kept_key(project: &ProjectName, image: Hash) -> Vec<u8> {
    Key::of("label-kept").word(project.as_str()).text(&image.to_string())
}

/// A label that somebody said is right.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Kept {
    label: String,
    by: String,
    at: Time,
}

impl Catalog {
    /// Lays a check down, or the same check again.
    ///
    /// # Errors
    /// [`StoreError::NotFound`](crate::store::StoreError::NotFound) without its project.
    pub fn save_label_check(&self, project: &ProjectName, check: &LabelCheck) -> Result<()> {
        self.change(None, |change| {
            change.project(project)?;
            change.put(key(project, check.job), check);
            Ok(())
        })
    }

    /// One check, by its job.
    ///
    /// # Errors
    /// [`StoreError::NotFound`](crate::store::StoreError::NotFound).
    pub fn label_check(&self, project: &ProjectName, job: JobId) -> Result<LabelCheck> {
        self.need(key(project, job), format_args!("label check {job}"))
    }

    /// A project's checks, newest first.
    ///
    /// # Errors
    /// [`StoreError::BadCursor`](crate::store::StoreError::BadCursor).
    pub fn label_checks(
        &self,
        project: &ProjectName,
        cursor: Option<&PageCursor>,
        limit: usize,
    ) -> Result<Page<LabelCheck>> {
        self.page_down(in_project(project), cursor, limit, |_| true)
    }

    /// Remembers that these labels are right.
    ///
    /// # Errors
    /// [`StoreError::NotFound`](crate::store::StoreError::NotFound) without the project.
    pub fn keep_labels(
        &self,
        project: &ProjectName,
        labels: &[ImageLabel],
        by: &str,
        at: Time,
    ) -> Result<()> {
        self.change(None, |change| {
            change.project(project)?;
            for ImageLabel { image, label } in labels {
                let kept = Kept { label: label.clone(), by: by.to_owned(), at };
                change.put(kept_key(project, *image), &kept);
            }
            Ok(())
        })
    }

    /// Whether somebody said that this label of an image is right.
    ///
    /// # Errors
    /// Those of the facts.
    pub fn is_label_kept(&self, project: &ProjectName, image: Hash, label: &str) -> Result<bool> {
        let kept: Option<Kept> = self.row(kept_key(project, image))?;
        Ok(kept.is_some_and(|kept| kept.label == label))
    }
}
