//! What is on record of the wire, in `tests/golden`: every request, every answer, every variant and
//! the handshake, as both codecs write them. What this build writes must be what is on record, and
//! what is on record must stay readable: by this build, by one that adds fields and variants, and
//! where a field is optional, from one that lacks it.
//!
//! After a change that only adds, `VIGIE_BLESS=1 cargo test --workspace --test golden` puts the new
//! bytes on record. It refuses when what was on record before cannot be read any more.

#![expect(clippy::unwrap_used, reason = "tests")]

#[path = "golden/entry.rs"]
mod entry;

use std::collections::BTreeSet;
use std::sync::Mutex;

use entry::{Entry, Set, folder, read};
use serde_json::{Value, json};
use tarpc::client::RpcError;
use tarpc::client::stub::Stub;
use tarpc::context::Context;
use tarpc::server::Serve;
use tarpc::{Response, ServerError};
use vigie_protocol::access::Principal;
use vigie_protocol::samples::{ForEnum, Sample, SampleAgent, Variants, every_variant};
use vigie_protocol::service::{METHODS, VigieClient, VigieRequest, VigieResponse, call_every};
use vigie_protocol::wire::{ClientHello, Limits, ServerHello, Welcome, WireCodec};
use vigie_protocol::{ApiError, Time};

#[tokio::test]
async fn what_is_written_is_what_is_on_record_and_that_is_still_read() {
    let bless = std::env::var_os("VIGIE_BLESS").is_some();
    let mut problems = Vec::new();
    for set in sets().await {
        still_read(&set, &mut problems);
        for (path, text) in [(set.json_file(), set.json_text()), (set.msgpack_file(), set.msgpack_text())] {
            if bless && problems.is_empty() {
                std::fs::write(path, text).unwrap();
            } else if read(&path) != text {
                problems.push(format!("{} is not what this build writes", path.display()));
            }
        }
    }
    assert!(problems.is_empty(), "{}\nfor a change that only adds: VIGIE_BLESS=1", problems.join("\n"));
}

/// Reads every entry on record with the type that has its name now.
fn still_read(set: &Set, problems: &mut Vec<String>) {
    let recorded = [(WireCodec::Json, set.recorded_json()), (WireCodec::MsgPack, set.recorded_msgpack())];
    for (codec, recorded) in recorded {
        for (name, bytes) in recorded {
            let Some(entry) = set.entries.iter().find(|entry| entry.name == name) else {
                problems.push(format!("{}: {name} is on record and gone", set.name));
                continue;
            };
            match entry.reread(codec, &bytes) {
                Err(error) => problems.push(format!("{}: {name} ({codec}) is not read: {error}", set.name)),
                Ok(again) if again.contains("\"unknown\"") && !entry.json.contains("\"unknown\"") => {
                    problems.push(format!("{}: {name} ({codec}) lost a variant", set.name));
                }
                Ok(_) => {}
            }
        }
    }
}

#[tokio::test]
async fn a_newer_peers_fields_are_ignored() {
    for set in sets().await {
        for entry in &set.entries {
            let mut newer = entry.tree();
            add_fields(&mut newer);
            for codec in WireCodec::ALL {
                let again = entry.reread_tree(codec, &newer);
                let again = again.unwrap_or_else(|error| panic!("{} ({codec}): {error}", entry.name));
                assert_eq!(again, entry.json, "{} ({codec})", entry.name);
            }
        }
    }
}

/// Adds a field to every object that is a struct. An object with one capitalised key is the tag of
/// a method or of a `Result`, one with `ok` or `err` alone that of the agent's half of the handshake;
/// those under the names below are maps from classes.
fn add_fields(tree: &mut Value) {
    match tree {
        Value::Object(fields) => {
            let is_tag =
                |key: &String| key.starts_with(char::is_uppercase) || ["ok", "err"].contains(&key.as_str());
            let tag = fields.len() == 1 && fields.keys().all(is_tag);
            for (name, value) in &mut *fields {
                match value {
                    Value::Object(classes)
                        if ["classes", "result", "left", "metadata", "aliases", "renames"]
                            .contains(&name.as_str()) =>
                    {
                        classes.values_mut().for_each(add_fields);
                    }
                    value => add_fields(value),
                }
            }
            if !tag {
                fields.insert("added_later".to_owned(), json!({"kind": "new", "list": [1, null, "x"]}));
            }
        }
        Value::Array(items) => items.iter_mut().for_each(add_fields),
        _ => {}
    }
}

#[tokio::test]
async fn what_an_older_peer_lacks_is_filled_in() {
    let path = folder().join("optional.txt");
    let recorded: BTreeSet<String> = read(&path).lines().map(str::to_owned).collect();
    let mut optional = BTreeSet::new();
    for set in sets().await {
        for entry in &set.entries {
            let whole = entry.tree();
            for field in fields(&whole, String::new()) {
                let mut older = whole.clone();
                let (parent, name) = field.rsplit_once('/').unwrap();
                older.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
                let read = WireCodec::ALL.map(|codec| entry.reread_tree(codec, &older).is_ok());
                assert_eq!(read[0], read[1], "the codecs differ on {}{field}", entry.name);
                if read[0] {
                    optional.insert(format!("{} {}{field}", set.name, entry.name));
                }
            }
        }
    }
    let lost: Vec<&String> = recorded.difference(&optional).collect();
    assert!(lost.is_empty(), "an older peer may lack these, and now they are required: {lost:#?}");
    if std::env::var_os("VIGIE_BLESS").is_some() {
        let lines: Vec<String> = optional.into_iter().collect();
        std::fs::write(path, lines.join("\n") + "\n").unwrap();
    } else {
        let new: Vec<&String> = optional.difference(&recorded).collect();
        assert!(new.is_empty(), "put these on record with VIGIE_BLESS=1: {new:#?}");
    }
}

/// Pointers to every field, in arrays of the first item only.
fn fields(tree: &Value, at: String) -> Vec<String> {
    match tree {
        Value::Object(map) => map
            .iter()
            .flat_map(|(name, value)| {
                let here = format!("{at}/{name}");
                let mut below = fields(value, here.clone());
                below.push(here);
                below
            })
            .collect(),
        Value::Array(items) => items.first().map(|item| fields(item, format!("{at}/0"))).unwrap_or_default(),
        _ => Vec::new(),
    }
}

#[test]
fn a_newer_peers_variants_are_unknown() {
    struct Newer;
    impl ForEnum for Newer {
        fn with<T: Variants>(&mut self, name: &str, open: bool) {
            // With data or without, whichever this enum uses.
            let tagged = T::variants().iter().any(|value| serde_json::to_value(value).unwrap().is_object());
            let newer = match tagged {
                true => json!({"kind": "from_the_future", "height": 3, "list": [{"a": 1}]}),
                false => json!("from_the_future"),
            };
            for codec in WireCodec::ALL {
                let read = codec.decode::<T>(&codec.encode(&newer).unwrap());
                let read = read.ok().map(|value| format!("{value:?}"));
                assert_eq!(read, open.then(|| "Unknown".to_owned()), "{name} ({codec})");
            }
        }
    }
    every_variant(&mut Newer);
}

/// Everything that is on record.
async fn sets() -> [Set; 5] {
    let recorder = Recorder::default();
    let outcomes = call_every(&VigieClient::from(&recorder)).await;
    assert_eq!(outcomes.len(), METHODS.len());
    let Recorder { requests, answers } = recorder;
    let mut words = Words(Vec::new());
    every_variant(&mut words);
    [
        Set { name: "requests", entries: requests.into_inner().unwrap() },
        Set { name: "answers", entries: answers.into_inner().unwrap() },
        Set { name: "variants", entries: words.0 },
        Set { name: "handshake", entries: handshake() },
        Set { name: "envelopes", entries: envelopes() },
    ]
}

/// Takes down every request, and what the sample agents answer to it.
#[derive(Default)]
struct Recorder {
    requests: Mutex<Vec<Entry>>,
    answers: Mutex<Vec<Entry>>,
}

impl Stub for &Recorder {
    type Req = VigieRequest;
    type Resp = VigieResponse;

    async fn call(&self, context: Context, request: VigieRequest) -> Result<VigieResponse, RpcError> {
        let number = self.requests.lock().unwrap().len();
        let name = METHODS[number].name;
        let request = Entry::new(name, &request);
        for (agent, suffix) in [(SampleAgent::Willing, "ok"), (SampleAgent::Failing, "error")] {
            let again = WireCodec::MsgPack.decode(&request.msgpack).unwrap();
            let answer: VigieResponse = agent.serve().serve(context, again).await.unwrap();
            self.answers.lock().unwrap().push(Entry::new(format!("{name}.{suffix}"), &answer));
        }
        self.requests.lock().unwrap().push(request);
        Err(RpcError::Shutdown)
    }
}

struct Words(Vec<Entry>);

impl ForEnum for Words {
    fn with<T: Variants>(&mut self, name: &str, _: bool) {
        for value in T::variants() {
            let tree = serde_json::to_value(&value).unwrap();
            let word = tree.as_str().or_else(|| tree["kind"].as_str()).unwrap();
            self.0.push(Entry::new(format!("{name}.{word}"), &value));
        }
    }
}

fn handshake() -> Vec<Entry> {
    let welcome = Welcome {
        proto: 1,
        codec: WireCodec::MsgPack,
        agent_id: uuid::Uuid::from_u128(7).into(),
        epoch: 77,
        principal: Principal::sample(),
        methods: vec!["whoami".to_owned(), "predict".to_owned()],
        limits: Limits::default(),
        server_time: Time::from_micros(1_795_219_200_000_000),
        version: "0.1.0".to_owned(),
    };
    vec![
        Entry::new("hello", &ClientHello::new("console 0.1.0")),
        Entry::new("welcome", &welcome),
        Entry::new("refusal", &ApiError::sample()),
        // As they cross the wire.
        Entry::new("answer_welcome", &ServerHello::Ok(welcome)),
        Entry::new("answer_refusal", &ServerHello::Err(ApiError::sample())),
    ]
}

/// What tarpc puts around an answer. What it puts around a request holds a clock: see the tests of
/// the codec.
fn envelopes() -> Vec<Entry> {
    let answer = |message| Response { request_id: 3, message };
    let error = ServerError::new(std::io::ErrorKind::PermissionDenied, "not yours".to_owned());
    vec![
        Entry::new("answer", &answer(Ok(VigieResponse::Whoami(Ok(Principal::sample()))))),
        Entry::new("server_error", &answer(Err(error))),
    ]
}
