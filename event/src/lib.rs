//! The vocabulary that every part of Tripline speaks: events, actions, outcomes,
//! their ids, their places in a log, and time.
//!
//! Promises: the encodings here are the formats of the three logs. A record that
//! was written by an older version can be read; a newer one is refused by name.
//!
//! Not here: input or output of any kind, and the clock of the machine other than
//! behind [`Clock`].

pub mod action;
pub mod clock;
pub mod cloud_event;
pub mod correlation;
pub mod event;
pub mod id;
pub mod name;
pub mod outcome;
pub mod payload;
pub mod position;
pub mod record;

pub use action::{Action, ActionEvent, Origin};
pub use clock::{Clock, SystemClock};
pub use cloud_event::{Addressee, CloudEvent, Transfer};
pub use correlation::CorrelationId;
pub use event::Event;
pub use id::{ActionId, DefinitionHash, EventId};
pub use jiff::Timestamp;
pub use name::{EventKey, ObjectName, TriggerName};
pub use outcome::{Cause, DeadLetter, DropCause, Envelope, LetterEvent, Outcome, OutcomeKind};
pub use payload::RawPayload;
pub use position::Position;
pub use record::{EventsRecord, FORMAT, RecordError};
