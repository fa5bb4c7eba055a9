//! Which of core's errors are final and which another attempt may not meet.

use std::error::Error;
use std::io;

use vigie_core::data::DataError;
use vigie_core::evaluate::EvaluateError;
use vigie_core::infer::EngineError;
use vigie_core::nets::weights::WeightsError;
use vigie_core::store::StoreError;
use vigie_core::train::TrainError;
use vigie_protocol::job::{FailureCause, JobFailure};

use crate::jobs::with_source;

/// A failure on its way to the agent.
#[derive(Debug)]
pub(super) struct Failure(JobFailure);

impl Failure {
    /// One that another attempt may not meet.
    pub(super) fn error(message: impl Into<String>) -> Self {
        Self::new(FailureCause::Error, message.into())
    }

    fn new(cause: FailureCause, message: String) -> Self {
        Self(JobFailure { cause, message, hint: None })
    }

    fn of(error: &dyn Error, cause: FailureCause) -> Self {
        Self::new(cause, with_source(error))
    }
}

/// Work that cannot be done; trying again would not help.
pub(super) fn refused(message: impl Into<String>) -> Failure {
    Failure::new(FailureCause::Refused, message.into())
}

impl From<Failure> for JobFailure {
    fn from(failure: Failure) -> Self {
        failure.0
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        Self::of(&error, FailureCause::Error)
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        let cause = cause_of_store(&error);
        Self::of(&error, cause)
    }
}

impl From<DataError> for Failure {
    fn from(error: DataError) -> Self {
        let cause = cause_of_data(&error);
        Self::of(&error, cause)
    }
}

impl From<TrainError> for Failure {
    fn from(error: TrainError) -> Self {
        let cause = cause_of_train(&error);
        Self::of(&error, cause)
    }
}

impl From<EvaluateError> for Failure {
    fn from(error: EvaluateError) -> Self {
        let cause = match &error {
            EvaluateError::NoTestImages | EvaluateError::OtherPack(_) | EvaluateError::NotFinite(_) => {
                FailureCause::Refused
            }
            EvaluateError::Cancelled | EvaluateError::Threads(_) | EvaluateError::Io { .. } => {
                FailureCause::Error
            }
            EvaluateError::Data(error) => cause_of_data(error),
            EvaluateError::Engine(error) => cause_of_engine(error),
            EvaluateError::Train(error) => cause_of_train(error),
        };
        Self::of(&error, cause)
    }
}

fn cause_of_store(error: &StoreError) -> FailureCause {
    match error {
        StoreError::NotFound { .. }
        | StoreError::Exists { .. }
        | StoreError::Precondition(_)
        | StoreError::Damaged { .. }
        | StoreError::TooLarge { .. }
        | StoreError::Newer { .. }
        | StoreError::BadCursor => FailureCause::Refused,
        StoreError::Conflict { .. }
        | StoreError::Locked(_)
        | StoreError::Io { .. }
        | StoreError::Database { .. } => FailureCause::Error,
    }
}

fn cause_of_data(error: &DataError) -> FailureCause {
    match error {
        DataError::NoImages { .. }
        | DataError::Options(_)
        | DataError::Table { .. }
        | DataError::Archive { .. }
        | DataError::Manifest { .. }
        | DataError::TooMuch { .. }
        | DataError::Image { .. }
        | DataError::Pack { .. }
        | DataError::Spec(_) => FailureCause::Refused,
        // A cancelled work is not asked for its cause.
        DataError::Cancelled | DataError::Io { .. } => FailureCause::Error,
        DataError::Engine(error) => cause_of_engine(error),
        DataError::Store(error) => cause_of_store(error),
    }
}

fn cause_of_train(error: &TrainError) -> FailureCause {
    match error {
        TrainError::Recipe { .. }
        | TrainError::EmptySplit(_)
        | TrainError::OneClass
        | TrainError::OneGroup
        | TrainError::Preprocess
        | TrainError::Features(_)
        | TrainError::Diverged(_)
        | TrainError::OtherTraining { .. }
        | TrainError::Damaged { .. }
        | TrainError::NoCheckpoint(_) => FailureCause::Refused,
        TrainError::Cancelled | TrainError::Threads(_) | TrainError::Io { .. } => FailureCause::Error,
        TrainError::Data(error) => cause_of_data(error),
        TrainError::Engine(error) => cause_of_engine(error),
        TrainError::Weights(error) => cause_of_weights(error),
    }
}

fn cause_of_engine(error: &EngineError) -> FailureCause {
    match error {
        EngineError::Weights(_)
        | EngineError::Input { .. }
        | EngineError::Preprocess { .. }
        | EngineError::Spec(_)
        // A device that is not there now is not there in ten seconds.
        | EngineError::NoDevice { .. } => FailureCause::Refused,
        EngineError::Compute(_) => FailureCause::Error,
    }
}

fn cause_of_weights(error: &WeightsError) -> FailureCause {
    match error {
        WeightsError::Format(_) | WeightsError::Mismatch { .. } | WeightsError::Architecture(_) => {
            FailureCause::Refused
        }
        WeightsError::Io { .. } => FailureCause::Error,
    }
}
