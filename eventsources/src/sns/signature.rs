//! Whether a message is one of SNS.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use tripline_event::Timestamp;

use super::certificates::{Certificates, Unusable};
use crate::unwrap::envelope::Envelope;

/// A message that is older is refused: SNS itself gives up before. Repeated messages are
/// recognised for longer than this, by their ids.
const MAX_AGE: jiff::SignedDuration = jiff::SignedDuration::from_hours(12);

/// Whether `envelope` was signed by SNS, and not long before `now`.
///
/// # Errors
/// It was not, or that cannot be found out now.
pub async fn verify(
    certificates: &Certificates,
    envelope: &Envelope,
    now: Timestamp,
) -> Result<(), Unusable> {
    let wrong = |why: String| Unusable::Wrong(why);
    let published: Timestamp = envelope
        .timestamp
        .parse()
        .map_err(|_| wrong(format!("`Timestamp` is {:?}, no time", envelope.timestamp)))?;
    let sha256 = match envelope.signature_version.as_deref() {
        Some("1") => false,
        Some("2") => true,
        Some(other) => {
            return Err(wrong(format!("`SignatureVersion` is {other:?}, expected 1 or 2")));
        }
        None => return Err(wrong("it is not signed".to_owned())),
    };
    let (Some(signature), Some(url)) = (&envelope.signature, &envelope.signing_cert_url) else {
        return Err(wrong("it is not signed".to_owned()));
    };
    let signature =
        BASE64.decode(signature).map_err(|_| wrong("`Signature` is no base64".to_owned()))?;
    let certificate = certificates.get(url).await?;
    certificate.check_time(now).map_err(wrong)?;
    let text = signed_text(envelope).map_err(wrong)?;
    if !certificate.verifies(sha256, text.as_bytes(), &signature) {
        return Err(wrong(
            "its signature is not one of SNS: something of it was changed".to_owned(),
        ));
    }
    // Last: only now is the time that of SNS.
    if now.duration_since(published) > MAX_AGE {
        let hours = MAX_AGE.as_hours();
        return Err(wrong(format!("it was published at {published}, more than {hours} h ago")));
    }
    Ok(())
}

/// What SNS signs: names and values, each on a line of its own.
fn signed_text(envelope: &Envelope) -> Result<String, String> {
    let Envelope { kind, message_id, topic_arn, message, timestamp, .. } = envelope;
    let mut fields: Vec<(&str, &str)> = vec![("Message", message), ("MessageId", message_id)];
    if kind == "Notification" {
        fields.extend(envelope.subject.as_deref().map(|subject| ("Subject", subject)));
        fields.push(("Timestamp", timestamp));
    } else {
        let missing = |name: &str| format!("it has no `{name}`");
        let url = envelope.subscribe_url.as_deref().ok_or_else(|| missing("SubscribeURL"))?;
        let token = envelope.token.as_deref().ok_or_else(|| missing("Token"))?;
        fields.extend([("SubscribeURL", url), ("Timestamp", timestamp), ("Token", token)]);
    }
    fields.extend([("TopicArn", topic_arn.as_str()), ("Type", kind)]);
    Ok(fields.iter().map(|(name, value)| format!("{name}\n{value}\n")).collect())
}
