//! What an error of a service means, and what to do about it.

use std::error::Error;
use std::fmt;
use std::time::Duration;

use aws_credential_types::provider::error::CredentialsError;
use aws_smithy_runtime_api::client::result::SdkError;
use aws_smithy_runtime_api::http::Response;
use aws_smithy_types::error::metadata::ProvideErrorMetadata;

/// A longer message of the service is cut.
const MAX_CHARS: usize = 400;

/// What is called, for errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Place {
    /// What, with its kind: ``queue `builds` ``.
    pub what: String,
    /// Its region.
    pub region: String,
    /// Its address, where that is not Amazon's usual one.
    pub endpoint: Option<String>,
    /// The fields that say where it is: what to check if it is not there.
    pub fields: &'static str,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.endpoint {
            Some(endpoint) => write!(f, "{} at {endpoint}", self.what),
            None => write!(f, "{} in {}", self.what, self.region),
        }
    }
}

/// What follows from an error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Nothing was done, and it may work later: throttled, no or wrong credentials, which may
    /// be put right.
    NotDone,
    /// It may have been done, and may work later: no answer, a fault of the service.
    Unknown,
    /// The credentials are good, and have not the right.
    Denied,
    /// There is no such queue or topic.
    NotFound,
    /// What was sent is not valid: too large, not allowed characters.
    Invalid,
    /// It will not work, for another reason.
    Refused,
}

/// Why a call did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    text: String,
    /// What follows from it.
    pub kind: Kind,
    /// How long the service asks to wait.
    pub after: Option<Duration>,
}

impl Trouble {
    /// This, in words.
    pub fn new(kind: Kind, text: impl Into<String>) -> Self {
        Self { text: text.into(), kind, after: None }
    }

    /// The credentials are good, and have not the right.
    pub fn is_denied(&self) -> bool {
        self.kind == Kind::Denied
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What it means that the call, which needs the right `right`, failed.
pub fn explain<E>(right: &str, place: &Place, error: &SdkError<E, Response>) -> Trouble
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(context) => {
            let (error, raw) = (context.err(), context.raw());
            let code = error.code().unwrap_or("unknown");
            let mut trouble = answered(right, place, raw.status().as_u16(), code, error.message());
            let after = raw.headers().get("retry-after").and_then(|text| text.parse().ok());
            trouble.after = after.map(Duration::from_secs);
            trouble
        }
        SdkError::TimeoutError(_) => {
            Trouble::new(Kind::Unknown, format!("{place} does not answer in time"))
        }
        SdkError::ResponseError(_) => {
            let why = innermost(error);
            Trouble::new(Kind::Unknown, format!("{place}: the answer cannot be read: {why}"))
        }
        // Before a request is sent: credentials, or the connection.
        _ => match of_credentials(error) {
            Some(why) => Trouble::new(Kind::NotDone, why),
            None => {
                let why = innermost(error);
                let check = "check `region` and `endpoint`";
                Trouble::new(Kind::Unknown, format!("{place} cannot be reached: {why} ({check})"))
            }
        },
    }
}

/// The service has answered with an error.
fn answered(right: &str, place: &Place, status: u16, code: &str, message: Option<&str>) -> Trouble {
    let code = code.rsplit(['#', '.']).next().unwrap_or(code);
    let message = cut(message.unwrap_or_default());
    let text = match code {
        "NonExistentQueue" | "QueueDoesNotExist" | "NotFound" | "NotFoundException" => {
            format!("{place} does not exist: check {}; or create it", place.fields)
        }
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" => {
            format!("{right} is not allowed on {place}: grant it to the credentials ({message})")
        }
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "InvalidSecurity" => {
            format!(
                "{place} does not know the access key: check `accessKey` and `sessionToken` ({message})"
            )
        }
        // The message repeats the request's headers: the session token is one of them.
        "SignatureDoesNotMatch" | "InvalidSignatureException" => format!(
            "{place} does not accept the signature: check `secretKey`, `region`, and this machine's clock"
        ),
        "ExpiredToken" | "ExpiredTokenException" => {
            format!(
                "the session token for {place} has expired: renew its secret, which is taken up"
            )
        }
        "RequestExpired" | "RequestTimeTooSkewed" => {
            format!("{place} refuses the time of the request: set this machine's clock")
        }
        "InvalidAddress" => {
            format!(
                "{place} is no queue of this address: check `region` and `endpoint` ({message})"
            )
        }
        code if code.starts_with("Kms") || code.starts_with("KMS") => {
            format!(
                "the key that encrypts {place} cannot be used: grant kms:Decrypt, and to who sends kms:GenerateDataKey ({code}: {message})"
            )
        }
        code => format!("{right} on {place} failed: {code}: {message}"),
    };
    Trouble::new(kind(status, code), text)
}

fn kind(status: u16, code: &str) -> Kind {
    match code {
        "NonExistentQueue" | "QueueDoesNotExist" | "NotFound" | "NotFoundException"
        | "InvalidAddress" => Kind::NotFound,
        "AccessDenied" | "AccessDeniedException" | "AuthorizationError" => Kind::Denied,
        "InvalidMessageContents"
        | "InvalidParameter"
        | "InvalidParameterException"
        | "InvalidParameterValue"
        | "InvalidParameterValueException"
        | "InvalidAttributeValue"
        | "InvalidAttributeName"
        | "MissingParameter"
        | "BatchRequestTooLong"
        | "ValidationException"
        | "UnsupportedOperation"
        | "MessageTooLong" => Kind::Invalid,
        // Secrets and clocks can be put right, and then it works.
        "InvalidClientTokenId"
        | "UnrecognizedClientException"
        | "InvalidAccessKeyId"
        | "InvalidSecurity"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "OverLimit" => Kind::NotDone,
        code if is_throttling(code) || status == 429 => Kind::NotDone,
        _ if status >= 500 || status == 408 => Kind::Unknown,
        _ => Kind::Refused,
    }
}

fn is_throttling(code: &str) -> bool {
    ["Throttl", "TooManyRequests", "RequestLimitExceeded", "SlowDown", "PriorRequestNotComplete"]
        .iter()
        .any(|word| code.contains(word))
}

/// Why there are no credentials, if that is what went wrong.
fn of_credentials(error: &(dyn Error + 'static)) -> Option<String> {
    let about = sources(error).any(|error| error.is::<CredentialsError>());
    about.then(|| {
        let why = innermost(error);
        format!("no credentials: {why} (give `accessKey` and `secretKey`, a `roleARN` that may be assumed, or credentials in the environment)")
    })
}

fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let this = next?;
        next = this.source();
        Some(this)
    })
}

/// What lies at the bottom of an error, which is what says most.
fn innermost(error: &(dyn Error + 'static)) -> String {
    cut(&sources(error).last().map(ToString::to_string).unwrap_or_default())
}

fn cut(text: &str) -> String {
    let mut line: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    if let Some((end, _)) = line.char_indices().nth(MAX_CHARS) {
        line.truncate(end);
        line.push('…');
    }
    line
}

#[cfg(test)]
mod tests {
    use super::*;

    fn trouble(status: u16, code: &str, message: &str) -> Trouble {
        let place = Place {
            what: "queue `builds`".into(),
            region: "eu-central-1".into(),
            endpoint: None,
            fields: "`queue`, `region`",
        };
        answered("sqs:ReceiveMessage", &place, status, code, Some(message))
    }

    #[test]
    fn an_error_says_what_to_do_and_what_follows() {
        for (status, code, message, kind, expected) in [
            (400, "AWS.SimpleQueueService.NonExistentQueue", "x", Kind::NotFound, "or create it"),
            (
                400,
                "com.amazonaws.sqs#QueueDoesNotExist",
                "x",
                Kind::NotFound,
                "queue `builds` in eu-central-1 does not exist: check `queue`, `region`;",
            ),
            (
                403,
                "AccessDenied",
                "User: a",
                Kind::Denied,
                "sqs:ReceiveMessage is not allowed on queue `builds` in eu-central-1: grant it to the credentials (User: a)",
            ),
            (403, "InvalidClientTokenId", "m", Kind::NotDone, "check `accessKey`"),
            (403, "ExpiredToken", "m", Kind::NotDone, "renew its secret"),
            (400, "ThrottlingException", "m", Kind::NotDone, "ThrottlingException"),
            (400, "RequestThrottled", "m", Kind::NotDone, "RequestThrottled"),
            (400, "KmsAccessDenied", "m", Kind::Refused, "kms:Decrypt"),
            (400, "InvalidParameterValue", "m", Kind::Invalid, "InvalidParameterValue"),
            (500, "InternalFailure", "m", Kind::Unknown, "InternalFailure"),
            (400, "Strange", "m\nn", Kind::Refused, "failed: Strange: m n"),
        ] {
            let trouble = trouble(status, code, message);
            assert!(trouble.to_string().contains(expected), "{trouble}");
            assert_eq!(trouble.kind, kind, "{code}");
        }
    }

    #[test]
    fn the_message_of_a_wrong_signature_is_not_shown() {
        let message = "The Canonical String should have been x-amz-security-token:T0KEN";
        let trouble = trouble(403, "SignatureDoesNotMatch", message);
        assert!(!trouble.to_string().contains("T0KEN"));
    }
}
