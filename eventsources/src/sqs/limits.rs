//! Every bound of this source.

use std::time::Duration;

/// Messages that one receive brings at most: SQS's own bound.
pub const BATCH: i32 = 10;
/// Receives at a time. One where little comes in, so that an idle queue costs little; one more
/// after each full batch. With [`BATCH`] this bounds the messages that are in memory: SQS's
/// are 1 MiB each at most.
pub const MAX_POLLERS: usize = 8;
/// How long a receive waits for a message, where the configuration does not say, in seconds.
pub const DEFAULT_WAIT_SECONDS: i32 = 3;
/// The longest that SQS waits, in seconds.
pub const MAX_WAIT_SECONDS: i32 = 20;
/// How long a message that was received stays hidden, unless it is prolonged: as in Argo
/// Events. After a crash it is as long until the message is delivered again.
pub const HIDDEN: Duration = Duration::from_secs(120);

/// How long a call may take, on top of what a receive waits.
pub const CALL: Duration = Duration::from_secs(10);
/// How long finishing may take after the source is told to stop. It must fit into the quarter
/// of the daemon's grace period that event sources have.
pub const STOP: Duration = Duration::from_millis(4500);
/// How long giving back may take after that.
pub const GIVE_BACK: Duration = Duration::from_millis(1500);

/// How often deleting is tried. What cannot be deleted is delivered again, is a repeat then,
/// and is deleted then.
pub const DELETE_TRIES: u32 = 6;
