//! What a daemon that has ended left behind, read from its data directory.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use anyhow::Context;
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::{Bus, Log};
use tripline_event::{Action, ActionId, Outcome, OutcomeKind, Position, SystemClock};
use tripline_triggers::workflow::local::{LocalTarget, LocalWorkflow, WorkflowFilter};

use crate::daemon::SOON;
use crate::set_checker::Delivery;

/// How much is read at once.
const PAGE: usize = 1024;

/// The data directory of a daemon that has ended.
pub struct Store {
    bus: Arc<EmbeddedBus>,
}

/// What the logs say of all actions.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Actions {
    /// How many were decided.
    pub decided: usize,
    /// How many have one outcome that closes them.
    pub closed: usize,
    /// How many have more.
    pub closed_again: usize,
    /// How many have none.
    pub open: usize,
    /// How many were not carried out, but are dead letters or dropped.
    pub not_carried_out: usize,
}

impl Store {
    /// Opens it.
    ///
    /// # Errors
    /// It is in use, or damaged.
    pub fn open(data: &Path) -> anyhow::Result<Self> {
        let options = OpenOptions { lock_wait: Some(SOON), ..OpenOptions::default() };
        Ok(Self { bus: Arc::new(EmbeddedBus::open(data, &options)?) })
    }

    /// All workflows of the local target.
    ///
    /// # Errors
    /// The store is damaged.
    pub async fn workflows(&self) -> anyhow::Result<Vec<LocalWorkflow>> {
        let target = LocalTarget::new(Arc::clone(&self.bus) as _, Arc::new(SystemClock));
        let mut workflows = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let page = target.list(&WorkflowFilter::default(), after.as_deref(), PAGE).await?;
            workflows.extend(page.workflows);
            after = page.next;
            if after.is_none() {
                return Ok(workflows);
            }
        }
    }

    /// How many records a log was ever given.
    ///
    /// # Errors
    /// The store is damaged.
    pub async fn appended(&self, log: Log) -> anyhow::Result<u64> {
        Ok(self.bus.extent(log).await?.next.sequence - 1)
    }

    /// All records of a log.
    ///
    /// # Errors
    /// The store is damaged.
    pub async fn records(&self, log: Log) -> anyhow::Result<Vec<bytes::Bytes>> {
        let mut from: Position = self.bus.extent(log).await?.first;
        let mut records = Vec::new();
        loop {
            let page = self.bus.read(log, from, PAGE).await?;
            let Some(last) = page.last() else { return Ok(records) };
            from = last.position.next();
            records.extend(page.into_iter().map(|stored| stored.record));
        }
    }

    /// All outcomes.
    ///
    /// # Errors
    /// The store is damaged.
    pub async fn outcomes(&self) -> anyhow::Result<Vec<OutcomeKind>> {
        let records = self.records(Log::Outcomes).await?;
        let outcomes = records.iter().map(|record| Ok(Outcome::decode(record)?.kind));
        outcomes.collect()
    }

    /// Whether each action was closed once.
    ///
    /// # Errors
    /// The store is damaged.
    pub async fn actions(&self) -> anyhow::Result<Actions> {
        let mut closed: BTreeMap<(ActionId, u32), usize> = BTreeMap::new();
        let mut actions = Actions::default();
        for record in self.records(Log::Actions).await? {
            let action = Action::decode(&record)?;
            closed.insert((action.id, action.round), 0);
        }
        for outcome in self.outcomes().await? {
            let Some((action, round)) = outcome.closes() else { continue };
            *closed.entry((action.clone(), round)).or_default() += 1;
            actions.not_carried_out +=
                usize::from(!matches!(outcome, OutcomeKind::Succeeded { .. }));
        }
        actions.decided = closed.len();
        for outcomes in closed.into_values() {
            match outcomes {
                0 => actions.open += 1,
                1 => actions.closed += 1,
                _ => actions.closed_again += 1,
            }
        }
        Ok(actions)
    }
}

/// A workflow as the set checker sees it. Its correlation id is the one that was handed to
/// it as its first parameter.
///
/// # Errors
/// It does not name its event, or has no such parameter.
pub fn delivery(workflow: &LocalWorkflow) -> anyhow::Result<Delivery> {
    let text = |pointer: &str| {
        let found = workflow.object.pointer(pointer).and_then(|value| value.as_str());
        found.map(str::to_owned).with_context(|| format!("no {pointer} in {}", workflow.object))
    };
    Ok(Delivery {
        event: text("/metadata/annotations/tripline.dev~1event-id")?,
        action: workflow.action.to_string(),
        correlation: text("/spec/arguments/parameters/0/value")?,
    })
}
