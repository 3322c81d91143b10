//! Which dead letters are open, by cause: OUTCOMES is read once, and what is appended to it
//! is followed, so that nobody who asks for the counts has to read it.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tripline_bus::{Bus, Log, ReadError};
use tripline_event::{Cause, Outcome, OutcomeKind, Position};

use super::lock;
use crate::query::dead_letter::{DROP, MAX_LETTERS, RETRY};

/// How many outcomes are read at once.
const PAGE: usize = 1000;
/// The wait after a read that failed.
const PAUSE: Duration = Duration::from_secs(1);
/// How long who asks waits for what was appended before.
const PATIENCE: Duration = Duration::from_secs(2);

/// Open dead letters.
pub struct OpenLetters {
    bus: Arc<dyn Bus>,
    letters: Mutex<Letters>,
    read_to: watch::Sender<Position>,
}

#[derive(Default)]
struct Letters {
    by_id: HashMap<String, Letter>,
    by_position: BTreeMap<Position, String>,
}

#[derive(Clone, Copy)]
struct Letter {
    position: Position,
    cause: Cause,
    round: u32,
}

impl OpenLetters {
    /// Knows of none yet.
    pub fn new(bus: Arc<dyn Bus>) -> Self {
        let read_to = watch::Sender::new(Position::default());
        Self { bus, letters: Mutex::default(), read_to }
    }

    /// Follows OUTCOMES until `stop`.
    pub async fn run(&self, stop: CancellationToken) {
        let mut from = None;
        while !stop.is_cancelled() {
            let step = self.step(&mut from, &stop).await;
            if let Err(error) = step {
                tracing::warn!(%error, "dead letters cannot be counted; it is tried again");
                tokio::select! {
                    () = stop.cancelled() => return,
                    () = tokio::time::sleep(PAUSE) => {}
                }
            }
        }
    }

    async fn step(
        &self,
        from: &mut Option<Position>,
        stop: &CancellationToken,
    ) -> Result<(), ReadError> {
        let at = match *from {
            Some(at) => at,
            None => self.bus.extent(Log::Outcomes).await?.first,
        };
        let page = match self.bus.read(Log::Outcomes, at, PAGE).await {
            Err(ReadError::Trimmed { first, .. }) => {
                *from = Some(first);
                return Ok(());
            }
            page => page?,
        };
        let next = page.last().map_or(at, |last| last.position.next());
        {
            let mut letters = lock(&self.letters);
            page.iter().for_each(|stored| letters.see(stored.position, &stored.record));
        }
        *from = Some(next);
        self.read_to.send_replace(next);
        if page.is_empty() {
            tokio::select! {
                biased;
                () = stop.cancelled() => {}
                waited = self.bus.wait(Log::Outcomes, next) => waited?,
            }
        }
        // A long look-back must not keep the daemon's other work waiting.
        tokio::task::yield_now().await;
        Ok(())
    }

    /// How many are open, by cause: those of which the record is kept. Waits a moment for what
    /// was appended until now.
    ///
    /// # Errors
    /// The bus does not answer.
    pub async fn counts(&self) -> Result<BTreeMap<Cause, u64>, ReadError> {
        let extent = self.bus.extent(Log::Outcomes).await?;
        let mut read_to = self.read_to.subscribe();
        // Where that takes longer, it is what is known by then.
        let caught_up = read_to.wait_for(|read_to| *read_to >= extent.next);
        drop(tokio::time::timeout(PATIENCE, caught_up).await);
        let mut letters = lock(&self.letters);
        letters.forget_before(extent.first);
        Ok(letters.counts())
    }

    /// How many are known to be open now, by cause.
    pub fn known(&self) -> BTreeMap<Cause, u64> {
        lock(&self.letters).counts()
    }
}

impl Letters {
    fn see(&mut self, position: Position, record: &[u8]) {
        let has = |part: &str| memchr::memmem::find(record, part.as_bytes()).is_some();
        let closes = has(r#""outcome":"dropped""#) || has(r#""outcome":"operator""#);
        // A letter that was sent back is of a later round than the first.
        let again =
            !self.by_id.is_empty() && has(r#""outcome":"succeeded""#) && !has(r#""round":0"#);
        if !closes && !again && !has(r#""outcome":"deadLettered""#) {
            return;
        }
        let Ok(outcome) = Outcome::decode(record) else { return };
        match outcome.kind {
            OutcomeKind::DeadLettered(letter) => {
                let id =
                    letter.action.as_ref().map_or_else(|| position.to_string(), |id| id.0.clone());
                self.insert(id, Letter { position, cause: letter.cause, round: letter.round });
            }
            OutcomeKind::Dropped { action, round, .. }
            | OutcomeKind::Succeeded { action, round, .. } => self.close(&action.0, round),
            OutcomeKind::Operator { did, subject, .. } if did == DROP || did == RETRY => {
                self.close(&subject, u32::MAX);
            }
            _ => {}
        }
    }

    fn insert(&mut self, id: String, letter: Letter) {
        if let Some(known) = self.by_id.insert(id.clone(), letter) {
            self.by_position.remove(&known.position);
        }
        self.by_position.insert(letter.position, id);
        if self.by_id.len() > MAX_LETTERS
            && let Some((_, oldest)) = self.by_position.pop_first()
        {
            self.by_id.remove(&oldest);
        }
    }

    fn close(&mut self, id: &str, round: u32) {
        if self.by_id.get(id).is_some_and(|letter| letter.round <= round)
            && let Some(letter) = self.by_id.remove(id)
        {
            self.by_position.remove(&letter.position);
        }
    }

    fn forget_before(&mut self, first: Position) {
        while let Some(entry) = self.by_position.first_entry()
            && *entry.key() < first
        {
            let id = entry.remove();
            self.by_id.remove(&id);
        }
    }

    fn counts(&self) -> BTreeMap<Cause, u64> {
        let mut counts = BTreeMap::new();
        for letter in self.by_id.values() {
            *counts.entry(letter.cause).or_default() += 1;
        }
        counts
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::query::dead_letter;
    use crate::query::tests::{At, Logs, time};

    async fn counts(letters: &OpenLetters) -> Vec<(Cause, u64)> {
        letters.counts().await.unwrap().into_iter().collect()
    }

    #[tokio::test]
    async fn letters_are_counted_as_the_log_says_without_reading_it_again() {
        let mut logs = Logs::new();
        let mut actions = Vec::new();
        for (number, cause) in [Cause::Refused, Cause::Refused, Cause::Expired].iter().enumerate() {
            let event = logs.event("builds", &format!("e-{number}"), "build-1").await;
            let action = logs.action("deploy", &[&event]).await;
            logs.dead(&action, *cause).await;
            actions.push(action);
        }
        let letters = Arc::new(OpenLetters::new(logs.bus.clone()));
        let (stop, running) = (CancellationToken::new(), Arc::clone(&letters));
        let stopped = stop.clone();
        let task = tokio::spawn(async move { running.run(stopped).await });
        assert_eq!(counts(&letters).await, [(Cause::Refused, 2), (Cause::Expired, 1)]);
        let now = At(time("05:00:00"));
        let ids = [actions[0].id.0.clone()];
        dead_letter::retry(logs.bus.as_ref(), &now, "ada", &ids, false).await.unwrap();
        assert_eq!(counts(&letters).await, [(Cause::Refused, 1), (Cause::Expired, 1)]);
        let ids = [actions[2].id.0.clone()];
        dead_letter::drop(logs.bus.as_ref(), &now, "ada", None, &ids).await.unwrap();
        assert_eq!(counts(&letters).await, [(Cause::Refused, 1)]);
        let said = dead_letter::open_by_cause(logs.bus.as_ref()).await.unwrap();
        assert_eq!(counts(&letters).await, said.into_iter().collect::<Vec<_>>());
        stop.cancel();
        task.await.unwrap();
    }
}
