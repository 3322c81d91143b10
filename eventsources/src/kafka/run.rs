//! Runs one session after the other.

use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::time::sleep;

use super::config::Kafka;
use super::limits::{LEAVE, STOP};
use super::puller::{Ended, Puller};
use crate::BoxFuture;
use crate::source::{EventSource, Running, SourceError};

impl EventSource for Kafka {
    fn run(self: Arc<Self>, running: Running) -> BoxFuture<'static, Result<(), SourceError>> {
        Box::pin(async move {
            while session(&self, &running).await? == Ended::Renew {}
            Ok(())
        })
    }
}

/// From making a client to closing it, on a thread of its own.
async fn session(kafka: &Arc<Kafka>, running: &Running) -> Result<Ended, SourceError> {
    let secrets = &*running.context.secrets;
    let credentials = kafka.credentials(&running.key.namespace, secrets).map_err(SourceError)?;
    // The thread ends when this is dropped, too.
    let stop = running.stop.child_token();
    let _ends_with_this = stop.clone().drop_guard();
    let puller = Puller::new(Arc::clone(kafka), running.clone(), stop, credentials);
    let puller = puller.map_err(SourceError)?;
    let (answer, mut answered) = oneshot::channel();
    let thread = std::thread::Builder::new().name("kafka".to_owned());
    let spawned = thread.spawn(move || {
        let ended = puller.run();
        // Nobody waits for it where it took too long.
        drop(answer.send(ended));
    });
    spawned.map_err(|error| SourceError(format!("a thread cannot be started: {error}")))?;
    let late = async {
        running.stop.cancelled().await;
        sleep(STOP + LEAVE).await;
    };
    tokio::select! {
        ended = &mut answered => match ended {
            Ok(ended) => ended.map_err(SourceError),
            Err(_) => Err(SourceError("the thread of the client panicked".to_owned())),
        },
        () = late => {
            tracing::warn!(
                event_source = %running.key,
                "the group is not left in time: its other members wait until they notice"
            );
            Ok(Ended::Stopped)
        }
    }
}
