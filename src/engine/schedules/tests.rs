use serde_json::{Value, json};
use tripline_event::DefinitionHash;

use super::stored::Restored;
use super::*;
use crate::engine::definitions::Definitions;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn compiled(object: &Value) -> Arc<CompiledSchedule> {
    let kind: Kind = object["kind"].as_str().unwrap().parse().unwrap();
    let name = ObjectName::new("ci", object["metadata"]["name"].as_str().unwrap());
    let hash = DefinitionHash::of(&object.to_string());
    let (found, problems) = Definitions::default().compile(&kind.source_of(&name), &hash, object);
    let found = found.unwrap_or_else(|| panic!("{problems:#?}"));
    Arc::clone(found.schedule.as_ref().unwrap())
}

fn schedule(name: &str, spec: Value) -> Arc<CompiledSchedule> {
    compiled(&json!({
        "apiVersion": "tripline.dev/v1",
        "kind": "Schedule",
        "metadata": {"name": name, "namespace": "ci"},
        "spec": spec,
    }))
}

fn hourly(overlap: &str) -> Arc<CompiledSchedule> {
    schedule(
        "hourly",
        json!({
            "specs": [{"cronString": ["0 * * * *"]}],
            "policies": {"overlap": overlap},
            "action": {"log": {}},
        }),
    )
}

/// What stands in the log, in short; it is taken as seen.
fn log(schedules: &mut Schedules) -> Vec<String> {
    let events = schedules.unsent();
    for event in &events {
        schedules.apply(event);
    }
    events.iter().map(|event| format!("{} {}", event.key.name, event.id)).collect()
}

fn ended(schedule: &CompiledSchedule, nominal: &str) -> Event {
    let run = RunId { nominal: at(nominal), origin: tripline_schedules::policy::Origin::Tick };
    let data = events::RunResult {
        run: run.to_string(),
        id: run,
        end: tripline_schedules::policy::RunEnd::Completed,
        action: Some(schedule.action_of(run)),
        workflow: None,
        error: None,
    };
    Event {
        key: schedule.key(events::ENDED),
        id: tripline_event::EventId(run.to_string()),
        kind: events::KIND.to_owned(),
        time: at(nominal),
        content_type: tripline_event::event::JSON.to_owned(),
        data: Some(serde_json::to_vec(&data).unwrap().into()),
        links: tripline_event::event::Links::first(tripline_event::CorrelationId("c".into())),
        cloud_event: None,
    }
}

#[test]
fn a_tick_is_an_event_whose_id_is_the_nominal_time() {
    let mut schedules = Schedules::default();
    schedules.switch(at("2026-11-21T00:30:00Z"), vec![hourly("Skip")]);
    assert_eq!(schedules.next_deadline(), Some(at("2026-11-21T01:00:00Z")));
    schedules.pass_time(at("2026-11-21T00:59:59.9Z"));
    assert_eq!(log(&mut schedules), [""; 0]);
    schedules.pass_time(at("2026-11-21T01:00:00.2Z"));
    assert_eq!(log(&mut schedules), ["tick 2026-11-21T01:00:00Z"]);
    schedules.pass_time(at("2026-11-21T01:00:00.2Z"));
    assert_eq!(log(&mut schedules), [""; 0], "nothing is decided twice");
}

#[test]
fn while_a_run_goes_on_a_tick_is_skipped_with_an_event_until_its_end_is_on_the_bus() {
    let hourly = hourly("Skip");
    let mut schedules = Schedules::default();
    schedules.switch(at("2026-11-21T00:30:00Z"), vec![Arc::clone(&hourly)]);
    schedules.pass_time(at("2026-11-21T01:00:00Z"));
    assert_eq!(log(&mut schedules), ["tick 2026-11-21T01:00:00Z"]);
    schedules.pass_time(at("2026-11-21T02:00:00Z"));
    assert_eq!(log(&mut schedules), ["skipped Overlap/2026-11-21T02:00:00Z/2026-11-21T02:00:00Z"]);
    let run = schedules.entry(&hourly.name).unwrap().stored.state.running().next().unwrap();
    assert!(schedules.awaited(&hourly.action_of(run)).is_some());
    schedules.apply(&ended(&hourly, "2026-11-21T01:00:00Z"));
    assert!(schedules.awaits_nothing());
    schedules.pass_time(at("2026-11-21T03:00:00Z"));
    assert_eq!(log(&mut schedules), ["tick 2026-11-21T03:00:00Z"]);
}

/// Whatever is written into a checkpoint, and when: what follows is the same.
#[test]
fn schedules_that_were_stored_go_on_as_those_that_were_not() {
    let all = || {
        vec![
            hourly("BufferAll"),
            schedule(
                "own",
                json!({"specs": [{"interval": [{"interval": "25m"}]}], "action": {"event": {}}}),
            ),
            schedule(
                "often",
                json!({
                    "specs": [{"cronString": ["*/7 * * * *"], "jitter": "90s"}],
                    "policies": {"overlap": "Skip", "catchUp": "all"},
                    "action": {"log": {}},
                }),
            ),
        ]
    };
    let begin = at("2026-11-21T00:30:00Z");
    let mut whole = Schedules::default();
    whole.switch(begin, all());
    let mut stored_parts: BTreeMap<u8, bytes::Bytes> = BTreeMap::new();
    let mut restarted = Schedules::default();
    restarted.switch(begin, all());
    for step in 0..200_i64 {
        // Now and then it is late, and now and then a run ends.
        let gap = if step % 17 == 0 { 5000 } else { 240 + step * 7 % 400 };
        let now = whole.log_time() + jiff::SignedDuration::from_secs(gap);
        let mut told = Vec::new();
        for schedules in [&mut whole, &mut restarted] {
            schedules.pass_time(now);
            if step % 5 == 0 {
                let running: Vec<_> = schedules
                    .entries()
                    .flat_map(|(_, entry)| {
                        let runs = entry.stored.state.running();
                        runs.map(|run| (Arc::clone(&entry.compiled), run)).collect::<Vec<_>>()
                    })
                    .collect();
                for (compiled, run) in running {
                    schedules.apply(&ended(&compiled, &run.nominal.to_string()));
                }
            }
            let events = schedules.unsent();
            // Every other step nothing is seen in the log yet.
            if step % 2 == 0 {
                events.iter().for_each(|event| schedules.apply(event));
            }
            told.push(events);
        }
        assert_eq!(told[0], told[1], "step {step}");
        for (number, bytes) in restarted.changed_parts() {
            match bytes {
                Some(bytes) => stored_parts.insert(number, bytes),
                None => stored_parts.remove(&number),
            };
        }
        let mut restored = Restored::default();
        for bytes in stored_parts.values() {
            restored.read_part(bytes).unwrap();
        }
        if let Some(bytes) = restarted.outbox_bytes() {
            restored.read_outbox(&bytes).unwrap();
        }
        restarted = Schedules::restore(restored, now, all());
        assert_eq!(restarted.next_deadline(), whole.next_deadline(), "step {step}");
    }
}

#[test]
fn a_schedule_whose_times_change_makes_up_for_nothing_of_before() {
    let daily = |hour: u8| {
        schedule(
            "daily",
            json!({
                "specs": [{"calendar": [{"hour": hour.to_string()}]}],
                "policies": {"catchUp": "all", "catchUpWindow": "48h"},
                "action": {"event": {}},
            }),
        )
    };
    let mut schedules = Schedules::default();
    schedules.switch(at("2026-11-21T00:30:00Z"), vec![daily(2)]);
    schedules.switch(at("2026-11-21T05:00:00Z"), vec![daily(4)]);
    assert_eq!(log(&mut schedules), ["tick 2026-11-21T02:00:00Z"], "what was due was its own");
    schedules.pass_time(at("2026-11-22T04:00:00Z"));
    assert_eq!(log(&mut schedules), ["tick 2026-11-22T04:00:00Z"]);
}

#[test]
fn one_that_is_gone_and_comes_back_remembers_what_it_did_and_makes_up_for_nothing() {
    let hourly = hourly("Skip");
    let mut schedules = Schedules::default();
    schedules.switch(at("2026-11-21T00:30:00Z"), vec![Arc::clone(&hourly)]);
    schedules.pass_time(at("2026-11-21T01:00:00Z"));
    log(&mut schedules);
    schedules.switch(at("2026-11-21T01:10:00Z"), Vec::new());
    assert_eq!(schedules.next_deadline(), None);
    schedules.switch(at("2026-11-21T04:10:00Z"), vec![Arc::clone(&hourly)]);
    assert_eq!(log(&mut schedules), [""; 0]);
    schedules.pass_time(at("2026-11-21T05:00:00Z"));
    assert_eq!(
        log(&mut schedules),
        ["tick 2026-11-21T05:00:00Z"],
        "its old run is in no one's way"
    );
    assert_eq!(schedules.entry(&hourly.name).unwrap().stored.state.counters().actions, 2);
}

#[test]
fn a_cron_workflow_that_replaces_has_a_trigger_that_terminates() {
    let triggers = |policy: &str| {
        let object = json!({
            "apiVersion": "argoproj.io/v1alpha1",
            "kind": "CronWorkflow",
            "metadata": {"name": "x", "namespace": "ci"},
            "spec": {"schedules": ["@daily"], "concurrencyPolicy": policy, "workflowSpec": {}},
        });
        let hash = DefinitionHash::of(&object.to_string());
        let name = Kind::CronWorkflow.source_of(&ObjectName::new("ci", "x"));
        let (compiled, problems) = Definitions::default().compile(&name, &hash, &object);
        let compiled = compiled.unwrap_or_else(|| panic!("{problems:#?}"));
        let names = compiled.sensor.triggers.iter().map(|trigger| trigger.name.trigger.clone());
        names.collect::<Vec<_>>()
    };
    assert_eq!(triggers("Replace"), ["run", "stop"]);
    assert_eq!(triggers("Forbid"), ["run"]);
}

#[test]
fn what_is_wrong_is_found_at_its_place_in_the_object() {
    let places = |object: Value| {
        let kind: Kind = object["kind"].as_str().unwrap().parse().unwrap();
        let name = kind.source_of(&ObjectName::new("ci", "x"));
        let hash = DefinitionHash::of(&object.to_string());
        let (compiled, problems) = Definitions::default().compile(&name, &hash, &object);
        assert!(compiled.is_none());
        problems.iter().map(|problem| problem.path.to_string()).collect::<Vec<_>>()
    };
    let cron = |spec: Value| {
        json!({"apiVersion": "argoproj.io/v1alpha1", "kind": "CronWorkflow",
               "metadata": {"name": "x", "namespace": "ci"}, "spec": spec})
    };
    assert_eq!(
        places(cron(json!({"schedules": ["61 * * * *"]}))),
        ["spec.schedules[0]", "spec.workflowSpec"]
    );
    let own = |spec: Value| {
        json!({"apiVersion": "tripline.dev/v1", "kind": "Schedule",
               "metadata": {"name": "x", "namespace": "ci"}, "spec": spec})
    };
    let spec = json!([{"cronString": ["@daily"]}]);
    assert_eq!(places(own(json!({"specs": spec}))), ["spec.action"]);
    assert_eq!(
        places(own(
            json!({"specs": spec, "action": {"argoWorkflow": {"operation": "sumbit"}, "retryStrategy": {"duration": "x"}}})
        )),
        ["spec.action.argoWorkflow.operation", "spec.action.retryStrategy.duration"]
    );
    assert_eq!(
        places(own(json!({"specs": spec, "action": {"event": {"name": "ended"}}}))),
        ["spec.action.event.name"]
    );
    assert_eq!(
        places(own(json!({"specs": [{"cronString": ["0 0 0"]}], "action": {"lgo": {}}}))),
        ["spec.specs[0].cronString[0]"]
    );
}
