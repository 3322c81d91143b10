//! Every command that looks back says how far the logs reach, to people and to programs, whether
//! a daemon runs or not.

use anyhow::{Context, ensure};
use serde_json::Value;
use tripline_tests::daemon::{Place, SOON};
use tripline_tests::load::post;
use tripline_tests::resources::{event_source, workflow_sensor};

const ALL: [&str; 3] = ["events", "actions", "outcomes"];

/// Lists, and the log that each is read from. Their items alone are on the standard output.
const LISTS: [(&[&str], &str); 7] = [
    (&["events"], "events"),
    (&["actions", "--limit", "1"], "actions"),
    (&["outcomes", "--since", "1h"], "outcomes"),
    (&["workflows", "list"], "outcomes"),
    (&["dlq", "list"], "outcomes"),
    (&["dlq", "list", "--by-cause", "--closed"], "outcomes"),
    (&["audit"], "outcomes"),
];

/// Answers that are one object.
const OBJECTS: [(&[&str], &[&str]); 3] = [
    (&["trace", "b-1"], &ALL),
    (&["explain", "b-1"], &ALL),
    (&["explain", "--sensor", "ci/deploy"], &ALL),
];

/// What a command prints: on the standard output, and on the error output.
fn said(place: &Place, arguments: &[&str]) -> anyhow::Result<(String, String)> {
    let output = place.command(arguments)?.env("TRIPLINE_DATA", place.data()).output()?;
    let (out, err) = (String::from_utf8(output.stdout)?, String::from_utf8(output.stderr)?);
    ensure!(output.status.success(), "{arguments:?} ended with {}:\n{out}{err}", output.status);
    Ok((out, err))
}

fn json(text: &str) -> anyhow::Result<Vec<Value>> {
    let values = text.lines().map(serde_json::from_str).collect::<Result<_, _>>();
    values.with_context(|| format!("no JSON on each line:\n{text}"))
}

/// Whether each of these logs says since when it has records.
fn reach(extents: &[Value], logs: &[&str]) -> anyhow::Result<()> {
    let said: Vec<&Value> = extents.iter().map(|extent| &extent["log"]).collect();
    ensure!(said == logs, "{extents:?} for {logs:?}");
    ensure!(extents.iter().all(|extent| extent["oldest"].is_string()), "{extents:?}");
    Ok(())
}

fn all_say_it(place: &Place, objects: &[(&[&str], &[&str])]) -> anyhow::Result<()> {
    let lists = LISTS.map(|(arguments, log)| (arguments, [log]));
    let lists = lists.iter().map(|(arguments, log)| (*arguments, &log[..], true));
    let objects = objects.iter().map(|(arguments, logs)| (*arguments, *logs, false));
    for (arguments, logs, is_list) in lists.chain(objects) {
        let what = || format!("{arguments:?}");
        let (_, err) = said(place, arguments)?;
        for log in logs {
            let line = format!("the log of {log} reaches back to 2");
            ensure!(err.matches(&line).count() == 1, "{arguments:?} says:\n{err}");
        }
        ensure!(err.lines().count() == logs.len(), "{arguments:?} says:\n{err}");
        let (out, err) = said(place, &[arguments, &["--output", "json"]].concat())?;
        let out = json(&out).with_context(what)?;
        if is_list {
            ensure!(out.iter().all(|item| item.get("logs").is_none()), "{out:?}");
            reach(&json(&err).with_context(what)?, logs).with_context(what)?;
        } else {
            ensure!(err.is_empty() && out.len() == 1, "{arguments:?} says:\n{out:?}\n{err}");
            let extents = out[0]["logs"].as_array().with_context(what)?;
            reach(extents, logs).with_context(what)?;
        }
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_command_that_looks_back_says_how_far_the_logs_reach() -> anyhow::Result<()> {
    let place = Place::new()?;
    place.write("event-source.yaml", &event_source(place.port))?;
    place.write("deploy.yaml", &workflow_sensor("deploy"))?;
    let daemon = place.start().await?;
    let empty = said(&place, &["outcomes"])?.1;
    ensure!(empty.contains("the log of outcomes is empty"), "{empty}");
    let body = br#"{"action": "completed", "correlation_id": "b-1"}"#;
    let answer = post(place.webhook(), "/builds", &[("webhook-id", "e-1")], body).await?;
    ensure!(answer.status == 200, "{answer:?}");
    daemon.settled(SOON).await?;
    let files = place.yaml().display().to_string();
    let asked = [
        (&["replay", "--sensor", "ci/deploy", "--since", "1h", "--dry-run"][..], &["events"][..]),
        (&["backtest", files.as_str()][..], &["events"][..]),
    ];
    all_say_it(&place, &[&OBJECTS[..], &asked[..]].concat())?;
    let nothing = place.command(&["dlq", "show", "b0169c91"])?;
    let output = { nothing }.env("TRIPLINE_DATA", place.data()).output()?;
    let err = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(4) && err.contains("the log of outcomes"), "{err}");
    ensure!(daemon.stop().await?.status.success());
    // At rest.
    all_say_it(&place, &OBJECTS[..1])
}
