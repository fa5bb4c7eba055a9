//! A CSV file that says what the images are.
//!
//! Nothing in it is trusted: it is bounded, torn rows and odd bytes make no row but theirs useless, and
//! its texts go nowhere but into labels, groups and metadata.

use std::collections::{BTreeMap, HashMap};

use csv::ByteRecord;
use vigie_protocol::dataset::{Quarantined, Split};
use vigie_protocol::expression::Expression;
use vigie_protocol::import::{GroupRule, ImportOptions, METADATA_BYTES, METADATA_COLUMNS, TableOptions};

use super::listing::left_out;
use super::placed::{self, Placed};
use crate::data::DataError;

/// The largest table in bytes.
pub(super) const TABLE_BYTES: u64 = 256 << 20;
/// Columns of a table at most.
const COLUMNS: usize = 1000;
/// Longest text of a table in a message, in characters.
const SHOWN: usize = 100;

/// A table with a row an image.
pub(super) struct Table {
    name: String,
    rows: Vec<Row>,
    /// Rows by what they call their image.
    by_image: HashMap<String, usize>,
}

struct Row {
    line: u64,
    image: String,
    placed: Result<Placed, String>,
    /// The files that it says something about.
    files: Vec<String>,
}

/// Where in a record the columns are.
struct Columns {
    image: usize,
    label: usize,
    split: Option<usize>,
    group: Option<usize>,
    kept: Vec<(String, usize)>,
}

impl Table {
    /// Reads a table; `name` is for messages.
    ///
    /// # Errors
    /// [`DataError::Table`] when it has no such columns, or more rows than `max_rows`.
    pub fn read(bytes: &[u8], name: &str, options: &ImportOptions, max_rows: u64) -> Result<Self, DataError> {
        let wrong = |detail: String| DataError::Table { name: name.to_owned(), detail };
        let Some(choices) = &options.table else { return Err(wrong("it was not asked for".to_owned())) };
        let label: Expression = choices.label.parse().map_err(wrong)?;
        let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
        let mut reader =
            csv::ReaderBuilder::new().flexible(true).delimiter(delimiter(bytes)).from_reader(bytes);
        let header =
            reader.byte_headers().map_err(|error| wrong(format!("it is no table: {error}")))?.clone();
        let group = match &options.group {
            Some(GroupRule::Column { column }) => Some(column.as_str()),
            _ => None,
        };
        let columns = Columns::of(&header, choices, &label, group).map_err(wrong)?;

        let mut table = Self { name: name.to_owned(), rows: Vec::new(), by_image: HashMap::new() };
        let mut record = ByteRecord::new();
        loop {
            match reader.read_byte_record(&mut record) {
                Ok(true) => {}
                Ok(false) => return Ok(table),
                Err(error) => return Err(wrong(format!("it cannot be read to its end: {error}"))),
            }
            if table.rows.len() as u64 >= max_rows {
                return Err(wrong(format!("it has more than {max_rows} rows")));
            }
            let line = record.position().map_or(0, csv::Position::line);
            let image = as_path(&text(&record, columns.image));
            let placed = columns.placed(&record, &label);
            table.add(Row { line, image, placed, files: Vec::new() });
        }
    }

    fn add(&mut self, row: Row) {
        match self.by_image.get(&row.image) {
            None => {
                self.by_image.insert(row.image.clone(), self.rows.len());
                self.rows.push(row);
            }
            // The same said twice is said once; what differs says nothing.
            Some(&first) => {
                let (name, first) = (&self.name, &mut self.rows[first]);
                let same =
                    |a: &Placed, b: &Placed| (&a.label, a.split, &a.group) == (&b.label, b.split, &b.group);
                let agree = matches!((&first.placed, &row.placed), (Ok(a), Ok(b)) if same(a, b));
                if !agree {
                    let reason =
                        format!("{name} contradicts itself in lines {} and {}", first.line, row.line);
                    first.placed = Err(reason);
                }
            }
        }
    }

    /// Notes that a file is there; who has no row is refused later, by [`Table::place`].
    pub fn claim(&mut self, path: &str) {
        if let Some(row) = self.row_of(path) {
            self.rows[row].files.push(path.to_owned());
        }
    }

    /// What the table says of a file, after all were claimed.
    ///
    /// # Errors
    /// The reason to leave it out, for people.
    pub fn place(&self, path: &str) -> Result<Placed, String> {
        let name = &self.name;
        let row = &self.rows[self.row_of(path).ok_or_else(|| format!("{name} has no row for it"))?];
        if let Some(other) = row.files.iter().find(|file| *file != path) {
            return Err(format!("line {} of {name} could as well be about {other}", row.line));
        }
        row.placed.clone()
    }

    /// Rows that are about no file.
    pub fn unclaimed(&self) -> impl Iterator<Item = Quarantined> {
        self.rows.iter().filter(|row| row.files.is_empty()).map(|row| {
            let image = shown(&row.image);
            left_out(format!("{} line {}", self.name, row.line), format!("there is no file {image}"))
        })
    }

    /// The row about a file: by its path, by the ends of its path from the longest on, and by its name
    /// without the ending.
    fn row_of(&self, path: &str) -> Option<usize> {
        let mut end = path;
        loop {
            if let Some(&row) = self.by_image.get(end) {
                return Some(row);
            }
            match end.split_once('/') {
                Some((_, shorter)) => end = shorter,
                None => break,
            }
        }
        let (stem, _) = end.rsplit_once('.')?;
        self.by_image.get(stem).copied()
    }
}

impl Columns {
    fn of(
        header: &ByteRecord,
        choices: &TableOptions,
        label: &Expression,
        group: Option<&str>,
    ) -> Result<Self, String> {
        if header.len() > COLUMNS {
            return Err(format!("it has more than {COLUMNS} columns"));
        }
        let names: Vec<String> = (0..header.len()).map(|column| text(header, column)).collect();
        let find = |wanted: &str| {
            names.iter().position(|name| name == wanted.trim()).ok_or_else(|| {
                let known: Vec<String> = names.iter().take(20).map(|name| shown(name)).collect();
                format!("it has no column {:?}; its columns are {}", wanted, known.join(", "))
            })
        };
        let (image, label) = (find(&choices.image)?, find(&label.column)?);
        let split = choices.split.as_deref().map(find).transpose()?;
        let group = group.map(find).transpose()?;
        let used = [Some(image), Some(label), split, group];
        let kept: Vec<(String, usize)> = if choices.columns.is_empty() {
            let others = (0..names.len()).filter(|&column| !used.contains(&Some(column)));
            others.map(|column| (names[column].clone(), column)).take(METADATA_COLUMNS).collect()
        } else {
            choices
                .columns
                .iter()
                .map(|name| Ok((name.clone(), find(name)?)))
                .collect::<Result<_, String>>()?
        };
        let kept = kept.into_iter().map(|(name, column)| (cut(&name, 64), column)).collect();
        Ok(Self { image, label, split, group, kept })
    }

    fn placed(&self, record: &ByteRecord, label: &Expression) -> Result<Placed, String> {
        let found = text(record, self.label);
        let label =
            label.of(&found).ok_or_else(|| format!("its label {} has no such part", shown(&found)))?;
        let split = match self.split.map(|column| text(record, column)) {
            None => None,
            Some(name) if name.trim().is_empty() => None,
            Some(name) => {
                let split: Option<Split> = placed::split_named(&name);
                Some(split.ok_or_else(|| format!("{} is not a split", shown(&name)))?)
            }
        };
        let group = match self.group {
            Some(column) => placed::group(&text(record, column))?,
            None => None,
        };
        let metadata: BTreeMap<String, String> = self
            .kept
            .iter()
            .map(|(name, column)| (name.clone(), cut(text(record, *column).trim(), METADATA_BYTES)))
            .filter(|(_, text)| !text.is_empty())
            .collect();
        Ok(Placed { label: placed::label(&label)?, split, group, metadata, given: None })
    }
}

/// The field of a record, whatever its bytes; empty when the row is too short.
fn text(record: &ByteRecord, column: usize) -> String {
    String::from_utf8_lossy(record.get(column).unwrap_or_default()).trim().to_owned()
}

/// A path as the listing has it.
fn as_path(text: &str) -> String {
    let parts = text.split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".");
    parts.collect::<Vec<_>>().join("/")
}

fn cut(text: &str, bytes: usize) -> String {
    text[..text.floor_char_boundary(bytes)].to_owned()
}

fn shown(text: &str) -> String {
    format!("{:?}", text.chars().take(SHOWN).collect::<String>())
}

/// What stands between the fields: the one of comma, semicolon and tab that the first line has most.
fn delimiter(bytes: &[u8]) -> u8 {
    let first = bytes.split(|&byte| byte == b'\n').next().unwrap_or_default();
    let count = |wanted: u8| first.iter().filter(|&&byte| byte == wanted).count();
    // Of equals the last wins.
    [b'\t', b';', b','].into_iter().max_by_key(|&wanted| count(wanted)).unwrap_or(b',')
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(label: &str) -> ImportOptions {
        ImportOptions {
            table: Some(TableOptions {
                file: "t.csv".to_owned(),
                image: "image".to_owned(),
                label: label.to_owned(),
                ..TableOptions::default()
            }),
            ..ImportOptions::default()
        }
    }

    fn read(text: &str, options: &ImportOptions) -> Result<Table, String> {
        Table::read(text.as_bytes(), "t.csv", options, 1000).map_err(|error| error.to_string())
    }

    /// What a table says of each path: its label, or the reason against it.
    fn said(table: &mut Table, paths: &[&str]) -> Vec<String> {
        paths.iter().for_each(|path| table.claim(path));
        let one = |path: &&str| table.place(path).map_or_else(|reason| format!("- {reason}"), |p| p.label);
        paths.iter().map(one).collect()
    }

    #[test]
    fn rows_find_their_files() {
        let mut table = read(
            "image,kind\na.jpg,owl\nsub/b.jpg,kite\n.\\sub\\c.jpg,jay\n4,wren\nx.jpg,tit\n\na.jpg,owl\n",
            &options("kind"),
        )
        .expect("table");
        let paths = ["a.jpg", "sub/b.jpg", "deep/sub/c.jpg", "4.png", "5.png", "y/x.jpg", "z/x.jpg"];
        assert_eq!(
            said(&mut table, &paths),
            [
                "owl",
                "kite",
                "jay",
                "wren",
                "- t.csv has no row for it",
                "- line 6 of t.csv could as well be about z/x.jpg",
                "- line 6 of t.csv could as well be about y/x.jpg",
            ]
        );
        assert_eq!(table.unclaimed().count(), 0);
    }

    #[test]
    fn what_a_row_says_is_kept_or_refused() {
        let mut options = options("tree | strip '[\"]' | part 1 of '>>'");
        options.group = Some(GroupRule::Column { column: "product".to_owned() });
        if let Some(table) = &mut options.table {
            table.split = Some("set".to_owned());
        }
        let text = "\u{feff}image;tree;product;set;brand;note\n\
            1.jpg;\"[\"\"Home >> Kitchen\"\"]\";p1;test;Ikea;\n\
            2.jpg;[\"\"];p1;;;\n\
            3.jpg;Home;p2;nowhere;;\n\
            4.jpg;Home;p3;val\n\
            5.jpg;Home;p3;train\n\
            5.jpg;Garden;p3;train\n\
            lost.jpg;Home;p3;train\n";
        let mut table = read(text, &options).expect("table");
        let paths = ["1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg"];
        assert_eq!(
            said(&mut table, &paths),
            [
                "Home",
                "- the class name is empty",
                "- \"nowhere\" is not a split",
                "Home",
                "- t.csv contradicts itself in lines 6 and 7",
            ]
        );
        let first = table.place("1.jpg").expect("placed");
        assert_eq!((first.split, first.group.as_deref()), (Some(Split::Test), Some("p1")));
        assert_eq!(first.metadata, BTreeMap::from([("brand".to_owned(), "Ikea".to_owned())]));
        assert_eq!(table.place("4.jpg").map(|placed| placed.split), Ok(Some(Split::Valid)));
        let unclaimed: Vec<Quarantined> = table.unclaimed().collect();
        assert_eq!(unclaimed[0].origin, "t.csv line 8");
        assert_eq!(unclaimed[0].reason, "there is no file \"lost.jpg\"");
    }

    #[test]
    fn metadata_is_bounded() {
        let header: Vec<String> = (0..40).map(|n| format!("c{n}")).collect();
        let text = format!("image,kind,{}\n1.jpg,owl,{}\n", header.join(","), ["é"; 40].join(","));
        let mut table = read(&text, &options("kind")).expect("table");
        table.claim("1.jpg");
        let kept = table.place("1.jpg").expect("placed").metadata;
        assert_eq!(kept.len(), METADATA_COLUMNS);
        let long = format!("image,kind,c\n1.jpg,owl,{}\n", "é".repeat(1000));
        let mut table = read(&long, &options("kind")).expect("table");
        table.claim("1.jpg");
        assert_eq!(table.place("1.jpg").expect("placed").metadata["c"].len(), METADATA_BYTES);
    }

    #[test]
    fn what_is_no_such_table_is_refused() {
        for (text, reason) in [
            ("", "no column \"image\""),
            ("a,b\n1,2\n", "no column \"image\"; its columns are \"a\", \"b\""),
            ("image,b\n1,2\n", "no column \"kind\""),
            (&format!("image,kind\n{}", "1.jpg,owl\n".repeat(0) + &"x,y\n".repeat(1001)), ""),
            (&format!("image,kind{}\n", ",x".repeat(2000)), "more than 1000 columns"),
        ] {
            match read(text, &options("kind")) {
                // Rows with one image are one row.
                Ok(table) => assert!(reason.is_empty() && table.rows.len() == 1),
                Err(error) => assert!(error.contains(reason) && !reason.is_empty(), "{error}"),
            }
        }
        let many: String = (0..1001).map(|n| format!("{n}.jpg,owl\n")).collect();
        let refused = read(&format!("image,kind\n{many}"), &options("kind")).err();
        assert_eq!(refused.as_deref(), Some("t.csv: it has more than 1000 rows"));
        // Bytes of no encoding are replaced, and quotes that never close take the rest with them.
        for text in [&b"image,kind\n\xe9.jpg,\xffowl\n"[..], b"image,kind\n\"1.jpg,owl\n2.jpg,owl\n"] {
            assert!(Table::read(text, "t.csv", &options("kind"), 1000).is_ok());
        }
    }
}
