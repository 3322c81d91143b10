//! An action: that a trigger is to be carried out, as it was decided.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::event::Links;
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
