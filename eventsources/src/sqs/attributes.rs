//! The attributes of a message.

use std::collections::{BTreeMap, HashMap};

use aws_sdk_sqs::types::MessageAttributeValue;

use crate::json::{push_base64, push_string};

/// The attributes as Argo Events emits them: sorted, each with all fields of Go's SDK; `null`
/// where there are none. The list values are "not implemented" in SQS.
pub fn push_attributes(out: &mut Vec<u8>, attributes: &HashMap<String, MessageAttributeValue>) {
    if attributes.is_empty() {
        out.extend_from_slice(b"null");
        return;
    }
    let sorted: BTreeMap<_, _> = attributes.iter().collect();
    for (at, (name, value)) in sorted.into_iter().enumerate() {
        out.push(if at == 0 { b'{' } else { b',' });
        push_string(out, name);
        out.extend_from_slice(b":{\"BinaryListValues\":null,\"BinaryValue\":");
        match &value.binary_value {
            Some(binary) => push_base64(out, binary.as_ref()),
            None => out.extend_from_slice(b"null"),
        }
        out.extend_from_slice(b",\"DataType\":");
        push_string(out, &value.data_type);
        out.extend_from_slice(b",\"StringListValues\":null,\"StringValue\":");
        match &value.string_value {
            Some(text) => push_string(out, text),
            None => out.extend_from_slice(b"null"),
        }
        out.push(b'}');
    }
    out.push(b'}');
}

/// The attributes that are text, by name: what a correlation id may be in.
pub fn texts(attributes: &HashMap<String, MessageAttributeValue>) -> Vec<(String, String)> {
    let text = |(name, value): (&String, &MessageAttributeValue)| {
        Some((name.clone(), value.string_value.clone()?))
    };
    let mut texts: Vec<_> = attributes.iter().filter_map(text).collect();
    texts.sort_unstable();
    texts
}
