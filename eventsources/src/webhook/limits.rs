//! The bounds of the webhook servers.

use std::time::Duration;

/// The path that answers health checks on every port.
pub const HEALTH: &str = "/health";
/// The largest body, where `maxPayloadSize` is not given: 1 MiB, as in Argo Events.
pub const DEFAULT_PAYLOAD_BYTES: usize = 1024 * 1024;
/// The largest `maxPayloadSize`.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024 * 1024;
/// Open connections of one port; more wait in the kernel's queue.
pub const MAX_CONNECTIONS: usize = 10_000;
/// Bodies that are held in memory at one time, over all ports; more are answered 503.
pub const MAX_BODY_BYTES: usize = 256 * 1024 * 1024;
/// From the connection to the first request's whole head, TLS handshake included.
pub const FIRST_REQUEST: Duration = Duration::from_secs(10);
/// From one answer to the next request's whole head.
pub const IDLE: Duration = Duration::from_secs(60);
/// From a request's head to the end of its body.
pub const BODY: Duration = Duration::from_secs(30);
/// Time for, and bytes of, a body that is read only to be thrown away, so that the
/// client gets to see the answer.
pub const DRAIN: Duration = Duration::from_secs(5);
/// See [`DRAIN`].
pub const DRAIN_BYTES: usize = 8 * 1024 * 1024;
/// How long a port's certificate is used before its secret is looked at again.
pub const CERTIFICATE_CHECK: Duration = Duration::from_secs(5);
/// Parallel requests of one HTTP/2 connection.
pub const MAX_STREAMS: u32 = 128;
/// Clients that are to try again are told to wait for 1 to this many seconds.
pub const RETRY_AFTER_SECS: u32 = 5;
