//! Everything that the evaluator found about records, kept for an explanation.

use std::collections::BTreeMap;
use std::sync::Arc;

use tripline_event::{Action, ObjectName, TriggerName};

use super::plan::{Dependency, Sensor, Trigger};
use super::recorder::Recorder;
use super::state::Held;
use crate::filter::{Trace, Verdict};

/// A recorder that keeps what it is told. The decisions are those of a run that records
/// nothing: a property test holds the two against each other.
#[derive(Clone, Debug, Default)]
pub struct Account {
    /// Each dependency that names the event, in the order of the sensors.
    pub asked: Vec<Asked>,
    /// Each trigger whose condition is half met.
    pub waiting: Vec<Waiting>,
    /// What fired; of a trigger that acts in several places, once.
    pub fired: Vec<Action>,
}

/// What a dependency's filter said.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The sensor.
    pub sensor: ObjectName,
    /// The dependency.
    pub dependency: Arc<str>,
    /// What its filter said.
    pub verdict: Verdict,
    /// Why.
    pub trace: Trace,
}

/// A condition that does not hold yet.
#[derive(Clone, Debug)]
pub struct Waiting {
    /// The trigger.
    pub trigger: TriggerName,
    /// The dependency that the event satisfies.
    pub dependency: Arc<str>,
    /// What was held before this event.
    pub held: BTreeMap<Arc<str>, Held>,
}

impl Recorder for Account {
    const ON: bool = true;

    fn filtered(
        &mut self,
        sensor: &Sensor,
        dependency: &Dependency,
        verdict: &Verdict,
        trace: Option<Trace>,
    ) {
        self.asked.push(Asked {
            sensor: sensor.name.clone(),
            dependency: Arc::clone(&dependency.name),
            verdict: verdict.clone(),
            trace: trace.unwrap_or_default(),
        });
    }

    fn waits(
        &mut self,
        _: &Sensor,
        trigger: &Trigger,
        dependency: &str,
        held: Option<&BTreeMap<Arc<str>, Held>>,
    ) {
        self.waiting.push(Waiting {
            trigger: trigger.name.clone(),
            dependency: dependency.into(),
            held: held.cloned().unwrap_or_default(),
        });
    }

    fn fired(&mut self, _: &Sensor, _: &Trigger, action: &Action) {
        self.fired.push(action.clone());
    }
}
