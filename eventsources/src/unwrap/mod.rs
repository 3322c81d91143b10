//! `unwrap`: what is inside of a message. Tripline's own.
//!
//! | value | what comes in | what an event is |
//! | --- | --- | --- |
//! | `sns` | the envelope that SNS puts around a message | the message |
//! | `s3` | a notification of S3, from SQS, SNS, SNS through SQS, or EventBridge | one record: one object |
//! | `gcs` | a notification of Google Cloud Storage, from Pub/Sub | it: one object |

#[cfg(any(feature = "sqs", feature = "sns"))]
pub(crate) mod envelope;
#[cfg(feature = "pubsub")]
mod gcs;
mod object;
#[cfg(any(feature = "sqs", feature = "sns"))]
mod s3;

#[cfg(feature = "pubsub")]
pub(crate) use gcs::gcs;
#[cfg(any(feature = "sqs", feature = "sns"))]
pub(crate) use s3::{Notification, s3};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What is inside of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Unwrap {
    /// A message of SNS.
    Sns,
    /// Records of S3: an event for each.
    S3,
    /// A notification of Google Cloud Storage.
    Gcs,
}

impl Unwrap {
    /// The value, as it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Sns => "sns",
            Self::S3 => "s3",
            Self::Gcs => "gcs",
        }
    }

    /// It, if the kind knows it; else what the kind knows.
    pub(crate) fn among(self, known: &[Self]) -> Result<Self, String> {
        if known.contains(&self) {
            return Ok(self);
        }
        let known: Vec<String> = known.iter().map(|one| format!("`{}`", one.as_str())).collect();
        Err(format!("unwrap is `{}`, expected {}", self.as_str(), known.join(" or ")))
    }
}
