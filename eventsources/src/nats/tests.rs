//! Against nats-server, with the same client as the producer.

mod delivery;
mod failure;

use std::sync::OnceLock;
use std::time::Duration;

use async_nats::jetstream::{self, Context};
use serde_json::{Value, json};
use tripline_config::{Dialect, FieldPath};
use tripline_event::ObjectName;
use tripline_testbed::Nats as Server;

use super::config::{Nats, NatsConfig};
use crate::testing::World;
use crate::{codes, events_in};

/// The longest that a test waits for something.
const SOON: Duration = Duration::from_secs(60);

/// One for all tests that leave it alone.
fn server() -> &'static Server {
    static SERVER: OnceLock<Server> = OnceLock::new();
    SERVER.get_or_init(|| Server::start().unwrap())
}

/// A subject with these fields besides the ones that are needed.
pub fn nats(fields: &Value) -> Nats {
    let mut config = json!({"url": "nats://127.0.0.1:1", "subject": "builds.>"});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let config: NatsConfig = serde_json::from_value(config).unwrap();
    let (nats, problems) = config.resolve(&FieldPath::root());
    assert_eq!(problems, []);
    nats.unwrap()
}

/// A world with one event source, `ci/builds/done`, of this subject.
fn source(world: &World, url: &str, subject: &str, fields: &Value) {
    let mut config = json!({"url": url, "subject": subject});
    config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    let spec = json!({"nats": {"done": config}});
    let name = ObjectName::new("ci", "builds");
    let (events, problems) = events_in(Dialect::Tripline, &name, &spec);
    assert_eq!(problems, [], "{spec}");
    assert_eq!(world.sources.apply(events), []);
}

fn world() -> World {
    World::new("2026-11-21T03:00:00Z")
}

/// Waits until the event source says that of itself.
async fn says(world: &World, ready: bool, detail: &str) {
    let mut last = String::new();
    for _ in 0..(SOON.as_millis() / 5) {
        let status = world.sources.status().remove(0);
        if status.ready == ready && status.detail.contains(detail) {
            return;
        }
        last = status.detail;
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("it never said {detail:?}, but {last:?}");
}

async fn client(url: &str) -> async_nats::Client {
    async_nats::connect(url).await.unwrap()
}

/// A stream on the subjects below its name in lower case.
async fn stream(url: &str, name: &str) -> Context {
    let context = jetstream::new(client(url).await);
    let config = jetstream::stream::Config {
        name: name.to_owned(),
        subjects: vec![format!("{}.>", name.to_lowercase())],
        ..Default::default()
    };
    context.create_stream(config).await.unwrap();
    context
}

/// How many messages wait for the only consumer of a stream, or for their acknowledgement, and
/// how many came again.
async fn left(context: &Context, stream: &str) -> (u64, usize, usize) {
    use futures_util::TryStreamExt as _;
    let stream = context.get_stream(stream).await.unwrap();
    let consumers: Vec<_> = stream.consumers().try_collect().await.unwrap();
    let [only] = consumers.as_slice() else { panic!("{} consumers", consumers.len()) };
    (only.num_pending, only.num_ack_pending, only.num_redelivered)
}

/// Waits until all messages of a stream are acknowledged.
async fn nothing_is_left(context: &Context, stream: &str) {
    for _ in 0..(SOON.as_millis() / 20) {
        if left(context, stream).await == (0, 0, 0) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("{:?} are left", left(context, stream).await);
}

#[test]
fn messages_that_others_wait_for_are_not_taken_by_accident() {
    let jet = json!({"stream": "A"});
    for (fields, expected) in [
        (json!({"url": "nats://nats:4222"}), false),
        (json!({"url": "nats://nats:4222", "queue": "q"}), true),
        (json!({"url": "nats://nats:4222", "jetStream": jet}), true),
        (json!({"url": "nats://127.0.0.1:4222,tls://localhost", "jetStream": jet}), false),
        (json!({"url": "nats://127.0.0.1,nats://other", "jetStream": jet}), true),
    ] {
        assert_eq!(nats(&fields).is_real(), expected, "{fields}");
    }
}

#[test]
fn what_is_wrong_is_found_at_its_place() {
    let of = json!({"name": "nats", "key": "k"});
    let jet = |fields: Value| json!({"jetStream": fields});
    for (dialect, fields, expected) in [
        (Dialect::Argo, json!({}), None),
        (
            Dialect::Argo,
            json!({"queue": "q", "connectionBackoff": {"duration": "1s", "factor": "2", "steps": 3}}),
            None,
        ),
        (Dialect::Argo, json!({"tls": {"enabled": true}, "auth": {"token": of}}), None),
        (Dialect::Argo, json!({"url": ""}), Some((codes::NATS_SUBJECT, ".url"))),
        (Dialect::Argo, json!({"url": "nats://u:p@h"}), Some((codes::NATS_SUBJECT, ".url"))),
        (Dialect::Argo, json!({"subject": "a..b"}), Some((codes::NATS_SUBJECT, ".subject"))),
        (Dialect::Argo, json!({"queue": ""}), Some((codes::NATS_SUBJECT, ".queue"))),
        (
            Dialect::Argo,
            json!({"connectionBackoff": {"duration": "soon"}}),
            Some((codes::NATS_SUBJECT, ".connectionBackoff.duration")),
        ),
        (
            Dialect::Argo,
            json!({"auth": {"basic": {"username": of}}}),
            Some((codes::NATS_AUTH, ".auth.basic")),
        ),
        (Dialect::Argo, json!({"tls": {"clientKeySecret": of}}), Some((codes::NATS_AUTH, ".tls"))),
        (Dialect::Tripline, jet(json!({"stream": "A", "ackWait": "1m"})), None),
        (
            Dialect::Tripline,
            jet(
                json!({"stream": "A", "deliverPolicy": "byStartTime", "startTime": "2026-11-21T03:00:00Z"}),
            ),
            None,
        ),
        (
            Dialect::Tripline,
            jet(json!({"stream": "a.b"})),
            Some((codes::NATS_JETSTREAM, ".jetStream.stream")),
        ),
        (
            Dialect::Tripline,
            jet(json!({"stream": "A", "deliverPolicy": "sometimes"})),
            Some((codes::NATS_JETSTREAM, ".jetStream.deliverPolicy")),
        ),
        (
            Dialect::Tripline,
            jet(json!({"stream": "A", "startSequence": 7})),
            Some((codes::NATS_JETSTREAM, ".jetStream.startSequence")),
        ),
        (
            Dialect::Tripline,
            jet(json!({"stream": "A", "ackWait": "1ms"})),
            Some((codes::NATS_JETSTREAM, ".jetStream.ackWait")),
        ),
        (
            Dialect::Tripline,
            json!({"jetStream": {"stream": "A"}, "queue": "q"}),
            Some((codes::NATS_JETSTREAM, ".queue")),
        ),
    ] {
        let mut config = json!({"url": "nats://h", "subject": "a.>"});
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let spec = json!({"nats": {"e": config}});
        let (events, problems) = events_in(dialect, &ObjectName::new("ci", "builds"), &spec);
        let found: Vec<_> = problems.iter().map(|p| format!("{} {}", p.code, p.path)).collect();
        let expected = expected.map(|(code, field)| format!("{code} spec.nats.e{field}"));
        assert_eq!(found, Vec::from_iter(expected), "{fields}");
        assert_eq!(events.is_empty(), !found.is_empty());
    }
}
