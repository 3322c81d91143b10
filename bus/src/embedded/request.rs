//! What the writer is asked to do, and how it is answered.

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, oneshot};
use tripline_event::Position;

use super::draft::Draft;
use super::room::on_pages;
use crate::{Append, Appended, Log, Revision, WriteError};

/// Something asked for, and whom to answer.
pub(super) struct Request {
    pub(super) task: Task,
    /// The place in the queue, given back when it is answered.
    pub(super) _permit: OwnedSemaphorePermit,
}

pub(super) enum Task {
    Append { log: Log, batch: Vec<Append>, bytes: usize, reply: Reply<Vec<Appended>> },
    Put { key: String, value: Bytes, expected: Revision, reply: Reply<Revision> },
    Delete { key: String, expected: Revision, reply: Reply<()> },
    Trim { log: Log, below: Position, reply: Reply<()> },
}

/// An answer, which is kept back until it is durable.
pub(super) struct Reply<T> {
    result: Option<Result<T, WriteError>>,
    sender: oneshot::Sender<Result<T, WriteError>>,
}

impl<T> Reply<T> {
    pub(super) fn new() -> (Self, oneshot::Receiver<Result<T, WriteError>>) {
        let (sender, receiver) = oneshot::channel();
        (Self { result: None, sender }, receiver)
    }

    /// Sends the answer. One who no longer waits for it does not need it.
    fn send(self, failure: Option<WriteError>) {
        if let Some(result) = failure.map(Err).or(self.result) {
            drop(self.sender.send(result));
        }
    }
}

impl Task {
    /// About how many bytes it will write.
    pub(super) fn wanted(&self) -> u64 {
        match self {
            Self::Append { bytes, .. } => on_pages(*bytes as u64),
            Self::Put { value, .. } => on_pages(value.len() as u64),
            Self::Delete { .. } | Self::Trim { .. } => 0,
        }
    }

    /// Drafts it, or keeps back the reason why not. After an error the draft must be given up.
    pub(super) fn draft(&mut self, draft: &mut Draft<'_>) -> heed::Result<()> {
        match self {
            Self::Append { log, batch, bytes, reply } => {
                reply.result = Some(draft.append(*log, batch, *bytes)?);
            }
            Self::Put { key, value, expected, reply } => {
                reply.result = Some(draft.put(key, value, *expected)?);
            }
            Self::Delete { key, expected, reply } => {
                reply.result = Some(draft.delete(key, *expected)?);
            }
            Self::Trim { log, below, reply } => {
                reply.result = draft.trim(*log, *below)?.then_some(Ok(()));
            }
        }
        Ok(())
    }

    /// Whether the next group must go on with it.
    pub(super) fn is_unfinished(&self) -> bool {
        matches!(self, Self::Trim { reply: Reply { result: None, .. }, .. })
    }

    /// Answers: with the failure, or else with what became of it.
    pub(super) fn answer(self, failure: Option<WriteError>) {
        match self {
            Self::Append { reply, .. } => reply.send(failure),
            Self::Put { reply, .. } => reply.send(failure),
            Self::Delete { reply, .. } | Self::Trim { reply, .. } => reply.send(failure),
        }
    }

    /// What it was refused for, for want of room.
    pub(super) fn refused_as_full(&self) -> Option<&WriteError> {
        let error = match self {
            Self::Append { reply, .. } => reply.result.as_ref()?.as_ref().err(),
            Self::Put { reply, .. } => reply.result.as_ref()?.as_ref().err(),
            Self::Delete { .. } | Self::Trim { .. } => None,
        };
        error.filter(|error| matches!(error, WriteError::Full(_)))
    }

    /// Whether it took in something new, for which room is refused first.
    pub(super) fn took_events(&self) -> bool {
        matches!(
            self,
            Self::Append { log: Log::Events, reply: Reply { result: Some(Ok(_)), .. }, .. }
        )
    }
}
