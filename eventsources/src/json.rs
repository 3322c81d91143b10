//! Writing the data of events: JSON, byte by byte, as Go's marshalling leaves it.

use memchr::memchr2;

/// The text as a JSON string.
#[expect(clippy::expect_used, reason = "a string can be written to a vector")]
pub(crate) fn push_string(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("a string is JSON");
}

/// Valid JSON without the white space between its tokens, as Go's marshalling leaves it:
/// a parameter that takes an object out of the body gets the same text as in Argo Events.
pub(crate) fn push_compact(out: &mut Vec<u8>, json: &[u8]) {
    let (mut from, mut at) = (0, 0);
    while let Some(c) = json.get(at) {
        if *c == b'"' {
            at = after_string(json, at + 1);
            continue;
        }
        if c.is_ascii_whitespace() {
            out.extend_from_slice(&json[from..at]);
            from = at + 1;
        }
        at += 1;
    }
    out.extend_from_slice(&json[from..]);
}

/// Where the string ends whose first character stands at `at`.
fn after_string(json: &[u8], mut at: usize) -> usize {
    while let Some(found) = json.get(at..).and_then(|rest| memchr2(b'"', b'\\', rest)) {
        at += found;
        if json[at] == b'"' {
            return at + 1;
        }
        // What is escaped ends no string.
        at += 2;
    }
    json.len()
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_stands_between_tokens_is_left_out() {
        let cases = [
            ("", ""),
            ("1", "1"),
            (" { \"a b\" : [ 1 , \"c\\t d\" ] }\r\n", r#"{"a b":[1,"c\t d"]}"#),
            (r#"[ "quoted \" one" , "\\" , "" ]"#, r#"["quoted \" one","\\",""]"#),
            ("\t[\n\"Z\u{fc}rich \u{1f600}\" ]", "[\"Z\u{fc}rich \u{1f600}\"]"),
            // What is not JSON does no harm.
            (r#"" a"#, r#"" a"#),
            (r#"" a\"#, r#"" a\"#),
        ];
        for (json, compact) in cases {
            let mut out = Vec::new();
            push_compact(&mut out, json.as_bytes());
            assert_eq!(String::from_utf8(out).unwrap(), compact, "{json}");
        }
    }
}
