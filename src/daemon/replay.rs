//! Replaying past events: their actions are appended in order, marked as a replay.

use tripline_bus::Log;
use tripline_event::Action;

use super::Shared;
use crate::control::ControlError;
use crate::control::replay::{MOST_ACTIONS, ReplayReport, ReplayRequest, ReplayedAction};
use crate::engine::again::Alone;
use crate::engine::replay::{AsWhat, Wanted};
use crate::query::extents;

/// How many actions are appended at once.
const AT_ONCE: usize = 256;

impl Shared {
    pub(super) async fn replay_events(
        &self,
        request: ReplayRequest,
        who: &str,
    ) -> Result<ReplayReport, ControlError> {
        let ReplayRequest { sensor: name, since, until, event, again, dry_run, reason } = request;
        let configuration = self.configuration.load_full();
        let Some(loaded) = configuration.sensors.get(&name) else {
            return Err(ControlError::NotFound(format!("there is no sensor {name}")));
        };
        let through = self.engine.progress.borrow().evaluated;
        let wanted = Wanted { since, until, event, through };
        let sensor = &loaded.compiled.sensor;
        // Of two replays at the same time the later one sees what the earlier one does.
        let alone = self.engine.again.alone().await;
        let now = self.clock.now();
        let id = format!("{now:.0} by {who}");
        let as_what = AsWhat { id: &id, again, now };
        let following = self.engine.again.following(sensor, &wanted, &as_what, MOST_ACTIONS).await;
        let following = following.map_err(|error| ControlError::Failed(error.to_string()))?;
        if following.actions.len() > MOST_ACTIONS {
            return Err(ControlError::Invalid(format!(
                "the events lead to more than {MOST_ACTIONS} actions: replay a shorter time with --since and --until"
            )));
        }
        let events = following.events;
        let mut actions: Vec<ReplayedAction> = Vec::with_capacity(following.actions.len());
        let mut next = Vec::new();
        for (decided, following) in following.actions {
            let shown = following.as_ref().unwrap_or(&decided);
            actions.push(ReplayedAction {
                id: shown.id.clone(),
                trigger: shown.trigger.clone(),
                events: shown.events.iter().map(|event| event.id.clone()).collect(),
                generation: shown.generation,
                position: None,
                known: following.is_none(),
            });
            next.extend(following.map(|action| (actions.len() - 1, action)));
        }
        if !dry_run {
            Self::append_replayed(&alone, next, &mut actions).await?;
            let count = actions.iter().filter(|action| !action.known).count() as u64;
            let did = if again { "replay again" } else { "replay" };
            let subject = format!("sensor/{name}");
            self.note_count(who, did, &subject, reason.as_deref(), Some(count)).await?;
        }
        let logs = extents(&*self.bus).await?;
        let log = logs.into_iter().find(|log| log.log == Log::Events.as_str());
        let log =
            log.ok_or_else(|| ControlError::Failed("there is no log of events".to_owned()))?;
        let id = if dry_run { String::new() } else { id };
        Ok(ReplayReport { id, dry_run, events, actions, log })
    }

    async fn append_replayed(
        alone: &Alone,
        next: Vec<(usize, Action)>,
        actions: &mut [ReplayedAction],
    ) -> Result<(), ControlError> {
        let mut done = 0;
        for part in next.chunks(AT_ONCE) {
            let batch = part.iter().map(|(_, action)| action.clone()).collect();
            let appended = alone.carry_out(batch).await;
            let appended = appended.map_err(|error| {
                ControlError::Unreachable(format!("{done} actions were appended; then: {error}"))
            })?;
            for ((place, _), appended) in part.iter().zip(appended) {
                actions[*place].position = Some(appended.position);
            }
            done += part.len();
        }
        Ok(())
    }
}
