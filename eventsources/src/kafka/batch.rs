//! Messages on their way to the event bus, and how they get there.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use super::condition::Part;
use super::context::Context;
use crate::source::Running;
use crate::{Message, SinkError, Unreadable, again};

/// What a message has become.
pub enum Offer {
    /// An event, and the message's value as it came.
    Event(Message, Bytes),
    Letter(Unreadable),
}

/// A message that was taken from its partition.
pub struct Taken {
    pub partition: i32,
    /// The offset behind it: where reading goes on.
    pub next: i64,
    /// What holding it costs.
    pub bytes: usize,
    pub offer: Offer,
}

/// What brings batches to the event bus, one at a time.
pub struct Deliverer {
    pub running: Running,
    pub context: Arc<Context>,
    /// Cancelled when what the event bus does not take is no longer to be tried.
    pub abandon: CancellationToken,
}

impl Deliverer {
    /// Puts the batch on the event bus; tries until that works. All of it is durable then.
    ///
    /// # Errors
    /// The whole batch: it was abandoned. Some of it may be durable all the same.
    pub async fn deliver(self, batch: Vec<Taken>) -> Result<(), Vec<Taken>> {
        match self.put(&batch).await {
            Some(()) => Ok(()),
            None => Err(batch),
        }
    }

    async fn put(&self, batch: &[Taken]) -> Option<()> {
        let events: Vec<&Message> = batch.iter().filter_map(Taken::event).collect();
        let sink = &self.running.context.sink;
        if !events.is_empty() && self.until_taken(|| sink.append_all(&events)).await?.is_err() {
            self.one_by_one(batch).await?;
        }
        for taken in batch {
            if let Offer::Letter(letter) = &taken.offer {
                self.keep(letter).await?;
            }
        }
        Some(())
    }

    /// For a batch with something in it that is too large.
    async fn one_by_one(&self, batch: &[Taken]) -> Option<()> {
        let sink = &self.running.context.sink;
        for taken in batch {
            let Offer::Event(event, value) = &taken.offer else { continue };
            let one = self.until_taken(|| sink.append(event.clone())).await?;
            if let Err(too_large) = one {
                let letter = Unreadable::in_place_of(event, value, too_large.to_string());
                self.keep(&letter).await?;
            }
        }
        Some(())
    }

    async fn keep(&self, letter: &Unreadable) -> Option<()> {
        let sink = &self.running.context.sink;
        if let Err(error) = self.until_taken(|| sink.unreadable(letter.clone())).await? {
            sink.refused(&self.running.key, &error.to_string());
        }
        Some(())
    }

    /// Tries until the event bus takes it, or never will. `None`: it is abandoned.
    async fn until_taken<T, F>(&self, give: impl Fn() -> F) -> Option<Result<T, SinkError>>
    where
        F: Future<Output = Result<T, SinkError>>,
    {
        let condition = &self.context.condition;
        again::until_taken(give, &self.abandon, |why| match why {
            Some(why) => condition.wrong(Part::Bus, why),
            None => condition.bus_takes(),
        })
        .await
    }
}

impl Taken {
    fn event(&self) -> Option<&Message> {
        match &self.offer {
            Offer::Event(event, _) => Some(event),
            Offer::Letter(_) => None,
        }
    }
}
