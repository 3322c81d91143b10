//! What the daemon of a cell is given.

use tripline_testbed::AWS_REGION;
use tripline_tests::tenant::sensor;

use crate::proxies::Proxies;
use crate::source::Source;
use tripline_tests::target::TIMEOUT_SECONDS;

/// Which events become workflows where there are too many for the API server: a part of them,
/// by the ends of their correlation ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Share {
    /// All of them; and requests, those of the webhook.
    All,
    /// One of twenty; and all of them requests.
    OneOfTwenty,
}

impl Share {
    /// Whether the event with this number becomes a workflow.
    pub fn has(self, number: u64) -> bool {
        match self {
            Self::All => true,
            Self::OneOfTwenty => number.is_multiple_of(20),
        }
    }

    /// Whether all events of the source are requests.
    pub fn asks_for(self, source: Source) -> bool {
        match self {
            Self::All => source == Source::Webhook,
            Self::OneOfTwenty => source != Source::Cron,
        }
    }
}

/// An event source with the event `completed`.
pub fn event_source(
    source: Source,
    namespace: &str,
    port: u16,
    project: &str,
    proxies: &Proxies,
) -> anyhow::Result<String> {
    let (version, spec) = match source {
        Source::Webhook => (
            "argoproj.io/v1alpha1",
            format!(
                r#"webhook: {{ completed: {{ port: "{port}", endpoint: /builds, method: POST }} }}"#
            ),
        ),
        Source::PubSub => (
            "argoproj.io/v1alpha1",
            format!(
                "pubSub: {{ completed: {{ projectID: {project}, subscriptionID: {namespace}, jsonBody: true }} }}"
            ),
        ),
        Source::Sqs => (
            "argoproj.io/v1alpha1",
            format!(
                r#"sqs: {{ completed: {{ queue: {namespace}, region: {AWS_REGION}, endpoint: "http://{}", jsonBody: true }} }}"#,
                proxies.sqs.address()
            ),
        ),
        Source::Cron => {
            ("argoproj.io/v1alpha1", "calendar: { completed: { interval: 1s } }".into())
        }
        // The group notices soon that a daemon was killed.
        Source::Kafka => (
            "argoproj.io/v1alpha1",
            format!(
                r#"kafka:
    completed:
      url: {}
      topic: {namespace}
      consumerGroup: {{ groupName: {namespace}, oldest: true }}
      jsonBody: true
      config: "consumer: {{group: {{session: {{timeout: 3s}}}}}}""#,
                proxies.brokers()?.kafka()?
            ),
        ),
        Source::Nats => (
            "tripline.dev/v1",
            format!(
                r#"nats: {{ completed: {{ url: "nats://{}", subject: {namespace}, jsonBody: true, jetStream: {{ stream: {namespace}, ackWait: 2s }} }} }}"#,
                proxies.brokers()?.nats.address()
            ),
        ),
        Source::CoreNats => (
            "argoproj.io/v1alpha1",
            format!(
                r#"nats: {{ completed: {{ url: "nats://{}", subject: core.{namespace}, jsonBody: true }} }}"#,
                proxies.brokers()?.nats.address()
            ),
        ),
        Source::Sns => (
            "tripline.dev/v1",
            format!(
                r#"sqs: {{ completed: {{ queue: {namespace}, region: {AWS_REGION}, endpoint: "http://{}", jsonBody: true, unwrap: sns }} }}"#,
                proxies.brokers()?.moto.address()
            ),
        ),
    };
    let name = source.name();
    Ok(format!(
        "apiVersion: {version}\nkind: EventSource\nmetadata: {{ name: {name}, namespace: {namespace} }}\nspec:\n  {spec}\n"
    ))
}

/// A sensor that submits a workflow for each event of the source, or for a share of them.
pub fn submits(source: Source, namespace: &str, share: Share) -> String {
    let name = source.name();
    let parameter = match source {
        Source::Cron => "contextKey: id",
        _ => "dataKey: body.correlation_id",
    };
    let all = tried_again_soon(&sensor(namespace, name, name, parameter));
    if share == Share::All || source == Source::Cron {
        return all;
    }
    let event = "      eventName: completed\n";
    let filter = r#"      filters: { data: [{ path: body.correlation_id, type: string, value: ["[02468]0$"] }] }"#;
    all.replace(event, &format!("{event}{filter}\n"))
}

/// A sensor that sends a request for each event of the source, to a path of its name.
pub fn asks(source: Source, namespace: &str, proxies: &Proxies) -> String {
    let (name, http) = (source.name(), proxies.http.address());
    tried_again_soon(&format!(
        r"apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{ name: {name}-requests, namespace: {namespace} }}
spec:
  dependencies:
    - {{ name: message, eventSourceName: {name}, eventName: completed }}
  triggers:
    - template:
        name: request
        http:
          url: http://{http}/{name}
          method: POST
          timeout: {TIMEOUT_SECONDS}
          payload:
            - src: {{ dependencyName: message, dataKey: body.correlation_id }}
              dest: id
"
    ))
}

/// Attempts follow each other soon, and there are enough of them.
fn tried_again_soon(sensor: &str) -> String {
    const STRATEGY: &str =
        "    - retryStrategy: { steps: 1000, duration: 300ms, factor: 1 }\n      template:\n";
    sensor.replace("    - template:\n", STRATEGY)
}
