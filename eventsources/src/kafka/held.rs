//! What is held of a topic: messages that wait for the next append, and the append under way.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, sync_channel};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::batch::Taken;
use super::limits::{BYTES, MESSAGES};

/// The answer of an append: nothing, or the batch that was abandoned.
type Answer = Result<(), Vec<Taken>>;

/// What is held. One append is under way at a time, so that the messages of a partition become
/// durable in their order, also where the event bus refuses some of them at first.
#[derive(Default)]
pub struct Held {
    waiting: Vec<Taken>,
    bytes: usize,
    under_way: Option<UnderWay>,
}

struct UnderWay {
    answer: Receiver<Answer>,
    /// Where reading goes on in each partition when all of it is durable.
    next: BTreeMap<i32, i64>,
    /// Partitions that were taken away meanwhile.
    revoked: BTreeSet<i32>,
    abandon: CancellationToken,
    since: Instant,
}

/// How an append is.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// None is under way.
    None,
    /// It is under way.
    UnderWay,
    /// It is durable: where reading goes on in each partition that is still one's own.
    Durable(BTreeMap<i32, i64>),
    /// It was abandoned, and what of it is still one's own waits again.
    Abandoned,
    /// The task that was to answer has ended without an answer.
    Lost,
}

/// A batch that is to be appended.
pub struct Batch {
    pub messages: Vec<Taken>,
    pub answer: SyncSender<Answer>,
    pub abandon: CancellationToken,
}

impl Held {
    /// A message has come.
    pub fn push(&mut self, taken: Taken) {
        self.bytes += taken.bytes;
        self.waiting.push(taken);
    }

    /// Whether no more should be taken.
    pub fn is_full(&self) -> bool {
        self.waiting.len() >= MESSAGES || self.bytes >= BYTES
    }

    /// Whether nothing is held.
    pub fn is_empty(&self) -> bool {
        self.waiting.is_empty() && self.under_way.is_none()
    }

    /// How long the append that is under way has been so.
    pub fn under_way_for(&self) -> Option<Duration> {
        self.under_way.as_ref().map(|under_way| under_way.since.elapsed())
    }

    /// What is to be appended next, `most` messages of it; none while an append is under way.
    pub fn begin(&mut self, most: usize) -> Option<Batch> {
        if self.under_way.is_some() || self.waiting.is_empty() {
            return None;
        }
        let messages = if most >= self.waiting.len() {
            std::mem::take(&mut self.waiting)
        } else {
            let rest = self.waiting.split_off(most);
            std::mem::replace(&mut self.waiting, rest)
        };
        self.count();
        let next = messages.iter().map(|taken| (taken.partition, taken.next)).collect();
        let (answer, answered) = sync_channel(1);
        let abandon = CancellationToken::new();
        self.under_way = Some(UnderWay {
            answer: answered,
            next,
            revoked: BTreeSet::new(),
            abandon: abandon.clone(),
            since: Instant::now(),
        });
        Some(Batch { messages, answer, abandon })
    }

    /// How the append is, after `patience` at most.
    pub fn progress(&mut self, patience: Duration) -> Progress {
        let Some(under_way) = &self.under_way else { return Progress::None };
        let answer = match under_way.answer.recv_timeout(patience) {
            Ok(answer) => answer,
            Err(RecvTimeoutError::Timeout) => return Progress::UnderWay,
            Err(RecvTimeoutError::Disconnected) => {
                self.under_way = None;
                return Progress::Lost;
            }
        };
        let Some(UnderWay { mut next, revoked, .. }) = self.under_way.take() else {
            return Progress::None;
        };
        match answer {
            Ok(()) => {
                next.retain(|partition, _| !revoked.contains(partition));
                Progress::Durable(next)
            }
            Err(mut back) => {
                back.retain(|taken| !revoked.contains(&taken.partition));
                back.append(&mut self.waiting);
                self.waiting = back;
                self.count();
                Progress::Abandoned
            }
        }
    }

    /// What waits of these partitions is dropped, and no append is tried again.
    pub fn drop_waiting(&mut self, is_gone: impl Fn(i32) -> bool) {
        self.waiting.retain(|taken| !is_gone(taken.partition));
        self.count();
        if let Some(under_way) = &self.under_way {
            under_way.abandon.cancel();
        }
    }

    /// What is under way of these partitions is somebody else's from now on.
    pub fn give_up(&mut self, is_gone: impl Fn(i32) -> bool) {
        self.waiting.retain(|taken| !is_gone(taken.partition));
        self.count();
        if let Some(under_way) = &mut self.under_way {
            let gone = under_way.next.keys().copied().filter(|partition| is_gone(*partition));
            under_way.revoked.extend(gone);
        }
    }

    fn count(&mut self) {
        self.bytes = self.waiting.iter().map(|taken| taken.bytes).sum();
    }
}

#[cfg(test)]
mod tests {
    use tripline_event::{EventKey, Timestamp};

    use super::*;
    use crate::Unreadable;
    use crate::kafka::batch::Offer;

    const NOW: Duration = Duration::ZERO;

    fn taken(partition: i32, next: i64) -> Taken {
        let letter = Unreadable {
            key: EventKey::new("ci", "builds", "completed"),
            kind: "kafka",
            id: None,
            time: Timestamp::UNIX_EPOCH,
            bytes: bytes::Bytes::new(),
            headers: Vec::new(),
            reason: String::new(),
        };
        Taken { partition, next, bytes: 10, offer: Offer::Letter(letter) }
    }

    /// Holds messages of partitions 0 and 1 in turn.
    fn held(count: i64) -> Held {
        let mut held = Held::default();
        for number in 0..count {
            held.push(taken(i32::from(number % 2 == 1), number / 2 + 1));
        }
        held
    }

    fn places(messages: &[Taken]) -> Vec<(i32, i64)> {
        messages.iter().map(|taken| (taken.partition, taken.next)).collect()
    }

    #[test]
    fn one_append_is_under_way_at_a_time_and_says_how_far_each_partition_is() {
        let mut held = held(5);
        let batch = held.begin(4).unwrap();
        assert_eq!(places(&batch.messages), [(0, 1), (1, 1), (0, 2), (1, 2)]);
        assert!(held.begin(4).is_none() && held.progress(NOW) == Progress::UnderWay);
        batch.answer.send(Ok(())).unwrap();
        assert_eq!(held.progress(NOW), Progress::Durable(BTreeMap::from([(0, 2), (1, 2)])));
        assert_eq!(places(&held.begin(4).unwrap().messages), [(0, 3)]);
    }

    #[test]
    fn what_was_abandoned_waits_again_before_what_came_after_it() {
        let mut held = held(2);
        let batch = held.begin(9).unwrap();
        held.push(taken(0, 2));
        batch.answer.send(Err(batch.messages)).unwrap();
        assert_eq!(held.progress(NOW), Progress::Abandoned);
        assert_eq!(places(&held.begin(9).unwrap().messages), [(0, 1), (1, 1), (0, 2)]);
    }

    #[test]
    fn what_was_taken_away_is_neither_stored_nor_tried_again() {
        for durable in [true, false] {
            let mut held = held(4);
            let batch = held.begin(2).unwrap();
            held.drop_waiting(|partition| partition == 1);
            assert!(batch.abandon.is_cancelled());
            held.give_up(|partition| partition == 1);
            batch.answer.send(if durable { Ok(()) } else { Err(batch.messages) }).unwrap();
            let expected = match durable {
                true => Progress::Durable(BTreeMap::from([(0, 1)])),
                false => Progress::Abandoned,
            };
            assert_eq!(held.progress(NOW), expected);
            let left = if durable { vec![(0, 2)] } else { vec![(0, 1), (0, 2)] };
            assert_eq!(places(&held.begin(9).unwrap().messages), left);
        }
    }

    #[test]
    fn no_more_is_held_than_the_bound_and_an_append_that_is_lost_is_told() {
        let mut held = held(MESSAGES as i64 - 1);
        assert!(!held.is_full());
        held.push(taken(0, 1));
        assert!(held.is_full());
        drop(held.begin(usize::MAX));
        assert_eq!(held.progress(NOW), Progress::Lost);
        assert!(held.is_empty());
        held.push(Taken { bytes: BYTES, ..taken(0, 1) });
        assert!(held.is_full());
    }
}
