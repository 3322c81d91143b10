//! Kafka over TLS, in and out, with a real broker and certificates of the test's own: for a
//! program that was built with the feature `kafka-tls`.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use serde_json::json;
use tripline_testbed::{Authority, KAFKA_PASSWORD, KAFKA_USER, Kafka};
use tripline_tests::daemon::{Daemon, Place, SOON};
use tripline_tests::kafka::Topic;

/// How long messages may take on a machine that is busy otherwise.
const SETTLE: Duration = Duration::from_secs(60);
const MESSAGES: usize = 5;
/// A password that is not the user's.
const WRONG: &str = "another-kafka-password";

/// A way to a broker: where, and the fields `tls` and `sasl`.
struct Way {
    name: &'static str,
    url: String,
    fields: Vec<String>,
}

const AUTHORITY: &str = "caCertSecret: {name: kafka, key: authority}";

fn sasl(mechanism: &str, password: &str) -> String {
    format!(
        "sasl: {{mechanism: {mechanism}, userSecret: {{name: kafka, key: user}}, passwordSecret: {{name: kafka, key: {password}}}}}"
    )
}

/// A Secret with all that a way can need.
fn secret(authority: &Authority, stranger: &Authority) -> anyhow::Result<String> {
    let client = authority.client("tripline", None)?;
    let text = json!({
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "kafka", "namespace": "ci"},
        "stringData": {
            "user": KAFKA_USER,
            "password": KAFKA_PASSWORD,
            "wrong": WRONG,
            "authority": authority.certificate(),
            "stranger": stranger.certificate(),
            "certificate": client.certificate,
            "key": client.key,
        },
    });
    // JSON is YAML.
    Ok(text.to_string())
}

/// An event of the topic `builds` that comes by a way, and a sensor that sends it on by the
/// same way, to the topic `out`.
fn both(way: &Way) -> String {
    let Way { name, url, fields } = way;
    let (of_source, of_trigger) = (fields.join("\n      "), fields.join("\n          "));
    format!(
        r#"apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{ name: by-{name}, namespace: ci }}
spec:
  kafka:
    completed:
      url: {url}
      topic: builds
      consumerGroup: {{ groupName: {name}, oldest: true }}
      jsonBody: true
      {of_source}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{ name: by-{name}, namespace: ci }}
spec:
  dependencies:
    - {{ name: build, eventSourceName: by-{name}, eventName: completed }}
  triggers:
    - template:
        name: send
        kafka:
          url: {url}
          topic: out
          headers: {{ way: {name} }}
          payload:
            - src: {{ dependencyName: build, dataKey: body.build }}
              dest: build
          {of_trigger}
"#,
    )
}

/// A webhook's event, which is sent by a way that does not work, once.
fn sends_wrongly(port: u16, way: &Way) -> String {
    let Way { name, url, fields } = way;
    let fields = fields.join("\n          ");
    format!(
        r#"apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{ name: wrong-{name}, namespace: ci }}
spec:
  webhook:
    completed: {{ endpoint: /{name}, port: "{port}", method: POST }}
---
apiVersion: argoproj.io/v1alpha1
kind: Sensor
metadata: {{ name: wrong-{name}, namespace: ci }}
spec:
  dependencies:
    - {{ name: build, eventSourceName: wrong-{name}, eventName: completed }}
  triggers:
    - template:
        name: send
        kafka:
          url: {url}
          topic: out
          payload:
            - src: {{ dependencyName: build, dataKey: body.build }}
              dest: build
          {fields}
      retryStrategy: {{ steps: 1 }}
"#,
    )
}

fn ended_without_secrets(said: &str) -> anyhow::Result<()> {
    for secret in [KAFKA_PASSWORD, WRONG, "PRIVATE KEY"] {
        ensure!(!said.contains(secret), "{secret} is in\n{said}");
    }
    Ok(())
}

/// Waits until the topic holds so many messages; each with its way and its value.
async fn sent_on(
    out: &Topic,
    count: usize,
    daemon: &Daemon,
) -> anyhow::Result<BTreeSet<(String, String)>> {
    let deadline = Instant::now() + SETTLE;
    loop {
        let read = out.read()?;
        if read.len() >= count {
            let one = |read: &tripline_tests::kafka::Read| {
                Ok((read.header("way")?.to_owned(), read.value.clone()))
            };
            return read.iter().map(one).collect();
        }
        ensure!(
            Instant::now() < deadline,
            "{} of {count} sent on\n{}",
            read.len(),
            daemon.stderr()
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn messages_come_and_go_over_tls_by_every_mechanism_and_who_is_wrong_is_told_why()
-> anyhow::Result<()> {
    let (authority, stranger) = (Authority::new("kafka")?, Authority::new("stranger")?);
    let kafka = Kafka::start_secured(&authority)?;
    let certificate = kafka.tls_brokers().context("it speaks TLS")?;
    let password = kafka.tls_sasl_brokers().context("it speaks TLS")?;
    let builds = Topic::create(&kafka.brokers(), "builds", 2).await?;
    let out = Topic::create(&kafka.brokers(), "out", 2).await?;
    let way = |name, url: &String, fields: &[&str]| Way {
        name,
        url: url.clone(),
        fields: fields.iter().map(|field| (*field).to_owned()).collect(),
    };
    let tls = format!("tls: {{{AUTHORITY}}}");
    let own = format!(
        "tls: {{{AUTHORITY}, clientCertSecret: {{name: kafka, key: certificate}}, clientKeySecret: {{name: kafka, key: key}}}}"
    );
    let stranger_s = "tls: {caCertSecret: {name: kafka, key: stranger}}";
    let any = "tls: {insecureSkipVerify: true}";
    let (plain, scram_256, scram_512) = (
        sasl("PLAIN", "password"),
        sasl("SCRAM-SHA-256", "password"),
        sasl("SCRAM-SHA-512", "password"),
    );
    let ways = [
        way("plain", &password, &[&tls, &plain]),
        way("scram-256", &password, &[&tls, &scram_256]),
        way("scram-512", &password, &[&tls, &scram_512]),
        way("certificate", &certificate, &[&own]),
        way("unverified", &password, &[any, &plain]),
    ];
    let wrong = [
        (
            way("password", &password, &[&tls, &sasl("SCRAM-SHA-512", "wrong")]),
            "the broker refuses user and password",
        ),
        (
            way("authority", &password, &[stranger_s, &plain]),
            "the broker's certificate is not trusted",
        ),
        (way("nobody", &certificate, &[&tls]), "the broker does not take the client's certificate"),
        (way("unencrypted", &kafka.brokers(), &[&tls]), "the broker speaks no TLS"),
    ];

    let place = Place::new()?;
    place.write("secret.yaml", &secret(&authority, &stranger)?)?;
    for of in &ways {
        place.write(&format!("{}.yaml", of.name), &both(of))?;
    }
    for (of, _) in &wrong {
        let (text, sends) = (both(of), sends_wrongly(place.port, of));
        let (source, _) = text.split_once("---\n").context("two documents")?;
        place.write(&format!("wrong-{}.yaml", of.name), &format!("{source}---\n{sends}"))?;
    }
    let checked = place.command(&["check", &place.yaml().display().to_string()])?.output()?;
    ensure!(
        checked.status.success(),
        "is the program built with `kafka-tls`?\n{}{}",
        String::from_utf8_lossy(&checked.stdout),
        String::from_utf8_lossy(&checked.stderr)
    );
    let daemon = place.spawn()?;
    builds.send((0..MESSAGES).map(|n| json!({"build": n}).to_string())).await?;

    let body = |number: usize| json!({"build": number.to_string()}).to_string();
    let expected: BTreeSet<(String, String)> = ways
        .iter()
        .flat_map(|of| (0..MESSAGES).map(|number| (of.name.to_owned(), body(number))))
        .collect();
    let found = sent_on(&out, expected.len(), &daemon).await?;
    ensure!(found == expected, "{found:?}");

    for (of, why) in &wrong {
        let source = format!("by-{}", of.name);
        let told = |status: &tripline::control::api::Status| {
            status
                .sources
                .iter()
                .any(|one| one.key.source == source && !one.ready && one.detail.starts_with(why))
        };
        daemon.status_when(&format!("{source}: {why}"), SOON, told).await?;
        let answer = tripline_tests::load::post(
            place.webhook(),
            &format!("/{}", of.name),
            &[],
            b"{\"build\":\"7\"}",
        )
        .await?;
        ensure!(answer.status == 200, "{answer:?}");
    }
    daemon.settled(SETTLE).await?;
    let letters = place.lines(&["dlq", "list"])?;
    ensure!(letters.len() == wrong.len(), "{letters:#?}");
    for (of, why) in &wrong {
        let sensor = format!("wrong-{}", of.name);
        let letter =
            letters.iter().map(ToString::to_string).find(|letter| letter.contains(&sensor));
        let letter = letter.with_context(|| format!("no letter of {sensor}"))?;
        ensure!(letter.contains(why), "{letter}");
        ended_without_secrets(&letter)?;
    }
    let doctor = place.command(&["doctor", &place.yaml().display().to_string()])?.output()?;
    let doctor = String::from_utf8_lossy(&doctor.stdout).into_owned();
    for said in ["topic `builds` is there with 2 partitions", "topic `out` is there"] {
        ensure!(doctor.contains(said), "{doctor}");
    }
    ended_without_secrets(&doctor)?;
    let ended = daemon.stop().await?;
    // A line for each change, however often it was tried: the client's first words may say less.
    for (of, _) in &wrong {
        let source = format!("by-{}/", of.name);
        let is_told = |line: &&str| line.contains("WARN") && line.contains(&source);
        let lines: Vec<&str> = ended.stderr.lines().filter(is_told).collect();
        ensure!((1..=2).contains(&lines.len()), "{lines:#?}");
    }
    ended_without_secrets(&ended.stderr)
}
