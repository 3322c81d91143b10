//! What is left of a log that was trimmed.

use super::*;
use crate::{Extent, ReadError};

pub(super) async fn what_was_trimmed_is_gone_and_said_to_be(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    bus.append(Log::Events, numbered("x", 10)).await.unwrap();
    append_one(&*bus, Log::Actions, plain("kept")).await;
    let before = bus.extent(Log::Events).await.unwrap();
    let below = Position::new(before.first.incarnation, 5);
    bus.trim(Log::Events, below).await.unwrap();
    let extent = bus.extent(Log::Events).await.unwrap();
    assert_eq!((extent.first, extent.next), (below, before.next));
    assert!(0 < extent.bytes && extent.bytes < before.bytes, "{before:?} {extent:?}");
    assert_eq!(read_all(&*bus, Log::Events).await, ["x-4", "x-5", "x-6", "x-7", "x-8", "x-9"]);
    assert_eq!(read_all(&*bus, Log::Actions).await, ["kept"]);
    for sequence in [0, 1, 4] {
        let asked = Position::new(below.incarnation, sequence);
        let read = bus.read(Log::Events, asked, 1).await.map(|_| ());
        let waited = bus.wait(Log::Events, asked).await;
        for result in [read, waited] {
            match result {
                Err(ReadError::Trimmed { asked: named, first }) => {
                    assert_eq!((named, first), (asked, below));
                }
                other => panic!("{other:?}"),
            }
        }
    }
}

pub(super) async fn trimming_again_or_elsewhere_removes_nothing(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    bus.append(Log::Events, numbered("x", 5)).await.unwrap();
    let incarnation = bus.extent(Log::Events).await.unwrap().first.incarnation;
    let below = Position::new(incarnation, 3);
    bus.trim(Log::Events, below).await.unwrap();
    let extent = bus.extent(Log::Events).await.unwrap();
    let other = Position::new(incarnation ^ 1, 5);
    for below in [below, Position::new(incarnation, 1), below.origin(), other] {
        bus.trim(Log::Events, below).await.unwrap();
        assert_eq!(bus.extent(Log::Events).await.unwrap(), extent, "trimmed below {below}");
    }
}

pub(super) async fn sequences_go_on_after_everything_was_trimmed(mut site: Box<dyn Site>) {
    let bus = site.open().await;
    bus.append(Log::Events, vec![with_id("a", "1"), plain("2"), plain("3")]).await.unwrap();
    let next = bus.extent(Log::Events).await.unwrap().next;
    // Beyond the end: what is not there yet is not trimmed in advance.
    bus.trim(Log::Events, Position::new(next.incarnation, 100)).await.unwrap();
    let empty = Extent { first: next, next, bytes: 0 };
    assert_eq!(bus.extent(Log::Events).await.unwrap(), empty);
    drop(bus);
    let bus = site.open().await;
    assert_eq!(bus.extent(Log::Events).await.unwrap(), empty);
    assert_eq!(bus.read(Log::Events, next, 10).await.unwrap(), []);
    assert_eq!(append_one(&*bus, Log::Events, plain("4")).await.position, next);
    assert_eq!(read_all(&*bus, Log::Events).await, ["4"]);
}

pub(super) async fn appending_goes_on_while_much_is_trimmed(mut site: Box<dyn Site>) {
    const RECORDS: usize = 5000;
    let bus = site.open().await;
    let batch = (0..RECORDS).map(|n| with_id(format!("id-{n}"), format!("{n}"))).collect();
    bus.append(Log::Events, batch).await.unwrap();
    let next = bus.extent(Log::Events).await.unwrap().next;
    let (trimmed, appended) =
        tokio::join!(bus.trim(Log::Events, next), bus.append(Log::Events, numbered("y", 3)));
    trimmed.unwrap();
    assert_eq!(positions(&appended.unwrap())[0], next);
    assert_eq!(read_all(&*bus, Log::Events).await, ["y-0", "y-1", "y-2"]);
}
