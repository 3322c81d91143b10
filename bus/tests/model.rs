//! The embedded bus answers as the one in memory does, whatever is asked.

#![expect(clippy::unwrap_used, reason = "a test panics when it fails")]

use std::sync::Arc;

use bytes::Bytes;
use rand::rngs::SmallRng;
use rand::{Rng, SeedableRng};
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::memory::{MemoryBus, MemoryStore};
use tripline_bus::{Append, Bus, Log, Revision};
use tripline_event::Position;

#[derive(Clone, Debug)]
enum Call {
    Append(Log, Vec<Append>),
    Read(Log, u64, usize),
    Extent(Log),
    Trim(Log, u64),
    Get(String),
    Put(String, Bytes, Revision),
    Delete(String, Revision),
    Keys(String, Option<String>, usize),
}

fn call(random: &mut SmallRng) -> Call {
    let log = Log::ALL[random.random_range(0..3)];
    let key = |random: &mut SmallRng| {
        let len = random.random_range(1..3);
        (0..len).map(|_| ['a', 'b', '/'][random.random_range(0..3)]).collect::<String>()
    };
    // Small, so that the one that is expected is often the one that is there.
    let revision = |random: &mut SmallRng| Revision(random.random_range(0..12));
    match random.random_range(0..10) {
        0..3 => {
            let records = random.random_range(0..20);
            let append = |_| {
                let dedup =
                    random.random_bool(0.6).then(|| vec![random.random_range(0..60)].into());
                let bytes = [3, 300, 3000, 30_000][random.random_range(0..4)];
                Append { dedup, record: vec![random.random(); bytes].into() }
            };
            Call::Append(log, (0..records).map(append).collect())
        }
        3 => Call::Read(log, random.random_range(0..200), random.random_range(0..30)),
        4 => Call::Extent(log),
        5 => Call::Trim(log, random.random_range(0..100)),
        6 => Call::Get(key(random)),
        7 => Call::Put(key(random), vec![random.random(); 20].into(), revision(random)),
        8 => Call::Delete(key(random), revision(random)),
        _ => {
            let after = random.random_bool(0.5).then(|| key(random));
            Call::Keys(key(random), after, random.random_range(0..5))
        }
    }
}

/// The answer as text, in which every incarnation is written alike.
async fn answer(bus: &dyn Bus, call: Call) -> String {
    let mut incarnations = Vec::new();
    for log in Log::ALL {
        incarnations.push(bus.extent(log).await.unwrap().next.incarnation);
    }
    let at = |log: Log, sequence| Position::new(incarnations[log as usize], sequence);
    let text = match call {
        Call::Append(log, batch) => format!("{:?}", bus.append(log, batch).await),
        Call::Read(log, from, max) => format!("{:?}", bus.read(log, at(log, from), max).await),
        Call::Extent(log) => format!("{:?}", bus.extent(log).await),
        Call::Trim(log, below) => format!("{:?}", bus.trim(log, at(log, below)).await),
        Call::Get(key) => format!("{:?}", bus.get(&key).await),
        Call::Put(key, value, expected) => format!("{:?}", bus.put(&key, value, expected).await),
        Call::Delete(key, expected) => format!("{:?}", bus.delete(&key, expected).await),
        Call::Keys(prefix, after, max) => {
            format!("{:?}", bus.keys(&prefix, after.as_deref(), max).await)
        }
    };
    incarnations.iter().zip(["E", "A", "O"]).fold(text, |text, (incarnation, log)| {
        text.replace(&format!("incarnation: {incarnation}"), &format!("incarnation: {log}"))
    })
}

#[tokio::test]
async fn the_embedded_bus_answers_as_the_one_in_memory() {
    // Journals with room for every batch, for some of them, and one for which no disk has room.
    let journals = [16 << 20, 16 << 20, 256 << 10, 64 << 10, 1 << 55];
    for (seed, journal_bytes) in (0..).zip(journals) {
        let mut random = SmallRng::seed_from_u64(seed);
        let dir = tempfile::tempdir().unwrap();
        let options = OpenOptions { journal_bytes, ..OpenOptions::default() };
        let open = || EmbeddedBus::open(dir.path(), &options).unwrap();
        let memory = MemoryBus::new(MemoryStore::new(seed));
        let mut embedded = Some(Arc::new(open()));
        for number in 0..400 {
            if random.random_bool(0.02) {
                // Dropped first, since the directory is locked.
                embedded = None;
            }
            let bus = embedded.get_or_insert_with(|| Arc::new(open()));
            let call = call(&mut random);
            let expected = answer(&memory, call.clone()).await;
            let found = answer(&**bus, call.clone()).await;
            assert!(
                found == expected,
                "seed {seed}, call {number}: {:.300}\n  memory: {expected:.300}\nembedded: {found:.300}",
                format!("{call:?}")
            );
        }
    }
}
