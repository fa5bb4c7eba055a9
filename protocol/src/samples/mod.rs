//! One fixed value of everything that crosses the wire, for tests of the wire: golden files, the
//! table of roles. Not part of what ships.
//!
//! Every optional field is filled in, so that its name is on record; and every enum lists all its
//! variants, held complete by the compiler.

mod answers;
mod requests;
mod values;
mod variants;

use crate::page::{Page, PageCursor};
use crate::service::Vigie;
use crate::{ApiError, ErrorCode, Hash, Time};

pub use variants::{ForEnum, Variants, every_variant};

/// A type with a fixed value for tests.
pub trait Sample {
    /// The value: the same in every run of every build.
    fn sample() -> Self;
}

/// An agent that answers every method with the sample of its answer, or with the sample error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SampleAgent {
    /// Answers.
    Willing,
    /// Fails.
    Failing,
}

impl SampleAgent {
    pub(crate) fn answer<T: Sample>(self) -> Result<T, ApiError> {
        match self {
            SampleAgent::Willing => Ok(T::sample()),
            SampleAgent::Failing => Err(ApiError::sample()),
        }
    }

    /// The agent as what answers requests.
    pub fn serve(self) -> crate::service::ServeVigie<Self> {
        Vigie::serve(self)
    }
}

impl<T: Sample> Sample for Vec<T> {
    fn sample() -> Self {
        vec![T::sample()]
    }
}

impl<T: Sample> Sample for Page<T> {
    fn sample() -> Self {
        Page { items: Vec::sample(), next: Some(PageCursor("next".to_owned())) }
    }
}

impl Sample for ApiError {
    fn sample() -> Self {
        ApiError::new(ErrorCode::Conflict, "the alias moved meanwhile")
            .with_hint("look again")
            .retry_after_ms(250)
    }
}

/// The `n`-th identity of its kind.
fn id<T: From<uuid::Uuid>>(n: u128) -> T {
    uuid::Uuid::from_u128(0x0198_0000_0000_7000_8000_0000_0000_0000 + n).into()
}

fn hash(n: u8) -> Hash {
    Hash::from([n; 32])
}

/// `n` seconds into 2026-11-21.
fn at(n: i64) -> Time {
    Time::from_micros(1_795_219_200_000_000 + n * 1_000_000)
}

fn text(text: &str) -> String {
    text.to_owned()
}

fn dataset(text: &str) -> crate::source::KaggleDataset {
    text.parse().expect("a Kaggle dataset")
}

fn name<T: std::str::FromStr<Err = crate::InvalidId>>(text: &str) -> T {
    text.parse().expect("a name that is one")
}
