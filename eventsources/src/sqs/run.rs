//! Finds the queue, and keeps as many receives going as there is work for.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::task::JoinSet;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::condition::{Condition, Part};
use super::config::Sqs;
use super::limits::{MAX_POLLERS, STOP};
use super::poller::Poller;
use super::queue::Queue;
use crate::BoxFuture;
use crate::again::{FIRST_PAUSE, longer};
use crate::source::{EventSource, Running, SourceError};

impl EventSource for Sqs {
    fn run(self: Arc<Self>, running: Running) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            // Before the queue is found nothing says where it is.
            let well = format!("polls queue `{}`", self.queue);
            let (key, health) = (running.key.clone(), running.health.clone());
            let searching = Condition::new(key.clone(), health.clone(), well);
            let Some(queue) = find(&self, &running, &searching).await else { return Ok(()) };
            let condition = Condition::new(key, health, format!("polls {}", queue.place));
            let leaves_unreadable = leaves_unreadable(&self, &queue, &running).await;
            let poller = Poller {
                sqs: self,
                running,
                queue,
                condition,
                leaves_unreadable,
                more: Notify::new(),
                late: CancellationToken::new(),
            };
            poll(Arc::new(poller)).await;
            Ok(())
        })
    }
}

/// The queue; tries until it is found. `None`: stopped before.
async fn find(sqs: &Sqs, running: &Running, condition: &Condition) -> Option<Queue> {
    let caller = running.caller();
    let mut pause = FIRST_PAUSE;
    loop {
        let found = tokio::select! {
            found = Queue::connect(sqs, &caller) => found,
            () = running.stop.cancelled() => return None,
        };
        match found {
            Ok(queue) => {
                condition.well(Part::Receiving);
                return Some(queue);
            }
            Err(trouble) => condition.wrong(Part::Receiving, trouble.to_string()),
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = running.stop.cancelled() => return None,
        }
        pause = longer(pause);
    }
}

/// Whether what is not JSON is left in the queue. Where nothing would ever move it away, it
/// would come back until it is as old as the queue lets messages become.
async fn leaves_unreadable(sqs: &Sqs, queue: &Queue, running: &Running) -> bool {
    if !sqs.leaves_unreadable {
        return false;
    }
    let settings = tokio::select! {
        settings = queue.settings() => settings,
        () = running.stop.cancelled() => return true,
    };
    // Without the right to ask, what is configured is believed.
    let moves = settings.is_ok_and(|settings| !settings.has_redrive_policy);
    if moves {
        tracing::warn!(
            event_source = %running.key,
            "`dlq: true`, but {} has no redrive policy: what is not JSON becomes a dead letter of Tripline's",
            queue.place
        );
    }
    !moves
}

/// Receives until the source is to stop: by one task, and by more of them while they have
/// their hands full.
async fn poll(poller: Arc<Poller>) {
    let mut tasks = JoinSet::new();
    tasks.spawn(Arc::clone(&poller).run(true));
    let stop = poller.running.stop.clone();
    let hurry = async {
        stop.cancelled().await;
        sleep(STOP).await;
        poller.late.cancel();
    };
    tokio::pin!(hurry);
    let mut is_late = false;
    loop {
        tokio::select! {
            ended = tasks.join_next() => match ended {
                None => return,
                Some(Ok(())) => {}
                Some(Err(error)) if error.is_panic() => {
                    std::panic::resume_unwind(error.into_panic());
                }
                Some(Err(_)) => return,
            },
            () = poller.more.notified(), if tasks.len() < MAX_POLLERS && !stop.is_cancelled() => {
                tasks.spawn(Arc::clone(&poller).run(false));
            }
            () = &mut hurry, if !is_late => is_late = true,
        }
    }
}
