//! Which event a request is for. One table for each port, replaced as a whole.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::sync::Arc;

use http::Method;
use tripline_config::FieldPath;
use tripline_event::EventKey;

use super::KIND;
use super::config::Webhook;
use super::receiver::Receiver;

/// One event's way in.
#[derive(Debug)]
pub struct Route {
    pub key: EventKey,
    pub webhook: Arc<Webhook>,
    /// The configured path of the correlation id.
    pub correlation_path: Option<String>,
    /// The service account that the event source names.
    #[cfg_attr(
        not(feature = "sns"),
        expect(dead_code, reason = "of what is posted only messages of SNS need their sender")
    )]
    pub service_account: Option<String>,
    /// What takes its requests, where it is of a kind that is built on webhooks.
    pub receiver: Option<Arc<dyn Receiver>>,
}

impl Route {
    /// The key of its kind.
    pub fn kind(&self) -> &'static str {
        self.receiver.as_ref().map_or(KIND, |receiver| receiver.kind())
    }

    /// Where the field `name` of its webhook is in its object.
    pub fn field(&self, name: &str) -> FieldPath {
        let event = FieldPath::root().key("spec").key(self.kind()).key(&self.key.name);
        match self.receiver {
            None => event.key(name),
            Some(_) => event.key(KIND).key(name),
        }
    }
}

/// What a table knows about a request.
#[derive(Debug)]
pub enum Found<'a> {
    Route(&'a Arc<Route>),
    /// The path is there, with another method.
    WrongMethod(&'a Arc<Route>),
    /// Several events have this path and method.
    Ambiguous(&'a [Arc<Route>]),
    Nothing,
}

/// The routes of a port.
#[derive(Debug, Default)]
pub struct Table {
    all: Paths,
    /// By event source and namespace, in this order, as in a service's host name.
    by_source: HashMap<String, HashMap<String, Paths>>,
}

impl Table {
    pub fn new(routes: impl IntoIterator<Item = Arc<Route>>) -> Self {
        let mut table = Self::default();
        for route in routes {
            let sources = table.by_source.entry(route.key.source.clone()).or_default();
            sources.entry(route.key.namespace.clone()).or_default().add(&route);
            table.all.add(&route);
        }
        table.all.sort();
        table.by_source.values_mut().flat_map(HashMap::values_mut).for_each(Paths::sort);
        table
    }

    /// The route for a request; `path` is percent-decoded, `host` as it came.
    ///
    /// A host name that is the service of an event source on this port leaves only this
    /// source's routes. The prefix `/<namespace>/<event source>` comes last, so that no
    /// endpoint can be hidden by the name of another event source.
    pub fn find(&self, host: Option<&str>, path: &str, method: &Method) -> Found<'_> {
        let at_host = host.and_then(service).and_then(|(source, namespace)| {
            let namespaces = self.by_source.get(source)?;
            match namespace {
                Some(namespace) => namespaces.get(namespace),
                None if namespaces.len() == 1 => namespaces.values().next(),
                None => None,
            }
        });
        match at_host.unwrap_or(&self.all).find(path, method) {
            Found::Nothing => self.below_prefix(path, method),
            found => found,
        }
    }

    fn below_prefix(&self, path: &str, method: &Method) -> Found<'_> {
        let mut parts = path.splitn(4, '/');
        let (Some(""), Some(namespace), Some(source), Some(_)) =
            (parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Found::Nothing;
        };
        let rest = &path[namespace.len() + source.len() + 2..];
        self.by_source
            .get(source)
            .and_then(|namespaces| namespaces.get(namespace))
            .map_or(Found::Nothing, |paths| paths.find(rest, method))
    }
}

/// The event source, and the namespace if it is there, of a host name as in a cluster:
/// `<event source>-eventsource-svc[.<namespace>[.svc[.cluster.local]]][:<port>]`.
fn service(host: &str) -> Option<(&str, Option<&str>)> {
    let host = host.split_once(':').map_or(host, |(host, _)| host);
    let host = host.strip_suffix('.').unwrap_or(host);
    let (first, rest) = host.split_once('.').map_or((host, None), |(a, b)| (a, Some(b)));
    let source = first.strip_suffix("-eventsource-svc")?;
    let Some(rest) = rest else { return Some((source, None)) };
    let (namespace, domain) = rest.split_once('.').map_or((rest, ""), |parts| parts);
    matches!(domain, "" | "svc" | "svc.cluster.local").then_some((source, Some(namespace)))
}

#[derive(Debug, Default)]
struct Paths {
    fixed: HashMap<String, Vec<Arc<Route>>>,
    /// Routes of the same pattern stand together, in the order in which they are tried.
    templates: Vec<Vec<Arc<Route>>>,
}

impl Paths {
    fn add(&mut self, route: &Arc<Route>) {
        let endpoint = &route.webhook.endpoint;
        if !endpoint.is_template() {
            self.fixed.entry(endpoint.as_str().to_owned()).or_default().push(Arc::clone(route));
            return;
        }
        let same = |routes: &&mut Vec<Arc<Route>>| {
            routes.iter().any(|other| other.webhook.endpoint.normal() == endpoint.normal())
        };
        match self.templates.iter_mut().find(same) {
            Some(routes) => routes.push(Arc::clone(route)),
            None => self.templates.push(vec![Arc::clone(route)]),
        }
    }

    /// Puts routes of the same path and method beside each other, and templates in order.
    fn sort(&mut self) {
        let order = |a: &Arc<Route>, b: &Arc<Route>| {
            (a.webhook.method.as_str(), &a.key).cmp(&(b.webhook.method.as_str(), &b.key))
        };
        self.fixed.values_mut().for_each(|routes| routes.sort_by(order));
        self.templates.iter_mut().for_each(|routes| routes.sort_by(order));
        self.templates.sort_by(|a, b| match (a.first(), b.first()) {
            (Some(a), Some(b)) => a.webhook.endpoint.precedence(&b.webhook.endpoint),
            _ => Ordering::Equal,
        });
    }

    fn find(&self, path: &str, method: &Method) -> Found<'_> {
        let fixed = self.fixed.get(path).into_iter();
        let templates = self.templates.iter().filter(|routes| {
            routes.first().is_some_and(|route| route.webhook.endpoint.matches(path))
        });
        let mut other_method = None;
        for routes in fixed.chain(templates) {
            let from = routes.iter().position(|route| route.webhook.method == *method);
            let Some(from) = from else {
                other_method = other_method.or_else(|| routes.first());
                continue;
            };
            let count = routes[from..].iter().take_while(|r| r.webhook.method == *method).count();
            return match &routes[from..from + count] {
                [route] => Found::Route(route),
                routes => Found::Ambiguous(routes),
            };
        }
        other_method.map_or(Found::Nothing, Found::WrongMethod)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::webhook::WebhookConfig;
    use serde_json::json;

    fn route(key: (&str, &str, &str), endpoint: &str, method: &str) -> Arc<Route> {
        let config = json!({"endpoint": endpoint, "port": "12000", "method": method});
        let config: WebhookConfig = serde_json::from_value(config).unwrap();
        let webhook = Arc::new(config.resolve(&FieldPath::root()).0.unwrap());
        let key = EventKey::new(key.0, key.1, key.2);
        let (correlation_path, service_account, receiver) = (None, None, None);
        Arc::new(Route { key, webhook, correlation_path, service_account, receiver })
    }

    fn table() -> Table {
        Table::new([
            route(("ci", "builds", "done"), "/done", "POST"),
            route(("ci", "builds", "peek"), "/done", "GET"),
            route(("ci", "builds", "any"), "/b/{id}", "POST"),
            route(("ci", "builds", "one"), "/b/one", "POST"),
            route(("ci", "images", "done"), "/done", "POST"),
            route(("prod", "images", "done"), "/done", "POST"),
            route(("prod", "images", "x"), "/ci/builds/x", "POST"),
        ])
    }

    #[test]
    fn a_request_is_told_by_path_and_method_then_by_host_then_by_prefix() {
        let table = table();
        let svc = "-eventsource-svc";
        for (host, request, expected) in [
            ("localhost", "GET /done", "ci/builds/peek"),
            ("localhost", "POST /done", "ambiguous 3"),
            ("localhost", "PUT /done", "wrong method"),
            ("localhost", "POST /b/one", "ci/builds/one"),
            ("localhost", "POST /b/two", "ci/builds/any"),
            ("localhost", "POST /b/two/", "nothing"),
            ("localhost", "POST /nowhere", "nothing"),
            ("localhost", "POST /ci/builds/done", "ci/builds/done"),
            ("localhost", "POST /prod/images/done", "prod/images/done"),
            ("localhost", "POST /ci/builds/b/7", "ci/builds/any"),
            ("localhost", "POST /ci/builds/x", "prod/images/x"),
            ("localhost", "POST /ci/nobody/done", "nothing"),
            (&format!("builds{svc}"), "POST /done", "ci/builds/done"),
            (&format!("builds{svc}:12000"), "POST /done", "ci/builds/done"),
            (&format!("images{svc}"), "POST /done", "ambiguous 3"),
            (&format!("images{svc}.prod"), "POST /done", "prod/images/done"),
            (&format!("images{svc}.ci.svc:12000"), "POST /done", "ci/images/done"),
            (&format!("images{svc}.ci.svc.cluster.local."), "POST /done", "ci/images/done"),
            (&format!("images{svc}.ci.example.org"), "POST /done", "ambiguous 3"),
            (&format!("images{svc}.ci"), "POST /b/one", "nothing"),
            (&format!("images{svc}.ci"), "POST /ci/builds/b/one", "ci/builds/one"),
            (&format!("nobody{svc}"), "POST /b/one", "ci/builds/one"),
        ] {
            let (method, path) = request.split_once(' ').unwrap();
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let found = match table.find(Some(host), path, &method) {
                Found::Route(route) => route.key.to_string(),
                Found::WrongMethod(_) => "wrong method".into(),
                Found::Ambiguous(routes) => format!("ambiguous {}", routes.len()),
                Found::Nothing => "nothing".into(),
            };
            assert_eq!(found, expected, "{host} {request}");
        }
    }
}
