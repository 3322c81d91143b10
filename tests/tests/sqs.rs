//! The source on SQS in the daemon: a role, and what is no event. What each message becomes is
//! tested beside the source.

use std::process::Command;

use anyhow::ensure;
use serde_json::Value;
use tripline_testbed::{AWS_ACCESS_KEY_ID, AWS_REGION, AWS_SECRET_ACCESS_KEY, Moto};
use tripline_tests::daemon::{Daemon, Place, SOON};

const ROLE: &str = "arn:aws:iam::123456789012:role/tripline";

/// Runs a program with Amazon's client, and gives what it prints.
fn boto3(moto: &Moto, program: &str) -> anyhow::Result<String> {
    let mut command: Command = moto.boto3();
    let program = format!("import boto3\nsqs = boto3.client('sqs')\n{program}");
    let output = command.args(["-c", &program]).output()?;
    let stderr = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{program}: {stderr}");
    Ok(String::from_utf8(output.stdout)?.trim().to_owned())
}

fn send(moto: &Moto, body: &str) -> anyhow::Result<String> {
    boto3(
        moto,
        &format!(
            "url = sqs.get_queue_url(QueueName='builds')['QueueUrl']\n\
             print(sqs.send_message(QueueUrl=url, MessageBody='''{body}''')['MessageId'])"
        ),
    )
}

/// A queue, and a daemon with an event source on it; `more` are fields of the event.
async fn daemon(moto: &Moto, place: &mut Place, more: &str) -> anyhow::Result<Daemon> {
    boto3(moto, "sqs.create_queue(QueueName='builds')")?;
    let endpoint = moto.endpoint();
    place.write(
        "builds.yaml",
        &format!(
            r#"apiVersion: argoproj.io/v1alpha1
kind: EventSource
metadata: {{ name: builds, namespace: ci }}
spec:
  sqs:
    completed:
      queue: builds
      region: {AWS_REGION}
      endpoint: {endpoint}
      jsonBody: true
      accessKey: {{ name: aws, key: access }}
      secretKey: {{ name: aws, key: secret }}
{more}---
apiVersion: v1
kind: Secret
metadata: {{ name: aws, namespace: ci }}
stringData: {{ access: {AWS_ACCESS_KEY_ID}, secret: {AWS_SECRET_ACCESS_KEY} }}
"#
        ),
    )?;
    place.start().await
}

async fn metric_is(daemon: &Daemon, name: &str, expected: f64) -> anyhow::Result<()> {
    let deadline = std::time::Instant::now() + SOON;
    loop {
        // Before the first there is no series.
        let value = daemon.metric(name).await.unwrap_or(0.0);
        if value == expected {
            return Ok(());
        }
        ensure!(std::time::Instant::now() < deadline, "{name} is {value}\n{}", daemon.stderr());
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
}

fn left(moto: &Moto) -> anyhow::Result<String> {
    boto3(
        moto,
        "url = sqs.get_queue_url(QueueName='builds')['QueueUrl']\n\
         counts = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=['All'])['Attributes']\n\
         print(counts['ApproximateNumberOfMessages'], counts['ApproximateNumberOfMessagesNotVisible'])",
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_is_assumed_and_no_secret_is_printed() -> anyhow::Result<()> {
    let moto = Moto::start()?;
    let mut place = Place::new()?;
    place.environment.push(("AWS_ENDPOINT_URL_STS", moto.endpoint()));
    place.environment.push(("RUST_LOG", "debug".to_owned()));
    let daemon = daemon(&moto, &mut place, &format!("      roleARN: {ROLE}\n")).await?;
    let id = send(&moto, r#"{"correlation_id": "build-7"}"#)?;
    metric_is(&daemon, "argo_events_events_sent_total", 1.0).await?;
    let trace = place.text(&["trace", "build-7"])?;
    ensure!(trace.contains(&id), "{trace}");
    let ended = daemon.stop().await?;
    ensure!(ended.status.success(), "{}", ended.stderr);
    ensure!(!ended.stderr.contains(AWS_SECRET_ACCESS_KEY), "the secret is in the log");
    ensure!(left(&moto)? == "0 0", "{}", left(&moto)?);
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_event_is_a_dead_letter_that_can_be_read_and_dropped() -> anyhow::Result<()> {
    let moto = Moto::start()?;
    let mut place = Place::new()?;
    let daemon = daemon(&moto, &mut place, "").await?;
    let id = send(&moto, "no JSON")?;
    metric_is(&daemon, "tripline_events_unreadable_total", 1.0).await?;
    metric_is(&daemon, "tripline_dead_letters_total", 1.0).await?;
    send(&moto, r#"{"correlation_id": "build-8"}"#)?;
    metric_is(&daemon, "argo_events_events_sent_total", 1.0).await?;

    let letters: Vec<Value> = place.lines(&["dlq", "list", "--cause", "malformed"])?;
    ensure!(letters.len() == 1, "{letters:?}");
    let letter = letters[0]["id"].as_str().unwrap_or_default().to_owned();
    let shown = place.text(&["dlq", "show", &letter])?;
    for expected in
        ["malformed", "message body is not valid JSON", &id, "7 bytes from sqs", "no JSON"]
    {
        ensure!(shown.contains(expected), "{expected} is not in\n{shown}");
    }
    let retried =
        place.text(&["dlq", "retry", &letter]).unwrap_or_else(|error| format!("{error:#}"));
    ensure!(retried.contains("it has no action to carry out"), "{retried}");
    ensure!(place.text(&["trace", &id])?.contains("deadLettered"));
    place.text(&["dlq", "drop", &letter])?;
    ensure!(place.lines(&["dlq", "list"])?.is_empty());
    let ended = daemon.stop().await?;
    ensure!(ended.status.success(), "{}", ended.stderr);
    ensure!(left(&moto)? == "0 0", "{}", left(&moto)?);
    Ok(())
}
