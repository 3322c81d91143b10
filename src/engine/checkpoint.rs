//! Checkpoints: the evaluator's state as it was at a place in the log.
//!
//! A checkpoint is a manifest over chunks. Chunks are written first and never changed; the
//! manifest follows, by compare-and-swap on `state/head`. Only what changed is written:
//! the parts of the half-met conditions that changed, and the segments of the window of
//! event ids that are new or not full. Neither grows with the number of sensors.
//!
//! A chunk is named after the checkpoint that wrote it, so that a run of checkpoints
//! refers to it and then none any more. The first checkpoint of each hour is kept under
//! `state/checkpoint/`, with its chunks, so that the past can be explained.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{join_all, try_join_all};
use serde::{Deserialize, Serialize};
use tripline_bus::{Bus, ReadError, Revision, WriteError};
use tripline_event::{FORMAT, ObjectName, Position, Timestamp};
use tripline_sensors::evaluator::window::{Window, WindowError};
use tripline_sensors::evaluator::{Part, SensorState, State, VERSION};

use super::schedules::stored::{Restored, StoredError};
use super::schedules::{SharedSchedules, lock};

pub(super) const HEAD: &str = "state/head";
/// Before the number of a checkpoint that is kept for the past's sake.
pub(super) const KEPT: &str = "state/checkpoint/";
/// Before the number of the checkpoint that a chunk was written for.
const CHUNKS: &str = "state/chunk/";
/// The most chunks that are removed when what others have left is: more stay.
const SWEPT_AT_ONCE: usize = 4096;
/// Of the checkpoints of this time only the first is kept, unless many records lie between.
const KEPT_EVERY_SECONDS: i64 = 3600;
/// So many records after the latest that is kept, the next one is too: what bounds how much is
/// evaluated again to explain a decision.
const KEPT_EVERY_RECORDS: u64 = 50_000;

/// What a checkpoint says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    /// The format of this record.
    pub v: u32,
    /// The version of the rules that the state was made by.
    pub evaluator: u32,
    /// The number of the checkpoint; it only grows.
    pub number: u64,
    /// The plan that was in force.
    pub plan: u64,
    /// The last record of EVENTS that is in the state.
    pub watermark: Position,
    /// Log time there.
    pub log_time: Timestamp,
    /// Where the rest of the work is found.
    pub marks: Marks,
    /// When it was written.
    pub written_at: Timestamp,
    /// Half-met conditions: the chunk of each part that has any.
    #[serde(default)]
    pub conditions: BTreeMap<u8, String>,
    /// The same as the first version had it: a chunk for each sensor (`namespace/name`).
    /// Read, and not written any more.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub sensors: BTreeMap<String, String>,
    /// The window of event ids: its segments' chunks by the segments' bases.
    pub window: BTreeMap<u64, String>,
    /// What schedules remember: the chunk of each part that has any.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub schedules: BTreeMap<u8, String>,
    /// The chunk of the events that schedules decided and that were not seen in the log.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outbox: Option<String>,
    /// Ends of runs in OUTCOMES up to here are on the bus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub relayed: Option<Position>,
    /// The latest checkpoint before this one that is kept for the past's sake.
    pub kept: u64,
    /// When that was written.
    pub kept_at: Timestamp,
    /// How far the log was then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kept_watermark: Option<Position>,
}

/// Where to begin to read the other two logs after a restart.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Marks {
    /// Actions from here on may have been decided after the checkpoint.
    pub actions: Position,
    /// No action before this is open.
    pub open_from: Position,
    /// No outcome before this is of an action from `open_from` on.
    pub outcomes_from: Position,
}

/// Why a checkpoint could not be written or read.
#[derive(Debug, thiserror::Error)]
pub enum CheckpointError {
    /// The bus did not take it.
    #[error("checkpoint cannot be written")]
    Write(#[from] WriteError),
    /// The bus did not give it.
    #[error("checkpoint cannot be read")]
    Read(#[from] ReadError),
    /// It is damaged, or of another format.
    #[error("checkpoint {0} cannot be read: {1}")]
    Damaged(String, String),
    /// It was written by a newer Tripline.
    #[error(
        "checkpoint has format {format} and evaluator {evaluator}, this build knows {FORMAT} and {VERSION}: run a newer Tripline"
    )]
    Newer {
        /// Its format.
        format: u32,
        /// Its rules.
        evaluator: u32,
    },
    /// A newer owner has written one.
    #[error("another daemon has taken over this bus: it wrote a checkpoint")]
    TakenOver,
}

/// Reads and writes the checkpoints of one bus.
pub struct Checkpoints {
    bus: Arc<dyn Bus>,
    head: Revision,
    last: Option<Manifest>,
    /// Manifests whose fate is not known: the bus did not answer.
    uncertain: Vec<Manifest>,
    /// The chunks of segments of the window that will not change any more, by base.
    full: BTreeMap<u64, String>,
    /// What an earlier daemon wrote for a checkpoint that it did not finish is gone.
    swept: bool,
}

impl Checkpoints {
    /// The checkpoints of `bus`, and the newest of them.
    pub async fn open(bus: Arc<dyn Bus>) -> Result<Self, CheckpointError> {
        let (head, last) = match bus.get(HEAD).await? {
            Some(entry) => (entry.revision, Some(read_manifest(&entry.value)?)),
            None => (Revision::ABSENT, None),
        };
        Ok(Self { bus, head, last, uncertain: Vec::new(), full: BTreeMap::new(), swept: false })
    }

    /// The newest checkpoint; none on a new bus.
    pub fn last(&self) -> Option<&Manifest> {
        self.last.as_ref()
    }

    /// The state that the newest checkpoint holds.
    pub async fn restore(&mut self) -> Result<Option<State>, CheckpointError> {
        let Some(manifest) = self.last.clone() else { return Ok(None) };
        let mut state = State::new(manifest.watermark.origin());
        state.watermark = manifest.watermark;
        state.log_time = manifest.log_time;
        let mut parts = Vec::with_capacity(manifest.conditions.len());
        for chunk in manifest.conditions.values() {
            parts.push(read_part(chunk, &self.chunk(chunk).await?)?);
        }
        for (name, chunk) in &manifest.sensors {
            let sensor = read(chunk, &self.chunk(chunk).await?)?;
            parts.push(Part::from([(object_name(name), sensor)]));
        }
        state.restore(parts);
        if !manifest.sensors.is_empty() {
            state.conditions.touch_all();
        }
        let mut segments = Vec::with_capacity(manifest.window.len());
        for chunk in manifest.window.values() {
            segments.push(self.chunk(chunk).await?);
        }
        state.window =
            Window::restore(segments.iter().map(AsRef::as_ref)).map_err(|WindowError| {
                CheckpointError::Damaged(HEAD.to_owned(), WindowError.to_string())
            })?;
        let full = state.window.segments().filter(|segment| segment.is_full());
        self.full = full
            .filter_map(|segment| {
                let base = segment.base();
                Some((base, manifest.window.get(&base)?.clone()))
            })
            .collect();
        Ok(Some(state))
    }

    /// What the newest checkpoint holds of schedules.
    pub async fn restore_schedules(&self) -> Result<Restored, CheckpointError> {
        let mut restored = Restored::default();
        let Some(manifest) = &self.last else { return Ok(restored) };
        let damaged = |chunk: &String, error: StoredError| {
            CheckpointError::Damaged(chunk.clone(), error.to_string())
        };
        for chunk in manifest.schedules.values() {
            let bytes = self.chunk(chunk).await?;
            restored.read_part(&bytes).map_err(|error| damaged(chunk, error))?;
        }
        if let Some(chunk) = &manifest.outbox {
            let bytes = self.chunk(chunk).await?;
            restored.read_outbox(&bytes).map_err(|error| damaged(chunk, error))?;
        }
        Ok(restored)
    }

    async fn chunk(&self, key: &str) -> Result<Bytes, CheckpointError> {
        let entry = self.bus.get(key).await?;
        let damaged = || CheckpointError::Damaged(key.to_owned(), "it is not there".to_owned());
        Ok(entry.ok_or_else(damaged)?.value)
    }

    /// Writes the state. When this returns, a restart begins from here. What is dirty in
    /// `state` is so no more.
    pub async fn write(
        &mut self,
        state: &mut State,
        schedules: &SharedSchedules,
        plan: u64,
        marks: Marks,
        now: Timestamp,
    ) -> Result<(), CheckpointError> {
        self.settle().await?;
        let number = self.last.as_ref().map_or(1, |last| last.number + 1);
        let mut chunks = Chunks { number, at: now, chunks: Vec::new() };
        let conditions = conditions(&mut chunks, self.last.as_ref(), state)?;
        let window = self.window(&mut chunks, state);
        let (of_schedules, outbox, relayed) = self.schedules(&mut chunks, schedules);
        chunks.write(&*self.bus).await?;
        let (kept, kept_at, kept_watermark) = self.keep(now).await?;
        let manifest = Manifest {
            v: FORMAT,
            evaluator: VERSION,
            number,
            plan,
            watermark: state.watermark,
            log_time: state.log_time,
            marks,
            written_at: now,
            conditions,
            sensors: BTreeMap::new(),
            window,
            schedules: of_schedules,
            outbox,
            relayed,
            kept,
            kept_at,
            kept_watermark,
        };
        self.head = match self.bus.put(HEAD, encode(&manifest), self.head).await {
            Ok(revision) => revision,
            Err(WriteError::Conflict { .. }) => return Err(CheckpointError::TakenOver),
            Err(error) => {
                self.uncertain.push(manifest);
                return Err(error.into());
            }
        };
        state.conditions.written();
        lock(schedules).written();
        self.full.retain(|base, _| manifest.window.contains_key(base));
        let before = self.last.replace(manifest);
        if let Some(before) = before {
            self.forget_chunks(&before).await;
        }
        self.sweep(number).await;
        Ok(())
    }

    /// After a write that was not answered, the head may be what was written: then that is
    /// the newest checkpoint. Somebody else's is somebody who has taken over.
    async fn settle(&mut self) -> Result<(), CheckpointError> {
        if self.uncertain.is_empty() {
            return Ok(());
        }
        let entry = self.bus.get(HEAD).await?;
        let revision = entry.as_ref().map_or(Revision::ABSENT, |entry| entry.revision);
        if revision != self.head {
            let found = entry.map(|entry| entry.value).unwrap_or_default();
            let mine = self.uncertain.drain(..).find(|manifest| encode(manifest) == found);
            self.last = Some(mine.ok_or(CheckpointError::TakenOver)?);
            self.head = revision;
            // What is dirty is written once more.
        }
        self.uncertain.clear();
        Ok(())
    }

    /// Writes segments of the window that have become full, so that the next checkpoint has
    /// little to write at once: a large write holds up everything else that is written.
    pub async fn write_ahead(&mut self, state: &State, now: Timestamp) {
        let number = self.last.as_ref().map_or(1, |last| last.number + 1);
        // The newest may still change.
        let full = state.window.segments().rev().skip(1);
        let missing: Vec<(u64, Bytes)> = full
            .take_while(|segment| !self.full.contains_key(&segment.base()))
            .filter(|segment| segment.is_full())
            .map(|segment| (segment.base(), Bytes::from(segment.to_bytes())))
            .collect();
        for (base, bytes) in missing {
            let key = format!("{CHUNKS}{number:020}/{}-window-{base}", now.as_nanosecond());
            if let Err(error) = overwrite(&*self.bus, &key, bytes).await {
                // The checkpoint writes what is missing, and says so if it cannot.
                tracing::debug!(%error, "a segment of the window is left to the checkpoint");
                return;
            }
            self.full.insert(base, key);
        }
    }

    fn window(&self, chunks: &mut Chunks, state: &State) -> BTreeMap<u64, String> {
        let segments = state.window.segments().map(|segment| {
            let written = self.full.get(&segment.base()).cloned();
            let chunk = written.unwrap_or_else(|| chunks.add(Bytes::from(segment.to_bytes())));
            (segment.base(), chunk)
        });
        segments.collect()
    }

    /// After the first checkpoint of this process: removes what others have written for one
    /// of the same number that they did not finish. It is nobody's now.
    async fn sweep(&mut self, number: u64) {
        if std::mem::replace(&mut self.swept, true) {
            return;
        }
        let prefix = format!("{CHUNKS}{number:020}/");
        let Some(last) = &self.last else { return };
        match self.bus.keys(&prefix, None, SWEPT_AT_ONCE).await {
            Ok(keys) => {
                let used: BTreeSet<&String> = last.chunks().collect();
                let unused = keys.iter().filter(|key| !used.contains(key));
                join_all(unused.map(|chunk| forget(&*self.bus, chunk))).await;
            }
            Err(error) => tracing::debug!(%error, "chunks of unfinished checkpoints stay"),
        }
    }

    /// The chunks of all parts of the schedules: those of before, but for what has changed.
    fn schedules(
        &self,
        chunks: &mut Chunks,
        schedules: &SharedSchedules,
    ) -> (BTreeMap<u8, String>, Option<String>, Option<Position>) {
        let schedules = lock(schedules);
        let mut parts = self.last.as_ref().map(|last| last.schedules.clone()).unwrap_or_default();
        for (number, part) in schedules.changed_parts() {
            match part {
                Some(bytes) => parts.insert(number, chunks.add(bytes)),
                None => parts.remove(&number),
            };
        }
        let outbox = schedules.outbox_bytes().map(|bytes| chunks.add(bytes));
        (parts, outbox, schedules.relayed)
    }

    /// Keeps the newest checkpoint for the past's sake, if the latest that is kept is old.
    async fn keep(
        &self,
        now: Timestamp,
    ) -> Result<(u64, Timestamp, Option<Position>), CheckpointError> {
        let Some(last) = &self.last else { return Ok((0, now, None)) };
        let old = now.duration_since(last.kept_at).as_secs() >= KEPT_EVERY_SECONDS;
        let far = last.kept_watermark.is_some_and(|kept| {
            last.watermark.sequence.saturating_sub(kept.sequence) >= KEPT_EVERY_RECORDS
        });
        if last.kept != 0 && !old && !far {
            return Ok((last.kept, last.kept_at, last.kept_watermark));
        }
        overwrite(&*self.bus, &format!("{KEPT}{:020}", last.number), encode(last)).await?;
        Ok((last.number, now, Some(last.watermark)))
    }

    /// Removes the chunks that `before` alone referred to. Should that fail, they stay and
    /// take some room; nothing refers to them.
    async fn forget_chunks(&self, before: &Manifest) {
        let Some(last) = &self.last else { return };
        let used: BTreeSet<&String> = last.chunks().collect();
        let unused = before.chunks().filter(|chunk| {
            !used.contains(chunk) && written_by(chunk).is_some_and(|number| number > last.kept)
        });
        join_all(unused.map(|chunk| forget(&*self.bus, chunk))).await;
    }
}

pub(super) async fn forget(bus: &dyn Bus, chunk: &str) {
    if let Ok(Some(entry)) = bus.get(chunk).await
        && let Err(error) = bus.delete(chunk, entry.revision).await
    {
        tracing::debug!(%chunk, %error, "chunk of an old checkpoint stays");
    }
}

/// Chunks of one attempt to write a checkpoint. No two attempts have a chunk in common,
/// so that what an older one refers to is never written over.
struct Chunks {
    number: u64,
    at: Timestamp,
    chunks: Vec<(String, Bytes)>,
}

impl Chunks {
    /// Adds a chunk; returns its key.
    fn add(&mut self, value: Bytes) -> String {
        let (number, at, next) = (self.number, self.at.as_nanosecond(), self.chunks.len());
        let key = format!("{CHUNKS}{number:020}/{at}-{next}");
        self.chunks.push((key.clone(), value));
        key
    }

    /// Writes all of them at the same time: the bus makes few commits of them.
    async fn write(self, bus: &dyn Bus) -> Result<(), CheckpointError> {
        let writes = self
            .chunks
            .into_iter()
            .map(|(key, value)| async move { overwrite(bus, &key, value).await });
        try_join_all(writes).await?;
        Ok(())
    }
}

fn written_by(chunk: &str) -> Option<u64> {
    chunk.strip_prefix(CHUNKS)?.split('/').next()?.parse().ok()
}

/// A crash may have left a value under this key that no manifest refers to.
async fn overwrite(bus: &dyn Bus, key: &str, value: Bytes) -> Result<(), CheckpointError> {
    match bus.put(key, value.clone(), Revision::ABSENT).await {
        Err(WriteError::Conflict { found, .. }) => {
            bus.put(key, value, found).await?;
        }
        other => {
            other?;
        }
    }
    Ok(())
}

impl Manifest {
    /// Every chunk that it refers to.
    pub(super) fn chunks(&self) -> impl Iterator<Item = &String> {
        self.conditions
            .values()
            .chain(self.sensors.values())
            .chain(self.window.values())
            .chain(self.schedules.values())
            .chain(&self.outbox)
    }
}

/// The chunks of all parts: those of before, but for what has changed. The first version
/// had a chunk for each sensor: then everything has.
fn conditions(
    chunks: &mut Chunks,
    last: Option<&Manifest>,
    state: &State,
) -> Result<BTreeMap<u8, String>, CheckpointError> {
    let mut parts = last.map(|last| last.conditions.clone()).unwrap_or_default();
    for (number, part) in state.conditions.changed() {
        let Some(part) = part else {
            parts.remove(&number);
            continue;
        };
        let named: BTreeMap<String, &SensorState> =
            part.iter().map(|(name, state)| (name.to_string(), state)).collect();
        let json = serde_json::to_vec(&named).map_err(|error| {
            CheckpointError::Damaged(format!("part {number}"), error.to_string())
        })?;
        parts.insert(number, chunks.add(Bytes::from(json)));
    }
    Ok(parts)
}

pub(super) fn read_part(chunk: &str, bytes: &[u8]) -> Result<Part, CheckpointError> {
    let named: BTreeMap<String, SensorState> = read(chunk, bytes)?;
    Ok(named.into_iter().map(|(name, state)| (object_name(&name), state)).collect())
}

pub(super) fn read<T: serde::de::DeserializeOwned>(
    chunk: &str,
    bytes: &[u8],
) -> Result<T, CheckpointError> {
    serde_json::from_slice(bytes)
        .map_err(|error| CheckpointError::Damaged(chunk.to_owned(), error.to_string()))
}

pub(super) fn object_name(text: &str) -> ObjectName {
    let (namespace, name) = text.split_once('/').unwrap_or(("", text));
    ObjectName::new(namespace, name)
}

#[expect(clippy::expect_used, reason = "a manifest has string keys only")]
fn encode(manifest: &Manifest) -> Bytes {
    Bytes::from(serde_json::to_vec(manifest).expect("a manifest writes to JSON"))
}

pub(super) fn read_manifest(bytes: &[u8]) -> Result<Manifest, CheckpointError> {
    #[derive(Deserialize)]
    struct Versions {
        v: u32,
        evaluator: u32,
    }
    let damaged =
        |error: serde_json::Error| CheckpointError::Damaged(HEAD.to_owned(), error.to_string());
    let Versions { v, evaluator } = serde_json::from_slice(bytes).map_err(damaged)?;
    if v > FORMAT || evaluator > VERSION {
        return Err(CheckpointError::Newer { format: v, evaluator });
    }
    serde_json::from_slice(bytes).map_err(damaged)
}
