//! The tests of tests.

use tripline_config::Input;

use super::*;

const SENSOR: &str = r#"
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: deploy, namespace: ci}
spec:
  dependencies:
    - name: build
      eventSourceName: builds
      eventName: completed
      filters: {data: [{path: body.action, type: string, value: [completed]}]}
  triggers:
    - template:
        name: submit
        argoWorkflow:
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {generateName: deploy-}
              spec:
                entrypoint: main
                arguments: {parameters: [{name: sha, value: x}, {name: id, value: x}]}
          parameters:
            - {src: {dependencyName: build, dataKey: body.sha, value: none}, dest: spec.arguments.parameters.0.value}
            - {src: {dependencyName: build, contextKey: correlationid}, dest: spec.arguments.parameters.1.value}
---
apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {name: builds, namespace: ci}
spec:
  webhook:
    completed: {port: "12000", endpoint: /builds, method: POST, filter: {expression: "body.ignored != true"}}
    a: {port: "12000", endpoint: /a, method: POST}
    b: {port: "12000", endpoint: /b, method: POST}
    ping: {port: "12000", endpoint: /ping, method: POST}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {name: join, namespace: ci}
spec:
  dependencies:
    - {name: a, eventSourceName: builds, eventName: a}
    - {name: b, eventSourceName: builds, eventName: b}
    - name: office
      eventSourceName: builds
      eventName: ping
      filters: {time: {start: "09:00:00", stop: "17:00:00"}}
  triggers:
    - template:
        name: both
        conditions: a && b
        conditionsReset: [{byTime: {cron: "0 3 * * *"}}]
        log: {}
    - template: {name: ping, conditions: office, log: {}}
---
apiVersion: tripline.dev/v1
kind: Schedule
metadata: {name: nightly, namespace: ci}
spec:
  specs: [{cronString: ["30 2 * * *"]}]
  policies: {overlap: Skip}
  action: {log: {}}
"#;

/// The results of these cases, `spec` of a test of `sensor`.
fn run(sensor: &str, cases: &str) -> Vec<CaseResult> {
    let tests = load(sensor, cases);
    assert_eq!(tests.diagnostics, [], "{cases}");
    tests.run(|_| true)
}

fn load(sensor: &str, cases: &str) -> Tests {
    let head =
        "apiVersion: tripline.dev/v1\nkind: SensorTest\nmetadata: {name: t, namespace: ci}\n";
    let test = format!("{head}spec:\n  sensor: {sensor}\n  cases:\n{cases}");
    Tests::load(&[Input::text("s.yaml", SENSOR), Input::text("t.yaml", test)])
}

/// All cases pass.
fn pass(sensor: &str, cases: &str) {
    for result in run(sensor, cases) {
        assert!(result.passed, "{}", report::failed(&result));
    }
}

/// The text of the only case, which fails.
fn fail(sensor: &str, case: &str) -> String {
    let results = run(sensor, case);
    let [result] = results.as_slice() else { panic!("{results:?}") };
    assert!(!result.passed, "{case}");
    report::failed(result)
}

#[test]
fn the_short_forms_say_what_fires() {
    pass(
        "deploy",
        r#"
    - name: the name of a trigger
      given: [{body: {action: completed}}]
      expect: submit
    - name: a number
      given: [{body: {action: completed}}, {body: {action: failed}}, {body: {action: completed}}]
      expect: 2
    - name: nothing
      given: [{event: builds/completed, body: {action: failed}}]
      expect: nothing
    - name: a list, in any order
      given: [{event: ci/builds/completed, data: {body: {action: completed, sha: 1}}}, {event: build, body: {action: completed, sha: 2}}]
      expect: [{parameters: {sha: 2}}, submit]
    - name: a step of its own
      given:
        - {body: {action: failed}, expect: nothing}
        - {body: {action: completed}, expect: submit}
        - {event: other/source, body: 1, expect: nothing}
"#,
    );
}

#[test]
fn what_is_rendered_is_compared() {
    pass(
        "deploy",
        r#"
    - name: parameters, paths, parts
      given: [{body: {action: completed, sha: 4f2a, correlation_id: build-1}}]
      expect:
        trigger: submit
        correlation: build-1
        parameters: {sha: 4f2a, id: build-1}
        object:
          spec: {entrypoint: main}
          metadata.namespace: ci
          spec.arguments.parameters.0.value: 4f2a
"#,
    );
    let text = fail(
        "deploy",
        r#"
    - name: wrong
      given: [{body: {action: completed, sha: 4f2a}}]
      expect: {parameters: {sha: other, nope: x}, object: {spec: {entrypoint: end}, spec.none: 1}}
"#,
    );
    for expected in [
        "expected  something fires once",
        "got       submit fires with other values",
        "parameters.sha\n      expected  \"other\"\n      got       \"4f2a\"",
        "parameters.nope\n      expected  \"x\"\n      got       nothing",
        "object.spec.entrypoint\n      expected  \"end\"\n      got       \"main\"",
        "object.spec.none",
    ] {
        assert!(text.contains(expected), "{expected}\n{text}");
    }
}

#[test]
fn a_missing_firing_is_explained_by_the_filter_that_said_no() {
    let text = fail(
        "deploy",
        r#"
    - name: a build that failed
      given: [{event: builds/completed, body: {action: failed}}]
      expect: submit
"#,
    );
    assert!(text.contains("ci/t: a build that failed  t.yaml:"), "{text}");
    assert!(text.contains("expected  submit fires once"), "{text}");
    assert!(text.contains("got       nothing fires"), "{text}");
    assert!(text.contains("filters.data[0]: body.action is failed, wanted"), "{text}");
}

#[test]
fn what_fires_and_was_not_expected_is_a_failure() {
    for expect in
        ["nothing", "{trigger: submit, times: 0}", "2", "{trigger: submit, times: 2}", "[]"]
    {
        let case = format!(
            "    - {{name: x, given: [{{body: {{action: completed}}}}], expect: {expect}}}\n"
        );
        let text = fail("deploy", &case);
        assert!(text.contains("submit"), "{expect}: {text}");
    }
    // What no step expects counts at the end.
    let text = fail(
        "deploy",
        r#"
    - name: x
      given: [{body: {action: completed}, expect: submit}, {body: {action: completed}}]
"#,
    );
    assert!(text.contains("at the end"), "{text}");
}

#[test]
fn a_reason_is_held_to() {
    pass(
        "deploy",
        r#"
    - name: the filter
      given: [{body: {action: failed}}]
      expect: {times: 0, because: "filters.data[0]: body.action is failed"}
    - name: a duplicate
      given: [{id: x, body: {action: completed}, expect: submit}, {id: x, body: {action: completed}}]
      expect: {trigger: submit, times: 0, because: duplicate}
    - name: the event source
      given: [{body: {action: completed, ignored: true}}]
      expect: {times: 0, because: filter.expression}
"#,
    );
    pass(
        "join",
        r#"
    - name: a half-met condition
      given: [{event: a}]
      expect: {trigger: both, times: 0, because: waits for b}
"#,
    );
    let text = fail(
        "deploy",
        r#"
    - {name: x, given: [{body: {action: failed}}], expect: {times: 0, because: "body.sha"}}
"#,
    );
    assert!(text.contains("because: body.sha") && text.contains("another reason"), "{text}");
}

#[test]
fn time_passes_on_a_clock_of_its_own() {
    pass(
        "join",
        r#"
    - name: a window of time
      given:
        - {at: "08:59", event: ping, expect: nothing}
        - {at: "09:30", event: ping, expect: ping}
        - {at: "18:00", event: ping, expect: {times: 0, because: filters.time}}
        - {at: "10:00", event: ping, expect: ping}
    - name: a condition is reset
      given: [{event: a}, {advance: 4h}, {event: b, expect: nothing}, {event: a, expect: both}]
    - name: a condition that is not reset yet
      given: [{event: a}, {advance: 2h}, {event: b, expect: both}]
    - name: an id is known for a day
      given:
        - {event: ping, at: "12:00", id: x, expect: ping}
        - {event: ping, advance: 1h, id: x, expect: nothing}
"#,
    );
    let text = fail(
        "join",
        r#"
    - {name: x, given: [{at: 2025-01-01T00:00:00Z, event: ping}], expect: nothing}
"#,
    );
    assert!(text.contains("time does not go back"), "{text}");
}

#[test]
fn schedules_tick_by_themselves() {
    pass(
        "schedule.nightly",
        r#"
    - name: each night
      given: [{advance: 1h, expect: nothing}, {advance: 2h, expect: run}, {advance: 2d, expect: 2}]
    - name: not while a run goes on
      runsTake: 30h
      given: [{at: 2026-01-01T03:00:00Z, expect: run}, {advance: 1d, expect: nothing}, {advance: 1d, expect: run}]
"#,
    );
}

#[test]
fn what_cannot_be_rendered_is_a_dead_letter_that_is_expected_or_a_failure() {
    let given = "given: [{body: {action: completed}, hops: 30}]";
    let text = fail("deploy", &format!("    - {{name: x, {given}, expect: submit}}\n"));
    assert!(text.contains("submit is a dead letter: loop"), "{text}");
    fail("deploy", &format!("    - {{name: x, {given}, expect: 1}}\n"));
    pass("deploy", &format!("    - {{name: x, {given}, expect: {{deadLetter: 31 hops}}}}\n"));
    fail(
        "deploy",
        "    - {name: x, given: [{body: {action: completed}}], expect: {deadLetter: hops}}\n",
    );
}

#[test]
fn events_have_parts_in_common() {
    let yaml = r#"
apiVersion: tripline.dev/v1
kind: SensorTest
metadata: {name: t, namespace: ci}
spec:
  sensors: [deploy]
  events:
    completed: {event: builds/completed, headers: {X-Correlation-Id: c-1}, body: {action: completed, sha: a}}
  cases:
    - {name: as it is, given: [{event: completed}], expect: {parameters: {sha: a, id: c-1}}}
    - {name: one value, given: [{event: completed, set: {body.action: failed}}], expect: nothing}
    - {name: other data, given: [{event: completed, body: {action: completed, sha: b}}], expect: {parameters: {sha: b}}}
"#;
    let inputs = [Input::text("s.yaml", SENSOR), Input::text("t.yaml", yaml)];
    let tests = Tests::load(&inputs);
    assert_eq!(tests.diagnostics, []);
    for result in tests.run(|_| true) {
        assert!(result.passed, "{}", report::failed(&result));
    }
    assert_eq!(tests.run(|title| title.contains("one value")).len(), 1);
}

#[test]
fn data_stand_in_files_beside_the_test() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    write("sensor.yaml", SENSOR);
    write("build.json", r#"{"body": {"action": "completed", "sha": "f"}}"#);
    write(
        "recorded.json",
        r#"{"position":"1/7","v":1,"record":"event","specversion":"1.0","id":"b-1","source":"builds","type":"webhook","subject":"completed","time":"2026-11-21T03:00:00Z","namespace":"ci","links":{"correlation":"build-1"},"data":{"body":{"action":"completed","sha":"r"}}}"#,
    );
    let test = r#"
apiVersion: tripline.dev/v1
kind: SensorTest
metadata: {name: t, namespace: ci}
spec:
  sensor: deploy
  cases:
    - {name: data, given: [{file: build.json}], expect: {parameters: {sha: f}}}
    - {name: a record, given: [{file: recorded.json}], expect: {correlation: build-1, parameters: {sha: r}}}
"#;
    write("test.yaml", test);
    let inputs = || vec![Input::Path(folder.path().to_owned())];
    let tests = Tests::load(&inputs());
    assert_eq!(tests.diagnostics, []);
    for result in tests.run(|_| true) {
        assert!(result.passed, "{}", report::failed(&result));
    }
    write("test.yaml", &test.replace("build.json", "none.json"));
    let found = Tests::load(&inputs()).diagnostics;
    let text = found.iter().find(|of| of.is_error()).unwrap().to_string();
    assert!(text.contains("none.json cannot be read") && text.contains("test.yaml:8:"), "{text}");
}

#[test]
fn each_mistake_of_a_test_has_its_place() {
    for (sensor, case, expected) in [
        (
            "deplyo",
            "{name: x, given: [{body: 1}], expect: nothing}",
            "there is no sensor `ci/deplyo`",
        ),
        ("deploy", "{name: x, given: [{body: 1}], expect: sumbit}", "there is no trigger `sumbit`"),
        ("deploy", "{name: x, given: [{body: 1}]}", "a case needs `expect`"),
        ("deploy", "{name: x, expect: nothing}", "a case needs `given`"),
        ("deploy", "{name: x, given: [{body: 1, expct: 1}], expect: 1}", "unknown field `expct`"),
        (
            "deploy",
            "{name: x, given: [{body: 1}], expect: {triger: submit}}",
            "unknown field `triger`",
        ),
        (
            "deploy",
            "{name: x, given: [{event: nobody, body: 1}], expect: 1}",
            "`nobody` is no event",
        ),
        ("join", "{name: x, given: [{body: 1}], expect: 1}", "which `event` comes in must be said"),
        ("deploy", "{name: x, given: [{body: 1, data: 1}], expect: 1}", "exclude each other"),
        ("deploy", "{name: x, given: [{at: noon}], expect: 1}", "`noon` is no time"),
        ("deploy", "{name: x, given: [{advance: -1h}], expect: 1}", "time does not go back"),
        ("deploy", "{name: x, given: [{body: 1}], expect: {because: why}}", "`because` says why"),
        (
            "deploy",
            "{name: x, given: [{body: 1}], expect: {times: 0, target: prod}}",
            "what never fires",
        ),
        ("deploy", "{name: x, given: [{body: 1}], expect: true}", "expected"),
    ] {
        let tests = load(sensor, &format!("    - {case}\n"));
        let texts: Vec<String> = tests.diagnostics.iter().map(ToString::to_string).collect();
        let found = texts.iter().any(|text| text.contains(expected) && text.starts_with("t.yaml:"));
        assert!(found, "{case}: {texts:?}");
        assert!(tests.has_errors() && tests.suites.is_empty(), "{case}");
    }
}

/// The daemon must not be held up by a test, however wrong it is.
#[test]
fn whoever_runs_the_sensors_does_not_look_at_tests() {
    let inputs = [
        Input::text("s.yaml", SENSOR),
        Input::text(
            "t.yaml",
            "apiVersion: tripline.dev/v1\nkind: SensorTest\nmetadata: {name: t}\nspec: {nonsense: 1}\n",
        ),
    ];
    let loaded = crate::load::load(&inputs, &Definitions::default());
    assert_eq!((loaded.diagnostics.as_slice(), loaded.tests), (&[][..], 1));
    assert!(loaded.invalid.is_empty());
    let report = crate::check::check(&inputs, false);
    assert!(!report.is_ok(), "and `check` looks");
}

/// A case is decided by the same evaluator, with the same ids and the same objects, as
/// `render` (and so the daemon) makes them.
#[test]
fn a_case_fires_what_render_renders() {
    let line = r#"{"v":1,"record":"event","specversion":"1.0","id":"b-1","source":"builds","type":"webhook","subject":"completed","time":"2026-11-21T03:00:00Z","namespace":"ci","links":{"correlation":"build-1"},"data":{"body":{"action":"completed","sha":"s"}}}"#;
    let rendered = crate::render::render(&crate::render::Order {
        inputs: vec![Input::text("s.yaml", SENSOR)],
        sensor: Some("deploy".to_owned()),
        events: vec![(None, line.to_owned())],
        ..Default::default()
    })
    .unwrap();
    let tests = load(
        "deploy",
        "    - {name: x, given: [{id: b-1, correlation: build-1, at: 2026-11-21T03:00:00Z, body: {action: completed, sha: s}}], expect: submit}\n",
    );
    let (suite, case) = (&tests.suites[0], &tests.suites[0].cases[0]);
    let mut world = world::World::new(suite, &tests.definitions, case.start, case.runs_take, false);
    let step = &case.steps[0];
    world.pass(step.passing.as_ref().unwrap()).unwrap();
    world.take_in(step.given.as_ref().unwrap());
    let (fired, _) = world.take();
    assert_eq!(fired[0].rendered.as_ref().unwrap().object, rendered.rendered[0].object);
}

#[test]
fn thousands_of_cases_are_run_in_a_second() {
    let cases: String = (0..500)
        .map(|n| format!("    - {{name: c{n}, given: [{{body: {{action: completed, sha: s{n}}}}}], expect: {{parameters: {{sha: s{n}}}}}}}\n"))
        .collect();
    let tests = load("deploy", &cases);
    assert_eq!(tests.diagnostics, []);
    let begin = std::time::Instant::now();
    let results = tests.run(|_| true);
    assert!(results.iter().all(|result| result.passed));
    // A build without optimization, on a machine that does other things.
    let took = begin.elapsed();
    assert!(took.as_secs_f64() < 2.0, "500 cases took {took:?}");
}

/// What a newcomer reads first is tested by its own tests.
#[test]
fn the_tests_of_every_example_pass() {
    let examples = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("examples");
    let mut cases = 0;
    for entry in std::fs::read_dir(&examples).unwrap() {
        let folder = entry.unwrap().path();
        let mut inputs = vec![Input::Path(folder.clone())];
        if !folder.join("sensor.yaml").exists() && folder.ends_with("build-then-deploy-pubsub") {
            inputs.push(Input::Path(examples.join("build-then-deploy/sensor.yaml")));
        }
        let tests = Tests::load(&inputs);
        assert!(!tests.has_errors(), "{:?}", tests.diagnostics);
        let results = tests.run(|_| true);
        assert!(!results.is_empty(), "{} has no tests", folder.display());
        for result in &results {
            assert!(result.passed, "{}", report::failed(result));
        }
        cases += results.len();
    }
    assert!(cases >= 7, "only {cases}");
}
