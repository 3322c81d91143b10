//! The trigger against a real server on loopback.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};
use tripline_config::{ConfigMapRef, Dialect, FieldPath, Secret, SecretRef};
use tripline_event::outcome::TargetResult;
use tripline_event::{CorrelationId, SystemClock};

use super::HttpTrigger;
use crate::messages_testing::action;
use crate::{Attempt, RenderedAction, SecretLookup, Trigger as _, TriggerError, kinds};

/// What the server was asked.
#[derive(Clone, Debug)]
struct Asked {
    method: Method,
    path: String,
    headers: HeaderMap,
    body: String,
}

type Log = Arc<Mutex<Vec<Asked>>>;

struct Server {
    url: String,
    asked: Log,
}

/// Answers by path: `/status/503`, `/hang`, `/close`, `/echo`, `/large`, and redirects.
async fn answer(
    State(asked): State<Log>,
    Path(path): Path<String>,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let body = String::from_utf8(body.to_vec()).unwrap();
    asked.lock().unwrap().push(Asked {
        method,
        path: path.clone(),
        headers: headers.clone(),
        body,
    });
    match path.split_once('/').unwrap_or((&path, "")) {
        ("status", code) => {
            let code = StatusCode::from_u16(code.parse().unwrap()).unwrap();
            (code, [(header::RETRY_AFTER, "7")], "no such build").into_response()
        }
        ("hang", _) => std::future::pending().await,
        ("echo", _) => {
            let token = headers["x-token"].to_str().unwrap().to_owned();
            (StatusCode::FORBIDDEN, format!("bad token {token}")).into_response()
        }
        ("large", _) => "x".repeat(1 << 20).into_response(),
        ("redirect", to) => {
            (StatusCode::TEMPORARY_REDIRECT, [(header::LOCATION, format!("/{to}"))]).into_response()
        }
        ("away", to) => (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, format!("http://localhost:{to}/status/200"))],
        )
            .into_response(),
        _ => StatusCode::OK.into_response(),
    }
}

async fn server() -> Server {
    let asked = Log::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router =
        Router::new().route("/{*path}", axum::routing::any(answer)).with_state(Arc::clone(&asked));
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    Server { url, asked }
}

/// The secret `token` of `ci`, and the ConfigMap `team`.
pub(super) struct Lookup;

impl SecretLookup for Lookup {
    fn secret(&self, namespace: &str, secret: &SecretRef) -> Result<Secret, String> {
        match (namespace, secret.name.as_str(), secret.key.as_str()) {
            ("ci", "token", "value") => Ok(Secret::new(b"s3cret\n")),
            _ => Err(format!("secret {namespace}/{} was not found", secret.name)),
        }
    }

    fn config_map(&self, _: &str, config_map: &ConfigMapRef) -> Result<String, String> {
        match config_map.name.as_str() {
            "team" => Ok("platform".into()),
            other => Err(format!("config map {other} was not found")),
        }
    }
}

fn trigger() -> HttpTrigger {
    // Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    HttpTrigger::new(Arc::new(Lookup), Arc::new(SystemClock))
}

pub(super) fn rendered(config: Value, payload: Option<&str>) -> RenderedAction {
    let mut action = action();
    action.links.correlation = CorrelationId("build 4711\r\nx: y".into());
    RenderedAction {
        action: Arc::new(action),
        kind: "http".into(),
        config,
        resource: None,
        payload: payload.map(|payload| Bytes::copy_from_slice(payload.as_bytes())),
        policy: None,
        service_account: None,
        live: None,
    }
}

pub(super) async fn send(
    trigger: &HttpTrigger,
    rendered: &RenderedAction,
) -> Result<TargetResult, TriggerError> {
    trigger.carry_out(Attempt { rendered, events: &[], number: 1, uncertain: false }).await
}

/// The answer in words.
pub(super) fn told(answer: Result<TargetResult, TriggerError>) -> String {
    match answer {
        Ok(TargetResult::Http { status }) => format!("{status}"),
        Ok(other) => format!("{other:?}"),
        Err(TriggerError::Retry { reason, after: None }) => format!("retry: {reason}"),
        Err(TriggerError::Retry { reason, after: Some(after) }) => {
            format!("retry after {} s: {reason}", after.as_secs())
        }
        Err(TriggerError::Refused { cause, reason }) => format!("{cause}: {reason}"),
        Err(TriggerError::NotDone { .. }) => "not done".to_owned(),
    }
}

#[tokio::test]
async fn a_request_carries_the_payload_and_what_tells_of_its_chain() {
    let server = server().await;
    let config = json!({
        "url": format!("{}/hooks/builds?a=b", server.url),
        "headers": {"X-Team": "release", "x-correlation-id": "mine"},
        "secureHeaders": [
            {"name": "X-Token", "valueFrom": {"secretKeyRef": {"name": "token", "key": "value"}}},
            {"name": "X-Team", "valueFrom": {"configMapKeyRef": {"name": "team", "key": "name"}}},
            {"name": "X-Not", "valueFrom": {"secretKeyRef":
                {"name": "none", "key": "value", "optional": true}}},
        ],
        "basicAuth": {
            "username": {"name": "token", "key": "value"},
            "password": {"name": "token", "key": "value"},
        },
    });
    let rendered = rendered(config, Some(r#"{"text":"done"}"#));
    assert_eq!(told(send(&trigger(), &rendered).await), "200");
    let asked = server.asked.lock().unwrap().remove(0);
    assert_eq!((asked.method, asked.path.as_str()), (Method::POST, "hooks/builds"));
    assert_eq!(asked.body, r#"{"text":"done"}"#);
    let id = rendered.action.id.as_str();
    let expected = BTreeMap::from([
        ("content-type", "application/json"),
        ("idempotency-key", id),
        ("x-causation-id", id),
        ("x-correlation-id", "mine"),
        ("x-tripline-hops", "2"),
        ("traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"),
        ("x-team", "platform"),
        ("x-token", "s3cret"),
        ("authorization", "Basic czNjcmV0OnMzY3JldA=="),
    ]);
    let found: BTreeMap<_, _> =
        expected.keys().map(|name| (*name, asked.headers[*name].to_str().unwrap())).collect();
    assert_eq!(found, expected);
    assert!(!asked.headers.contains_key("x-not"));
}

#[tokio::test]
async fn a_request_without_payload_has_no_body_and_a_hostile_correlation_id_is_encoded() {
    let server = server().await;
    let config =
        json!({"url": format!("{}/x", server.url), "method": "PUT", "host": "chat.internal"});
    assert_eq!(told(send(&trigger(), &rendered(config, None)).await), "200");
    let asked = server.asked.lock().unwrap().remove(0);
    assert_eq!((asked.method, asked.body.as_str()), (Method::PUT, ""));
    assert!(!asked.headers.contains_key("content-type"));
    assert_eq!(asked.headers["host"], "chat.internal");
    assert_eq!(asked.headers["x-correlation-id"], "build%204711%0D%0Ax:%20y");
}

#[tokio::test]
async fn each_attempt_at_an_action_has_the_same_idempotency_key() {
    let server = server().await;
    let trigger = trigger();
    let rendered = rendered(json!({"url": format!("{}/status/500", server.url)}), None);
    for _ in 0..2 {
        send(&trigger, &rendered).await.unwrap_err();
    }
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked[0].headers["idempotency-key"], asked[1].headers["idempotency-key"]);
}

#[tokio::test]
async fn a_status_means_success_another_attempt_or_a_dead_letter() {
    let server = server().await;
    let trigger = trigger();
    for (status, expected) in [
        (201, "201"),
        (503, "retry after 7 s: the server answered 503 Service Unavailable: no such build"),
        (429, "retry after 7 s: the server answered 429 Too Many Requests: no such build"),
        (404, "refused: the server answered 404 Not Found: no such build"),
    ] {
        let config = json!({"url": format!("{}/status/{status}", server.url)});
        assert_eq!(told(send(&trigger, &rendered(config, None)).await), expected);
    }
    let config = json!({"url": format!("{}/status/404", server.url)});
    let policy = Some(json!({"status": {"allow": [404]}}));
    let rendered = RenderedAction { policy, ..rendered(config, None) };
    assert_eq!(told(send(&trigger, &rendered).await), "404");
}

#[tokio::test]
async fn where_there_is_no_answer_there_is_another_attempt() {
    let server = server().await;
    let trigger = trigger();
    let config = json!({"url": format!("{}/hang", server.url), "timeout": 1});
    let told_of = told(send(&trigger, &rendered(config, None)).await);
    assert_eq!(told_of, "retry: no answer within 1 s");
    // A port on which nobody listens, with a token in the URL.
    let free = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = free.local_addr().unwrap();
    drop(free);
    let config = json!({"url": format!("http://{address}/?token=s3cret")});
    let told_of = told(send(&trigger, &rendered(config, None)).await);
    assert!(told_of.starts_with("retry: ") && told_of.contains("refused"), "{told_of}");
    assert!(!told_of.contains("s3cret"), "{told_of}");
    let config = json!({"url": "http://no.such.host.invalid/"});
    let told_of = told(send(&trigger, &rendered(config, None)).await);
    assert!(told_of.starts_with("retry: "), "{told_of}");
}

#[tokio::test]
async fn redirects_are_followed_but_not_with_secrets_to_another_host() {
    let server = server().await;
    let port = server.url.rsplit(':').next().unwrap();
    let trigger = trigger();
    let secure = json!([
        {"name": "X-Token", "valueFrom": {"secretKeyRef": {"name": "token", "key": "value"}}}
    ]);
    for (path, secure, expected) in [
        ("redirect/status/202".to_owned(), Value::Null, "202"),
        ("redirect/status/202".to_owned(), secure.clone(), "202"),
        (format!("away/{port}"), Value::Null, "200"),
        (format!("away/{port}"), secure, "must not be sent"),
    ] {
        let config = json!({"url": format!("{}/{path}", server.url), "secureHeaders": secure});
        let told = told(send(&trigger, &rendered(config, Some("{}"))).await);
        assert!(told.contains(expected), "{path}: {told}");
    }
    let asked = server.asked.lock().unwrap();
    assert_eq!(asked.len(), 7, "each but the last was followed once");
    assert_eq!(asked[1].body, "{}", "307 keeps method and body");
}

#[tokio::test]
async fn errors_hold_no_secrets_even_if_the_server_repeats_them() {
    let server = server().await;
    let config = json!({
        "url": format!("{}/echo", server.url),
        "secureHeaders": [
            {"name": "X-Token", "valueFrom": {"secretKeyRef": {"name": "token", "key": "value"}}}
        ],
    });
    assert_eq!(
        told(send(&trigger(), &rendered(config, None)).await),
        "refused: the server answered 403 Forbidden: bad token ***"
    );
}

#[tokio::test]
async fn a_secret_that_is_missing_may_be_there_at_the_next_attempt() {
    let config = json!({
        "url": "http://127.0.0.1:1",
        "basicAuth": {"username": {"name": "none", "key": "value"}},
    });
    assert_eq!(
        told(send(&trigger(), &rendered(config, None)).await),
        "retry: secret ci/none was not found"
    );
}

#[tokio::test]
async fn an_answer_without_end_is_cut_off() {
    let server = server().await;
    let config = json!({"url": format!("{}/large", server.url)});
    let (trigger, rendered) = (trigger(), rendered(config, None));
    let answer = send(&trigger, &rendered);
    let answer = tokio::time::timeout(Duration::from_secs(60), answer).await.unwrap();
    assert_eq!(told(answer), "200");
}

#[tokio::test]
async fn what_parameters_have_made_invalid_is_a_dead_letter() {
    let trigger = trigger();
    for (config, expected) in [
        (json!({}), "render: `http` is not valid: missing field `url`"),
        (json!({"url": "ftp://a"}), "render: `url` begins with `ftp:`, not with http: or https:"),
        (
            json!({"url": "http://a", "headers": {"X-A": "a\r\nb"}}),
            "render: header `X-A` has no valid value",
        ),
    ] {
        assert_eq!(told(send(&trigger, &rendered(config, None)).await), expected);
    }
}

#[test]
fn what_is_wrong_is_found_at_its_place() {
    let at = FieldPath::root().key("http");
    for (config, expected) in [
        (json!({"url": "http://a"}), vec![]),
        (json!({}), vec!["TL0114 http"]),
        (json!({"url": "a/b"}), vec!["TL0410 http.url"]),
        (json!({"url": "http://user:s3cret@a"}), vec!["TL0410 http.url"]),
        (
            json!({"url": "http://a", "method": "HEAD", "timeout": 4000}),
            vec!["TL0411 http.method", "TL0415 http.timeout"],
        ),
        (
            json!({"url": "http://a", "headers": {"a b": "c"}, "tls": {}, "dynamicHeaders": [{}]}),
            vec![
                "TL0412 http.headers.a b",
                "TL0413 http.tls",
                "TL0412 http.dynamicHeaders[0].dest",
            ],
        ),
        (
            json!({"url": "https://a", "tls": {"clientKeySecret": {"name": "a", "key": "b"}}}),
            vec!["TL0413 http.tls"],
        ),
        (
            json!({"url": "https://a", "tls": {"insecureSkipVerify": true},
                   "dynamicHeaders": [{"dest": "x-build.id", "src": {"dependencyName": "a"}}]}),
            vec![],
        ),
        (
            json!({"url": "http://a", "secureHeaders": [{"name": "a", "valueFrom": {}}]}),
            vec!["TL0416 http.secureHeaders[0].valueFrom"],
        ),
    ] {
        let problems = kinds::check("http", &config, &at, Dialect::Argo);
        let found: Vec<_> = problems.iter().map(|p| format!("{} {}", p.code, p.path)).collect();
        assert_eq!(found, expected, "{config}");
    }
}
