//! All objects of a kind in a namespace, to be looked at. Nothing is changed.

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::Value;

use super::Cluster;
use super::call::Call;

/// How many objects are asked for at once.
const PAGE: usize = 200;
/// The most objects of one kind.
const MAX_OBJECTS: usize = 100_000;

#[derive(Default, Deserialize)]
#[serde(default)]
struct List {
    metadata: Metadata,
    items: Vec<Value>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Metadata {
    r#continue: String,
}

impl Cluster {
    /// The objects `plural` of `api_version` in a namespace; none where the cluster does not
    /// know the kind.
    ///
    /// # Errors
    /// The cluster cannot be reached, or does not allow it; there are more than 100,000.
    pub async fn objects(
        &self,
        api_version: &str,
        plural: &str,
        namespace: &str,
    ) -> Result<Vec<Value>, String> {
        self.reach().await?;
        let namespace = utf8_percent_encode(namespace, NON_ALPHANUMERIC);
        let path = format!("/apis/{api_version}/namespaces/{namespace}/{plural}?limit={PAGE}");
        let (mut all, mut next) = (Vec::new(), String::new());
        loop {
            let token = utf8_percent_encode(&next, NON_ALPHANUMERIC);
            let path = match next.is_empty() {
                true => path.clone(),
                false => format!("{path}&continue={token}"),
            };
            let answer = self.call(&Call::get(path)).await;
            let list = match answer.and_then(|answer| answer.read::<List>()) {
                Err(failure) if failure.code() == Some(404) => return Ok(all),
                answer => answer.map_err(|failure| failure.to_string())?,
            };
            all.extend(list.items);
            if all.len() > MAX_OBJECTS {
                return Err(format!("there are more than {MAX_OBJECTS}"));
            }
            next = list.metadata.r#continue;
            if next.is_empty() {
                return Ok(all);
            }
        }
    }
}
