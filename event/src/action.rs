//! An action: that a trigger is to be carried out, as it was decided.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Links;
use crate::outcome::LetterEvent;
use crate::{ActionId, DefinitionHash, EventId, EventKey, Position, TriggerName};

/// One record of the ACTIONS log. It is open until an [`crate::Outcome`] of the same
/// id and round closes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Action {
    /// A hash of what was decided.
    pub id: ActionId,
    /// The trigger to carry out.
    pub trigger: TriggerName,
    /// The definition of the sensor that decided; the action is rendered with this one,
    /// whatever the sensor is today.
    pub definition: DefinitionHash,
    /// The events that fired it, one for each dependency, in the order of the names.
    pub events: Vec<ActionEvent>,
    /// The record of the EVENTS log that completed the condition.
    pub cause: Position,
    /// The links of the event that completed the condition; `hops` is one more.
    pub links: Links,
    /// Log time of the decision.
    pub decided_at: Timestamp,
    /// After this the action is not started any more, but is a dead letter.
    pub expires_at: Timestamp,
    /// 0; a replay that was forced takes the next.
    #[serde(default)]
    pub generation: u32,
    /// How many times a dead letter of this action was sent back. An outcome closes the
    /// round that it names.
    #[serde(default)]
    pub round: u32,
    /// An attempt may have been made without a record of its own: the action was handed
    /// to its target as soon as it was durable.
    #[serde(default)]
    pub attempted: bool,
    /// Where it is carried out, bound when it was decided: `local`, or the name of a cluster.
    /// None where its kind has no choice of targets, and in records of before there were
    /// clusters, when all workflows went to `local`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// What the trigger's `key` found in the event that completed the condition: actions of
    /// one trigger, target and key are in one lane. None where the trigger has no `key`, the
    /// event nothing at its path, and in records of before there were keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
    /// Who asked for it, where it was not the evaluator.
    #[serde(default, skip_serializing_if = "Origin::is_decided")]
    pub origin: Origin,
    /// Copies of its events, in the order of `events`, where the log does not have them any
    /// more: a dead letter was sent back after they were trimmed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub copies: Vec<LetterEvent>,
}

/// Where an action comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum Origin {
    /// The evaluator decided it when its event was new.
    #[default]
    Decided,
    /// An operator had past events replayed.
    Replay {
        /// Which replay: who, and when, as it stands in the `operator` outcome.
        id: String,
    },
    /// Another action became a dead letter, and its trigger has a `dlqTrigger`.
    DeadLetter {
        /// The action that became one.
        of: ActionId,
    },
}

impl Action {
    /// Whether it has its events with it, so that they are not read from the log.
    pub const fn has_copies(&self) -> bool {
        !self.copies.is_empty() && self.copies.len() == self.events.len()
    }
}

impl Origin {
    /// The evaluator decided it.
    pub const fn is_decided(&self) -> bool {
        matches!(self, Self::Decided)
    }
}

/// The event that satisfied a dependency.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ActionEvent {
    /// The dependency's name.
    pub dependency: String,
    /// The event's namespace, event source and name.
    pub key: EventKey,
    /// The event's id.
    pub id: EventId,
    /// Where the event stands in the EVENTS log.
    pub position: Position,
    /// The event's correlation id, so that a join is found under each.
    pub correlation: crate::CorrelationId,
}
