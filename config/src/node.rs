//! A parsed document as a tree in which every key and every value knows its place.

use serde_json::{Map, Value};

use crate::place::Spot;
use crate::problem::{FieldPath, Step};

/// A value and its place.
#[derive(Clone)]
pub(crate) struct Node {
    pub spot: Spot,
    pub content: Content,
}

/// What a node holds.
#[derive(Clone)]
pub(crate) enum Content {
    Scalar {
        value: Value,
        /// What was written, where it was read as something other than a string.
        written: Option<Box<str>>,
    },
    Sequence(Vec<Node>),
    Mapping(Vec<Entry>),
}

/// One key of a mapping.
#[derive(Clone)]
pub(crate) struct Entry {
    pub key: String,
    pub spot: Spot,
    pub node: Node,
}

impl Node {
    pub fn null(spot: Spot) -> Self {
        Self { spot, content: Content::Scalar { value: Value::Null, written: None } }
    }

    pub fn is_null(&self) -> bool {
        matches!(&self.content, Content::Scalar { value: Value::Null, .. })
    }

    /// The entry of a mapping.
    pub fn entry(&self, key: &str) -> Option<&Entry> {
        match &self.content {
            Content::Mapping(entries) => entries.iter().find(|entry| entry.key == key),
            _ => None,
        }
    }

    /// The text under a key of a mapping.
    pub fn text(&self, key: &str) -> Option<&str> {
        match &self.entry(key)?.node.content {
            Content::Scalar { value: Value::String(text), .. } => Some(text),
            _ => None,
        }
    }

    /// Takes the value out. Places stay; scalars are null afterwards, so that nothing is
    /// held twice.
    pub fn take_value(&mut self) -> Value {
        match &mut self.content {
            Content::Scalar { value, .. } => value.take(),
            Content::Sequence(items) => items.iter_mut().map(Self::take_value).collect(),
            Content::Mapping(entries) => {
                let taken = |entry: &mut Entry| (entry.key.clone(), entry.node.take_value());
                Value::Object(entries.iter_mut().map(taken).collect::<Map<_, _>>())
            }
        }
    }

    /// Forgets each entry of this key.
    pub fn forget(&mut self, key: &str) {
        match &mut self.content {
            Content::Scalar { .. } => {}
            Content::Sequence(items) => items.iter_mut().for_each(|item| item.forget(key)),
            Content::Mapping(entries) => {
                entries.retain(|entry| entry.key != key);
                entries.iter_mut().for_each(|entry| entry.node.forget(key));
            }
        }
    }

    /// The place of a field: its key, its value, or the nearest parent that is there.
    pub fn locate(&self, path: &FieldPath, at_key: bool) -> Spot {
        let mut at = self;
        let mut spot = self.spot;
        for step in &path.0 {
            let Some((key, node)) = at.step(step) else { return spot };
            spot = if at_key { key } else { node.spot };
            at = node;
        }
        spot
    }

    /// What was written at `path`, if that is a scalar that was read as something other
    /// than a string.
    pub fn written(&self, path: &FieldPath) -> Option<&str> {
        let mut at = self;
        for step in &path.0 {
            at = at.step(step)?.1;
        }
        match &at.content {
            Content::Scalar { written, .. } => written.as_deref(),
            _ => None,
        }
    }

    /// The place of the key, and the value, one step below.
    fn step(&self, step: &Step) -> Option<(Spot, &Self)> {
        match (step, &self.content) {
            (Step::Key(key), Content::Mapping(_)) => {
                let entry = self.entry(key)?;
                Some((entry.spot, &entry.node))
            }
            (Step::Index(index), Content::Sequence(items)) => {
                let item = items.get(*index)?;
                Some((item.spot, item))
            }
            _ => None,
        }
    }
}
