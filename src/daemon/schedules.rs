//! What commands ask of schedules.

use std::sync::Arc;

use bytes::Bytes;
use tripline_event::Timestamp;
use tripline_eventsources::{EventSink as _, Message};

use super::Shared;
use crate::control::ControlError;
use crate::control::schedules::{BACKFILL_MAX, LISTED_MAX, ScheduleAnswer, ScheduleOrder};
use crate::engine::schedules::events::{self, Command, Request};
use crate::engine::schedules::view::ScheduleView;
use crate::engine::schedules::{CompiledSchedule, Kind, lock};

/// Ticks of a period are counted up to here.
const COUNTED_MAX: usize = 100_000;

impl Shared {
    /// Every schedule as it stands.
    pub(super) fn schedule_views(&self) -> Vec<ScheduleView> {
        let (schedules, now) = (lock(&self.engine.schedules), self.clock.now());
        schedules.entries().map(|(_, entry)| ScheduleView::of(entry, now)).collect()
    }

    /// Does what is asked: it is a record of EVENTS, and done when that is evaluated.
    pub(super) async fn order(
        &self,
        order: ScheduleOrder,
        who: String,
    ) -> Result<ScheduleAnswer, ControlError> {
        let compiled = self.find(&order)?;
        let (ticks, count) = match &order.request {
            Request::Backfill { start, end, max, .. } => {
                let (ticks, count) = ticks_in(&compiled, *start, *end);
                let runs = count.min(*max);
                if runs > BACKFILL_MAX && !order.yes && !order.dry_run {
                    return Err(ControlError::Invalid(format!(
                        "{runs} runs would be started: --yes, or --max with {BACKFILL_MAX} or less, does it; --dry-run lists them"
                    )));
                }
                (ticks, count)
            }
            _ => (Vec::new(), 0),
        };
        if !order.dry_run {
            self.append_command(&compiled, order.request, who).await?;
        }
        let schedules = lock(&self.engine.schedules);
        let entry = schedules.entry(&compiled.name);
        let entry = entry.ok_or_else(|| ControlError::NotFound("it is gone".to_owned()))?;
        let schedule = ScheduleView::of(entry, self.clock.now());
        Ok(ScheduleAnswer { dry_run: order.dry_run, count, ticks, schedule })
    }

    fn find(&self, order: &ScheduleOrder) -> Result<Arc<CompiledSchedule>, ControlError> {
        let schedules = lock(&self.engine.schedules);
        let kinds = [Kind::CronWorkflow, Kind::Schedule].into_iter();
        let wanted = order.kind.as_deref();
        let kinds = kinds.filter(|kind| wanted.is_none_or(|wanted| wanted == kind.as_str()));
        let found: Vec<_> =
            kinds.filter_map(|kind| schedules.entry(&kind.source_of(&order.name))).collect();
        match found[..] {
            [entry] => Ok(Arc::clone(&entry.compiled)),
            [] => Err(ControlError::NotFound(format!("there is no schedule {}", order.name))),
            _ => Err(ControlError::Invalid(format!(
                "{0} is a CronWorkflow and a Schedule: write cronworkflow/{0} or schedule/{0}",
                order.name
            ))),
        }
    }

    async fn append_command(
        &self,
        compiled: &CompiledSchedule,
        does: Request,
        who: String,
    ) -> Result<(), ControlError> {
        let now = self.clock.now();
        let command = Command { does, who, at: now };
        let data = serde_json::to_vec(&command)
            .map_err(|error| ControlError::Failed(error.to_string()))?;
        let message = Message {
            key: compiled.key(events::COMMAND),
            kind: events::KIND,
            id: None,
            time: now,
            data: Bytes::from(data),
            headers: Vec::new(),
            body: None,
            correlation_path: None,
            cloud_event: None,
        };
        let accepted = self.engine.ingest.append(message).await;
        let accepted = accepted.map_err(|error| ControlError::Unreachable(error.to_string()))?;
        let mut progress = self.engine.progress.clone();
        let evaluated = progress.wait_for(|progress| progress.evaluated >= accepted.position).await;
        evaluated.map(drop).map_err(|_| {
            ControlError::Failed("the evaluator has ended; it is done at the next start".to_owned())
        })
    }
}

/// The nominal times of a period, the first ones, and how many there are.
fn ticks_in(
    compiled: &CompiledSchedule,
    start: Timestamp,
    end: Timestamp,
) -> (Vec<Timestamp>, u64) {
    let before = start.checked_sub(jiff::SignedDuration::from_nanos(1)).unwrap_or(start);
    let all = compiled.definition.times.ticks_after(before);
    let mut all = all.take_while(|tick| *tick <= end).take(COUNTED_MAX);
    let ticks: Vec<Timestamp> = all.by_ref().take(LISTED_MAX).collect();
    let count = (ticks.len() + all.count()) as u64;
    (ticks, count)
}
