//! Keys, their revisions and their order.

use tokio::task::JoinSet;

use super::*;
use crate::{Entry, MAX_KEY_BYTES, MAX_RECORD_BYTES, Revision, WriteError};

async fn put(bus: &dyn Bus, key: &str, value: &'static str, expected: Revision) -> Revision {
    bus.put(key, Bytes::from_static(value.as_bytes()), expected).await.unwrap()
}

fn assert_conflict<T: std::fmt::Debug>(result: Result<T, WriteError>, at: Revision) {
    match result {
        Err(WriteError::Conflict { found, .. }) => assert_eq!(found, at),
        other => panic!("{other:?}"),
    }
}

pub(super) async fn a_key_changes_only_from_the_expected_revision(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    assert_eq!(bus.get("a").await.unwrap(), None);
    assert_conflict(bus.put("a", Bytes::new(), Revision(7)).await, Revision::ABSENT);
    assert_conflict(bus.delete("a", Revision(7)).await, Revision::ABSENT);
    bus.delete("a", Revision::ABSENT).await.unwrap();
    let first = put(&*bus, "a", "1", Revision::ABSENT).await;
    assert!(first > Revision::ABSENT);
    assert_conflict(bus.put("a", Bytes::new(), Revision::ABSENT).await, first);
    let second = put(&*bus, "a", "2", first).await;
    assert!(second > first);
    assert_conflict(bus.put("a", Bytes::new(), first).await, second);
    assert_conflict(bus.delete("a", first).await, second);
    assert_conflict(bus.delete("a", Revision::ABSENT).await, second);
    let entry = Entry { revision: second, value: "2".into() };
    assert_eq!(bus.get("a").await.unwrap(), Some(entry));
    bus.delete("a", second).await.unwrap();
    assert_eq!(bus.get("a").await.unwrap(), None);
}

pub(super) async fn a_revision_is_never_used_again(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let first = put(&*bus, "a", "1", Revision::ABSENT).await;
    bus.delete("a", first).await.unwrap();
    drop(bus);
    let bus = site.open().await;
    let second = put(&*bus, "a", "2", Revision::ABSENT).await;
    assert!(second > first);
    assert_conflict(bus.put("a", Bytes::new(), first).await, second);
}

pub(super) async fn of_concurrent_puts_one_wins(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let mut expected = Revision::ABSENT;
    for _ in 0..5 {
        let mut tasks = JoinSet::new();
        for task in 0..32 {
            let bus = Arc::clone(&bus);
            tasks.spawn(async move {
                let value = format!("{task}");
                bus.put("a", value.clone().into(), expected).await.map(|new| (new, value))
            });
        }
        let results = tasks.join_all().await;
        let won: Vec<_> = results.iter().filter_map(|result| result.as_ref().ok()).collect();
        assert_eq!(won.len(), 1);
        let (revision, value) = won[0].clone();
        let entry = Entry { revision, value: value.into() };
        assert_eq!(bus.get("a").await.unwrap(), Some(entry));
        for lost in results.into_iter().filter(Result::is_err) {
            assert_conflict(lost, revision);
        }
        expected = revision;
    }
}

pub(super) async fn any_bytes_are_a_value(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let all: Vec<u8> = (0..=255).cycle().take(10_000).collect();
    for (key, value) in [("empty", vec![]), ("all", all), ("large", vec![3; MAX_RECORD_BYTES])] {
        bus.put(key, value.clone().into(), Revision::ABSENT).await.unwrap();
        assert_eq!(bus.get(key).await.unwrap().unwrap().value, value);
    }
    let too_large = bus.put("x", vec![3; MAX_RECORD_BYTES + 1].into(), Revision::ABSENT).await;
    assert!(matches!(too_large, Err(WriteError::TooLarge { .. })), "{too_large:?}");
    assert_eq!(bus.get("x").await.unwrap(), None);
}

pub(super) async fn keys_come_in_order_and_in_pages(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    for key in ["b/2", "a", "b/10", "b", "b/1", "c", "b0", "b/1/x"] {
        put(&*bus, key, "", Revision::ABSENT).await;
    }
    for (prefix, after, max, expected) in [
        ("", None, 100, "a b b/1 b/1/x b/10 b/2 b0 c"),
        ("b/", None, 100, "b/1 b/1/x b/10 b/2"),
        ("b/", None, 2, "b/1 b/1/x"),
        ("b/", Some("b/1/x"), 100, "b/10 b/2"),
        ("b/", Some("b/1/"), 1, "b/1/x"),
        ("b/", Some("a"), 1, "b/1"),
        ("b/", Some("c"), 100, ""),
        ("b/", None, 0, ""),
        ("d", None, 100, ""),
        ("c", Some("c"), 100, ""),
        ("", Some(""), 1, "a"),
        ("", Some(&"b".repeat(1000)), 100, "c"),
        (&"b".repeat(1000), None, 100, ""),
        ("ä", Some("ä b"), 100, ""),
    ] {
        let found = bus.keys(prefix, after, max).await.unwrap().join(" ");
        assert_eq!(found, expected, "keys({prefix:?}, {after:?}, {max})");
    }
}

pub(super) async fn what_is_no_key_is_refused(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    for key in ["", "a b", "a*", "ä", "a\0"] {
        let refused = bus.put(key, Bytes::new(), Revision::ABSENT).await;
        assert!(matches!(refused, Err(WriteError::InvalidKey(_))), "{key:?}: {refused:?}");
        assert_eq!(bus.get(key).await.unwrap(), None, "{key:?}");
    }
    let longest = "k".repeat(MAX_KEY_BYTES);
    put(&*bus, &longest, "", Revision::ABSENT).await;
    let longer = "k".repeat(MAX_KEY_BYTES + 1);
    let refused = bus.put(&longer, Bytes::new(), Revision::ABSENT).await;
    assert!(matches!(refused, Err(WriteError::TooLarge { .. })), "{refused:?}");
    assert_eq!(bus.get(&longer).await.unwrap(), None);
    put(&*bus, "AZaz09-_./=", "", Revision::ABSENT).await;
    assert_eq!(bus.keys("", None, 10).await.unwrap(), ["AZaz09-_./=", &longest]);
}

pub(super) async fn keys_are_the_same_after_a_restart(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let revision = put(&*bus, "a", "1", Revision::ABSENT).await;
    drop(bus);
    let bus = site.open().await;
    let entry = Entry { revision, value: "1".into() };
    assert_eq!(bus.get("a").await.unwrap(), Some(entry));
    put(&*bus, "a", "2", revision).await;
}
