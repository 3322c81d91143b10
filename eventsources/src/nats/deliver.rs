//! Brings what was received to the event bus: one append at a time, so that messages become
//! durable in their order, also where the event bus refuses some of them at first.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;

use super::offer::Offer;
use crate::source::Running;
use crate::{Message, SinkError, Unreadable, again};

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// Its event is durable.
    Event,
    /// It is a dead letter.
    Letter,
}

/// Puts messages on the event bus.
#[derive(Clone)]
pub struct Deliverer {
    pub running: Running,
    /// In a few words, when all is well.
    pub well: Arc<str>,
    /// Cancelled when what the event bus does not take is no longer to be tried.
    pub abandon: CancellationToken,
}

impl Deliverer {
    /// Puts all of them on the event bus; tries until that works. `None`: it was abandoned, and
    /// some of it may be durable all the same.
    pub async fn deliver(self, offers: Vec<Arc<Offer>>) -> Option<Vec<Fate>> {
        let sink = &self.running.context.sink;
        let mut fates = Vec::with_capacity(offers.len());
        let mut rest = offers.as_slice();
        while let Some(first) = rest.first() {
            if let Offer::Letter(letter) = &**first {
                self.keep(letter).await?;
                fates.push(Fate::Letter);
                rest = &rest[1..];
                continue;
            }
            let events: Vec<&Message> = rest.iter().map_while(|offer| offer.event()).collect();
            let (now, later) = rest.split_at(events.len());
            match self.until_taken(|| sink.append_all(&events)).await? {
                Ok(_) => fates.extend(now.iter().map(|_| Fate::Event)),
                // With something in it that is too large.
                Err(_) => {
                    for offer in now {
                        fates.push(self.one(offer).await?);
                    }
                }
            }
            rest = later;
        }
        Some(fates)
    }

    async fn one(&self, offer: &Offer) -> Option<Fate> {
        let Offer::Event(event, payload) = offer else { return Some(Fate::Letter) };
        let sink = &self.running.context.sink;
        let Err(too_large) = self.until_taken(|| sink.append(event.clone())).await? else {
            return Some(Fate::Event);
        };
        let letter = Unreadable::in_place_of(event, payload, too_large.to_string());
        self.keep(&letter).await?;
        Some(Fate::Letter)
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
        let (health, mut waited) = (&self.running.health, false);
        again::until_taken(give, &self.abandon, |why| match why {
            // The daemon says by itself that the bus does not take events.
            Some(why) => {
                waited = true;
                health.failing(why);
            }
            None if waited => health.ready(&*self.well),
            None => {}
        })
        .await
    }
}

impl Offer {
    fn event(&self) -> Option<&Message> {
        match self {
            Self::Event(event, _) => Some(event),
            Self::Letter(_) => None,
        }
    }
}
