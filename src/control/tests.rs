use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tokio_util::sync::CancellationToken;
use tripline_bus::{Bus, Log};
use tripline_event::{Cause, Clock, CorrelationId, EventId, Position};

use super::api::Finished;
use super::daemon::{Answering, Pause};
use super::replay::{ReplayReport, ReplayRequest};
use super::schedules::{ScheduleAnswer, ScheduleOrder};
use super::sensor::{ClearReport, ClearRequest, SensorView};
use super::steering::{DropReport, DropRequest, ResumeReport, ResumeRequest};
use super::*;
use crate::engine::schedules::view::ScheduleView;
use crate::query::dead_letter::{self, Answer, Done, LetterFilter};
use crate::query::tests::{At, Logs, time};
use crate::query::{Filter, GraphConfig, Trace};

/// A daemon that does nothing but write down what it was asked to do.
struct Paper {
    bus: Arc<dyn Bus>,
    asked: Mutex<Vec<String>>,
}

impl Paper {
    fn note<'a, T: Send + 'a>(&'a self, asked: String, answer: T) -> Answering<'a, T> {
        self.asked.lock().unwrap().push(asked);
        Box::pin(async { Ok(answer) })
    }
}

impl Daemon for Paper {
    fn bus(&self) -> Arc<dyn Bus> {
        Arc::clone(&self.bus)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::new(At(time("05:00:00")))
    }

    fn status(&self) -> Answering<'_, Status> {
        let status = Status { running: true, version: "1.2.3".into(), ..Status::default() };
        self.note("status".into(), status)
    }

    fn sensors(&self) -> Answering<'_, Vec<SensorStatus>> {
        self.note("sensors".into(), Vec::new())
    }

    fn sensor(&self, name: tripline_event::ObjectName) -> Answering<'_, SensorView> {
        Box::pin(async move { Err(ControlError::NotFound(format!("there is no sensor {name}"))) })
    }

    fn clear(&self, request: ClearRequest, who: String) -> Answering<'_, ClearReport> {
        let report = ClearReport { position: Position::new(1, 7), held: Vec::new() };
        self.note(format!("clear {} by {who}", request.sensor), report)
    }

    fn schedules(&self) -> Answering<'_, Vec<ScheduleView>> {
        self.note("schedules".into(), Vec::new())
    }

    fn order_schedule(&self, order: ScheduleOrder, _who: String) -> Answering<'_, ScheduleAnswer> {
        Box::pin(async move { Err(ControlError::NotFound(format!("no schedule {}", order.name))) })
    }

    fn explaining(
        &self,
    ) -> Answering<'_, (Arc<crate::engine::definitions::Definitions>, crate::explain::Live)> {
        self.note("explaining".into(), Default::default())
    }

    fn graph(&self) -> Answering<'_, GraphConfig> {
        self.note("graph".into(), GraphConfig::default())
    }

    fn publish(&self, request: PublishRequest) -> Answering<'_, Accepted> {
        let accepted = Accepted {
            id: EventId("e-1".into()),
            correlation: CorrelationId("c".into()),
            position: Position::new(1, 1),
            duplicate: false,
        };
        let PublishRequest { namespace, source, event, data, .. } = request;
        self.note(format!("publish {namespace}/{source}/{event} {data}"), accepted)
    }

    fn pause(&self, pause: Pause) -> Answering<'_, ()> {
        self.note(format!("{pause:?}"), ())
    }

    fn resume(&self, request: ResumeRequest, _who: String) -> Answering<'_, ResumeReport> {
        let scope = request.scope;
        Box::pin(async move { Err(ControlError::NotFound(format!("{scope} is not paused"))) })
    }

    fn drop_waiting(&self, request: DropRequest, who: String) -> Answering<'_, DropReport> {
        let report = DropReport { dry_run: request.dry_run, waiting: Vec::new() };
        self.note(format!("{request:?} by {who}"), report)
    }

    fn replay(&self, request: ReplayRequest, _who: String) -> Answering<'_, ReplayReport> {
        let sensor = request.sensor;
        Box::pin(async move { Err(ControlError::NotFound(format!("there is no sensor {sensor}"))) })
    }

    fn reload(&self, who: String) -> Answering<'_, ReloadReport> {
        self.note(format!("reload by {who}"), ReloadReport::default())
    }

    fn confirm_reload(&self, who: String) -> Answering<'_, ReloadReport> {
        self.note(format!("confirm by {who}"), ReloadReport::default())
    }

    fn upgrade(&self, who: String) -> Answering<'_, UpgradeReport> {
        self.note(format!("upgrade by {who}"), UpgradeReport::default())
    }

    fn retry(&self, ids: Vec<String>, current: bool, who: String) -> Answering<'_, Vec<Answer>> {
        Box::pin(async move {
            let clock = At(time("05:00:00"));
            Ok(dead_letter::retry(self.bus.as_ref(), &clock, &who, &ids, current).await?)
        })
    }

    fn drop_letters(
        &self,
        ids: Vec<String>,
        reason: Option<String>,
        who: String,
    ) -> Answering<'_, Vec<Answer>> {
        self.note(format!("drop {ids:?} {reason:?} {who}"), Vec::new())
    }

    fn backup(&self, path: PathBuf) -> Answering<'_, u64> {
        self.note(format!("backup {}", path.display()), 4096)
    }
}

/// A served daemon, and a backend that asks it.
struct Served {
    logs: Logs,
    daemon: Arc<Paper>,
    backend: Backend,
    directory: tempfile::TempDir,
    stop: CancellationToken,
    server: tokio::task::JoinHandle<()>,
}

impl Served {
    async fn new(logs: Logs) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let daemon = Arc::new(Paper { bus: logs.bus.clone(), asked: Mutex::new(Vec::new()) });
        let stop = CancellationToken::new();
        let listener = Listener::unix(directory.path()).unwrap();
        let server = tokio::spawn(serve(listener, daemon.clone(), stop.clone()));
        let address = Address::Directory(directory.path().to_owned());
        let backend = Backend::open(&address).await.unwrap();
        assert!(backend.is_running());
        Self { logs, daemon, backend, directory, stop, server }
    }

    fn asked(&self) -> String {
        self.daemon.asked.lock().unwrap().join("\n")
    }
}

async fn collect(mut items: Items) -> Vec<String> {
    let mut ids = Vec::new();
    while let Some(item) = items.next().await.unwrap() {
        ids.push(item.id.unwrap_or_default());
    }
    ids
}

#[tokio::test]
async fn listings_traces_and_letters_come_over_the_socket() {
    let mut logs = Logs::new();
    let action = logs.hop("e-1", "build & ?=1", "deploy-1").await;
    logs.dead(&action, Cause::Refused).await;
    let served = Served::new(logs).await;

    let filter = Filter { correlation: Some("build & ?=1".into()), ..Filter::default() };
    let items = served.backend.list(Log::Events, &filter, 5, false).await.unwrap();
    assert_eq!(collect(items).await, ["e-1"]);

    let Trace::Found(timeline) = served.backend.trace("build & ?=1").await.unwrap() else {
        panic!("it is known");
    };
    assert_eq!(timeline.entries.len(), 4);
    assert!(matches!(served.backend.trace("nobody").await.unwrap(), Trace::Unknown(_)));

    let letters = served.backend.dead_letters(&LetterFilter::default(), 5).await.unwrap();
    assert_eq!(letters[0].id, action.id.0);
    assert_eq!(served.backend.dead_letter(&action.id.0).await.unwrap(), letters);
    let wanted = LetterFilter { cause: Some(Cause::Loop), ..LetterFilter::default() };
    assert!(served.backend.dead_letters(&wanted, 5).await.unwrap().is_empty());

    let answers = served.backend.retry(vec![action.id.0.clone()], false).await.unwrap();
    assert!(matches!(answers[0].done, Done::Retried { round: 1, .. }));
    let wanted = Filter { source: Some("no such".into()), ..Filter::default() };
    let items = served.backend.list(Log::Outcomes, &wanted, 5, false).await.unwrap();
    assert_eq!(collect(items).await, [""; 0]);
}

#[tokio::test]
async fn a_sensor_is_looked_at_and_cleared() {
    let served = Served::new(Logs::new()).await;
    let name = tripline_event::ObjectName::new("ci", "deploy/x");
    let unknown = served.backend.sensor(&name).await.unwrap_err();
    assert!(matches!(&unknown, ControlError::NotFound(text) if text.contains("ci/deploy/x")));
    let request = ClearRequest { sensor: name, dependency: None, reason: Some("why".into()) };
    assert_eq!(served.backend.clear(&request).await.unwrap().position, Position::new(1, 7));
}

#[tokio::test]
async fn a_listing_that_follows_ends_when_the_daemon_does() {
    let mut logs = Logs::new();
    logs.event("builds", "e-1", "c").await;
    let mut served = Served::new(logs).await;
    let mut items = served.backend.list(Log::Events, &Filter::default(), 5, true).await.unwrap();
    assert_eq!(items.next().await.unwrap().unwrap().id.as_deref(), Some("e-1"));
    for id in ["e-2", "e-3"] {
        served.logs.event("builds", id, "c").await;
        assert_eq!(items.next().await.unwrap().unwrap().id.as_deref(), Some(id));
    }
    served.stop.cancel();
    assert!(items.next().await.unwrap().is_none());
    served.server.await.unwrap();
    let address = Address::Directory(served.directory.path().to_owned());
    assert!(matches!(Backend::open(&address).await, Err(ControlError::Unreachable(_))));
}

#[tokio::test]
async fn what_is_to_be_done_reaches_the_daemon_with_the_users_name() {
    let served = Served::new(Logs::new()).await;
    let me = socket::user_name(rustix::process::getuid().as_raw());
    let request = PauseRequest {
        scope: "sensor/ci/deploy".into(),
        until: Some(time("06:00:00")),
        reason: Some("freeze".into()),
    };
    served.backend.pause(&request).await.unwrap();
    let asked = served.asked();
    for part in ["Sensor(ObjectName", "\"ci\"", "freeze", "2026-11-21T06:00:00Z", &me] {
        assert!(asked.contains(part), "{part} in {asked}");
    }
    let drop = DropRequest {
        scope: "sensor/ci/deploy".into(),
        older_ms: Some(7_200_000),
        dry_run: true,
        ..DropRequest::default()
    };
    assert!(served.backend.drop_waiting(&drop).await.unwrap().dry_run);
    assert!(served.asked().contains("7200000"));
    let resume = ResumeRequest { scope: "sensor/ci/deploy".into(), ..ResumeRequest::default() };
    let missing = served.backend.resume(&resume).await.unwrap_err();
    assert_eq!(missing, ControlError::NotFound("sensor/ci/deploy is not paused".into()));
    let wrong = PauseRequest { scope: "everything".into(), ..request };
    assert!(matches!(served.backend.pause(&wrong).await, Err(ControlError::Invalid(_))));

    let publish = PublishRequest {
        namespace: "ci".into(),
        source: "builds".into(),
        event: "completed".into(),
        data: serde_json::value::RawValue::from_string(r#"{"b":1e400,"a":2}"#.into()).unwrap(),
        headers: Vec::new(),
        id: None,
    };
    assert_eq!(served.backend.publish(&publish).await.unwrap().id.as_str(), "e-1");
    assert!(served.asked().contains(r#"publish ci/builds/completed {"b":1e400,"a":2}"#));
    assert_eq!(served.backend.backup("/tmp/x".as_ref()).await.unwrap(), 4096);
    assert_eq!(served.backend.status().await.unwrap().version, "1.2.3");
    served.backend.reload(true).await.unwrap();
    assert!(served.asked().ends_with(&format!("confirm by {me}")));
    assert!(matches!(
        served.backend.workflow("ci", "no/body").await,
        Err(ControlError::NotFound(text)) if text.contains("ci/no/body")
    ));
    let finish = api::FinishRequest { phase: Finished::Failed };
    assert!(matches!(
        served.backend.finish_workflow("ci", "nobody", &finish).await,
        Err(ControlError::NotFound(_))
    ));
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_and_the_next_request_is_served() {
    let served = Served::new(Logs::new()).await;
    let mut publish = PublishRequest {
        namespace: "ci".into(),
        source: "builds".into(),
        event: "completed".into(),
        data: serde_json::value::RawValue::from_string("1".into()).unwrap(),
        headers: Vec::new(),
        id: Some("x".repeat(MAX_BODY_BYTES)),
    };
    assert!(served.backend.publish(&publish).await.is_err());
    assert!(!served.asked().contains("publish"));
    publish.id = None;
    served.backend.publish(&publish).await.unwrap();
}

#[tokio::test]
async fn over_tcp_a_token_says_who_may_read_and_who_may_operate() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("tokens");
    std::fs::write(&file, "read wall 0123456789abcdef\noperate ada fedcba9876543210\n").unwrap();
    std::fs::set_permissions(&file, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let tokens = Tokens::from_file(&file).unwrap();
    let logs = Logs::new();
    let daemon = Arc::new(Paper { bus: logs.bus.clone(), asked: Mutex::new(Vec::new()) });
    let listener = Listener::tcp(([127, 0, 0, 1], 0).into(), tokens).await.unwrap();
    let url = format!("http://{}/", listener.address().unwrap());
    let stop = CancellationToken::new();
    tokio::spawn(serve(listener, daemon.clone(), stop.clone()));

    let open = async |token: Option<&str>| {
        let (url, token) = (url.clone(), token.map(str::to_owned));
        Backend::open(&Address::Url { url, token }).await.unwrap()
    };
    for token in [None, Some("wrong"), Some("fedcba9876543211")] {
        let denied = open(token).await.status().await.unwrap_err();
        assert!(matches!(denied, ControlError::Denied(_)), "{token:?}: {denied}");
    }
    let reader = open(Some("0123456789abcdef")).await;
    assert!(reader.status().await.unwrap().running);
    let denied = reader.reload(false).await.unwrap_err();
    assert_eq!(denied, ControlError::Denied("the token of `wall` may only read".into()));
    assert!(!daemon.asked.lock().unwrap().iter().any(|asked| asked.contains("reload")));
    open(Some("fedcba9876543210")).await.reload(false).await.unwrap();
    assert_eq!(daemon.asked.lock().unwrap().last().unwrap(), "reload by ada");
}

#[tokio::test]
async fn a_directory_that_holds_no_data_is_unreachable_and_stays_as_it_is() {
    let directory = tempfile::tempdir().unwrap();
    let address = Address::Directory(directory.path().join("none"));
    let Err(ControlError::Unreachable(text)) = Backend::open(&address).await else { panic!() };
    assert!(text.contains("tripline run"), "{text}");
    assert_eq!(std::fs::read_dir(directory.path()).unwrap().count(), 0);
}

#[tokio::test]
async fn a_data_directory_at_rest_answers_the_same_questions() {
    use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
    let directory = tempfile::tempdir().unwrap();
    let mut logs = Logs::new();
    let action = logs.hop("e-1", "build-1", "deploy-1").await;
    logs.dead(&action, Cause::Refused).await;
    let bus = EmbeddedBus::open(directory.path(), &OpenOptions::default()).unwrap();
    for log in Log::ALL {
        let first = logs.bus.extent(log).await.unwrap().first;
        for stored in logs.bus.read(log, first, 100).await.unwrap() {
            let append = tripline_bus::Append { dedup: None, record: stored.record };
            bus.append(log, vec![append]).await.unwrap();
        }
    }
    drop(bus);

    let address = Address::Directory(directory.path().to_owned());
    let backend = Backend::open(&address).await.unwrap();
    assert!(!backend.is_running());
    let items = backend.list(Log::Events, &Filter::default(), 5, true).await.unwrap();
    assert_eq!(collect(items).await, ["e-1"], "nothing follows at rest");
    assert!(matches!(backend.trace("deploy-1").await.unwrap(), Trace::Found(_)));
    let status = backend.status().await.unwrap();
    assert_eq!(status.dead_letters.get(&Cause::Refused), Some(&1));
    assert_eq!(status.logs[2].records, 2);
    let answers = backend.retry(vec![action.id.0.clone()], false).await.unwrap();
    assert!(matches!(answers[0].done, Done::Retried { round: 1, .. }));
    let needs_daemon = backend.sensors().await.unwrap_err();
    assert!(matches!(&needs_daemon, ControlError::Unreachable(text) if text.contains("needs one")));
    assert!(backend.backup(&directory.path().join("copy")).await.unwrap() > 0);
}
