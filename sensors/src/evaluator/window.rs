//! The window in which a repeated event is recognised.
//!
//! An event's identity is kept as 96 bits of a hash, with the sequence at which it was
//! first seen: 16 bytes for each event, and 5 in the index. Identities are gathered in
//! segments; a full segment never changes, so that a checkpoint writes it once. The
//! oldest segment is forgotten as a whole when all of it is older than the window, or
//! when there are too many.

use std::collections::VecDeque;

use hashbrown::HashTable;
use jiff::{SignedDuration, Timestamp};
use tripline_event::{EventId, EventKey};

/// How many identities a segment holds.
pub const SEGMENT: usize = 4096;
/// How many segments are kept: a million identities.
pub const SEGMENTS: usize = 256;
/// How long an identity is remembered, at least, unless there are too many.
pub const WINDOW: SignedDuration = SignedDuration::from_hours(24);

/// Bytes of a hash that stand for an identity.
const HASH: usize = 12;
/// Bytes of an entry: the hash and the sequence, relative to the segment's first.
const ENTRY: usize = HASH + 4;

type Hash = [u8; HASH];

/// The events of the last [`WINDOW`], by identity.
#[derive(Debug, Default)]
pub struct Window {
    segments: VecDeque<Segment>,
    /// How many segments were forgotten: the number of the first that is kept.
    forgotten: u32,
    /// From the hash to the entry's number, counted from the first segment ever.
    index: HashTable<u32>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Segment {
    /// The sequence that the entries count from.
    base: u64,
    /// Log time of the newest entry.
    newest: Timestamp,
    entries: Vec<[u8; ENTRY]>,
}

impl Window {
    /// Remembers the event at `sequence`, unless it is known: then the sequence of the
    /// first is returned. `now` is log time.
    pub fn insert(
        &mut self,
        key: &EventKey,
        id: &EventId,
        sequence: u64,
        now: Timestamp,
    ) -> Option<u64> {
        self.forget(now);
        let hash = identity(key, id);
        if let Some(first) = self.find(&hash) {
            return Some(first);
        }
        let Self { segments, forgotten, index } = self;
        let full = segments.back().is_none_or(|last| {
            last.entries.len() == SEGMENT || sequence - last.base > u64::from(u32::MAX)
        });
        if full {
            segments.push_back(Segment {
                base: sequence,
                newest: now,
                entries: Vec::with_capacity(64),
            });
        }
        let number = segments.len() - 1;
        let last = segments.back_mut()?;
        #[expect(clippy::cast_possible_truncation, reason = "a segment begins anew before that")]
        let offset = (sequence - last.base) as u32;
        let mut entry = [0; ENTRY];
        entry[..HASH].copy_from_slice(&hash);
        entry[HASH..].copy_from_slice(&offset.to_be_bytes());
        let number = entry_number(*forgotten, number, last.entries.len());
        last.entries.push(entry);
        last.newest = last.newest.max(now);
        index.insert_unique(bucket(&hash), number, |&number| {
            bucket(&hash_at(segments, *forgotten, number))
        });
        None
    }

    fn find(&self, hash: &Hash) -> Option<u64> {
        let number = *self.index.find(bucket(hash), |&number| {
            hash_at(&self.segments, self.forgotten, number) == *hash
        })?;
        let (segment, entry) = locate(self.forgotten, number);
        let segment = &self.segments[segment];
        let offset = &segment.entries[entry][HASH..];
        Some(segment.base + u64::from(u32::from_be_bytes(offset.try_into().ok()?)))
    }

    /// Forgets the oldest segments that are out of the window or beyond the bound.
    fn forget(&mut self, now: Timestamp) {
        while self.segments.len() > SEGMENTS
            || self.segments.front().is_some_and(|first| {
                first.entries.len() == SEGMENT && now.duration_since(first.newest) > WINDOW
            })
        {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        let Some(first) = self.segments.front() else { return };
        for (at, entry) in first.entries.iter().enumerate() {
            let number = entry_number(self.forgotten, 0, at);
            if let Ok(found) =
                self.index.find_entry(bucket(&hash_of(entry)), |&other| other == number)
            {
                found.remove();
            }
        }
        self.segments.pop_front();
        self.forgotten = self.forgotten.wrapping_add(1);
    }

    /// How many identities are remembered.
    pub fn len(&self) -> usize {
        self.index.len()
    }

    /// Nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.index.is_empty()
    }

    /// The segments as bytes, the oldest first. All but the last are the same the next time.
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = SegmentBytes<'_>> {
        self.segments.iter().map(SegmentBytes)
    }

    /// Reads back what [`Self::segments`] gave, the oldest first.
    pub fn restore<'a>(segments: impl IntoIterator<Item = &'a [u8]>) -> Result<Self, WindowError> {
        let mut window = Self::default();
        for bytes in segments {
            window.segments.push_back(Segment::read(bytes)?);
        }
        let Self { segments, index, .. } = &mut window;
        for (at, segment) in segments.iter().enumerate() {
            for (entry, bytes) in segment.entries.iter().enumerate() {
                let number = entry_number(0, at, entry);
                index.insert_unique(bucket(&hash_of(bytes)), number, |&number| {
                    bucket(&hash_at(segments, 0, number))
                });
            }
        }
        Ok(window)
    }
}

/// A segment that can be written.
#[derive(Clone, Copy, Debug)]
pub struct SegmentBytes<'a>(&'a Segment);

impl SegmentBytes<'_> {
    /// The segment is full and will not change any more.
    pub fn is_full(self) -> bool {
        self.0.entries.len() == SEGMENT
    }

    /// What names the segment within its log: the sequence of its first entry.
    pub fn base(self) -> u64 {
        self.0.base
    }

    /// The bytes: base, newest log time (nanoseconds), entries.
    pub fn to_bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(24 + self.0.entries.len() * ENTRY);
        bytes.extend(self.0.base.to_be_bytes());
        bytes.extend(self.0.newest.as_nanosecond().to_be_bytes());
        for entry in &self.0.entries {
            bytes.extend(entry);
        }
        bytes
    }
}

impl Segment {
    fn read(bytes: &[u8]) -> Result<Self, WindowError> {
        let (base, rest) = bytes.split_first_chunk::<8>().ok_or(WindowError)?;
        let (newest, rest) = rest.split_first_chunk::<16>().ok_or(WindowError)?;
        let (entries, []) = rest.as_chunks::<ENTRY>() else { return Err(WindowError) };
        if entries.len() > SEGMENT {
            return Err(WindowError);
        }
        Ok(Self {
            base: u64::from_be_bytes(*base),
            newest: Timestamp::from_nanosecond(i128::from_be_bytes(*newest))
                .map_err(|_| WindowError)?,
            entries: entries.to_vec(),
        })
    }
}

/// What was stored is no segment.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("stored segment of event ids is damaged")]
pub struct WindowError;

fn identity(key: &EventKey, id: &EventId) -> Hash {
    let mut hash = [0; HASH];
    hash.copy_from_slice(&id.identity(key)[..HASH]);
    hash
}

fn hash_of(entry: &[u8; ENTRY]) -> Hash {
    let mut hash = [0; HASH];
    hash.copy_from_slice(&entry[..HASH]);
    hash
}

fn bucket(hash: &Hash) -> u64 {
    let mut first = [0; 8];
    first.copy_from_slice(&hash[..8]);
    u64::from_be_bytes(first)
}

/// Numbers wrap around; there are never so many at once that two would be equal.
fn entry_number(forgotten: u32, segment: usize, entry: usize) -> u32 {
    #[expect(clippy::cast_possible_truncation, reason = "both are below the bounds above")]
    let (segment, entry, size) = (segment as u32, entry as u32, SEGMENT as u32);
    forgotten.wrapping_add(segment).wrapping_mul(size).wrapping_add(entry)
}

fn locate(forgotten: u32, number: u32) -> (usize, usize) {
    #[expect(clippy::cast_possible_truncation, reason = "4096")]
    let size = SEGMENT as u32;
    let from_first = number.wrapping_sub(forgotten.wrapping_mul(size));
    ((from_first / size) as usize, (from_first % size) as usize)
}

fn hash_at(segments: &VecDeque<Segment>, forgotten: u32, number: u32) -> Hash {
    let (segment, entry) = locate(forgotten, number);
    hash_of(&segments[segment].entries[entry])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> EventKey {
        EventKey::new("ci", "builds", "completed")
    }

    fn id(number: u64) -> EventId {
        EventId(format!("e-{number}"))
    }

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + seconds).unwrap()
    }

    fn filled(count: u64) -> Window {
        let mut window = Window::default();
        for number in 0..count {
            assert_eq!(window.insert(&key(), &id(number), number * 3 + 1, at(0)), None);
        }
        window
    }

    #[test]
    fn a_repeat_is_answered_with_the_first_sequence() {
        let mut window = filled(10_000);
        for number in 0..10_000 {
            assert_eq!(window.insert(&key(), &id(number), 99_999, at(1)), Some(number * 3 + 1));
        }
    }

    #[test]
    fn an_id_is_unique_within_its_event_key_only() {
        let mut window = filled(1);
        assert_eq!(window.insert(&EventKey::new("ci", "builds", "failed"), &id(0), 9, at(0)), None);
        assert_eq!(
            window.insert(&EventKey::new("prod", "builds", "completed"), &id(0), 9, at(0)),
            None
        );
        assert_eq!(
            window.insert(&EventKey::new("ci", "builds", "completed"), &id(0), 9, at(0)),
            Some(1)
        );
    }

    #[test]
    fn a_full_segment_is_forgotten_when_all_of_it_is_out_of_the_window() {
        let mut window = filled(SEGMENT as u64 + 1);
        let day = WINDOW.as_secs();
        assert_eq!(window.insert(&key(), &id(0), 99_999, at(day)), Some(1));
        assert_eq!(window.insert(&key(), &id(0), 99_999, at(day + 1)), None);
        assert_eq!(window.len(), 2);
    }

    #[test]
    fn the_number_of_segments_is_bounded() {
        let count = (SEGMENTS as u64 + 3) * SEGMENT as u64;
        let mut window = filled(count);
        assert!(window.len() <= (SEGMENTS + 1) * SEGMENT);
        assert_eq!(window.insert(&key(), &id(count - 1), 0, at(0)), Some((count - 1) * 3 + 1));
        assert_eq!(
            window.insert(&key(), &id(0), count * 3, at(0)),
            None,
            "the oldest is forgotten"
        );
    }

    #[test]
    fn what_was_written_reads_back_and_goes_on_the_same() {
        let mut window = filled(SEGMENT as u64 * 2 + 5);
        let bytes: Vec<_> = window.segments().map(SegmentBytes::to_bytes).collect();
        let mut restored = Window::restore(bytes.iter().map(Vec::as_slice)).unwrap();
        assert_eq!(restored.len(), window.len());
        for number in (0..SEGMENT as u64 * 2 + 9).step_by(7) {
            let sequence = 100_000 + number;
            assert_eq!(
                restored.insert(&key(), &id(number), sequence, at(0)),
                window.insert(&key(), &id(number), sequence, at(0)),
            );
        }
        assert_eq!(restored.segments, window.segments);
    }

    #[test]
    fn damaged_bytes_are_refused() {
        for bytes in [vec![], vec![0; 23], vec![0; 25]] {
            assert_eq!(Window::restore([bytes.as_slice()]).unwrap_err(), WindowError);
        }
    }
}
