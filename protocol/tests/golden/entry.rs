//! One value on record, and the files that hold many of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use vigie_protocol::wire::WireCodec;

/// A value under its name, as both codecs write it.
pub struct Entry {
    pub name: String,
    /// Pretty, for the file.
    pub json: String,
    pub msgpack: Vec<u8>,
    reread: fn(WireCodec, &[u8]) -> io::Result<String>,
}

impl Entry {
    pub fn new<T: Serialize + DeserializeOwned>(name: impl Into<String>, value: &T) -> Self {
        Self {
            name: name.into(),
            json: serde_json::to_string_pretty(value).expect("JSON"),
            msgpack: WireCodec::MsgPack.encode(value).expect("MessagePack"),
            reread: |codec, bytes| {
                let value: T = codec.decode(bytes)?;
                Ok(serde_json::to_string_pretty(&value)?)
            },
        }
    }

    /// What this build makes of bytes of the entry's type, written again as JSON.
    pub fn reread(&self, codec: WireCodec, bytes: &[u8]) -> io::Result<String> {
        (self.reread)(codec, bytes)
    }

    /// What this build makes of a tree of the entry's type, from either codec.
    pub fn reread_tree(&self, codec: WireCodec, tree: &Value) -> io::Result<String> {
        self.reread(codec, &codec.encode(tree)?)
    }

    pub fn tree(&self) -> Value {
        serde_json::from_str(&self.json).expect("JSON")
    }
}

/// The entries of one kind, and their two files.
pub struct Set {
    pub name: &'static str,
    pub entries: Vec<Entry>,
}

impl Set {
    pub fn json_file(&self) -> PathBuf {
        folder().join(format!("{}.json", self.name))
    }

    pub fn msgpack_file(&self) -> PathBuf {
        folder().join(format!("{}.msgpack.txt", self.name))
    }

    /// A JSON object of all entries, in their order.
    pub fn json_text(&self) -> String {
        let entries = self.entries.iter().map(|entry| {
            let name = serde_json::to_string(&entry.name).expect("JSON");
            format!("  {name}: {}", entry.json.replace('\n', "\n  "))
        });
        format!("{{\n{}\n}}\n", entries.collect::<Vec<_>>().join(",\n"))
    }

    /// A line for each entry: its name and its bytes in hex.
    pub fn msgpack_text(&self) -> String {
        let mut text = String::new();
        for entry in &self.entries {
            let hex: String = entry.msgpack.iter().map(|byte| format!("{byte:02x}")).collect();
            writeln!(text, "{} {hex}", entry.name).expect("memory");
        }
        text
    }

    /// What is on record in JSON, by name.
    pub fn recorded_json(&self) -> BTreeMap<String, Vec<u8>> {
        let entries: BTreeMap<String, Value> =
            serde_json::from_str(&read(&self.json_file())).unwrap_or_default();
        entries.into_iter().map(|(name, value)| (name, value.to_string().into_bytes())).collect()
    }

    /// What is on record in MessagePack, by name.
    pub fn recorded_msgpack(&self) -> BTreeMap<String, Vec<u8>> {
        let text = read(&self.msgpack_file());
        let entry = |line: &str| {
            let (name, hex) = line.split_once(' ')?;
            let bytes = (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16).ok());
            Some((name.to_owned(), bytes.collect::<Option<Vec<u8>>>()?))
        };
        text.lines().map(|line| entry(line).unwrap_or_else(|| panic!("not a name and hex: {line}"))).collect()
    }
}

pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// A file's text; empty before there is one.
pub fn read(path: &Path) -> String {
    match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => panic!("{}: {error}", path.display()),
    }
}
