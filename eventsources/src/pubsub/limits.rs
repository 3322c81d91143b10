//! The bounds of a subscription that is pulled.

use std::time::Duration;

/// Messages that are held at a time, where the configuration says nothing.
pub const MESSAGES: i64 = 1000;
/// The most that may be configured: each is a task of its own.
pub const MAX_MESSAGES: i64 = 10_000;
/// Bytes of messages that are held at a time, where the configuration says nothing. One
/// message more may be held: its size is known when it is here.
pub const BYTES: i64 = 64 * 1024 * 1024;
/// The most that may be configured.
pub const MAX_BYTES: i64 = 1024 * 1024 * 1024;

/// How long a message without an ordering key is kept and tried again while the event bus does
/// not take it. After that it is given back, for another subscriber to take. It is not given
/// back at once, since each delivery counts towards the subscription's dead-letter topic.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// How often a subscription on which nothing comes in is looked at: the library opens its
/// stream again and again without a word while the service cannot be reached.
pub const PROBE_EVERY: Duration = Duration::from_secs(20);
/// The longest that one call may take.
pub const CALL: Duration = Duration::from_secs(15);
/// A stream on which nothing came in for so long is opened anew: a connection that a
/// middlebox has forgotten is not noticed otherwise.
pub const SILENCE: Duration = Duration::from_secs(15 * 60);
/// How long acknowledgements may take that are under way when the source stops.
pub const FLUSH: Duration = Duration::from_secs(10);
/// How long the service leaves a message to this source before it delivers it again; extended
/// for as long as the message is held, up to an hour. What a daemon held that was killed comes
/// again after this time.
pub const LEASE: Duration = Duration::from_secs(20);
