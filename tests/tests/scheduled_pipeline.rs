//! The published pipeline of `examples/scheduled-pipeline`: when it is due over the changes of
//! clocks of two years, and what is submitted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::Instant;
use tripline::engine::definitions::Definitions;
use tripline::engine::driver::CheckpointEvery;
use tripline::engine::ingest::RandomIds;
use tripline::engine::mistakes::Mistakes;
use tripline::engine::observer::Unwatched;
use tripline::engine::schedules::CompiledSchedule;
use tripline::engine::{Engine, EngineParts};
use tripline::load::{self, Configuration};
use tripline_bus::Bus;
use tripline_bus::memory::{MemoryBus, MemoryStore};
use tripline_config::Input;
use tripline_event::{Clock, ObjectName, Timestamp};
use tripline_tests::docs::root;
use tripline_triggers::executor::{Kinds, Limits, Unobserved};
use tripline_triggers::workflow::WorkflowTrigger;
use tripline_triggers::workflow::local::LocalTarget;

fn load(definitions: &Definitions) -> Configuration {
    let path = root().join("examples/scheduled-pipeline");
    let loaded = load::load(&[Input::Path(path)], definitions);
    assert!(loaded.diagnostics.is_empty(), "{:#?}", loaded.diagnostics);
    loaded
}

fn schedule(loaded: &Configuration, name: &str) -> Arc<CompiledSchedule> {
    let sensor = &loaded.sensors[&ObjectName::new("data", format!("cronworkflow.{name}"))];
    Arc::clone(sensor.compiled.schedule.as_ref().unwrap())
}

/// The ticks of the UTC day of `date` and of the one before and after, as hours of UTC.
fn around(schedule: &CompiledSchedule, date: &str) -> Vec<String> {
    let noon: Timestamp = format!("{date}T12:00:00Z").parse().unwrap();
    let day = jiff_day();
    let ticks = schedule.definition.times.ticks_after(noon - day);
    let ticks = ticks.take_while(|tick| *tick <= noon + day);
    ticks.map(|tick| tick.strftime("%dT%H:%M").to_string()).collect()
}

const fn jiff_day() -> Duration {
    Duration::from_secs(24 * 3600)
}

#[test]
fn the_fire_times_over_the_changes_of_clocks_of_2026_and_2027_are_these() {
    let loaded = load(&Definitions::default());
    let (ingest, report) = (schedule(&loaded, "ingest"), schedule(&loaded, "report"));
    // Every four hours on the clocks of Zurich: from UTC+1 to UTC+2, and back.
    for (date, every_four_hours, half_past_two) in [
        (
            "2026-03-29",
            "28T15:00 28T19:00 28T23:00 29T02:00 29T06:00 29T10:00 29T14:00 29T18:00 29T22:00 \
             30T02:00 30T06:00 30T10:00",
            "30T00:30",
        ),
        (
            "2026-10-25",
            "24T14:00 24T18:00 24T22:00 25T03:00 25T07:00 25T11:00 25T15:00 25T19:00 25T23:00 \
             26T03:00 26T07:00 26T11:00",
            "25T00:30 25T01:30 26T01:30",
        ),
        (
            "2027-03-28",
            "27T15:00 27T19:00 27T23:00 28T02:00 28T06:00 28T10:00 28T14:00 28T18:00 28T22:00 \
             29T02:00 29T06:00 29T10:00",
            "29T00:30",
        ),
        (
            "2027-10-31",
            "30T14:00 30T18:00 30T22:00 31T03:00 31T07:00 31T11:00 31T15:00 31T19:00 31T23:00 \
             01T03:00 01T07:00 01T11:00",
            "31T00:30 31T01:30 01T01:30",
        ),
    ] {
        assert_eq!(around(&ingest, date).join(" "), every_four_hours, "{date}");
        assert_eq!(around(&report, date).join(" "), half_past_two, "{date}");
    }
}

/// Begins at a time and goes as the runtime's clock does.
struct VirtualClock(Timestamp, Instant);

impl Clock for VirtualClock {
    fn now(&self) -> Timestamp {
        self.0 + self.1.elapsed()
    }
}

#[tokio::test(start_paused = true)]
async fn the_workflows_are_submitted_unchanged_with_argo_s_name_label_and_annotation() {
    let begin: Timestamp = "2026-10-24T20:00:00Z".parse().unwrap();
    let clock: Arc<dyn Clock> = Arc::new(VirtualClock(begin, Instant::now()));
    let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new(MemoryStore::new(1)));
    let target = LocalTarget::new(Arc::clone(&bus), Arc::clone(&clock));
    let trigger = WorkflowTrigger::new(Arc::new(target.clone()));
    let kinds: Kinds = BTreeMap::from([("argoWorkflow".to_owned(), Arc::new(trigger) as _)]);
    let definitions = Arc::new(Definitions::default());
    let loaded = load(&definitions);
    let engine = Engine::start(EngineParts {
        bus: Arc::clone(&bus),
        clock,
        ids: Arc::new(RandomIds),
        definitions,
        kinds,
        observer: Arc::new(Unwatched),
        executor_observer: Arc::new(Unobserved),
        seed: 1,
        limits: Limits::default(),
        checkpoint_every: CheckpointEvery::default(),
        paused: Vec::new(),
        mistakes: Mistakes::default(),
    })
    .await
    .unwrap();
    engine.publisher().publish(&loaded.definitions()).await.unwrap();
    tokio::time::sleep(Duration::from_secs(8 * 3600)).await;

    let names = bus.keys("workflows/data/", None, 100).await.unwrap();
    // 22:00, 03:00 for `ingest`; 00:30 and 01:30 for `report`, which is due twice that night.
    assert_eq!(
        names,
        [
            "workflows/data/ingest-1792879200",
            "workflows/data/ingest-1792897200",
            "workflows/data/report-1792888200",
            "workflows/data/report-1792891800",
        ]
    );
    let written = written("report");
    let report = target.get("data", "report-1792888200").await.unwrap().unwrap();
    assert_eq!(report.object["spec"], written["spec"]["workflowSpec"]);
    let metadata = &report.object["metadata"];
    assert_eq!(metadata["labels"]["workflows.argoproj.io/cron-workflow"], "report");
    assert_eq!(
        metadata["annotations"]["workflows.argoproj.io/scheduled-time"],
        "2026-10-25T00:30:00Z"
    );
    engine.stop(Duration::from_secs(30)).await.unwrap();
}

/// The object of this name as it stands in the example.
fn written(name: &str) -> Value {
    let definitions = Definitions::default();
    let loaded = load(&definitions);
    let sensor = &loaded.sensors[&ObjectName::new("data", format!("cronworkflow.{name}"))];
    serde_json::from_str(&sensor.definition.json).unwrap()
}
