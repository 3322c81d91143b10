//! What SNS puts around a message: over HTTP always, over SQS unless raw delivery is on.

use std::collections::BTreeMap;

use serde::Deserialize;

/// A message of SNS, as it is delivered.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Envelope {
    /// `Notification`, `SubscriptionConfirmation`, or `UnsubscribeConfirmation`.
    #[serde(rename = "Type")]
    pub kind: String,
    /// Its id: the same at each delivery.
    pub message_id: String,
    /// The topic.
    pub topic_arn: String,
    #[serde(default)]
    pub subject: Option<String>,
    /// What was published.
    pub message: String,
    /// When: RFC 3339.
    pub timestamp: String,
    #[serde(default)]
    pub signature_version: Option<String>,
    /// Base64.
    #[serde(default)]
    pub signature: Option<String>,
    #[serde(default, rename = "SigningCertURL", alias = "SigningCertUrl")]
    pub signing_cert_url: Option<String>,
    /// Of a confirmation.
    #[serde(default)]
    pub token: Option<String>,
    /// Of a confirmation.
    #[serde(default, rename = "SubscribeURL", alias = "SubscribeUrl")]
    pub subscribe_url: Option<String>,
    #[serde(default)]
    pub message_attributes: Option<BTreeMap<String, Attribute>>,
}

/// An attribute that the publisher gave.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Attribute {
    /// `String`, `Number`, `Binary` (base64), …
    #[serde(rename = "Type")]
    pub kind: String,
    pub value: String,
}

impl Envelope {
    /// The envelope in `json`.
    ///
    /// # Errors
    /// There is none, and what is missing.
    pub fn parse(json: &[u8]) -> Result<Self, String> {
        serde_json::from_slice(json).map_err(|error| format!("no message of SNS: {error}"))
    }

    /// The attributes that are text: what a correlation id may be in.
    pub fn texts(&self) -> Vec<(String, String)> {
        let attributes = self.message_attributes.iter().flatten();
        let texts = attributes.filter(|(_, attribute)| !attribute.kind.starts_with("Binary"));
        texts.map(|(name, attribute)| (name.clone(), attribute.value.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_envelope_has_what_sns_says_of_a_message() {
        let json = br#"{"Type":"Notification","MessageId":"m","TopicArn":"t","Message":"x",
            "Timestamp":"2026-11-21T03:00:00.000Z","SigningCertURL":"https://h/c.pem",
            "MessageAttributes":{"a":{"Type":"String","Value":"1"},"b":{"Type":"Binary","Value":"AA=="}}}"#;
        let envelope = Envelope::parse(json).unwrap();
        assert_eq!(envelope.texts(), [("a".to_owned(), "1".to_owned())]);
        assert_eq!(envelope.signing_cert_url.as_deref(), Some("https://h/c.pem"));
        let error = Envelope::parse(b"{\"Type\":\"Notification\"}").unwrap_err();
        assert!(error.contains("no message of SNS: missing field"), "{error}");
    }
}
