//! Deliberate mistakes, by which simulation shows that it would catch real ones.
//!
//! A daemon that is built without the feature `simulation` has none of them: the
//! questions here are constants then.

use std::sync::Arc;

use tripline_event::{Action, DeadLetter, Event, Timestamp};
use tripline_triggers::RenderedAction;
use tripline_triggers::executor::{RenderError, Renderer, TriggerPolicy};

use super::definitions::Definitions;

/// A mistake that the engine makes on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The checkpoint is written before the actions of its events are durable.
    CheckpointBeforeActions,
    /// The source is told that the event is durable before it is.
    AcknowledgeBeforeDurable,
    /// Repeated events are not recognised.
    NoDedup,
    /// After a restart the newest plan decides about events that an older one was for.
    WrongPlan,
    /// After a restart ticks that were decided and not yet appended are forgotten.
    ForgetTicks,
    /// After a restart ends of runs that were not on the bus yet are passed over.
    ForgetEnds,
    /// After a restart nothing is paused.
    ForgetPauses,
    /// Freeze windows are not looked at.
    IgnoreFreeze,
    /// A checkpoint knows of the actions of the evaluator alone, and not of those that others
    /// append.
    StaleMarks,
    /// What is sent back or replayed is appended and not carried out.
    NotOffered,
    /// A replay does again what was done, though nobody asked for that.
    RepeatReplay,
    /// The logs are trimmed of what open actions and half-met conditions need.
    TrimNeeded,
    /// What is parked is forgotten, and there is no dead letter.
    ParkWithoutLetter,
    /// What operators ask of schedules is passed over.
    IgnoreCommands,
}

/// Which mistake is made, if any.
#[derive(Clone, Copy, Debug, Default)]
pub struct Mistakes {
    #[cfg(feature = "simulation")]
    made: Option<Mistake>,
}

impl Mistakes {
    /// This one.
    #[cfg(feature = "simulation")]
    pub const fn make(mistake: Mistake) -> Self {
        Self { made: Some(mistake) }
    }

    fn makes(self, mistake: Mistake) -> bool {
        #[cfg(feature = "simulation")]
        return self.made == Some(mistake);
        #[cfg(not(feature = "simulation"))]
        {
            let _ = mistake;
            false
        }
    }

    pub(super) fn forget_ticks(self) -> bool {
        self.makes(Mistake::ForgetTicks)
    }

    pub(super) fn forget_pauses(self) -> bool {
        self.makes(Mistake::ForgetPauses)
    }

    pub(super) fn ignore_freeze(self) -> bool {
        self.makes(Mistake::IgnoreFreeze)
    }

    pub(super) fn stale_marks(self) -> bool {
        self.makes(Mistake::StaleMarks)
    }

    pub(super) fn not_offered(self) -> bool {
        self.makes(Mistake::NotOffered)
    }

    pub(super) fn repeat_replay(self) -> bool {
        self.makes(Mistake::RepeatReplay)
    }

    pub(super) fn trim_needed(self) -> bool {
        self.makes(Mistake::TrimNeeded)
    }

    pub(super) fn park_without_letter(self) -> bool {
        self.makes(Mistake::ParkWithoutLetter)
    }

    pub(super) fn ignore_commands(self) -> bool {
        self.makes(Mistake::IgnoreCommands)
    }

    pub(super) fn forget_ends(self) -> bool {
        self.makes(Mistake::ForgetEnds)
    }

    pub(super) fn checkpoint_before_actions(self) -> bool {
        self.makes(Mistake::CheckpointBeforeActions)
    }

    pub(super) fn acknowledge_before_durable(self) -> bool {
        self.makes(Mistake::AcknowledgeBeforeDurable)
    }

    pub(super) fn no_dedup(self) -> bool {
        self.makes(Mistake::NoDedup)
    }

    pub(super) fn wrong_plan(self) -> bool {
        self.makes(Mistake::WrongPlan)
    }
}

/// Knows of no freeze windows.
pub(super) struct Thawed(pub(super) Arc<Definitions>);

impl Renderer for Thawed {
    fn render(
        &self,
        action: &Arc<Action>,
        events: &[Arc<Event>],
    ) -> Result<RenderedAction, RenderError> {
        self.0.render(action, events)
    }

    fn policy(&self, action: &Action) -> TriggerPolicy {
        TriggerPolicy { freeze: None, ..self.0.policy(action) }
    }

    fn target(&self, action: &Action) -> Option<String> {
        self.0.target(action)
    }

    fn follow_up(&self, action: &Action, letter: &DeadLetter, now: Timestamp) -> Option<Action> {
        self.0.follow_up(action, letter, now)
    }
}
