//! Why a call failed.

use std::error::Error;
use std::time::Duration;

use tonic::Code;

/// Why a call failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// There is no such thing.
    NotFound(String),
    /// It was there already.
    AlreadyExists,
    /// The account may not do it.
    Denied(String),
    /// The account is not believed.
    NotAccepted(String),
    /// There is no token for the account.
    NoToken(String),
    /// There is no connection, or the service is away.
    Unreachable(String),
    /// A quota is used up, or too much is asked at a time.
    Exhausted {
        /// What the service said.
        said: String,
        /// How long it asks to wait.
        after: Option<Duration>,
    },
    /// No answer came in time.
    TimedOut,
    /// Another answer.
    Refused {
        /// As gRPC names it.
        code: &'static str,
        /// What the service said.
        said: String,
        /// It is a fault of the service, which may be over when it is tried again.
        again: bool,
    },
}

impl From<tonic::Status> for Trouble {
    fn from(status: tonic::Status) -> Self {
        let said = match status.source() {
            Some(source) => chain(source),
            None => status.message().to_owned(),
        };
        match status.code() {
            Code::NotFound => Self::NotFound(said),
            Code::AlreadyExists => Self::AlreadyExists,
            Code::PermissionDenied => Self::Denied(said),
            Code::Unauthenticated => Self::NotAccepted(said),
            Code::Unavailable | Code::DeadlineExceeded => Self::Unreachable(said),
            Code::ResourceExhausted => {
                Self::Exhausted { said, after: retry_delay(status.details()) }
            }
            code => {
                let of_service = [Code::Internal, Code::Unknown, Code::Aborted, Code::Cancelled];
                let again = of_service.contains(&code);
                Self::Refused { code: code.description(), said, again }
            }
        }
    }
}

/// How long the service asks to wait: `google.rpc.RetryInfo` in a status' details.
fn retry_delay(details: &[u8]) -> Option<Duration> {
    use prost::Message as _;
    let status = Details::decode(details).ok()?;
    let info = status.details.iter().find(|any| any.type_url.ends_with("/google.rpc.RetryInfo"))?;
    let delay = RetryInfo::decode(&*info.value).ok()?.retry_delay?;
    let (seconds, nanos) = (u64::try_from(delay.seconds).ok()?, u32::try_from(delay.nanos).ok()?);
    Some(Duration::new(seconds, nanos.min(999_999_999)))
}

// The fields that are used of the messages of `google/rpc/status.proto`,
// `google/rpc/error_details.proto` and `google/protobuf/{any,duration}.proto`.

#[derive(Clone, PartialEq, prost::Message)]
struct Details {
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Delay>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Delay {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// An error and its causes: the outermost often says no more than "transport error".
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        let more = next.to_string();
        if !text.contains(&more) {
            text = format!("{text}: {more}");
        }
        cause = next.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use prost::Message as _;

    use super::*;

    #[test]
    fn how_long_to_wait_stands_in_the_details() {
        let info = RetryInfo { retry_delay: Some(Delay { seconds: 7, nanos: 500_000_000 }) };
        let any = Any {
            type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
            value: info.encode_to_vec(),
        };
        let details = Details { details: vec![any] }.encode_to_vec();
        let status = tonic::Status::with_details(Code::ResourceExhausted, "quota", details.into());
        let after = Some(Duration::from_millis(7500));
        assert_eq!(Trouble::from(status), Trouble::Exhausted { said: "quota".into(), after });
        assert_eq!(retry_delay(b"no protobuf"), None);
    }

    #[test]
    fn a_fault_of_the_service_is_worth_another_attempt() {
        for (code, expected) in [(Code::Internal, true), (Code::InvalidArgument, false)] {
            let trouble = Trouble::from(tonic::Status::new(code, "x"));
            assert!(matches!(trouble, Trouble::Refused { again, .. } if again == expected));
        }
    }
}
