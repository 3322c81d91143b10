//! The keys: the newest message of each one's subject is its value, and that message's
//! sequence its revision.
//!
//! A put is stored if the sequence before it is still the expected one; a removal deletes the
//! message with the expected sequence, which is there only if it is the newest: there is one
//! message for each subject. So no trace of a key is left, and no revision comes again.
//!
//! | byte of a value's message | what |
//! | --- | --- |
//! | 0 | 0: the value follows; 1: it is in parts |
//! | 1–16 | who put it, and which of its puts this is |
//! | 17– | the value; or the parts' nonce (8), how many (4), how long the value is (8) |

use std::sync::Mutex;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_nats::HeaderMap;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use hashbrown::HashSet;
use serde_json::json;
use sha2::{Digest as _, Sha256};
use tokio::time::Instant;

use super::api::{Api, ApiError, code};
use super::block::Message;
use super::names::Names;
use super::reader::unavailable;
use crate::limits::{check_key, check_value};
use crate::{Entry, ReadError, Revision, WriteError};

/// What stands before the value.
const HEAD_BYTES: usize = 17;
const WHOLE: u8 = 0;
const IN_PARTS: u8 = 1;
/// What a message takes besides its payload.
const MESSAGE_HEADERS_BYTES: usize = 160;
/// How long a put is tried again that is not answered.
const PATIENCE: Duration = Duration::from_secs(8);
const PAUSE: Duration = Duration::from_millis(100);
/// How often a value is read again whose parts went away meanwhile.
const TRIES: usize = 5;

/// The keys of a bus.
pub(super) struct Keys {
    pub(super) api: Api,
    pub(super) names: Names,
    pub(super) stream: String,
    /// One server has the stream: any of its answers is the newest.
    single: bool,
    id: u64,
    puts: AtomicU64,
    /// Keys, by their hash, whose value is in parts or was.
    in_parts: Mutex<HashSet<u64>>,
    taken_over: Mutex<Option<String>>,
}

/// The header that makes a put compare.
pub(super) fn expecting(revision: u64) -> HeaderMap {
    let mut headers = HeaderMap::new();
    headers.insert("Nats-Expected-Last-Subject-Sequence", revision.to_string());
    headers
}

/// What the message of a value says.
enum Value {
    Whole(Bytes),
    Parts { nonce: u64, count: u32, len: usize },
}

struct Head {
    by: (u64, u64),
    value: Value,
}

fn decode(mut payload: Bytes) -> Option<Head> {
    if payload.len() < HEAD_BYTES {
        return None;
    }
    let kind = payload.get_u8();
    let by = (payload.get_u64(), payload.get_u64());
    let value = match kind {
        WHOLE => Value::Whole(payload),
        IN_PARTS if payload.len() == 20 => Value::Parts {
            nonce: payload.get_u64(),
            count: payload.get_u32(),
            len: usize::try_from(payload.get_u64()).ok()?,
        },
        _ => return None,
    };
    Some(Head { by, value })
}

impl Keys {
    pub(super) async fn open(
        api: Api,
        names: Names,
        single: bool,
        id: u64,
    ) -> Result<Self, ApiError> {
        let stream = names.state_stream();
        let parts = format!("{}.state.p.*.*.0", names.prefix());
        let hash = |subject: &String| {
            let segment = subject.split('.').nth(3)?;
            u64::from_str_radix(segment, 16).ok()
        };
        let in_parts = api.subjects(&stream, &parts).await?.iter().filter_map(hash).collect();
        Ok(Self {
            api,
            names,
            stream,
            single,
            id,
            puts: AtomicU64::new(0),
            in_parts: Mutex::new(in_parts),
            taken_over: Mutex::new(None),
        })
    }

    /// From now on nothing is written: somebody else is the owner.
    pub(super) fn take_over(&self, trouble: String) {
        *self.taken_over.lock().unwrap_or_else(PoisonError::into_inner) = Some(trouble);
    }

    fn check_owner(&self) -> Result<(), WriteError> {
        let taken = self.taken_over.lock().unwrap_or_else(PoisonError::into_inner);
        taken.clone().map_or(Ok(()), |trouble| Err(WriteError::Unavailable(trouble)))
    }

    async fn newest(&self, subject: &str) -> Result<Option<Message>, ApiError> {
        if self.single {
            return self.api.direct_last(&self.stream, subject).await;
        }
        let request = json!({"last_by_subj": subject});
        Ok(self.api.leader_get(&self.stream, &request).await?.map(|dated| dated.message))
    }

    /// The value of a key.
    pub(super) async fn get(&self, key: &str) -> Result<Option<Entry>, ReadError> {
        if check_key(key).is_err() {
            return Ok(None);
        }
        for _ in 0..TRIES {
            let newest = self.newest(&self.names.key(key)).await.map_err(unavailable)?;
            let Some(message) = newest else { return Ok(None) };
            let revision = Revision(message.sequence);
            let damaged = || {
                ReadError::Damaged(format!(
                    "message {} of {}: it is no value",
                    revision.0, self.stream
                ))
            };
            match decode(message.payload).ok_or_else(damaged)?.value {
                Value::Whole(value) => return Ok(Some(Entry { revision, value })),
                Value::Parts { nonce, count, len } => {
                    // They go away when the key is put again: then there is a newer value.
                    if let Some(value) = self.parts(key, nonce, count, len).await? {
                        return Ok(Some(Entry { revision, value }));
                    }
                }
            }
        }
        Err(ReadError::Damaged(format!(
            "parts of the value of `{key}` are missing in {}",
            self.stream
        )))
    }

    async fn parts(
        &self,
        key: &str,
        nonce: u64,
        count: u32,
        len: usize,
    ) -> Result<Option<Bytes>, ReadError> {
        let mut value = BytesMut::with_capacity(len);
        for number in 0..count {
            let subject = self.names.part(hash(key), Some((nonce, number)));
            match self.newest(&subject).await.map_err(unavailable)? {
                Some(part) => value.extend_from_slice(&part.payload),
                None => return Ok(None),
            }
        }
        Ok((value.len() == len).then(|| value.freeze()))
    }

    /// Sets a key, if its revision is the expected one.
    pub(super) async fn put(
        &self,
        key: &str,
        value: Bytes,
        expected: Revision,
    ) -> Result<Revision, WriteError> {
        check_key(key)?;
        check_value(&value)?;
        self.check_owner()?;
        let by = (self.id, self.puts.fetch_add(1, Ordering::Relaxed));
        let mut message = BytesMut::with_capacity(HEAD_BYTES + value.len().min(1 << 20));
        let room = self.api.connection.client.max_payload().saturating_sub(MESSAGE_HEADERS_BYTES);
        let in_parts = HEAD_BYTES + value.len() > room;
        message.put_u8(if in_parts { IN_PARTS } else { WHOLE });
        message.put_u64(by.0);
        message.put_u64(by.1);
        let mut first_part = None;
        if in_parts {
            let count = self.put_parts(key, by.1 ^ self.id, &value, room, &mut first_part).await?;
            message.put_u64(by.1 ^ self.id);
            message.put_u32(count);
            message.put_u64(value.len() as u64);
        } else {
            message.extend_from_slice(&value);
        }
        let revision = self.put_message(key, message.freeze(), expected, by).await?;
        self.forget_parts(key, first_part.unwrap_or(revision.0)).await;
        if in_parts {
            self.known_in_parts().insert(hash(key));
        }
        Ok(revision)
    }

    async fn put_parts(
        &self,
        key: &str,
        nonce: u64,
        value: &Bytes,
        room: usize,
        first: &mut Option<u64>,
    ) -> Result<u32, WriteError> {
        let mut count = 0;
        for start in (0..value.len()).step_by(room.max(1)) {
            let part = value.slice(start..value.len().min(start + room));
            let subject = self.names.part(hash(key), Some((nonce, count)));
            let deadline = Instant::now() + PATIENCE;
            // Under a name of its own: once more does no harm.
            let stored = loop {
                match self.api.publish(&subject, HeaderMap::new(), part.clone()).await {
                    Ok(stored) => break stored,
                    Err(error) => self.may_try_again(error, deadline).await?,
                }
            };
            first.get_or_insert(stored.seq);
            count += 1;
        }
        Ok(count)
    }

    async fn put_message(
        &self,
        key: &str,
        message: Bytes,
        expected: Revision,
        by: (u64, u64),
    ) -> Result<Revision, WriteError> {
        let subject = self.names.key(key);
        let deadline = Instant::now() + PATIENCE;
        loop {
            let put = self.api.publish(&subject, expecting(expected.0), message.clone()).await;
            let error = match put {
                Ok(stored) => return Ok(Revision(stored.seq)),
                Err(error) => error,
            };
            if !error.is_wrong_sequence() {
                self.may_try_again(error, deadline).await?;
                continue;
            }
            let found = match self.newest(&subject).await {
                Ok(found) => found,
                Err(error) => {
                    self.may_try_again(error, deadline).await?;
                    continue;
                }
            };
            let revision = Revision(found.as_ref().map_or(0, |message| message.sequence));
            let mine =
                found.and_then(|found| decode(found.payload)).is_some_and(|head| head.by == by);
            if mine {
                // An earlier try was stored, and its answer lost.
                return Ok(revision);
            }
            if revision != expected {
                return Err(WriteError::Conflict {
                    key: key.to_owned(),
                    found: revision,
                    expected,
                });
            }
            // Another put is under way, and may fail.
            self.may_try_again(error, deadline).await?;
        }
    }

    /// Waits before the next try, unless it is for good or lasts too long.
    async fn may_try_again(&self, error: ApiError, deadline: Instant) -> Result<(), WriteError> {
        if error.is_full() {
            let stream = &self.stream;
            return Err(WriteError::Full(format!("stream {stream} takes nothing more: {error}")));
        }
        let for_good = error.is(code::MESSAGE_TOO_LARGE) || error.is(code::STREAM_NOT_FOUND);
        if for_good || Instant::now() >= deadline {
            return Err(WriteError::Unavailable(error.to_string()));
        }
        tokio::time::sleep(PAUSE).await;
        Ok(())
    }

    fn known_in_parts(&self) -> std::sync::MutexGuard<'_, HashSet<u64>> {
        self.in_parts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Removes the parts of earlier values of a key, those before `below`. Should that fail,
    /// they take some room, until the next time.
    async fn forget_parts(&self, key: &str, below: u64) {
        if !self.known_in_parts().contains(&hash(key)) {
            return;
        }
        let subject = self.names.part(hash(key), None);
        if let Err(error) = self.api.purge(&self.stream, Some(&subject), below).await {
            tracing::debug!(key, %error, "parts of an earlier value stay");
        }
    }

    /// Removes a key, if its revision is the expected one.
    pub(super) async fn delete(&self, key: &str, expected: Revision) -> Result<(), WriteError> {
        check_key(key)?;
        self.check_owner()?;
        let subject = self.names.key(key);
        let deadline = Instant::now() + PATIENCE;
        let mut unanswered = false;
        loop {
            let removed = if expected == Revision::ABSENT {
                Ok(false)
            } else {
                self.remove(&subject, expected).await
            };
            let found = match removed {
                Ok(true) => {
                    self.forget_parts(key, expected.0).await;
                    return Ok(());
                }
                Ok(false) => self.newest(&subject).await,
                Err(error) => {
                    unanswered = true;
                    Err(error)
                }
            };
            match found {
                // It is as it should be, be it by an earlier try.
                Ok(None) if unanswered || expected == Revision::ABSENT => return Ok(()),
                Ok(None) => {
                    let found = Revision::ABSENT;
                    return Err(WriteError::Conflict { key: key.to_owned(), found, expected });
                }
                Ok(Some(message)) if message.sequence == expected.0 => {
                    tokio::time::sleep(PAUSE).await;
                    if Instant::now() >= deadline {
                        let text = format!("`{key}` could not be removed from {}", self.stream);
                        return Err(WriteError::Unavailable(text));
                    }
                }
                Ok(Some(message)) => {
                    let found = Revision(message.sequence);
                    return Err(WriteError::Conflict { key: key.to_owned(), found, expected });
                }
                Err(error) => self.may_try_again(error, deadline).await?,
            }
        }
    }

    /// Removes the message with this sequence, if it is this key's: a revision that was never
    /// given may be that of another one.
    async fn remove(&self, subject: &str, revision: Revision) -> Result<bool, ApiError> {
        match self.newest(subject).await? {
            Some(message) if message.sequence == revision.0 => {
                self.api.delete(&self.stream, revision.0).await
            }
            _ => Ok(false),
        }
    }

    /// The keys that begin with `prefix` and come after `after`.
    pub(super) async fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        max: usize,
    ) -> Result<Vec<String>, ReadError> {
        let is_beginning = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./=".contains(&byte);
        if !prefix.bytes().all(is_beginning) || prefix.len() > crate::MAX_KEY_BYTES || max == 0 {
            return Ok(Vec::new());
        }
        let subjects = self
            .api
            .subjects(&self.stream, &self.names.keys_with(prefix))
            .await
            .map_err(unavailable)?;
        let mut keys: Vec<String> = subjects
            .iter()
            .filter_map(|subject| self.names.key_of(subject))
            .filter(|key| key.starts_with(prefix) && after.is_none_or(|after| key.as_str() > after))
            .collect();
        // Subjects are in an order of their own.
        keys.sort_unstable();
        keys.truncate(max);
        Ok(keys)
    }
}

/// A key's parts are named after this: it is too long for a subject beside the rest.
fn hash(key: &str) -> u64 {
    let digest = Sha256::digest(key.as_bytes());
    digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
