//! Servers that go away, consumers that are removed, users that are not let in.

use std::sync::Arc;

use serde_json::json;
use tokio::time::timeout;
use tripline_testbed::{Authority, Nats as Server, NatsConfig};

use super::{SOON, client, nothing_is_left, says, server, source, stream, world};
use crate::SecretLookup;
use crate::testing::TestSecrets;

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_is_connected_to_again_and_nothing_is_lost() {
    let mut server =
        Server::with(NatsConfig::default().jetstream("sync_interval: always")).unwrap();
    let context = stream(&server.url(), "KILL").await;
    let world = world();
    source(
        &world,
        &server.url(),
        "kill.>",
        &json!({"jetStream": {"stream": "KILL", "ackWait": "1s"}}),
    );
    says(&world, true, "of stream `KILL`").await;
    for n in 0..100 {
        context.publish("kill.a", n.to_string().into()).await.unwrap().await.unwrap();
    }
    server.kill().unwrap();
    says(&world, false, "NATS at").await;
    server.restart().unwrap();
    says(&world, true, "of stream `KILL`").await;
    let context = async_nats::jetstream::new(client(&server.url()).await);
    for n in 100..200 {
        context.publish("kill.a", n.to_string().into()).await.unwrap().await.unwrap();
    }
    let ids = world.sink.first_ids(200).await;
    assert_eq!(ids.len(), 200);
    nothing_is_left(&context, "KILL").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_consumer_that_was_removed_is_made_again_from_where_it_was() {
    let context = stream(&server().url(), "GONE").await;
    let world = world();
    let jet_stream = json!({"stream": "GONE", "consumer": "mine"});
    source(&world, &server().url(), "gone.>", &json!({"jetStream": jet_stream}));
    says(&world, true, "consumer `mine`").await;
    for n in 0..20 {
        context.publish("gone.a", n.to_string().into()).await.unwrap().await.unwrap();
    }
    world.sink.first_ids(20).await;
    nothing_is_left(&context, "GONE").await;
    let stream = context.get_stream("GONE").await.unwrap();
    stream.delete_consumer("mine").await.unwrap();
    for n in 20..40 {
        context.publish("gone.a", n.to_string().into()).await.unwrap().await.unwrap();
    }
    world.sink.first_ids(40).await;
    nothing_is_left(&context, "GONE").await;
    let made_again = stream.consumer_info("mine").await.unwrap();
    assert_eq!(made_again.delivered.consumer_sequence, 20, "only what was new");
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_are_let_in_by_password_token_and_nkey_and_a_changed_secret_is_taken_up() {
    let pair = nkeys::KeyPair::new_user();
    let users = format!(
        r#"authorization {{ users = [
            {{ user: one, password: "p-1" }}
            {{ user: two, password: "p-2" }}
            {{ nkey: {} }}
        ] }}"#,
        pair.public_key()
    );
    let users = Server::with(NatsConfig::default().also(&users)).unwrap();
    let token = r#"authorization { token: "t-1" }"#;
    let token = Server::with(NatsConfig::default().also(token)).unwrap();
    let of = |key: &str| json!({"name": "nats", "key": key});
    let basic = json!({"basic": {"username": of("user"), "password": of("password")}});
    let world = world();
    for (key, value) in [("user", "one"), ("password", "wrong"), ("token", "t-1\n")] {
        world.secrets.set(&format!("ci/nats/{key}"), value);
    }
    world.secrets.set("ci/nats/seed", &pair.seed().unwrap());
    source(&world, &users.url(), "a", &json!({"auth": basic}));
    says(&world, false, "does not let Tripline in").await;
    world.secrets.set("ci/nats/password", "p-1");
    says(&world, true, "takes messages").await;
    world.secrets.set("ci/nats/user", "two");
    world.secrets.set("ci/nats/password", "p-2");
    let is_two = || {
        users.monitor("/connz?auth=true").unwrap().text().contains(r#""authorized_user": "two""#)
    };
    crate::testing::eventually(is_two).await;
    source(&world, &users.url(), "a", &json!({"auth": {"nkey": of("seed")}}));
    says(&world, true, "takes messages").await;
    source(&world, &token.url(), "b", &json!({"auth": {"token": of("token")}}));
    says(&world, true, "of `b`").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_is_trusted_by_its_authority_and_shown_the_client_s_certificate() {
    let authority = Authority::new("nats").unwrap();
    let server = Server::with(NatsConfig::default().tls(&authority, true).unwrap()).unwrap();
    let mine = authority.client("tripline", None).unwrap();
    let world = world();
    let of = |key: &str| json!({"name": "tls", "key": key});
    world.secrets.set("ci/tls/ca", &Authority::new("other").unwrap().certificate());
    world.secrets.set("ci/tls/cert", &mine.certificate);
    world.secrets.set("ci/tls/key", &mine.key);
    let mut tls = json!({"clientCertSecret": of("cert"), "clientKeySecret": of("key")});
    tls["caCertSecret"] = of("ca");
    source(&world, &server.url(), "a", &json!({"tls": tls}));
    says(&world, false, "cannot be reached").await;
    world.secrets.set("ci/tls/ca", &authority.certificate());
    says(&world, true, "takes messages").await;
    tls.as_object_mut().unwrap().remove("caCertSecret");
    tls["insecureSkipVerify"] = json!(true);
    source(&world, &server.url(), "b", &json!({"tls": tls}));
    says(&world, true, "of `b`").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_user_without_the_right_is_told_so() {
    let users = r#"authorization { users = [
        { user: one, password: "p", permissions: { subscribe: ["open", "_INBOX.>"] } }
    ] }"#;
    let server = Server::with(NatsConfig::default().also(users)).unwrap();
    let of = |key: &str| json!({"name": "nats", "key": key});
    let auth = json!({"basic": {"username": of("user"), "password": of("password")}});
    let world = world();
    world.secrets.set("ci/nats/user", "one");
    world.secrets.set("ci/nats/password", "p");
    source(&world, &server.url(), "closed", &json!({"auth": auth}));
    says(&world, false, "does not allow it").await;
    source(&world, &server.url(), "open", &json!({"auth": auth}));
    says(&world, true, "of `open`").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_missing_is_said_and_taken_up_when_it_is_there() {
    let world = world();
    source(&world, &server().url(), "later.>", &json!({"jetStream": {"stream": "LATER"}}));
    says(&world, false, "stream `LATER` does not exist").await;
    let context = stream(&server().url(), "LATER").await;
    context.publish("later.a", "1".into()).await.unwrap().await.unwrap();
    timeout(SOON, world.sink.first_ids(1)).await.unwrap();
    nothing_is_left(&context, "LATER").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn doctor_asks_and_takes_nothing() {
    let context = stream(&server().url(), "ASKED").await;
    context.publish("asked.a", "1".into()).await.unwrap().await.unwrap();
    let secrets: Arc<dyn SecretLookup> = Arc::new(TestSecrets::default());
    let probe = async |config: serde_json::Value| {
        let spec = json!({"nats": {"e": config}});
        let definition = match crate::events_in(
            tripline_config::Dialect::Tripline,
            &tripline_event::ObjectName::new("ci", "builds"),
            &spec,
        ) {
            (mut events, problems) if problems.is_empty() => events.remove(0),
            (_, problems) => panic!("{problems:?}"),
        };
        definition.probe(&secrets, None).await.expect("it has an upstream")
    };
    let url = server().url();
    let said = probe(json!({"url": url, "subject": "a"})).await.unwrap();
    assert!(said.contains("`a` can be subscribed to"), "{said}");
    let jet = json!({"url": url, "subject": "asked.>", "jetStream": {"stream": "ASKED"}});
    let said = probe(jet).await.unwrap();
    assert!(said.contains("the consumer will be made"), "{said}");
    let consumers = context.get_stream("ASKED").await.unwrap().cached_info().state.consumer_count;
    assert_eq!(consumers, 0, "nothing is made");
    let said = probe(json!({"url": "nats://127.0.0.1:1", "subject": "a"})).await.unwrap_err();
    assert!(said.contains("cannot be reached"), "{said}");
    let missing = json!({"url": url, "subject": "x", "jetStream": {"stream": "NONE"}});
    assert!(probe(missing).await.unwrap_err().contains("does not exist"));
}
