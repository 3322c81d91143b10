//! Each backend keeps the promises of the bus.

use std::sync::Arc;

use tripline_bus::conformance::{self, Site};
use tripline_bus::memory::{MemoryBus, MemoryStore};
use tripline_bus::{BoxFuture, Bus};

struct Memory(Arc<MemoryStore>);

impl Site for Memory {
    fn open(&mut self) -> BoxFuture<'_, Arc<dyn Bus>> {
        let bus: Arc<dyn Bus> = Arc::new(MemoryBus::new(Arc::clone(&self.0)));
        Box::pin(async { bus })
    }
}

#[tokio::test]
async fn memory() {
    conformance::run(|| Memory(MemoryStore::new(7))).await;
}
