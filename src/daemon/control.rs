//! What commands ask of the running daemon.

use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use jiff::SignedDuration;
use tripline_bus::{Bus, Log};
use tripline_event::{Clock, EventId, EventKey, ObjectName};
use tripline_eventsources::{EventSink, Message, SinkError};

use super::reload::Reloaded;
use super::{Shared, lock};
use crate::control::ControlError;
use crate::control::api::{
    Accepted, Held, HeldEvent, InvalidObject, PublishRequest, QueueStatus, ReloadReport,
    SensorDependency, SensorStatus, SourceStatus, Status, UpgradeReport,
};
use crate::control::daemon::{Answering, Daemon, Pause};
use crate::control::replay::{ReplayReport, ReplayRequest};
use crate::control::schedules::{ScheduleAnswer, ScheduleOrder};
use crate::control::sensor::{ClearReport, ClearRequest, SensorView};
use crate::control::steering::{DropReport, DropRequest, ResumeReport, ResumeRequest};
use crate::engine::definitions::Definitions;
use crate::engine::schedules::view::ScheduleView;
use crate::explain::Live;
use crate::query::dead_letter::{self, Answer};
use crate::query::{GraphConfig, extents};

/// How long an explanation waits for what was taken in just before.
const LAG_WAITED_FOR: std::time::Duration = std::time::Duration::from_secs(1);

fn unreachable(error: impl std::fmt::Display) -> ControlError {
    ControlError::Unreachable(error.to_string())
}

impl Shared {
    async fn look(&self) -> Result<Status, ControlError> {
        let configuration = self.configuration.load_full();
        let progress = *self.engine.progress.borrow();
        let held_reload = lock(&self.held).as_ref().map(|held| held.reason.clone());
        let now = self.clock.now();
        Ok(Status {
            running: true,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: Some(self.started_at),
            uptime_ms: milliseconds(now.duration_since(self.started_at)),
            not_ready: self.not_ready(),
            target: self.targets.choice().default_target().to_owned(),
            plan: progress.plan,
            held_reload,
            sources: self.source_statuses(),
            sensors: configuration.sensors.len(),
            invalid: self.invalid(),
            lag: progress.behind,
            triggers: self.queues(),
            paused: self.pauses.all().await,
            circuits: self.engine.executor.circuits().into_iter().map(Into::into).collect(),
            dead_letters: self.letters.counts().await.map_err(unreachable)?,
            logs: extents(&*self.bus).await?,
        })
    }

    fn source_statuses(&self) -> Vec<SourceStatus> {
        let statuses = self.sources.status().into_iter().chain(self.interop.source_statuses());
        let status = statuses.map(|status| SourceStatus {
            received: self.counts.of_event(&status.key),
            kind: status.kind.to_owned(),
            ready: status.ready,
            detail: status.detail,
            key: status.key,
        });
        status.collect()
    }

    fn queues(&self) -> Vec<QueueStatus> {
        let snapshot = self.engine.executor.snapshot().into_iter().map(|trigger| QueueStatus {
            trigger: trigger.trigger,
            waiting: trigger.waiting,
            in_flight: trigger.in_flight,
            retrying: trigger.retrying,
            oldest: trigger.oldest_decided_at,
            last_error: trigger.last_error,
            paused: trigger.paused,
            hold: trigger.hold.map(|hold| Held {
                cause: hold.cause.as_str().to_owned(),
                until: hold.until,
                reason: hold.reason,
                by: hold.by,
            }),
        });
        snapshot.collect()
    }

    fn invalid(&self) -> Vec<InvalidObject> {
        let configuration = self.configuration.load();
        let invalid = configuration.invalid.iter().map(|((kind, name), message)| {
            let title = format!("{kind} {name}");
            let of = configuration.diagnostics.iter().find(|diagnostic| {
                diagnostic.is_error() && diagnostic.object.as_deref() == Some(title.as_str())
            });
            InvalidObject {
                kind: kind.clone(),
                name: name.to_string(),
                place: of.map(|diagnostic| diagnostic.place.to_string()).unwrap_or_default(),
                message: message.clone(),
                older_in_force: match kind.as_str() {
                    "Sensor" => configuration.sensors.contains_key(name),
                    "CronWorkflow" | "Schedule" => configuration
                        .sensors
                        .values()
                        .any(|sensor| sensor.identity() == (kind.clone(), name.clone())),
                    _ => configuration.sources.contains_key(name),
                },
            }
        });
        invalid.collect()
    }

    async fn sensor_statuses(&self) -> Result<Vec<SensorStatus>, ControlError> {
        let held = self.held_by_sensor().await?;
        let configuration = self.configuration.load();
        let tally = self.counts.verdicts();
        let status = configuration.sensors.iter().map(|(name, loaded)| {
            let counts = self.counts.sensor(name);
            let verdicts = tally.as_ref().map(|tally| tally.of_sensor(name)).unwrap_or_default();
            let sensor = &loaded.compiled.sensor;
            let held_by = |dependency: &str| {
                let triggers = held.get(name)?.triggers.values();
                let held = triggers.filter_map(|trigger| trigger.held.get(dependency)).next()?;
                let event = &held.event;
                Some(HeldEvent {
                    id: event.id.clone(),
                    position: event.position,
                    since: held.since,
                })
            };
            SensorStatus {
                name: name.clone(),
                dependencies: sensor
                    .dependencies
                    .iter()
                    .map(|dependency| SensorDependency {
                        name: dependency.name.as_ref().to_owned(),
                        source: dependency.key.source.clone(),
                        event: dependency.key.name.clone(),
                        held: held_by(&dependency.name),
                    })
                    .collect(),
                triggers: sensor
                    .triggers
                    .iter()
                    .map(|trigger| trigger.name.trigger.clone())
                    .collect(),
                last_fired: counts.last_fired,
                passed: verdicts.passed,
                filtered: verdicts.filtered,
                fired: counts.fired,
            }
        });
        Ok(status.collect())
    }

    /// A command gives an event source its event, as if it had come in there.
    async fn take_in(&self, request: PublishRequest) -> Result<Accepted, ControlError> {
        let key = EventKey::new(request.namespace, request.source, request.event);
        let configuration = self.configuration.load();
        let events = configuration.events();
        let Some(definition) = events.iter().find(|event| event.key == key) else {
            let known: Vec<String> = events.iter().map(|event| event.key.to_string()).collect();
            let message = format!("there is no event {key}; there are {}", known.join(", "));
            return Err(ControlError::NotFound(message));
        };
        let body = request.data.get();
        let data = match definition.kind {
            "webhook" => webhook_data(body, &request.headers),
            _ => body.to_owned(),
        };
        let message = Message {
            key,
            kind: definition.kind,
            id: request.id.as_deref().map(EventId::from_upstream),
            time: self.clock.now(),
            data: Bytes::from(data),
            headers: request.headers,
            body: Some(Bytes::copy_from_slice(body.as_bytes())),
            correlation_path: definition.correlation.clone(),
            cloud_event: None,
        };
        take_in(&self.engine.ingest, message).await
    }

    /// Writes down who did what. What was done stays done should this fail, so the error
    /// says both.
    pub(super) async fn note(
        &self,
        who: &str,
        did: &str,
        subject: &str,
        reason: Option<&str>,
    ) -> Result<(), ControlError> {
        self.note_count(who, did, subject, reason, None).await
    }

    /// Appends again what dead letters hold, and hands it to the executor.
    async fn send_back(
        &self,
        ids: &[String],
        current: bool,
        who: &str,
    ) -> Result<Vec<Answer>, ControlError> {
        let alone = self.engine.again.alone().await;
        let (bus, clock) = (&*self.bus, &*self.clock);
        Ok(dead_letter::retry_by(bus, clock, who, ids, current, &alone).await?)
    }

    async fn report(&self, done: Reloaded) -> ReloadReport {
        ReloadReport {
            plan: self.engine.progress.borrow().plan,
            added: done.added,
            changed: done.changed,
            removed: done.removed,
            held: done.held,
            invalid: self.invalid(),
        }
    }
}

/// The shape of a webhook's event: `header` and `body`.
/// Appends an event to a bus on which no daemon of this process runs, as a webhook would.
///
/// # Errors
/// It is too large, or the bus does not take it.
#[cfg(feature = "jetstream")]
pub async fn publish_onto(
    bus: Arc<dyn Bus>,
    request: PublishRequest,
) -> Result<Accepted, ControlError> {
    let clock: Arc<dyn tripline_event::Clock> = Arc::new(tripline_event::SystemClock);
    let body = request.data.get();
    let message = Message {
        key: EventKey::new(request.namespace, request.source, request.event),
        kind: "webhook",
        id: request.id.as_deref().map(EventId::from_upstream),
        time: clock.now(),
        data: Bytes::from(webhook_data(body, &request.headers)),
        body: Some(Bytes::copy_from_slice(body.as_bytes())),
        headers: request.headers,
        correlation_path: None,
        cloud_event: None,
    };
    take_in(&crate::engine::ingest::Ingest::alone(bus, clock), message).await
}

async fn take_in(
    ingest: &crate::engine::ingest::Ingest,
    message: Message,
) -> Result<Accepted, ControlError> {
    match ingest.append(message).await {
        Ok(accepted) => Ok(Accepted {
            id: accepted.id,
            correlation: accepted.correlation,
            position: accepted.position,
            duplicate: accepted.duplicate,
        }),
        Err(error @ SinkError::TooLarge { .. }) => Err(ControlError::Invalid(error.to_string())),
        Err(error) => Err(unreachable(error)),
    }
}

fn webhook_data(body: &str, headers: &[(String, String)]) -> String {
    let mut header = serde_json::Map::new();
    for (name, value) in headers {
        header.insert(name.clone(), serde_json::json!([value]));
    }
    format!(r#"{{"header":{},"body":{body}}}"#, serde_json::Value::Object(header))
}

fn milliseconds(duration: SignedDuration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or_default()
}

impl Daemon for Shared {
    fn bus(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.bus) as _
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock)
    }

    fn status(&self) -> Answering<'_, Status> {
        Box::pin(self.look())
    }

    fn sensors(&self) -> Answering<'_, Vec<SensorStatus>> {
        Box::pin(self.sensor_statuses())
    }

    fn schedules(&self) -> Answering<'_, Vec<ScheduleView>> {
        Box::pin(async { Ok(self.schedule_views()) })
    }

    fn order_schedule(&self, order: ScheduleOrder, who: String) -> Answering<'_, ScheduleAnswer> {
        Box::pin(self.order(order, who))
    }

    fn sensor(&self, name: ObjectName) -> Answering<'_, SensorView> {
        Box::pin(async move { self.look_at_sensor(&name).await })
    }

    fn clear(&self, request: ClearRequest, who: String) -> Answering<'_, ClearReport> {
        Box::pin(async move { self.clear_sensor(request, &who).await })
    }

    fn explaining(&self) -> Answering<'_, (Arc<Definitions>, Live)> {
        Box::pin(async {
            // What was taken in just now is asked about just now.
            let next = self.bus.extent(Log::Events).await.map_err(unreachable)?.next;
            let mut progress = self.engine.progress.clone();
            let all = progress.wait_for(|it| it.evaluated.next() >= next);
            drop(tokio::time::timeout(LAG_WAITED_FOR, all).await);
            let evaluated = progress.borrow().evaluated;
            let live = Live { evaluated, queues: self.queues() };
            Ok((Arc::clone(&self.engine.definitions), live))
        })
    }

    fn graph(&self) -> Answering<'_, GraphConfig> {
        Box::pin(async {
            let mut config = crate::graph::config(&self.configuration.load());
            for status in self.sources.status() {
                let source = config.sources.iter_mut().find(|source| source.key == status.key);
                let Some(source) = source else { continue };
                match status.ready {
                    true => {
                        let texts = [status.detail, source.upstream.take().unwrap_or_default()];
                        let texts = texts.into_iter().filter(|text| !text.is_empty());
                        let texts: Vec<String> = texts.collect();
                        source.upstream = Some(texts.join("; ")).filter(|text| !text.is_empty());
                    }
                    false => source.trouble = Some(status.detail),
                }
            }
            Ok(config)
        })
    }

    fn publish(&self, request: PublishRequest) -> Answering<'_, Accepted> {
        Box::pin(self.take_in(request))
    }

    fn pause(&self, pause: Pause) -> Answering<'_, ()> {
        Box::pin(self.pause_scope(pause))
    }

    fn resume(&self, request: ResumeRequest, who: String) -> Answering<'_, ResumeReport> {
        Box::pin(self.resume_scope(request, who))
    }

    fn drop_waiting(&self, request: DropRequest, who: String) -> Answering<'_, DropReport> {
        Box::pin(self.drop_scope(request, who))
    }

    fn replay(&self, request: ReplayRequest, who: String) -> Answering<'_, ReplayReport> {
        Box::pin(async move { self.replay_events(request, &who).await })
    }

    fn reload(&self, who: String) -> Answering<'_, ReloadReport> {
        Box::pin(async move {
            let done = Shared::reload(self)
                .await
                .map_err(|error| ControlError::Failed(format!("{error:#}")))?;
            self.note(&who, "reload", "configuration", None).await?;
            Ok(self.report(done).await)
        })
    }

    fn confirm_reload(&self, who: String) -> Answering<'_, ReloadReport> {
        Box::pin(async move {
            let done =
                self.confirm().await.map_err(|error| ControlError::Failed(format!("{error:#}")))?;
            let Some(done) = done else {
                return Err(ControlError::NotFound("no reload waits to be confirmed".to_owned()));
            };
            self.note(&who, "confirm reload", "configuration", None).await?;
            Ok(self.report(done).await)
        })
    }

    fn upgrade(&self, who: String) -> Answering<'_, UpgradeReport> {
        Box::pin(async move {
            let Some(program) = &self.program else {
                let text = "this daemon is a part of another program".to_owned();
                return Err(ControlError::Invalid(text));
            };
            let to = program.version().await;
            let to = to.map_err(|error| ControlError::Invalid(format!("{error:#}")))?;
            let from = env!("CARGO_PKG_VERSION").to_owned();
            self.note(&who, "upgrade", &format!("{from} to {to}"), None).await?;
            // The answer is finished while everything stops.
            self.upgrading.cancel();
            let (started_at, process) = (Some(self.started_at), Some(std::process::id()));
            Ok(UpgradeReport { from, to, started_at, process })
        })
    }

    fn retry(&self, ids: Vec<String>, current: bool, who: String) -> Answering<'_, Vec<Answer>> {
        Box::pin(async move { self.send_back(&ids, current, &who).await })
    }

    fn drop_letters(
        &self,
        ids: Vec<String>,
        reason: Option<String>,
        who: String,
    ) -> Answering<'_, Vec<Answer>> {
        Box::pin(async move {
            Ok(dead_letter::drop(&*self.bus, &*self.clock, &who, reason.as_deref(), &ids).await?)
        })
    }

    fn backup(&self, path: PathBuf) -> Answering<'_, u64> {
        Box::pin(async move { self.backend.backup(&path).await.map_err(ControlError::Failed) })
    }
}
