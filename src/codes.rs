//! The codes of what is wrong with objects as a whole, and with triggers as the daemon
//! joins them: `TL05` and two digits, and a few of `TL04`. `tripline help CODE` explains
//! each.

tripline_config::codes! {
    KIND_NOT_SUPPORTED = "TL0501", "Objects of this kind are not supported yet.",
        "The kind is known, and refusing it is better than ignoring it in silence. Everything else in the same files is used.";
    NO_SPEC = "TL0502", "The object has no `spec`.",
        "An object without `spec` says nothing. It is left out.";
    CLASH = "TL0503", "Two webhooks would take the same request.",
        "Event sources may share a port, but not a port, a method and a path. The message names both places.";
    UNKNOWN_EVENT = "TL0504", "No event source has the event that a dependency names.",
        "The dependency is never met unless an event source of that name is loaded from elsewhere. A sensor sees the event sources of its own namespace.";
    NO_KIND = "TL0505", "A trigger has no kind.",
        "`template` needs one of the kinds of triggers beside `name`: what is to be done.";
    TWO_KINDS = "TL0506", "A trigger has more than one kind.",
        "Argo Events carries out the first in its own order and ignores the others. So does Tripline, and says so.";
    TRIGGER_FIELD = "TL0507", "A field of the trigger is not supported yet.",
        "It is refused so that nobody relies on what would not happen.";
    SCHEDULE = "TL0520", "A schedule is wrong.",
        "The message says which field of the CronWorkflow, Schedule or HolidayCalendar, and what was expected. `tripline schedule next FILE` shows when a schedule occurs.";
    TRIGGER_VALUE = "TL0508", "A value in the trigger cannot be used.",
        "The message says what was expected.";
    TEXT_BODY = "TL0509", "A filter looks into a body that the event source does not read as JSON.",
        "Without `jsonBody: true` the body of a message is text, and a path into it never finds anything: the filter fails with every event.";
    UNKNOWN_CLUSTER = "TL0530", "A trigger names a cluster that nothing describes.",
        "Its actions wait until there is a `Cluster` of that name, or the daemon runs with `--context` of that name. Then they expire.";
    EVENT_BUS = "TL0540", "The event bus is wrong.",
        "One daemon has one event bus. An EventBus says JetStream on a server (`jetstreamExotic`), or JetStream where `--nats` says (`jetstream`); the message says what cannot be used.";
    INTEROP = "TL0541", "A bus of Argo Events is not described as it must be, or cannot carry an event source.",
        "With `interop: argoEvents` an EventBus says where Argo Events' bus is, and where sensors begin there that are taken over. Its subjects are made of the names of event sources and events, which therefore have no dots, spaces, `*` or `>`.";
    CLUSTER_TWICE = "TL0531", "Two Clusters have the same name.",
        "Actions name a cluster by its name alone, whichever namespace the object is in: its namespace only says where its Secret is.";
    SENSOR_TEST = "TL0550", "A SensorTest is wrong.",
        "The message says what of it cannot be run: a sensor or trigger that is not in the same files, an event that nothing waits for, a time, a file, or a case that expects nothing and so would never fail. Sensors are used all the same.";
    FREEZE = "TL0560", "A freeze window is wrong.",
        "A window has `schedule` (a cron expression) and `duration`, or `from` and `to`. The message says which field cannot be used. The page on controls has examples.";
    FREEZE_EXPIRES = "TL0561", "What waits for the end of a freeze window may expire before it.",
        "An action that is not started within `expiresAfter` (24 hours, if not given) is a dead letter. In a window that is longer than that, what is decided early is one before the window ends.";
    REAL_UPSTREAM = "TL0532", "An event source with a real upstream, and a daemon that only records workflows.",
        "Messages of Pub/Sub or SQS that are taken are acknowledged, and gone for everybody else. Without `--context` or `--target`, workflows are kept in the data directory and do not run. An emulator (`PUBSUB_EMULATOR_HOST`, `endpoint`) is taken as it is; for the real service say where workflows go, or `--target local` if recording them is what you want.";
}

/// Every code that a message can carry, whichever part of Tripline gives it.
pub fn all() -> impl Iterator<Item = &'static tripline_config::Code> {
    [
        tripline_config::codes::CODES,
        tripline_eventsources::codes::CODES,
        tripline_sensors::codes::CODES,
        tripline_triggers::codes::CODES,
        CODES,
    ]
    .into_iter()
    .flatten()
}

/// What a code means.
pub fn explain(code: &str) -> Option<&'static tripline_config::Code> {
    all().find(|known| known.code == code)
}
