//! The red button: pausing, resuming, dropping what waits.

use std::sync::Arc;

use jiff::SignedDuration;
use tripline_bus::{Append, Log};
use tripline_event::{Action, DropCause, Outcome, OutcomeKind, Timestamp};
use tripline_triggers::executor::{ActionFilter, Renderer as _, Scope};

use super::Shared;
use crate::control::daemon::Pause;
use crate::control::steering::{
    Choice, DropReport, DropRequest, ResumeReport, ResumeRequest, UNASKED, WaitingOf,
};
use crate::control::{ControlError, Paused, scope};
use crate::query::Filter;
use crate::query::item::Record;
use crate::query::relative::age;

impl Shared {
    pub(super) async fn pause_scope(&self, pause: Pause) -> Result<(), ControlError> {
        let Pause { scope, until, reason, who } = pause;
        let subject = scope::text(&scope);
        let paused = Paused {
            scope: subject.clone(),
            until,
            reason: reason.clone(),
            who: who.clone(),
            since: self.clock.now(),
        };
        self.pauses.pause(paused).await.map_err(unreachable)?;
        self.note_count(&who, "pause", &subject, reason.as_deref(), None).await
    }

    pub(super) async fn resume_scope(
        &self,
        request: ResumeRequest,
        who: String,
    ) -> Result<ResumeReport, ControlError> {
        let scope = whole(&request.scope)?;
        let subject = scope::text(&scope);
        if !self.pauses.all().await.iter().any(|paused| paused.scope == subject) {
            return Err(ControlError::NotFound(format!("{subject} is not paused")));
        }
        let waiting = self.waiting(&self.in_scope(scope.clone()));
        let count: u64 = waiting.iter().map(|of| of.waiting + of.unread).sum();
        if count > UNASKED && request.waiting.is_none() {
            return Err(ControlError::Invalid(undecided(&waiting, count, self.clock.now())));
        }
        let why = because(&who, request.reason.as_deref());
        match request.waiting {
            Some(Choice::Latest) => self.engine.executor.keep_latest(&scope),
            Some(Choice::Drop) => {
                let filter = self.in_scope(scope.clone());
                let reason = format!("dropped on resuming by {why}");
                self.engine.executor.drop_waiting(&filter, DropCause::Operator, &reason);
            }
            Some(Choice::All) | None => {}
        }
        self.pauses.resume(&scope).await.map_err(unreachable)?;
        let did = match request.waiting {
            Some(Choice::Latest) => "resume latest",
            Some(Choice::Drop) => "resume and drop",
            Some(Choice::All) | None => "resume",
        };
        self.note_count(&who, did, &subject, request.reason.as_deref(), Some(count)).await?;
        Ok(ResumeReport { scope: subject, waiting, choice: request.waiting })
    }

    pub(super) async fn drop_scope(
        &self,
        request: DropRequest,
        who: String,
    ) -> Result<DropReport, ControlError> {
        let DropRequest { scope, filter, older_ms, reason, dry_run } = request;
        let scope = if scope.is_empty() { Scope::All } else { whole(&scope)? };
        let pairs = filter.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let wanted = Filter::from_pairs(pairs).map_err(ControlError::Invalid)?;
        if !wanted.matches.is_empty() {
            let message = "waiting actions do not hold the data of their events: drop them by sensor, trigger, correlation or age";
            return Err(ControlError::Invalid(message.to_owned()));
        }
        let before = older_ms.map(|older| {
            let older = SignedDuration::from_millis(i64::try_from(older).unwrap_or(i64::MAX));
            self.clock.now().saturating_sub(older).unwrap_or(Timestamp::MIN)
        });
        let in_scope = self.in_scope(scope.clone());
        let (of_scope, of_filter) = (Arc::clone(&in_scope), wanted.clone());
        let matching: ActionFilter = Arc::new(move |action: &Action| {
            of_scope(action)
                && before.is_none_or(|before| action.decided_at <= before)
                && of_filter.fits(&Record::Action(action.clone()))
        });
        let waiting = self.waiting(&matching);
        if !dry_run {
            let why = format!("dropped by {}", because(&who, reason.as_deref()));
            self.engine.executor.drop_waiting(&matching, DropCause::Operator, &why);
            let subject = subject(&scope, &filter, older_ms);
            let count = waiting.iter().map(|of| of.waiting).sum();
            self.note_count(&who, "drop", &subject, reason.as_deref(), Some(count)).await?;
        }
        Ok(DropReport { dry_run, waiting })
    }

    /// The actions that a scope is about.
    fn in_scope(&self, scope: Scope) -> ActionFilter {
        let definitions = Arc::clone(&self.engine.definitions);
        Arc::new(move |action: &Action| match &scope {
            Scope::Target(target) => definitions.target(action).as_ref() == Some(target),
            scope => scope.names(&action.trigger),
        })
    }

    fn waiting(&self, filter: &ActionFilter) -> Vec<WaitingOf> {
        let counts = self.engine.executor.count_waiting(filter).into_iter();
        let one = |count: tripline_triggers::executor::WaitingCount| WaitingOf {
            trigger: count.trigger,
            waiting: count.waiting,
            oldest: count.oldest,
            // Those of a trigger that has none in memory are not asked for, most likely.
            unread: if count.waiting > 0 { count.to_examine } else { 0 },
        };
        counts.map(one).filter(|of| of.waiting > 0).collect()
    }

    /// Writes down who did what, and to how many. What was done stays done should this fail,
    /// so the error says both.
    pub(super) async fn note_count(
        &self,
        who: &str,
        did: &str,
        subject: &str,
        reason: Option<&str>,
        count: Option<u64>,
    ) -> Result<(), ControlError> {
        let kind = OutcomeKind::Operator {
            who: who.to_owned(),
            did: did.to_owned(),
            subject: subject.to_owned(),
            reason: reason.map(str::to_owned),
            count,
        };
        let record = Outcome { at: self.clock.now(), correlation: None, kind }.encode();
        let appended = self.bus.append(Log::Outcomes, vec![Append { dedup: None, record }]).await;
        appended.map(drop).map_err(|error| {
            ControlError::Failed(format!(
                "{did} of {subject} was done, but could not be written down: {error}"
            ))
        })
    }
}

fn whole(text: &str) -> Result<Scope, ControlError> {
    scope::parse(text, tripline_event::name::DEFAULT_NAMESPACE)
}

fn because(who: &str, reason: Option<&str>) -> String {
    reason.map_or_else(|| who.to_owned(), |reason| format!("{who}: {reason}"))
}

fn subject(
    scope: &Scope,
    filter: &std::collections::BTreeMap<String, String>,
    older_ms: Option<u64>,
) -> String {
    let mut text = scope::text(scope);
    for (name, value) in filter {
        text.push_str(&format!(" {name}={value}"));
    }
    if let Some(older) = older_ms {
        text.push_str(&format!(" older than {:?}", std::time::Duration::from_millis(older)));
    }
    text
}

fn undecided(waiting: &[WaitingOf], count: u64, now: Timestamp) -> String {
    let oldest = waiting.iter().filter_map(|of| of.oldest).min();
    let old = oldest.map(|at| format!(", the oldest for {}", age(at, now))).unwrap_or_default();
    format!(
        "{count} actions wait{old}: say what becomes of them with --waiting all (carry out all), --waiting latest (the newest of each trigger, target and key) or --waiting drop"
    )
}

fn unreachable(error: impl std::fmt::Display) -> ControlError {
    ControlError::Unreachable(error.to_string())
}
