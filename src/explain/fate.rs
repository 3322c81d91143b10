//! What became of what an event led to: actions, attempts, outcomes, and of what was held.

use jiff::Timestamp;
use tripline_bus::Log;
use tripline_event::outcome::TargetResult;
use tripline_event::{
    Action, Cause as LetterCause, DeadLetter, DropCause, EventsRecord, Outcome, OutcomeKind,
    Position,
};
use tripline_sensors::evaluator::{Off, Trigger};
use tripline_triggers::executor::{Renderer as _, Scope, Suspended};

use super::handle::Found;
use super::model::{ActionView, Cause, Code, SensorView, Step, TriggerView};
use super::past::{Applied, Past};
use super::{Context, ExplainError};
use crate::control::api::Held;
use crate::daemon::pauses;
use crate::engine::definitions::CompiledSensor;
use crate::index::handles::Handle;
use crate::index::holding;
use crate::query::item::{facts, shortened};
use crate::query::relative;

/// So many records behind an event it is looked what became of it while it was held.
const MAX_FOLLOWED: u64 = 50_000;
/// The most characters of an error in a sentence.
const EXCERPT: usize = 300;

/// Adds to what a sensor decided what became of it.
pub(super) async fn follow(
    cx: &Context<'_>,
    view: &mut SensorView,
    position: Position,
    found: &Found,
) -> Result<(), ExplainError> {
    for trigger in &mut view.triggers {
        let of_trigger = found.actions.iter().filter(|(_, action)| {
            action.trigger == trigger.name
                && action.events.iter().any(|event| event.position == position)
        });
        for (at, action) in of_trigger {
            let action = self::action(cx, *at, action, found).await?;
            trigger.actions.push(action);
        }
        trigger.conclude();
    }
    view.conclude();
    Ok(())
}

impl TriggerView {
    /// What became of its actions is what became of it.
    fn conclude(&mut self) {
        let worst = self.actions.iter().rev().find(|action| !action.cause.code.is_good());
        // The latest round says how it ended.
        let last = self.actions.last();
        let of = match (last, worst) {
            (Some(last), _) if last.round > 0 => last,
            (_, Some(worst)) => worst,
            (Some(last), None) => last,
            (None, None) => {
                if self.fired {
                    let name = &self.name.trigger;
                    self.cause = Cause::new(Code::Fired, format!("trigger {name} fired"));
                }
                return;
            }
        };
        self.cause = of.cause.clone();
        if !self.fired && !self.missing.is_empty() {
            let waited = self.missing.join(" or ");
            self.cause.sentence = format!("held until `{waited}` came; then {}", of.cause.sentence);
        }
    }
}

async fn action(
    cx: &Context<'_>,
    position: Position,
    action: &Action,
    found: &Found,
) -> Result<ActionView, ExplainError> {
    let outcomes: Vec<&Outcome> = found.of_action(action).collect();
    let closing = outcomes.iter().find(|outcome| outcome.kind.closes().is_some());
    let cause = match closing {
        Some(outcome) => closed(action, outcome, &outcomes),
        None => open(cx, action, &outcomes).await?,
    };
    let attempts = outcomes.iter().map(|outcome| attempts(&outcome.kind)).max().unwrap_or(0);
    Ok(ActionView {
        id: action.id.clone(),
        round: action.round,
        position,
        decided_at: action.decided_at,
        target: action.target.clone(),
        attempts,
        outcomes: outcomes.iter().map(|outcome| step(outcome)).collect(),
        closed: closing.is_some(),
        cause,
    })
}

fn attempts(kind: &OutcomeKind) -> u32 {
    match kind {
        OutcomeKind::Attempted { attempt, .. }
        | OutcomeKind::Retrying { attempt, .. }
        | OutcomeKind::Succeeded { attempt, .. } => *attempt,
        OutcomeKind::DeadLettered(letter) => letter.attempts,
        _ => 0,
    }
}

fn step(outcome: &Outcome) -> Step {
    let facts = facts(&outcome.kind);
    Step { at: outcome.at, outcome: facts.kind.to_owned(), detail: facts.summary }
}

/// Why an action that is closed ended as it did.
fn closed(action: &Action, outcome: &Outcome, all: &[&Outcome]) -> Cause {
    match &outcome.kind {
        OutcomeKind::Succeeded { result, .. } => succeeded(outcome, result, all),
        OutcomeKind::DeadLettered(letter) => dead(action, letter),
        OutcomeKind::Dropped { reason, cause, by, .. } => {
            let by = by.as_ref().map(|by| format!(" by action {by}")).unwrap_or_default();
            let reason = shortened(reason, EXCERPT);
            match cause {
                Some(DropCause::Superseded) => Cause::new(
                    Code::Superseded,
                    format!(
                        "it waited, and was superseded{by} ({reason}): that one does what this was to do; \
                         drop `whenQueued: latest` if each is to be carried out"
                    ),
                ),
                Some(DropCause::Overlap) => Cause::new(
                    Code::Overlap,
                    format!(
                        "an earlier one of its key was running{by} ({reason}): change the trigger's `overlap` \
                         if both are to run"
                    ),
                ),
                _ => Cause::new(
                    Code::Dropped,
                    format!("it was dropped ({reason}): publish its event again if it is needed"),
                ),
            }
        }
        _ => Cause::new(Code::Fired, "it is closed"),
    }
}

/// The phase that a workflow of the action reached last, and what was said about it.
fn phase<'o>(all: &[&'o Outcome]) -> Option<(&'o str, &'o str)> {
    all.iter().rev().find_map(|outcome| match &outcome.kind {
        OutcomeKind::Workflow { phase, message, .. } => {
            Some((phase.as_str(), message.as_deref().unwrap_or_default()))
        }
        _ => None,
    })
}

/// Whether an error says that a template of workflows is not there.
fn names_missing_template(error: &str) -> bool {
    let error = error.to_ascii_lowercase();
    error.contains("template")
        && (error.contains("not found") || error.contains("no workflowtemplate"))
}

fn succeeded(outcome: &Outcome, result: &TargetResult, all: &[&Outcome]) -> Cause {
    let summary = facts(&outcome.kind).summary;
    match phase(all) {
        Some((phase @ ("Failed" | "Error"), message)) if names_missing_template(message) => {
            Cause::new(
                Code::TemplateMissing,
                format!(
                    "it was carried out ({summary}), and the workflow is {phase} because a template is not \
                     there ({}): create it, then send the event again",
                    shortened(message, EXCERPT)
                ),
            )
        }
        Some((phase, message)) if !matches!(result, TargetResult::Logged) => {
            let why = match message {
                "" => String::new(),
                message => format!(" ({})", shortened(message, EXCERPT)),
            };
            Cause::new(
                Code::Succeeded,
                format!("it was carried out: {summary}; the workflow is {phase}{why}"),
            )
        }
        _ => Cause::new(Code::Succeeded, format!("it was carried out: {summary}")),
    }
}

fn dead(action: &Action, letter: &DeadLetter) -> Cause {
    let (id, error) = (&action.id, shortened(&letter.error, EXCERPT));
    let retry = format!("`tripline dlq retry {id}`");
    let tried = match letter.attempts {
        0 => "it was never begun".to_owned(),
        1 => "one attempt was made".to_owned(),
        n => format!("{n} attempts were made"),
    };
    let (code, sentence) = match letter.cause {
        _ if names_missing_template(&letter.error) => (
            Code::TemplateMissing,
            format!(
                "the template that it is made from is not there ({error}): create it, then {retry}"
            ),
        ),
        LetterCause::Expired => (
            Code::Expired,
            format!(
                "it expired at {:.0}, and {tried} ({error}): find out what held it up, give the trigger a \
                 longer `expiresAfter`, then {retry}",
                action.expires_at
            ),
        ),
        LetterCause::Forbidden => (
            Code::Forbidden,
            format!(
                "the target does not allow it ({error}): give that account the right, or name another one in \
                 the sensor's `template.serviceAccountName`, then {retry}"
            ),
        ),
        LetterCause::Loop => (
            Code::Loop,
            format!(
                "its chain has {} hops, more than the sensor's `maxHops`, and goes round ({error}): break the \
                 circle with a filter on what the workflow publishes",
                action.links.hops
            ),
        ),
        cause => (
            Code::DeadLettered,
            format!("it is a dead letter, {cause}, and {tried} ({error}): mend that, then {retry}"),
        ),
    };
    Cause::new(code, sentence)
}

/// What an action waits for.
async fn open(
    cx: &Context<'_>,
    action: &Action,
    outcomes: &[&Outcome],
) -> Result<Cause, ExplainError> {
    let name = action.trigger.sensor_name();
    // Should it be of no use any more, the executor says so in a dead letter.
    drop(cx.definitions.load(cx.bus, &name, &action.definition).await);
    let policy = cx.definitions.policy(action);
    if let Some((scope, reason)) = paused(cx, action).await? {
        let sentence = format!(
            "it waits, since {scope} is paused ({reason}): `tripline resume {}` when it may go on; it expires \
             at {:.0}",
            crate::control::scope::text(&scope),
            action.expires_at
        );
        return Ok(Cause::new(Code::Paused, sentence));
    }
    if policy.suspended == Some(Suspended::Hold) {
        let sentence = format!(
            "it waits, since sensor {name} is suspended: remove `suspend` when it may go on; it expires at {:.0}",
            action.expires_at
        );
        return Ok(Cause::new(Code::Paused, sentence));
    }
    let begun = outcomes
        .iter()
        .any(|it| matches!(it.kind, OutcomeKind::Attempted { .. } | OutcomeKind::Retrying { .. }));
    let mut queues = cx.live.iter().flat_map(|live| &live.queues);
    let queue = queues.find(|queue| queue.trigger == action.trigger);
    if let Some(hold) = queue.and_then(|queue| queue.hold.as_ref()).filter(|_| !begun) {
        return Ok(self::hold(action, hold));
    }
    if let Some(cause) = held_up(cx, action).await? {
        return Ok(cause);
    }
    if let Some(OutcomeKind::Retrying { attempt, error, next, .. }) =
        outcomes.last().map(|outcome| &outcome.kind)
    {
        let sentence = format!(
            "attempt {attempt} failed ({}), and the next is made at {next:.0}: mend that, it needs nothing else",
            shortened(error, EXCERPT)
        );
        return Ok(Cause::new(Code::Retrying, sentence));
    }
    let before = match queue {
        Some(queue) => format!("{} wait and {} run", queue.waiting, queue.in_flight),
        None => "no daemon runs".to_owned(),
    };
    let age = relative::age(action.decided_at, cx.now);
    let last = queue.and_then(|queue| queue.last_error.as_ref());
    let last =
        last.map(|error| format!("; the latest error there is {}", shortened(error, EXCERPT)));
    let sentence = format!(
        "it was decided {age} ago and is open ({before}{}): `tripline status` shows the queue of {}",
        last.unwrap_or_default(),
        action.trigger
    );
    Ok(Cause::new(Code::Waiting, sentence))
}

/// Why the next action of a trigger is not started, in the executor's own words.
fn hold(action: &Action, hold: &Held) -> Cause {
    let (code, advice) = match hold.cause.as_str() {
        "paused" => (Code::Paused, "`tripline resume` lets it go on"),
        "suspended" => (Code::Paused, "remove `suspend` when it may go on"),
        "frozen" => (Code::Frozen, "change the freeze window if it must go now"),
        "rateLimited" => (Code::RateLimited, "raise the trigger's `rateLimit` if that is too few"),
        "circuitOpen" => (Code::CircuitOpen, "mend the target, it goes on by itself"),
        "overlap" => (Code::Overlap, "wait for the earlier one, or change the trigger's `overlap`"),
        _ => (Code::Waiting, "`tripline status` shows the queue"),
    };
    let until = hold.until.map(|until| format!(" until {until:.0}")).unwrap_or_default();
    let by = hold.by.as_ref().map(|by| format!(", for action {by}")).unwrap_or_default();
    let sentence = format!(
        "trigger {} starts no action{until}{by} ({}): {advice}; this one expires at {:.0}",
        action.trigger.trigger,
        shortened(&hold.reason, EXCERPT),
        action.expires_at
    );
    Cause::new(code, sentence)
}

async fn paused(
    cx: &Context<'_>,
    action: &Action,
) -> Result<Option<(Scope, String)>, ExplainError> {
    let loaded = pauses::Loaded::from(cx.bus).await;
    let loaded = loaded.map_err(|error| ExplainError::Invalid(format!("{error:#}")))?;
    let concerns = |scope: &Scope| {
        scope.names(&action.trigger)
            || matches!(scope, Scope::Target(target) if action.target.as_ref() == Some(target))
    };
    Ok(loaded.scopes().into_iter().find(|(scope, _)| concerns(scope)))
}

/// A freeze window or an open circuit that the action waits for.
async fn held_up(cx: &Context<'_>, action: &Action) -> Result<Option<Cause>, ExplainError> {
    let mut handles = vec![Handle::sensor(&action.trigger.sensor_name())];
    handles.extend(action.target.as_deref().map(Handle::id));
    let mut frozen: Option<(Timestamp, String)> = None;
    let mut circuit: Option<(bool, String)> = None;
    holding(cx.bus, Log::Outcomes, handles, |stored| {
        let Ok(outcome) = Outcome::decode(&stored.record) else { return true };
        match outcome.kind {
            OutcomeKind::Frozen { trigger, until, window } if trigger == action.trigger => {
                frozen = Some((until, window));
            }
            OutcomeKind::Circuit { target, open, error, .. }
                if action.target.as_ref() == Some(&target) =>
            {
                circuit = Some((open, error));
            }
            _ => {}
        }
        true
    })
    .await?;
    if let Some((until, window)) = frozen.filter(|(until, _)| *until > cx.now) {
        let sentence = format!(
            "it waits for the end of the freeze window {window}, at {until:.0}: change the window if it must go \
             now; it expires at {:.0}",
            action.expires_at
        );
        return Ok(Some(Cause::new(Code::Frozen, sentence)));
    }
    if let Some((true, error)) = circuit {
        let sentence = format!(
            "it waits, since attempts at {} fail one after the other ({}): mend the target, it goes on by itself",
            action.target.as_deref().unwrap_or("its target"),
            shortened(&error, EXCERPT)
        );
        return Ok(Some(Cause::new(Code::CircuitOpen, sentence)));
    }
    Ok(None)
}

/// A condition that was half met by an event that led to no action.
struct Half {
    sensor: usize,
    trigger: usize,
    dependency: String,
}

/// What became of the event while it was held, for each trigger that waited and never fired
/// with it.
pub(super) async fn follow_held(
    past: &mut Past<'_>,
    views: &mut [SensorView],
    compiled: &[std::sync::Arc<CompiledSensor>],
    position: Position,
    end: Position,
) -> Result<(), ExplainError> {
    let mut waiting: Vec<Half> = Vec::new();
    for (sensor, view) in views.iter().enumerate() {
        for (trigger, of) in view.triggers.iter().enumerate() {
            if of.cause.code == Code::HalfMet {
                let state = past.evaluator().state().held(&view.name, &of.name.trigger);
                let held = state.into_iter().flatten();
                let here = held.filter(|(_, held)| held.event.position == position);
                let dependency = here.map(|(name, _)| name.as_ref().to_owned()).next();
                waiting.extend(dependency.map(|dependency| Half { sensor, trigger, dependency }));
            }
        }
    }
    if waiting.is_empty() {
        return Ok(());
    }
    let until = Position { sequence: position.sequence + MAX_FOLLOWED, ..position }.min(end);
    let mut ends: Vec<(usize, usize, Cause)> = Vec::new();
    past.run(until, |applied: &Applied<'_, Off>| {
        waiting.retain(|held| {
            let view = &views[held.sensor];
            let name = &view.triggers[held.trigger].name;
            let state = applied.evaluator.state().held(&view.name, &name.trigger);
            let now = state.and_then(|all| all.get(held.dependency.as_str()));
            if now.is_some_and(|now| now.event.position == position) {
                return true;
            }
            let trigger = compiled[held.sensor].sensor.trigger(&name.trigger);
            let cause = forgotten(applied, held, trigger, now.map(|now| now.event.id.as_str()));
            ends.push((held.sensor, held.trigger, cause));
            false
        });
        !waiting.is_empty()
    })
    .await?;
    for (sensor, trigger, cause) in ends {
        views[sensor].triggers[trigger].cause = cause;
    }
    // What became of it later is not known where the log was not followed to its end.
    waiting.retain(|_| until == end);
    for held in waiting {
        let cause = &mut views[held.sensor].triggers[held.trigger].cause;
        cause.sentence = cause.sentence.replacen("was half met: it had", "is half met: it has", 1);
        cause.sentence = cause.sentence.replacen("waited for", "still waits for", 1);
    }
    views.iter_mut().for_each(SensorView::conclude);
    Ok(())
}

/// Why an event is held no more.
fn forgotten(
    applied: &Applied<'_, Off>,
    held: &Half,
    trigger: Option<&Trigger>,
    newer: Option<&str>,
) -> Cause {
    let dependency = &held.dependency;
    let now = applied.evaluator.state().log_time;
    let resets = trigger.into_iter().flat_map(|trigger| &trigger.resets);
    let reset = resets.filter_map(|reset| reset.next_after(applied.before)).min();
    let at = applied.record.time();
    match applied.record {
        EventsRecord::Plan { number, .. } => Cause::new(
            Code::PlanChanged,
            format!(
                "`{dependency}` was held until the sensor was changed at {at:.0} (plan {number}), which forgot \
                 it: send the event again"
            ),
        ),
        EventsRecord::Clear { through: Some(_), .. } => Cause::new(
            Code::Parked,
            format!(
                "`{dependency}` was held for so long that it kept the log from being trimmed, and was parked at \
                 {at:.0}: `tripline dlq list --cause parked` has its payload; publish it again when the other \
                 events come, or reset the condition with `conditionsReset`"
            ),
        ),
        EventsRecord::Clear { .. } => Cause::new(
            Code::Cleared,
            format!(
                "`{dependency}` was held until an operator cleared it at {at:.0} (`tripline outcomes` says who \
                 and why): send the event again if that was wrong"
            ),
        ),
        _ if reset.is_some_and(|reset| reset <= now) => Cause::new(
            Code::Reset,
            format!(
                "`{dependency}` was held until `conditionsReset` forgot it at {:.0}, before the condition was \
                 met: send both events between two resets, or change `conditionsReset`",
                reset.unwrap_or(now)
            ),
        ),
        _ => Cause::new(
            Code::Replaced,
            format!(
                "`{dependency}` was held until a newer event of it took its place at {at:.0}{}: the condition \
                 fires with that one; nothing is lost but this event's values",
                newer.map(|id| format!(" ({})", shortened(id, 80))).unwrap_or_default()
            ),
        ),
    }
}
