//! From an event to the dependencies whose filters may let it through.
//!
//! Ten thousand sensors that compare the same path with ten thousand values are one look
//! at the path and one look into a table. The tables stand below each other as the filters
//! of a dependency do: what its first filter says leads to the second. A dependency that
//! is reached is decided by its own filter, whole; one that is not has been decided by the
//! table, as its filter would have (a property test holds the two against each other).
//!
//! Where a path finds nothing, that is an error of every dependency below it, which is
//! reported and counted once for all of them.

use std::collections::HashMap;
use std::sync::Arc;

use aho_corasick::{AhoCorasick, AhoCorasickKind};
use hashbrown::HashSet;

use crate::filter::{NOT_JSON, Step, Values, Word};
use crate::path::{Found, Path};
use crate::view::EventView;

/// Up to so many words are looked for one after the other.
const FEW_WORDS: usize = 8;

/// A dependency, by its place among all dependencies of a plan.
pub(super) type DependencyId = u32;
/// A counter, by its place among all counters of a plan.
pub(super) type Slot = u32;
type NodeId = u32;

/// Who wants the events of one key.
#[derive(Debug)]
pub(super) struct Routes {
    all: Vec<DependencyId>,
    paths: Vec<Path>,
    nodes: Vec<Node>,
    lookups: Vec<Lookup>,
    root: NodeId,
    /// Counts the events that were evaluated.
    pub evaluated: Slot,
    /// Counts those that are no JSON: an error of all that are below a lookup.
    not_json: Group,
}

/// Dependencies that have come equally far.
#[derive(Debug, Default)]
struct Node {
    /// Their filters are to be asked.
    reached: Vec<DependencyId>,
    /// Tables that lead further.
    lookups: Vec<usize>,
}

/// A table of the values of one path.
#[derive(Debug)]
struct Lookup {
    path: usize,
    table: Table,
    missing: Group,
}

/// Dependencies to which the same error happens.
#[derive(Debug)]
pub(super) struct Group {
    /// Counts how often.
    pub slot: Slot,
    /// What is said about it.
    pub error: Arc<str>,
    /// How many dependencies there are.
    pub count: usize,
    /// One of them.
    pub first: DependencyId,
}

#[derive(Debug)]
enum Table {
    Bool([Option<NodeId>; 2]),
    Number(HashMap<u64, NodeId>),
    Text(Texts),
}

#[derive(Debug, Default)]
struct Texts {
    whole: HashMap<Box<str>, NodeId>,
    /// The longest of those.
    longest: usize,
    /// Texts that stand somewhere in the value.
    words: Vec<(Anchored, NodeId)>,
    /// Finds all of them at once, where there are many.
    automaton: Option<AhoCorasick>,
}

#[derive(Debug, PartialEq, Eq, Hash)]
struct Anchored {
    text: Box<str>,
    begins: bool,
    ends: bool,
}

impl Routes {
    /// Every dependency, in their order.
    pub(super) fn all(&self) -> &[DependencyId] {
        &self.all
    }

    /// The dependencies whose filters are to be asked about `event`, in their order. Of
    /// all others it is known that they do not let it through; those to which an error
    /// happened are told.
    pub(super) fn reached(
        &self,
        event: &EventView<'_>,
        mut tell: impl FnMut(&Group),
    ) -> Vec<DependencyId> {
        let root = &self.nodes[self.root as usize];
        if root.lookups.is_empty() {
            return root.reached.clone();
        }
        if event.data.bytes().is_none() {
            // Without data every data filter holds.
            return self.all.clone();
        }
        let Some(json) = event.data.json() else {
            tell(&self.not_json);
            return root.reached.clone();
        };
        let mut walk = Walk { routes: self, found: Vec::new(), json, reached: Vec::new() };
        walk.found.resize(self.paths.len(), None);
        walk.node(self.root, &mut tell);
        let mut reached = walk.reached;
        reached.sort_unstable();
        reached.dedup();
        reached
    }
}

/// One event on its way down.
struct Walk<'r, 'e> {
    routes: &'r Routes,
    json: &'e str,
    /// What the paths find, each once.
    found: Vec<Option<Option<Found<'e>>>>,
    reached: Vec<DependencyId>,
}

impl Walk<'_, '_> {
    fn node(&mut self, node: NodeId, tell: &mut dyn FnMut(&Group)) {
        let (routes, json) = (self.routes, self.json);
        let node = &routes.nodes[node as usize];
        self.reached.extend(&node.reached);
        for lookup in &node.lookups {
            let lookup = &routes.lookups[*lookup];
            let path = &routes.paths[lookup.path];
            let found = self.found[lookup.path].get_or_insert_with(|| path.find(json));
            let Some(found) = found else {
                tell(&lookup.missing);
                continue;
            };
            match &lookup.table {
                Table::Bool(nodes) => {
                    let next = nodes[usize::from(found.bool())];
                    next.into_iter().for_each(|next| self.node(next, tell));
                }
                Table::Number(nodes) => {
                    let next = key(found.float()).and_then(|key| nodes.get(&key)).copied();
                    next.into_iter().for_each(|next| self.node(next, tell));
                }
                Table::Text(texts) => {
                    for next in texts.holding(&found.text()) {
                        self.node(next, tell);
                    }
                }
            }
        }
    }
}

/// Numbers that are equal have the same key; what is no number equals none.
fn key(number: f64) -> Option<u64> {
    let number = if number == 0.0 { 0.0 } else { number };
    (!number.is_nan()).then(|| number.to_bits())
}

impl Texts {
    /// Where those lead that hold for `text`.
    fn holding(&self, text: &str) -> Vec<NodeId> {
        let mut next = Vec::new();
        if text.len() <= self.longest {
            next.extend(self.whole.get(text));
        }
        match &self.automaton {
            None => {
                let holds = self.words.iter().filter(|(word, _)| word.holds(text));
                next.extend(holds.map(|(_, node)| *node));
            }
            Some(automaton) => {
                let mut seen = HashSet::new();
                for found in automaton.find_overlapping_iter(text) {
                    let (word, node) = &self.words[found.pattern().as_usize()];
                    let fits = (!word.begins || found.start() == 0)
                        && (!word.ends || found.end() == text.len());
                    if fits && seen.insert(found.pattern()) {
                        next.push(*node);
                        if seen.len() == self.words.len() {
                            break;
                        }
                    }
                }
            }
        }
        next
    }
}

impl Anchored {
    fn holds(&self, text: &str) -> bool {
        match (self.begins, self.ends) {
            (true, _) => text.starts_with(&*self.text),
            (false, true) => text.ends_with(&*self.text),
            (false, false) => memchr::memmem::find(text.as_bytes(), self.text.as_bytes()).is_some(),
        }
    }
}

/// A dependency, and how many of its filters are decided.
struct Rest<'f> {
    dependency: DependencyId,
    steps: Vec<Step<'f>>,
    done: usize,
}

/// Builds the routes of one plan.
#[derive(Default)]
pub(super) struct Builder {
    /// How many counters there are.
    pub slots: Slot,
    /// The counters of errors that a dependency shares with others.
    pub shared: Vec<(DependencyId, Slot)>,
}

impl Builder {
    /// The routes of the dependencies on one event, which are in their order.
    pub(super) fn routes(&mut self, dependencies: Vec<(DependencyId, Vec<Step<'_>>)>) -> Routes {
        let all: Vec<_> = dependencies.iter().map(|(dependency, _)| *dependency).collect();
        let (evaluated, not_json) = (self.slot(), self.slot());
        let mut tree = Tree {
            builder: self,
            paths: Vec::new(),
            known: HashMap::new(),
            nodes: Vec::new(),
            lookups: Vec::new(),
        };
        let rests = dependencies
            .into_iter()
            .map(|(dependency, steps)| Rest { dependency, steps, done: 0 })
            .collect();
        let root = tree.node(rests);
        let Tree { paths, nodes, lookups, .. } = tree;
        let reached: HashSet<_> = nodes[root as usize].reached.iter().copied().collect();
        let below: Vec<_> =
            all.iter().copied().filter(|dependency| !reached.contains(dependency)).collect();
        let not_json = self.group(not_json, NOT_JSON.into(), &below);
        Routes { all, paths, nodes, lookups, root, evaluated, not_json }
    }

    fn slot(&mut self) -> Slot {
        self.slots += 1;
        self.slots - 1
    }

    fn group(&mut self, slot: Slot, error: Arc<str>, all: &[DependencyId]) -> Group {
        self.shared.extend(all.iter().map(|dependency| (*dependency, slot)));
        Group { slot, error, count: all.len(), first: all.first().copied().unwrap_or_default() }
    }
}

/// The routes of one event as they grow.
struct Tree<'b> {
    builder: &'b mut Builder,
    paths: Vec<Path>,
    known: HashMap<String, usize>,
    nodes: Vec<Node>,
    lookups: Vec<Lookup>,
}

/// How the values of a table are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Sort {
    Bool,
    Number,
    Text,
}

impl Sort {
    fn of(values: &Values<'_>) -> Self {
        match values {
            Values::Bool(_) => Self::Bool,
            Values::Number(_) => Self::Number,
            Values::Text(_) => Self::Text,
        }
    }
}

/// What leads to a node: one value.
#[derive(PartialEq, Eq, Hash)]
enum Key {
    Bool(bool),
    Number(u64),
    Text(Anchored),
}

impl Tree<'_> {
    /// The node of these dependencies.
    fn node(&mut self, rests: Vec<Rest<'_>>) -> NodeId {
        let mut node = Node::default();
        let mut groups: Vec<(usize, Vec<Rest<'_>>)> = Vec::new();
        let mut places: HashMap<(usize, Sort), usize> = HashMap::new();
        for rest in rests {
            let Some(step) = rest.steps.get(rest.done) else {
                node.reached.push(rest.dependency);
                continue;
            };
            let path = self.path(step.path);
            let place = *places.entry((path, Sort::of(&step.values))).or_insert_with(|| {
                groups.push((path, Vec::new()));
                groups.len() - 1
            });
            groups[place].1.push(rest);
        }
        for (path, rests) in groups {
            // One alone is asked as quickly as a table.
            if let [rest] = rests.as_slice() {
                node.reached.push(rest.dependency);
                continue;
            }
            let lookup = self.lookup(path, rests);
            node.lookups.push(self.lookups.len());
            self.lookups.push(lookup);
        }
        node.reached.sort_unstable();
        node.reached.dedup();
        node.reached.shrink_to_fit();
        self.nodes.push(node);
        id(self.nodes.len() - 1)
    }

    fn path(&mut self, path: &Path) -> usize {
        if let Some(known) = self.known.get(path.text()) {
            return *known;
        }
        self.paths.push(path.clone());
        self.known.insert(path.text().to_owned(), self.paths.len() - 1);
        self.paths.len() - 1
    }

    fn lookup(&mut self, path: usize, rests: Vec<Rest<'_>>) -> Lookup {
        let all: Vec<_> = rests.iter().map(|rest| rest.dependency).collect();
        let sort = rests.first().map_or(Sort::Text, |rest| Sort::of(&rest.steps[rest.done].values));
        let error = rests
            .first()
            .map_or_else(|| NOT_JSON.into(), |rest| Arc::clone(rest.steps[rest.done].missing));
        let slot = self.builder.slot();
        let missing = self.builder.group(slot, error, &all);
        let nodes = self.values(rests);
        Lookup { path, table: table(sort, nodes), missing }
    }

    /// A node for each value, in the order in which the values are first named.
    fn values(&mut self, rests: Vec<Rest<'_>>) -> Vec<(Key, NodeId)> {
        let mut of_value: Vec<Vec<Rest<'_>>> = Vec::new();
        let mut places: HashMap<Key, usize> = HashMap::new();
        for rest in rests {
            let step = &rest.steps[rest.done];
            // Of several values more than one may lead on, and an error further down would
            // be counted for each: then the dependency's own filter says the rest.
            let (only, values) = (step.values.len() == 1, keys(&step.values));
            let end = if only { None } else { Some(rest.steps.len()) };
            let mut rest = Some(Rest { done: end.unwrap_or(rest.done + 1), ..rest });
            let last = values.len().saturating_sub(1);
            for (index, value) in values.into_iter().enumerate() {
                let place = *places.entry(value).or_insert_with(|| {
                    of_value.push(Vec::new());
                    of_value.len() - 1
                });
                let next = if index == last {
                    rest.take()
                } else {
                    rest.as_ref().map(|rest| Rest {
                        dependency: rest.dependency,
                        steps: Vec::new(),
                        done: 0,
                    })
                };
                of_value[place].extend(next);
            }
        }
        let nodes: Vec<_> = of_value.into_iter().map(|rests| self.node(rests)).collect();
        let mut keys: Vec<_> = places.into_iter().map(|(key, at)| (at, key)).collect();
        keys.sort_unstable_by_key(|(at, _)| *at);
        keys.into_iter().map(|(at, key)| (key, nodes[at])).collect()
    }
}

fn keys(values: &Values<'_>) -> Vec<Key> {
    let word = |word: &Word<'_>| {
        let Word { text, begins, ends } = *word;
        Key::Text(Anchored { text: text.into(), begins, ends })
    };
    match values {
        Values::Bool(values) => values.iter().map(|value| Key::Bool(*value)).collect(),
        Values::Number(values) => {
            values.iter().filter_map(|value| key(*value)).map(Key::Number).collect()
        }
        Values::Text(values) => values.iter().map(word).collect(),
    }
}

fn table(sort: Sort, nodes: Vec<(Key, NodeId)>) -> Table {
    let mut bools = [None; 2];
    let mut numbers = HashMap::new();
    let mut texts = Texts::default();
    for (key, node) in nodes {
        match key {
            Key::Bool(value) => bools[usize::from(value)] = Some(node),
            Key::Number(value) => {
                numbers.insert(value, node);
            }
            Key::Text(Anchored { text, begins: true, ends: true }) => {
                texts.longest = texts.longest.max(text.len());
                texts.whole.insert(text, node);
            }
            Key::Text(word) => texts.words.push((word, node)),
        }
    }
    if texts.words.len() > FEW_WORDS {
        let words = texts.words.iter().map(|(word, _)| word.text.as_bytes());
        let kind = Some(AhoCorasickKind::ContiguousNFA);
        // Should there be too much of it for an automaton, they are looked for one by one.
        texts.automaton = AhoCorasick::builder().kind(kind).build(words).ok();
    }
    match sort {
        Sort::Bool => Table::Bool(bools),
        Sort::Number => Table::Number(numbers),
        Sort::Text => Table::Text(texts),
    }
}

#[expect(clippy::cast_possible_truncation, reason = "a plan has far fewer than 2^32 dependencies")]
fn id(place: usize) -> NodeId {
    place as NodeId
}
