//! What a life is made of: the same rows, bytes and keys each time they are asked for.

#![expect(clippy::unwrap_used, reason = "tests")]

use uuid::Uuid;
use vigie_protocol::feedback::Said;
use vigie_protocol::job::Job;
use vigie_protocol::prediction::Prediction;
use vigie_protocol::run::Run;
use vigie_protocol::{AliasName, Hash, IdempotencyKey, JobId, ProjectName, RunId, ScheduleName, SourceName};

use super::DAY;
use crate::store::audit::AuditDraft;
use crate::store::catalog::Receipt;
use crate::store::samples::{at, job, name, prediction, run};

pub(super) fn birds() -> ProjectName {
    name("birds")
}

/// The same identity each time it is asked for.
pub(super) fn identity(what: &str, number: u32) -> Uuid {
    let mut bytes = [0; 16];
    bytes.copy_from_slice(&Hash::of(format!("{what} {number}").as_bytes()).as_bytes()[..16]);
    bytes[6] = 0x70 | (bytes[6] & 0x0f);
    bytes[8] = 0x80 | (bytes[8] & 0x3f);
    Uuid::from_bytes(bytes)
}

pub(super) fn key(method: &str, number: u32) -> IdempotencyKey {
    identity(method, number).into()
}

pub(super) fn receipt(method: &'static str, number: u32) -> Receipt {
    let audit = AuditDraft {
        key: Some(key(method, number)),
        at: at(20),
        principal: "ada".to_owned(),
        role: "admin".to_owned(),
        via: "unix".to_owned(),
        method: method.to_owned(),
        target: number.to_string(),
        outcome: "ok".to_owned(),
        reason: None,
    };
    Receipt { key: key(method, number), method, request: None, at: at(20), audit: Some(audit) }
}

/// An image that came with a version of `reference`.
pub(super) fn image(version: u32, n: u32) -> Vec<u8> {
    format!("image {version}.{n} ").repeat(40).into_bytes()
}

/// The images of a version of `reference`.
pub(super) fn images_of(version: u32) -> Vec<Hash> {
    (1..=version).flat_map(|v| (0..3).map(move |n| Hash::of(&image(v, n)))).collect()
}

pub(super) fn predictions_of(number: u32) -> Vec<Prediction> {
    (0..4)
        .map(|n| {
            // Half of them on the next day.
            let seconds = DAY + i64::from(n / 2) * DAY + i64::from(number * 10 + n);
            let picture = format!("picture {number}.{n}").into_bytes();
            Prediction {
                id: identity("prediction", number * 10 + n).into(),
                image: Hash::of(&picture),
                picture_kept: n % 2 == 0,
                ..prediction(seconds * 1_000_000, 1, "owl", 0.5)
            }
        })
        .map(|mut prediction| {
            let stamp = uuid::Timestamp::from_unix(
                uuid::NoContext,
                u64::try_from(prediction.at.as_micros() / 1_000_000).unwrap(),
                0,
            );
            let mut bytes = *Uuid::new_v7(stamp).as_bytes();
            bytes[6..].copy_from_slice(&prediction.id.uuid().as_bytes()[6..]);
            prediction.id = Uuid::from_bytes(bytes).into();
            prediction
        })
        .collect()
}

/// What people say of the predictions of a number: who, of which, what.
pub(super) fn said_of(number: u32) -> [(&'static str, Prediction, Said); 4] {
    let [first, second, third, _]: [Prediction; 4] = predictions_of(number).try_into().unwrap();
    [
        ("ada", first, Said::Correct),
        ("ada", second, Said::WrongUnknown),
        ("ada", third.clone(), Said::Wrong { class: "jay".to_owned() }),
        ("bob", third, Said::WrongUnknown),
    ]
}

/// The image of a proposal to `source` that is taken, or the one that is left.
pub(super) fn offered(version: u32, taken: bool) -> Vec<u8> {
    format!("offered {version} {taken}").into_bytes()
}

/// The images of a version of `source`.
pub(super) fn taken_of(version: u32) -> Vec<Hash> {
    (1..=version).map(|version| Hash::of(&offered(version, true))).collect()
}

pub(super) fn training(number: u32) -> (Job, Run) {
    let id = JobId::from(identity("job", number));
    let job = Job { id, ..job(Some("birds")) };
    (job, Run { id: RunId::from(identity("run", number)), job: id, ..run() })
}

/// The job that brings in what a source has.
pub(super) fn bringing(number: u32) -> Job {
    Job { id: JobId::from(identity("bringing", number)), ..job(Some("birds")) }
}

pub(super) fn feeder(number: u32) -> SourceName {
    format!("feeder-{number}").parse().unwrap()
}

pub(super) fn nightly(number: u32) -> ScheduleName {
    format!("nightly-{number}").parse().unwrap()
}

pub(super) fn production() -> AliasName {
    AliasName::production()
}
