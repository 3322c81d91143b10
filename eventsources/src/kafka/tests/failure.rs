//! A topic that is not there, a broker that ends, a user that is not right.

use std::time::Duration;

use serde_json::{Value, json};
use tripline_testbed::{KAFKA_PASSWORD, KAFKA_USER, Kafka, Toxiproxy};

use super::broker::{Topic, kafka, oldest, says, source, taken, world};
use crate::testing::definitions;

#[tokio::test(flavor = "multi_thread")]
async fn a_topic_that_is_not_there_is_told_and_taken_up_when_it_is() {
    let world = world();
    source(&world, &kafka().brokers(), "absent", oldest("absent"));
    says(&world, false, "topic `absent`, or its partition, does not exist: check `topic`").await;
    let topic = Topic::new("absent", 1).await;
    topic.send("x").await;
    taken(&world, 1).await;
    says(&world, true, "takes messages from topic `absent`").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_was_killed_or_cut_off_is_found_again() {
    let toxiproxy = Toxiproxy::start().unwrap();
    let (mut broker, proxy) = Kafka::start_behind(&toxiproxy).unwrap();
    let topic = Topic::on(&broker.brokers(), "killed", 1).await;
    let world = world();
    source(&world, &proxy.address().to_string(), "killed", oldest("killed"));
    topic.send("1").await;
    taken(&world, 1).await;
    broker.kill().unwrap();
    says(&world, false, "no broker of `url` can be reached").await;
    broker.restart().unwrap();
    topic.send("2").await;
    taken(&world, 2).await;
    says(&world, true, "takes messages").await;

    proxy.cut().unwrap();
    says(&world, false, "no broker of `url` can be reached").await;
    topic.send("3").await;
    proxy.restore().unwrap();
    taken(&world, 3).await;
    says(&world, true, "takes messages").await;

    proxy.delay(Duration::from_millis(300)).unwrap();
    topic.send("4").await;
    taken(&world, 4).await;
    assert_eq!(world.sink.ids().len(), 4);
    world.shutdown().await;
}

fn sasl() -> Value {
    let mut fields = oldest("sasl");
    fields["sasl"] = json!({
        "mechanism": "PLAIN",
        "userSecret": {"name": "kafka", "key": "user"},
        "passwordSecret": {"name": "kafka", "key": "password"},
    });
    fields
}

#[tokio::test(flavor = "multi_thread")]
async fn a_password_that_is_wrong_is_told_and_one_that_changes_is_taken_up() {
    let topic = Topic::new("sasl", 1).await;
    topic.send("x").await;
    let world = world();
    source(&world, &kafka().sasl_brokers(), "sasl", sasl());
    says(&world, false, "`sasl.userSecret`: no secret ci/kafka/user").await;
    world.secrets.set("ci/kafka/user", KAFKA_USER);
    world.secrets.set("ci/kafka/password", "hidden");
    says(&world, false, "the broker refuses user and password").await;
    assert!(!format!("{:?}", world.sources.status()).contains("hidden"));
    world.secrets.set("ci/kafka/password", &format!("{KAFKA_PASSWORD}\n"));
    taken(&world, 1).await;
    says(&world, true, "takes messages from topic `sasl`").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_what_is_there_or_what_to_do_and_takes_nothing() {
    let topic = Topic::new("probe", 2).await;
    topic.send("x").await;
    let world = world();
    let answer = async |url: &str, topic: &str, fields: Value| {
        let mut config = json!({"url": url, "topic": topic});
        config.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
        let definition = definitions(&[("builds", json!({"kafka": {"e": config}}))]).remove(0);
        let secrets: std::sync::Arc<dyn crate::SecretLookup> = world.secrets.clone();
        definition.probe(&secrets, None).await.expect("it has an upstream")
    };
    let url = kafka().brokers();
    assert_eq!(
        answer(&url, "probe", oldest("probe")).await,
        Ok("topic `probe` is there with 2 partitions, group `probe` has read nothing yet".into())
    );
    assert_eq!(
        answer(&url, "probe", json!({"partition": "0"})).await,
        Ok("partition 0 of topic `probe` is there with 1 messages".into())
    );
    topic.source(&world, oldest("probe"));
    taken(&world, 1).await;
    topic.is_committed("probe", &[Some(1), None]).await;
    world.shutdown().await;
    topic.send("y").await;
    assert_eq!(
        answer(&url, "probe", oldest("probe")).await,
        Ok("topic `probe` is there with 2 partitions, about 1 messages wait for group `probe`"
            .into())
    );
    for (url, topic, fields, expected) in [
        (url.as_str(), "nowhere", oldest("probe"), "does not exist"),
        (&url, "probe", json!({"partition": "7"}), "does not exist"),
        ("127.0.0.1:9", "probe", oldest("probe"), "127.0.0.1:9 cannot be used"),
        (&kafka().sasl_brokers(), "probe", sasl(), "no secret ci/kafka/user"),
    ] {
        let wrong = answer(url, topic, fields).await.unwrap_err();
        assert!(wrong.contains(expected), "{wrong}");
    }
}
