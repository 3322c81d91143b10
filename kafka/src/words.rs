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

/// Why no broker can be used, by the latest words of the client.
pub fn because(said: Option<&str>) -> String {
    match said {
        None => "no broker of `url` can be reached".to_owned(),
        Some(said) if said.to_lowercase().contains("authentication") => {
            format!("the broker refuses user and password: {said}")
        }
        Some(said) => format!("no broker of `url` can be reached: {said}"),
    }
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
        let refused = because(Some("SASL authentication error: Invalid username or password"));
        assert!(refused.starts_with("the broker refuses user and password: "), "{refused}");
    }
}
