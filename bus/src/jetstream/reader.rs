//! Finding and reading what is no longer in memory.
//!
//! No consumer is kept, so none can go silent or stay behind on the server: each page is
//! asked for, and an answer that does not come in time is said.

use std::sync::Arc;

use serde_json::json;
use tripline_event::Position;

use super::api::{Api, ApiError};
use super::block::{Assembler, Block, Header, Message};
use super::view::View;
use crate::{ReadError, Stored};

/// How many messages are asked for at once.
const BATCH_MESSAGES: usize = 512;
/// How many bytes of them.
const BATCH_BYTES: usize = 2 * 1024 * 1024;
/// How many messages are read through rather than halved.
const NEAR: u64 = 128;
/// How often a page is looked for again that was trimmed or is not there yet.
const TRIES: usize = 3;

/// Records from `from` on: the same as [`crate::Bus::read`].
pub(super) async fn read(
    api: &Api,
    view: &View,
    from: Position,
    max: usize,
) -> Result<Vec<Stored>, ReadError> {
    for _ in 0..TRIES {
        let extent = view.check(from)?;
        let first = from.sequence.max(1);
        if max == 0 {
            return Ok(Vec::new());
        }
        if first >= extent.next.sequence {
            // Whether this is still the end cannot be told while there is trouble.
            return match view.trouble() {
                Some(trouble) => Err(ReadError::Unavailable(trouble)),
                None => Ok(Vec::new()),
            };
        }
        if let Some(found) = view.state().records(first, max) {
            return Ok(found);
        }
        if let Some(trouble) = view.lasting_trouble() {
            return Err(ReadError::Unavailable(trouble));
        }
        let run = run_from(api, view, first).await?;
        if !run.is_empty() {
            view.state().keep_run(run);
        }
    }
    let stream = &view.stream;
    Err(ReadError::Damaged(format!("stream {stream} has no message with the record {from}")))
}

/// The block that has a record.
pub(super) async fn block(
    api: &Api,
    view: &View,
    sequence: u64,
) -> Result<Option<Arc<Block>>, ReadError> {
    if let Some(block) = view.state().block(sequence) {
        return Ok(Some(block));
    }
    let run = run_from(api, view, sequence).await?;
    Ok(run.into_iter().next().filter(|block| block.next() > sequence))
}

/// Blocks one after the other, the first of which has the record `sequence`.
async fn run_from(api: &Api, view: &View, sequence: u64) -> Result<Vec<Arc<Block>>, ReadError> {
    let mut at = place(api, view, sequence).await?;
    let mut assembler = Assembler::default();
    let mut run: Vec<Arc<Block>> = Vec::new();
    loop {
        let last = view.state().last_message;
        if at > last {
            return Ok(run);
        }
        let messages = messages(api, view, at, last).await?;
        let Some(newest) = messages.last() else { return Ok(run) };
        at = newest.sequence + 1;
        for message in &messages {
            let Some(block) = take(view, &mut assembler, message)? else { continue };
            match run.last() {
                None if block.header.first > sequence => return Ok(run),
                None if block.next() <= sequence => {}
                Some(before) if before.next() != block.header.first => {}
                _ => run.push(block),
            }
        }
        if !run.is_empty() {
            return Ok(run);
        }
    }
}

/// Takes a message; one that is not understood is damage.
pub(super) fn take(
    view: &View,
    assembler: &mut Assembler,
    message: &Message,
) -> Result<Option<Arc<Block>>, ReadError> {
    let block = assembler.take(message).map_err(|error| damaged(view, message, &error))?;
    let incarnation = view.state().incarnation;
    Ok(block.filter(|block| block.header.incarnation == incarnation))
}

fn damaged(view: &View, message: &Message, error: &dyn std::fmt::Display) -> ReadError {
    ReadError::Damaged(format!("message {} of {}: {error}", message.sequence, view.stream))
}

/// A message at which, or a little after which, the block begins that has the record.
async fn place(api: &Api, view: &View, sequence: u64) -> Result<u64, ReadError> {
    let (mut low, mut high) = view.state().around(sequence);
    while high.saturating_sub(low) > NEAR {
        let middle = low + (high - low) / 2;
        let Some(message) = one(api, view, middle).await? else {
            high = middle;
            continue;
        };
        let (header, _) = Header::take(message.payload.clone())
            .map_err(|error| damaged(view, &message, &error))?;
        let begin = message.sequence.saturating_sub(u64::from(header.fragment));
        view.state().remember(header.first, begin);
        if header.first > sequence {
            high = middle;
        } else if begin > low {
            low = begin;
        } else {
            // A block of many fragments begins at `low`: what follows it is read through.
            break;
        }
    }
    Ok(low)
}

/// The first message from `at` on.
async fn one(api: &Api, view: &View, at: u64) -> Result<Option<Message>, ReadError> {
    let found =
        api.direct_batch(&view.stream, &view.subject, at, 1, 1).await.map_err(unavailable)?;
    match found.into_iter().next() {
        Some(message) => Ok(Some(message)),
        None => leader_one(api, view, at).await,
    }
}

async fn leader_one(api: &Api, view: &View, at: u64) -> Result<Option<Message>, ReadError> {
    let request = json!({"seq": at, "next_by_subj": view.subject});
    let found = api.leader_get(&view.stream, &request).await.map_err(unavailable)?;
    Ok(found.map(|dated| dated.message))
}

/// The messages from `at` on; one at least, if there is one up to `last`. The stream's leader
/// is asked where another server does not have the newest yet.
pub(super) async fn messages(
    api: &Api,
    view: &View,
    at: u64,
    last: u64,
) -> Result<Vec<Message>, ReadError> {
    let most = usize::try_from(last - at + 1).unwrap_or(usize::MAX).min(BATCH_MESSAGES);
    let found = api
        .direct_batch(&view.stream, &view.subject, at, most, BATCH_BYTES)
        .await
        .map_err(unavailable)?;
    if !found.is_empty() {
        return Ok(found);
    }
    Ok(leader_one(api, view, at).await?.into_iter().collect())
}

pub(super) fn unavailable(error: ApiError) -> ReadError {
    ReadError::Unavailable(error.to_string())
}
