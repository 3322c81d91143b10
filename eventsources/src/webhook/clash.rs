//! Webhooks that cannot be told apart.

use std::sync::Arc;

use super::ports::tls_conflict;
use super::table::Route;

/// The pairs of routes that cannot both be served on their port, and why.
pub fn clashes(routes: &[Arc<Route>]) -> Vec<(Arc<Route>, Arc<Route>, String)> {
    let mut sorted: Vec<&Arc<Route>> = routes.iter().collect();
    sorted.sort_by(|a, b| (a.webhook.port, &a.key).cmp(&(b.webhook.port, &b.key)));
    let mut found = Vec::new();
    for of_port in sorted.chunk_by(|a, b| a.webhook.port == b.webhook.port) {
        let clash = |a: &Arc<Route>, b: &Arc<Route>, why| (Arc::clone(a), Arc::clone(b), why);
        if let Some((first, rest)) = of_port.split_first() {
            found.extend(rest.iter().filter_map(|route| {
                let why = tls_conflict(first, route)?;
                Some(clash(first, route, format!("port {}: {why}", route.webhook.port)))
            }));
        }
        // Of different event sources one is named by the host or the prefix of a request.
        let mut by_path = of_port.to_vec();
        by_path.sort_by(|a, b| path(a).cmp(&path(b)));
        for same in by_path.chunk_by(|a, b| path(a) == path(b)) {
            let [first, rest @ ..] = same else { continue };
            let webhook = &first.webhook;
            let (method, endpoint, port) =
                (&webhook.method, webhook.endpoint.as_str(), webhook.port);
            let why = format!("both answer {method} {endpoint} on port {port}");
            found.extend(rest.iter().map(|route| clash(first, route, why.clone())));
        }
    }
    found
}

fn path(route: &Route) -> (&str, &str, &str, &str) {
    let (key, webhook) = (&route.key, &route.webhook);
    (&key.namespace, &key.source, webhook.method.as_str(), webhook.endpoint.normal())
}
