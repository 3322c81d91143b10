use bytes::Bytes;
use jiff::SignedDuration;
use tripline_bus::{Bus, Log};
use tripline_event::{
    Action, Cause, DeadLetter, EventKey, OutcomeKind, Position, outcome::LetterEvent,
};

use super::{At, Logs, time};
use crate::query::dead_letter::{
    Done, LetterFilter, dedup_id, drop, list, open_by_cause, retry, show,
};
use crate::query::{Filter, LetterState};

async fn all(logs: &Logs) -> Vec<(u32, LetterState)> {
    let everything = LetterFilter { closed: true, ..LetterFilter::default() };
    let items = list(logs.bus.as_ref(), &everything, 50).await.unwrap();
    items.into_iter().map(|item| (item.letter.round, item.state)).collect()
}

async fn open(logs: &Logs) -> usize {
    list(logs.bus.as_ref(), &LetterFilter::default(), 50).await.unwrap().len()
}

async fn dead_action(logs: &mut Logs, event: &str) -> Action {
    let event = logs.event("builds", event, "build-1").await;
    let action = logs.action("deploy", &[&event]).await;
    logs.dead(&action, Cause::Refused).await;
    action
}

async fn last_action(logs: &Logs) -> Action {
    let next = logs.bus.extent(Log::Actions).await.unwrap().next;
    let last = Position::new(next.incarnation, next.sequence - 1);
    Action::decode(&logs.bus.read(Log::Actions, last, 1).await.unwrap()[0].record).unwrap()
}

#[tokio::test]
async fn a_retried_letter_is_appended_as_the_next_round_with_as_much_time_as_at_first() {
    let mut logs = Logs::new();
    let action = dead_action(&mut logs, "e-1").await;
    let now = At(time("23:00:00"));
    let ids = [action.id.0[..10].to_owned()];
    let answers = retry(logs.bus.as_ref(), &now, "ada", &ids, false).await.unwrap();
    assert!(matches!(answers[0].done, Done::Retried { round: 1, .. }), "{answers:?}");

    let again = last_action(&logs).await;
    assert_eq!((again.id.clone(), again.round, again.attempted), (action.id.clone(), 1, false));
    assert_eq!(again.expires_at, now.0 + SignedDuration::from_hours(24));
    assert_eq!(all(&logs).await, [(0, LetterState::Retried { round: 1, at: now.0 })]);
    assert_eq!(open(&logs).await, 0);

    let twice = retry(logs.bus.as_ref(), &now, "ada", &ids, false).await.unwrap();
    assert!(matches!(&twice[0].done, Done::Nothing(why) if why.contains("round 1")), "{twice:?}");
    assert_eq!(last_action(&logs).await, again);

    logs.at("23:30:00");
    logs.dead(&again, Cause::Exhausted).await;
    let states = all(&logs).await;
    assert_eq!(states[1], (1, LetterState::Open), "it failed again: this is a letter of its own");
    let third = retry(logs.bus.as_ref(), &now, "ada", &ids, false).await.unwrap();
    assert!(matches!(third[0].done, Done::Retried { round: 2, .. }), "{third:?}");
    assert_eq!(show(logs.bus.as_ref(), &action.id.0).await.unwrap().len(), 2);
}

#[tokio::test]
async fn two_who_retry_one_letter_at_once_append_one_action() {
    let mut logs = Logs::new();
    let action = dead_action(&mut logs, "e-1").await;
    let now = At(time("23:00:00"));
    let ids = [action.id.0.clone()];
    let (one, two) = tokio::join!(
        retry(logs.bus.as_ref(), &now, "ada", &ids, false),
        retry(logs.bus.as_ref(), &now, "ben", &ids, false)
    );
    assert!(one.is_ok() && two.is_ok(), "{one:?}, {two:?}");
    let extent = logs.bus.extent(Log::Actions).await.unwrap();
    assert_eq!(extent.next.sequence - extent.first.sequence, 2);
}

#[tokio::test]
async fn a_dropped_letter_says_who_and_why_and_is_not_retried() {
    let mut logs = Logs::new();
    let action = dead_action(&mut logs, "e-1").await;
    let now = At(time("23:00:00"));
    let ids = [action.id.0.clone()];
    let answers = drop(logs.bus.as_ref(), &now, "ada", Some("known"), &ids).await.unwrap();
    assert_eq!(answers[0].done, Done::Dropped);
    let reason = "dropped by ada: known".to_owned();
    assert_eq!(all(&logs).await, [(0, LetterState::Dropped { at: now.0, reason })]);
    let answers = retry(logs.bus.as_ref(), &now, "ada", &ids, false).await.unwrap();
    assert!(matches!(answers[0].done, Done::Nothing(_)));
}

#[tokio::test]
async fn a_letter_without_action_is_called_by_its_position_and_can_only_be_dropped() {
    let mut logs = Logs::new();
    let letter = DeadLetter {
        action: None,
        trigger: None,
        round: 0,
        attempts: 0,
        cause: Cause::Parked,
        error: "it waited for 7 days".into(),
        events: vec![LetterEvent {
            dependency: None,
            key: EventKey::new("ci", "builds", "completed"),
            id: tripline_event::EventId("e-1".into()),
            position: Position::new(1, 1),
            data: serde_json::Value::Null,
            raw: None,
            envelope: None,
        }],
        record: None,
        sensor: None,
    };
    let position = logs.outcome(None, OutcomeKind::DeadLettered(Box::new(letter))).await;
    let now = At(time("23:00:00"));
    let ids = [position.to_string()];
    let answers = retry(logs.bus.as_ref(), &now, "ada", &ids, false).await.unwrap();
    assert!(matches!(answers[0].done, Done::Nothing(_)), "{answers:?}");
    drop(logs.bus.as_ref(), &now, "ada", None, &ids).await.unwrap();
    assert_eq!(open(&logs).await, 0);
}

#[tokio::test]
async fn letters_are_counted_by_cause_and_filtered() {
    let mut logs = Logs::new();
    let first = dead_action(&mut logs, "e-1").await;
    dead_action(&mut logs, "e-2").await;
    logs.dead(&first, Cause::Render).await;
    let counts = open_by_cause(logs.bus.as_ref()).await.unwrap();
    assert_eq!(counts.into_iter().collect::<Vec<_>>(), [(Cause::Render, 1), (Cause::Refused, 2)]);
    let filtered = |cause, pairs: &[(&str, &str)]| LetterFilter {
        cause,
        filter: Filter::from_pairs(pairs.iter().copied()).unwrap(),
        closed: false,
    };
    for (wanted, expected) in [
        (filtered(Some(Cause::Render), &[]), 1),
        (filtered(None, &[("match", "body.sha=4f*")]), 3),
        (filtered(None, &[("match", "body.sha=5*")]), 0),
        (filtered(None, &[("sensor", "verify")]), 0),
    ] {
        let found = list(logs.bus.as_ref(), &wanted, 50).await.unwrap().len();
        assert_eq!(found, expected, "{wanted:?}");
    }
    assert_eq!(list(logs.bus.as_ref(), &LetterFilter::default(), 1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn an_unknown_id_and_a_trimmed_action_are_told_apart() {
    let mut logs = Logs::new();
    let action = dead_action(&mut logs, "e-1").await;
    let next = logs.bus.extent(Log::Actions).await.unwrap().next;
    logs.bus.trim(Log::Actions, next).await.unwrap();
    let ids = ["nobody".to_owned(), action.id.0.clone()];
    let answers =
        retry(logs.bus.as_ref(), &At(time("23:00:00")), "ada", &ids, false).await.unwrap();
    assert_eq!(answers[0].done, Done::Unknown);
    assert!(matches!(&answers[1].done, Done::Nothing(why) if why.contains("trimmed")));
    assert!(show(logs.bus.as_ref(), "nobody").await.unwrap().is_empty());
}

#[test]
fn the_dedup_id_of_an_action_and_its_round_fits_every_bus() {
    let id = tripline_event::ActionId("0".repeat(32));
    assert!(dedup_id(&id, u32::MAX).len() <= tripline_bus::MAX_DEDUP_BYTES);
    assert_eq!(dedup_id(&id, 1), Bytes::from(format!("{id}/1")));
}

#[tokio::test]
async fn a_letter_is_sent_back_whole_although_the_logs_were_trimmed() {
    use tripline_event::{Envelope, LetterEvent};
    let mut logs = Logs::new();
    let event = logs.event("builds", "e-1", "build-1").await;
    let action = logs.action("deploy", &[&event]).await;
    let of = &action.events[0];
    let letter = DeadLetter {
        action: Some(action.id.clone()),
        trigger: Some(action.trigger.clone()),
        round: 0,
        attempts: 1,
        cause: Cause::Refused,
        error: "422".into(),
        events: vec![LetterEvent {
            dependency: Some(of.dependency.clone()),
            key: of.key.clone(),
            id: of.id.clone(),
            position: of.position,
            data: serde_json::from_slice(event.data.as_deref().unwrap_or(b"{}")).unwrap(),
            raw: None,
            envelope: Some(Box::new(Envelope::of(&event))),
        }],
        record: Some(Box::new(action.clone())),
        sensor: None,
    };
    logs.outcome(None, OutcomeKind::DeadLettered(Box::new(letter))).await;
    for log in [Log::Events, Log::Actions] {
        let end = logs.bus.extent(log).await.unwrap().next;
        logs.bus.trim(log, end).await.unwrap();
    }
    let ids = [action.id.0.clone()];
    let now = At(time("23:00:00"));
    let answers = retry(logs.bus.as_ref(), &now, "ada", &ids, false).await.unwrap();
    let Done::Retried { round: 1, position } = answers[0].done else { panic!("{answers:?}") };
    let page = logs.bus.read(Log::Actions, position, 1).await.unwrap();
    let again = Action::decode(&page[0].record).unwrap();
    assert_eq!((again.round, again.copies[0].event()), (1, Some(event)));
    // It is carried out, and trimmed from ACTIONS before its letter is from OUTCOMES.
    logs.submitted(&again, "deploy-x").await;
    logs.bus.trim(Log::Actions, position.next()).await.unwrap();
    assert_eq!(open(&logs).await, 0);
    let answers = retry(logs.bus.as_ref(), &now, "ada", &ids, false).await.unwrap();
    assert!(matches!(&answers[0].done, Done::Nothing(why) if why.contains("as round 1")));
}
