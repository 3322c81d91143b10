//! Errors of a connection, in words.

use async_nats::ConnectErrorKind;

/// An error and what it came from, without saying the same twice.
pub fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        source = cause.source();
    }
    text
}

/// Whether the server does not let one in: another attempt with the same credentials will not
/// help.
pub fn is_refusal(error: &async_nats::ConnectError) -> bool {
    let kind = error.kind();
    matches!(kind, ConnectErrorKind::AuthorizationViolation | ConnectErrorKind::Authentication)
}
