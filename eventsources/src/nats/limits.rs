//! The bounds of a subscription.

use std::time::Duration;

/// Messages that are held of a consumer of JetStream at a time: received, and not yet on the
/// event bus. Fewer than the client keeps ([`CORE_BUFFER`]): what was asked for is never dropped.
pub const HELD: usize = 6000;
/// Messages that are held of core NATS at a time.
pub const CORE_HELD: usize = 20_000;
/// Bytes of messages that are held at a time. What requests that are under way bring comes on top.
pub const HELD_BYTES: usize = 64 * 1024 * 1024;
/// Messages that the client keeps of core NATS before it drops some: nobody can tell the server
/// to wait.
pub const CORE_BUFFER: usize = 8192;
/// Messages that one append takes at most, and their bytes.
pub const APPEND: usize = 2000;
/// See [`APPEND`].
pub const APPEND_BYTES: usize = 4 * 1024 * 1024;
/// Messages that one request asks a consumer for at most. Twice as many may be asked for at a time:
/// the server has another request to answer before one has ended.
pub const REQUEST: usize = 2000;
/// Bytes that one request brings at most, or one message.
pub const REQUEST_BYTES: usize = 8 * 1024 * 1024;
/// How long a request for messages waits at the server.
pub const REQUEST_EXPIRES: Duration = Duration::from_secs(30);
/// How often the server says that a request still waits.
pub const HEARTBEAT: Duration = Duration::from_secs(5);
/// Where nothing at all was heard for so long while a request waits, there is another session.
pub const SILENCE: Duration = Duration::from_secs(15);
/// Messages that are taken from the client at a time.
pub const AT_A_TIME: usize = 256;

/// How long one attempt to connect may take.
pub const CONNECT: Duration = Duration::from_secs(5);
/// How long a question to the server may take.
pub const CALL: Duration = Duration::from_secs(5);
/// How often a connection on which nothing happens is tried.
pub const PING_EVERY: Duration = Duration::from_secs(5);
/// How often it is looked whether the credentials have changed.
pub const CREDENTIALS_CHECK: Duration = Duration::from_secs(5);
/// How long acknowledgements may take that are under way when a session ends.
pub const FLUSH: Duration = Duration::from_secs(5);

/// `ackWait` where it is not given.
pub const ACK_WAIT: Duration = Duration::from_secs(30);
/// The shortest `ackWait`: work on messages must be told of within it.
pub const MIN_ACK_WAIT: Duration = Duration::from_secs(1);
/// The longest.
pub const MAX_ACK_WAIT: Duration = Duration::from_secs(60 * 60);
/// The longest pause that `connectionBackoff` leads to.
pub const MAX_BACKOFF: Duration = Duration::from_secs(30);
