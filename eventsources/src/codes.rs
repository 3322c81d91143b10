//! The codes of the problems that this crate reports: TL02 and two digits.

/// A key of `spec` that holds a mapping and is no kind of event source.
pub const UNKNOWN_KIND: &str = "TL0200";
/// A kind of event source that Argo Events has and Tripline does not have yet.
pub const KIND_NOT_SUPPORTED: &str = "TL0201";
/// `filter` on an event: it would have to be obeyed, and is not supported yet.
pub const FILTER_NOT_SUPPORTED: &str = "TL0202";
/// `persistence` of a calendar.
pub const PERSISTENCE_NOT_SUPPORTED: &str = "TL0203";
/// The same event name under two kinds of one event source.
pub const DUPLICATE_EVENT: &str = "TL0204";
/// A value of the wrong shape.
pub const WRONG_SHAPE: &str = "TL0205";
/// A field of `spec` that nobody knows.
pub const UNKNOWN_FIELD: &str = "TL0206";
/// An event source without events.
pub const NO_EVENTS: &str = "TL0207";

/// A webhook's endpoint that is no path.
pub const ENDPOINT: &str = "TL0210";
/// A webhook's port that is no port.
pub const PORT: &str = "TL0211";
/// A webhook's method that no request can have an answer 200 for.
pub const METHOD: &str = "TL0212";
/// Two webhooks that cannot be told apart.
pub const CLASH: &str = "TL0213";
/// A certificate without a key, or webhooks of one port that differ in their TLS.
pub const TLS: &str = "TL0214";
/// A payload limit that is none.
pub const PAYLOAD_LIMIT: &str = "TL0215";
/// An `idempotencyKey` that names nothing, or two things.
pub const IDEMPOTENCY_KEY: &str = "TL0216";
/// The port cannot be listened on.
pub const LISTEN: &str = "TL0217";

/// A calendar with neither `schedule` nor `interval`.
pub const NO_SCHEDULE: &str = "TL0220";
/// A `schedule` that is no cron expression.
pub const SCHEDULE: &str = "TL0221";
/// An `interval` that is no duration of a second or more.
pub const INTERVAL: &str = "TL0222";
/// A `timezone` that is unknown.
pub const TIMEZONE: &str = "TL0223";
/// An entry of `exclusionDates` that excludes nothing.
pub const EXCLUSION_DATE: &str = "TL0224";
