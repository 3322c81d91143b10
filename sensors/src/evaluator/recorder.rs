//! Watching the evaluator decide, for explanations. The deciding run and the explaining
//! run are the same code.

use std::collections::BTreeMap;

use tripline_event::Action;

use super::plan::{Dependency, Sensor, Trigger};
use super::state::Held;
use crate::filter::{Trace, Verdict};

/// Is told what the evaluator finds.
pub trait Recorder {
    /// Filters are to keep a trace of the values that they see.
    const ON: bool;

    /// A dependency's filter looked at the event.
    fn filtered(
        &mut self,
        sensor: &Sensor,
        dependency: &Dependency,
        verdict: &Verdict,
        trace: Option<Trace>,
    );

    /// The condition does not hold yet; `held` is what it had before this event.
    fn waits(
        &mut self,
        sensor: &Sensor,
        trigger: &Trigger,
        dependency: &str,
        held: Option<&BTreeMap<String, Held>>,
    );

    /// The condition held.
    fn fired(&mut self, sensor: &Sensor, trigger: &Trigger, action: &Action);
}

/// Records nothing and costs nothing.
#[derive(Clone, Copy, Debug, Default)]
pub struct Off;

impl Recorder for Off {
    const ON: bool = false;

    fn filtered(&mut self, _: &Sensor, _: &Dependency, _: &Verdict, _: Option<Trace>) {}

    fn waits(&mut self, _: &Sensor, _: &Trigger, _: &str, _: Option<&BTreeMap<String, Held>>) {}

    fn fired(&mut self, _: &Sensor, _: &Trigger, _: &Action) {}
}
