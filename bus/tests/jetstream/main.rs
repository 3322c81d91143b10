//! The bus on JetStream keeps its promises against a real nats-server, alone and in a cluster
//! of three, and when they are killed, stopped, emptied and refuse.

#![cfg(feature = "jetstream")]
#![expect(clippy::unwrap_used, reason = "a test panics when it fails")]

mod access;
mod crashes;
mod loss;
mod moving;
mod suite;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tripline_bus::jetstream::{JetStreamBus, OpenOptions, Owner};
use tripline_bus::{Append, Bus, Log, ReadError, WriteError};

/// Only something that is broken takes so long.
const PATIENCE: Duration = Duration::from_secs(60);

/// Options for logs of their own on the server at `url`.
fn options(url: &str) -> OpenOptions {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    OpenOptions {
        prefix: format!("test{number}"),
        owner: Some(Owner { name: "the test".to_owned(), id: None, wait: Duration::ZERO }),
        wait: Duration::from_secs(30),
        ..OpenOptions::new(url)
    }
}

async fn open(options: &OpenOptions) -> Arc<JetStreamBus> {
    Arc::new(JetStreamBus::open(options).await.unwrap())
}

fn with_id(id: impl Into<Bytes>, record: impl Into<Bytes>) -> Append {
    Append { dedup: Some(id.into()), record: record.into() }
}

/// Appends, again and again with the same ids while the bus is unavailable.
async fn append_until_stored(bus: &dyn Bus, log: Log, batch: Vec<Append>) -> Vec<u64> {
    let stored = async {
        loop {
            match bus.append(log, batch.clone()).await {
                Ok(stored) => return stored.iter().map(|one| one.position.sequence).collect(),
                Err(WriteError::Unavailable(_)) => {
                    tokio::time::sleep(Duration::from_millis(20)).await
                }
                Err(error) => panic!("{error}"),
            }
        }
    };
    tokio::time::timeout(PATIENCE, stored).await.expect("the bus is available again")
}

/// All records of a log, as text.
async fn read_all(bus: &dyn Bus, log: Log) -> Vec<String> {
    let mut from = bus.extent(log).await.unwrap().first;
    let mut records = Vec::new();
    loop {
        let page = match bus.read(log, from, 1000).await {
            Ok(page) => page,
            Err(error) => panic!("{error}"),
        };
        let Some(last) = page.last() else { return records };
        let first = from.sequence;
        from = last.position.next();
        for (stored, sequence) in page.into_iter().zip(first..) {
            assert_eq!(stored.position.sequence, sequence, "a gap");
            records.push(String::from_utf8(stored.record.to_vec()).unwrap());
        }
    }
}

/// Waits until this holds.
async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let found = async {
        loop {
            if let Some(found) = look().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, found).await {
        Ok(found) => found,
        Err(_) => panic!("not after {PATIENCE:?}: {what}"),
    }
}

/// What an unavailable log says.
async fn unavailable(bus: &dyn Bus, log: Log) -> Option<String> {
    let next = bus.extent(log).await.map(|extent| extent.next);
    let read = match next {
        Ok(next) => bus.read(log, next, 1).await.map(drop),
        Err(error) => Err(error),
    };
    match read {
        Err(ReadError::Unavailable(reason)) => Some(reason),
        Ok(()) => None,
        Err(error) => panic!("{error}"),
    }
}
