//! What the client says, in words that are the same each time.

/// The client's words without what changes from one time to the next: the thread, how long it
/// took, and how often it was said before.
pub fn tidy(text: &str) -> String {
    let text = match text.strip_prefix("[thrd:").and_then(|rest| rest.split_once("]: ")) {
        Some((_, rest)) => rest,
        None => text,
    };
    let end = text.find(" (after ").unwrap_or(text.len());
    text[..end].trim().to_owned()
}

const PASSWORD: &str = "the broker refuses user and password";

/// What is known of why a broker does not take the client; none where it is only away.
fn cause(said: &str) -> Option<&'static str> {
    let lower = said.to_lowercase();
    let is = |words: &str| lower.contains(words);
    if is("authentication") {
        Some(PASSWORD)
    } else if is("certificate verify failed") {
        Some(
            "the broker's certificate is not trusted (`tls.caCertSecret`), or is for another name than `url` has",
        )
    } else if is("alert") && is("certificate") || is("alert unknown ca") {
        Some("the broker does not take the client's certificate (`tls.clientCertSecret`)")
    } else if is("plaintext broker listener") || is("wrong version number") {
        Some("the broker speaks no TLS at the address in `url`")
    } else {
        None
    }
}

/// Why no broker can be used, by the latest words of the client. Of TLS it has several words for
/// the same: they are left out.
pub fn because(said: Option<&str>) -> String {
    let Some(said) = said else { return "no broker of `url` can be reached".to_owned() };
    match cause(said) {
        Some(PASSWORD) => format!("{PASSWORD}: {said}"),
        Some(cause) => cause.to_owned(),
        None => format!("no broker of `url` can be reached: {said}"),
    }
}

/// Whether words of the client are to be kept after those of before: that a connection has ended
/// says less than why it was refused.
pub fn tells_more(before: Option<&str>, said: &str) -> bool {
    let ended = said.contains("Disconnected") && cause(said).is_none();
    !(ended && before.is_some_and(|before| cause(before).is_some()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_of_the_client_are_the_same_each_time() {
        for (said, expected) in [
            (
                "[thrd:127.0.0.1:1/bootstrap]: 127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused (after 0ms in state CONNECT, 5 identical error(s) suppressed)",
                "127.0.0.1:1/bootstrap: Connect to ipv4#127.0.0.1:1 failed: Connection refused",
            ),
            ("1/1 brokers are down", "1/1 brokers are down"),
        ] {
            assert_eq!(tidy(said), expected);
        }
    }

    #[test]
    fn a_refused_password_is_told_from_a_broker_that_is_not_there() {
        assert_eq!(because(None), "no broker of `url` can be reached");
        assert_eq!(because(Some("x")), "no broker of `url` can be reached: x");
        for (said, expected) in [
            (
                "SASL authentication error: Invalid username or password",
                "the broker refuses user and password: ",
            ),
            (
                "SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker certificate could not be verified",
                "the broker's certificate is not trusted",
            ),
            (
                "SSL handshake failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert number 42",
                "the broker does not take the client's certificate",
            ),
            (
                "SSL handshake failed: error:0A00010B:SSL routines::wrong version number",
                "the broker speaks no TLS",
            ),
            (
                "SSL handshake failed: Disconnected: SSL connection closed by peer: connecting to a PLAINTEXT broker listener?",
                "the broker speaks no TLS",
            ),
        ] {
            let because = because(Some(said));
            assert!(because.starts_with(expected), "{because}");
            // Which the client says next, of the same connection.
            assert!(!tells_more(Some(said), "ssl://kafka:9093/1: Disconnected"), "{said}");
        }
        for (before, said) in [
            (None, "Disconnected"),
            (Some("Connection refused"), "Disconnected"),
            (Some("certificate verify failed"), "Connection refused"),
        ] {
            assert!(tells_more(before, said), "{before:?}, {said}");
        }
    }
}
