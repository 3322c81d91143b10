use serde_json::{Value, json};

use super::{Code, World, base64, on_builds};

const BODY: &str =
    r#"{"header":{},"body":{"action":"completed","count":"three","image":{"name":"app"}}}"#;

fn data(path: &str, kind: &str, value: &str) -> Value {
    json!({"data": [{"path": path, "type": kind, "value": [value]}]})
}

#[tokio::test(start_paused = true)]
async fn each_cause_of_a_filter_is_named_with_what_to_do() {
    let in_base64 = json!({"body": base64(r#"{"action":"completed"}"#)}).to_string();
    let as_text = json!({"body": r#"{"action":"completed"}"#}).to_string();
    let window = |timezone: Option<&str>| {
        let mut time = json!({"start": "08:00:00", "stop": "17:00:00"});
        if let Some(timezone) = timezone {
            time["timezone"] = timezone.into();
        }
        json!({"time": time})
    };
    let table: Vec<(&str, Value, &str, Code, Vec<&str>)> = vec![
        (
            "a path without its beginning",
            data("action", "string", "completed"),
            BODY,
            Code::WrongPath,
            vec!["`filters.data[0]` looks at `action`", "`completed`", "write `path: body.action`"],
        ),
        (
            "a path with a misspelled key",
            data("body.actoin", "string", "completed"),
            BODY,
            Code::WrongPath,
            vec!["write `path: body.action`"],
        ),
        (
            "a JSONPath without its beginning",
            data("$.action", "string", "completed"),
            BODY,
            Code::WrongPath,
            vec!["write `path: body.action`"],
        ),
        (
            "a key that is not there",
            data("body.sha", "string", "4f2a"),
            BODY,
            Code::MissingKey,
            vec![
                "looks at `body.sha`",
                "below `body` it has action, count, image",
                "have its producer",
            ],
        ),
        (
            "a text for a number",
            data("body.count", "number", "3"),
            BODY,
            Code::WrongType,
            vec!["compares `body.count` as a number", "it is a string (three)", "`type`"],
        ),
        (
            "an object for a text",
            data("body.image", "string", "^app$"),
            BODY,
            Code::WrongType,
            vec!["compares `body.image` as a text", "it is an object"],
        ),
        (
            "a body in base64",
            data("body.action", "string", "completed"),
            &in_base64,
            Code::Base64Body,
            vec!["`body` is text in base64", "set `jsonBody: true` on event source ci/builds"],
        ),
        (
            "JSON in a text",
            data("body.action", "string", "completed"),
            &as_text,
            Code::WrongType,
            vec!["`body` is a text that holds JSON"],
        ),
        (
            "no JSON at all",
            data("body.action", "string", "completed"),
            "{",
            Code::NotJson,
            vec!["cannot be looked into", "send JSON"],
        ),
        (
            "another value",
            data("body.action", "string", "failed"),
            BODY,
            Code::OtherValue,
            vec!["wants `body.action` = failed, and it is `completed`"],
        ),
        (
            "outside a window without a zone",
            window(None),
            BODY,
            Code::OutsideTime,
            vec![
                "came in at 2026-11-21T03:00:00",
                "from 08:00:00 until 17:00:00 UTC",
                "give `timezone`",
            ],
        ),
        (
            "outside a window in a zone",
            window(Some("Europe/Berlin")),
            BODY,
            Code::OutsideTime,
            vec!["came in at 2026-11-21T04:00:00", "Europe/Berlin", "change `timezone`"],
        ),
        (
            "another attribute",
            json!({"context": {"type": "pubsub"}}),
            BODY,
            Code::OtherAttribute,
            vec!["`filters.context.type` wants = pubsub", "`webhook`"],
        ),
        (
            "an expression that does not hold",
            json!({"exprs": [{"expr": "a == \"x\"", "fields": [{"name": "a", "path": "body.action"}]}]}),
            BODY,
            Code::Expression,
            vec!["`filters.exprs[0]` does not hold", "completed"],
        ),
        (
            "an expression on a wrong path",
            json!({"exprs": [{"expr": "a == \"x\"", "fields": [{"name": "a", "path": "action"}]}]}),
            BODY,
            Code::WrongPath,
            vec!["write `path: body.action`"],
        ),
        (
            "a script that does not answer true",
            json!({"script": "return event.body.action == 'failed'"}),
            BODY,
            Code::Script,
            vec!["did not answer true"],
        ),
    ];
    for (what, filters, body, code, parts) in table {
        let world = World::new(&[on_builds("deploy", &filters)]).await;
        world.event("builds", "b-1", body).await;
        println!("{what}: {}", world.trigger("b-1").await.cause.sentence);
        world.says("b-1", code, &parts).await;
    }
}

#[tokio::test(start_paused = true)]
async fn each_filter_is_shown_with_path_value_and_what_was_wanted() {
    let filters = json!({"data": [
        {"path": "body.action", "type": "string", "value": ["completed"]},
        {"path": "body.image.name", "type": "string", "value": ["^api$", "^web$"]},
    ]});
    let world = World::new(&[on_builds("deploy", &filters), on_builds("other", &json!({}))]).await;
    world.event("builds", "b-1", BODY).await;
    let event = world.only("b-1").await;
    let names: Vec<String> = event.sensors.iter().map(|of| of.name.to_string()).collect();
    assert_eq!(names, ["ci/deploy", "ci/other"], "every sensor that could have seen it");
    let [build] = event.sensors[0].dependencies.as_slice() else { panic!("{event:?}") };
    assert!(!build.pass);
    let [action, image] = build.filters.as_slice() else { panic!("{build:?}") };
    assert_eq!((action.path.as_str(), action.pass), ("body.action", true));
    assert_eq!(action.found.as_deref(), Some("completed"));
    assert_eq!((image.field.as_str(), image.pass), ("filters.data[1]", false));
    assert_eq!((image.found.as_deref(), image.wanted.as_str()), (Some("app"), "= ^api$ | ^web$"));
    assert_eq!(image.found_type.as_deref(), Some("string"));
    assert!(event.sensors[1].triggers[0].fired);
    let text = world.explain("b-1").await.text(false);
    for line in [
        "dependency build: not let through",
        "filters.data[0]: body.action is `completed` (string), wanted = completed: fits",
        "filters.data[1]: body.image.name is `app` (string), wanted = ^api$ | ^web$: does not fit",
    ] {
        assert!(text.lines().any(|known| known.trim() == line), "{line}\n{text}");
    }
}

/// Only the trigger whose condition names the dependency is reached.
#[tokio::test(start_paused = true)]
async fn a_condition_that_does_not_name_the_dependency_is_told() {
    let spec = json!({
        "dependencies": [
            {"name": "build", "eventSourceName": "builds", "eventName": "completed"},
            {"name": "approval", "eventSourceName": "approvals", "eventName": "given"},
        ],
        "triggers": [{"template": {"name": "submit", "conditions": "approval", "log": {}}}],
    });
    let world = World::new(&[super::sensor("deploy", &spec)]).await;
    world.event("builds", "b-1", BODY).await;
    world
        .says("b-1", Code::NotNamed, &["`approval` of trigger submit does not name `build`"])
        .await;
}
