//! Every bound of this source.

use std::time::Duration;

/// Messages that are gathered for the next append while the one before is under way. As many
/// again are in the append, and what [`FETCHED_KIB`] holds is fetched ahead.
pub const MESSAGES: usize = 2000;
/// Their bytes, as event data. One message more may be held: its size is known when it is here.
pub const BYTES: usize = 8 * 1024 * 1024;
/// What the client fetches ahead, in KiB.
pub const FETCHED_KIB: usize = 16 * 1024;
/// As many messages are fetched ahead where they are small.
pub const FETCHED_MESSAGES: usize = 20_000;
/// How long the client waits until it fetches more where it holds as many as it may: what it
/// holds is gone in a fraction of its default of a second.
pub const FETCH_AGAIN: Duration = Duration::from_millis(20);
/// Messages that are taken in a row before anything else is looked at.
pub const IN_A_ROW: usize = 256;
/// Messages of a topic with `limitEventsPerSecond` that are appended at once: those of so much
/// time, and at least one.
pub const PACED: Duration = Duration::from_millis(100);
/// The most events a second that `limitEventsPerSecond` may say.
pub const MAX_PER_SECOND: i64 = 1_000_000;

/// How long the client waits for a message before it is looked whether the source is to stop.
pub const WAIT: Duration = Duration::from_millis(200);
/// Likewise while an append is under way, which is mostly over in a moment.
pub const WAIT_FOR_APPEND: Duration = Duration::from_millis(1);
/// An append that takes longer than this is looked at less often.
pub const MOMENT: Duration = Duration::from_millis(100);
/// How long the event bus may be behind before fetching is paused. Pausing lets go of what was
/// fetched ahead, so it is not done for a hiccup.
pub const PATIENCE: Duration = Duration::from_millis(500);
/// How long an append under way is waited for when its partition is taken away. What it is not
/// known to have stored by then goes to the partition's next owner.
pub const REVOKE: Duration = Duration::from_secs(10);
/// Likewise when the source stops. It must fit into the quarter of the daemon's grace period
/// that event sources have.
pub const STOP: Duration = Duration::from_millis(4500);
/// How long leaving the group may take after that.
pub const LEAVE: Duration = Duration::from_millis(1500);

/// Without a word from a member for so long the group goes on without it: the default of Argo
/// Events' client. After a crash its partitions wait for so long.
pub const SESSION: Duration = Duration::from_secs(10);
/// How often a member says that it is there.
pub const HEARTBEAT: Duration = Duration::from_secs(3);
/// How often stored offsets are committed. What is read again after a crash is recognised.
pub const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How often the place in a single partition is kept.
pub const KEEP_EVERY: Duration = Duration::from_secs(1);
/// The longest that one question to a broker may take.
pub const CALL: Duration = Duration::from_secs(5);
/// Likewise where it is asked whether it is there at all.
pub const KNOCK: Duration = Duration::from_secs(1);
/// The longest that any answer of a broker may take; then the connection is made anew.
pub const ANSWER: Duration = Duration::from_secs(15);
/// How often it is looked whether a secret has changed.
pub const SECRETS_EVERY: Duration = Duration::from_secs(2);
