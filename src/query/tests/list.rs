use std::sync::Arc;

use tripline_bus::{Bus, Log};
use tripline_event::{Action, Position};

use super::{Logs, time};
use crate::query::{Filter, Item, Listing, PAGE, list};

async fn ids(logs: &Logs, log: Log, filter: &Filter, limit: usize) -> Vec<String> {
    let items = list(logs.bus.as_ref(), log, filter, limit).await.unwrap();
    items.into_iter().map(|item| item.id.unwrap_or_default()).collect()
}

fn filter(pairs: &[(&str, &str)]) -> Filter {
    Filter::from_pairs(pairs.iter().copied()).unwrap()
}

async fn some_events() -> Logs {
    let mut logs = Logs::new();
    logs.event_with("builds", "e-1", "build-1", r#"{"body":{"sha":"4f2a90","n":1}}"#).await;
    logs.at("03:10:00");
    logs.event_with("builds", "e-2", "build-2", r#"{"body":{"sha":"99999","n":2}}"#).await;
    logs.at("03:20:00");
    logs.event_with("images", "e-3", "build-1", r#"{"body":{"sha":"4f2b","n":1}}"#).await;
    let marker = tripline_event::EventsRecord::Time(time("03:21:00"));
    logs.append(Log::Events, marker.encode()).await;
    logs
}

#[tokio::test]
async fn events_are_listed_newest_last_and_filtered() {
    let logs = some_events().await;
    for (pairs, expected) in [
        (&[][..], &["e-1", "e-2", "e-3"][..]),
        (&[("source", "builds")], &["e-1", "e-2"]),
        (&[("source", "b*"), ("correlation", "build-?")], &["e-1", "e-2"]),
        (&[("correlation", "build-1")], &["e-1", "e-3"]),
        (&[("namespace", "prod")], &[]),
        (&[("event", "completed"), ("match", "body.sha=4f2a*")], &["e-1"]),
        (&[("match", "body.sha=4f*"), ("match", "body.n=1")], &["e-1", "e-3"]),
        (&[("match", "body.nothing=*")], &[]),
        (&[("since", "2026-11-21T03:05:00Z")], &["e-2", "e-3"]),
        (&[("since", "2026-11-21T03:05:00Z"), ("until", "2026-11-21T03:15:00Z")], &["e-2"]),
        (&[("markers", "true"), ("since", "2026-11-21T03:15:00Z")], &["e-3", ""]),
    ] {
        assert_eq!(ids(&logs, Log::Events, &filter(pairs), 50).await, expected, "{pairs:?}");
    }
    assert_eq!(ids(&logs, Log::Events, &Filter::default(), 2).await, ["e-2", "e-3"]);
    assert_eq!(ids(&logs, Log::Events, &Filter::default(), 0).await, [""; 0]);
}

#[tokio::test]
async fn a_listing_reaches_over_many_pages() {
    let mut logs = Logs::new();
    logs.event("rare", "first", "c").await;
    for at in 0..2 * PAGE + 10 {
        logs.event("builds", &format!("e-{at}"), "c").await;
    }
    assert_eq!(ids(&logs, Log::Events, &filter(&[("source", "rare")]), 5).await, ["first"]);
    let all = ids(&logs, Log::Events, &Filter::default(), 1_000_000).await;
    assert_eq!((all.len(), all[0].as_str(), all[1].as_str()), (2 * PAGE + 11, "first", "e-0"));
}

#[tokio::test]
async fn a_trimmed_log_is_listed_from_where_it_begins() {
    let mut logs = some_events().await;
    let extent = logs.bus.extent(Log::Events).await.unwrap();
    let third = Position::new(extent.first.incarnation, extent.first.sequence + 2);
    logs.bus.trim(Log::Events, third).await.unwrap();
    logs.event("builds", "e-4", "c").await;
    assert_eq!(ids(&logs, Log::Events, &Filter::default(), 50).await, ["e-3", "e-4"]);
}

#[tokio::test]
async fn actions_are_found_by_sensor_and_by_the_data_of_their_events() {
    let mut logs = Logs::new();
    let event = logs.event("builds", "e-1", "build-1").await;
    let mut action = logs.action("deploy", &[&event]).await;
    // The fixture's positions are made up; this one is the event's.
    action.events[0].position = logs.bus.extent(Log::Events).await.unwrap().first;
    action.trigger.trigger = "notify".into();
    logs.append(Log::Actions, action.encode()).await;
    for (pairs, expected) in [
        (&[("sensor", "deploy")][..], 2),
        (&[("sensor", "verify")], 0),
        (&[("trigger", "not*")], 1),
        (&[("source", "builds"), ("event", "completed")], 2),
        (&[("source", "images")], 0),
        (&[("match", "body.sha=4f2a*")], 1),
        (&[("match", "body.sha=5*")], 0),
    ] {
        assert_eq!(ids(&logs, Log::Actions, &filter(pairs), 50).await.len(), expected, "{pairs:?}");
    }
}

#[tokio::test]
async fn outcomes_are_found_by_what_they_are_about() {
    let mut logs = Logs::new();
    let action = logs.hop("e-1", "build-1", "deploy-1").await;
    logs.dead(&action, tripline_event::Cause::Refused).await;
    for (pairs, expected) in [
        (&[][..], 2),
        (&[("sensor", "deploy")], 2),
        (&[("source", "builds")], 1),
        (&[("namespace", "ci")], 2),
        (&[("namespace", "prod")], 0),
        (&[("correlation", "build-1")], 2),
    ] {
        let found = ids(&logs, Log::Outcomes, &filter(pairs), 50).await;
        assert_eq!(found.len(), expected, "{pairs:?}");
    }
}

#[tokio::test]
async fn a_question_that_makes_no_sense_is_refused() {
    let logs = Logs::new();
    for (log, pairs) in [
        (Log::Events, ("sensor", "x")),
        (Log::Events, ("trigger", "x")),
        (Log::Outcomes, ("match", "a=b")),
    ] {
        assert!(list(logs.bus.as_ref(), log, &filter(&[pairs]), 5).await.is_err(), "{pairs:?}");
    }
    for pairs in [("since", "yesterday"), ("match", "no pattern"), ("match", "=x")] {
        assert!(Filter::from_pairs([pairs]).is_err(), "{pairs:?}");
    }
}

#[tokio::test]
async fn a_filter_reads_back_from_its_parameters() {
    let pairs = [
        ("since", "2026-11-21T03:00:00Z"),
        ("until", "2026-11-22T03:00:00Z"),
        ("namespace", "ci"),
        ("source", "b*"),
        ("event", "completed"),
        ("sensor", "deploy"),
        ("trigger", "submit"),
        ("correlation", "a&b=c"),
        ("match", "body.sha=4f=a*"),
        ("match", "body.n=1"),
        ("markers", "true"),
    ];
    let read = filter(&pairs);
    let written = read.to_pairs();
    assert_eq!(written.len(), pairs.len());
    let again = Filter::from_pairs(written.iter().map(|(k, v)| (*k, v.as_str()))).unwrap();
    assert_eq!(again, read);
}

#[tokio::test]
async fn an_item_in_json_is_the_record_itself_and_its_position() {
    let mut logs = Logs::new();
    // Neither the order of the keys nor the number survives being parsed.
    let data = r#"{"z":1e400,"a":10000000000000000001}"#;
    logs.event_with("builds", "e-1", "c", data).await;
    let items = list(logs.bus.as_ref(), Log::Events, &Filter::default(), 1).await.unwrap();
    let position = items[0].position;
    let line = items[0].json_line();
    assert!(line.starts_with(&format!(r#"{{"position":"{position}","v":1,"record":"event""#)));
    assert!(line.ends_with(&format!(r#""data":{data}}}"#)), "{line}");
    let wire = serde_json::to_vec(&items[0]).unwrap();
    let back: Item = serde_json::from_slice(&wire).unwrap();
    assert_eq!(back.json_line(), line);
}

#[tokio::test]
async fn a_record_that_cannot_be_read_is_shown_as_such() {
    let logs = Logs::new();
    logs.append(Log::Actions, "no json".into()).await;
    logs.append(Log::Actions, r#"{"v":99}"#.into()).await;
    let items = list(logs.bus.as_ref(), Log::Actions, &Filter::default(), 5).await.unwrap();
    assert_eq!(items[0].kind, "unreadable");
    assert!(items[0].json_line().ends_with(r#""record":"no json"}"#), "{}", items[0].json_line());
    assert!(items[1].summary.contains("newer Tripline"), "{}", items[1].summary);
}

#[tokio::test]
async fn a_listing_that_follows_gives_what_is_appended_and_misses_and_repeats_nothing() {
    let mut logs = Logs::new();
    let event = logs.event("builds", "e-1", "c").await;
    logs.action("deploy", &[&event]).await;
    let bus: Arc<dyn Bus> = logs.bus.clone();
    let only = filter(&[("sensor", "deploy")]);
    let mut listing = Listing::new(bus, Log::Actions, &only, 5, true).await.unwrap();
    assert!(listing.next().await.unwrap().is_some());

    let waiting = tokio::time::timeout(std::time::Duration::ZERO, listing.next()).await;
    assert!(waiting.is_err(), "there is nothing yet");
    logs.action("verify", &[&event]).await;
    let action: Action = logs.action("deploy", &[&event, &event]).await;
    let item = listing.next().await.unwrap().unwrap();
    assert_eq!(item.id, Some(action.id.0));
}
