//! The evaluator as it stood at a place of the log: the plan in force, and what was held.
//!
//! It begins at the latest checkpoint that is kept from before that place, and is shown what
//! lies between, of the sensors that are asked about alone. The log's segments without any of
//! their events are passed over. Repeated events are known from their outcomes, so that the
//! window of event ids need not be read back.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use jiff::Timestamp;
use tripline_bus::{Bus, Log, Stored};
use tripline_event::{
    Event, EventKey, EventsRecord, ObjectName, Outcome, OutcomeKind, Position, TriggerName,
};
use tripline_sensors::evaluator::{
    Account, Decisions, Evaluator, Off, Plan, Recorder, Sensor, State,
};

use super::{Context, ExplainError, firings};
use crate::engine::catch_up::{CatchUp, CaughtUp};
use crate::engine::checkpoint::Manifest;
use crate::engine::definitions::CompiledSensor;
use crate::engine::kept;
use crate::engine::plans::{self, Listing};
use crate::index::handles::Handle;
use crate::index::{Page, Reader};
use crate::query::QueryError;
use crate::query::scan::{Needles, escaped, extent};

/// So many records are evaluated again without looking for a shorter way.
const SOON: u64 = 2_000;
/// What the records of changes of plan have in their bytes.
const PLAN_MARK: &str = r#""record":"plan""#;

/// The plan that is in force for the record at `position`.
pub(super) async fn plan_at(bus: &dyn Bus, position: Position) -> Result<Listing, ExplainError> {
    let manifest = kept::before(bus, position).await?;
    let (mut number, from) = match &manifest {
        Some(manifest) => (manifest.plan, manifest.watermark.next()),
        None => (0, position.origin().next()),
    };
    let reader = Reader::new(bus, Log::Events, vec![Handle::plans()]).await?;
    let mut reader = reader.from(from).until(position);
    let needle = Needles::bytes([PLAN_MARK.to_owned()])?;
    while let Some(page) = reader.page(bus).await? {
        let Page::Records(records) = page else { continue };
        for stored in records.iter().filter(|stored| needle.are_in(&stored.record)) {
            if let Ok(EventsRecord::Plan { number: next, .. }) =
                EventsRecord::decode(&stored.record)
            {
                number = number.max(next);
            }
        }
    }
    Ok(plans::load(bus, number).await?)
}

/// The sensors of a plan with a dependency on this event. A definition that is not compiled
/// yet is compiled only where its text has the event source's name.
pub(super) async fn sensors_of(
    cx: &Context<'_>,
    plan: &Listing,
    key: &EventKey,
) -> Result<Vec<Arc<CompiledSensor>>, ExplainError> {
    let source = escaped(&key.source);
    let mut found = Vec::new();
    for (name, hash) in plan.sensors.iter().filter(|(name, _)| name.namespace == key.namespace) {
        let compiled = match cx.definitions.get(hash) {
            Some(compiled) => compiled,
            None => {
                let json = plans::definition(cx.bus, hash).await?;
                // The ticks of a schedule are named after it, and its text does not say so.
                if !json.contains(&source) && !key.source.ends_with(&name.name) {
                    continue;
                }
                cx.definitions.load(cx.bus, name, hash).await?
            }
        };
        if compiled.sensor.dependencies.iter().any(|dependency| dependency.key == *key) {
            found.push(compiled);
        }
    }
    Ok(found)
}

/// Sensors that wait for an event that is named like this one: each with what it waits for.
pub(super) async fn sensors_near(
    cx: &Context<'_>,
    plan: &Listing,
    key: &EventKey,
) -> Result<Vec<(ObjectName, EventKey)>, ExplainError> {
    /// So many are said.
    const FEW: usize = 3;
    let mut near: Vec<(f64, ObjectName, EventKey)> = Vec::new();
    let text = key.to_string();
    for (name, hash) in &plan.sensors {
        let json = match cx.definitions.get(hash) {
            Some(_) => String::new(),
            None => plans::definition(cx.bus, hash).await?,
        };
        // Of a sensor that is not compiled, only one that has one of the names is.
        if !json.is_empty()
            && !json.contains(&escaped(&key.source))
            && !json.contains(&escaped(&key.name))
        {
            continue;
        }
        let compiled = cx.definitions.load(cx.bus, name, hash).await?;
        for dependency in &compiled.sensor.dependencies {
            let like = strsim::normalized_damerau_levenshtein(&text, &dependency.key.to_string());
            let same = dependency.key.source == key.source && dependency.key.name == key.name;
            if like >= 0.7 || same {
                near.push((like, name.clone(), dependency.key.clone()));
            }
        }
    }
    near.sort_by(|a, b| b.0.total_cmp(&a.0));
    Ok(near.into_iter().take(FEW).map(|(_, name, key)| (name, key)).collect())
}

/// Some sensors, evaluated again.
pub(super) struct Past<'a> {
    cx: &'a Context<'a>,
    names: Vec<ObjectName>,
    evaluator: Evaluator,
    reader: Reader,
    wanted: Wanted,
    /// Repeated events behind the checkpoint: they are not decided upon.
    repeated: BTreeSet<Position>,
    /// Triggers that are known to have fired at a record: they hold nothing after it, whatever
    /// they were seen to hold before.
    firings: BTreeMap<Position, Vec<TriggerName>>,
    complete: bool,
}

/// Which records matter to these sensors.
struct Wanted {
    sources: BTreeSet<(String, String)>,
    /// Whether time matters: something may be forgotten when it has come.
    times: bool,
    needles: Needles,
}

/// A record that was applied.
pub(super) struct Applied<'e, R> {
    pub evaluator: &'e Evaluator,
    pub position: Position,
    pub record: &'e EventsRecord,
    /// What was told while it was decided upon.
    pub told: &'e R,
    /// Log time before the record.
    pub before: Timestamp,
}

impl<'a> Past<'a> {
    /// Only the plan: conditions that one event completes hold nothing.
    pub async fn stateless(
        cx: &'a Context<'a>,
        plan: &Listing,
        position: Position,
        names: &[ObjectName],
    ) -> Result<Self, ExplainError> {
        let state = State::new(position.origin());
        Self::new(cx, plan.number, state, names, position, BTreeSet::new(), true).await
    }

    /// As it stood just before the record at `position`.
    pub async fn before(
        cx: &'a Context<'a>,
        position: Position,
        names: &[ObjectName],
    ) -> Result<Self, ExplainError> {
        let manifest = kept::before(cx.bus, position).await?;
        let first = extent(cx.bus, Log::Events).await?.first;
        let from = manifest.as_ref().map(|manifest| manifest.watermark);
        if position.sequence - from.map_or(0, |from| from.sequence) > SOON
            && let Some(past) = Self::since_firing(cx, position, names, manifest.as_ref()).await?
        {
            return Ok(past);
        }
        let (plan, state, repeated) = match &manifest {
            Some(manifest) => {
                let mut state = State::new(manifest.watermark.origin());
                state.watermark = manifest.watermark;
                state.log_time = manifest.log_time;
                state.restore(kept::held(cx.bus, manifest, names).await?);
                (manifest.plan, state, repeated(cx.bus, manifest, position).await?)
            }
            None => (0, State::new(position.origin()), BTreeSet::new()),
        };
        // Without a checkpoint, everything is known only where the log begins at its beginning.
        let complete = state.watermark.next() >= first;
        let from = state.watermark.next();
        let mut past = Self::new(cx, plan, state, names, from, repeated, complete).await?;
        past.run(position, |_: &Applied<'_, Off>| true).await?;
        Ok(past)
    }

    /// The same, told from when the triggers fired last; none where that says too little.
    async fn since_firing(
        cx: &'a Context<'a>,
        position: Position,
        names: &[ObjectName],
        manifest: Option<&Manifest>,
    ) -> Result<Option<Self>, ExplainError> {
        let plan = plan_at(cx.bus, position).await?;
        let plan = restricted(cx, plan.number, names).await?;
        let Some(firings) = firings::latest(cx.bus, &plan, names, position).await? else {
            return Ok(None);
        };
        let Some(first) = firings.first() else { return Ok(None) };
        let kept = extent(cx.bus, Log::Events).await?.first;
        let known = manifest.map_or(kept, |manifest| manifest.watermark.next());
        if first < known {
            return Ok(None);
        }
        let plan = plan_at(cx.bus, first.next()).await?.number;
        let state =
            State { watermark: first, log_time: firings.log_time, ..State::new(position.origin()) };
        let repeated = match manifest {
            Some(manifest) => repeated(cx.bus, manifest, position).await?,
            None => BTreeSet::new(),
        };
        let mut past = Self::new(cx, plan, state, names, first.next(), repeated, true).await?;
        past.firings = firings.by_cause;
        past.run(position, |_: &Applied<'_, Off>| true).await?;
        Ok(Some(past))
    }

    async fn new(
        cx: &'a Context<'a>,
        plan: u64,
        state: State,
        names: &[ObjectName],
        from: Position,
        repeated: BTreeSet<Position>,
        complete: bool,
    ) -> Result<Self, ExplainError> {
        let plan = restricted(cx, plan, names).await?;
        let evaluator = Evaluator::new(plan, state);
        let wanted = Wanted::new(None, evaluator.plan())?;
        let reader = Reader::new(cx.bus, Log::Events, wanted.handles(names)).await?.from(from);
        let names = names.to_vec();
        let firings = BTreeMap::new();
        Ok(Self { cx, names, evaluator, reader, wanted, repeated, firings, complete })
    }

    /// Whether everything that was held is known.
    pub const fn is_complete(&self) -> bool {
        self.complete
    }

    /// The evaluator as it stands.
    pub const fn evaluator(&self) -> &Evaluator {
        &self.evaluator
    }

    /// Decides about an event, at its place.
    pub fn decide(&mut self, position: Position, event: &Event) -> (Account, Decisions) {
        let mut account = Account::default();
        let record = EventsRecord::Event(event.clone());
        let decisions = self.evaluator.apply(position, &record, &mut account);
        (account, decisions)
    }

    /// Goes on to `until`, and shows each record that matters. `watch` says whether to go on.
    pub async fn run<R: Recorder + Default>(
        &mut self,
        until: Position,
        mut watch: impl FnMut(&Applied<'_, R>) -> bool,
    ) -> Result<(), ExplainError> {
        self.reader = Reader::new(self.cx.bus, Log::Events, self.wanted.handles(&self.names))
            .await?
            .from(self.evaluator.state().watermark.next())
            .until(until);
        while let Some(page) = self.reader.page(self.cx.bus).await? {
            match page {
                Page::PassedOver { last, newest } => {
                    let time = EventsRecord::Time(newest);
                    if self.wanted.times && !self.apply(last, &time, &mut watch) {
                        return Ok(());
                    }
                }
                Page::Records(records) => {
                    for stored in &records {
                        if !self.show(stored, &mut watch).await? {
                            return Ok(());
                        }
                    }
                }
            }
        }
        Ok(())
    }

    async fn show<R: Recorder + Default>(
        &mut self,
        stored: &Stored,
        watch: &mut impl FnMut(&Applied<'_, R>) -> bool,
    ) -> Result<bool, ExplainError> {
        let position = stored.position;
        if !self.wanted.needles.are_in(&stored.record) {
            // What it says does not matter, but that time has come may.
            let time = self.wanted.times.then(|| time_in(&stored.record)).flatten();
            let Some(time) = time else { return Ok(true) };
            return Ok(self.apply(position, &EventsRecord::Time(time), watch));
        }
        let Ok(record) = EventsRecord::decode(&stored.record) else { return Ok(true) };
        match record {
            EventsRecord::Plan { number, at } if number > self.evaluator.plan().number => {
                self.switch(position, number, at).await?;
                let applied = Applied {
                    evaluator: &self.evaluator,
                    position,
                    record: &EventsRecord::Plan { number, at },
                    told: &R::default(),
                    before: at,
                };
                Ok(watch(&applied))
            }
            EventsRecord::Event(event) if self.repeated.contains(&position) => {
                Ok(self.apply(position, &EventsRecord::Time(event.time), watch))
            }
            record => Ok(self.apply(position, &record, watch)),
        }
    }

    fn apply<R: Recorder + Default>(
        &mut self,
        position: Position,
        record: &EventsRecord,
        watch: &mut impl FnMut(&Applied<'_, R>) -> bool,
    ) -> bool {
        let before = self.evaluator.state().log_time;
        let mut told = R::default();
        self.evaluator.apply(position, record, &mut told);
        for trigger in self.firings.get(&position).into_iter().flatten() {
            let sensor = trigger.sensor_name();
            self.evaluator.state_mut().release(&sensor, &trigger.trigger);
        }
        let evaluator = &self.evaluator;
        watch(&Applied { evaluator, position, record, told: &told, before })
    }

    async fn switch(
        &mut self,
        position: Position,
        number: u64,
        at: Timestamp,
    ) -> Result<(), ExplainError> {
        let plan = restricted(self.cx, number, &self.names).await?;
        let catch_up = CatchUp::new(self.evaluator.plan(), &plan, position, at);
        self.evaluator.switch(position, at, plan);
        if let Some(catch_up) = catch_up {
            let CaughtUp { held, .. } = catch_up.run(self.cx.bus).await?;
            self.evaluator.state_mut().conditions.adopt(&held);
        }
        self.wanted = Wanted::new(Some(&self.wanted), self.evaluator.plan())?;
        self.reader.look_for(self.wanted.handles(&self.names));
        Ok(())
    }
}

/// These sensors of a plan.
async fn restricted(
    cx: &Context<'_>,
    number: u64,
    names: &[ObjectName],
) -> Result<Arc<Plan>, ExplainError> {
    let listing = plans::load(cx.bus, number).await?;
    let mut sensors: Vec<Arc<Sensor>> = Vec::with_capacity(names.len());
    for (name, hash) in listing.sensors.iter().filter(|(name, _)| names.contains(name)) {
        sensors.push(Arc::clone(&cx.definitions.load(cx.bus, name, hash).await?.sensor));
    }
    Ok(Arc::new(Plan::new(number, sensors)))
}

impl Wanted {
    /// What matters to the sensors of a plan, and mattered to those before.
    fn new(before: Option<&Self>, plan: &Plan) -> Result<Self, QueryError> {
        let mut sources = before.map(|before| before.sources.clone()).unwrap_or_default();
        let keys = plan.sensors().iter().flat_map(|sensor| &sensor.dependencies);
        sources.extend(keys.map(|of| (of.key.namespace.clone(), of.key.source.clone())));
        let mut triggers = plan.sensors().iter().flat_map(|sensor| &sensor.triggers);
        let times = before.is_some_and(|before| before.times)
            || triggers.any(|trigger| !trigger.resets.is_empty());
        let of_sources =
            sources.iter().map(|(_, source)| format!(r#""source":"{}""#, escaped(source)));
        let marks = [PLAN_MARK, r#""record":"clear""#, r#""record":"time""#];
        let needles = Needles::bytes(of_sources.chain(marks.map(str::to_owned)))?;
        Ok(Self { sources, times, needles })
    }

    fn handles(&self, names: &[ObjectName]) -> Vec<Handle> {
        let sources =
            self.sources.iter().map(|(namespace, source)| Handle::source(namespace, source));
        sources.chain([Handle::plans()]).chain(names.iter().map(Handle::sensor)).collect()
    }
}

/// The time that a record of EVENTS says, without reading the rest of it.
fn time_in(record: &[u8]) -> Option<Timestamp> {
    const MARK: &[u8] = br#""time":""#;
    let from = memchr::memmem::find(record, MARK)? + MARK.len();
    let length = memchr::memchr(b'"', &record[from..])?;
    std::str::from_utf8(&record[from..from + length]).ok()?.parse().ok()
}

/// The repeated events between a checkpoint and `until`.
async fn repeated(
    bus: &dyn Bus,
    manifest: &Manifest,
    until: Position,
) -> Result<BTreeSet<Position>, QueryError> {
    let reader = Reader::new(bus, Log::Outcomes, vec![Handle::duplicates()]).await?;
    let mut reader = reader.from(manifest.marks.outcomes_from);
    let needles = Needles::bytes([r#""outcome":"duplicate""#.to_owned()])?;
    let mut found = BTreeSet::new();
    while let Some(page) = reader.page(bus).await? {
        let Page::Records(records) = page else { continue };
        for stored in records.iter().filter(|stored| needles.are_in(&stored.record)) {
            let Ok(outcome) = Outcome::decode(&stored.record) else { continue };
            let OutcomeKind::Duplicate { position, .. } = outcome.kind else { continue };
            // They are written in the order of the events.
            if position >= until {
                return Ok(found);
            }
            found.insert(position);
        }
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_of_a_record_is_read_from_its_bytes() {
        let at: Timestamp = "2026-11-21T03:00:00.5Z".parse().unwrap();
        let record = EventsRecord::Time(at).encode();
        assert_eq!(time_in(&record), Some(at));
        assert_eq!(time_in(b"{}"), None);
    }
}
