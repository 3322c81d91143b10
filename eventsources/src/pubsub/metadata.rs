//! The metadata server of Google Cloud, asked for the project of the machine.

use std::time::Duration;

use bytes::Bytes;
use http::{Request, Uri};
use http_body_util::{BodyExt as _, Empty, Limited};
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use tokio::time::timeout;

/// How long it may take: on a machine elsewhere nobody answers.
const PATIENCE: Duration = Duration::from_secs(3);
/// More is no project's name.
const MAX_ANSWER_BYTES: usize = 1024;

/// The id of the project that this machine belongs to.
///
/// # Errors
/// What to do: this is no machine of Google Cloud, most likely.
pub async fn project() -> Result<String, String> {
    let host = std::env::var("GCE_METADATA_HOST").ok().filter(|host| !host.is_empty());
    let host = host.as_deref().unwrap_or("metadata.google.internal");
    let advice = "`projectID` is not given, and no metadata server of Google Cloud names one";
    match timeout(PATIENCE, ask(host)).await {
        Ok(Ok(project)) => Ok(project),
        Ok(Err(error)) => Err(format!("{advice} ({host}: {error}): add `projectID`")),
        Err(_) => Err(format!("{advice} ({host} did not answer): add `projectID`")),
    }
}

async fn ask(host: &str) -> Result<String, String> {
    let uri = format!("http://{host}/computeMetadata/v1/project/project-id");
    let uri: Uri = uri.parse().map_err(|_| format!("{host:?} is no host"))?;
    let request = Request::get(uri)
        .header("Metadata-Flavor", "Google")
        .body(Empty::<Bytes>::new())
        .map_err(|error| error.to_string())?;
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let answer = client.request(request).await.map_err(|_| "cannot be reached".to_owned())?;
    if !answer.status().is_success() {
        return Err(format!("answered {}", answer.status()));
    }
    let body = Limited::new(answer.into_body(), MAX_ANSWER_BYTES).collect().await;
    let body = body.map_err(|error| error.to_string())?.to_bytes();
    let project = String::from_utf8_lossy(&body).trim().to_owned();
    if project.is_empty() { Err("answered nothing".to_owned()) } else { Ok(project) }
}
