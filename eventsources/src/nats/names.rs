//! Names: of subjects, of streams, of consumers.

use std::fmt::Write as _;

use tripline_event::{EventId, EventKey};

/// Whether messages can be asked for by it: tokens with dots between them, `*` for one token,
/// `>` for all the rest.
pub fn is_subject(subject: &str) -> bool {
    let mut tokens = subject.split('.').peekable();
    while let Some(token) = tokens.next() {
        let legal = |c: char| !c.is_whitespace() && !c.is_control();
        let wild = token.contains(['*', '>']) && token != "*" && token != ">";
        if token.is_empty() || wild || !token.chars().all(legal) {
            return false;
        }
        if token == ">" && tokens.peek().is_some() {
            return false;
        }
    }
    true
}

/// Whether a stream or a consumer may be called that.
pub fn is_name(name: &str) -> bool {
    let legal = |c: char| !c.is_whitespace() && !c.is_control() && !".*>/\\".contains(c);
    !name.is_empty() && name.len() <= 255 && name.chars().all(legal)
}

/// The durable consumer of an event whose configuration names none: another one for each.
pub fn default_consumer(key: &EventKey) -> String {
    let mut name = "tripline".to_owned();
    for part in [&key.namespace, &key.source, &key.name] {
        name.push('-');
        let plain = |c: char| if c.is_ascii_alphanumeric() || c == '_' { c } else { '-' };
        name.extend(part.chars().take(48).map(plain));
    }
    // Joined names are not unique: `a-b` + `c`, `a` + `b-c`.
    name.push('-');
    for byte in &EventId(String::new()).identity(key)[..4] {
        // Writing to a string cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The place in its stream of a message that is acknowledged at `reply`:
/// `$JS.ACK.STREAM.CONSUMER.DELIVERED.SEQUENCE…`, from newer servers with the domain and the account
/// before the stream (ADR-15 of NATS).
pub fn stream_sequence(reply: &str) -> Option<u64> {
    let tokens = reply.strip_prefix("$JS.ACK.")?;
    let place = match tokens.split('.').count() {
        7 => 3,
        9.. => 5,
        _ => return None,
    };
    tokens.split('.').nth(place)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subjects_have_tokens_and_wildcards() {
        for good in ["a", "builds.done", "builds.*.done", "builds.>", ">", "*", "a-b.c_d"] {
            assert!(is_subject(good), "{good}");
        }
        for bad in ["", ".", "a.", ".a", "a..b", "a b", "a*", ">.a", "a.>.b", "a\r\n"] {
            assert!(!is_subject(bad), "{bad:?}");
        }
    }

    #[test]
    fn the_place_in_the_stream_stands_where_a_message_is_acknowledged() {
        for (reply, expected) in [
            ("$JS.ACK.builds.c.3.100.7.1700000000000000000.42", Some(100)),
            ("$JS.ACK._.h4sh.builds.c.3.100.7.1700000000000000000.42", Some(100)),
            ("$JS.ACK.hub.h4sh.builds.c.3.100.7.1700000000000000000.42.t.more", Some(100)),
            ("$JS.ACK.builds.c.3.100.7.42", None),
            ("$JS.ACK.hub.builds.c.3.100.7.1700000000000000000.42", None),
            ("$JS.ACK.builds.c.3.x.7.1700000000000000000.42", None),
            ("_INBOX.a.1", None),
        ] {
            assert_eq!(stream_sequence(reply), expected, "{reply}");
        }
    }

    #[test]
    fn each_event_has_a_consumer_of_its_own() {
        let name =
            |source: &str, event: &str| default_consumer(&EventKey::new("ci", source, event));
        assert!(name("builds", "done").starts_with("tripline-ci-builds-done-"));
        assert_ne!(name("a-b", "c"), name("a", "b-c"));
        assert!(is_name(&name("a.b", "ü >*/")));
        assert!(is_name(&name(&"x".repeat(300), &"y".repeat(300))));
        for bad in ["", "a.b", "a b", "a>", "a/b"] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
