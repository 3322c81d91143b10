//! What an error of SQS means, and what to do about it.

use std::error::Error;
use std::fmt;

use aws_sdk_sqs::error::{ProvideErrorMetadata, SdkError};

use super::queue::Place;

/// A longer message of the service is cut.
const MAX_CHARS: usize = 400;

/// Why a call did not work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    text: String,
    /// The credentials are good, and have not the right.
    pub is_denied: bool,
}

impl Trouble {
    /// This, in words.
    pub fn new(text: String) -> Self {
        Self { text, is_denied: false }
    }
}

impl fmt::Display for Trouble {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// What it means that the call, which needs the right `right`, failed.
pub fn explain<E>(right: &str, place: &Place, error: &SdkError<E>) -> Trouble
where
    E: ProvideErrorMetadata + Error + 'static,
{
    match error {
        SdkError::ServiceError(context) => {
            let error = context.err();
            answered(right, place, error.code().unwrap_or("unknown"), error.message())
        }
        SdkError::TimeoutError(_) => Trouble::new(format!("{place} does not answer in time")),
        SdkError::ResponseError(_) => {
            let why = innermost(error);
            Trouble::new(format!("{place}: the answer cannot be read: {why}"))
        }
        // Before a request is sent: credentials, or the connection.
        _ => Trouble::new(match of_credentials(error) {
            Some(why) => why,
            None => {
                format!(
                    "{place} cannot be reached: {} (check `region` and `endpoint`)",
                    innermost(error)
                )
            }
        }),
    }
}

/// SQS has answered with an error.
fn answered(right: &str, place: &Place, code: &str, message: Option<&str>) -> Trouble {
    let code = code.rsplit(['#', '.']).next().unwrap_or(code);
    let message = cut(message.unwrap_or_default());
    let text = match code {
        "NonExistentQueue" | "QueueDoesNotExist" => format!(
            "{place} does not exist: check `queue`, `region` and, if it belongs to another account, `queueAccountId`; or create it"
        ),
        "AccessDenied" | "AccessDeniedException" => {
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
        code if code.starts_with("Kms") => {
            format!(
                "the key that encrypts {place} cannot be used: grant kms:Decrypt ({code}: {message})"
            )
        }
        code => format!("{right} on {place} failed: {code}: {message}"),
    };
    let is_denied = matches!(code, "AccessDenied" | "AccessDeniedException");
    Trouble { text, is_denied }
}

/// Why there are no credentials, if that is what went wrong.
fn of_credentials(error: &(dyn Error + 'static)) -> Option<String> {
    let about = sources(error)
        .any(|error| error.is::<aws_credential_types::provider::error::CredentialsError>());
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

    fn text(code: &str, message: &str) -> String {
        let place = Place { queue: "builds".into(), region: "eu-central-1".into(), endpoint: None };
        answered("sqs:ReceiveMessage", &place, code, Some(message)).to_string()
    }

    #[test]
    fn an_error_says_what_to_do() {
        for (code, message, expected) in [
            ("AWS.SimpleQueueService.NonExistentQueue", "x", "`queueAccountId`; or create it"),
            (
                "com.amazonaws.sqs#QueueDoesNotExist",
                "x",
                "queue `builds` in eu-central-1 does not exist",
            ),
            (
                "AccessDenied",
                "User: a",
                "sqs:ReceiveMessage is not allowed on queue `builds` in eu-central-1: grant it to the credentials (User: a)",
            ),
            ("InvalidClientTokenId", "m", "check `accessKey`"),
            ("ExpiredToken", "m", "renew its secret"),
            ("KmsAccessDenied", "m", "kms:Decrypt"),
            ("Strange", "m\nn", "failed: Strange: m n"),
        ] {
            assert!(text(code, message).contains(expected), "{}", text(code, message));
        }
    }

    #[test]
    fn the_message_of_a_wrong_signature_is_not_shown() {
        let message = "The Canonical String should have been x-amz-security-token:T0KEN";
        assert!(!text("SignatureDoesNotMatch", message).contains("T0KEN"));
    }
}
