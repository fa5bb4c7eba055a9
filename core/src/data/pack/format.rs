//! The layout of a pack file; all numbers little-endian.
//!
//! | at | what |
//! |---|---|
//! | 0 | `VIGIEPAK` |
//! | 8 | format version, u32 |
//! | 12 | length of the header, u32 |
//! | 16 | BLAKE3 of the header |
//! | 48 | the header, MessagePack ([`Header`]) |
//! | … | the table: [`ROW`] bytes a row; its BLAKE3 is in the header |
//! | next multiple of 4096 | pixels, `crop`² × 3 bytes a row; each row's BLAKE3 is in the table |
//!
//! So the first hash vouches for everything.

use serde::{Deserialize, Serialize};
use vigie_protocol::Hash;
use vigie_protocol::dataset::Split;
use vigie_protocol::preprocess::PreprocessSpec;

use crate::vision::spec;

const MAGIC: &[u8; 8] = b"VIGIEPAK";
/// Raised with every change of the layout.
pub(super) const VERSION: u32 = 1;
const PREAMBLE: usize = 48;
/// Bytes of a row of the table: image hash 32, pixel hash 32, label 4, split 1, zeros 3.
pub(super) const ROW: usize = 72;
/// Pixels begin at a page, so that the kernel reads ahead nothing else.
const ALIGN: usize = 4096;

/// What the rows mean.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Header {
    pub spec: PreprocessSpec,
    pub manifest: Hash,
    pub classes: Vec<String>,
    pub rows: usize,
    /// BLAKE3 of the table.
    pub table: Hash,
    /// Where the table begins. Not stored: it follows the header.
    #[serde(skip)]
    table_at: usize,
}

/// One row of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub image: Hash,
    /// BLAKE3 of its pixels.
    pub pixels: Hash,
    pub label: u32,
    pub split: Split,
}

impl Header {
    /// A header whose table hash is still to come; hashes have one length, so offsets hold.
    pub fn new(spec: PreprocessSpec, manifest: Hash, classes: Vec<String>, rows: usize) -> Self {
        let mut header = Self { spec, manifest, classes, rows, table: Hash::from([0; 32]), table_at: 0 };
        header.table_at = PREAMBLE + header.encode().len();
        header
    }

    fn encode(&self) -> Vec<u8> {
        rmp_serde::to_vec_named(self).expect("plain structs in memory always encode")
    }

    /// The file's beginning up to the pixels; sets the table's hash.
    pub fn preamble(&mut self, table: &[u8]) -> Vec<u8> {
        self.table = Hash::of(table);
        let header = self.encode();
        let length = u32::try_from(header.len()).expect("class names are bounded, so is their sum");
        let mut bytes = Vec::with_capacity(self.pixels_at(0));
        bytes.extend(MAGIC);
        bytes.extend(VERSION.to_le_bytes());
        bytes.extend(length.to_le_bytes());
        bytes.extend(Hash::of(&header).as_bytes());
        bytes.extend(&header);
        bytes.extend(table);
        bytes.resize(self.pixels_at(0), 0);
        bytes
    }

    /// Reads and checks the header of a whole file.
    pub fn read(file: &[u8]) -> Result<Self, String> {
        let (preamble, rest) = file.split_first_chunk::<PREAMBLE>().ok_or("it is too short to be a pack")?;
        if &preamble[..8] != MAGIC {
            return Err("it is not a pack".to_owned());
        }
        let number = |at: usize| u32_at(preamble, at);
        if number(8) != VERSION {
            return Err(format!("it has format {}, this build reads format {VERSION}", number(8)));
        }
        let header = rest.get(..number(12) as usize).ok_or("it is cut short in its header")?;
        if Hash::of(header).as_bytes().as_slice() != &preamble[16..] {
            return Err("its header was altered".to_owned());
        }
        let table_at = PREAMBLE + header.len();
        let header: Self =
            rmp_serde::from_slice(header).map_err(|e| format!("its header is unreadable: {e}"))?;
        let header = Self { table_at, ..header };
        spec::check(&header.spec).map_err(|e| e.to_string())?;
        // Checked sums once; the offsets of rows below cannot overflow after this.
        let whole = header
            .rows
            .checked_mul(ROW)
            .and_then(|table| table_at.checked_add(table)?.checked_next_multiple_of(ALIGN))
            .and_then(|pixels| header.rows.checked_mul(header.row_len())?.checked_add(pixels));
        if whole != Some(file.len()) {
            return Err(format!("it has {} bytes where its header says otherwise", file.len()));
        }
        Ok(header)
    }

    /// Checks the table and returns where the rows of each split end.
    pub fn check_table(&self, file: &[u8]) -> Result<[usize; 3], String> {
        let table = &file[self.table_at..self.table_at + self.rows * ROW];
        if Hash::of(table) != self.table {
            return Err("its table was altered".to_owned());
        }
        let mut ends = [0; 3];
        let mut last = Split::Train;
        for (i, bytes) in table.chunks_exact(ROW).enumerate() {
            let row = Row::read(bytes).ok_or_else(|| format!("row {i} has no split"))?;
            if row.label as usize >= self.classes.len() || row.split < last {
                return Err(format!("row {i} is out of order or of no class"));
            }
            last = row.split;
            ends[row.split as usize] = i + 1;
        }
        // A split without rows ends where the one before it does.
        ends[1] = ends[1].max(ends[0]);
        ends[2] = ends[2].max(ends[1]);
        Ok(ends)
    }

    /// A row of a file whose table was checked.
    pub fn row(&self, file: &[u8], i: usize) -> Row {
        let at = self.table_at + i * ROW;
        Row::read(&file[at..at + ROW]).expect("the table was checked when the pack was opened")
    }

    /// Bytes of pixels a row.
    pub fn row_len(&self) -> usize {
        self.spec.crop as usize * self.spec.crop as usize * 3
    }

    /// Where the pixels of row `i` begin.
    pub fn pixels_at(&self, i: usize) -> usize {
        (self.table_at + self.rows * ROW).next_multiple_of(ALIGN) + i * self.row_len()
    }
}

impl Row {
    /// Appends it to a table.
    pub fn write(&self, table: &mut Vec<u8>) {
        let Self { image, pixels, label, split } = self;
        table.extend(image.as_bytes());
        table.extend(pixels.as_bytes());
        table.extend(label.to_le_bytes());
        table.extend([*split as u8, 0, 0, 0]);
    }

    fn read(bytes: &[u8]) -> Option<Self> {
        let (image, rest) = bytes.split_first_chunk::<32>()?;
        let (pixels, rest) = rest.split_first_chunk::<32>()?;
        let split = Split::ALL.get(usize::from(*rest.get(4)?))?;
        Some(Self { image: (*image).into(), pixels: (*pixels).into(), label: u32_at(rest, 0), split: *split })
    }
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}
