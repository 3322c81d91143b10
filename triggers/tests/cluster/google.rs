//! Who a service account of a real cluster is to Google, whose side is a server on loopback:
//! there is none of Google's own to be had.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use google_cloud_auth::credentials::CacheableResource;
use serde_json::json;
use tripline_cloud::google::{Identity, chain};
use tripline_cloud::{Caller, Lookup, ServiceAccount};
use tripline_testbed::Subject;
use tripline_triggers::cluster::accounts::ClusterAccounts;

use crate::accounts::claims;
use crate::world::{World, tripline};

/// What Google's side was asked.
#[derive(Clone, Default)]
struct Google {
    exchanged: Arc<Mutex<Vec<BTreeMap<String, String>>>>,
    /// Nobody may act as anybody.
    denies: Arc<Mutex<bool>>,
}

const POOL: &str =
    "//iam.googleapis.com/projects/1/locations/global/workloadIdentityPools/p/providers/prod";

async fn exchange(State(google): State<Google>, body: String) -> (StatusCode, String) {
    let form = reqwest::Url::parse(&format!("http://x/?{body}")).unwrap();
    let form: BTreeMap<String, String> = form.query_pairs().into_owned().collect();
    let known = form["audience"] == POOL;
    google.exchanged.lock().unwrap().push(form);
    if !known {
        let error = json!({"error": "invalid_target", "error_description": "no such pool"});
        return (StatusCode::BAD_REQUEST, error.to_string());
    }
    let token = json!({"access_token": "federated", "token_type": "Bearer", "expires_in": 3600});
    (StatusCode::OK, token.to_string())
}

async fn impersonate(
    State(google): State<Google>,
    Path(account): Path<String>,
    headers: HeaderMap,
) -> (StatusCode, String) {
    if *google.denies.lock().unwrap() || headers["authorization"] != "Bearer federated" {
        let error = json!({"error": {"code": 403, "message": "not granted"}});
        return (StatusCode::FORBIDDEN, error.to_string());
    }
    let token = format!("of {account}");
    (
        StatusCode::OK,
        json!({"accessToken": token, "expireTime": "2099-01-01T00:00:00Z"}).to_string(),
    )
}

/// Google's side, and where it is.
async fn google() -> (Google, String) {
    let google = Google::default();
    let app = Router::new()
        .route("/token", post(exchange))
        .route("/v1/projects/-/serviceAccounts/{account}", post(impersonate))
        .with_state(google.clone());
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, app).await.unwrap() });
    (google, url)
}

/// The header by which it proves who it is, or why there is none.
async fn authorization(identity: &Identity) -> Result<String, String> {
    match identity.credentials.headers(http::Extensions::new()).await {
        Ok(CacheableResource::New { data, .. }) => {
            assert!(data["authorization"].is_sensitive());
            Ok(data["authorization"].to_str().unwrap().to_owned())
        }
        Ok(CacheableResource::NotModified) => Err("nothing new".to_owned()),
        Err(error) => Err(chain(&error)),
    }
}

#[tokio::test]
async fn an_account_is_to_google_what_its_annotation_says_or_itself() {
    let (google, url) = google().await;
    let identity =
        json!({"audience": POOL, "tokenUrl": format!("{url}/token"), "impersonationUrl": url});
    let world = World::bare("workload-identity", json!({"googleIdentity": identity}));
    let namespace = &world.namespace;
    let annotation =
        json!({"iam.gke.io/gcp-service-account": "builds@shop.iam.gserviceaccount.com"});
    for (name, annotations) in [("builds", annotation), ("itself", json!({}))] {
        let account = json!({"metadata": {"name": name, "annotations": annotations}});
        world
            .kube
            .create(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), &account)
            .unwrap();
    }
    let rules = json!([
        {"apiGroups": [""], "resources": ["serviceaccounts"], "verbs": ["get"], "resourceNames": ["builds", "itself"]},
        {"apiGroups": [""], "resources": ["serviceaccounts/token"], "verbs": ["create"], "resourceNames": ["builds", "itself"]},
    ]);
    world.kube.grant(namespace, Subject::User(&tripline(namespace)), &rules).unwrap();
    let accounts = Arc::new(ClusterAccounts::new(Arc::clone(&world.clusters), "prod"));
    let caller = |name: &str| {
        let secrets: Lookup = Arc::new(|_| Err("there are no secrets".to_owned()));
        Caller::new(secrets).acting_as(Some(ServiceAccount {
            namespace: namespace.clone(),
            name: name.to_owned(),
            accounts: Arc::clone(&accounts) as _,
        }))
    };

    let builds = Identity::of_caller(&caller("builds")).await.unwrap();
    assert_eq!(builds.account.as_deref(), Some("builds@shop.iam.gserviceaccount.com"));
    *google.denies.lock().unwrap() = true;
    let denied = authorization(&builds).await.unwrap_err();
    assert!(denied.contains("may not act as builds@shop.iam.gserviceaccount.com"), "{denied}");
    assert!(
        denied.contains("roles/iam.workloadIdentityUser") && denied.contains("not granted"),
        "{denied}"
    );
    // The right is granted: the same credentials work.
    *google.denies.lock().unwrap() = false;
    let granted = "Bearer of builds@shop.iam.gserviceaccount.com:generateAccessToken";
    for _ in 0..2 {
        assert_eq!(authorization(&builds).await.as_deref(), Ok(granted));
    }
    let exchanged = google.exchanged.lock().unwrap().clone();
    assert_eq!(exchanged.len(), 2, "once for each that was denied and granted, and kept then");
    assert_eq!(exchanged[0]["subject_token_type"], "urn:ietf:params:oauth:token-type:jwt");
    let shown = claims(&exchanged[0]["subject_token"]);
    assert_eq!(shown["sub"], format!("system:serviceaccount:{namespace}:builds"));
    assert_eq!(shown["aud"], json!([format!("https:{POOL}")]));
    assert!(!format!("{:?}", builds.credentials).contains("Bearer"));

    let itself = Identity::of_caller(&caller("itself")).await.unwrap();
    assert_eq!(itself.account, Some(format!("service account {namespace}/itself")));
    assert_eq!(authorization(&itself).await.as_deref(), Ok("Bearer federated"));

    let elsewhere =
        json!({"audience": "//iam.googleapis.com/other", "tokenUrl": format!("{url}/token")});
    world.define(json!({"googleIdentity": elsewhere}));
    let elsewhere = Identity::of_caller(&caller("itself")).await.unwrap();
    let refused = authorization(&elsewhere).await.unwrap_err();
    assert!(
        refused.contains("does not believe a token of") && refused.contains("no such pool"),
        "{refused}"
    );

    // Nothing is said of the cluster, and it is none of GKE.
    world.define(json!({}));
    let unknown = Identity::of_caller(&caller("builds")).await.err().unwrap();
    assert!(
        unknown.contains("none of GKE") && unknown.contains("googleIdentity.audience"),
        "{unknown}"
    );
}
