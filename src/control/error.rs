//! Why a command was not carried out, the same on both sides of the socket.

use serde::{Deserialize, Serialize};
use tripline_triggers::workflow::local::FinishError;

use crate::query::QueryError;

/// Why a command was not carried out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
#[serde(tag = "error", content = "message", rename_all = "camelCase")]
pub enum ControlError {
    /// The request makes no sense: it will never be carried out.
    #[error("{0}")]
    Invalid(String),
    /// There is no such thing.
    #[error("{0}")]
    NotFound(String),
    /// Not as things stand now.
    #[error("{0}")]
    Conflict(String),
    /// The caller may not.
    #[error("{0}")]
    Denied(String),
    /// The daemon, its bus, or its data directory cannot be reached.
    #[error("{0}")]
    Unreachable(String),
    /// It was tried, and failed.
    #[error("{0}")]
    Failed(String),
}

impl ControlError {
    /// The HTTP status that says the same.
    pub const fn status(&self) -> u16 {
        match self {
            Self::Invalid(_) => 400,
            Self::Denied(_) => 403,
            Self::NotFound(_) => 404,
            Self::Conflict(_) => 409,
            Self::Failed(_) => 500,
            Self::Unreachable(_) => 503,
        }
    }

    /// What an answer of this HTTP status means, where its body does not say.
    pub fn from_status(status: u16, message: String) -> Self {
        match status {
            401 | 403 => Self::Denied(message),
            404 => Self::NotFound(message),
            409 => Self::Conflict(message),
            400..=499 => Self::Invalid(message),
            502..=504 => Self::Unreachable(message),
            _ => Self::Failed(message),
        }
    }
}

impl From<QueryError> for ControlError {
    fn from(error: QueryError) -> Self {
        use tripline_bus::{ReadError, WriteError};
        let message = error.to_string();
        match error {
            QueryError::Invalid(_) => Self::Invalid(message),
            QueryError::Read { source: ReadError::Unavailable(_), .. }
            | QueryError::State(ReadError::Unavailable(_))
            | QueryError::Write(WriteError::Unavailable(_)) => Self::Unreachable(message),
            QueryError::Read { .. } | QueryError::State(_) | QueryError::Write(_) => {
                Self::Failed(message)
            }
        }
    }
}

impl From<FinishError> for ControlError {
    fn from(error: FinishError) -> Self {
        let message = error.to_string();
        match error {
            FinishError::NotFound { .. } => Self::NotFound(message),
            FinishError::Ended(_) => Self::Conflict(message),
            FinishError::Read(error) => QueryError::from(error).into(),
            FinishError::Write(error) => QueryError::from(error).into(),
        }
    }
}
