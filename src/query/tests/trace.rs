use tripline_bus::Log;
use tripline_event::{EventId, EventKey, OutcomeKind, Position};

use super::Logs;
use crate::query::{Step, Timeline, Trace, trace};

async fn found(logs: &Logs, handle: &str) -> Timeline {
    match trace(logs.bus.as_ref(), handle).await.unwrap() {
        Trace::Found(timeline) => timeline,
        Trace::Unknown(unknown) => panic!("{unknown:?}"),
    }
}

/// Each entry as `depth step id`.
fn steps(timeline: &Timeline) -> Vec<String> {
    let entries = timeline.entries.iter();
    entries
        .map(|e| {
            let id = e.id.as_deref().unwrap_or_default();
            let id = if e.step == Step::Received { id } else { "" };
            format!("{} {} {id}", e.depth, e.step.as_str()).trim_end().to_owned()
        })
        .collect()
}

/// Three workflows, each of which published an event with its own name; and a stranger.
async fn three_hops() -> Logs {
    let mut logs = Logs::new();
    logs.hop("e-1", "build-4711", "deploy-1").await;
    logs.hop("stranger", "build-9999", "deploy-9").await;
    logs.hop("e-2", "deploy-1", "verify-2").await;
    logs.hop("e-3", "verify-2", "promote-3").await;
    logs.event("ends", "e-4", "promote-3").await;
    logs
}

const THREE_HOPS: [&str; 10] = [
    "0 received e-1",
    "1 decided",
    "1 succeeded",
    "1 received e-2",
    "2 decided",
    "2 succeeded",
    "2 received e-3",
    "3 decided",
    "3 succeeded",
    "3 received e-4",
];

#[tokio::test]
async fn a_chain_of_workflows_is_found_whole_from_any_of_its_ids() {
    let logs = three_hops().await;
    let action = found(&logs, "e-2").await.entries[4].id.clone().unwrap();
    for handle in
        ["build-4711", "deploy-1", "ci/verify-2", "promote-3", "e-1", "e-4", &action, &action[..10]]
    {
        let timeline = found(&logs, handle).await;
        assert_eq!(steps(&timeline), THREE_HOPS, "from {handle}");
        assert_eq!(timeline.roots, ["build-4711"], "from {handle}");
        assert!(!timeline.truncated);
    }
}

/// What led to what, as a drawing.
#[tokio::test]
async fn a_chain_is_drawn_along_what_really_flowed() {
    let mut logs = three_hops().await;
    let event = logs.event("builds", "e-5", "build-4711").await;
    let action = logs.action("deploy", &[&event]).await;
    logs.dead(&action, tripline_event::Cause::Refused).await;
    let timeline = found(&logs, "build-4711").await;
    let points: Vec<String> = timeline.chain.points.iter().map(|it| it.id.clone()).collect();
    assert!(points.contains(&"workflow ci/verify-2".to_owned()), "{points:?}");
    assert!(!points.iter().any(|id| id.contains("stranger")), "{points:?}");
    let dot = timeline.dot();
    for line in [
        r#""workflow ci/deploy-1" -> "event ci/builds/completed e-2" [label="published"];"#,
        r#""workflow ci/promote-3" -> "event ci/ends/completed e-4" [label="published"];"#,
        r#"dead letter: refused\nthe target answered 400", shape=component, color=red];"#,
    ] {
        assert!(dot.contains(line), "{line}\n{dot}");
    }
    assert!(timeline.mermaid().starts_with("flowchart LR\n"));
}

#[tokio::test]
async fn a_position_is_a_handle_too() {
    let logs = three_hops().await;
    let position = found(&logs, "e-3").await.entries[6].position;
    assert_eq!(steps(&found(&logs, &position.to_string()).await), THREE_HOPS);
}

#[tokio::test]
async fn an_action_that_joins_two_chains_is_found_from_both() {
    let mut logs = Logs::new();
    let image = logs.event("images", "i-1", "image-1").await;
    let config = logs.event("configs", "c-1", "config-1").await;
    let action = logs.action("deploy", &[&image, &config]).await;
    logs.submitted(&action, "deploy-1").await;
    for handle in ["image-1", "config-1", "deploy-1", "i-1"] {
        let timeline = found(&logs, handle).await;
        assert_eq!(
            steps(&timeline),
            ["0 received i-1", "0 received c-1", "1 decided", "1 succeeded"],
            "from {handle}"
        );
        assert_eq!(timeline.roots, ["config-1", "image-1"]);
    }
}

#[tokio::test]
async fn what_an_operator_did_to_an_action_and_its_repetitions_are_in_its_timeline() {
    let mut logs = Logs::new();
    let action = logs.hop("e-1", "build-1", "deploy-1").await;
    let operator = OutcomeKind::Operator {
        who: "ada".into(),
        did: "retry".into(),
        subject: action.id.0.clone(),
        reason: None,
        count: None,
    };
    logs.outcome(None, operator).await;
    let duplicate = OutcomeKind::Duplicate {
        key: EventKey::new("ci", "builds", "completed"),
        id: EventId("e-1".into()),
        position: Position::new(1, 2),
        first: Position::new(1, 1),
    };
    logs.outcome(Some(action.links.root()), duplicate).await;
    let expected = ["0 received e-1", "1 decided", "1 succeeded", "1 operator", "0 duplicate"];
    assert_eq!(steps(&found(&logs, "build-1").await), expected);
}

#[tokio::test]
async fn an_id_with_quotes_and_line_breaks_is_found() {
    let mut logs = Logs::new();
    let id = "a \"quoted\"\r\n\\ 🚀 id";
    logs.hop("e-1", id, "deploy-1").await;
    let timeline = found(&logs, id).await;
    assert_eq!(timeline.entries.len(), 3);
    assert!(timeline.text(false).lines().count() == 6, "an id cannot make lines of its own");
}

#[tokio::test]
async fn an_id_that_only_occurs_inside_other_texts_is_unknown() {
    let mut logs = Logs::new();
    logs.event_with("builds", "e-1", "build-1", r#"{"body":{"note":"secret-id"}}"#).await;
    assert!(matches!(trace(logs.bus.as_ref(), "secret-id").await.unwrap(), Trace::Unknown(_)));
    assert!(matches!(trace(logs.bus.as_ref(), "").await.unwrap(), Trace::Unknown(_)));
    assert!(matches!(trace(logs.bus.as_ref(), "ci/").await.unwrap(), Trace::Unknown(_)));
}

#[tokio::test]
async fn an_unknown_handle_says_how_far_was_looked_and_what_is_like_it() {
    let logs = three_hops().await;
    let Trace::Unknown(unknown) = trace(logs.bus.as_ref(), "build-4771").await.unwrap() else {
        panic!("it is not known");
    };
    assert_eq!(unknown.similar.first().map(String::as_str), Some("build-4711"));
    assert!(!unknown.similar.contains(&"build-9999".to_owned()));
    let events = &unknown.looked[0];
    assert_eq!((events.log.as_str(), events.records), ("events", 5));
    assert_eq!(events.oldest, Some(super::time("03:00:00.001")));
    assert_eq!(events.newest, Some(super::time("03:00:00.013")));
}

#[tokio::test]
async fn empty_logs_are_no_error() {
    let logs = Logs::new();
    let Trace::Unknown(unknown) = trace(logs.bus.as_ref(), "x").await.unwrap() else { panic!() };
    assert!(unknown.looked.iter().all(|log| log.records == 0 && log.oldest.is_none()));
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_counted_and_the_rest_is_shown() {
    let logs = three_hops().await;
    logs.append(Log::Outcomes, r#"{"v":99,"correlation":"build-4711"}"#.into()).await;
    let timeline = found(&logs, "build-4711").await;
    assert_eq!(timeline.unreadable, 1);
    assert_eq!(steps(&timeline), THREE_HOPS);
}

#[tokio::test]
async fn the_text_indents_by_hop_and_counts_time_from_the_first_entry() {
    let logs = three_hops().await;
    let text = found(&logs, "build-4711").await.text(false);
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines[0], "chain     build-4711");
    assert_eq!(lines[1], "in all    4 events, 3 actions, 3 successes in 12.0ms");
    assert_eq!(lines[2], "began     2026-11-21T03:00:00.001Z");
    assert!(lines[3].starts_with("      +0ns  received     ci/builds/completed  webhook e-1"));
    assert!(
        lines[5].starts_with("    +2.0ms    succeeded    ci/deploy/submit  workflow ci/deploy-1")
    );
    assert!(lines[12].starts_with("   +12.0ms        received     ci/ends/completed"), "{text}");
}
