//! Deliberate mistakes, by which simulation shows that it would catch real ones.
//!
//! A daemon that is built without the feature `simulation` has none of them: the
//! questions here are constants then.

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
