//! Watching the evaluator decide, for explanations. The deciding run and the explaining
//! run are the same code.

use std::collections::BTreeMap;
use std::sync::Arc;

use tripline_event::Action;

use super::plan::{Dependency, Sensor, Trigger};
use super::state::Held;
use crate::filter::{Trace, Verdict};

/// Is told what the evaluator finds.
pub trait Recorder {
    /// Filters are to keep a trace of the values that they see.
    const ON: bool;

    /// A dependency's filter looked at the event. While filters keep no trace, those that
    /// the index decides are not asked; [`super::Tally`] counts them all the same.
    fn filtered(
        &mut self,
        sensor: &Sensor,
        dependency: &Dependency,
        verdict: &Verdict,
        trace: Option<Trace>,
    );

    /// The index found an error of several dependencies at once. Never told while filters
    /// keep a trace: then each tells its own.
    fn shared(&mut self, error: &Shared<'_>) {
        let _ = error;
    }

    /// The condition does not hold yet; `held` is what it had before this event.
    fn waits(
        &mut self,
        sensor: &Sensor,
        trigger: &Trigger,
        dependency: &str,
        held: Option<&BTreeMap<Arc<str>, Held>>,
    );

    /// The condition held.
    fn fired(&mut self, sensor: &Sensor, trigger: &Trigger, action: &Action);
}

/// An error of several dependencies at once.
#[derive(Clone, Copy, Debug)]
pub struct Shared<'a> {
    /// What could not be evaluated.
    pub error: &'a Arc<str>,
    /// How many dependencies there are.
    pub count: usize,
    /// The sensor of one of them.
    pub sensor: &'a Sensor,
    /// One of them.
    pub dependency: &'a Dependency,
}

/// Records nothing and costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Off;

impl Recorder for Off {
    const ON: bool = false;

    fn filtered(&mut self, _: &Sensor, _: &Dependency, _: &Verdict, _: Option<Trace>) {}

    fn waits(&mut self, _: &Sensor, _: &Trigger, _: &str, _: Option<&BTreeMap<Arc<str>, Held>>) {}

    fn fired(&mut self, _: &Sensor, _: &Trigger, _: &Action) {}
}
