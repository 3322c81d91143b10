//! Messages out and in again: a webhook's event is sent to SQS, SNS and Pub/Sub by one daemon,
//! and what comes out there becomes a workflow in another. Real servers, both buses; the
//! servers killed, the sender and the receiver killed.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use tripline_testbed::{
    AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, ElasticMq, KubeApi, Moto, Nats, Proxy,
    PubSub, Toxiproxy,
};
use tripline_tests::clients::Clients;
use tripline_tests::daemon::{Daemon, Place};
use tripline_tests::load::{correlation_id, post};
use tripline_tests::resources::event_source;

/// How long everything that was sent may take to become workflows.
const SETTLE: Duration = Duration::from_secs(90);
/// How many events are sent before each fault, and after it.
const BATCH: usize = 15;
/// Likewise, where the receiver was killed: what it had received of SQS is hidden for 120 seconds.
const SETTLE_HIDDEN: Duration = Duration::from_secs(120 + 90);
/// How often the sender is killed, and how long after it is ready.
const KILLS: [u64; 3] = [60, 120, 200];
/// The account that moto's topics and queues belong to.
const ACCOUNT: &str = "123456789012";

/// The ways from one daemon to the other.
const WAYS: [&str; 3] = ["sqs", "sns", "pubsub"];

/// The servers, and where daemons reach them.
struct Servers {
    moto: Moto,
    /// The FIFO queue is here: it still knows a deduplication id when the message is deleted, as
    /// the real service does. moto does not.
    elasticmq: ElasticMq,
    pubsub: PubSub,
    aws: String,
    fifo: String,
    google: String,
}

impl Servers {
    fn start() -> anyhow::Result<Self> {
        let (moto, pubsub) = (Moto::start()?, PubSub::start()?);
        let (aws, google) = (moto.endpoint(), format!("http://{}", pubsub.host()));
        let elasticmq = ElasticMq::start()?;
        let fifo = elasticmq.endpoint();
        let servers = Self { moto, elasticmq, pubsub, aws, fifo, google };
        servers.furnish()?;
        Ok(servers)
    }

    /// Queues, topics and subscriptions: again, where they were forgotten.
    fn furnish(&self) -> anyhow::Result<()> {
        self.boto3(
            "
fifo.create_queue(QueueName='builds.fifo', Attributes=dict(FifoQueue='true'))
url = sqs.create_queue(QueueName='of-topic')['QueueUrl']
arn = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=['All'])['Attributes']['QueueArn']
topic = sns.create_topic(Name='builds')['TopicArn']
sns.subscribe(TopicArn=topic, Protocol='sqs', Endpoint=arn)",
        )?;
        self.pubsub.create_topic("builds")?;
        self.pubsub.create_subscription("builds", "builds")
    }

    fn boto3(&self, program: &str) -> anyhow::Result<()> {
        let program = format!(
            "import boto3\nsqs = boto3.client('sqs')\nsns = boto3.client('sns')\n\
             fifo = boto3.client('sqs', endpoint_url='{}')\n{program}",
            self.elasticmq.endpoint()
        );
        let output = self.moto.boto3().args(["-c", &program]).output()?;
        ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }

    /// A sensor that sends each build on by all ways.
    fn sender(&self) -> String {
        let Self { aws, fifo, google, .. } = self;
        let project = self.pubsub.project();
        let keys =
            "accessKey: {name: aws, key: access}\n          secretKey: {name: aws, key: secret}";
        let trigger = |name: &str, config: String| {
            format!(
                r#"    - template:
        name: by-{name}
        {config}
          attributes: {{ team: platform }}
          payload:
            - src: {{ dependencyName: build, dataKey: body.action }}
              dest: action
      retryStrategy: {{ steps: 600, duration: 100ms }}
"#
            )
        };
        let triggers = [
            trigger(
                "sqs",
                format!(
                    "sqs:\n          queue: builds.fifo\n          region: {AWS_REGION}\n          endpoint: {fifo}\n          {keys}"
                ),
            ),
            trigger(
                "sns",
                format!(
                    "sns:\n          topicArn: arn:aws:sns:{AWS_REGION}:{ACCOUNT}:builds\n          endpoint: {aws}\n          {keys}"
                ),
            ),
            trigger(
                "pubsub",
                format!(
                    "pubSub:\n          projectID: {project}\n          topic: builds\n          endpoint: {google}\n          orderingKey: main"
                ),
            ),
        ];
        format!(
            r#"apiVersion: tripline.dev/v1
kind: Sensor
metadata: {{ name: sends-on, namespace: ci }}
spec:
  dependencies:
    - {{ name: build, eventSourceName: builds, eventName: completed }}
  triggers:
{}---
{}"#,
            triggers.concat(),
            secret()
        )
    }

    /// The event sources at the other ends of all ways, each with a sensor that submits.
    fn receiver(&self) -> String {
        let Self { aws, fifo, google, .. } = self;
        let project = self.pubsub.project();
        let keys = format!(
            "region: {AWS_REGION}\n      waitTimeSeconds: 1\n      accessKey: {{name: aws, key: access}}\n      secretKey: {{name: aws, key: secret}}"
        );
        let sources = [
            (
                "sqs",
                format!(
                    "sqs:\n    build:\n      queue: builds.fifo\n      endpoint: {fifo}\n      {keys}"
                ),
            ),
            (
                "sns",
                format!(
                    "sqs:\n    build:\n      queue: of-topic\n      endpoint: {aws}\n      unwrap: sns\n      {keys}"
                ),
            ),
            (
                "pubsub",
                format!(
                    "pubSub:\n    build:\n      projectID: {project}\n      subscriptionID: builds\n      endpoint: {google}"
                ),
            ),
        ];
        let both = sources.map(|(name, source)| {
            format!(
                r#"apiVersion: tripline.dev/v1
kind: EventSource
metadata: {{ name: of-{name}, namespace: ci }}
spec:
  {source}
      jsonBody: true
---
{}"#,
                submitter(name, "build")
            )
        });
        both.concat() + &secret()
    }
}

/// A sensor that submits a workflow for each event of the source, with its correlation id.
fn submitter(source: &str, event: &str) -> String {
    format!(
        r#"apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{ name: submits-{source}, namespace: ci }}
spec:
  dependencies:
    - {{ name: build, eventSourceName: of-{source}, eventName: {event} }}
  triggers:
    - template:
        name: submit
        argoWorkflow:
          operation: submit
          source:
            resource:
              apiVersion: argoproj.io/v1alpha1
              kind: Workflow
              metadata: {{ generateName: {source}- }}
              spec:
                entrypoint: main
                arguments:
                  parameters:
                    - {{ name: correlation, value: "" }}
                    - {{ name: way, value: {source} }}
                templates: [{{ name: main, container: {{ image: registry.example.com/x:1 }} }}]
          parameters:
            - src: {{ dependencyName: build, contextKey: correlationid }}
              dest: spec.arguments.parameters.0.value
---
"#
    )
}

fn secret() -> String {
    format!(
        "apiVersion: v1\nkind: Secret\nmetadata: {{ name: aws, namespace: ci }}\nstringData: {{ access: {AWS_ACCESS_KEY_ID}, secret: {AWS_SECRET_ACCESS_KEY} }}\n"
    )
}

fn event_bus(nats: &Nats) -> String {
    let url = nats.url();
    format!(
        "apiVersion: argoproj.io/v1alpha1\nkind: EventBus\nmetadata: {{ name: default, namespace: ci }}\nspec:\n  jetstreamExotic:\n    url: {url}\n"
    )
}

/// How many workflows there are, by way and correlation id.
type Found = BTreeMap<String, BTreeMap<String, usize>>;

fn found(place: &Place) -> anyhow::Result<Found> {
    let mut found = Found::new();
    for workflow in place.lines(&["workflows", "list", "--limit", "100000"])? {
        let parameter = |at: usize| {
            let pointer = format!("/spec/arguments/parameters/{at}/value");
            let value = workflow["object"].pointer(&pointer).and_then(Value::as_str);
            value.map(str::to_owned).with_context(|| format!("no {pointer} in {workflow}"))
        };
        *found.entry(parameter(1)?).or_default().entry(parameter(0)?).or_default() += 1;
    }
    Ok(found)
}

/// Waits until each of the correlation ids has come by all of these ways.
async fn arrived(
    place: &Place,
    daemons: &[&Daemon],
    ways: &[&str],
    ids: &[String],
) -> anyhow::Result<Found> {
    arrived_within(SETTLE, place, daemons, ways, ids).await
}

async fn arrived_within(
    within: Duration,
    place: &Place,
    daemons: &[&Daemon],
    ways: &[&str],
    ids: &[String],
) -> anyhow::Result<Found> {
    let deadline = Instant::now() + within;
    loop {
        let found = found(place)?;
        let lacks = |way: &&&str| {
            let of_way = found.get(**way);
            ids.iter().filter(|id| of_way.is_none_or(|all| !all.contains_key(*id))).count()
        };
        let missing: Vec<(&&str, usize)> =
            ways.iter().map(|way| (way, lacks(&way))).filter(|(_, count)| *count > 0).collect();
        if missing.is_empty() {
            return Ok(found);
        }
        let said = || daemons.iter().map(|daemon| daemon.stderr()).collect::<Vec<_>>().join("\n");
        ensure!(Instant::now() < deadline, "missing of {}: {missing:?}\n{}", ids.len(), said());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Sends events with these correlation ids to the webhook.
async fn send(place: &Place, ids: &[String]) -> anyhow::Result<()> {
    for id in ids {
        let body = format!(r#"{{"action": "completed", "correlation_id": "{id}"}}"#);
        let headers = [("webhook-id", id.as_str()), ("content-type", "application/json")];
        let answer = post(place.webhook(), "/builds", &headers, body.as_bytes()).await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    Ok(())
}

fn ids(prefix: &str) -> Vec<String> {
    (0..BATCH).map(|number| format!("{prefix}-{number}")).collect()
}

/// Each came exactly once.
fn once(found: &Found, way: &str) -> anyhow::Result<()> {
    let repeated: Vec<_> = found[way].iter().filter(|(_, count)| **count > 1).collect();
    ensure!(repeated.is_empty(), "{way}: {repeated:?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_goes_by_every_way_into_one_workflow_with_its_correlation_id() -> anyhow::Result<()>
{
    let servers = Servers::start()?;
    for on_nats in [false, true] {
        let buses = if on_nats { Some((Nats::start()?, Nats::start()?)) } else { None };
        let (sending, receiving) = (Place::new()?, Place::new()?);
        if let Some((one, other)) = &buses {
            sending.write("bus.yaml", &event_bus(one))?;
            receiving.write("bus.yaml", &event_bus(other))?;
        }
        let ids = ids(if on_nats { "on nats" } else { "embedded" });
        receiving.write("receiver.yaml", &servers.receiver())?;
        // SNS posts to the daemon, too: it subscribes by itself.
        let (port, aws) = (receiving.port, &servers.aws);
        let posted = format!(
            r#"apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{ name: of-posts, namespace: ci }}
spec:
  sns:
    build:
      topicArn: arn:aws:sns:{AWS_REGION}:{ACCOUNT}:builds
      endpoint: {aws}
      accessKey: {{ name: aws, key: access }}
      secretKey: {{ name: aws, key: secret }}
      webhook: {{ endpoint: /sns, port: "{port}", url: "http://127.0.0.1:{port}" }}
---
{}"#,
            submitter("posts", "build")
        );
        receiving.write("posts.yaml", &posted)?;
        let receiver = receiving.start().await?;
        sending.write("event-source.yaml", &event_source(sending.port))?;
        sending.write("sender.yaml", &servers.sender())?;
        let sender = sending.start().await?;
        send(&sending, &ids).await?;
        let found = arrived(&receiving, &[&sender, &receiver], &WAYS, &ids).await?;
        for way in WAYS {
            once(&found, way)?;
            ensure!(found[way].len() == ids.len(), "{way}: {:?}", found[way].keys());
        }
        // moto leaves attributes out of what it posts, and with them the correlation ids.
        let deadline = Instant::now() + SETTLE;
        while found_posts(&receiving)? < ids.len() {
            ensure!(Instant::now() < deadline, "too few posts of SNS\n{}", receiver.stderr());
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        let trace = sending.text(&["trace", &ids[0]])?;
        for to in ["queue `builds.fifo`", "topic `builds`", "topic builds"] {
            ensure!(trace.contains(to), "{to} is not in\n{trace}");
        }
        for daemon in [sender, receiver] {
            let ended = daemon.stop().await?;
            ensure!(ended.status.success(), "{}", ended.stderr);
            ensure!(!ended.stderr.contains(AWS_SECRET_ACCESS_KEY), "the secret is in the log");
        }
        // The next daemon has another port, and moto fails if nobody answers on this one.
        servers.boto3(
            "for one in sns.list_subscriptions()['Subscriptions']:\n    \
             if one['Protocol'] == 'http': sns.unsubscribe(SubscriptionArn=one['SubscriptionArn'])",
        )?;
    }
    Ok(())
}

fn found_posts(place: &Place) -> anyhow::Result<usize> {
    Ok(found(place)?.get("posts").map_or(0, |all| all.values().sum()))
}

/// The servers, each behind a proxy that can be cut.
struct Cut {
    servers: Servers,
    proxies: [Proxy; 3],
    _toxiproxy: Toxiproxy,
}

impl Cut {
    fn start() -> anyhow::Result<Self> {
        let mut servers = Servers::start()?;
        let toxiproxy = Toxiproxy::start()?;
        let proxies = [
            toxiproxy.proxy(servers.moto.address())?,
            toxiproxy.proxy(servers.pubsub.address())?,
            toxiproxy.proxy(servers.elasticmq.address())?,
        ];
        servers.aws = format!("http://{}", proxies[0].address());
        servers.google = format!("http://{}", proxies[1].address());
        servers.fifo = format!("http://{}", proxies[2].address());
        Ok(Self { servers, proxies, _toxiproxy: toxiproxy })
    }

    /// moto and Pub/Sub are killed, and come back without what they held; ElasticMQ was only out
    /// of reach.
    fn restart(&mut self) -> anyhow::Result<()> {
        let Self { servers, proxies, .. } = self;
        servers.moto.kill()?;
        servers.pubsub.kill()?;
        servers.moto.restart()?;
        // By the trigger; more than once where an answer was lost.
        servers.pubsub.others_published(10 * BATCH);
        servers.pubsub.restart()?;
        servers.furnish()?;
        proxies.iter().try_for_each(Proxy::restore)
    }
}

async fn whoever_is_killed(sending: &Place, receiving: &Place) -> anyhow::Result<()> {
    let mut cut = Cut::start()?;
    receiving.write("receiver.yaml", &cut.servers.receiver())?;
    sending.write("event-source.yaml", &event_source(sending.port))?;
    sending.write("sender.yaml", &cut.servers.sender())?;
    let mut receiver = receiving.start().await?;
    let mut sender = sending.start().await?;

    let before = ids("before");
    send(sending, &before).await?;
    arrived(receiving, &[&sender, &receiver], &WAYS, &before).await?;

    // What is sent while the servers are away waits for them.
    cut.proxies.iter().try_for_each(Proxy::cut)?;
    let meanwhile = ids("meanwhile");
    send(sending, &meanwhile).await?;
    cut.restart()?;
    arrived(receiving, &[&sender, &receiver], &WAYS, &meanwhile).await?;

    let clients = Clients::start(sending.webhook(), 4, Duration::from_millis(20));
    for milliseconds in KILLS {
        tokio::time::sleep(Duration::from_millis(milliseconds)).await;
        sender.kill()?;
        sender = sending.spawn()?;
        sender.ready().await?;
        if milliseconds == KILLS[0] {
            // In the middle of the stream: messages keep coming.
            receiver.kill()?;
            receiver = receiving.spawn()?;
            receiver.ready().await?;
        }
    }
    let sent = clients.finish().await?.sent;
    let ids: Vec<String> = (0..u64::try_from(sent.events.len())?).map(correlation_id).collect();
    let found =
        arrived_within(SETTLE_HIDDEN, receiving, &[&sender, &receiver], &WAYS, &ids).await?;
    // By the others, an attempt that had no answer may have been one message more.
    once(&found, "sqs")?;
    println!(
        "messages: {} events while the sender was killed {} times, and the receiver once",
        ids.len(),
        KILLS.len()
    );
    for daemon in [sender, receiver] {
        let ended = daemon.stop().await?;
        ensure!(ended.status.success(), "{}", ended.stderr);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_every_event_arrives_by_every_way_over_the_embedded_bus()
-> anyhow::Result<()> {
    whoever_is_killed(&Place::new()?, &Place::new()?).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_is_killed_every_event_arrives_by_every_way_over_jetstream() -> anyhow::Result<()> {
    let (sending, receiving) = (Place::new()?, Place::new()?);
    let buses = [Nats::start()?, Nats::start()?];
    sending.write("bus.yaml", &event_bus(&buses[0]))?;
    receiving.write("bus.yaml", &event_bus(&buses[1]))?;
    whoever_is_killed(&sending, &receiving).await
}

/// A service account with a role shows its token to STS, and its event source takes messages;
/// one without a role is nobody here.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_event_source_is_its_service_account() -> anyhow::Result<()> {
    let servers = Servers::start()?;
    let kube = KubeApi::shared()?;
    let namespace = "ci-identity";
    kube.create_namespace(namespace)?;
    let role = json!({"eks.amazonaws.com/role-arn": format!("arn:aws:iam::{ACCOUNT}:role/builds")});
    for (name, annotations) in [("builds", role), ("nobody", json!({}))] {
        let account = json!({"metadata": {"name": name, "annotations": annotations}});
        kube.create(&format!("/api/v1/namespaces/{namespace}/serviceaccounts"), &account)?;
    }
    let mut place = Place::new()?;
    let kubeconfig = place.yaml().with_file_name("kubeconfig");
    std::fs::write(&kubeconfig, kube.admin().text())?;
    place.environment.extend([
        ("KUBECONFIG", kubeconfig.display().to_string()),
        ("AWS_ENDPOINT_URL_STS", servers.moto.endpoint()),
        ("AWS_EC2_METADATA_DISABLED", "true".to_owned()),
        ("AWS_CONFIG_FILE", "/dev/null".to_owned()),
        ("AWS_SHARED_CREDENTIALS_FILE", "/dev/null".to_owned()),
    ]);
    place.arguments.extend(["--context".to_owned(), "testbed".to_owned()]);
    let source = |name: &str| {
        format!(
            r#"apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{ name: of-{name}, namespace: {namespace} }}
spec:
  template: {{ serviceAccountName: {name} }}
  sqs:
    build: {{ queue: builds.fifo, region: {AWS_REGION}, endpoint: "{}", waitTimeSeconds: 1 }}
---
"#,
            servers.fifo
        )
    };
    place.write("sources.yaml", &(source("builds") + &source("nobody")))?;
    let daemon = place.spawn()?;
    servers.boto3(
        "url = fifo.get_queue_url(QueueName='builds.fifo')['QueueUrl']\n\
         fifo.send_message(QueueUrl=url, MessageBody='x', MessageGroupId='g', MessageDeduplicationId='1')",
    )?;
    let deadline = Instant::now() + SETTLE;
    loop {
        let taken = daemon.metric("argo_events_events_sent_total").await.unwrap_or(0.0);
        if taken == 1.0 && daemon.stderr().contains("no credentials") {
            break;
        }
        ensure!(Instant::now() < deadline, "{taken} taken\n{}", daemon.stderr());
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    let events = place.lines(&["events"])?;
    ensure!(events.len() == 1 && events[0].to_string().contains("of-builds"), "{events:?}");
    Ok(())
}
