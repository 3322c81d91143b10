//! `SensorTest`: events on a virtual clock, and what is to come of them.
//!
//! A case goes through what the daemon runs: the evaluator, the schedules, the renderer of
//! triggers, the filter and the correlation id of an event source. Nothing is carried out.
//!
//! Promises: the same case gives the same result on every machine and at every time; cases
//! share nothing but the compiled sensors; the daemon never runs one.
//!
//! Not here: the files, the command line.

pub mod case;
pub mod compare;
pub mod compile;
pub mod expect;
pub mod junit;
pub mod record;
pub mod report;
pub mod run;
pub mod spec;
pub mod world;

#[cfg(test)]
mod tests;

use tripline_config::{Diagnostic, Input};

use crate::engine::definitions::Definitions;
use crate::load;

pub use case::{CaseResult, Failure};
pub use compile::Suite;

/// The most steps of a case.
pub const MAX_STEPS: usize = 10_000;
/// The most moments at which something is due while the clock of a case goes forward.
pub const MAX_MOMENTS: usize = 100_000;
/// The most bytes of a file that an event is read from.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// The tests of a set of files.
pub struct Tests {
    /// Each object that can be run.
    pub suites: Vec<Suite>,
    /// The sensors, compiled.
    pub definitions: Definitions,
    /// All that is wrong with the files, sorted by place.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts that diagnostics speak of.
    pub texts: tripline_config::Sources,
}

impl Tests {
    /// Loads everything that `inputs` hold.
    pub fn load(inputs: &[Input]) -> Self {
        let definitions = Definitions::default();
        let mut configuration = load::load(inputs, &definitions);
        let suites = compile::suites(inputs, &mut configuration);
        let load::Configuration { diagnostics, texts, .. } = configuration;
        Self { suites, definitions, diagnostics, texts }
    }

    /// Whether anything is refused.
    pub fn has_errors(&self) -> bool {
        self.diagnostics.iter().any(Diagnostic::is_error)
    }

    /// Runs the cases whose title fits, in their order.
    pub fn run(&self, fits: impl Fn(&str) -> bool) -> Vec<CaseResult> {
        let cases = self.suites.iter().flat_map(|suite| {
            suite.cases.iter().filter(|case| fits(&case.title)).map(move |case| (suite, case))
        });
        cases.map(|(suite, case)| run::run(suite, case, &self.definitions)).collect()
    }
}
