//! A disk that is really full. Needs a small file system of its own, of 50 to 500 MiB:
//!
//! `TRIPLINE_SMALL_DISK=/mnt/small cargo test -p tripline-bus --test full_disk -- --ignored`

use std::path::PathBuf;

use bytes::Bytes;
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::{Append, Bus, Log, Revision, WriteError};

fn batch(records: usize) -> Vec<Append> {
    vec![Append { dedup: None, record: vec![7; 10_000].into() }; records]
}

#[tokio::test]
#[ignore = "needs a small file system, named by TRIPLINE_SMALL_DISK"]
async fn a_full_disk_refuses_events_and_has_room_again_when_trimmed() {
    let disk = PathBuf::from(std::env::var_os("TRIPLINE_SMALL_DISK").unwrap());
    let dir = tempfile::tempdir_in(disk).unwrap();
    let bus = EmbeddedBus::open(dir.path(), &OpenOptions::default()).unwrap();
    let mut filled_to = 0;
    for round in 0..4 {
        let full = loop {
            if let Err(error) = bus.append(Log::Events, batch(50)).await {
                break error;
            }
        };
        assert!(matches!(full, WriteError::Full(_)), "{full}");
        // Somebody else takes the very last byte of the disk.
        let ballast = dir.path().join("ballast");
        drop(std::fs::write(&ballast, vec![1; 600 << 20]));
        bus.append(Log::Outcomes, batch(50)).await.unwrap();
        let value = Bytes::from(vec![1; 100_000]);
        let revision = bus.put("checkpoint", value, Revision::ABSENT).await.unwrap();
        bus.delete("checkpoint", revision).await.unwrap();
        let extent = bus.extent(Log::Events).await.unwrap();
        assert!(extent.bytes > 10 << 20, "round {round}: {extent:?}");
        assert!(round == 0 || extent.bytes > filled_to / 2, "the room came back: {extent:?}");
        filled_to = extent.bytes;
        for log in Log::ALL {
            let next = bus.extent(log).await.unwrap().next;
            bus.trim(log, next).await.unwrap();
        }
        std::fs::remove_file(&ballast).unwrap();
    }
}
