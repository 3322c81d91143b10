//! Messages that were received together, and what has become of each.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use super::queue::Received;

/// What has become of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It is held, and hidden from other receivers.
    Held,
    /// It is durable, as an event or as a dead letter, and is to be deleted.
    Durable,
    /// It is left as it is: deleted, or for SQS to do with as the queue's settings say.
    Left,
}

/// Messages that were received together.
pub struct Batch {
    pub messages: Vec<Received>,
    fates: Mutex<Vec<Fate>>,
}

impl Batch {
    /// Nothing has been done yet.
    pub fn new(messages: Vec<Received>) -> Self {
        let fates = Mutex::new(vec![Fate::Held; messages.len()]);
        Self { messages, fates }
    }

    /// The places of messages, in groups: those of one are to be taken in order. Without a
    /// message group, each is its own.
    pub fn groups(&self) -> Vec<Vec<usize>> {
        let mut groups: BTreeMap<(Option<&str>, usize), Vec<usize>> = BTreeMap::new();
        for (at, message) in self.messages.iter().enumerate() {
            let group = message.group.as_deref();
            let own = if group.is_some() { 0 } else { at };
            groups.entry((group, own)).or_default().push(at);
        }
        groups.into_values().collect()
    }

    /// The message at `at` comes to this.
    pub fn settle(&self, at: usize, fate: Fate) {
        if let Some(known) = self.fates().get_mut(at) {
            *known = fate;
        }
    }

    /// The receipts of the messages whose fate is one of these.
    pub fn receipts(&self, wanted: &[Fate]) -> Vec<String> {
        let fates = self.fates();
        let pairs = self.messages.iter().zip(fates.iter());
        let wanted = pairs.filter(|(_, fate)| wanted.contains(fate));
        wanted.map(|(message, _)| message.receipt.clone()).collect()
    }

    /// The messages of these receipts are deleted.
    pub fn deleted(&self, receipts: &[String]) {
        for (message, fate) in self.messages.iter().zip(self.fates().iter_mut()) {
            if receipts.contains(&message.receipt) {
                *fate = Fate::Left;
            }
        }
    }

    fn fates(&self) -> MutexGuard<'_, Vec<Fate>> {
        self.fates.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(groups: &[Option<&str>]) -> Batch {
        let message = |(at, group): (usize, &Option<&str>)| Received {
            id: None,
            receipt: format!("r-{at}"),
            body: String::new(),
            attributes: Default::default(),
            group: group.map(str::to_owned),
        };
        Batch::new(groups.iter().enumerate().map(message).collect())
    }

    #[test]
    fn messages_of_a_group_stay_in_order_and_others_stand_alone() {
        let groups = batch(&[Some("a"), Some("b"), Some("a"), Some("a")]).groups();
        assert_eq!(groups, [vec![0, 2, 3], vec![1]]);
        assert_eq!(batch(&[None, None, None]).groups(), [[0], [1], [2]]);
    }

    #[test]
    fn receipts_are_those_of_a_fate() {
        let batch = batch(&[None, None, None]);
        batch.settle(1, Fate::Durable);
        batch.settle(2, Fate::Left);
        assert_eq!(batch.receipts(&[Fate::Durable]), ["r-1"]);
        assert_eq!(batch.receipts(&[Fate::Held, Fate::Durable]), ["r-0", "r-1"]);
        batch.deleted(&["r-1".to_owned()]);
        assert_eq!(batch.receipts(&[Fate::Held, Fate::Durable]), ["r-0"]);
    }
}
