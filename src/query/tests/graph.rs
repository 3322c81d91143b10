use tripline_event::{Cause, EventKey, ObjectName};

use super::Logs;
use crate::query::graph::{GraphDependency, GraphSensor, GraphSource, GraphTrigger};
use crate::query::{Graph, GraphConfig};

fn config() -> GraphConfig {
    let dependency = |name: &str, source: &str| GraphDependency {
        name: name.into(),
        source: source.into(),
        event: "completed".into(),
    };
    GraphConfig {
        sources: vec![
            GraphSource {
                key: EventKey::new("ci", "builds", "completed"),
                kind: "webhook".into(),
                upstream: Some("POST :12000/builds".into()),
                trouble: None,
            },
            GraphSource {
                key: EventKey::new("ci", "lonely", "completed"),
                kind: "calendar".into(),
                upstream: None,
                trouble: Some("a cron expression that never occurs".into()),
            },
        ],
        sensors: vec![GraphSensor {
            name: ObjectName::new("ci", "deploy"),
            dependencies: vec![dependency("build", "builds"), dependency("image", "images")],
            triggers: vec![GraphTrigger {
                name: "submit".into(),
                kind: "argoWorkflow".into(),
                conditions: Some("build || \"image\"".into()),
                target: "local".into(),
            }],
        }],
    }
}

async fn graph() -> Graph {
    let mut logs = Logs::new();
    logs.hop("e-1", "build-1", "deploy-1").await;
    logs.event("deploys", "d-1", "deploy-1").await;
    let action = logs.hop("e-2", "build-2", "deploy-2").await;
    logs.dead(&action, Cause::Refused).await;
    logs.phase(&action, "deploy-2", "Failed", "image not found").await;
    logs.refused("builds", 3, "401: no such token").await;
    let event = logs.event("builds", "e-3", "build-3").await;
    logs.action("former", &[&event]).await;
    Graph::new(logs.bus.as_ref(), config(), None).await.unwrap()
}

#[tokio::test]
async fn the_tree_shows_what_is_configured_and_what_flowed() {
    let expected = "\
ci/builds/completed  webhook on POST :12000/builds, 3 events
└─ refused 3, the latest: 401: no such token
└─ ci/deploy  as build
   └─ submit when build || \"image\"  argoWorkflow on local, 2 fired, 2 succeeded, 1 dead letter
      └─ 2 workflows: 1 Failed
      └─ the latest error, at 2026-11-21T03:00:00Z: workflow deploy-2 Failed: image not found
      └─ its workflows publish ci/deploys/completed, 1 event
ci/lonely/completed  calendar, 0 events
└─ takes nothing in: a cron expression that never occurs
└─ nobody waits for it
ci/deploy  waits for images/completed, which no event source gives
ci/former/submit  not configured any more, 1 fired, 0 succeeded
";
    assert_eq!(graph().await.text(), expected);
}

#[tokio::test]
async fn dot_quotes_labels() {
    let dot = graph().await.dot();
    assert!(
        dot.contains(
            r#""sensor ci/deploy" -> "trigger ci/deploy/submit" [label="build || \"image\""];"#
        ),
        "{dot}"
    );
    for line in [
        r#""workflows ci/deploy/submit" -> "event ci/deploys/completed" [label="published 1", style=dashed];"#,
        r#""trigger ci/deploy/submit" -> "workflows ci/deploy/submit" [label="created", style=dashed];"#,
        r#""upstream POST :12000/builds" -> "event ci/builds/completed" [label=""];"#,
        r#"workflow deploy-2 Failed: image not found", shape=component, color=red];"#,
    ] {
        assert!(dot.contains(line), "{line}\n{dot}");
    }
}

#[tokio::test]
async fn mermaid_names_nodes_by_number_and_escapes_labels() {
    let mermaid = graph().await.mermaid();
    assert!(
        mermaid
            .starts_with("flowchart LR\n  n0([\"ci/builds/completed<br/>webhook, 3 events\"])\n"),
        "{mermaid}"
    );
    assert!(mermaid.contains(r#"|"build #124;#124; #34;image#34;"|"#), "{mermaid}");
    let nodes = |line: &str| line.split_whitespace().next().unwrap().to_owned();
    let known = |line: &str| ["n", "s"].iter().any(|word| nodes(line).starts_with(word));
    assert!(mermaid.lines().skip(1).all(known), "{mermaid}");
    assert!(mermaid.contains("stroke:red"), "{mermaid}");
}

#[tokio::test]
async fn nothing_configured_is_no_error() {
    let graph = Graph::default();
    assert_eq!(graph.text(), "there are no event sources and no sensors\n");
    assert!(graph.dot().ends_with("}\n"));
}

#[tokio::test]
async fn a_graph_of_files_counts_nothing() {
    let text = Graph::of_config(config()).text();
    assert!(text.starts_with("ci/builds/completed  webhook on POST :12000/builds\n"), "{text}");
    assert!(!text.contains("fired") && !text.contains("events"), "{text}");
}
