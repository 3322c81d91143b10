//! What is read back when the bus is opened, and what is remembered for that.
//!
//! A trim may end within a block, which stays whole in the stream: where the log begins is
//! remembered under the key `m.trim-LOG`. The newest block is never purged, since it says
//! where the log goes on.

use std::sync::Arc;

use async_nats::HeaderMap;
use rand::{Rng, SeedableRng};
use serde::{Deserialize, Serialize};
use serde_json::json;
use tripline_event::Position;

use super::OpenError;
use super::api::{Api, ApiError};
use super::block::{Assembler, Header, Record};
use super::dedup::Dedup;
use super::keys::{Keys, expecting};
use super::reader;
use super::streams::{self, Opened};
use super::view::{State, View};
use crate::{Log, ReadError, WriteError};

/// How many bytes of the newest records are read for their dedup ids.
const DEDUP_BYTES: u64 = 32 * 1024 * 1024;
/// How many messages are read through rather than halved.
const NEAR: u64 = 128;

/// A log that was read back.
pub(super) struct Loaded {
    pub(super) view: View,
    pub(super) dedup: Dedup,
}

/// Where a log was trimmed.
#[derive(Debug, Deserialize, Serialize)]
struct Mark {
    incarnation: u32,
    first: u64,
    bytes_before: u64,
}

/// A number that nobody else has.
pub(super) fn random_id() -> u64 {
    rand::rngs::StdRng::from_os_rng().random()
}

/// Refuses keys that are gone while the logs are not; leaves a sign that they were there.
pub(super) async fn check_state(keys: &Keys, logs: &[Opened]) -> Result<(), OpenError> {
    let failed = |error| streams::api_error(&keys.api, &keys.stream, error);
    let sign = keys.names.memory("bus");
    let request = json!({"last_by_subj": sign});
    if keys.api.leader_get(&keys.stream, &request).await.map_err(failed)?.is_some() {
        return Ok(());
    }
    let has_records = logs.iter().any(|log| log.info.state.last_seq > 0);
    if has_records {
        return Err(OpenError::StateGone { stream: keys.stream.clone() });
    }
    match keys.api.publish(&sign, expecting(0), "{}".into()).await {
        Ok(_) => Ok(()),
        // Somebody else was quicker.
        Err(error) if error.is_wrong_sequence() => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

/// Reads back how far a log is, and the ids of its newest records.
pub(super) async fn load(
    api: &Api,
    keys: &Keys,
    log: Log,
    opened: Opened,
    window: usize,
) -> Result<Loaded, OpenError> {
    let stream = keys.names.stream(log);
    let opened = if opened.info.state.messages == 0 && opened.info.state.last_seq > 0 {
        // Somebody has emptied it: what positions of the old one meant is gone.
        streams::renew(api, &stream, opened.info).await?
    } else {
        opened
    };
    let Opened { info, start } = opened;
    let mut state = State::new(info.created, start.incarnation);
    (state.first, state.next) = (start.first, start.first);
    state.first_message = info.state.first_seq.max(1);
    state.last_message = info.state.last_seq;
    let view = View::new(log, stream, keys.names.subject(log), state);
    if info.state.messages > 0 {
        ends(api, keys, &view).await?;
    }
    let mut dedup = Dedup::new(window);
    newest(api, &view, window as u64, &mut dedup).await?;
    let mut state = view.state();
    state.first = state.first.min(state.next);
    drop(state);
    Ok(Loaded { view, dedup })
}

/// Finds where the log begins, and about where it ends.
async fn ends(api: &Api, keys: &Keys, view: &View) -> Result<(), OpenError> {
    let failed = |error| streams::api_error(api, &view.stream, error);
    let newest = json!({"last_by_subj": view.subject});
    let Some(newest) = api.leader_get(&view.stream, &newest).await.map_err(failed)? else {
        return Ok(());
    };
    let last = header(view, &newest.message)?;
    let (incarnation, first_message) = {
        let mut state = view.state();
        if last.incarnation != state.incarnation {
            // What is left of an earlier one.
            state.first_message = state.last_message + 1;
            return Ok(());
        }
        (state.incarnation, state.first_message)
    };
    let oldest = json!({"seq": first_message, "next_by_subj": view.subject});
    let oldest = api.leader_get(&view.stream, &oldest).await.map_err(failed)?;
    let first = match &oldest {
        Some(oldest) => header(view, &oldest.message)?,
        None => last,
    };
    let mark = mark(keys, view.log).await.map_err(failed)?;
    let mut state = view.state();
    let is_complete = last.fragment + 1 == last.fragments;
    state.next = last.first + if is_complete { u64::from(last.count) } else { 0 };
    state.bytes = last.bytes_before + if is_complete { last.bytes } else { 0 };
    // Of a block whose beginning is gone nothing can be read.
    let is_cut = first.fragment > 0;
    state.first = first.first + if is_cut { u64::from(first.count) } else { 0 };
    state.bytes_before_first = first.bytes_before + if is_cut { first.bytes } else { 0 };
    if let Some(mark) = mark.filter(|mark| mark.incarnation == incarnation)
        && mark.first >= state.first
    {
        state.first = mark.first;
        state.bytes_before_first = mark.bytes_before;
    }
    Ok(())
}

fn header(view: &View, message: &super::block::Message) -> Result<Header, ReadError> {
    let damaged = |error| {
        ReadError::Damaged(format!("message {} of {}: {error}", message.sequence, view.stream))
    };
    Ok(Header::take(message.payload.clone()).map_err(damaged)?.0)
}

async fn mark(keys: &Keys, log: Log) -> Result<Option<Mark>, ApiError> {
    let subject = keys.names.memory(&format!("trim-{}", log.as_str()));
    let request = json!({"last_by_subj": subject});
    let found = keys.api.leader_get(&keys.stream, &request).await?;
    Ok(found.and_then(|found| serde_json::from_slice(&found.message.payload).ok()))
}

/// Reads the newest blocks: their ids, the blocks themselves for whoever reads on, and where
/// the last one that counts has ended.
async fn newest(api: &Api, view: &View, window: u64, dedup: &mut Dedup) -> Result<(), OpenError> {
    let (mut low, last, next, bytes) = {
        let state = view.state();
        (state.first_message, state.last_message, state.next, state.bytes)
    };
    let mut high = last + 1;
    while high.saturating_sub(low) > NEAR {
        let middle = low + (high - low) / 2;
        let found = reader::messages(api, view, middle, middle).await?;
        let Some(message) = found.first() else {
            high = middle;
            continue;
        };
        let header = header(view, message)?;
        if header.first + window >= next && header.bytes_before + DEDUP_BYTES >= bytes {
            high = middle;
        } else {
            low = middle;
        }
    }
    let mut at = low;
    let mut next = None;
    let mut assembler = Assembler::default();
    while at <= last {
        let messages = reader::messages(api, view, at, last).await?;
        let Some(newest) = messages.last() else { break };
        at = newest.sequence + 1;
        for message in &messages {
            let Some(block) = reader::take(view, &mut assembler, message)? else { continue };
            if next.is_some_and(|next| next != block.header.first) {
                continue;
            }
            next = Some(block.next());
            let mut state = view.state();
            state.next = block.next();
            state.bytes = block.header.bytes_before + block.header.bytes;
            state.push(&block);
            drop(state);
            for (Record { id, .. }, sequence) in block.records.iter().zip(block.header.first..) {
                if let Some(id) = id {
                    dedup.learn(dedup.hash(id), sequence);
                }
            }
        }
    }
    Ok(())
}

/// Removes the records before `below`.
pub(super) async fn trim(
    api: &Api,
    keys: &Keys,
    view: &Arc<View>,
    below: Position,
) -> Result<(), WriteError> {
    let (first, next, bytes, incarnation, newest) = {
        let state = view.state();
        (state.first, state.next, state.bytes, state.incarnation, state.newest().cloned())
    };
    let target = below.sequence.min(next);
    if below.incarnation != incarnation || target <= first {
        return Ok(());
    }
    // The block that the log begins in then, or its newest one where nothing is left.
    let held = match newest.filter(|newest| newest.next() > target || target == next) {
        Some(newest) if newest.header.first <= target => Some(newest),
        _ => reader::block(api, view, target.min(next - 1)).await.map_err(read_failed)?,
    };
    let gone = || WriteError::Unavailable(format!("{} has no record {below}", view.stream));
    let block = held.ok_or_else(gone)?;
    let before = usize::try_from(target - block.header.first).unwrap_or(usize::MAX);
    let within: u64 = block.records.iter().take(before).map(Record::bytes).sum();
    let bytes_before = (block.header.bytes_before + within).min(bytes);
    let failed = |error: ApiError| WriteError::Unavailable(error.to_string());
    api.purge(&view.stream, None, block.message).await.map_err(failed)?;
    let mark = Mark { incarnation, first: target, bytes_before };
    let value =
        serde_json::to_vec(&mark).map_err(|error| WriteError::Unavailable(error.to_string()))?;
    let subject = keys.names.memory(&format!("trim-{}", view.log.as_str()));
    api.publish(&subject, HeaderMap::new(), value.into()).await.map_err(failed)?;
    view.state().trimmed(target, bytes_before, block.message);
    view.tell_change();
    Ok(())
}

fn read_failed(error: ReadError) -> WriteError {
    WriteError::Unavailable(error.to_string())
}
