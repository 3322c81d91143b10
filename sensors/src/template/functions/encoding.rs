//! Base64, base32 and JSON.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use data_encoding::BASE32;

use super::Parameter::{Any, Text};
use super::{Function, new};
use crate::template::json::{self, Style};
use crate::template::value::{Value, lossy};

pub(super) const FUNCTIONS: &[Function] = &[
    new("b64enc", &[Text], |_, values| Ok(STANDARD.encode(values[0].text()).into())),
    // What cannot be decoded becomes the text of the error.
    new("b64dec", &[Text], |_, values| {
        let text = values[0].text().replace(['\r', '\n'], "");
        Ok(match STANDARD.decode(&text) {
            Ok(bytes) => lossy(&bytes).into(),
            Err(error) => {
                let at = base64_error(error, &text);
                format!("illegal base64 data at input byte {at}").into()
            }
        })
    }),
    new("b32enc", &[Text], |_, values| Ok(BASE32.encode(values[0].text().as_bytes()).into())),
    new("b32dec", &[Text], |_, values| {
        let text = values[0].text().replace(['\r', '\n'], "");
        Ok(match BASE32.decode(text.as_bytes()) {
            Ok(bytes) => lossy(&bytes).into(),
            Err(error) => format!("illegal base32 data at input byte {}", error.position).into(),
        })
    }),
    new("fromJson", &[Text], |_, values| Ok(json::parse(values[0].text()).unwrap_or(Value::Nil))),
    new("mustFromJson", &[Text], |_, values| json::parse(values[0].text())),
    // Without `must`, what cannot be written is empty.
    new("toJson", &[Any], |_, values| Ok(forgiving(&values[0], Style::Compact))),
    new("toPrettyJson", &[Any], |_, values| Ok(forgiving(&values[0], Style::Pretty))),
    new("toRawJson", &[Any], |_, values| must(&values[0], Style::Raw)),
    new("mustToJson", &[Any], |_, values| must(&values[0], Style::Compact)),
    new("mustToPrettyJson", &[Any], |_, values| must(&values[0], Style::Pretty)),
    new("mustToRawJson", &[Any], |_, values| must(&values[0], Style::Raw)),
];

fn must(value: &Value, style: Style) -> Result<Value, String> {
    json::write(value, style).map(Value::from)
}

fn forgiving(value: &Value, style: Style) -> Value {
    json::write(value, style).unwrap_or_default().into()
}

/// The byte that Go names.
fn base64_error(error: base64::DecodeError, text: &str) -> usize {
    let strange = |byte: u8| !(byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'/' | b'='));
    if let Some(at) = text.bytes().position(strange) {
        return at;
    }
    match error {
        base64::DecodeError::InvalidByte(at, _) => {
            // Go goes on to what stands behind the padding.
            let padding = text.bytes().skip(at).take_while(|byte| *byte == b'=').count();
            if at + padding < text.len() { at + padding } else { at }
        }
        base64::DecodeError::InvalidLastSymbol(at, _) => at + 1,
        base64::DecodeError::InvalidLength(_) | base64::DecodeError::InvalidPadding => {
            text.len() - text.len() % 4
        }
    }
}
