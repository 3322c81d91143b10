//! The tests of imports.

use tripline_config::Input;

use super::compatibility::{
    OF_ALL_CRON_WORKFLOWS, OF_ALL_EVENT_SOURCES, OF_ALL_SENSORS, OF_EVENT_SOURCES, OF_SENSORS, row,
    rows,
};
use super::*;

fn object(kind: &str, spec: &str) -> String {
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: {kind}\nmetadata: {{name: x, namespace: ci}}\nspec: {spec}\n"
    )
}

fn of(kind: &str, spec: &str) -> ObjectReport {
    let report = examine(&[Input::text("argo.yaml", object(kind, spec))]);
    let [only] = report.objects.as_slice() else { panic!("{report:#?}") };
    only.clone()
}

/// A sensor with these fields of its trigger and of its dependency, beside `spec`'s own.
fn sensor(trigger: &str, dependency: &str, more: &str) -> ObjectReport {
    let spec = format!(
        "{{{more}dependencies: [{{name: a, eventSourceName: s, eventName: e{dependency}}}], \
         triggers: [{{template: {{name: t, log: {{}}}}{trigger}}}]}}"
    );
    of("Sensor", &spec)
}

const ONCE: &str = ", retryStrategy: {steps: 1}";

fn topics(report: &ObjectReport) -> Vec<Topic> {
    report.findings.iter().map(|finding| finding.topic).collect()
}

#[test]
fn what_does_here_what_it_does_there_runs_unchanged() {
    let report = sensor(ONCE, "", "");
    assert_eq!((report.verdict, report.findings.as_slice()), (Verdict::Unchanged, &[][..]));
    let report = of("EventSource", "{webhook: {e: {port: '80', endpoint: /a, method: POST}}}");
    assert_eq!((report.verdict, report.findings.as_slice()), (Verdict::Unchanged, &[][..]));
    assert!(report.place.starts_with("argo.yaml:1:"), "{}", report.place);
}

#[test]
fn what_argo_tries_once_is_named_where_it_will_be_retried() {
    let report = sensor("", "", "");
    assert_eq!((report.verdict, topics(&report)), (Verdict::Differs, vec![Topic::Retried]));
    let finding = &report.findings[0];
    assert_eq!(finding.field, "spec.triggers[0]");
    assert!(finding.what.contains("tries `t` once"), "{finding:?}");
    assert!(!topics(&sensor(", atLeastOnce: true", "", "")).contains(&Topic::Retried));
}

#[test]
fn each_thing_that_differs_is_seen_and_explained_by_the_page() {
    let filter = |filters: &str| format!(", filters: {{{filters}}}");
    let parameter = |src: &str, dest: &str| {
        let parameter = format!("{{src: {{dependencyName: a, {src}}}, dest: {dest}}}");
        format!("{ONCE}, parameters: [{parameter}]")
    };
    for (trigger, dependency, field, words) in [
        (
            ONCE.to_owned(),
            filter("data: [{path: b, type: string, value: [x], template: '{{.Input}}'}]"),
            "spec.dependencies[0].filters.data[0].template",
            "Go templates with sprig",
        ),
        (
            ONCE.to_owned(),
            filter("script: return true"),
            "spec.dependencies[0].filters.script",
            "gopher-lua",
        ),
        (
            ONCE.to_owned(),
            ", transform: {jq: .}".to_owned(),
            "spec.dependencies[0].transform",
            "gojq",
        ),
        (
            parameter("dataTemplate: '{{.Input.x}}'", "x"),
            String::new(),
            "spec.triggers[0].parameters[0].src.dataTemplate",
            "Go templates with all of sprig",
        ),
        (
            parameter("dataKey: x", "a.1000000"),
            String::new(),
            "spec.triggers[0].parameters[0].dest",
            "refused",
        ),
        (
            format!("{ONCE}, rateLimit: {{unit: Second, requestsPerUnit: 1}}"),
            String::new(),
            "spec.triggers[0].rateLimit",
            "evenly spread",
        ),
        (
            format!("{ONCE}, atLeastOnce: true"),
            String::new(),
            "spec.triggers[0].atLeastOnce",
            "always",
        ),
    ] {
        let report = sensor(&trigger, &dependency, "");
        let found = report.findings.iter().find(|one| one.field == field);
        let found = found.unwrap_or_else(|| panic!("{field}: {:#?}", report.findings));
        assert_eq!(found.topic, Topic::Differs, "{field}");
        assert!(found.advice.as_ref().is_some_and(|advice| advice.contains(words)), "{found:?}");
        assert!(report.verdict >= Verdict::Differs, "{field}");
    }
    let report = of(
        "EventSource",
        "{webhook: {e: {port: '80', endpoint: /a, method: POST, filter: {expression: body.x == 1}}}}",
    );
    assert_eq!(report.findings[0].field, "spec.webhook.e.filter.expression");
}

#[test]
fn what_is_not_supported_says_so_with_its_place_and_code() {
    for (kind, spec, field) in [
        ("EventSource", "{gerrit: {e: {}}}", "spec.gerrit.e"),
        ("EventBus", "{nats: {native: {}}}", "spec.nats"),
        (
            "Sensor",
            "{dependencies: [{name: a, eventSourceName: s, eventName: e}], triggers: [{template: {name: t, openWhisk: {}}}]}",
            "spec.triggers[0].template.openWhisk",
        ),
    ] {
        let report = of(kind, spec);
        assert_eq!(report.verdict, Verdict::Unsupported, "{report:#?}");
        let finding = &report.findings[0];
        assert_eq!(finding.topic, Topic::Unsupported, "{finding:?}");
        assert!(finding.field.starts_with(field), "{finding:?}");
        assert!(finding.code.as_ref().is_some_and(|code| code.starts_with("TL")), "{finding:?}");
    }
}

#[test]
fn what_a_pod_has_is_named_with_what_to_do() {
    let pod = "template: {serviceAccountName: robot, \
               metadata: {annotations: {iam.amazonaws.com/role: r, other: x}}, \
               container: {env: [{name: TOKEN, value: s3cret}], envFrom: [{secretRef: {name: all}}]}, \
               volumes: [{name: certs, secret: {secretName: c}}]}, ";
    for report in [
        sensor(ONCE, "", pod),
        of(
            "EventSource",
            &format!("{{{pod}webhook: {{e: {{port: '80', endpoint: /a, method: POST}}}}}}"),
        ),
    ] {
        assert_eq!(report.verdict, Verdict::ToDo, "{report:#?}");
        let expected = [
            (Topic::Identity, "spec.template.metadata.annotations"),
            (Topic::Identity, "spec.template.serviceAccountName"),
            (Topic::Environment, "spec.template.container.env"),
            (Topic::Environment, "spec.template.container.envFrom"),
            (Topic::Volumes, "spec.template.volumes"),
        ];
        let found: Vec<_> =
            report.findings.iter().map(|of| (of.topic, of.field.as_str())).collect();
        assert_eq!(found, expected);
        assert!(report.findings.iter().all(|finding| finding.advice.is_some()));
        let json = serde_json::to_string(&report).unwrap();
        assert!(json.contains("TOKEN") && !json.contains("s3cret"), "names, and no values");
    }
    let report = of("EventSource", "{sqs: {e: {region: eu-central-1, queue: q}}}");
    assert!(topics(&report).contains(&Topic::Identity), "{report:#?}");
}

#[test]
fn event_sources_whose_ports_clash_are_named() {
    let source = |name: &str, port: &str| {
        object(
            "EventSource",
            &format!("{{webhook: {{e: {{port: '{port}', endpoint: /a, method: POST}}}}}}"),
        )
        .replace("name: x", &format!("name: {name}"))
    };
    let both = |other: &str| {
        let yaml = format!("{}---\n{}", source("one", "80"), source("two", other));
        examine(&[Input::text("argo.yaml", yaml)])
    };
    let report = both("80");
    for (object, other) in report.objects.iter().zip(["ci/two", "ci/one"]) {
        assert_eq!(object.verdict, Verdict::ToDo, "{report:#?}");
        let finding = &object.findings[0];
        assert_eq!((finding.topic, finding.field.as_str()), (Topic::Ports, "spec.webhook.e"));
        assert!(finding.what.contains(&format!("is also that of {other}")), "{finding:?}");
    }
    let advice = report.objects[0].findings[0].advice.as_deref();
    assert!(advice.is_some_and(|text| text.contains("`/ci/one/a`")), "{report:#?}");
    assert!(!report.is_ready() && both("81").is_ready());
}

/// A kind that the page says differs is told wherever it is used.
#[test]
fn a_kind_that_differs_says_how() {
    let differs: Vec<_> = rows()
        .into_iter()
        .filter(|row| row.state == "differs" && row.what.starts_with("event source `"))
        .collect();
    for row in differs {
        let kind = row.what.trim_start_matches("event source `").trim_end_matches('`');
        let report = of("EventSource", &format!("{{{kind}: {{e: {{}}}}}}"));
        let field = format!("spec.{kind}");
        let found = report.findings.iter().find(|finding| finding.field == field);
        assert!(found.is_some_and(|of| of.topic == Topic::Differs), "{report:#?}");
    }
}

#[test]
fn a_bus_says_which_limits_are_not_taken_over() {
    let report = of("EventBus", "{jetstream: {version: latest, streamConfig: 'maxAge: 24h'}}");
    assert!(topics(&report).contains(&Topic::Differs), "{report:#?}");
}

#[test]
fn a_cron_workflow_runs_and_changes_of_the_clock_are_told() {
    let yaml = object(
        "CronWorkflow",
        "{schedules: ['0 3 * * *'], workflowSpec: {entrypoint: a, templates: [{name: a, container: {image: b}}]}}",
    );
    let report = examine(&[Input::text("argo.yaml", yaml)]);
    assert_eq!(report.objects[0].verdict, Verdict::Unchanged, "{report:#?}");
    let advice = report.general[0].advice.as_deref();
    assert!(advice.is_some_and(|text| text.contains("robfig/cron")), "{report:#?}");
}

#[test]
fn every_object_is_counted_and_other_kinds_are_too() {
    let yaml = format!(
        "{}---\n{}---\napiVersion: apps/v1\nkind: Deployment\nmetadata: {{name: d}}\n",
        object("EventBus", "{nats: {native: {}}}"),
        object("EventSource", "{webhook: {e: {port: '80', endpoint: /a, method: POST}}}"),
    );
    let report = examine(&[Input::text("argo.yaml", yaml), Input::text("broken.yaml", "a: [")]);
    assert_eq!(report.verdicts["unchanged"], 1);
    assert_eq!(report.verdicts["unsupported"], 1);
    assert_eq!(report.skipped["apps/v1/Deployment"], 1);
    assert_eq!(report.unreadable.len(), 1);
    assert_eq!(report.general.len(), OF_ALL_EVENT_SOURCES.len());
    let text = report.text();
    for line in [
        "EventBus ci/x: not supported",
        "EventSource ci/x: runs unchanged  argo.yaml:",
        "cannot be read: broken.yaml",
        "2 objects. runs unchanged: 1; runs, but differs: 0; something is to be done first: 0; not supported: 1",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let read: Report = serde_json::from_str(&serde_json::to_string(&report).unwrap()).unwrap();
    assert_eq!(read, report);
}

/// One source of truth: each row of the page that differs is looked for, or holds for all;
/// and what is looked for has such a row.
#[test]
fn each_row_of_the_page_that_differs_is_looked_for() {
    let known: Vec<&str> = OF_SENSORS
        .iter()
        .chain(OF_EVENT_SOURCES)
        .map(|(what, _)| *what)
        .chain(OF_ALL_SENSORS.iter().chain(OF_ALL_EVENT_SOURCES).copied())
        .collect();
    // Not about what an object has, but about what its event's data are.
    let rows: Vec<_> = rows().into_iter().filter(|row| row.state == "differs").collect();
    assert!(rows.len() >= 10, "{rows:?}");
    for row in &rows {
        // Kinds are found by themselves.
        let is_kind = ["event source `", "trigger `"].iter().any(|of| row.what.starts_with(of));
        assert!(is_kind || known.contains(&row.what.as_str()), "nobody looks for {}", row.what);
        assert!(!row.notes.is_empty() && !row.notes.contains("]("), "{row:?}");
    }
    for what in known {
        assert!(
            rows.iter().any(|row| row.what == what),
            "the page does not say that {what} differs"
        );
    }
    assert!(OF_ALL_CRON_WORKFLOWS.iter().all(|what| row(what).is_some()));
}
