//! The choices of an import, checked before anything is read.

use vigie_protocol::expression::Expression;
use vigie_protocol::import::{GivenSplit, GroupRule, ImportOptions, METADATA_COLUMNS, TableOptions};

use super::placed::path_rule;

/// Longest name of a file or a column in bytes.
const NAME_BYTES: usize = 4096;

/// Whether an import can be carried out as asked.
///
/// # Errors
/// Why not, for people.
pub fn check_options(options: &ImportOptions) -> Result<(), String> {
    let ImportOptions { given_split, table, group } = options;
    if *given_split == GivenSplit::Unknown || matches!(group, Some(GroupRule::Unknown)) {
        return Err("this agent does not know that way to import; update it".to_owned());
    }
    path_rule(group.as_ref())?;
    let column = match group {
        Some(GroupRule::Column { column }) => Some(column),
        _ => None,
    };
    let Some(TableOptions { file, image, label, split, columns }) = table else {
        return match column {
            Some(_) => Err("a group column needs a table".to_owned()),
            None => Ok(()),
        };
    };
    let expression: Expression = label.parse()?;
    for (what, name) in [("file", file), ("image column", image), ("label column", &expression.column)] {
        if name.trim().is_empty() {
            return Err(format!("the table's {what} is missing"));
        }
    }
    if columns.len() > METADATA_COLUMNS {
        return Err(format!("at most {METADATA_COLUMNS} columns are kept with an image"));
    }
    let names = [Some(file), Some(image), split.as_ref(), column];
    if names.into_iter().flatten().chain(columns).any(|name| name.len() > NAME_BYTES) {
        return Err(format!("names of files and columns have at most {NAME_BYTES} bytes"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_carried_out_is_refused_at_once() {
        let table = TableOptions {
            file: "a.csv".to_owned(),
            image: "image".to_owned(),
            label: "kind".to_owned(),
            ..TableOptions::default()
        };
        let with = |table, group| ImportOptions { table, group, ..ImportOptions::default() };
        let path = |pattern: &str| Some(GroupRule::Path { pattern: pattern.to_owned() });
        let column = Some(GroupRule::Column { column: "patient".to_owned() });
        for fine in [
            ImportOptions::default(),
            with(Some(table.clone()), column.clone()),
            with(None, path(r"(person\d+)_")),
        ] {
            assert_eq!(check_options(&fine), Ok(()), "{fine:?}");
        }
        let wrong = |edit: fn(&mut TableOptions)| {
            let mut table = table.clone();
            edit(&mut table);
            with(Some(table), None)
        };
        for (options, reason) in [
            (with(None, column), "needs a table"),
            (with(None, path("(")), "unreadable"),
            (with(None, path(&"x{1000}".repeat(60))), "unreadable"),
            (with(None, path(&"x".repeat(501))), "at most 500"),
            (with(None, Some(GroupRule::Unknown)), "update it"),
            (ImportOptions { given_split: GivenSplit::Unknown, ..ImportOptions::default() }, "update it"),
            (wrong(|table| table.file.clear()), "file is missing"),
            (wrong(|table| table.image.clear()), "image column is missing"),
            (wrong(|table| table.label = "a | b".to_owned()), "not a step"),
            (wrong(|table| table.columns = vec![String::new(); 17]), "at most 16 columns"),
            (wrong(|table| table.split = Some("x".repeat(5000))), "4096"),
        ] {
            let refused = check_options(&options).expect_err(reason);
            assert!(refused.contains(reason), "{refused}");
        }
    }
}
