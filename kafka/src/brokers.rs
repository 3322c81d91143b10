//! Where a broker is, and what it calls a topic.

/// The brokers of a `url`: `HOST:PORT`, with commas and nothing else between them.
///
/// # Errors
/// What of it is no broker.
pub fn brokers(url: &str) -> Result<String, String> {
    let brokers: Vec<&str> = url.split(',').map(str::trim).collect();
    let is_broker = |broker: &&str| {
        let (host, port) = broker.rsplit_once(':').unwrap_or((broker, "9092"));
        let plain = |c: char| c.is_ascii_graphic() && !"/@?#".contains(c);
        !host.is_empty() && host.chars().all(plain) && port.parse::<u16>().is_ok()
    };
    match brokers.iter().find(|broker| !is_broker(broker)) {
        Some(wrong) => Err(format!("url has {wrong:?}, expected `HOST:PORT` with commas between")),
        None => Ok(brokers.join(",")),
    }
}

/// Whether a text may be the name of a topic, by Kafka's own rule.
pub fn is_topic(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
    (1..=249).contains(&name.len()) && name.chars().all(legal)
}
