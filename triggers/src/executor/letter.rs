//! Dead letters, with copies of the events: trimming the log must not take them away.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use bytes::Bytes;
use serde_json::Value;
use tripline_event::{
    Action, ActionEvent, Cause, DeadLetter, Envelope, Event, LetterEvent, Outcome, OutcomeKind,
};

/// The most bytes of an error that are kept in an outcome.
const ERROR_BYTES: usize = 4096;

/// The dead letter of `action`. `events` are in the order of `action.events`; `Err` is why
/// there are none.
pub(super) fn dead_letter(
    action: &Action,
    attempts: u32,
    cause: Cause,
    error: &str,
    events: Result<&[Arc<Event>], &str>,
) -> DeadLetter {
    let (events, error) = match events {
        Ok(events) => (copies(action, events), error.to_owned()),
        Err(gone) => {
            let none = || action.events.iter().map(|of| letter_event(of, Value::Null)).collect();
            // Of one that was sent back after trimming, the record has them.
            let kept = (!action.copies.is_empty()).then(|| action.copies.clone());
            let events = kept.unwrap_or_else(none);
            (events, format!("{error} (no copy of the events: {gone})"))
        }
    };
    DeadLetter {
        action: Some(action.id.clone()),
        trigger: Some(action.trigger.clone()),
        round: action.round,
        attempts,
        cause,
        error: cut(error),
        events,
        record: Some(Box::new(Action { copies: Vec::new(), ..action.clone() })),
        sensor: None,
    }
}

fn copies(action: &Action, events: &[Arc<Event>]) -> Vec<LetterEvent> {
    let pairs = action.events.iter().zip(events);
    let copy = |(of, event): (&ActionEvent, &Arc<Event>)| LetterEvent {
        envelope: Some(Box::new(Envelope::of(event))),
        ..letter_event(of, data_of(event))
    };
    pairs.map(copy).collect()
}

fn letter_event(of: &ActionEvent, data: Value) -> LetterEvent {
    LetterEvent {
        dependency: Some(of.dependency.clone()),
        key: of.key.clone(),
        id: of.id.clone(),
        position: of.position,
        data,
        raw: None,
        envelope: None,
    }
}

fn data_of(event: &Event) -> Value {
    let Some(data) = &event.data else { return Value::Null };
    let json = event.content_type == tripline_event::event::JSON;
    let value = json.then(|| serde_json::from_slice(data).ok()).flatten();
    value.unwrap_or_else(|| Value::String(BASE64.encode(data)))
}

/// The error, as much of it as an outcome keeps.
pub(super) fn cut(mut error: String) -> String {
    if error.len() > ERROR_BYTES {
        error.truncate(error.floor_char_boundary(ERROR_BYTES));
        error.push('…');
    }
    error
}

/// Leaves the payloads out of the dead letter `record`, which is too large for the bus,
/// and says so in its error.
pub(super) fn shrink(record: &mut Bytes, limit: usize) {
    let size = record.len();
    let Ok(mut outcome) = Outcome::decode(record) else { return };
    if let OutcomeKind::DeadLettered(letter) = &mut outcome.kind {
        for event in &mut letter.events {
            event.data = Value::Null;
        }
        letter.error.push_str(&format!(
            " (no copy of the payloads: {size} bytes are too large, the bus takes {limit})"
        ));
        *record = outcome.encode();
    }
}
