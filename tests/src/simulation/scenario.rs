//! What happens in a run, drawn from a seed before it begins.

use std::collections::BTreeMap;
use std::time::Duration;

use rand::rngs::SmallRng;
use rand::seq::IndexedRandom;
use rand::{Rng, SeedableRng};
use serde_json::{Value, json};
use tripline::engine::schedules::events::COMMAND;
use tripline_bus::memory::Faults;
use tripline_event::Timestamp;

use super::orders::{self, Order};

/// A run.
#[derive(Clone, Debug)]
pub struct Scenario {
    /// Where everything here was drawn from.
    pub seed: u64,
    /// Definitions of sensors that are put in force, in order, and when. The first at 0.
    pub plans: Vec<(Duration, Vec<Value>)>,
    /// What producers send, and what operators ask of schedules.
    pub messages: Vec<Sent>,
    /// What else operators do.
    pub orders: Vec<Order>,
    /// What the logs may take, in bytes, so that they are trimmed and what waits for long is
    /// parked.
    pub limit: Option<u64>,
    /// When the process is killed.
    pub crashes: Vec<Duration>,
    /// What goes wrong with the bus in the first life, the second, …
    pub faults: Vec<Faults>,
    /// How often a target fails without effect, fails after its effect, and refuses.
    pub target: TargetFaults,
    /// Records after which a checkpoint is written.
    pub checkpoint_records: u64,
    /// How many actions of a trigger the executor holds in memory.
    pub actions_per_trigger: usize,
}

/// A message that a producer sends until it is accepted.
#[derive(Clone, Debug)]
pub struct Sent {
    /// When it is first sent.
    pub at: Duration,
    /// The event source.
    pub source: String,
    /// The event's name.
    pub name: String,
    /// The id that upstream gives it; none: the daemon makes one.
    pub id: Option<String>,
    /// The body.
    pub body: Value,
    /// Sent once more after it was accepted.
    pub again: bool,
}

/// How a target behaves. Probabilities from 0 to 1.
#[derive(Clone, Copy, Debug)]
pub struct TargetFaults {
    /// It fails and has done nothing.
    pub fail: f64,
    /// It has done it and the answer is lost.
    pub lose_answer: f64,
    /// It refuses for good.
    pub refuse: f64,
    /// How long it takes at most.
    pub max_delay: Duration,
}

/// Everything happens within this time; then the world gets well.
pub const ACTIVE: Duration = Duration::from_secs(240);

/// The longest delay of the bus.
pub const LONGEST_DELAY: Duration = Duration::from_secs(3);

const SOURCES: [&str; 2] = ["builds", "images"];
const NAMES: [&str; 2] = ["completed", "pushed"];

impl Scenario {
    /// The run of that seed.
    pub fn of(seed: u64) -> Self {
        let random = &mut SmallRng::seed_from_u64(seed);
        let lives = random.random_range(0..=4);
        let mut crashes: Vec<_> = (0..lives).map(|_| within(random, ACTIVE)).collect();
        crashes.sort();
        // Every fourth run is without trouble, so that this is tried too.
        let trouble = !seed.is_multiple_of(4);
        let faults = (0..=lives)
            .map(
                |life| {
                    if trouble { faults(random, seed * 10 + life as u64) } else { Faults::none() }
                },
            )
            .collect();
        let mut plans = plans(random);
        let mut messages = messages(random);
        // Drawn by itself: what else a seed means stays what it was.
        let beside = &mut SmallRng::seed_from_u64(!seed);
        messages.extend(commands(beside));
        freeze(beside, &mut plans);
        let limit = beside.random_bool(0.4).then(|| beside.random_range(30_000..300_000));
        Self {
            seed,
            plans,
            messages,
            orders: orders::draw(seed),
            limit,
            crashes,
            faults,
            target: TargetFaults {
                fail: if trouble { 0.2 } else { 0.0 },
                lose_answer: if trouble { 0.1 } else { 0.0 },
                refuse: if trouble { 0.05 } else { 0.0 },
                max_delay: Duration::from_millis(random.random_range(1..=2000)),
            },
            checkpoint_records: random.random_range(1..=40),
            actions_per_trigger: random.random_range(2..=64),
        }
    }
}

fn within(random: &mut SmallRng, limit: Duration) -> Duration {
    limit.mul_f64(random.random::<f64>())
}

fn faults(random: &mut SmallRng, seed: u64) -> Faults {
    let mut faults = Faults::seeded(seed);
    let scale = random.random_range(0.0..=2.0);
    faults.dedup_window = Some(random.random_range(1..=32));
    faults.refuse_write *= scale;
    faults.lose_acknowledgement *= scale;
    faults.fail_read *= scale;
    let longest = LONGEST_DELAY.as_millis() as u64;
    faults.max_delay = Duration::from_millis(random.random_range(1..=longest));
    faults
}

fn messages(random: &mut SmallRng) -> Vec<Sent> {
    let count = random.random_range(10..=80);
    (0..count)
        .map(|number| {
            // Few ids, so that some are used by several messages.
            let id =
                random.random_bool(0.8).then(|| format!("id-{}", random.random_range(0..count)));
            Sent {
                at: within(random, ACTIVE),
                source: pick(random, &SOURCES),
                name: pick(random, &NAMES),
                again: id.is_some() && random.random_bool(0.2),
                id,
                body: json!({
                    "number": number,
                    "action": pick(random, &["completed", "failed"]),
                    "size": random.random_range(0..10),
                    "correlation_id": format!("chain-{}", random.random_range(0..20)),
                }),
            }
        })
        .collect()
}

/// What is asked of schedules, which may be gone by then or never there: pause, resume, a run
/// now, the runs of a period. `body` is the request.
fn commands(random: &mut SmallRng) -> Vec<Sent> {
    let overlap = |random: &mut SmallRng| random.random_bool(0.5).then(|| pick(random, &OVERLAPS));
    let count = random.random_range(0..=6);
    (0..count)
        .map(|number| {
            let body = match random.random_range(0..4) {
                0 => json!({"pause": {"note": "a release"}}),
                1 => json!("resume"),
                2 => json!({"trigger": {"overlap": overlap(random)}}),
                _ => json!({"backfill": {
                    "start": BEGIN,
                    "end": END,
                    "overlap": overlap(random),
                    "max": random.random_range(1..=5),
                }}),
            };
            Sent {
                at: within(random, ACTIVE),
                source: format!("schedule.schedule-{}", random.random_range(0..4)),
                name: COMMAND.to_owned(),
                id: Some(format!("command-{number}")),
                body,
                again: false,
            }
        })
        .collect()
}

/// Some sensors have freeze windows, the same in each plan.
fn freeze(random: &mut SmallRng, plans: &mut [(Duration, Vec<Value>)]) {
    let mut frozen: BTreeMap<String, Value> = BTreeMap::new();
    for sensor in plans.iter_mut().flat_map(|(_, sensors)| sensors) {
        if sensor["kind"] != "Sensor" {
            continue;
        }
        let windows = frozen.entry(sensor.to_string()).or_insert_with(|| windows(random));
        if !windows.is_null() {
            sensor["spec"]["freeze"] = windows.clone();
        }
    }
}

fn windows(random: &mut SmallRng) -> Value {
    let length = random.random_range(5..50);
    match random.random_range(0..8) {
        0 => {
            json!([{"name": "each minute", "schedule": "* * * * *", "duration": format!("{length}s")}])
        }
        1 => {
            let from = BEGAN + random.random_range(0..ACTIVE.as_secs() as i64);
            let time = |second| Timestamp::constant(second, 0).to_string();
            json!([{"name": "once", "from": time(from), "to": time(from + length)}])
        }
        _ => Value::Null,
    }
}

fn pick(random: &mut SmallRng, from: &[&str]) -> String {
    (*from.choose(random).unwrap_or(&"")).to_owned()
}

fn plans(random: &mut SmallRng) -> Vec<(Duration, Vec<Value>)> {
    let count = random.random_range(1..=5);
    let mut sensors: Vec<_> = (0..count).map(|number| sensor(random, number)).collect();
    let schedules = random.random_range(0..=4);
    sensors.extend((0..schedules).map(|number| schedule(random, number)));
    let mut plans = vec![(Duration::ZERO, sensors.clone())];
    let changes = random.random_range(0..=3);
    let mut times: Vec<_> = (0..changes).map(|_| within(random, ACTIVE)).collect();
    times.sort();
    for at in times {
        let number = random.random_range(0..=count);
        sensors.retain(|sensor| sensor["metadata"]["name"] != format!("sensor-{number}"));
        if random.random_bool(0.7) {
            sensors.push(sensor(random, number));
        }
        // A schedule goes, comes, or becomes another one.
        let number = random.random_range(0..=schedules);
        sensors.retain(|sensor| sensor["metadata"]["name"] != format!("schedule-{number}"));
        if random.random_bool(0.7) {
            sensors.push(schedule(random, number));
        }
        plans.push((at, sensors.clone()));
    }
    plans
}

/// When a run begins, in seconds: 2026-11-18T11:06:40Z.
pub const BEGAN: i64 = 1_795_000_000;
const OVERLAPS: [&str; 7] =
    ["Skip", "BufferOne", "BufferAll", "CancelOther", "TerminateOther", "AllowAll", "Replace"];
/// Where a period begins whose runs are asked for.
const BEGIN: &str = "2026-11-18T11:00:00Z";
/// When schedules end: everything is to be done at some time.
const END: &str = "2026-11-18T11:10:10Z";

fn schedule(random: &mut SmallRng, number: usize) -> Value {
    let times = match random.random_range(0..4) {
        0 => json!({"cronString": ["* * * * *"], "timezoneName": "Europe/Zurich"}),
        1 => json!({"calendar": [{"minute": "*", "hour": "*", "second": "*/20"}]}),
        2 => json!({"interval": [{"interval": format!("{}s", random.random_range(3..60))}],
                    "jitter": format!("{}s", random.random_range(0..20))}),
        _ => {
            json!({"cronString": ["* * * * *", "@every 25s"], "excludeCalendar": [{"minute": "9", "hour": "*"}]})
        }
    };
    let mut times = times;
    times["endTime"] = json!(END);
    let mut action = trigger(random, 0, 1);
    let mut does = action["template"].take();
    for (key, value) in action.as_object().into_iter().flatten() {
        if key != "template" {
            does[key] = value.clone();
        }
    }
    if let Some(does) = does.as_object_mut() {
        does.retain(|key, _| !["name", "conditions", "conditionsReset"].contains(&key.as_str()));
    }
    let does: Value = serde_json::from_str(
        &does
            .to_string()
            .replace("\"d0\"", "\"tick\"")
            .replace("body.correlation_id", "scheduledTime"),
    )
    .unwrap_or_default();
    let action = if random.random_bool(0.2) { json!({"event": {}}) } else { does };
    let catch_up = pick(random, &["none", "latest", "all"]);
    json!({
        "apiVersion": "tripline.dev/v1",
        "kind": "Schedule",
        "metadata": {"name": format!("schedule-{number}"), "namespace": "ci"},
        "spec": {
            "specs": [times],
            "policies": {
                "overlap": pick(random, &OVERLAPS),
                "catchUp": catch_up,
                "catchUpWindow": format!("{}s", random.random_range(10..300)),
                "pauseOnFailure": random.random_bool(0.1),
            },
            "state": if random.random_bool(0.2) { json!({"limitedActions": 3}) } else { json!({}) },
            "deleteAfterCompletion": random.random_bool(0.5),
            "action": action,
        },
    })
}

fn sensor(random: &mut SmallRng, number: usize) -> Value {
    let dependencies: Vec<_> =
        (0..random.random_range(1..=3)).map(|index| dependency(random, index)).collect();
    let triggers: Vec<_> = (0..random.random_range(1..=2))
        .map(|index| {
            let trigger = trigger(random, index, dependencies.len());
            steered(random, trigger)
        })
        .collect();
    json!({
        "apiVersion": "tripline.dev/v1",
        "kind": "Sensor",
        "metadata": {"name": format!("sensor-{number}"), "namespace": "ci"},
        "spec": {"dependencies": dependencies, "triggers": triggers},
    })
}

fn dependency(random: &mut SmallRng, index: usize) -> Value {
    let mut dependency = json!({
        "name": format!("d{index}"),
        "eventSourceName": pick(random, &SOURCES),
        "eventName": pick(random, &NAMES),
    });
    if random.random_bool(0.5) {
        let filter = if random.random_bool(0.5) {
            json!({"path": "body.action", "type": "string", "value": ["completed"]})
        } else {
            let size = random.random_range(0..10).to_string();
            json!({"path": "body.size", "type": "number", "value": [size], "comparator": ">="})
        };
        dependency["filters"] = json!({"data": [filter]});
    }
    dependency
}

fn trigger(random: &mut SmallRng, index: usize, dependencies: usize) -> Value {
    let mut template =
        json!({"name": format!("t{index}"), "conditions": condition(random, dependencies)});
    let first = json!({"dependencyName": "d0", "dataKey": "body.correlation_id", "value": "none"});
    if random.random_bool(0.5) {
        template["argoWorkflow"] = json!({
            "operation": "submit",
            "source": {"resource": {
                "apiVersion": "argoproj.io/v1alpha1",
                "kind": "Workflow",
                "metadata": {"generateName": "deploy-"},
                "spec": {"arguments": {"parameters": [{"name": "correlation-id", "value": ""}]}},
            }},
            "parameters": [{"src": first, "dest": "spec.arguments.parameters.0.value"}],
        });
    } else {
        template["http"] = json!({
            "url": "http://target.example/hook",
            "method": "POST",
            "payload": [{"src": first, "dest": "correlation"}],
        });
    }
    if random.random_bool(0.2) {
        template["conditionsReset"] =
            json!([{"byTime": {"cron": "* * * * *", "timezone": "Europe/Zurich"}}]);
    }
    let mut trigger = json!({"template": template});
    if random.random_bool(0.3) {
        trigger["maxInFlight"] = json!(random.random_range(1..=3));
    }
    trigger
}

/// The trigger with some of the executor's rules.
fn steered(random: &mut SmallRng, mut trigger: Value) -> Value {
    if random.random_bool(0.5) {
        trigger["key"] = json!("body.correlation_id");
    }
    if random.random_bool(0.3) {
        trigger["ordering"] = json!("strict");
    }
    if random.random_bool(0.2) {
        trigger["whenQueued"] = json!("latest");
    }
    if random.random_bool(0.3) {
        trigger["overlap"] = json!(pick(random, &["AllowAll", "Skip", "BufferOne", "BufferAll"]));
    }
    if random.random_bool(0.2) {
        let unit = pick(random, &["Second", "Minute"]);
        let requests = random.random_range(2..=20);
        trigger["rateLimit"] = json!({"unit": unit, "requestsPerUnit": requests});
    }
    if random.random_bool(0.3) {
        trigger["retryStrategy"] =
            json!({"steps": random.random_range(1..=4), "duration": "2s", "factor": 2});
    }
    if random.random_bool(0.3) {
        let name = format!("{}-report", trigger["template"]["name"].as_str().unwrap_or_default());
        trigger["dlqTrigger"] = json!({"template": {"name": name, "http": {
            "url": "http://target.example/report", "method": "POST",
            "payload": [{"src": {"dependencyName": "d0", "value": "none"}, "dest": "event"}],
        }}});
    }
    trigger
}

fn condition(random: &mut SmallRng, dependencies: usize) -> String {
    let mut names = (0..dependencies).map(|index| format!("d{index}"));
    let mut text = names.next().unwrap_or_default();
    for name in names {
        let operator = if random.random_bool(0.6) { "&&" } else { "||" };
        text = format!("({text}) {operator} {name}");
    }
    text
}
