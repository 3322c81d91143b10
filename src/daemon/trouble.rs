//! Says the same trouble once, and how often it was repeated a minute later.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use jiff::SignedDuration;
use tripline_event::{Clock, Timestamp};

/// The same trouble is not said again within this time.
const QUIET: SignedDuration = SignedDuration::from_secs(60);
/// How many different ones are kept apart; beyond, the oldest are forgotten.
const MOST: usize = 1024;

/// What was said, by who has the trouble and what it is.
pub struct Trouble {
    clock: Arc<dyn Clock>,
    said: Mutex<HashMap<String, Said>>,
}

struct Said {
    error: String,
    at: Timestamp,
    repeated: u64,
}

impl Trouble {
    /// Nothing was said yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self { clock, said: Mutex::default() }
    }

    /// `who` has this trouble.
    pub fn tell(&self, who: &str, error: &str) {
        let now = self.clock.now();
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        let repeated = match said.get_mut(who) {
            Some(before) if before.error == error && now.duration_since(before.at) < QUIET => {
                before.repeated += 1;
                return;
            }
            Some(before) => std::mem::take(&mut before.repeated),
            None => 0,
        };
        if said.len() >= MOST {
            said.retain(|_, said| now.duration_since(said.at) < QUIET);
        }
        if said.len() < MOST || said.contains_key(who) {
            said.insert(who.to_owned(), Said { error: error.to_owned(), at: now, repeated: 0 });
        }
        drop(said);
        if repeated > 0 {
            tracing::warn!(error, repeated, "{who}");
        } else {
            tracing::warn!(error, "{who}");
        }
    }

    /// Whether anybody has trouble.
    pub fn is_known(&self) -> bool {
        !self.said.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// `who` is well again.
    pub fn over(&self, who: &str) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(before) = said.remove(who) {
            drop(said);
            tracing::info!(repeated = before.repeated, "{who}: it works again");
        }
    }
}
