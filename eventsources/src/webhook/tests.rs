use std::sync::Arc;
use std::time::Duration;

use reqwest::{Client, Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tripline_event::ObjectName;

use crate::SinkError;
use crate::testing::{World, definitions, eventually};

const NOW: &str = "2026-03-04T05:06:07Z";
const FORM: &str = "application/x-www-form-urlencoded";

fn client() -> Client {
    // Another test may have been first.
    let _already = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().no_gzip().build().unwrap()
}

/// One event source `builds` with one event `done`: the fields over POST /done.
fn webhook(fields: Value) -> (&'static str, Value) {
    let mut config = json!({"endpoint": "/done", "port": "12000", "method": "POST"});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    ("builds", json!({"webhook": {"done": config}}))
}

impl World {
    fn url(&self, path: &str) -> String {
        let address = self.sources.addresses()[&12000];
        format!("http://{address}{path}")
    }

    async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        client().post(self.url(path)).body(body).send().await.unwrap()
    }
}

async fn seen(response: Response) -> (u16, String) {
    (response.status().as_u16(), response.text().await.unwrap())
}

#[tokio::test]
async fn every_case_is_answered_as_by_argo_events() {
    let world = World::new(NOW);
    world.secrets.set("ci/token/key", "s3cret\n");
    let secret = |name: &str| json!({"authSecret": {"name": name, "key": "key"}});
    let open = || webhook(json!({}));
    let with_token = || webhook(secret("token"));
    let bearer = |token: &'static str| vec![("authorization", token)];
    type Headers = Vec<(&'static str, &'static str)>;
    type Case = ((&'static str, Value), &'static str, Headers, &'static str, u16, &'static str);
    #[rustfmt::skip]
    let cases: Vec<Case> = vec![
        (open(), "POST /done", vec![], "{}", 200, "success"),
        (open(), "POST /done", vec![], " [1] ", 200, "success"),
        (open(), "POST /done", vec![], "", 400, "request body is not valid JSON: EOF while parsing a value at line 1 column 0"),
        (open(), "POST /done", vec![], "{", 400, "request body is not valid JSON: EOF while parsing an object at line 1 column 1"),
        (open(), "POST /done", vec![], "{}{}", 400, "request body is not valid JSON: trailing characters at line 1 column 3"),
        (open(), "PUT /done", vec![], "{}", 400, "http method does not match"),
        (open(), "GET /done", vec![], "", 400, "http method does not match"),
        (open(), "POST /done/", vec![], "{}", 404, "404 page not found\n"),
        (open(), "GET /health", vec![], "", 200, "OK"),
        (open(), "POST /ci/builds/done", vec![], "{}", 200, "success"),
        (open(), "POST /done", vec![("content-type", FORM)], "a=1&b=%20", 200, "success"),
        (open(), "POST /done", vec![("content-type", FORM)], "a=%zz", 500, "invalid URL escape \"%zz\""),
        (webhook(json!({"maxPayloadSize": 8})), "POST /done", vec![], "1234567", 200, "success"),
        (webhook(json!({"maxPayloadSize": 8})), "POST /done", vec![], "123456789", 400, "failed to parse request body, http: request body too large"),
        (webhook(json!({"maxPayloadSize": 8})), "POST /done", vec![("content-type", FORM)], "a=1234567", 400, "failed to parse request body, http: request body too large"),
        (webhook(json!({"method": "GET"})), "GET /done?a=1&a=2", vec![], "", 200, "success"),
        (webhook(json!({"method": "GET"})), "POST /done", vec![], "{}", 400, "http method does not match"),
        (with_token(), "POST /done", bearer("Bearer s3cret"), "{}", 200, "success"),
        (with_token(), "POST /done", bearer("Bearer s3cret2"), "{}", 401, "Invalid Auth token"),
        (with_token(), "POST /done", bearer("Bearer "), "{}", 401, "Invalid Authorization Header"),
        (with_token(), "POST /done", bearer("s3cret"), "{}", 401, "Invalid Authorization Header"),
        (with_token(), "POST /done", vec![], "{}", 401, "Invalid Authorization Header"),
        (with_token(), "PUT /done", vec![], "{}", 401, "Invalid Authorization Header"),
        (with_token(), "GET /health", vec![], "", 200, "OK"),
        (webhook(secret("none")), "POST /done", bearer("Bearer x"), "{}", 500, "Error loading auth token"),
    ];
    let client = client();
    for (object, request, headers, body, status, text) in cases {
        world.apply(&[object]);
        let taken = world.sink.taken().len();
        let (method, path) = request.split_once(' ').unwrap();
        let method = Method::from_bytes(method.as_bytes()).unwrap();
        let mut asked = client.request(method, world.url(path)).body(body);
        for (name, value) in &headers {
            asked = asked.header(*name, *value);
        }
        let answer = seen(asked.send().await.unwrap()).await;
        assert_eq!(answer, (status, text.to_owned()), "{request} {headers:?} {body:?}");
        let is_event = status == 200 && path != "/health";
        assert_eq!(world.sink.taken().len() - taken, usize::from(is_event), "{request} {body:?}");
    }
    world.shutdown().await;
}

#[tokio::test]
async fn a_method_that_is_configured_and_not_supported_is_a_warning_and_answered_400() {
    let world = World::new(NOW);
    let (_, spec) = webhook(json!({"method": "PUT"}));
    let (events, problems) = crate::events(&ObjectName::new("ci", "builds"), &spec);
    assert_eq!(problems[0].code, crate::codes::METHOD);
    assert_eq!(world.sources.apply(events), []);
    let answer = client().put(world.url("/done")).body("{}").send().await.unwrap();
    assert_eq!(seen(answer).await, (400, "unsupoorted method: PUT".into()));
}

#[tokio::test]
async fn an_event_has_the_data_of_argo_events_and_what_links_it() {
    let world = World::new(NOW);
    world.apply(&[webhook(json!({"metadata": {"team": "ci"}}))]);
    let body = r#"{"b": 1.50, "a": "x  y"}"#;
    let request = client()
        .post(world.url("/done"))
        .header("authorization", "Bearer s3cret")
        .header("x-github-delivery", "d-1")
        .header("x-correlation-id", "build-7")
        .header("accept", "*/*")
        .body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.headers()["x-tripline-event-id"], "d-1");
    assert_eq!(answer.headers()["content-type"], "text/plain; charset=utf-8");
    let message = world.sink.taken().remove(0);
    assert_eq!(
        std::str::from_utf8(&message.data).unwrap(),
        concat!(
            r#"{"header":{"Accept":["*/*"],"Authorization":["*** Masked Auth Secret ***"],"#,
            r#""Content-Length":["24"],"X-Correlation-Id":["build-7"],"X-Github-Delivery":["d-1"]},"#,
            r#""body":{"b":1.50,"a":"x  y"},"metadata":{"team":"ci"}}"#
        )
    );
    assert_eq!(message.body.unwrap(), body);
    assert_eq!(message.headers, [("x-correlation-id".to_owned(), "build-7".to_owned())]);
    let second = NOW.parse::<tripline_event::Timestamp>().unwrap().as_second();
    assert_eq!(message.time.as_second(), second);
    assert_eq!(message.kind, "webhook");
}

#[tokio::test]
async fn a_cloud_event_keeps_what_it_says_of_itself_in_both_modes() {
    let world = World::new(NOW);
    let (_, spec) = webhook(json!({"cloudEvents": true, "metadata": {"team": "ci"}}));
    let name = ObjectName::new("ci", "builds");
    let (events, problems) = crate::events_in(tripline_config::Dialect::Tripline, &name, &spec);
    assert_eq!(problems, []);
    assert_eq!(world.sources.apply(events), []);
    let client = client();
    let binary = |id: &str| {
        client
            .post(world.url("/done"))
            .header("ce-specversion", "1.0")
            .header("ce-id", id)
            .header("ce-source", "/builds")
            .header("ce-type", "dev.example.build")
            .header("ce-correlationid", "b-7")
            .header("content-type", "application/json")
            .body(r#"{"sha": "4f2a"}"#)
    };
    let structured = json!({
        "specversion": "1.0", "id": "2", "source": "/builds", "type": "dev.example.build",
        "correlationid": "b-7", "data": {"sha": "4f2a"},
    });
    let structured = client
        .post(world.url("/done"))
        .header("content-type", "application/cloudevents+json")
        .body(structured.to_string());
    for (request, id) in [(binary("1"), "/builds#1"), (structured, "/builds#2")] {
        let answer = request.send().await.unwrap();
        assert_eq!(answer.headers()["x-tripline-event-id"], id);
        assert_eq!(seen(answer).await, (200, "success".into()));
    }
    let again = binary("1").send().await.unwrap();
    assert_eq!(again.headers()["x-tripline-duplicate"], "true");
    for (message, id) in world.sink.taken().into_iter().zip(["1", "2"]) {
        let said = message.cloud_event.unwrap();
        assert_eq!((said.id.as_str(), said.source.as_str()), (id, "/builds"));
        assert_eq!(said.kind, "dev.example.build");
        let data: Value = serde_json::from_slice(&message.data).unwrap();
        assert_eq!(data["body"], json!({"sha": "4f2a"}));
        assert_eq!(data["metadata"], json!({"team": "ci"}));
        assert!(message.headers.contains(&("ce-correlationid".into(), "b-7".into())));
    }
    let batch = client
        .post(world.url("/done"))
        .header("content-type", "application/cloudevents-batch+json")
        .body("[]");
    for (request, expected) in [
        (client.post(world.url("/done")).body("{}"), "this is no CloudEvent"),
        (binary("3").body("{"), "the data of the CloudEvent is not JSON"),
        (batch, "is a batch that is not taken"),
    ] {
        let (status, text) = seen(request.send().await.unwrap()).await;
        assert_eq!(status, 400, "{text}");
        assert!(text.contains(expected), "{text}");
    }
    assert_eq!(world.sink.taken().len(), 2);
    world.shutdown().await;
}

#[tokio::test]
async fn query_and_form_are_objects_of_arrays() {
    let world = World::new(NOW);
    world.apply(&[(
        "builds",
        json!({"webhook": {
            "get": {"endpoint": "/x", "port": "12000", "method": "GET"},
            "post": {"endpoint": "/x", "port": "12000", "method": "POST"},
        }}),
    )]);
    let client = client();
    client.get(world.url("/x?b=2&a=1&a=%C3%A9&c=%zz")).send().await.unwrap();
    let form = client.post(world.url("/x")).header("content-type", FORM).body("q=a+b");
    form.send().await.unwrap();
    let parse = |json: &[u8]| serde_json::from_slice::<Value>(json).unwrap();
    let [get, post] = world.sink.taken().try_into().unwrap();
    assert_eq!(get.key.name, "get");
    assert_eq!(parse(&get.data)["body"], json!({"a": ["1", "é"], "b": ["2"]}));
    // Where ids are looked for.
    assert_eq!(parse(&get.body.unwrap()), json!({"a": "1", "b": "2"}));
    assert_eq!(post.key.name, "post");
    assert_eq!(parse(&post.data)["body"], json!({"q": ["a b"]}));
}

#[tokio::test]
async fn a_duplicate_is_answered_200_and_says_so() {
    let world = World::new(NOW);
    world.apply(&[webhook(json!({}))]);
    let post = || client().post(world.url("/done")).header("webhook-id", "é 1").body("1").send();
    assert!(!post().await.unwrap().headers().contains_key("x-tripline-duplicate"));
    let again = post().await.unwrap();
    assert_eq!(again.headers()["x-tripline-duplicate"], "true");
    assert_eq!(again.headers()["x-tripline-event-id"], "%C3%A9 1");
    assert_eq!(seen(again).await, (200, "success".into()));
}

#[tokio::test]
async fn json_is_answered_to_those_who_ask_for_it() {
    let world = World::new(NOW);
    world.apply(&[webhook(json!({}))]);
    let post = |body: &'static str| {
        let request = client().post(world.url("/done")).header("accept", "application/json");
        request.header("ce-id", "7").body(body).send()
    };
    let (status, body) = seen(post("1").await.unwrap()).await;
    let expected =
        json!({"status": "accepted", "id": "7", "correlationId": "7", "duplicate": false});
    assert_eq!((status, serde_json::from_str::<Value>(&body).unwrap()), (200, expected));
    let (status, body) = seen(post("{").await.unwrap()).await;
    let body: Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &body["status"]), (400, &json!("refused")));
    assert!(body["error"].as_str().unwrap().contains("not valid JSON"));
}

#[tokio::test]
async fn what_the_bus_cannot_take_now_is_to_be_tried_again_and_what_it_never_takes_is_not() {
    let world = World::new(NOW);
    world.apply(&[webhook(json!({}))]);
    let down = || SinkError::Unavailable("disk /data is full".into());
    world.sink.fail([down(), down(), SinkError::TooLarge { size: 9, limit: 8 }]);
    for expected in ["1", "2"] {
        let answer = world.post("/done", "1").await;
        assert_eq!(answer.headers()["retry-after"], expected);
        assert_eq!(seen(answer).await, (503, "event bus is unavailable, try again".into()));
    }
    let answer = world.post("/done", "1").await;
    assert!(!answer.headers().contains_key("retry-after"));
    assert_eq!(seen(answer).await, (413, "event is 9 bytes, the event bus takes at most 8".into()));
    assert_eq!(seen(world.post("/done", "1").await).await.0, 200);
    let reasons = ["event bus unavailable", "event bus unavailable", "event too large"];
    assert_eq!(world.sink.reasons(), reasons);
}

#[tokio::test]
async fn no_request_is_refused_while_other_routes_change() {
    let world = Arc::new(World::new(NOW));
    world.apply(&[webhook(json!({}))]);
    let url = world.url("/done");
    let requests = tokio::spawn(async move {
        for _ in 0..100 {
            // A connection of its own for each: a port that closes would refuse one.
            let answer = client().post(&url).body("1").send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
    });
    let mut turn = 0;
    while !requests.is_finished() {
        turn += 1;
        let mut objects = vec![webhook(json!({}))];
        let other = json!({"endpoint": format!("/other/{turn}"), "port": "12000"});
        objects.push(("other", json!({"webhook": {"e": other}})));
        world.apply(&objects);
        tokio::task::yield_now().await;
    }
    requests.await.unwrap();
    assert!(turn > 10, "{turn}");
    assert_eq!(world.sink.taken().len(), 100);
    assert_eq!(seen(world.post(&format!("/other/{turn}"), "1").await).await.0, 200);
}

#[tokio::test]
async fn a_port_without_events_is_closed_and_may_be_opened_again() {
    let world = World::new(NOW);
    world.apply(&[webhook(json!({}))]);
    let url = world.url("/done");
    world.apply(&[]);
    assert_eq!(world.sources.status(), []);
    let mut refused = false;
    for _ in 0..1000 {
        refused = client().post(&url).body("1").send().await.is_err();
        if refused {
            break;
        }
    }
    assert!(refused);
    world.apply(&[webhook(json!({}))]);
    assert_eq!(seen(world.post("/done", "1").await).await.0, 200);
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_and_opened_when_it_is_free() {
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let world = World::new(NOW);
    let sources = crate::Sources::new(crate::SourceContext {
        sink: world.sink.clone(),
        clock: world.clock.clone(),
        secrets: world.secrets.clone(),
        accounts: None,
        settings: crate::SourceSettings::default(),
    });
    let problems = sources.apply(definitions(&[webhook(json!({"port": port.to_string()}))]));
    assert_eq!(problems.len(), 1);
    assert_eq!(problems[0].1.path.to_string(), "spec.webhook.done.port");
    assert!(problems[0].1.message.starts_with(&format!("cannot listen on 127.0.0.1:{port}: ")));
    assert!(!sources.status()[0].ready);
    drop(taken);
    eventually(|| sources.status()[0].ready).await;
    assert_eq!(sources.status()[0].detail, format!("POST 127.0.0.1:{port}/done"));
    let url = format!("http://127.0.0.1:{port}/done");
    assert_eq!(client().post(url).body("1").send().await.unwrap().status(), 200);
}

#[tokio::test]
async fn shutdown_finishes_the_request_in_flight_and_takes_no_other() {
    let world = Arc::new(World::new(NOW));
    world.apply(&[webhook(json!({}))]);
    let url = world.url("/done");
    world.sink.open.send_replace(false);
    let request = tokio::spawn(client().post(&url).body("1").send());
    world.sink.waiting.subscribe().wait_for(|waiting| *waiting == 1).await.unwrap();
    let shutdown = tokio::spawn({
        let world = Arc::clone(&world);
        async move { world.shutdown().await }
    });
    eventually(|| std::net::TcpStream::connect(&url[7..url.len() - 5]).is_err()).await;
    assert!(!shutdown.is_finished());
    world.sink.open.send_replace(true);
    assert_eq!(request.await.unwrap().unwrap().status(), 200);
    shutdown.await.unwrap();
    assert_eq!(world.sink.taken().len(), 1);
}

#[tokio::test]
async fn a_request_that_panics_harms_no_other() {
    let world = World::new(NOW);
    world.apply(&[webhook(json!({}))]);
    *world.sink.panics.lock().unwrap() = 1;
    assert!(client().post(world.url("/done")).body("1").send().await.is_err());
    assert_eq!(seen(world.post("/done", "1").await).await.0, 200);
    world.shutdown().await;
}

#[tokio::test]
async fn http2_without_tls_is_served_beside_http1() {
    let world = World::new(NOW);
    world.apply(&[webhook(json!({}))]);
    let client = Client::builder().no_proxy().http2_prior_knowledge().build().unwrap();
    let requests = (0..20).map(|_| client.post(world.url("/done")).body("1").send());
    for answer in futures_util::future::join_all(requests).await {
        let answer = answer.unwrap();
        assert_eq!(
            (answer.version(), answer.status()),
            (reqwest::Version::HTTP_2, 200.try_into().unwrap())
        );
    }
    assert_eq!(world.sink.taken().len(), 20);
    world.shutdown().await;
}

/// Sends bytes as they are and reads to the end.
async fn raw(world: &World, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(world.sources.addresses()[&12000]).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    let mut answer = Vec::new();
    let end = stream.read_to_end(&mut answer);
    tokio::time::timeout(Duration::from_secs(300), end).await.expect("stays open").unwrap();
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_go_on_is_told_or_refused_at_once() {
    let world = World::new(NOW);
    world.apply(&[webhook(json!({}))]);
    let head = "Host: h\r\nExpect: 100-continue\r\nConnection: close\r\nContent-Length: ";
    let go_on = raw(&world, format!("POST /done HTTP/1.1\r\n{head}1\r\n\r\n1").as_bytes()).await;
    assert!(go_on.starts_with("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK"), "{go_on}");
    let large =
        raw(&world, format!("POST /done HTTP/1.1\r\n{head}2000000\r\n\r\n").as_bytes()).await;
    assert!(large.starts_with("HTTP/1.1 400 Bad Request"), "{large}");
}

#[tokio::test]
async fn a_body_that_is_too_large_is_answered_even_to_a_client_that_sends_all_of_it() {
    let world = World::new(NOW);
    world.apply(&[webhook(json!({}))]);
    let large = vec![b'1'; 5 * 1024 * 1024];
    let text = "failed to parse request body, http: request body too large";
    assert_eq!(seen(world.post("/done", large.clone()).await).await, (400, text.into()));
    let stream = futures_util::stream::iter(
        large.chunks(10_000).map(|c| Ok::<_, std::io::Error>(c.to_vec())).collect::<Vec<_>>(),
    );
    let chunked = reqwest::Body::wrap_stream(stream);
    assert_eq!(seen(world.post("/done", chunked).await).await, (400, text.into()));
    // This client looks for an answer only after the last byte.
    let head = "POST /done HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: ";
    let mut request = format!("{head}{}\r\n\r\n", large.len()).into_bytes();
    request.extend(&large);
    let answer = raw(&world, &request).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with(text), "{answer}");
}

#[tokio::test]
async fn a_chunked_body_is_joined() {
    let world = World::new(NOW);
    world.apply(&[webhook(json!({}))]);
    let chunks = ["[1,", "2,", "3]"].map(Ok::<_, std::io::Error>);
    let body = reqwest::Body::wrap_stream(futures_util::stream::iter(chunks));
    assert_eq!(seen(world.post("/done", body).await).await.0, 200);
    assert_eq!(world.sink.taken()[0].body.as_deref().unwrap(), b"[1,2,3]");
}

#[tokio::test]
async fn one_endpoint_of_two_event_sources_is_told_apart_by_host_or_prefix() {
    let world = World::new(NOW);
    let config = json!({"webhook": {"done": {"endpoint": "/done", "port": "12000"}}});
    let objects = [("builds", config.clone()), ("prod/images", config)];
    assert_eq!(crate::clashes(&definitions(&objects)), []);
    world.apply(&objects);
    let at_host =
        |host: &str| client().post(world.url("/done")).header("host", host).body("1").send();
    let neither = at_host("localhost").await.unwrap();
    assert_eq!(neither.status(), 409);
    let said = neither.text().await.unwrap();
    assert!(said.contains("/ci/builds/done (or Host: builds-eventsource-svc.ci)"), "{said}");
    assert!(said.contains("/prod/images/done (or Host: images-eventsource-svc.prod)"), "{said}");
    assert_eq!(at_host("images-eventsource-svc.prod.svc:12000").await.unwrap().status(), 200);
    assert_eq!(seen(world.post("/ci/builds/done", "1").await).await.0, 200);
    let keys: Vec<String> = world.sink.taken().iter().map(|m| m.key.to_string()).collect();
    assert_eq!(keys, ["prod/images/done", "ci/builds/done"]);
}

/// Neither a host nor a prefix tells two events of one event source apart.
#[test]
fn one_endpoint_of_two_events_of_one_event_source_is_a_clash() {
    let events = json!({"webhook": {
        "one": {"endpoint": "/b/{id}", "port": "12000"},
        "other": {"endpoint": "/b/{name}", "port": "12000"},
        "elsewhere": {"endpoint": "/b/{id}", "port": "12001"},
        "got": {"endpoint": "/b/{id}", "port": "12000", "method": "GET"},
    }});
    let clashes =
        crate::clashes(&definitions(&[("builds", events.clone()), ("prod/builds", events)]));
    let said: Vec<_> = clashes.iter().map(|(a, b, why)| format!("{a} {b}: {why}")).collect();
    assert_eq!(
        said,
        [
            "ci/builds/one ci/builds/other: both answer POST /b/{id} on port 12000",
            "prod/builds/one prod/builds/other: both answer POST /b/{id} on port 12000",
        ]
    );
}

mod slow {
    use super::*;

    /// In paused time; the kernel's sockets are not, but the runtime's clock only moves
    /// when nothing else can.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_says_nothing_or_too_little_is_cut_off() {
        let world = World::new(NOW);
        world.apply(&[webhook(json!({}))]);
        for bytes in ["", "P", "PRI * HTTP", "POST /done HTT"] {
            let started = tokio::time::Instant::now();
            assert_eq!(raw(&world, bytes.as_bytes()).await, "", "{bytes:?}");
            let elapsed = started.elapsed();
            let expected = Duration::from_secs(10)..Duration::from_secs(11);
            assert!(expected.contains(&elapsed), "{bytes:?}: {elapsed:?}");
        }
        let head =
            "POST /done HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: 9\r\n\r\n1";
        let answer = raw(&world, head.as_bytes()).await;
        assert!(answer.starts_with("HTTP/1.1 408"), "{answer}");
        assert_eq!(world.sink.reasons(), ["body too slow"]);
        assert_eq!(world.sink.taken().len(), 0);
    }
}

mod tls {
    use super::*;

    struct Certificate {
        chain: String,
        key: String,
    }

    fn certificate() -> Certificate {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        Certificate { chain: made.cert.pem(), key: made.signing_key.serialize_pem() }
    }

    impl World {
        fn set_certificate(&self, certificate: &Certificate) {
            self.secrets.set("ci/tls/crt", &certificate.chain);
            self.secrets.set("ci/tls/key", &certificate.key);
        }

        /// Whether a client that trusts only this certificate gets an answer 200.
        async fn trusts(&self, certificate: &Certificate) -> bool {
            let _already = rustls::crypto::ring::default_provider().install_default();
            let root = reqwest::Certificate::from_pem(certificate.chain.as_bytes()).unwrap();
            let client = Client::builder().no_proxy().tls_certs_only([root]).build().unwrap();
            let port = self.sources.addresses()[&12000].port();
            let url = format!("https://localhost:{port}/done");
            match client.post(url).body("1").send().await {
                Ok(answer) => {
                    assert_eq!(
                        (answer.status(), answer.version()),
                        (200.try_into().unwrap(), reqwest::Version::HTTP_2)
                    );
                    true
                }
                Err(_) => false,
            }
        }
    }

    fn secured() -> (&'static str, Value) {
        webhook(json!({
            "serverCertSecret": {"name": "tls", "key": "crt"},
            "serverKeySecret": {"name": "tls", "key": "key"},
        }))
    }

    #[tokio::test]
    async fn a_changed_certificate_is_taken_up_and_an_unusable_one_is_told() {
        let world = World::new(NOW);
        let problems = world.sources.apply(definitions(&[secured()]));
        assert_eq!(problems[0].1.message, "no secret ci/tls/crt");
        assert_eq!(problems[0].1.path.to_string(), "spec.webhook.done.serverCertSecret");
        assert!(!world.sources.status()[0].ready);

        let (first, second) = (certificate(), certificate());
        world.set_certificate(&first);
        let checked = || async {
            tokio::time::pause();
            tokio::time::advance(Duration::from_secs(6)).await;
            tokio::time::resume();
        };
        checked().await;
        assert!(world.trusts(&first).await);
        assert!(world.sources.status()[0].ready);

        world.set_certificate(&second);
        checked().await;
        assert!(world.trusts(&second).await);
        assert!(!world.trusts(&first).await);

        world.secrets.set("ci/tls/key", "no key");
        checked().await;
        assert!(world.trusts(&second).await, "the last good one stays");
        let status = world.sources.status().remove(0);
        assert!(!status.ready);
        assert_eq!(status.detail, "key `key` of secret `tls` holds no private key in PEM");
    }

    #[tokio::test]
    async fn webhooks_of_one_port_that_differ_in_their_tls_are_a_clash() {
        let world = World::new(NOW);
        world.set_certificate(&certificate());
        let plain = json!({"webhook": {"e": {"endpoint": "/e", "port": "12000"}}});
        let objects = definitions(&[secured(), ("plain", plain)]);
        let clashes = crate::clashes(&objects);
        assert_eq!(clashes.len(), 1);
        assert!(clashes[0].2.contains("certificate"), "{}", clashes[0].2);
        let problems = world.sources.apply(objects);
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].0.to_string(), "ci/plain/e");
        let status = world.sources.status();
        let ready: Vec<_> = status.iter().map(|s| (s.key.name.as_str(), s.ready)).collect();
        assert_eq!(ready, [("done", true), ("e", false)]);
    }
}
