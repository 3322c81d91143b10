//! Signatures by a key and an authority of the tests' own; the calls against moto.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};

use reqwest::Client;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tripline_config::{Dialect, Severity};
use tripline_event::ObjectName;
use tripline_testbed::{AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, Authority, Moto, SnsSigner};

use super::certificates::Certificates;
use crate::definition::SourceConfig;
use crate::testing::{World, eventually};
use crate::{SinkError, codes, events_in};

const NOW: &str = "2026-11-21T03:00:00Z";
const TOPIC: &str = "arn:aws:sns:us-east-1:123456789012:builds";

static MOTO: LazyLock<Moto> = LazyLock::new(|| Moto::start().unwrap());
static SIGNER: LazyLock<SnsSigner> = LazyLock::new(|| SnsSigner::start().unwrap());

/// Serves certificates over HTTPS: `/good.pem`, `/expired.pem`, `/future.pem`.
struct Certifier {
    authority: String,
    url: String,
    asked: Arc<AtomicUsize>,
}

impl Certifier {
    async fn start() -> Self {
        let _already = rustls::crypto::ring::default_provider().install_default();
        let authority = Authority::new("tests").unwrap();
        let tls = authority.server().unwrap();
        let files: Vec<(&str, String)> =
            [("good", (2026, 2027)), ("expired", (2024, 2026)), ("future", (2027, 2028))]
                .map(|(name, years)| (name, SIGNER.certificate(&authority, years).unwrap()))
                .into();
        let acceptor = acceptor(&tls);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let asked = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&asked);
        tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let Ok(mut stream) = acceptor.accept(stream).await else { continue };
                count.fetch_add(1, Ordering::Relaxed);
                let mut request = vec![0; 4096];
                let read = stream.read(&mut request).await.unwrap_or_default();
                let head = String::from_utf8_lossy(&request[..read]).into_owned();
                let file = files.iter().find(|(name, _)| head.contains(&format!("/{name}.pem ")));
                let (status, body) = file.map_or(("404 Not Found", ""), |(_, pem)| ("200 OK", pem));
                let length = body.len();
                let answer = format!(
                    "HTTP/1.1 {status}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n{body}"
                );
                let _gone = stream.write_all(answer.as_bytes()).await;
                let _gone = stream.shutdown().await;
            }
        });
        Self { authority: authority.certificate(), url: format!("https://localhost:{port}"), asked }
    }

    fn certificates(&self) -> Arc<Certificates> {
        let authority = self.authority.clone().into_bytes();
        Arc::new(Certificates::new(|host, _| host == "localhost", Some(authority)))
    }

    /// A message, signed by this version; `change` is made before.
    fn signed(&self, version: &str, change: impl FnOnce(&mut Value)) -> Value {
        let mut message = json!({
            "Type": "Notification",
            "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
            "TopicArn": TOPIC,
            "Subject": "done",
            "Message": "{\"action\": \"completed\", \"correlation_id\": \"build-7\"}",
            "Timestamp": "2026-11-21T02:59:58.123Z",
            "SignatureVersion": version,
            "SigningCertURL": format!("{}/good.pem", self.url),
            "UnsubscribeURL": "https://sns.us-east-1.amazonaws.com/?Action=Unsubscribe",
        });
        change(&mut message);
        let names: &[&str] = match message["Type"].as_str() {
            Some("Notification") => {
                &["Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"]
            }
            _ => {
                &["Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"]
            }
        };
        let line = |name: &&str| Some(format!("{name}\n{}\n", message.get(*name)?.as_str()?));
        let text: String = names.iter().filter_map(line).collect();
        message["Signature"] = json!(SIGNER.sign(version, &text).unwrap());
        message
    }
}

fn acceptor(tls: &tripline_testbed::Certificate) -> TlsAcceptor {
    use rustls::pki_types::pem::PemObject as _;
    use rustls::pki_types::{CertificateDer, PrivateKeyDer};
    let chain = CertificateDer::pem_slice_iter(tls.certificate.as_bytes());
    let chain = chain.collect::<Result<_, _>>().unwrap();
    let key = PrivateKeyDer::from_pem_slice(tls.key.as_bytes()).unwrap();
    let config = rustls::ServerConfig::builder().with_no_client_auth();
    TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()))
}

fn config(more: Value) -> Value {
    let mut config = json!({
        "topicArn": TOPIC, "endpoint": MOTO.endpoint(),
        "webhook": {"endpoint": "/sns", "port": "12000"},
        "accessKey": {"name": "aws", "key": "access"},
        "secretKey": {"name": "aws", "key": "secret"},
        "metadata": {"team": "ci"},
    });
    config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
    config
}

/// A world with the event `ci/builds/completed`; signatures are checked with these certificates.
fn world(more: Value, certificates: Option<Arc<Certificates>>) -> World {
    let _already = rustls::crypto::ring::default_provider().install_default();
    let world = World::new(NOW);
    world.secrets.set("ci/aws/access", AWS_ACCESS_KEY_ID);
    world.secrets.set("ci/aws/secret", AWS_SECRET_ACCESS_KEY);
    apply(&world, more, certificates);
    world
}

fn apply(world: &World, more: Value, certificates: Option<Arc<Certificates>>) {
    let spec = json!({"sns": {"completed": config(more)}});
    let name = ObjectName::new("ci", "builds");
    let (mut definitions, problems) = events_in(Dialect::Tripline, &name, &spec);
    assert_eq!(problems, []);
    let SourceConfig::Sns(sns) = &mut definitions[0].config else { panic!("no sns") };
    Arc::get_mut(sns).unwrap().certificates = certificates;
    assert_eq!(world.sources.apply(definitions), []);
}

/// Posts it, as SNS does; the status, and what is answered.
async fn post(world: &World, message: &Value) -> (u16, String) {
    let url = format!("http://{}/sns", world.sources.addresses()[&12000]);
    let client = Client::builder().no_proxy().build().unwrap();
    let kind = message["Type"].as_str().unwrap_or_default();
    let request = client
        .post(url)
        .header("content-type", "text/plain; charset=UTF-8")
        .header("x-amz-sns-message-type", kind)
        .body(message.to_string());
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.text().await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_is_taken_if_and_only_if_sns_has_signed_it() {
    let certifier = Certifier::start().await;
    let world = world(json!({}), Some(certifier.certificates()));
    let url = |file: &str| json!(format!("{}/{file}", certifier.url));
    let mut number = 0;
    let mut signed = |version: &str, change: &dyn Fn(&mut Value)| {
        number += 1;
        certifier.signed(version, |message| {
            message["MessageId"] = json!(format!("m-{number}"));
            change(message);
        })
    };
    let tampered = |field: &str, signed: Value| {
        let mut message = signed;
        message[field] = json!("changed");
        message
    };
    let good = [
        signed("1", &|_| {}),
        signed("2", &|_| {}),
        signed("2", &|message| drop(message.as_object_mut().unwrap().remove("Subject"))),
        signed("1", &|message| message["Timestamp"] = json!("2026-11-20T15:10:00.000Z")),
    ];
    for message in &good {
        assert_eq!(post(&world, message).await, (200, "success".to_owned()), "{message}");
    }
    assert_eq!(world.sink.taken().len(), good.len());
    let unsigned = |field: &str, signed: Value| {
        let mut message = signed;
        message.as_object_mut().unwrap().remove(field);
        message
    };
    let other_version = {
        let mut message = signed("2", &|_| {});
        message["SignatureVersion"] = json!("1");
        message
    };
    for (message, says) in [
        (tampered("Message", signed("1", &|_| {})), "something of it was changed"),
        (tampered("Message", signed("2", &|_| {})), "something of it was changed"),
        (tampered("MessageId", signed("2", &|_| {})), "something of it was changed"),
        (tampered("Subject", signed("2", &|_| {})), "something of it was changed"),
        (other_version, "something of it was changed"),
        (
            signed("2", &|message| message["SigningCertURL"] = json!("https://evil.example/c.pem")),
            "is not an address of SNS",
        ),
        (
            signed("2", &|message| {
                message["SigningCertURL"] = json!("http://localhost:1/good.pem")
            }),
            "is not an address of SNS",
        ),
        (
            signed("2", &|message| message["SigningCertURL"] = url("expired.pem")),
            "has expired at 2026-01-01T00:00:00Z",
        ),
        (
            signed("1", &|message| message["SigningCertURL"] = url("future.pem")),
            "is not valid before 2027-01-01T00:00:00Z",
        ),
        (
            signed("2", &|message| message["Timestamp"] = json!("2026-11-20T14:59:59.000Z")),
            "more than 12 h ago",
        ),
        (signed("2", &|message| message["Timestamp"] = json!("yesterday")), "no time"),
        (signed("3", &|_| {}), "expected 1 or 2"),
        (unsigned("Signature", signed("2", &|_| {})), "it is not signed"),
        (unsigned("SignatureVersion", signed("2", &|_| {})), "it is not signed"),
        (
            signed("2", &|message| message["TopicArn"] = json!("arn:aws:sns:us-east-1:1:other")),
            "it is of another topic",
        ),
        (json!({"Type": "Notification"}), "no message of SNS: missing field"),
    ] {
        let (status, text) = post(&world, &message).await;
        assert_eq!(status, 400, "{message}: {text}");
        assert!(text.starts_with("bad request, not a valid SNS notification: "), "{text}");
        assert!(text.contains(says), "{says:?} is not in {text}");
    }
    assert_eq!(world.sink.taken().len(), good.len());
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replayed_message_is_one_event_and_the_certificate_is_fetched_once() {
    let certifier = Certifier::start().await;
    let world = world(json!({}), Some(certifier.certificates()));
    let message = certifier.signed("2", |_| {});
    for _ in 0..3 {
        assert_eq!(post(&world, &message).await, (200, "success".to_owned()));
    }
    assert_eq!(world.sink.ids(), ["22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324"]);
    assert_eq!(certifier.asked.load(Ordering::Relaxed), 1);
    let taken = world.sink.taken().remove(0);
    assert_eq!(taken.body.as_deref(), Some(message["Message"].as_str().unwrap().as_bytes()));
    let mut data: Value = serde_json::from_slice(&taken.data).unwrap();
    let header = data["header"].take();
    assert_eq!(header["X-Amz-Sns-Message-Type"], json!(["Notification"]));
    assert_eq!(data, json!({"header": null, "body": message, "metadata": {"team": "ci"}}));
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_certificate_that_cannot_be_had_now_is_no_reason_to_lose_the_message() {
    let certifier = Certifier::start().await;
    let world = world(json!({}), Some(certifier.certificates()));
    let message = certifier.signed("2", |message| {
        message["SigningCertURL"] = json!("https://localhost:9/good.pem");
    });
    let (status, text) = post(&world, &message).await;
    assert_eq!((status, world.sink.taken().len()), (503, 0), "{text}");
    world.sink.fail([SinkError::Unavailable("full".into())]);
    let message = certifier.signed("2", |_| {});
    assert_eq!(post(&world, &message).await.0, 503);
    assert_eq!(post(&world, &message).await.0, 200);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subscription_is_confirmed_by_its_token_and_its_end_is_told() {
    let certifier = Certifier::start().await;
    let world = world(json!({}), Some(certifier.certificates()));
    let confirmation = |kind: &'static str| {
        certifier.signed("2", move |message| {
            message["Type"] = json!(kind);
            message["Token"] = json!("2336412f37");
            message["SubscribeURL"] = json!("https://sns.us-east-1.amazonaws.com/?Action=x");
        })
    };
    let create = format!(
        "import boto3; boto3.client('sns').create_topic(Name='{}')",
        TOPIC.rsplit(':').next().unwrap()
    );
    assert!(MOTO.boto3().args(["-c", &create]).status().unwrap().success());
    for kind in ["SubscriptionConfirmation", "UnsubscribeConfirmation"] {
        let answer = post(&world, &confirmation(kind)).await;
        assert_eq!(answer, (200, "success".to_owned()), "{kind}");
    }
    assert_eq!(world.sink.taken().len(), 0);
    let mut forged = confirmation("SubscriptionConfirmation");
    forged["Token"] = json!("another");
    assert_eq!(post(&world, &forged).await.0, 400);
    let away = json!({"endpoint": "http://127.0.0.1:9"});
    apply(&world, away, Some(certifier.certificates()));
    assert_eq!(post(&world, &confirmation("SubscriptionConfirmation")).await.0, 503);
    world.shutdown().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_url_the_source_subscribes_by_itself_and_messages_come_in() {
    let topic = "arn:aws:sns:us-east-1:123456789012:subscribed";
    let webhook = |url: Option<String>| json!({"endpoint": "/sns", "port": "12000", "url": url});
    let world = world(json!({"topicArn": topic, "webhook": webhook(None)}), None);
    let url = format!("http://{}", world.sources.addresses()[&12000]);
    apply(&world, json!({"topicArn": topic, "webhook": webhook(Some(url))}), None);
    eventually(|| {
        let status = world.sources.status();
        status.len() == 1 && !status[0].ready && status[0].detail.contains("topic `subscribed`")
    })
    .await;
    let boto3 = |program: &str| {
        let program = format!("import boto3; sns = boto3.client('sns'); {program}");
        let output = MOTO.boto3().args(["-c", &program]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().trim().to_owned()
    };
    boto3("sns.create_topic(Name='subscribed')");
    eventually(|| world.sources.status().iter().all(|status| status.ready)).await;
    // moto leaves the attributes out of what it posts; that they are read is tested beside SQS.
    let program = format!("print(sns.publish(TopicArn='{topic}', Message='hello')['MessageId'])");
    let id = tokio::task::block_in_place(|| boto3(&program));
    assert_eq!(world.sink.first_ids(1).await, [id]);
    let taken = world.sink.taken().remove(0);
    let data: Value = serde_json::from_slice(&taken.data).unwrap();
    assert_eq!(data["body"]["Message"], "hello");
    world.shutdown().await;
}

fn notification(message: &Value) -> Value {
    json!({
        "Type": "Notification", "MessageId": "m-1", "TopicArn": TOPIC, "Subject": "s",
        "Message": message.as_str().map_or_else(|| message.to_string(), str::to_owned),
        "Timestamp": "2026-11-21T02:59:58.123Z",
    })
}

#[tokio::test(flavor = "multi_thread")]
async fn unwrapped_an_event_is_the_message_or_each_of_its_objects() {
    let world = world(json!({"unwrap": "sns"}), None);
    for (message, expected) in [(json!({"a": 1}), json!({"a": 1})), (json!("text"), json!("text"))]
    {
        let mut envelope = notification(&message);
        envelope["MessageId"] = json!(format!("m-{message}"));
        assert_eq!(post(&world, &envelope).await.0, 200);
        let taken = world.sink.taken().pop().unwrap();
        let data: Value = serde_json::from_slice(&taken.data).unwrap();
        assert_eq!(data["body"], expected);
        assert_eq!(
            (&data["sns"]["topicArn"], &data["sns"]["subject"]),
            (&json!(TOPIC), &json!("s"))
        );
        assert_eq!(data["metadata"], json!({"team": "ci"}));
    }
    apply(&world, json!({"unwrap": "s3"}), None);
    let record = |key: &str, sequencer: &str| {
        json!({"eventSource": "aws:s3", "eventName": "ObjectCreated:Put",
            "s3": {"bucket": {"name": "b"}, "object": {"key": key, "sequencer": sequencer}}})
    };
    let both = json!({"Records": [record("x", "01"), record("y", "02")]});
    assert_eq!(post(&world, &notification(&both)).await.0, 200);
    assert_eq!(world.sink.ids()[2..], ["b/x#01", "b/y#02"]);
    let test = json!({"Service": "Amazon S3", "Event": "s3:TestEvent"});
    assert_eq!(post(&world, &notification(&test)).await.0, 200);
    assert_eq!(world.sink.reasons(), ["s3:TestEvent"]);
    assert_eq!(post(&world, &notification(&json!("no JSON"))).await.0, 200);
    let kept = world.sink.unreadable.borrow().clone();
    assert_eq!((kept.len(), &*kept[0].bytes), (1, b"no JSON".as_slice()));
    assert!(kept[0].reason.contains("no notification of S3"), "{}", kept[0].reason);
    world.shutdown().await;
}

#[test]
fn what_is_wrong_is_an_error_at_its_field() {
    let webhook = |more: Value| {
        let mut webhook = json!({"endpoint": "/sns", "port": "12000"});
        webhook.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"webhook": webhook})
    };
    for (more, expected) in [
        (json!({}), vec![]),
        (webhook(json!({"url": "https://events.example.com"})), vec![]),
        (json!({"topicArn": "builds"}), vec![format!("{} .topicArn", codes::SNS_TOPIC)]),
        (webhook(json!({"url": "events"})), vec![format!("{} .webhook.url", codes::SNS_TOPIC)]),
        (webhook(json!({"port": "x"})), vec![format!("{} .webhook.port", codes::PORT)]),
        (
            webhook(json!({"method": "PUT"})),
            vec![
                format!("{} .webhook.method", codes::METHOD),
                format!("{} .webhook.method", codes::METHOD),
            ],
        ),
        (json!({"roleARN": "x"}), vec![format!("{} .roleARN", codes::SNS_ACCESS)]),
        (json!({"secretKey": null}), vec![format!("{} .accessKey", codes::SNS_ACCESS)]),
        (json!({"endpoint": "x"}), vec![format!("{} .endpoint", codes::SNS_ACCESS)]),
    ] {
        let secret = json!({"name": "aws", "key": "k"});
        let mut config = json!({
            "topicArn": TOPIC, "webhook": {"endpoint": "/sns", "port": "12000"},
            "accessKey": secret, "secretKey": secret,
        });
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let spec = json!({"sns": {"e": config}});
        let (events, problems) = events_in(Dialect::Argo, &ObjectName::new("ci", "builds"), &spec);
        let wrong = problems.iter().any(|problem| problem.severity == Severity::Error);
        assert_eq!(events.is_empty(), wrong, "{config}");
        let found: Vec<_> = problems
            .iter()
            .map(|p| format!("{} {}", p.code, p.path.to_string().trim_start_matches("spec.sns.e")))
            .collect();
        assert_eq!(found, expected, "{config}");
    }
    let unwrap = json!({"sns": {"e": {"topicArn": TOPIC, "unwrap": "gcs",
        "webhook": {"endpoint": "/sns", "port": "12000"}}}});
    let name = ObjectName::new("ci", "builds");
    let (_, problems) = events_in(Dialect::Tripline, &name, &unwrap);
    assert_eq!(problems[0].code, codes::UNWRAP);
}
