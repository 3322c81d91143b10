//! How the actions of a trigger are started and tried again: from its definition to the
//! executor's policy, and from the sensors in force to that of a trigger.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use serde_json::Value;
use tripline_config::{FieldPath, Problem};
use tripline_event::{
    Action, ActionId, Cause, DeadLetter, DefinitionHash, ObjectName, Origin, Timestamp, TriggerName,
};
use tripline_schedules::duration;
use tripline_sensors::definition::{self, Ordering, RateLimitUnit, Suspend, WhenQueued};
use tripline_triggers::executor::{
    Freeze, Overlap, RateLimit, RetryPolicy, Suspended, TriggerPolicy,
};

use super::freeze::Windows;
use crate::codes;

/// How many attempts of a trigger run at once, where its definition does not say and the
/// order at the target need not be kept.
const MAX_IN_FLIGHT: u32 = 64;
/// The longest wait between attempts where the strategy has no `cap`.
const LONGEST_WAIT: Duration = Duration::from_secs(365 * 24 * 3600);
/// How long an action of a `dlqTrigger` may wait, where its definition does not say.
const FOLLOW_UP_LIVES: Duration = Duration::from_secs(24 * 3600);

/// What of a sensor is about all of its triggers.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfSensor<'a> {
    pub(super) suspend: Option<Suspend>,
    pub(super) freeze: &'a [definition::FreezeWindow],
}

/// The policy of `trigger`, whose retry policy is `retry`.
pub(super) fn policy(
    trigger: &definition::Trigger,
    sensor: OfSensor<'_>,
    retry: RetryPolicy,
    at: &FieldPath,
    problems: &mut Vec<Problem>,
) -> TriggerPolicy {
    let default = if trigger.at_least_once { 1 } else { MAX_IN_FLIGHT };
    if trigger.max_in_flight == Some(0) {
        let message = "0 actions at once would carry nothing out";
        let problem = Problem::error(codes::TRIGGER_VALUE, at.key("maxInFlight"), message);
        problems.push(problem.help("to hold the trigger, suspend it: `suspend: queue`"));
    }
    let of_sensor = FieldPath::root().key("spec").key("freeze");
    let lists = [(sensor.freeze, of_sensor), (trigger.freeze.as_slice(), at.key("freeze"))];
    let freeze = Windows::compile(lists, problems);
    if let Some(windows) = &freeze {
        check_expiry(trigger, windows, at, problems);
    }
    TriggerPolicy {
        max_in_flight: trigger.max_in_flight.unwrap_or(default).max(1),
        retry,
        rate: trigger.rate_limit.as_ref().map(rate),
        // Dropping is the stronger word.
        suspended: match (sensor.suspend, trigger.suspend) {
            (Some(Suspend::Drop), _) | (_, Some(Suspend::Drop)) => Some(Suspended::Drop),
            (Some(Suspend::Queue), _) | (_, Some(Suspend::Queue)) => Some(Suspended::Hold),
            (None, None) => None,
        },
        strict: trigger.ordering == Some(Ordering::Strict),
        latest: trigger.when_queued == Some(WhenQueued::Latest),
        overlap: overlap(trigger, at, problems),
        freeze: freeze.map(|windows| Arc::new(windows) as Arc<dyn Freeze>),
    }
}

fn rate(limit: &definition::RateLimit) -> RateLimit {
    RateLimit {
        requests: u32::try_from(limit.requests_per_unit).unwrap_or(0).max(1),
        per: Duration::from_secs(match limit.unit {
            RateLimitUnit::Second => 1,
            RateLimitUnit::Minute => 60,
            RateLimitUnit::Hour => 3600,
        }),
    }
}

fn overlap(trigger: &definition::Trigger, at: &FieldPath, problems: &mut Vec<Problem>) -> Overlap {
    use definition::Overlap as Written;
    let written = trigger.overlap.unwrap_or(Written::AllowAll);
    match written {
        Written::AllowAll => Overlap::AllowAll,
        Written::Skip => Overlap::Skip,
        Written::BufferOne => Overlap::BufferOne,
        Written::BufferAll => Overlap::BufferAll,
        Written::CancelOther | Written::TerminateOther => {
            if !starts_workflows(trigger) {
                let message = format!(
                    "`{written:?}` stops workflows, and the trigger starts none: the newest waits until the one before it was carried out"
                );
                let at = at.key("overlap");
                let problem = Problem::warning(codes::TRIGGER_FIELD, at, message);
                problems.push(problem.help("`whenQueued: latest` does the same"));
            }
            match written {
                Written::CancelOther => Overlap::CancelOther,
                _ => Overlap::TerminateOther,
            }
        }
    }
}

fn starts_workflows(trigger: &definition::Trigger) -> bool {
    let workflow = trigger.template.as_ref().and_then(|template| template.argo_workflow.as_ref());
    workflow.is_some_and(|config| {
        let operation = config.get("operation").and_then(Value::as_str).unwrap_or_default();
        ["", "submit", "submit-from", "resubmit"].contains(&operation)
    })
}

/// What is decided in a window must not expire before its end, unless somebody wants that.
fn check_expiry(
    trigger: &definition::Trigger,
    windows: &Windows,
    at: &FieldPath,
    problems: &mut Vec<Problem>,
) {
    if !trigger.expires_after.is_empty() || windows.longest() < FOLLOW_UP_LIVES {
        return;
    }
    let message = format!(
        "actions expire after 24h, and a freeze window is {} long: what is decided early in it becomes a dead letter",
        duration::format_go(windows.longest().try_into().unwrap_or_default())
    );
    let problem = Problem::warning(codes::FREEZE_EXPIRES, at.key("expiresAfter"), message);
    problems.push(problem.help("say how long an action may wait: `expiresAfter: 72h`"));
}

/// The longest wait between attempts.
pub(super) fn cap(
    backoff: &definition::Backoff,
    at: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Duration {
    if backoff.cap.is_empty() {
        return LONGEST_WAIT;
    }
    let parsed = duration::parse_go(&backoff.cap).map_err(|error| error.to_string());
    let cap =
        parsed.and_then(|cap| Duration::try_from(cap).map_err(|_| "it is less than 0".to_owned()));
    cap.unwrap_or_else(|reason| {
        problems.push(Problem::error(codes::TRIGGER_VALUE, at.key("cap"), reason));
        LONGEST_WAIT
    })
}

/// The trigger that a `dlqTrigger` makes of its own.
#[derive(Clone, Debug)]
pub struct FollowUp {
    /// Its name.
    pub trigger: String,
    /// How long its actions may wait.
    pub lives: Duration,
    /// The cluster that it names.
    pub target: Option<String>,
}

/// The `dlqTrigger` of `trigger`, with its place; none where it has none.
pub(super) fn follow_up(
    trigger: &definition::Trigger,
    taken: &[&str],
    at: &FieldPath,
    problems: &mut Vec<Problem>,
) -> Option<(FollowUp, definition::Trigger)> {
    let mut written = trigger.dlq_trigger.as_deref()?.clone();
    let at = at.key("dlqTrigger");
    let template = written.template.as_mut()?;
    if template.name.is_empty() {
        let parent = trigger.template.as_ref().map_or("", |template| &template.name);
        template.name = format!("{parent}-dlq");
    }
    let name = template.name.clone();
    let mut error = |code: &str, field: &str, message: &str| {
        problems.push(Problem::error(code, at.key(field), message));
    };
    if taken.contains(&name.as_str()) {
        let message = format!("a trigger of the sensor is called `{name}` too");
        error(codes::TRIGGER_VALUE, "template", &message);
    }
    if written.clusters.len() > 1 || written.cluster_from.is_some() {
        let field = if written.cluster_from.is_some() { "clusterFrom" } else { "clusters" };
        error(codes::TRIGGER_FIELD, field, "a `dlqTrigger` acts in one cluster");
    }
    let lives = match written.expires_after.as_str() {
        "" => Some(FOLLOW_UP_LIVES),
        text => duration::parse_go(text).ok().and_then(|lives| Duration::try_from(lives).ok()),
    };
    if lives.is_none() {
        error(codes::TRIGGER_VALUE, "expiresAfter", "a duration is expected, such as `24h`");
    }
    if written.dlq_trigger.take().is_some() {
        let message = "it has no effect: a `dlqTrigger` of a `dlqTrigger` is not carried out";
        let at = at.key("dlqTrigger");
        problems.push(Problem::warning(codes::TRIGGER_FIELD, at, message));
    }
    let follow_up = FollowUp {
        trigger: name,
        lives: lives.unwrap_or(FOLLOW_UP_LIVES),
        target: written.clusters.first().cloned(),
    };
    Some((follow_up, written))
}

impl FollowUp {
    fn name(&self, action: &Action) -> TriggerName {
        TriggerName::new(&action.trigger.sensor_name(), &self.trigger)
    }

    /// What the action that follows from this round of `action` is called.
    pub(super) fn id(&self, action: &Action) -> ActionId {
        let events = action.events.iter();
        let identities = events.map(|event| (event.dependency.as_str(), &event.key, &event.id));
        let id = ActionId::new(&self.name(action), identities, action.generation);
        id.at(&format!("{}/{}", action.id, action.round))
    }

    /// The action that follows from `action`, which has become `letter`.
    pub(super) fn action(
        &self,
        action: &Action,
        letter: &DeadLetter,
        now: Timestamp,
    ) -> Option<Action> {
        // A loop is not made longer.
        if letter.cause == Cause::Loop || matches!(action.origin, Origin::DeadLetter { .. }) {
            return None;
        }
        let mut links = action.links.clone();
        links.causation = Some(action.id.to_string());
        Some(Action {
            id: self.id(action),
            trigger: self.name(action),
            links,
            decided_at: now,
            expires_at: now.checked_add(self.lives).unwrap_or(Timestamp::MAX),
            round: 0,
            attempted: false,
            target: self.target.clone(),
            origin: Origin::DeadLetter { of: action.id.clone() },
            ..action.clone()
        })
    }
}

/// Which definition of each sensor is in force: its triggers' policies count for all actions
/// that wait, whichever definition decided them.
#[derive(Debug, Default)]
pub struct InForce {
    state: RwLock<(u64, HashMap<ObjectName, DefinitionHash>)>,
}

impl InForce {
    /// The definition of the sensor.
    pub fn of(&self, sensor: &ObjectName) -> Option<DefinitionHash> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).1.get(sensor).cloned()
    }

    /// All of them.
    pub fn all(&self) -> Vec<DefinitionHash> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.1.values().cloned().collect()
    }

    /// From now on these are, of plan `number`, unless those of a newer plan are.
    pub fn set(&self, number: u64, definitions: HashMap<ObjectName, DefinitionHash>) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        if number >= state.0 {
            *state = (number, definitions);
        }
    }
}
