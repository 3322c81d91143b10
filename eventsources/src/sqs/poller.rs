//! Receives messages, hands them to the event bus, and deletes what it has taken.

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::join_all;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;
use tripline_cloud::aws::Trouble;

use super::KIND;
use super::attributes::texts;
use super::batch::{Batch, Fate};
use super::condition::{Condition, Part};
use super::config::Sqs;
use super::content::{Content, id_of};
use super::limits::{BATCH, DELETE_TRIES, GIVE_BACK};
use super::queue::{Queue, Received};
use crate::again::{FIRST_PAUSE, longer};
use crate::source::Running;
use crate::{SinkError, Unreadable, again};

/// Each run of it is a receive at a time; they share all the rest.
pub struct Poller {
    pub sqs: Arc<Sqs>,
    pub running: Running,
    pub queue: Queue,
    pub condition: Condition,
    /// What is not JSON is left in the queue.
    pub leaves_unreadable: bool,
    /// Told after each full batch: there is work for one more.
    pub more: Notify,
    /// Cancelled when there is no more time to finish anything.
    pub late: CancellationToken,
}

impl Poller {
    /// Receives until the source is to stop, or, unless it `stays`, until nothing comes.
    pub async fn run(self: Arc<Self>, stays: bool) {
        let mut pause = FIRST_PAUSE;
        while self.may_go_on().await {
            match self.receive().await {
                None => return,
                Some(Ok(messages)) if messages.is_empty() => {
                    self.condition.well(Part::Receiving);
                    pause = FIRST_PAUSE;
                    if !stays {
                        return;
                    }
                }
                Some(Ok(messages)) => {
                    self.condition.well(Part::Receiving);
                    pause = FIRST_PAUSE;
                    if messages.len() >= usize::try_from(BATCH).unwrap_or_default() {
                        self.more.notify_one();
                    }
                    self.finish(&Batch::new(messages)).await;
                }
                Some(Err(trouble)) => {
                    self.condition.wrong(Part::Receiving, trouble.to_string());
                    if !stays {
                        return;
                    }
                    self.pause(pause).await;
                    pause = longer(pause);
                }
            }
        }
    }

    /// Waits while the event bus does not take what is held: more is not pulled then.
    /// `false`: the source is to stop.
    async fn may_go_on(&self) -> bool {
        tokio::select! {
            () = self.condition.nothing_waits() => {}
            () = self.running.stop.cancelled() => {}
        }
        !self.running.stop.is_cancelled()
    }

    /// What was received; `None` where there is no time to wait for it any more. A receive is
    /// not given up as soon as the source is to stop: SQS may have hidden messages for it.
    async fn receive(&self) -> Option<Result<Vec<Received>, Trouble>> {
        tokio::select! {
            received = self.queue.receive(self.sqs.hidden) => Some(received),
            () = self.late.cancelled() => None,
        }
    }

    /// Takes the messages and deletes them. They stay hidden meanwhile, however long that
    /// lasts. What could not be taken before the source stops is visible again.
    async fn finish(&self, batch: &Batch) {
        let all = async {
            self.take(batch).await;
            self.delete(batch).await;
        };
        let left = tokio::select! {
            () = all => batch.receipts(&[Fate::Held]),
            () = self.keep_hidden(batch) => Vec::new(),
            () = self.late.cancelled() => batch.receipts(&[Fate::Held, Fate::Durable]),
        };
        if !left.is_empty() {
            let given_back = timeout(GIVE_BACK, self.queue.hide(&left, Duration::ZERO)).await;
            let failed = match given_back {
                Ok(Ok(())) => return,
                Ok(Err(trouble)) => trouble.to_string(),
                Err(_) => "it takes too long".to_owned(),
            };
            tracing::warn!(
                event_source = %self.running.key,
                "{} messages stay hidden for up to {} s: they cannot be given back: {failed}",
                left.len(),
                self.sqs.hidden.as_secs(),
            );
        }
    }

    async fn take(&self, batch: &Batch) {
        join_all(batch.groups().into_iter().map(|group| self.take_group(batch, group))).await;
    }

    /// Takes messages one after the other: none before the one ahead of it is durable.
    async fn take_group(&self, batch: &Batch, group: Vec<usize>) {
        for at in group {
            let Some(message) = batch.messages.get(at) else { return };
            match self.take_one(message).await {
                Fate::Held => return,
                fate => batch.settle(at, fate),
            }
        }
    }

    /// Takes a message; tries until that works. [`Fate::Held`]: the source is to stop.
    async fn take_one(&self, message: &Received) -> Fate {
        let sink = &self.running.context.sink;
        let events = match self.content(message) {
            Ok(Content::Events(events)) => events,
            Ok(Content::Nothing(what)) => {
                sink.refused(&self.running.key, what);
                return Fate::Durable;
            }
            Err(reason) if self.leaves_unreadable => {
                let reason = format!("{reason}; it is left to the redrive policy of its queue");
                sink.refused(&self.running.key, &reason);
                return Fate::Left;
            }
            Err(reason) => return self.keep_unreadable(message, reason).await,
        };
        for event in events {
            match self.until_taken(|| sink.append(event.clone())).await {
                Some(Ok(_)) => {}
                Some(Err(error)) => return self.keep_unreadable(message, error.to_string()).await,
                None => return Fate::Held,
            }
        }
        Fate::Durable
    }

    async fn keep_unreadable(&self, message: &Received, reason: String) -> Fate {
        let unreadable = Unreadable {
            key: self.running.key.clone(),
            kind: KIND,
            id: id_of(message),
            time: self.running.context.clock.now(),
            bytes: Bytes::copy_from_slice(message.body.as_bytes()),
            headers: texts(&message.attributes),
            reason,
        };
        let sink = &self.running.context.sink;
        match self.until_taken(|| sink.unreadable(unreadable.clone())).await {
            Some(Ok(())) => Fate::Durable,
            Some(Err(error)) => {
                sink.refused(&self.running.key, &error.to_string());
                Fate::Left
            }
            None => Fate::Held,
        }
    }

    /// Tries until the event bus takes it, or never will. `None`: the source is to stop.
    async fn until_taken<T, F>(&self, give: impl Fn() -> F) -> Option<Result<T, SinkError>>
    where
        F: Future<Output = Result<T, SinkError>>,
    {
        let mut _waiting = None;
        again::until_taken(give, &self.running.stop, |why| {
            if let Some(why) = why {
                _waiting = Some(self.condition.waits(why));
            }
        })
        .await
    }

    /// Deletes what is durable. What cannot be deleted is delivered again and is a repeat
    /// then, of which nothing is stored, and which is deleted.
    async fn delete(&self, batch: &Batch) {
        let mut receipts = batch.receipts(&[Fate::Durable]);
        let mut pause = FIRST_PAUSE;
        for _ in 0..DELETE_TRIES {
            if receipts.is_empty() {
                return;
            }
            let why = match self.queue.delete(&receipts).await {
                Ok(None) => {
                    batch.deleted(&receipts);
                    self.condition.well(Part::Deleting);
                    return;
                }
                Ok(Some(failed)) => {
                    receipts.retain(|receipt| !failed.again.contains(receipt));
                    batch.deleted(&receipts);
                    receipts = failed.again;
                    failed.why
                }
                Err(trouble) => trouble.to_string(),
            };
            self.cannot_delete(&why);
            sleep(pause).await;
            pause = longer(pause);
        }
    }

    fn cannot_delete(&self, why: &str) {
        let why = format!("messages are taken, and come again since they cannot be deleted: {why}");
        self.condition.wrong(Part::Deleting, why);
    }

    /// Keeps hidden what is not deleted yet. Never returns.
    async fn keep_hidden(&self, batch: &Batch) {
        let third = self.sqs.hidden / 3;
        let mut pause = third;
        loop {
            sleep(pause).await;
            pause = third;
            let held = batch.receipts(&[Fate::Held, Fate::Durable]);
            if held.is_empty() {
                continue;
            }
            if let Err(trouble) = self.queue.hide(&held, self.sqs.hidden).await {
                tracing::debug!(event_source = %self.running.key, "messages may come again: {trouble}");
                // Soon, and before they come again.
                pause = (third / 4).max(FIRST_PAUSE);
            }
        }
    }

    async fn pause(&self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            () = self.running.stop.cancelled() => {}
        }
    }
}
