//! An event's data, in the shape that Argo Events gives it:
//! `{"messageId", "messageAttributes", "body", "metadata"}`.

use bytes::Bytes;
use serde_json::value::RawValue;

use super::attributes::push_attributes;
use super::queue::Received;
use crate::json::{push_base64, push_compact, push_string};

/// The data of an event. `end` is the data's last member and brace.
///
/// # Errors
/// The body is no JSON, where that is what it is to be.
pub fn event_data(message: &Received, json_body: bool, end: &str) -> Result<Bytes, String> {
    let body = message.body.as_bytes();
    let room = body.len() * 4 / 3 + end.len() + 512;
    let mut out = Vec::with_capacity(room);
    out.extend_from_slice(b"{\"messageId\":");
    push_string(&mut out, message.id.as_deref().unwrap_or_default());
    out.extend_from_slice(b",\"messageAttributes\":");
    push_attributes(&mut out, &message.attributes);
    out.extend_from_slice(b",\"body\":");
    if json_body {
        let json = serde_json::from_slice::<&RawValue>(body);
        let json = json.map_err(|error| format!("message body is not valid JSON: {error}"))?;
        push_compact(&mut out, json.get().as_bytes());
    } else {
        push_base64(&mut out, body);
    }
    out.extend_from_slice(end.as_bytes());
    Ok(Bytes::from(out))
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use aws_sdk_sqs::primitives::Blob;
    use aws_sdk_sqs::types::MessageAttributeValue;

    use super::*;

    /// Name, data type, text and bytes.
    type Attribute<'a> = (&'a str, &'a str, Option<&'a str>, Option<&'a [u8]>);

    fn message(body: &str, attributes: &[Attribute<'_>]) -> Received {
        let attributes = attributes.iter().map(|(name, data_type, text, binary)| {
            let value = MessageAttributeValue::builder()
                .data_type(*data_type)
                .set_string_value(text.map(str::to_owned))
                .set_binary_value(binary.map(Blob::new));
            ((*name).to_owned(), value.build().unwrap())
        });
        Received {
            id: Some("m-1".into()),
            receipt: "r".into(),
            body: body.into(),
            attributes: attributes.collect::<HashMap<_, _>>(),
            group: None,
        }
    }

    fn data(message: &Received, json_body: bool, end: &str) -> String {
        String::from_utf8(event_data(message, json_body, end).unwrap().to_vec()).unwrap()
    }

    #[test]
    fn data_has_the_shape_of_argo_events() {
        assert_eq!(
            data(&message("hello", &[]), false, "}"),
            r#"{"messageId":"m-1","messageAttributes":null,"body":"aGVsbG8="}"#
        );
        assert_eq!(
            data(&message(" {\"a\" : 1.50}\n", &[]), true, r#","metadata":{"x":"y"}}"#),
            r#"{"messageId":"m-1","messageAttributes":null,"body":{"a":1.50},"metadata":{"x":"y"}}"#
        );
    }

    #[test]
    fn attributes_are_sorted_and_have_every_field_of_the_sdk_of_go() {
        let attributes = [
            ("sha", "String", Some("4f \"2a"), None),
            ("count", "Number.int", Some("7"), None),
            ("raw", "Binary", None, Some(b"\0\xff".as_slice())),
        ];
        let expected = [
            r#"{"count":{"BinaryListValues":null,"BinaryValue":null,"DataType":"Number.int","StringListValues":null,"StringValue":"7"},"#,
            r#""raw":{"BinaryListValues":null,"BinaryValue":"AP8=","DataType":"Binary","StringListValues":null,"StringValue":null},"#,
            r#""sha":{"BinaryListValues":null,"BinaryValue":null,"DataType":"String","StringListValues":null,"StringValue":"4f \"2a"}}"#,
        ];
        let expected = expected.concat();
        assert_eq!(
            data(&message("1", &attributes), true, "}"),
            format!(r#"{{"messageId":"m-1","messageAttributes":{expected},"body":1}}"#)
        );
    }

    #[test]
    fn what_is_not_json_is_refused_where_json_is_asked_for() {
        for body in ["no JSON", "", "{\"a\":", "{} {}", "\u{feff}{}"] {
            let error = event_data(&message(body, &[]), true, "}").unwrap_err();
            assert!(error.starts_with("message body is not valid JSON: "), "{body}: {error}");
        }
    }
}
