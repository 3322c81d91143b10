//! What a reader sees, and what it waits for.

use std::time::Duration;

use super::*;
use crate::{MAX_RECORD_BYTES, ReadError};

/// How long a wait that should end may take: only a bus that is broken takes so long.
const PATIENCE: Duration = Duration::from_secs(30);

pub(super) async fn a_read_keeps_its_limits(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let quarter = MAX_RECORD_BYTES / 4;
    let answer = bus.append(Log::Events, vec![plain(vec![1; quarter]); 6]).await.unwrap();
    let from = answer[0].position;
    assert_eq!(bus.read(Log::Events, from, 0).await.unwrap(), []);
    assert_eq!(bus.read(Log::Events, from, 2).await.unwrap().len(), 2);
    let read = bus.read(Log::Events, from, usize::MAX).await.unwrap();
    assert!((1..=5).contains(&read.len()), "about MAX_RECORD_BYTES, not {}", read.len());
    let large = append_one(&*bus, Log::Events, plain(vec![2; MAX_RECORD_BYTES])).await;
    let read = bus.read(Log::Events, large.position, 10).await.unwrap();
    assert_eq!(read.len(), 1, "one record at least");
}

pub(super) async fn reading_on_gives_each_record_once(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    bus.append(Log::Events, numbered("r", 25)).await.unwrap();
    let extent = bus.extent(Log::Events).await.unwrap();
    // Sequence 0 stands for the very first record.
    let mut from = extent.first.origin();
    let mut seen = Vec::new();
    loop {
        let page = bus.read(Log::Events, from, 7).await.unwrap();
        let Some(last) = page.last() else { break };
        from = last.position.next();
        seen.extend(page.into_iter().map(|stored| stored.position.sequence));
    }
    assert_eq!(seen, (1..=25).collect::<Vec<_>>());
    assert_eq!(from, extent.next);
}

pub(super) async fn at_the_end_there_is_nothing(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    for _ in 0..2 {
        let next = bus.extent(Log::Events).await.unwrap().next;
        assert_eq!(bus.read(Log::Events, next, 10).await.unwrap(), []);
        let far = Position::new(next.incarnation, u64::MAX);
        assert_eq!(bus.read(Log::Events, far, 10).await.unwrap(), []);
        append_one(&*bus, Log::Events, plain("x")).await;
    }
}

pub(super) async fn a_position_of_another_incarnation_is_refused(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    append_one(&*bus, Log::Events, plain("x")).await;
    let first = bus.extent(Log::Events).await.unwrap().first;
    let other = Position::new(first.incarnation ^ 1, first.sequence);
    for asked in [other, Position::default()] {
        let read = bus.read(Log::Events, asked, 1).await.map(|_| ());
        let waited = bus.wait(Log::Events, asked).await;
        for result in [read, waited] {
            match result {
                Err(ReadError::OtherIncarnation { asked: named, incarnation }) => {
                    assert_eq!((named, incarnation), (asked, first.incarnation));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(super) async fn a_wait_ends_when_a_record_comes(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let next = bus.extent(Log::Outcomes).await.unwrap().next;
    let after = Position::new(next.incarnation, next.sequence + 2);
    let waiters = [next, next, after].map(|from| {
        let bus = Arc::clone(&bus);
        tokio::spawn(async move { bus.wait(Log::Outcomes, from).await })
    });
    tokio::task::yield_now().await;
    bus.append(Log::Events, numbered("elsewhere", 5)).await.unwrap();
    assert!(waiters.iter().all(|waiter| !waiter.is_finished()), "another log wakes nobody");
    bus.append(Log::Outcomes, numbered("x", 2)).await.unwrap();
    let [first, second, third] = waiters;
    for waiter in [first, second] {
        tokio::time::timeout(PATIENCE, waiter).await.unwrap().unwrap().unwrap();
    }
    assert!(!third.is_finished(), "nothing stands at {after} yet");
    append_one(&*bus, Log::Outcomes, plain("x")).await;
    tokio::time::timeout(PATIENCE, third).await.unwrap().unwrap().unwrap();
    assert_eq!(bus.read(Log::Outcomes, after, 1).await.unwrap().len(), 1);
}

pub(super) async fn a_wait_for_what_is_there_ends_at_once(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let answer = bus.append(Log::Events, numbered("x", 3)).await.unwrap();
    for from in [answer[0].position.origin(), answer[0].position, answer[2].position] {
        tokio::time::timeout(PATIENCE, bus.wait(Log::Events, from)).await.unwrap().unwrap();
    }
}

pub(super) async fn a_wait_that_was_dropped_loses_nothing(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    let next = bus.extent(Log::Events).await.unwrap().next;
    for _ in 0..3 {
        let waiter = tokio::spawn({
            let bus = Arc::clone(&bus);
            async move { bus.wait(Log::Events, next).await }
        });
        tokio::task::yield_now().await;
        waiter.abort();
        assert!(waiter.await.unwrap_err().is_cancelled());
    }
    append_one(&*bus, Log::Events, plain("x")).await;
    tokio::time::timeout(PATIENCE, bus.wait(Log::Events, next)).await.unwrap().unwrap();
    assert_eq!(read_all(&*bus, Log::Events).await, ["x"]);
}

pub(super) async fn a_log_is_the_same_after_a_restart(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    bus.append(Log::Events, numbered("x", 10)).await.unwrap();
    let extent = bus.extent(Log::Events).await.unwrap();
    drop(bus);
    let bus = site.open().await;
    assert_eq!(bus.extent(Log::Events).await.unwrap(), extent);
    assert_eq!(append_one(&*bus, Log::Events, plain("y")).await.position, extent.next);
    assert_eq!(read_all(&*bus, Log::Events).await.len(), 11);
}
