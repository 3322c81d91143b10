//! Causes of an event as a whole, in one sentence that says what to do.

use std::collections::BTreeSet;

use tripline_event::{EventKey, ObjectName, Position};

use super::model::{Cause, Code};
use crate::query::Entry;
use crate::query::item::shortened;

impl Cause {
    pub(super) fn duplicate(position: Position, first: Position) -> Self {
        let sentence = format!(
            "the event at {position} has the id of the one at {first}, and was not evaluated again: \
             `tripline explain {first}` says what became of that one; give each message an id of its own if \
             they are not the same"
        );
        Self::new(Code::Duplicate, sentence)
    }

    pub(super) fn lag(behind: u64, running: bool) -> Self {
        let sentence = match running {
            true => format!(
                "it is not evaluated yet: {behind} records are, up to it; wait, or see in `tripline status` what \
                 holds the evaluator up"
            ),
            false => format!(
                "it was not evaluated when the daemon ended ({behind} records, up to it): start the daemon, which \
                 goes on from there"
            ),
        };
        Self::new(Code::Lag, sentence)
    }

    pub(super) fn no_sensor(key: &EventKey, near: &[(ObjectName, EventKey)]) -> Self {
        let near: Vec<String> =
            near.iter().map(|(name, key)| format!("{name} waits for {key}")).collect();
        let near = match near.as_slice() {
            [] => String::new(),
            near => format!("; {}", near.join(", ")),
        };
        let sentence = format!(
            "no sensor of namespace {} waits for {}/{}: name it in a dependency, in the event's own namespace{near}",
            key.namespace, key.source, key.name
        );
        Self::new(Code::NoSensor, sentence)
    }

    pub(super) fn not_in_force(wanted: &str, later: Option<&ObjectName>, plan: u64) -> Self {
        let sentence = match later {
            Some(name) => format!(
                "sensor {name} was not there yet when it came in (plan {plan}): send the event again, or give a \
                 new sensor `startFrom`"
            ),
            None => format!(
                "there is no sensor {}, and there was none in plan {plan}: `tripline sensors` lists those that \
                 there are",
                shortened(wanted, 160)
            ),
        };
        Self::new(Code::NotInForce, sentence)
    }

    pub(super) fn other_event(
        name: &ObjectName,
        key: &EventKey,
        waits: &BTreeSet<String>,
        others: usize,
    ) -> Self {
        let waits: Vec<&str> = waits.iter().map(String::as_str).collect();
        let others = match others {
            0 => "no sensor waits for it".to_owned(),
            1 => "one other sensor does".to_owned(),
            n => format!("{n} other sensors do"),
        };
        let sentence = format!(
            "sensor {name} does not wait for {key} ({others}), but for {}: mend the dependency, or send the event \
             there",
            shortened(&waits.join(", "), 200)
        );
        Self::new(Code::OtherEvent, sentence)
    }

    pub(super) fn never_arrived(sensor: &str, last: &Entry) -> Self {
        let subject = shortened(&last.subject, 120);
        let sentence = format!(
            "no event of this chain that sensor {} waits for has come in: the chain was last seen at {:.0}, {} \
             {subject} ({}); look there, whether it publishes, and where to",
            shortened(sensor, 120),
            last.at,
            last.step.as_str(),
            shortened(&last.detail, 160)
        );
        Self::new(Code::NeverArrived, sentence)
    }
}
