//! Which chain a workflow's name belongs to.
//!
//! A workflow that Tripline submitted often publishes a message with its own name as the
//! correlation id. Such a message goes on with the chain that led to the workflow.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};

use sha2::{Digest, Sha256};
use tripline_event::event::Links;
use tripline_event::outcome::TargetResult;
use tripline_event::{ActionId, CorrelationId};

/// How many of the latest workflows are remembered. Each takes about 150 bytes.
pub const REMEMBERED: usize = 50_000;

/// The latest workflows that were submitted, by name.
#[derive(Debug, Default)]
pub struct Chains {
    inner: Mutex<Inner>,
}

/// Half of a SHA-256 of a workflow's namespace and name.
type NameHash = u128;

#[derive(Debug, Default)]
struct Inner {
    by_name: HashMap<NameHash, Link>,
    order: VecDeque<NameHash>,
    /// The path of the latest: most workflows come about in the same few ways.
    latest_path: Arc<[String]>,
}

#[derive(Clone, Debug)]
struct Link {
    action: Box<str>,
    root: Box<str>,
    hops: u16,
    path: Arc<[String]>,
}

fn hash(namespace: &str, name: &str) -> NameHash {
    let mut sha = Sha256::new();
    sha.update((namespace.len() as u64).to_be_bytes());
    sha.update(namespace.as_bytes());
    sha.update(name.as_bytes());
    let mut half = [0; 16];
    half.copy_from_slice(&sha.finalize()[..16]);
    u128::from_be_bytes(half)
}

/// The action that submitted a workflow.
#[derive(Clone, Debug)]
pub struct Submitter {
    /// Its id.
    pub action: ActionId,
    /// The correlation id at the root of its chain.
    pub root: CorrelationId,
    /// The hops of its chain.
    pub hops: u16,
    /// The triggers of its chain, its own the last.
    pub path: Vec<String>,
}

impl Chains {
    /// An action led to this result.
    pub fn learn(&self, result: &TargetResult, submitter: Submitter) {
        let TargetResult::Workflow { namespace, name, .. } = result else { return };
        let Submitter { action, root, hops, path } = submitter;
        let hash = hash(namespace, name);
        let mut inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        if *inner.latest_path != *path {
            inner.latest_path = path.into();
        }
        let path = Arc::clone(&inner.latest_path);
        let link = Link { action: action.0.into(), root: root.0.into(), hops, path };
        if inner.by_name.insert(hash, link).is_none() {
            inner.order.push_back(hash);
        }
        if inner.order.len() > REMEMBERED
            && let Some(oldest) = inner.order.pop_front()
        {
            inner.by_name.remove(&oldest);
        }
    }

    /// Where the correlation id is the name of a workflow of the same namespace, the
    /// event goes on with its chain. The correlation id itself stays as it was sent.
    pub fn resolve(&self, namespace: &str, links: &mut Links) {
        let hash = hash(namespace, links.correlation.as_str());
        let inner = self.inner.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(link) = inner.by_name.get(&hash) else { return };
        if *link.root != *links.correlation.as_str() {
            links.chain = Some(CorrelationId(link.root.to_string()));
        }
        links.hops = links.hops.max(link.hops);
        if links.path.is_empty() {
            links.path = link.path.to_vec();
        }
        links.causation.get_or_insert_with(|| link.action.to_string());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn workflow(name: &str) -> TargetResult {
        TargetResult::Workflow {
            target: "local".into(),
            namespace: "ci".into(),
            name: name.into(),
            already: false,
        }
    }

    fn submitter(action: &str, root: &str) -> Submitter {
        Submitter {
            action: ActionId(action.into()),
            root: CorrelationId(root.into()),
            hops: 1,
            path: vec!["ci/deploy/submit".into()],
        }
    }

    fn resolved(chains: &Chains, namespace: &str, correlation: &str) -> Links {
        let mut links = Links::first(CorrelationId(correlation.into()));
        chains.resolve(namespace, &mut links);
        links
    }

    #[test]
    fn the_name_of_a_workflow_goes_on_with_its_chain() {
        let chains = Chains::default();
        chains.learn(&workflow("deploy-x"), submitter("a1", "build-7"));
        let links = resolved(&chains, "ci", "deploy-x");
        assert_eq!(links.correlation.as_str(), "deploy-x");
        assert_eq!(links.root().as_str(), "build-7");
        assert_eq!((links.hops, links.causation.as_deref()), (1, Some("a1")));
        assert_eq!(links.path, ["ci/deploy/submit"]);
    }

    #[test]
    fn another_name_or_namespace_begins_a_chain_of_its_own() {
        let chains = Chains::default();
        chains.learn(&workflow("deploy-x"), submitter("a1", "build-7"));
        for (namespace, name) in [("prod", "deploy-x"), ("ci", "deploy-y")] {
            assert_eq!(
                resolved(&chains, namespace, name),
                Links::first(CorrelationId(name.into()))
            );
        }
    }

    #[test]
    fn only_the_latest_are_remembered() {
        let chains = Chains::default();
        for number in 0..=REMEMBERED {
            let name = format!("w-{number}");
            chains.learn(&workflow(&name), submitter("a", "c"));
        }
        assert!(resolved(&chains, "ci", "w-0").chain.is_none());
        assert!(resolved(&chains, "ci", "w-1").chain.is_some());
        assert_eq!(chains.inner.lock().unwrap().by_name.len(), REMEMBERED);
    }
}
