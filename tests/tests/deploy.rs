//! The alerts are ones that Prometheus takes, each has its place in the runbook, and every
//! metric that they and the dashboard ask for is there.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

fn file(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path)
}

fn text(path: &str) -> anyhow::Result<String> {
    std::fs::read_to_string(file(path)).with_context(|| path.to_owned())
}

/// What follows `key:` on its line, wherever it stands.
fn values<'a>(yaml: &'a str, key: &str) -> Vec<&'a str> {
    let key = format!("{key}: ");
    let value = |line: &'a str| line.trim_start_matches([' ', '-']).strip_prefix(key.as_str());
    yaml.lines().filter_map(value).collect()
}

/// Every word of a text that may be the name of a metric.
fn metrics_in(text: &str) -> BTreeSet<&str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
        .filter(|word| word.starts_with("tripline_") || word.starts_with("argo_events_"))
        .collect()
}

/// The expressions of a dashboard.
fn expressions(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(text) if name == "expr" || name == "query" => {
                        found.push(text.clone());
                    }
                    _ => expressions(value, found),
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| expressions(item, found)),
        _ => {}
    }
}

#[test]
fn prometheus_takes_the_alerts_and_they_fire_when_they_should() -> anyhow::Result<()> {
    let promtool = tripline_testbed::installed("promtool")?.join("promtool");
    for arguments in
        [["check", "rules", "deploy/alerts.yaml"], ["test", "rules", "deploy/alerts_test.yaml"]]
    {
        let output = Command::new(&promtool).args(arguments).current_dir(file("")).output()?;
        let said = String::from_utf8_lossy(&output.stdout);
        let error = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "promtool {}:\n{said}{error}", arguments.join(" "));
    }
    Ok(())
}

#[test]
fn every_alert_has_a_section_in_the_runbook_and_every_section_an_alert() -> anyhow::Result<()> {
    let (alerts, runbook) = (text("deploy/alerts.yaml")?, text("docs/runbook.md")?);
    let names = values(&alerts, "alert");
    let sections: Vec<&str> = runbook.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    ensure!(names == sections, "alerts {names:?}, sections {sections:?}");
    let links: Vec<String> =
        names.iter().map(|name| format!("docs/runbook.md#{}", name.to_lowercase())).collect();
    ensure!(values(&alerts, "runbook") == links, "{:?}", values(&alerts, "runbook"));
    Ok(())
}

/// The metrics of `docs/operations.md`, which another test compares with those of a daemon. A
/// daemon itself shows a metric only when there is something to count.
#[test]
fn there_is_every_metric_that_is_asked_for() -> anyhow::Result<()> {
    let page = text("docs/operations.md")?;
    let known: BTreeSet<&str> = page
        .lines()
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next())
        .filter(|name| metrics_in(name).contains(name))
        .collect();
    let mut asked = vec![text("deploy/alerts.yaml")?, text("docs/runbook.md")?];
    expressions(&serde_json::from_str(&text("deploy/dashboard.json")?)?, &mut asked);
    ensure!(asked.len() > 20, "the dashboard has {} expressions", asked.len());
    let suffixes = ["", "_total", "_bucket", "_sum", "_count"];
    for metric in asked.iter().flat_map(|text| metrics_in(text)) {
        let is_known = suffixes
            .iter()
            .filter_map(|suffix| metric.strip_suffix(suffix))
            .any(|family| known.contains(family));
        ensure!(is_known, "`{metric}` is no metric of the daemon: it has {known:?}");
    }
    Ok(())
}
