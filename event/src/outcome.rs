//! What became of events, actions and workflows, and who did what.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::event::Links;
use crate::{
    Action, ActionId, CloudEvent, CorrelationId, Event, EventId, EventKey, ObjectName, Position,
    RawPayload, TriggerName,
};

/// One record of the OUTCOMES log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// When it happened.
    pub at: Timestamp,
    /// The correlation id under which the whole chain is found; none for what an operator did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub correlation: Option<CorrelationId>,
    /// What happened.
    #[serde(flatten)]
    pub kind: OutcomeKind,
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum OutcomeKind {
    /// An attempt is about to be made. Durable before the target is first called, unless
    /// the action's own record says that it was attempted.
    Attempted {
        /// The action.
        action: ActionId,
        /// Its round.
        round: u32,
        /// Which attempt, from 1.
        attempt: u32,
        /// Its trigger; none in records of before rate limits were kept over restarts.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        trigger: Option<TriggerName>,
    },
    /// An attempt failed and another one follows.
    Retrying {
        /// The action.
        action: ActionId,
        /// Its trigger.
        trigger: TriggerName,
        /// Its round.
        round: u32,
        /// Which attempt failed, from 1.
        attempt: u32,
        /// Why.
        error: String,
        /// When the next one is made.
        next: Timestamp,
        /// Neither this attempt nor one before it has done anything at the target, for
        /// certain: the next one is as the first.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        untouched: bool,
    },
    /// The action was carried out. Closes the action.
    Succeeded {
        /// The action.
        action: ActionId,
        /// Its trigger.
        trigger: TriggerName,
        /// Its round.
        round: u32,
        /// Which attempt succeeded, from 1.
        attempt: u32,
        /// From the decision to here, in milliseconds.
        took_ms: u64,
        /// The hops of the action's chain: what this led to goes on from there.
        #[serde(default)]
        hops: u16,
        /// What the target answered.
        result: TargetResult,
    },
    /// The action, or the event, will not be carried out. Closes the action.
    DeadLettered(Box<DeadLetter>),
    /// A waiting action was dropped: by an operator, or by a rule of its trigger. Closes the
    /// action.
    Dropped {
        /// The action.
        action: ActionId,
        /// Its trigger.
        trigger: TriggerName,
        /// Its round.
        round: u32,
        /// Who and why.
        reason: String,
        /// Why, as a word; none in records of before there was one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        cause: Option<DropCause>,
        /// The action that took its place, or was in its way.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        by: Option<ActionId>,
    },
    /// An event whose id had been seen within the window; it was not evaluated.
    Duplicate {
        /// The event's key.
        key: EventKey,
        /// The event's id.
        id: EventId,
        /// Where the repetition stands.
        position: Position,
        /// Where the first one stands.
        first: Position,
    },
    /// An event source refused what came in, before it was an event.
    Refused {
        /// The event's key.
        key: EventKey,
        /// Why.
        reason: String,
        /// How many were refused for this reason since the last such record.
        count: u64,
    },
    /// Ticks of a calendar or schedule were passed over and are not made up.
    Missed {
        /// The event's key.
        key: EventKey,
        /// The first of them.
        from: Timestamp,
        /// The last of them.
        to: Timestamp,
        /// How many.
        count: u64,
    },
    /// A workflow that Tripline submitted reached a phase.
    Workflow {
        /// Where it runs.
        target: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// `Recorded`, `Pending`, `Running`, `Succeeded`, `Failed`, `Error`; `Deleted` where it
        /// was removed before it had ended; `Unknown` where it cannot be followed.
        phase: String,
        /// The action that submitted it.
        action: ActionId,
        /// Why, in the words of whoever ran it, or why it cannot be followed.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        message: Option<String>,
    },
    /// The circuit of a target was opened or closed. While it is open, one attempt at a time
    /// is made there.
    Circuit {
        /// The target, as it is named to pause it.
        target: String,
        /// Whether it is open now.
        open: bool,
        /// How many attempts in a row had failed.
        failures: u32,
        /// The error of the latest of them.
        error: String,
    },
    /// Actions of a trigger wait for the end of a freeze window.
    Frozen {
        /// The trigger.
        trigger: TriggerName,
        /// The end of the window.
        until: Timestamp,
        /// The name of the window.
        window: String,
    },
    /// Somebody did something: paused, resumed, dropped, retried.
    Operator {
        /// Who: the user of the socket, or the token's name.
        who: String,
        /// What: `pause`, `resume`, `drop`, `retry`, …
        did: String,
        /// To what.
        subject: String,
        /// Why, in their words.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// How many actions or letters it was done to, where they were counted.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        count: Option<u64>,
    },
}

/// Why a waiting action was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum DropCause {
    /// An operator dropped it.
    Operator,
    /// Its sensor or trigger has `suspend: drop`.
    Suspended,
    /// Its trigger has `whenQueued: latest`, and a newer one of its key waits; or an operator
    /// who resumed it wanted the newest alone.
    Superseded,
    /// An earlier one of its key was running, and its trigger's `overlap` is against that.
    Overlap,
    /// The schedule that started it does not want it any more.
    Schedule,
}

impl DropCause {
    /// The cause as it stands in records and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Suspended => "suspended",
            Self::Superseded => "superseded",
            Self::Overlap => "overlap",
            Self::Schedule => "schedule",
        }
    }
}

impl std::fmt::Display for DropCause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// What a target answered to an action that was carried out.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase")]
pub enum TargetResult {
    /// A workflow was created, or was there already with this action's id.
    Workflow {
        /// Where: `local`, or the cluster's name.
        target: String,
        /// Its namespace.
        namespace: String,
        /// Its name.
        name: String,
        /// It was there already.
        #[serde(default)]
        already: bool,
    },
    /// An object of another kind was created, or was there already with this action's id.
    Object {
        /// Where: the cluster's name.
        target: String,
        /// Its `apiVersion`.
        api_version: String,
        /// Its `kind`.
        kind: String,
        /// Its namespace; none where the kind has none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        namespace: Option<String>,
        /// Its name.
        name: String,
        /// It was there already.
        #[serde(default)]
        already: bool,
    },
    /// An HTTP request was answered.
    Http {
        /// The status.
        status: u16,
    },
    /// A message system has taken a message, and has said so.
    Message {
        /// Where it was sent, with the word for what that is: `queue builds`.
        to: String,
        /// What the system knows it by: its id, or its place.
        id: String,
    },
    /// A line was logged.
    Logged,
}

/// An action or event that is not carried out, with everything that is needed to find
/// out why and to send it again.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct DeadLetter {
    /// The action; none for an event that never became one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub action: Option<ActionId>,
    /// The action's trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<TriggerName>,
    /// The action's round.
    #[serde(default)]
    pub round: u32,
    /// How many attempts were made.
    #[serde(default)]
    pub attempts: u32,
    /// Why, as a word to group by.
    pub cause: Cause,
    /// Why, in full.
    pub error: String,
    /// Copies of the events: log trimming must not take them away.
    pub events: Vec<LetterEvent>,
    /// The action as it was decided, so that the letter can be sent back when ACTIONS has it no
    /// more; none for what never became an action, and in letters of before they had it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub record: Option<Box<Action>>,
    /// The sensor that held what was parked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sensor: Option<ObjectName>,
}

/// A copy of an event in a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct LetterEvent {
    /// The dependency that it satisfied, if any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dependency: Option<String>,
    /// The event's key.
    pub key: EventKey,
    /// The event's id.
    pub id: EventId,
    /// Where it stood in the EVENTS log; zero for what never became an event.
    pub position: Position,
    /// Its payload: JSON, or a string of base64 where it was none.
    pub data: Value,
    /// For what never became an event: what came in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<Box<RawPayload>>,
    /// What else the event was made of; none in letters of before they had it, and for what
    /// never became an event.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub envelope: Option<Box<Envelope>>,
}

/// What an event is made of beside its key, id and payload.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Envelope {
    /// The CloudEvents type.
    #[serde(rename = "type")]
    pub kind: String,
    /// When it was taken in.
    pub time: Timestamp,
    /// `datacontenttype`.
    pub content_type: String,
    /// Its links.
    pub links: Links,
    /// What it said as a CloudEvent, where it was one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cloud_event: Option<Box<CloudEvent>>,
}

impl Envelope {
    /// What `event` is made of beside its key, id and payload.
    pub fn of(event: &Event) -> Self {
        Self {
            kind: event.kind.clone(),
            time: event.time,
            content_type: event.content_type.clone(),
            links: event.links.clone(),
            cloud_event: event.cloud_event.clone(),
        }
    }
}

impl LetterEvent {
    /// The event that this is a copy of; none where the copy has no envelope, or no payload
    /// because it was too large.
    pub fn event(&self) -> Option<Event> {
        let envelope = self.envelope.as_deref()?;
        let data = match &self.data {
            Value::Null => None,
            Value::String(text) if envelope.content_type != crate::event::JSON => {
                Some(BASE64.decode(text).ok()?.into())
            }
            value => Some(serde_json::to_vec(value).ok()?.into()),
        };
        Some(Event {
            key: self.key.clone(),
            id: self.id.clone(),
            kind: envelope.kind.clone(),
            time: envelope.time,
            content_type: envelope.content_type.clone(),
            data,
            links: envelope.links.clone(),
            cloud_event: envelope.cloud_event.clone(),
        })
    }
}

/// Why something is a dead letter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Cause {
    /// The parameters could not be resolved, or the template not be filled.
    Render,
    /// The target refused, for another reason than the three that follow.
    Refused,
    /// The target knows who asks, and does not allow it: 403.
    Forbidden,
    /// What it is to be done in is not there: a namespace, or a kind of object. 404.
    NotFound,
    /// The target says that what it was given is not valid: 400, 422.
    Invalid,
    /// Every attempt failed.
    Exhausted,
    /// It was not started, or did not succeed, before it expired.
    Expired,
    /// An object of that name is there and is not this action's.
    NameTaken,
    /// It was attempted before a crash, and whether it was carried out cannot be found out.
    Unknown,
    /// The chain has more hops than `maxHops`.
    Loop,
    /// The event held back the log longer than its share.
    Parked,
    /// The payload is not what the event source was told to expect.
    Malformed,
}

impl Cause {
    /// The cause as it stands in records, metrics and commands.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Render => "render",
            Self::Refused => "refused",
            Self::Forbidden => "forbidden",
            Self::NotFound => "notFound",
            Self::Invalid => "invalid",
            Self::Exhausted => "exhausted",
            Self::Expired => "expired",
            Self::NameTaken => "nameTaken",
            Self::Unknown => "unknown",
            Self::Loop => "loop",
            Self::Parked => "parked",
            Self::Malformed => "malformed",
        }
    }
}

impl std::fmt::Display for Cause {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl OutcomeKind {
    /// The action and round that this outcome closes, if it closes one.
    pub fn closes(&self) -> Option<(&ActionId, u32)> {
        match self {
            Self::Succeeded { action, round, .. } | Self::Dropped { action, round, .. } => {
                Some((action, *round))
            }
            Self::DeadLettered(letter) => letter.action.as_ref().map(|id| (id, letter.round)),
            _ => None,
        }
    }
}
