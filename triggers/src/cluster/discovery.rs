//! Which kinds of objects a cluster has: asked once, and again for a kind that is not known.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::Deserialize;
use tokio::sync::Mutex;
use tokio::time::Instant;

use super::call::{Call, Failure};
use super::link::Link;
use super::resource::Resource;

/// For how long an answer is good.
const GOOD_FOR: Duration = Duration::from_secs(600);
/// How often it is asked again for a kind that was not there.
const ASK_AGAIN: Duration = Duration::from_secs(10);
/// The most group versions that are remembered.
const REMEMBERED: usize = 256;

/// What was asked of one cluster.
#[derive(Default)]
pub(super) struct Discovery {
    known: Mutex<BTreeMap<String, Known>>,
}

struct Known {
    at: Instant,
    resources: Vec<Resource>,
}

/// Why there is no such kind.
pub(crate) enum NoKind {
    /// The cluster could not be asked.
    Unasked(Failure),
    /// There is none, but these of the same `apiVersion`; none where there is no such
    /// `apiVersion`.
    Unknown(Vec<String>),
}

#[derive(Deserialize)]
struct ResourceList {
    resources: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    name: String,
    kind: String,
    namespaced: bool,
}

impl Discovery {
    /// The kind `kind` of `api_version`.
    pub(super) async fn resource(
        &self,
        link: &Link,
        api_version: &str,
        kind: &str,
    ) -> Result<Resource, NoKind> {
        let mut known = self.known.lock().await;
        let find = |known: &Known| known.resources.iter().find(|of| of.kind == kind).cloned();
        if let Some(of) = known.get(api_version) {
            let good_for = if find(of).is_some() { GOOD_FOR } else { ASK_AGAIN };
            if of.at.elapsed() < good_for {
                return find(of).ok_or_else(|| NoKind::Unknown(kinds(of)));
            }
        }
        let resources = ask(link, api_version).await.map_err(NoKind::Unasked)?;
        if known.len() >= REMEMBERED {
            known.clear();
        }
        let of = Known { at: Instant::now(), resources };
        let found = find(&of).ok_or_else(|| NoKind::Unknown(kinds(&of)));
        known.insert(api_version.to_owned(), of);
        found
    }
}

fn kinds(known: &Known) -> Vec<String> {
    known.resources.iter().map(|resource| resource.kind.clone()).collect()
}

async fn ask(link: &Link, api_version: &str) -> Result<Vec<Resource>, Failure> {
    let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
    let any = Resource {
        group: group.to_owned(),
        version: version.to_owned(),
        plural: String::new(),
        kind: String::new(),
        namespaced: false,
    };
    let answer = match link.call(&Call::get(any.path(None).trim_end_matches('/'))).await {
        Err(failure) if failure.code() == Some(404) => return Ok(Vec::new()),
        answer => answer?,
    };
    let list: ResourceList = answer.read()?;
    // Those with a `/` are parts of others: `pods/log`.
    let whole = list.resources.into_iter().filter(|listed| !listed.name.contains('/'));
    Ok(whole
        .map(|listed| Resource {
            plural: listed.name,
            kind: listed.kind,
            namespaced: listed.namespaced,
            ..any.clone()
        })
        .collect())
}
