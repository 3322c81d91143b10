//! A stack that can be put back to what it was.
//!
//! What a saved stack still needs is kept below a limit; above it, room is used again.

/// No entry.
const NONE: usize = usize::MAX;

#[derive(Debug)]
pub(super) struct Arena<T> {
    entries: Vec<(T, usize)>,
    top: usize,
    /// Entries below are needed by somebody who saved them.
    kept: usize,
}

/// A stack as it was.
#[derive(Clone, Copy, Debug)]
pub(super) struct Saved {
    top: usize,
    kept: usize,
}

impl<T> Arena<T> {
    pub(super) fn new() -> Self {
        Self { entries: Vec::new(), top: NONE, kept: 0 }
    }

    pub(super) fn push(&mut self, value: T) {
        let below = self.top;
        let free = self.kept.max(self.above_top());
        self.entries.truncate(free);
        self.entries.push((value, below));
        self.top = free;
    }

    fn above_top(&self) -> usize {
        if self.top == NONE { 0 } else { self.top + 1 }
    }

    pub(super) fn top(&self) -> Option<&T> {
        self.entries.get(self.top).map(|(value, _)| value)
    }

    /// The entry at a place.
    pub(super) fn at(&self, place: usize) -> Option<&T> {
        self.entries.get(place).map(|(value, _)| value)
    }

    pub(super) fn at_mut(&mut self, place: usize) -> Option<&mut T> {
        self.entries.get_mut(place).map(|(value, _)| value)
    }

    /// The place of the top.
    pub(super) fn place(&self) -> usize {
        self.top
    }

    /// Removes the top.
    pub(super) fn pop_top(&mut self) {
        if let Some((_, below)) = self.entries.get(self.top) {
            self.top = *below;
        }
    }

    /// Makes an entry further down the top.
    pub(super) fn go_to(&mut self, place: usize) {
        self.top = place;
    }

    /// Nobody has saved the top.
    pub(super) fn is_free(&self) -> bool {
        self.top != NONE && self.top >= self.kept
    }

    pub(super) fn save(&mut self) -> Saved {
        let saved = Saved { top: self.top, kept: self.kept };
        self.kept = self.kept.max(self.above_top());
        saved
    }

    pub(super) fn restore(&mut self, saved: Saved) {
        self.top = saved.top;
        self.kept = saved.kept;
    }
}

impl<T: Clone> Arena<T> {
    pub(super) fn pop(&mut self) -> Option<T> {
        let (value, below) = self.entries.get(self.top)?;
        let (value, below) = (value.clone(), *below);
        self.top = below;
        Some(value)
    }
}
