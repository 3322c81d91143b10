//! A queue that is not there, a server that ends, credentials that are not right.

use serde_json::json;
use tripline_testbed::Moto;

use super::server::{TestQueue, endpoints, moto, says, source, taken, world};
use crate::sqs::limits::HIDDEN;
use crate::testing::definitions;

#[tokio::test(flavor = "multi_thread")]
async fn a_queue_that_is_not_there_is_told_and_taken_up_when_it_is() {
    for endpoint in endpoints() {
        let world = world();
        source(&world, &endpoint, "absent", json!({}), HIDDEN);
        says(&world, false, "queue `absent` at http://127.0.0.1:").await;
        says(&world, false, "does not exist: check `queue`, `region`").await;
        let queue = TestQueue::new(&endpoint, "absent").await;
        queue.send("x").await;
        taken(&world, 1).await;
        says(&world, true, "polls queue `absent`").await;
        world.shutdown().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_was_killed_is_found_again() {
    let mut server = Moto::start().unwrap();
    let world = world();
    let queue = TestQueue::new(&server.endpoint(), "killed").await;
    queue.source(&world, json!({}), HIDDEN);
    queue.send("1").await;
    taken(&world, 1).await;
    server.kill().unwrap();
    says(&world, false, "cannot be reached").await;
    server.restart().unwrap();
    let queue = TestQueue::new(&server.endpoint(), "killed").await;
    queue.send("2").await;
    taken(&world, 2).await;
    says(&world, true, "polls").await;
    queue.holds((0, 0)).await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delete_that_fails_is_repeated() {
    let mut server = Moto::start().unwrap();
    let world = world();
    let queue = TestQueue::new(&server.endpoint(), "delete").await;
    world.sink.open.send_replace(false);
    queue.source(&world, json!({}), HIDDEN);
    queue.send("1").await;
    world.sink.waiting.subscribe().wait_for(|waiting| *waiting == 1).await.unwrap();
    server.kill().unwrap();
    world.sink.open.send_replace(true);
    taken(&world, 1).await;
    says(&world, false, "cannot be deleted").await;
    server.restart().unwrap();
    let _again = TestQueue::new(&server.endpoint(), "delete").await;
    says(&world, true, "polls").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_secret_is_told_and_taken_up_and_no_secret_is_shown() {
    let queue = TestQueue::new(&moto(), "secrets").await;
    let world = world();
    let fields = json!({"accessKey": {"name": "other", "key": "access"}});
    queue.source(&world, fields, HIDDEN);
    says(&world, false, "no credentials: `accessKey`: no secret ci/other/access").await;
    world.secrets.set("ci/other/access", "AKIA\nhidden");
    says(&world, false, "key access of secret other is empty or no plain text").await;
    assert!(!format!("{:?}", world.sources.status()).contains("hidden"));
    world.secrets.set("ci/other/access", "AKIATESTBED\n");
    queue.send("x").await;
    taken(&world, 1).await;
    // Taken away again: the next request has none.
    world.secrets.set("ci/other/access", "");
    says(&world, false, "no credentials").await;
    world.secrets.set("ci/other/access", "AKIATESTBED");
    says(&world, true, "polls").await;
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_probe_says_what_is_there_or_what_to_do_and_takes_nothing() {
    let queue = TestQueue::new(&moto(), "probe").await;
    queue.send("x").await;
    let world = world();
    world.secrets.set("ci/aws/access", "a");
    world.secrets.set("ci/aws/secret", "s");
    let answer = async |name: &str, endpoint: &str| {
        let config = json!({
            "queue": name, "region": "us-east-1", "endpoint": endpoint,
            "accessKey": {"name": "aws", "key": "access"},
            "secretKey": {"name": "aws", "key": "secret"},
        });
        let definition = definitions(&[("builds", json!({"sqs": {"e": config}}))]).remove(0);
        let secrets: std::sync::Arc<dyn crate::SecretLookup> = world.secrets.clone();
        definition.probe(&secrets, None).await.expect("it has an upstream")
    };
    let endpoint = moto();
    let found = answer("probe", &endpoint).await;
    assert_eq!(found, Ok(format!("queue `probe` at {endpoint} is there, about 1 messages wait")));
    let missing = answer("nowhere", &endpoint).await.unwrap_err();
    assert!(missing.contains("does not exist"), "{missing}");
    let unreachable = answer("probe", "http://127.0.0.1:9").await.unwrap_err();
    assert!(unreachable.contains("cannot be reached"), "{unreachable}");
    assert_eq!(queue.counts().await, (1, 0));
    let received = queue.receive().await;
    let count = received[0].attributes.as_ref().and_then(|attributes| attributes.values().next());
    assert_eq!(count.map(String::as_str), Some("1"));
}
