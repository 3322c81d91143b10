//! Against nats-server.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use async_nats::jetstream;
use futures_util::StreamExt as _;
use serde_json::{Value, json};
use tokio::time::timeout;
use tripline_config::{Dialect, FieldPath};
use tripline_testbed::{Nats, NatsConfig as Server};

use super::NatsTrigger;
use crate::messages_testing::{TRACE, TestSecrets, action, rendered, said, send};
use crate::{RenderedAction, kinds};

/// One with users: `writer`, who may publish everywhere and store; `reader`, who may publish to
/// `open` alone.
fn server() -> &'static Nats {
    static SERVER: OnceLock<Nats> = OnceLock::new();
    SERVER.get_or_init(|| {
        let users = r#"authorization { users = [
            { user: writer, password: "s3cret" }
            { user: reader, password: "s3cret", permissions: {
                publish: ["open"], subscribe: ["_INBOX.>"] } }
        ] }
        max_payload: 64KB"#;
        Nats::with(Server::default().also(users)).unwrap()
    })
}

fn trigger() -> (NatsTrigger, Arc<TestSecrets>) {
    let secrets = Arc::new(TestSecrets::default());
    for (key, value) in
        [("writer", "writer"), ("reader", "reader"), ("password", "s3cret\n"), ("wrong", "x")]
    {
        secrets.set(&format!("nats/{key}"), value);
    }
    (NatsTrigger::new(Arc::clone(&secrets) as _), secrets)
}

fn to(subject: &str, user: &str, more: Value) -> RenderedAction {
    let of = |key: &str| json!({"name": "nats", "key": key});
    let mut config = json!({
        "url": server().url(), "subject": subject,
        "auth": {"basic": {"username": of(user), "password": of("password")}},
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    rendered("nats", config, r#"{"image":"app:7"}"#)
}

async fn client() -> async_nats::Client {
    let options =
        async_nats::ConnectOptions::with_user_and_password("writer".into(), "s3cret".into());
    options.connect(server().url()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_tells_of_its_action_and_is_a_cloud_event() {
    let client = client().await;
    let mut heard = client.subscribe("told.>").await.unwrap();
    client.flush().await.unwrap();
    let (trigger, _) = trigger();
    let id = action().id.to_string();
    let sent = said(send(&trigger, &to("told.builds", "writer", json!({}))).await);
    assert_eq!(sent, format!(r#"Message {{ to: "subject told.builds", id: "{id}" }}"#));
    let message = timeout(Duration::from_secs(60), heard.next()).await.unwrap().unwrap();
    assert_eq!(message.payload, r#"{"image":"app:7"}"#);
    let headers = message.headers.unwrap();
    for (name, value) in [
        ("x-correlation-id", "build%204711"),
        ("x-causation-id", id.as_str()),
        ("x-tripline-hops", "2"),
        ("x-tripline-path", "ci/notify/post"),
        ("traceparent", TRACE),
        ("ce-id", id.as_str()),
        ("ce-source", "/sensors/ci/notify/post"),
        ("ce-type", "dev.tripline.action"),
        ("ce-specversion", "1.0"),
        ("ce-time", "2026-11-21T03:00:00Z"),
        ("content-type", "application/json"),
        ("Nats-Msg-Id", id.as_str()),
    ] {
        assert_eq!(headers.get(name).map(|value| value.as_str()), Some(value), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stream_stores_an_action_once() {
    let context = jetstream::new(client().await);
    let stream = jetstream::stream::Config {
        name: "WANTED".into(),
        subjects: vec!["wanted.>".into()],
        max_message_size: 1024,
        ..Default::default()
    };
    let stream = context.create_stream(stream).await.unwrap();
    let (trigger, _) = trigger();
    for _ in 0..2 {
        let sent = send(&trigger, &to("wanted.builds", "writer", json!({"jetStream": true}))).await;
        assert_eq!(said(sent), r#"Message { to: "stream WANTED", id: "1" }"#);
    }
    assert_eq!(stream.get_info().await.unwrap().state.messages, 1);
    for (subject, more, payload, expected) in [
        ("unwanted", json!({"jetStream": true}), "1", "not done None: no stream of NATS at"),
        ("wanted.x", json!({"jetStream": {"stream": "OTHER"}}), "1", "notFound: NATS at"),
        ("wanted.x", json!({"jetStream": {}}), &*"1".repeat(2000), "invalid: NATS at"),
    ] {
        let mut attempt = to(subject, "writer", more);
        attempt.payload = Some(bytes::Bytes::copy_from_slice(payload.as_bytes()));
        let sent = said(send(&trigger, &attempt).await);
        assert!(sent.starts_with(expected), "{subject}: {sent}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_error_means_another_attempt_or_a_dead_letter() {
    let (trigger, secrets) = trigger();
    let large = RenderedAction {
        payload: Some(vec![b'1'; 100 * 1024].into()),
        ..to("open", "writer", json!({}))
    };
    for (attempt, expected) in [
        (to("open", "reader", json!({})), "Message"),
        (to("closed", "reader", json!({})), "forbidden: NATS at"),
        (to("closed", "reader", json!({"jetStream": true})), "forbidden: NATS at"),
        (large, "invalid: the message is too large"),
        (to("a.*", "writer", json!({})), "render: `nats.subject`: subject is \"a.*\""),
        (to("open", "wrong", json!({})), "forbidden: NATS at"),
        (to("open", "none", json!({})), "not done None: `auth`: no secret nats/none"),
        (to("open", "writer", json!({"url": "nats://127.0.0.1:1"})), "not done None: NATS at"),
    ] {
        let sent = said(send(&trigger, &attempt).await);
        assert!(sent.starts_with(expected), "{} got {sent}", attempt.config);
        assert!(!sent.contains("s3cret"), "{sent}");
    }
    // What has been put right is taken up.
    secrets.set("nats/wrong", "writer");
    let sent = said(send(&trigger, &to("open", "wrong", json!({}))).await);
    assert!(sent.starts_with("Message"), "{sent}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_away_is_published_to_again() {
    let mut server = Nats::start().unwrap();
    let (trigger, _) = trigger();
    let attempt = rendered("nats", json!({"url": server.url(), "subject": "a"}), "1");
    assert!(said(send(&trigger, &attempt).await).starts_with("Message"));
    server.kill().unwrap();
    let away = said(send(&trigger, &attempt).await);
    assert!(away.starts_with("not done") || away.starts_with("retry"), "{away}");
    server.restart().unwrap();
    let again = async {
        while !said(send(&trigger, &attempt).await).starts_with("Message") {
            tokio::task::yield_now().await;
        }
    };
    timeout(Duration::from_secs(60), again).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_and_sends_nothing() {
    let (trigger, _) = trigger();
    let probe = async |attempt: RenderedAction| {
        let config = serde_json::from_value(attempt.config).unwrap();
        trigger.probe(&config, "ci").await
    };
    assert!(probe(to("a", "writer", json!({}))).await.unwrap().starts_with("connected to"));
    assert!(probe(to("a", "wrong", json!({}))).await.unwrap_err().contains("is `auth` right?"));
    let missing = probe(to("nowhere", "writer", json!({"jetStream": true}))).await;
    assert!(missing.unwrap_err().contains("no stream of NATS"));
}

#[test]
fn what_is_wrong_is_found_at_its_place() {
    let payload = json!([{"src": {"dependencyName": "d"}, "dest": "event"}]);
    let config = |more: Value| {
        let mut config = json!({"url": "nats://a", "subject": "b", "payload": payload});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        config
    };
    let of = json!({"name": "nats", "key": "k"});
    for (dialect, config, expected) in [
        (Dialect::Argo, config(json!({})), vec![]),
        (Dialect::Argo, config(json!({"jetStream": true})), vec!["TL0117 nats.jetStream"]),
        (Dialect::Tripline, config(json!({"jetStream": true})), vec![]),
        (Dialect::Tripline, config(json!({"jetStream": {"stream": "A"}})), vec![]),
        (Dialect::Argo, config(json!({"url": "http://a"})), vec!["TL0460 nats.url"]),
        (Dialect::Argo, config(json!({"url": "nats://u:p@a"})), vec!["TL0460 nats.url"]),
        (Dialect::Argo, config(json!({"subject": "a.>"})), vec!["TL0460 nats.subject"]),
        (Dialect::Argo, config(json!({"payload": []})), vec!["TL0453 nats.payload"]),
        (
            Dialect::Argo,
            config(json!({"auth": {"basic": {"username": of}}})),
            vec!["TL0461 nats.auth.basic"],
        ),
        (Dialect::Argo, config(json!({"tls": {"clientCertSecret": of}})), vec!["TL0461 nats.tls"]),
    ] {
        let at = FieldPath::root().key("nats");
        let problems = kinds::check("nats", &config, &at, dialect);
        let found: Vec<_> = problems.iter().map(|p| format!("{} {}", p.code, p.path)).collect();
        assert_eq!(found, expected, "{config}");
    }
}
