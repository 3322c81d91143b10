//! Writing the data of events: JSON, byte by byte, as Go's marshalling leaves it.

/// The text as a JSON string.
#[expect(clippy::expect_used, reason = "a string can be written to a vector")]
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is JSON");
}

/// Valid JSON without the white space between its tokens, as Go's marshalling leaves it:
/// a parameter that takes an object out of the body gets the same text as in Argo Events.
pub(crate) fn push_compact(out: &mut Vec<u8>, json: &[u8]) {
    let (mut from, mut in_string, mut escaped) = (0, false, false);
    for (at, c) in json.iter().enumerate() {
        if in_string {
            in_string = escaped || *c != b'"';
            escaped = !escaped && *c == b'\\';
        } else if c.is_ascii_whitespace() {
            out.extend_from_slice(&json[from..at]);
            from = at + 1;
        } else {
            in_string = *c == b'"';
        }
    }
    out.extend_from_slice(&json[from..]);
}

/// The bytes as a JSON string of base64, as Go marshals bytes.
#[cfg(any(feature = "kafka", feature = "nats", feature = "sqs", feature = "pubsub"))]
pub(crate) fn push_base64(out: &mut Vec<u8>, bytes: &[u8]) {
    use base64::Engine as _;
    out.push(b'"');
    let text = base64::engine::general_purpose::STANDARD.encode(bytes);
    out.extend_from_slice(text.as_bytes());
    out.push(b'"');
}
