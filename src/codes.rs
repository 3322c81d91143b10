//! The codes of what is wrong with objects as a whole, and with triggers as the daemon
//! joins them: `TL05` and two digits, and a few of `TL04`. `tripline help CODE` explains
//! each.

use tripline_config::Code;

/// A kind of object that is read but not supported yet.
pub const KIND_NOT_SUPPORTED: &str = "TL0501";
/// An object without `spec`.
pub const NO_SPEC: &str = "TL0502";
/// Two webhooks that would take the same request.
pub const CLASH: &str = "TL0503";
/// A dependency on an event that no event source has.
pub const UNKNOWN_EVENT: &str = "TL0504";

/// A trigger without a kind.
pub const NO_KIND: &str = "TL0505";
/// A trigger with more than one kind.
pub const TWO_KINDS: &str = "TL0506";
/// A field of a trigger that is not supported yet.
pub const TRIGGER_FIELD: &str = "TL0507";
/// A value in a trigger that cannot be used.
pub const TRIGGER_VALUE: &str = "TL0508";

/// What `tripline help CODE` says about the codes of this crate.
pub const CODES: &[Code] = &[
    Code {
        code: KIND_NOT_SUPPORTED,
        title: "Objects of this kind are not supported yet.",
        explanation: "The kind is known, and refusing it is better than ignoring it in silence. Everything else in the same files is used.",
    },
    Code {
        code: NO_SPEC,
        title: "The object has no `spec`.",
        explanation: "An object without `spec` says nothing. It is left out.",
    },
    Code {
        code: CLASH,
        title: "Two webhooks would take the same request.",
        explanation: "Event sources may share a port, but not a port, a method and a path. The message names both places.",
    },
    Code {
        code: UNKNOWN_EVENT,
        title: "No event source has the event that a dependency names.",
        explanation: "The dependency is never met unless an event source of that name is loaded from elsewhere. A sensor sees the event sources of its own namespace.",
    },
    Code {
        code: NO_KIND,
        title: "A trigger has no kind.",
        explanation: "`template` needs one of the kinds of triggers beside `name`: what is to be done.",
    },
    Code {
        code: TWO_KINDS,
        title: "A trigger has more than one kind.",
        explanation: "Argo Events carries out the first in its own order and ignores the others. So does Tripline, and says so.",
    },
    Code {
        code: TRIGGER_FIELD,
        title: "A field of the trigger is not supported yet.",
        explanation: "It is refused so that nobody relies on what would not happen.",
    },
    Code {
        code: TRIGGER_VALUE,
        title: "A value in the trigger cannot be used.",
        explanation: "The message says what was expected.",
    },
];
