//! Workflows in clusters, as outcomes tell of them, beside those of the local target.

use std::sync::Arc;

use tripline_bus::Bus;
use tripline_event::outcome::TargetResult;
use tripline_event::{Action, CorrelationId, OutcomeKind};

use super::Logs;
use crate::query::workflow::{self, Wanted, Workflow};

impl Logs {
    async fn in_cluster(&mut self, action: &Action, cluster: &str, name: &str) {
        let result = TargetResult::Workflow {
            target: cluster.into(),
            namespace: "ci".into(),
            name: name.into(),
            already: false,
        };
        let kind = OutcomeKind::Succeeded {
            action: action.id.clone(),
            trigger: action.trigger.clone(),
            round: 0,
            attempt: 1,
            took_ms: 3,
            hops: 1,
            result,
        };
        self.outcome(Some(action.links.root()), kind).await;
    }

    async fn reached(&mut self, action: &Action, cluster: &str, name: &str, phase: &str) {
        let kind = OutcomeKind::Workflow {
            target: cluster.into(),
            namespace: "ci".into(),
            name: name.into(),
            phase: phase.into(),
            action: action.id.clone(),
            message: (phase == "Failed").then(|| "image not found".into()),
        };
        self.outcome(Some(action.links.root()), kind).await;
    }

    async fn workflows(&self, wanted: Wanted, limit: usize) -> Vec<Workflow> {
        let bus: Arc<dyn Bus> = self.bus.clone();
        workflow::list(bus, &wanted, limit).await.unwrap()
    }
}

fn lines(workflows: &[Workflow]) -> Vec<String> {
    let line = |of: &Workflow| {
        format!("{} {}/{} {} {}", of.target, of.namespace, of.name, of.phase, of.correlation)
    };
    workflows.iter().map(line).collect()
}

async fn logs() -> Logs {
    let mut logs = Logs::new();
    for (number, cluster, phases) in [
        (1, "build", &["Running", "Succeeded"][..]),
        (2, "prod", &["Pending", "Running", "Failed"]),
        (3, "prod", &["Running"]),
        (4, "build", &[]),
    ] {
        let event = logs.event("builds", &format!("e-{number}"), &format!("c-{number}")).await;
        let action = logs.action("deploy", &[&event]).await;
        let name = format!("deploy-{number}");
        logs.in_cluster(&action, cluster, &name).await;
        for phase in phases {
            logs.reached(&action, cluster, &name, phase).await;
        }
    }
    logs
}

#[tokio::test]
async fn a_workflow_in_a_cluster_is_listed_with_the_phase_that_it_reached_last() {
    let logs = logs().await;
    let all = [
        "build ci/deploy-1 Succeeded c-1",
        "prod ci/deploy-2 Failed c-2",
        "prod ci/deploy-3 Running c-3",
        "build ci/deploy-4 Submitted c-4",
    ];
    let text = |value: &str| Some(value.to_owned());
    for (wanted, limit, expected) in [
        (Wanted::default(), 10, &all[..]),
        (Wanted::default(), 2, &all[2..]),
        (Wanted { target: text("prod"), ..Wanted::default() }, 10, &all[1..3]),
        (Wanted { target: text("prod"), ..Wanted::default() }, 1, &all[2..3]),
        (Wanted { target: text("local"), ..Wanted::default() }, 10, &[]),
        (Wanted { phase: text("Failed"), ..Wanted::default() }, 10, &all[1..2]),
        (Wanted { phase: text("Recorded"), ..Wanted::default() }, 10, &[]),
        (Wanted { namespace: text("other"), ..Wanted::default() }, 10, &[]),
        (
            Wanted { correlation: Some(CorrelationId("c-4".into())), ..Wanted::default() },
            10,
            &all[3..],
        ),
    ] {
        assert_eq!(lines(&logs.workflows(wanted.clone(), limit).await), expected, "{wanted:?}");
    }
}

#[tokio::test]
async fn one_of_a_cluster_is_found_by_its_name_with_why_it_failed() {
    let logs = logs().await;
    let bus: Arc<dyn Bus> = logs.bus.clone();
    let found = workflow::get(Arc::clone(&bus), "ci", "deploy-2").await.unwrap().unwrap();
    assert_eq!(found.message.as_deref(), Some("image not found"));
    assert!(found.finished_at.is_some_and(|at| at > found.created_at), "{found:?}");
    assert_eq!(found.trigger.as_ref().map(|of| of.sensor.as_str()), Some("deploy"));
    assert!(found.object.is_none());
    let running = workflow::get(Arc::clone(&bus), "ci", "deploy-3").await.unwrap().unwrap();
    assert_eq!(running.finished_at, None);
    assert_eq!(workflow::get(bus, "ci", "deploy-9").await.unwrap(), None);
}
