//! Clients that are kept: one for each distinct target with its credentials.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use tokio::sync::OnceCell;

/// The most clients that are kept. Beyond, all are let go, and made anew when they are needed.
const MAX_CLIENTS: usize = 256;

/// The clients, by what makes them differ.
pub(crate) struct Pool<K, T>(Mutex<HashMap<K, Arc<OnceCell<Arc<T>>>>>);

impl<K, T> Default for Pool<K, T> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash + Clone, T> Pool<K, T> {
    /// The client of `key`. Whoever asks while it is made waits for it; where that fails, the
    /// next one tries again.
    pub(crate) async fn get<E>(
        &self,
        key: &K,
        make: impl AsyncFnOnce() -> Result<T, E>,
    ) -> Result<Arc<T>, E> {
        let cell = self.cell(key);
        cell.get_or_try_init(async || make().await.map(Arc::new)).await.cloned()
    }

    /// The client of `key` is not good any more.
    pub(crate) fn forget(&self, key: &K) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(key);
    }

    fn cell(&self, key: &K) -> Arc<OnceCell<Arc<T>>> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= MAX_CLIENTS && !clients.contains_key(key) {
            clients.clear();
        }
        Arc::clone(clients.entry(key.clone()).or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_client_is_made_once_and_again_where_that_failed_or_it_was_forgotten() {
        let pool = Pool::<&str, u32>::default();
        assert_eq!(pool.get(&"a", async || Err::<u32, _>("no")).await, Err("no"));
        for (key, made, expected) in [("a", 1, 1), ("a", 2, 1), ("b", 3, 3)] {
            let found = pool.get(&key, async || Ok::<_, ()>(made)).await;
            assert_eq!(found.as_deref(), Ok(&expected), "{key} {made}");
        }
        pool.forget(&"a");
        assert_eq!(pool.get(&"a", async || Ok::<_, ()>(4)).await.as_deref(), Ok(&4));
    }
}
