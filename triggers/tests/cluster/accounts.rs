//! Tokens of service accounts, by the real API server.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};
use tripline_testbed::Subject;
use tripline_triggers::Accounts as _;
use tripline_triggers::cluster::accounts::ClusterAccounts;

use crate::world::{World, tripline};

#[tokio::test]
async fn a_token_is_of_the_account_for_its_audience_and_for_nobody_without_the_right() {
    let world = World::bare("identity", json!({}));
    world.kube.service_account("identity", "builds").unwrap();
    let accounts = ClusterAccounts::new(std::sync::Arc::clone(&world.clusters), "prod");
    let denied = accounts.token("identity", "builds", "sts.amazonaws.com").await.unwrap_err();
    assert!(denied.contains("grant Tripline `create` of `serviceaccounts/token`"), "{denied}");
    let denied = accounts.annotations("identity", "builds").await.unwrap_err();
    assert!(denied.contains("grant Tripline `get` of `serviceaccounts`"), "{denied}");

    let rules = json!([
        {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"]},
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"]},
    ]);
    let user = tripline("identity");
    world.kube.grant("identity", Subject::User(&user), &rules).unwrap();
    let token = accounts.token("identity", "builds", "sts.amazonaws.com").await.unwrap();
    let claims = claims(&token.text);
    assert_eq!(claims["aud"], json!(["sts.amazonaws.com"]));
    assert_eq!(claims["sub"], "system:serviceaccount:identity:builds");
    assert!(!format!("{token:?}").contains(&token.text));
    assert_eq!(accounts.annotations("identity", "builds").await.unwrap().len(), 0);

    let absent = accounts.annotations("identity", "absent").await.unwrap_err();
    assert!(absent.contains("correct `template.serviceAccountName`"), "{absent}");
    let nowhere = ClusterAccounts::new(std::sync::Arc::clone(&world.clusters), "nowhere");
    let nowhere = nowhere.annotations("identity", "builds").await.unwrap_err();
    assert!(nowhere.contains("no Cluster `nowhere`"), "{nowhere}");
}

/// What a token says, whoever has signed it.
pub fn claims(token: &str) -> Value {
    let payload = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
}
