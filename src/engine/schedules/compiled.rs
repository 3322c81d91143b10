//! A schedule that is in force.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use tripline_event::{ActionId, DefinitionHash, EventId, EventKey, ObjectName, TriggerName};
use tripline_schedules::definition::Definition;
use tripline_schedules::policy::RunId;
use tripline_triggers::workflow::made_name;

/// The kinds of objects that are schedules.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// Argo Workflows'.
    CronWorkflow,
    /// Tripline's own.
    Schedule,
}

impl Kind {
    /// As objects name it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::CronWorkflow => "CronWorkflow",
            Self::Schedule => "Schedule",
        }
    }

    /// What the name of the event source and of the sensor begins with.
    const fn prefix(self) -> &'static str {
        match self {
            Self::CronWorkflow => "cronworkflow.",
            Self::Schedule => "schedule.",
        }
    }

    /// The name under which the events of the object `name` are on the bus, and its action is
    /// a sensor: `schedule.nightly`.
    pub fn source_of(self, name: &ObjectName) -> ObjectName {
        ObjectName::new(&name.namespace, format!("{}{}", self.prefix(), name.name))
    }

    /// The object whose events come from this source.
    pub fn object_of(source: &ObjectName) -> Option<(Self, ObjectName)> {
        [Self::CronWorkflow, Self::Schedule].into_iter().find_map(|kind| {
            let name = source.name.strip_prefix(kind.prefix())?;
            Some((kind, ObjectName::new(&source.namespace, name)))
        })
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text {
            "CronWorkflow" => Ok(Self::CronWorkflow),
            "Schedule" => Ok(Self::Schedule),
            _ => Err(()),
        }
    }
}

/// A schedule that can decide.
#[derive(Clone, Debug)]
pub struct CompiledSchedule {
    /// What kind of object it was.
    pub kind: Kind,
    /// The object's namespace and name.
    pub object: ObjectName,
    /// The source of its events, and the name of the sensor that is its action.
    pub name: ObjectName,
    /// What its jitter is drawn from.
    pub seed: String,
    /// What it means.
    pub definition: Definition,
    /// The hash of the object.
    pub hash: DefinitionHash,
    /// What a tick does.
    pub does: Does,
    /// How the workflows of its runs are called, where a run can be stopped by that.
    pub workflows: Option<Naming>,
}

/// What the workflow of a run is called.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Naming {
    /// As Argo Workflows calls those of a CronWorkflow.
    ByTime,
    /// All the same.
    Fixed(String),
    /// `generateName`, and a part of the action's id.
    Generated(String),
}

/// What a tick does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Does {
    /// The trigger of the sensor that the schedule was lowered to is carried out.
    Trigger,
    /// There is an event, and that is all: the run has ended then. It bears this name, and
    /// this JSON beside what every tick tells.
    Event {
        /// The event's name.
        name: String,
        /// What else its data has under `data`.
        data: serde_json::Value,
    },
}

impl CompiledSchedule {
    /// The event of this name.
    pub fn key(&self, event: &str) -> EventKey {
        EventKey::new(&self.name.namespace, &self.name.name, event)
    }

    /// The name of the event of a tick.
    pub fn tick_name(&self) -> &str {
        match &self.does {
            Does::Trigger => super::events::TICK,
            Does::Event { name, .. } => name,
        }
    }

    /// The action that a run is carried out by, whatever the definition was when it started.
    pub fn action_of(&self, run: RunId) -> ActionId {
        let trigger = TriggerName::new(&self.name, super::lowered::TRIGGER);
        let (key, id) = (self.key(super::events::TICK), EventId(run.to_string()));
        ActionId::new(&trigger, [(super::lowered::DEPENDENCY, &key, &id)], 0)
    }

    /// The name of the workflow of a run; none where it is not known or there is none.
    pub fn workflow_of(&self, run: RunId) -> Option<String> {
        Some(match self.workflows.as_ref()? {
            Naming::ByTime => self.workflow_name(run),
            Naming::Fixed(name) => name.clone(),
            Naming::Generated(prefix) => made_name(prefix, &self.action_of(run)),
        })
    }

    /// The name of the workflow of a run of a CronWorkflow: the name and the time, as in Argo
    /// Workflows. What was not started by a tick has a number, so that it is another one.
    pub fn workflow_name(&self, run: RunId) -> String {
        use tripline_schedules::policy::Origin;
        let second = run.nominal.as_second();
        let suffix = match run.origin {
            Origin::Tick => format!("-{second}"),
            Origin::Trigger(number) => format!("-{second}-t{number}"),
            Origin::Backfill(number) => format!("-{second}-b{number}"),
        };
        let room = 63_usize.saturating_sub(suffix.len());
        let name: String = self.object.name.chars().take(room).collect();
        name.trim_end_matches(['-', '.']).to_owned() + &suffix
    }
}
