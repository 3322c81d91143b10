//! What is allowed, and what is to be granted.

use serde_json::json;
use tripline_event::ObjectName;
use tripline_triggers::cluster::review::{Allowed, Review, Wanted};

use crate::world::World;

async fn review(world: &World) -> Review {
    let wanted = Wanted {
        sensor: ObjectName::new(&world.namespace, "deploy"),
        service_account: None,
        namespaces: vec![world.namespace.clone()],
        changes: true,
        removes: true,
    };
    world.clusters.get("prod").unwrap().review(&wanted).await.unwrap()
}

fn answers(review: &Review) -> Vec<(String, bool)> {
    let rights = review.rights.iter();
    rights.map(|right| (right.rule.verbs.join(" "), right.answer == Allowed::Yes)).collect()
}

#[tokio::test]
async fn a_review_says_which_rights_are_missing_and_what_grants_them() {
    let world = World::bare("review", json!({}));
    let nothing = review(&world).await;
    let verbs = ["impersonate", "create", "get", "update", "delete", "list", "watch"];
    let all = |allowed: bool| verbs.map(|verb| (verb.to_owned(), allowed)).to_vec();
    assert_eq!(answers(&nothing), all(false));
    assert!(!nothing.is_enough());

    // What it says is missing is what is needed: applied as it is, nothing is missing.
    for document in nothing.missing.split("---\n").filter(|text| !text.is_empty()) {
        let kind = if document.contains("kind: \"Role\"") { "roles" } else { "rolebindings" };
        let path = format!("/apis/rbac.authorization.k8s.io/v1/namespaces/review/{kind}");
        world.apply(&path, document);
    }
    let deadline = tokio::time::Instant::now() + crate::world::SOON;
    loop {
        let everything = review(&world).await;
        if answers(&everything) == all(true) {
            assert!(everything.is_enough() && everything.missing.is_empty());
            break;
        }
        assert!(tokio::time::Instant::now() < deadline, "{everything:#?}");
    }
    world.submit(&world.rendered("e1", json!({"name": "x"}))).await.unwrap();
}

#[tokio::test]
async fn a_cluster_that_cannot_be_reached_says_why() {
    let world = World::bare("unreached", json!({"context": "elsewhere"}));
    let cluster = world.clusters.get("prod").unwrap();
    let error = cluster.reach().await.unwrap_err();
    assert!(error.contains("no context `elsewhere`"), "{error}");
    world.define(json!({}));
    let version = world.clusters.get("prod").unwrap().reach().await.unwrap();
    assert!(version.starts_with("v1."), "{version}");
}
