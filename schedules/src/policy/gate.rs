//! The rule for overlaps: which starts happen while an earlier run is still going.

use serde::{Deserialize, Serialize};

use super::{OverlapPolicy, SkipReason};

/// The most starts that wait.
pub const BUFFER_MAX: usize = 1000;

/// The run that is going, and the starts that wait for its end. `R` is the identity of a run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Gate<R> {
    running: Option<R>,
    /// What was last asked of the run that is going.
    stopping: Stopping,
    waiting: Vec<Waiting<R>>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Waiting<R> {
    run: R,
    /// The policy that the start asked for; `None` for that of the schedule, which is looked
    /// up each time, so that a change of it counts for those that wait.
    overlap: Option<OverlapPolicy>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Stopping {
    #[default]
    No,
    Cancel,
    Terminate,
}

impl<R> Default for Gate<R> {
    fn default() -> Self {
        Self { running: None, stopping: Stopping::No, waiting: Vec::new() }
    }
}

/// What becomes of a start, or of the run that is in its way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict<R> {
    /// The run starts. If it is `watched`, its end must be told to [`Gate::ended`].
    Start {
        /// The run.
        run: R,
        /// Whether others wait for its end.
        watched: bool,
    },
    /// The run does not happen.
    Skip {
        /// The run.
        run: R,
        /// Why.
        reason: SkipReason,
    },
    /// The run is asked to stop. That it has ended already is as good.
    Cancel(R),
    /// The run is stopped. That it has ended already is as good.
    Terminate(R),
}

impl<R: Clone + PartialEq> Gate<R> {
    /// Whether a run stands in the way of others.
    pub fn running(&self) -> Option<&R> {
        self.running.as_ref()
    }

    /// How many starts wait.
    pub fn waiting(&self) -> usize {
        self.waiting.len()
    }

    /// Asks for a start, with its own policy or that of the schedule. It waits until
    /// [`Gate::settle`] is called, or is refused since too many do.
    ///
    /// # Errors
    /// The verdict, if too many starts wait.
    pub fn ask(&mut self, run: R, overlap: Option<OverlapPolicy>) -> Result<(), Verdict<R>> {
        if self.waiting.len() >= BUFFER_MAX {
            return Err(Verdict::Skip { run, reason: SkipReason::BufferFull });
        }
        self.waiting.push(Waiting { run, overlap });
        Ok(())
    }

    /// Notes the end of a run. Returns whether it was the one that others wait for: the
    /// end of any other, or a second report of the same, changes nothing.
    pub fn ended(&mut self, run: &R) -> bool {
        let known = self.running.as_ref() == Some(run);
        if known {
            self.running = None;
            self.stopping = Stopping::No;
        }
        known
    }

    /// Decides what becomes of the starts that wait, in order. `admit` is asked right before
    /// each one that would start, and may give a reason why it must not.
    pub fn settle(
        &mut self,
        policy: OverlapPolicy,
        mut admit: impl FnMut(&R) -> Result<(), SkipReason>,
    ) -> Vec<Verdict<R>> {
        let mut verdicts = Vec::new();
        for start in std::mem::take(&mut self.waiting) {
            let overlap = start.overlap.unwrap_or(policy);
            let at_once = matches!(overlap, OverlapPolicy::AllowAll | OverlapPolicy::Replace);
            if self.running.is_some() && !at_once {
                self.hold(start, overlap, policy, &mut verdicts);
                continue;
            }
            let run = start.run;
            if let Err(reason) = admit(&run) {
                verdicts.push(Verdict::Skip { run, reason });
                continue;
            }
            if overlap == OverlapPolicy::Replace
                && let Some(running) = self.running.take()
                // It is told once.
                && std::mem::take(&mut self.stopping) != Stopping::Terminate
            {
                verdicts.push(Verdict::Terminate(running));
            }
            let watched = overlap != OverlapPolicy::AllowAll;
            if watched {
                self.running = Some(run.clone());
            }
            verdicts.push(Verdict::Start { run, watched });
        }
        self.stop_running(policy, &mut verdicts);
        verdicts
    }

    /// Lets a start wait for the end of the run that is going, or not.
    fn hold(
        &mut self,
        start: Waiting<R>,
        overlap: OverlapPolicy,
        policy: OverlapPolicy,
        verdicts: &mut Vec<Verdict<R>>,
    ) {
        let skip = |run| Verdict::Skip { run, reason: SkipReason::Overlap };
        let resolved = |waiting: &Waiting<R>| waiting.overlap.unwrap_or(policy);
        match overlap {
            OverlapPolicy::Skip => return verdicts.push(skip(start.run)),
            OverlapPolicy::BufferOne
                if self.waiting.iter().any(|other| resolved(other) == OverlapPolicy::BufferOne) =>
            {
                return verdicts.push(skip(start.run));
            }
            OverlapPolicy::CancelOther | OverlapPolicy::TerminateOther => {
                let older = self.waiting.extract_if(.., |other| stops_other(resolved(other)));
                verdicts.extend(older.map(|older| skip(older.run)));
            }
            OverlapPolicy::BufferOne
            | OverlapPolicy::BufferAll
            | OverlapPolicy::AllowAll
            | OverlapPolicy::Replace => {}
        }
        self.waiting.push(start);
    }

    /// Asks the run that is going to stop if one of those that wait wants it, once.
    fn stop_running(&mut self, policy: OverlapPolicy, verdicts: &mut Vec<Verdict<R>>) {
        let Some(running) = &self.running else { return };
        let wanted = self.waiting.iter().map(|waiting| match waiting.overlap.unwrap_or(policy) {
            OverlapPolicy::CancelOther => Stopping::Cancel,
            OverlapPolicy::TerminateOther => Stopping::Terminate,
            _ => Stopping::No,
        });
        let wanted = wanted.max().unwrap_or_default();
        if wanted <= self.stopping {
            return;
        }
        self.stopping = wanted;
        verdicts.push(match wanted {
            Stopping::Terminate => Verdict::Terminate(running.clone()),
            _ => Verdict::Cancel(running.clone()),
        });
    }
}

fn stops_other(overlap: OverlapPolicy) -> bool {
    matches!(overlap, OverlapPolicy::CancelOther | OverlapPolicy::TerminateOther)
}
