//! The source against Google's emulator.

use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::timeout;
use tripline_cloud::google::Identity;
use tripline_config::Dialect;
use tripline_event::ObjectName;
use tripline_testbed::{Message, PubSub as Server};

use super::admin::Admin;
use super::{PubSub, probe};
use crate::testing::{TestSecrets, World, eventually};
use crate::{EventDefinition, SecretLookup, SinkError, SourceConfig, events_in};

const NOW: &str = "2026-11-21T03:00:00Z";

/// The event `ci/builds/completed` with this configuration, at the emulator; tests have less
/// patience.
fn definition(server: &Server, dialect: Dialect, config: Value) -> EventDefinition {
    with(server, dialect, config, |_| {})
}

fn with(
    server: &Server,
    dialect: Dialect,
    mut config: Value,
    change: impl FnOnce(&mut PubSub),
) -> EventDefinition {
    config["projectID"] = json!(server.project());
    let spec = json!({"pubSub": {"completed": config}});
    let (mut events, problems) = events_in(dialect, &ObjectName::new("ci", "builds"), &spec);
    assert_eq!(problems, [], "{spec}");
    let SourceConfig::PubSub(pubsub) = &mut events[0].config else { panic!("{spec}") };
    let pubsub = Arc::make_mut(pubsub);
    pubsub.endpoint = Some(format!("http://{}", server.host()));
    pubsub.probe_every = Duration::from_millis(100);
    change(pubsub);
    events.remove(0)
}

fn argo(server: &Server, config: Value) -> EventDefinition {
    definition(server, Dialect::Argo, config)
}

/// An emulator with the topic `builds` and the subscription `tripline`.
fn server() -> Server {
    // As the program does: the library has a client that wants it.
    let _already = rustls::crypto::ring::default_provider().install_default();
    let server = Server::start().unwrap();
    server.create_topic("builds").unwrap();
    server.create_subscription("tripline", "builds").unwrap();
    server
}

/// A world in which the source runs and is ready.
async fn running(definition: EventDefinition) -> World {
    let world = World::new(NOW);
    assert_eq!(world.sources.apply(vec![definition]), []);
    eventually(|| world.sources.status()[0].ready).await;
    world
}

/// The ids of the first events, in the time that a busy machine needs.
async fn first(world: &World, count: usize) -> Vec<String> {
    timeout(Duration::from_secs(60), world.sink.first_ids(count)).await.expect("too few events")
}

fn subscription() -> Value {
    json!({"subscriptionID": "tripline"})
}

fn admin(server: &Server) -> Admin {
    let address = format!("http://{}", server.host());
    Admin::new(Some(&address), &Identity::anonymous()).unwrap()
}

fn full_name(server: &Server, subscription: &str) -> String {
    format!("projects/{}/subscriptions/{subscription}", server.project())
}

/// The topic of a subscription, if it is there.
async fn topic_of(server: &Server, subscription: &str) -> Option<String> {
    admin(server).topic_of(&full_name(server, subscription)).await.ok()
}

/// What is still to be delivered: what a second source gets besides two messages that are
/// sent now. Messages without a key come in any order; but what was there with the first of
/// the two comes before the second, which is sent when the first has come.
async fn left_over(server: &Server) -> Vec<String> {
    let world = running(argo(server, subscription())).await;
    let mut markers = Vec::new();
    for marker in ["first", "last"] {
        let id = server.publish("builds", &[Message::new(marker)]).unwrap().remove(0);
        eventually(|| world.sink.ids().contains(&id)).await;
        markers.push(id);
    }
    world.shutdown().await;
    world.sink.ids().into_iter().filter(|id| !markers.contains(id)).collect()
}

fn unavailable(times: usize) -> Vec<SinkError> {
    vec![SinkError::Unavailable("full".into()); times]
}

#[tokio::test]
async fn data_has_the_shape_of_argo_events_and_attributes_are_headers() {
    let server = server();
    let messages = [
        Message {
            data: "{ \"result\" : \"passed\" }".into(),
            attributes: vec![
                ("correlation_id".into(), "build-4711".into()),
                ("b".into(), "\"2\"".into()),
            ],
            ordering_key: String::new(),
        },
        Message { attributes: vec![("only".into(), "this".into())], ..Message::default() },
    ];
    let ids = server.publish("builds", &messages).unwrap();
    let config = json!({"subscriptionID": "tripline", "metadata": {"team": "platform"}});
    for json_body in [false, true] {
        let mut config = config.clone();
        config["jsonBody"] = json!(json_body);
        let name = format!("as-{json_body}");
        server.create_subscription(&name, "builds").unwrap();
        config["subscriptionID"] = json!(name);
        server.publish("builds", &messages).unwrap();
        let world = running(argo(&server, config)).await;
        first(&world, 2).await;
        let taken = world.sink.taken();
        let find = |text: &str| {
            let mut all = taken.iter();
            all.find(|m| String::from_utf8_lossy(&m.data).contains(text)).unwrap().clone()
        };
        let (first, second) = (find("build-4711"), find("only"));
        let data = |message: &crate::Message| -> (String, Value) {
            let mut data: Value = serde_json::from_slice(&message.data).unwrap();
            let time = data["publishTime"].take();
            (time.as_str().unwrap().to_owned(), data)
        };
        let (time, value) = data(&first);
        let body = match json_body {
            true => json!({"result": "passed"}),
            false => json!("eyAicmVzdWx0IiA6ICJwYXNzZWQiIH0="),
        };
        assert_eq!(
            value,
            json!({"id": first.id, "body": body, "publishTime": null,
                "attributes": {"correlation_id": "build-4711", "b": "\"2\""},
                "metadata": {"team": "platform"}})
        );
        let text = String::from_utf8(first.data.to_vec()).unwrap();
        let order = ["{\"id\":", "\"body\":", "\"attributes\":{\"b\":", "\"publishTime\":\"20"];
        let order = order.map(|part| text.find(part).unwrap());
        assert!(order.is_sorted(), "{text}");
        assert!(json_body == text.contains("{\"result\":\"passed\"}"), "{text}");
        assert!(time.ends_with(" +0000 UTC") && time.len() >= 29, "{time}");
        assert_eq!(
            first.headers,
            [("b".into(), "\"2\"".into()), ("correlation_id".into(), "build-4711".into())]
        );
        assert_eq!((first.kind, first.key.to_string()), ("pubsub", "ci/builds/completed".into()));
        assert_eq!(first.body.as_deref(), Some(&b"{ \"result\" : \"passed\" }"[..]));
        let (_, value) = data(&second);
        assert_eq!(value["body"], Value::Null, "no body is null, also where JSON is asked for");
        assert!(world.sink.unreadable.borrow().is_empty());
        world.shutdown().await;
    }
    assert!(!ids.is_empty());
}

#[tokio::test]
async fn tripline_s_own_dialect_shows_the_ordering_key_too() {
    let server = server();
    let keyed = Message { ordering_key: "main".into(), ..Message::new("1") };
    server.publish("builds", &[keyed]).unwrap();
    for (dialect, expected) in [(Dialect::Tripline, json!("main")), (Dialect::Argo, Value::Null)] {
        let name = format!("{dialect:?}");
        server.create_subscription(&name, "builds").unwrap();
        let keyed = Message { ordering_key: "main".into(), ..Message::new("1") };
        server.publish("builds", &[keyed]).unwrap();
        let world = running(definition(&server, dialect, json!({"subscriptionID": name}))).await;
        first(&world, 1).await;
        let data: Value = serde_json::from_slice(&world.sink.taken()[0].data).unwrap();
        assert_eq!(data["orderingKey"], expected);
        world.shutdown().await;
    }
}

#[tokio::test]
async fn a_subscription_is_found_or_created_as_its_api_version_says() {
    use Dialect::{Argo, Tripline};
    let server = server();
    server.create_topic("others").unwrap();
    let topic = |name: &str| format!("projects/{}/topics/{name}", server.project());
    // Dialect, configuration, subscription, what is wrong, the topic it then has.
    #[rustfmt::skip]
    let cases = [
        (Argo, json!({"subscriptionID": "tripline"}), "tripline", None, Some("builds")),
        (Argo, json!({"subscriptionID": "tripline", "topic": "builds"}), "tripline", None, Some("builds")),
        (Argo, json!({"subscriptionID": "tripline", "topic": "others"}), "tripline", Some("belongs to topic `projects/testbed/topics/builds`, not to `projects/testbed/topics/others`"), Some("builds")),
        (Argo, json!({"subscriptionID": "missing"}), "missing", Some("subscription `projects/testbed/subscriptions/missing` does not exist: create it (`gcloud pubsub subscriptions create missing --project testbed --topic TOPIC`)"), None),
        (Argo, json!({"subscriptionID": "new-1", "topic": "builds"}), "new-1", None, Some("builds")),
        (Argo, json!({"subscriptionID": "new-2", "topic": "new-topic"}), "new-2", None, Some("new-topic")),
        (Tripline, json!({"subscriptionID": "tripline"}), "tripline", None, Some("builds")),
        (Tripline, json!({"subscriptionID": "new-3", "topic": "builds"}), "new-3", Some("--topic builds`), or let Tripline do it (`topic`, and under `tripline.dev/v1` also `create: true`)"), None),
        (Tripline, json!({"subscriptionID": "new-3", "topic": "builds", "create": false}), "new-3", Some("does not exist"), None),
        (Tripline, json!({"subscriptionID": "new-3", "topic": "new-3", "create": true}), "new-3", None, Some("new-3")),
    ];
    for (dialect, config, name, wrong, then) in cases {
        let what = format!("{dialect:?} {config}");
        let world = World::new(NOW);
        assert_eq!(world.sources.apply(vec![definition(&server, dialect, config)]), []);
        eventually(|| world.sources.status()[0].detail != "starting").await;
        let status = world.sources.status().remove(0);
        assert_eq!(status.ready, wrong.is_none(), "{what}: {}", status.detail);
        assert!(
            status.detail.contains(wrong.unwrap_or("takes messages from")),
            "{what}: {status:?}"
        );
        assert_eq!(topic_of(&server, name).await, then.map(topic), "{what}");
        world.shutdown().await;
    }
}

#[tokio::test]
async fn the_default_name_of_a_subscription_is_that_of_argo_events() {
    let server = server();
    let world = running(argo(&server, json!({"topic": "builds"}))).await;
    let detail = world.sources.status().remove(0).detail;
    let id = detail.rsplit_once('/').unwrap().1;
    let hash = id.strip_prefix("completed-").unwrap();
    assert!(hash.parse::<u32>().is_ok(), "{detail}");
    assert!(topic_of(&server, id).await.is_some());
    world.shutdown().await;
}

#[tokio::test]
async fn a_message_is_acknowledged_after_it_is_durable_and_given_back_where_it_is_not() {
    let server = server();
    let world = World::new(NOW);
    world.sink.fail(unavailable(3));
    let impatient = with(&server, Dialect::Argo, subscription(), |pubsub| {
        pubsub.patience = Duration::ZERO;
    });
    assert_eq!(world.sources.apply(vec![impatient]), []);
    let id = server.publish("builds", &[Message::new("1")]).unwrap().remove(0);
    // Each failure gave it back; had one acknowledged it, it would not have come again.
    assert_eq!(first(&world, 1).await, [&*id]);
    assert!(world.sink.errors.lock().unwrap().is_empty());
    eventually(|| world.sources.status()[0].ready).await;
    world.shutdown().await;
    assert_eq!(world.sink.ids(), [&*id], "one event, however often it was delivered");
    assert_eq!(left_over(&server).await, Vec::<String>::new(), "it was acknowledged");
}

/// Runs a source whose event bus does not answer beside one that takes everything, and returns
/// the first when the other has got all of `messages`: what it holds then is all that it asks
/// for. Their subscriptions are without ordering, so that all of a key come at a time.
async fn held(server: &Server, messages: &[Message], change: fn(&mut PubSub)) -> World {
    let config = |name: &str| json!({"subscriptionID": name, "topic": "builds"});
    let closed = running(with(server, Dialect::Argo, config("closed"), change)).await;
    closed.sink.open.send_replace(false);
    let witness = running(argo(server, config("witness"))).await;
    server.publish("builds", messages).unwrap();
    first(&witness, messages.len()).await;
    witness.shutdown().await;
    closed
}

#[tokio::test]
async fn while_the_event_bus_does_not_answer_no_more_is_asked_for_than_may_be_held() {
    let server = server();
    let messages: Vec<Message> = (0..20).map(|n| Message::new(n.to_string())).collect();
    let world = held(&server, &messages, |pubsub| pubsub.max_messages = 3).await;
    eventually(|| *world.sink.waiting.borrow() == 3).await;
    world.sink.fail(unavailable(5));
    world.sink.open.send_replace(true);
    first(&world, 20).await;
    world.shutdown().await;
    assert_eq!(*world.sink.most_waiting.lock().unwrap(), 3);
}

#[tokio::test]
async fn of_each_key_one_message_at_a_time_is_brought_to_the_event_bus() {
    let server = server();
    let keyed = |n: usize| Message {
        ordering_key: ["a", "b", "c"][n % 3].into(),
        ..Message::new(n.to_string())
    };
    let messages: Vec<Message> = (0..60).map(keyed).collect();
    let world = held(&server, &messages, |_| {}).await;
    eventually(|| *world.sink.waiting.borrow() == 3).await;
    world.sink.open.send_replace(true);
    first(&world, 60).await;
    world.shutdown().await;
    assert_eq!(*world.sink.most_waiting.lock().unwrap(), 3);
}

#[tokio::test]
async fn while_the_event_bus_takes_nothing_the_source_says_so() {
    let server = server();
    let world = running(argo(&server, subscription())).await;
    world.sink.fail(unavailable(3));
    server.publish("builds", &[Message::new("1")]).unwrap();
    eventually(|| !world.sources.status()[0].ready).await;
    let detail = world.sources.status().remove(0).detail;
    assert_eq!(detail, "messages wait: event bus is unavailable: full");
    first(&world, 1).await;
    eventually(|| world.sources.status()[0].ready).await;
    world.shutdown().await;
}

#[tokio::test]
async fn messages_of_one_key_stay_in_order_whatever_fails() {
    let server = server();
    let keys = ["a", "b", "c"];
    let messages: Vec<Message> = (0..60)
        .map(|n| Message {
            ordering_key: keys[n % 3].into(),
            ..Message::new(format!("\"{n:02}\""))
        })
        .collect();
    let world = World::new(NOW);
    world.sink.fail(unavailable(7));
    let impatient = with(&server, Dialect::Argo, subscription(), |pubsub| {
        pubsub.patience = Duration::ZERO;
        pubsub.shows_ordering_key = true;
        pubsub.json_body = true;
    });
    server.publish("builds", &messages).unwrap();
    assert_eq!(world.sources.apply(vec![impatient]), []);
    first(&world, 60).await;
    let mut of_key = std::collections::BTreeMap::<String, Vec<String>>::new();
    for message in world.sink.taken() {
        let data: Value = serde_json::from_slice(&message.data).unwrap();
        let text = |field: &str| data[field].as_str().unwrap().to_owned();
        of_key.entry(text("orderingKey")).or_default().push(text("body"));
    }
    for key in keys {
        assert_eq!(of_key[key].len(), 20);
        assert!(of_key[key].is_sorted(), "{key}: {:?}", of_key[key]);
    }
    world.shutdown().await;
    assert_eq!(left_over(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_no_json_is_kept_once_and_does_not_come_back() {
    let server = server();
    let bad = Message {
        data: "{\"result\": ".into(),
        attributes: vec![("correlation_id".into(), "build-1".into())],
        ordering_key: String::new(),
    };
    let ids = server.publish("builds", &[bad, Message::new("1")]).unwrap();
    let world = World::new(NOW);
    world.sink.fail(unavailable(2));
    let config = json!({"subscriptionID": "tripline", "jsonBody": true});
    assert_eq!(world.sources.apply(vec![argo(&server, config)]), []);
    eventually(|| world.sink.unreadable.borrow().len() == 1 && world.sink.ids().len() == 1).await;
    world.shutdown().await;
    let kept = world.sink.unreadable.borrow().clone();
    assert_eq!(kept[0].id.as_ref().unwrap().as_str(), ids[0]);
    assert_eq!(&kept[0].bytes[..], b"{\"result\": ");
    assert_eq!(kept[0].headers, [("correlation_id".to_owned(), "build-1".to_owned())]);
    assert!(kept[0].reason.contains("is not JSON"), "{}", kept[0].reason);
    assert_eq!(world.sink.ids(), [&*ids[1]]);
    assert_eq!(left_over(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn what_is_too_large_is_kept_and_does_not_come_back() {
    let server = server();
    let world = running(argo(&server, subscription())).await;
    world.sink.fail([SinkError::TooLarge { size: 9, limit: 8 }]);
    server.publish("builds", &[Message::new("too large")]).unwrap();
    eventually(|| world.sink.unreadable.borrow().len() == 1).await;
    world.shutdown().await;
    assert_eq!(
        world.sink.unreadable.borrow()[0].reason,
        "event is 9 bytes, the event bus takes at most 8"
    );
    assert_eq!(left_over(&server).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_thousand_messages_are_a_thousand_events() {
    let server = server();
    let messages: Vec<Message> = (0..1000).map(|n| Message::new(n.to_string())).collect();
    let mut ids = server.publish("builds", &messages).unwrap();
    let world = running(argo(&server, subscription())).await;
    let mut taken = first(&world, 1000).await;
    world.shutdown().await;
    ids.sort();
    taken.sort();
    assert_eq!(taken, ids);
    assert_eq!(left_over(&server).await, Vec::<String>::new());
}

/// A `google.pubsub.v1.Subscription`.
#[derive(Clone, PartialEq, prost::Message)]
struct OnceOnly {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    topic: String,
    #[prost(bool, tag = "16")]
    exactly_once: bool,
}

#[tokio::test]
async fn a_subscription_with_exactly_once_delivery_is_acknowledged_too() {
    let server = server();
    let name = full_name(&server, "once");
    let topic = format!("projects/{}/topics/builds", server.project());
    let request = OnceOnly { name: name.clone(), topic, exactly_once: true };
    let path = "/google.pubsub.v1.Subscriber/CreateSubscription";
    let created: OnceOnly =
        admin(&server).channel.call(path, ("name", &name), request).await.unwrap();
    assert!(created.exactly_once);
    let ids = server.publish("builds", &[Message::new("1"), Message::new("2")]).unwrap();
    let once = || argo(&server, json!({"subscriptionID": "once"}));
    let world = World::new(NOW);
    world.sink.fail(unavailable(1));
    assert_eq!(world.sources.apply(vec![once()]), []);
    let mut taken = first(&world, 2).await;
    world.shutdown().await;
    taken.sort();
    assert_eq!(taken, ids);
    let last = server.publish("builds", &[Message::new("3")]).unwrap();
    let world = running(once()).await;
    assert_eq!(first(&world, 1).await, last, "the first two were acknowledged");
    world.shutdown().await;
}

#[tokio::test]
async fn a_source_that_stops_gives_back_what_was_not_taken() {
    let server = server();
    let world = running(argo(&server, subscription())).await;
    world.sink.open.send_replace(false);
    let messages: Vec<Message> = (0..50).map(|n| Message::new(n.to_string())).collect();
    let mut ids = server.publish("builds", &messages).unwrap();
    eventually(|| *world.sink.waiting.borrow() == 50).await;
    world.sink.fail(unavailable(100_000));
    world.sink.open.send_replace(true);
    eventually(|| !world.sources.status()[0].ready).await;
    world.shutdown().await;
    assert_eq!(world.sink.ids(), Vec::<String>::new());
    // Had they not been given back, the emulator would wait for the end of their leases: 20 s.
    let world = running(argo(&server, subscription())).await;
    eventually(|| world.sink.ids().len() == 50).await;
    let mut taken = world.sink.ids();
    world.shutdown().await;
    ids.sort();
    taken.sort();
    assert_eq!(taken, ids);
}

#[tokio::test]
async fn a_service_that_goes_away_is_noticed_and_found_again() {
    let mut server = server();
    let config = json!({"subscriptionID": "tripline", "topic": "builds"});
    let world = running(argo(&server, config)).await;
    server.publish("builds", &[Message::new("before")]).unwrap();
    first(&world, 1).await;
    server.kill().unwrap();
    eventually(|| !world.sources.status()[0].ready).await;
    let detail = world.sources.status().remove(0).detail;
    let host = server.host();
    assert!(detail.contains(&format!("http://{host} cannot be reached")), "{detail}");
    server.restart().unwrap();
    eventually(|| world.sources.status()[0].ready).await;
    // It has lost everything; topic and subscription are made again.
    let after = server.publish("builds", &[Message::new("after")]).unwrap();
    eventually(|| world.sink.ids().contains(&after[0])).await;
    world.shutdown().await;
}

#[tokio::test]
async fn a_subscription_that_is_deleted_is_noticed() {
    let server = server();
    let world = running(argo(&server, subscription())).await;
    admin(&server).delete_subscription(&full_name(&server, "tripline")).await.unwrap();
    eventually(|| !world.sources.status()[0].ready).await;
    let detail = world.sources.status().remove(0).detail;
    assert!(detail.contains("subscriptions/tripline` does not exist"), "{detail}");
    server.create_subscription("tripline", "builds").unwrap();
    eventually(|| world.sources.status()[0].ready).await;
    world.shutdown().await;
}

#[tokio::test]
async fn a_subscription_is_deleted_at_the_end_only_where_that_is_configured() {
    let server = server();
    for delete in [false, true] {
        let config = json!({"subscriptionID": "tripline", "deleteSubscriptionOnFinish": delete});
        running(argo(&server, config)).await.shutdown().await;
        assert_eq!(topic_of(&server, "tripline").await.is_none(), delete);
    }
}

#[tokio::test]
async fn credentials_that_cannot_be_used_are_told_and_not_shown() {
    let server = server();
    let config = json!({
        "subscriptionID": "tripline", "credentialSecret": {"name": "google", "key": "key.json"},
    });
    let real = with(&server, Dialect::Argo, config, |pubsub| {
        pubsub.endpoint = Some("https://127.0.0.1:1".into());
    });
    let world = World::new(NOW);
    assert_eq!(world.sources.apply(vec![real]), []);
    let detail = || world.sources.status().remove(0).detail;
    eventually(|| detail().contains("no secret ci/google/key.json")).await;
    world.secrets.set("ci/google/key.json", "{\"hunter2\": 1}");
    eventually(|| detail().contains("key `key.json` of secret `google` has no `type`")).await;
    assert!(!detail().contains("hunter2"));
    world.shutdown().await;
}

#[tokio::test]
async fn a_probe_takes_nothing_and_creates_nothing() {
    let server = server();
    let id = server.publish("builds", &[Message::new("1")]).unwrap().remove(0);
    let new = json!({"subscriptionID": "new", "topic": "builds"});
    for (config, expected) in [
        (subscription(), Ok("messages may be taken from projects/testbed/subscriptions/tripline")),
        (new, Ok("projects/testbed/subscriptions/new is not there and will be created")),
        (json!({"subscriptionID": "gone"}), Err("subscriptions/gone` does not exist")),
    ] {
        let definition = argo(&server, config);
        let SourceConfig::PubSub(pubsub) = &definition.config else { panic!() };
        let secrets: Arc<dyn SecretLookup> = Arc::new(TestSecrets::default());
        let caller = crate::identity::caller("ci", None, &secrets, None);
        let said = probe(pubsub, &definition.key.name, &caller).await;
        match (said, expected) {
            (Ok(said), Ok(expected)) => assert_eq!(said, expected),
            (Err(said), Err(expected)) => assert!(said.contains(expected), "{said}"),
            (said, expected) => panic!("{said:?}, expected {expected:?}"),
        }
    }
    assert_eq!(topic_of(&server, "new").await, None);
    assert_eq!(left_over(&server).await, [id]);
}

#[test]
fn a_configuration_that_cannot_work_is_refused_at_its_place() {
    use Dialect::{Argo, Tripline};
    #[rustfmt::skip]
    let cases = [
        (Argo, json!({}), "TL0230 : neither `subscriptionID` nor `topic` is given"),
        (Argo, json!({"subscriptionID": "s", "topicProjectID": "p"}), "TL0230 topicProjectID: `topicProjectID` is given without `topic`"),
        (Argo, json!({"topic": "projects/p/topics/t"}), "TL0230 topic: is \"projects/p/topics/t\", expected letters, digits and `-_.~+%`, a letter first"),
        (Argo, json!({"subscriptionID": "s", "create": true}), "TL0117 create: the field `create` is Tripline's own"),
        (Argo, json!({"subscriptionID": "s", "endpoint": "http://h"}), "TL0117 endpoint: the field `endpoint` is Tripline's own"),
        (Tripline, json!({"subscriptionID": "s", "create": true}), "TL0230 create: `create` is given without `topic`"),
        (Tripline, json!({"subscriptionID": "s", "endpoint": "localhost:8085"}), "TL0231 endpoint: endpoint is \"localhost:8085\", expected `http://HOST:PORT` or `https://HOST`"),
        (Tripline, json!({"subscriptionID": "s", "maxOutstandingMessages": 0}), "TL0232 maxOutstandingMessages: is 0, expected a number from 1 to 10000"),
        (Tripline, json!({"subscriptionID": "s", "maxOutstandingBytes": -1}), "TL0232 maxOutstandingBytes: is -1, expected a number from 1 to 1073741824"),
    ];
    for (dialect, config, expected) in cases {
        let spec = json!({"pubSub": {"e": config}});
        let (events, problems) = events_in(dialect, &ObjectName::new("ci", "builds"), &spec);
        assert!(events.is_empty() || expected.starts_with("TL0117"), "{spec}");
        let at = problems[0].path.to_string();
        let at = at.trim_start_matches("spec.pubSub.e").trim_start_matches('.');
        assert_eq!(format!("{} {at}: {}", problems[0].code, problems[0].message), expected);
        assert_eq!(problems.len(), 1, "{problems:?}");
    }
}

#[tokio::test]
async fn a_notification_of_cloud_storage_is_an_event_and_anything_else_is_kept() {
    let server = server();
    let object = |kind: &str| Message {
        data: r#"{"size": "3", "metageneration": "1", "name": "a b"}"#.into(),
        attributes: [
            ("eventType", kind),
            ("bucketId", "artifacts"),
            ("objectId", "a b"),
            ("objectGeneration", "17"),
            ("payloadFormat", "JSON_API_V1"),
        ]
        .map(|(name, value)| (name.into(), value.into()))
        .into(),
        ordering_key: String::new(),
    };
    // Cloud Storage may send a notification twice.
    let messages = [object("OBJECT_FINALIZE"), object("OBJECT_FINALIZE"), Message::new("x")];
    server.publish("builds", &messages).unwrap();
    let config = json!({"subscriptionID": "tripline", "unwrap": "gcs"});
    let world = running(definition(&server, Dialect::Tripline, config)).await;
    let mut unreadable = world.sink.unreadable.subscribe();
    let kept = unreadable.wait_for(|kept| kept.len() == 1).await.unwrap().clone();
    assert_eq!(&*kept[0].bytes, b"x");
    assert!(kept[0].reason.contains("no attribute `eventType`"), "{}", kept[0].reason);
    let mut answered = world.sink.answered.subscribe();
    answered.wait_for(|answered| *answered == 2).await.unwrap();
    assert_eq!(first(&world, 1).await, ["artifacts/a b#17.1:OBJECT_FINALIZE"]);
    let data: Value = serde_json::from_slice(&world.sink.taken()[0].data).unwrap();
    assert_eq!((&data["event"], &data["size"]), (&json!("created"), &json!(3)));
    assert_eq!(data["body"]["name"], "a b");
    world.shutdown().await;
    assert_eq!(left_over(&server).await, Vec::<String>::new());
}
