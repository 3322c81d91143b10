//! Lanes: the actions of one trigger for one target with one key, and which of them runs.

use std::collections::{BTreeMap, HashMap};

use tripline_event::{Action, ActionId, Position, Timestamp};

/// What the actions of a trigger are told apart by, where one of them waits for another.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Lane {
    target: Option<String>,
    key: Option<String>,
}

impl Lane {
    pub(super) const fn new(target: Option<String>, key: Option<String>) -> Self {
        Self { target, key }
    }

    pub(super) fn of(action: &Action) -> Self {
        Self { target: action.target.clone(), key: action.key.clone() }
    }
}

/// The lanes of one trigger in which something was begun.
#[derive(Debug, Default)]
pub(super) struct Lanes {
    /// Actions that were begun and are not closed.
    begun: HashMap<Lane, BTreeMap<Position, ActionId>>,
    by_position: BTreeMap<Position, Lane>,
    /// Actions that are closed, and whose runs go on.
    runs: HashMap<Lane, BTreeMap<ActionId, Asked>>,
}

/// How what goes on was asked to end.
#[derive(Clone, Copy, Debug, Default)]
struct Asked {
    operation: Option<&'static str>,
    attempts: u32,
    /// When it is asked again, where that did not work.
    again: Option<Timestamp>,
}

/// What goes on is to be asked to end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ending {
    /// The action that has started it.
    pub(super) run: ActionId,
    /// The operation on the workflow.
    pub(super) operation: &'static str,
    /// Which attempt, from 1.
    pub(super) attempt: u32,
}

impl Lanes {
    /// An attempt of the action begins.
    pub(super) fn begin(&mut self, position: Position, action: &Action) {
        if self.by_position.contains_key(&position) {
            return;
        }
        let lane = Lane::of(action);
        self.by_position.insert(position, lane.clone());
        self.begun.entry(lane).or_default().insert(position, action.id.clone());
    }

    /// The action is closed.
    pub(super) fn close(&mut self, position: Position) {
        let Some(lane) = self.by_position.remove(&position) else { return };
        if let Some(begun) = self.begun.get_mut(&lane) {
            begun.remove(&position);
            if begun.is_empty() {
                self.begun.remove(&lane);
            }
        }
    }

    /// What the action has started goes on.
    pub(super) fn run(&mut self, lane: Lane, action: ActionId) {
        self.runs.entry(lane).or_default().entry(action).or_default();
    }

    /// What the action has started has ended; whether it was known.
    pub(super) fn run_ended(&mut self, lane: &Lane, action: &ActionId) -> bool {
        let Some(runs) = self.runs.get_mut(lane) else { return false };
        let was = runs.remove(action).is_some();
        if runs.is_empty() {
            self.runs.remove(lane);
        }
        was
    }

    /// The action that must be closed before the one at `position`.
    pub(super) fn before(&self, lane: &Lane, position: Position) -> Option<&ActionId> {
        let begun = self.begun.get(lane)?;
        if let Some((_, earlier)) = begun.range(..position).next() {
            return Some(earlier);
        }
        // One that was begun itself waits for none after it.
        let itself = begun.contains_key(&position);
        begun.values().next().filter(|_| !itself)
    }

    /// A run that goes on though its action is closed.
    pub(super) fn running(&self, lane: &Lane) -> Option<&ActionId> {
        self.runs.get(lane)?.keys().next()
    }

    /// What of the lane is to be asked now to end by `operation`; and when again, where that
    /// did not work before.
    pub(super) fn ask_to_end(
        &mut self,
        lane: &Lane,
        operation: &'static str,
        now: Timestamp,
    ) -> (Vec<Ending>, Option<Timestamp>) {
        let (mut endings, mut again) = (Vec::new(), None);
        for (run, asked) in self.runs.get_mut(lane).into_iter().flatten() {
            if asked.operation != Some(operation) {
                *asked = Asked { operation: Some(operation), ..Asked::default() };
            } else {
                match asked.again {
                    Some(at) if at <= now => asked.again = None,
                    at => {
                        again = again.into_iter().chain(at).min();
                        continue;
                    }
                }
            }
            asked.attempts += 1;
            endings.push(Ending { run: run.clone(), operation, attempt: asked.attempts });
        }
        (endings, again)
    }

    /// It could not be asked to end, and is asked again at `again`.
    pub(super) fn not_asked(&mut self, lane: &Lane, action: &ActionId, again: Timestamp) {
        if let Some(asked) = self.runs.get_mut(lane).and_then(|runs| runs.get_mut(action)) {
            asked.again = Some(again);
        }
    }
}
