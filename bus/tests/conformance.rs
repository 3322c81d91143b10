//! Each backend keeps the promises of the bus.

use std::sync::Arc;

use tripline_bus::conformance::{self, Site};
use tripline_bus::embedded::{EmbeddedBus, OpenOptions};
use tripline_bus::memory::{MemoryBus, MemoryStore};
use tripline_bus::{BoxFuture, Bus};

struct Memory(Arc<MemoryStore>);

impl Site for Memory {
    fn open(&mut self) -> BoxFuture<'_, Arc<dyn Bus>> {
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new(Arc::clone(&self.0)));
        Box::pin(async { bus })
    }
}

struct Embedded(tempfile::TempDir);

impl Site for Embedded {
    fn open(&mut self) -> BoxFuture<'_, Arc<dyn Bus>> {
        Box::pin(async {
            let bus = EmbeddedBus::open(self.0.path(), &OpenOptions::default());
            Arc::new(bus.expect("the directory is free")) as Arc<dyn Bus>
        })
    }
}

#[tokio::test]
async fn embedded() {
    conformance::run(|| Embedded(tempfile::tempdir().expect("a directory"))).await;
}

#[tokio::test]
async fn memory() {
    conformance::run(|| Memory(MemoryStore::new(7))).await;
}
