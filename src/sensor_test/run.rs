//! Runs one case.

use std::time::Instant;

use super::case::{AT_THE_END, Case, CaseResult, Failure, Given, Step};
use super::compare::compare;
use super::compile::Suite;
use super::expect::Expected;
use super::world::World;
use crate::engine::definitions::Definitions;

/// Runs a case. It is decided as the daemon decides; where that is not as expected, or a
/// reason is asked for, once more, with each filter telling what it sees.
pub fn run(suite: &Suite, case: &Case, definitions: &Definitions) -> CaseResult {
    let begin = Instant::now();
    let mut failures = attempt(suite, case, definitions, false);
    if !failures.is_empty() || asks_why(case) {
        let explained = attempt(suite, case, definitions, true);
        if !explained.is_empty() {
            failures = explained;
        }
    }
    CaseResult {
        suite: suite.name.clone(),
        case: case.name.clone(),
        place: case.place.to_string(),
        passed: failures.is_empty(),
        failures,
        took_us: u64::try_from(begin.elapsed().as_micros()).unwrap_or(u64::MAX),
    }
}

fn asks_why(case: &Case) -> bool {
    let mut all = case.steps.iter().filter_map(|step| step.expect.as_ref()).chain(&case.expect);
    all.any(|expected| match expected {
        Expected::Count(_) => false,
        Expected::Firings(firings) => firings.iter().any(|firing| firing.spec.because.is_some()),
    })
}

fn attempt(suite: &Suite, case: &Case, definitions: &Definitions, explain: bool) -> Vec<Failure> {
    let mut world = World::new(suite, definitions, case.start, case.runs_take, explain);
    let (mut failures, mut fired, mut lines) = (Vec::new(), Vec::new(), Vec::new());
    let mut check = |expected: &Expected,
                     fired: &mut Vec<_>,
                     lines: &mut Vec<String>,
                     step: String,
                     place: String| {
        let said = explain.then_some(lines.as_slice());
        for failure in compare(expected, fired, said) {
            failures.push(Failure { step: step.clone(), place: place.clone(), ..failure });
        }
        fired.clear();
        lines.clear();
    };
    let nothing = Expected::Firings(Vec::new());
    for (index, step) in case.steps.iter().enumerate() {
        if let Some(passing) = &step.passing
            && let Err(error) = world.pass(passing)
        {
            let got = error;
            let step = described(index, step);
            let (place, expected) =
                (case.steps[index].place.to_string(), "time goes on".to_owned());
            failures.push(Failure { step, place, expected, got, ..Failure::default() });
            return failures;
        }
        if let Some(given) = &step.given {
            world.take_in(given);
        }
        let (more, said) = world.take();
        fired.extend(more);
        lines.extend(said);
        if let Some(expected) = &step.expect {
            let name = described(index, step);
            check(expected, &mut fired, &mut lines, name, step.place.to_string());
        }
    }
    let expected = case.expect.as_ref().unwrap_or(&nothing);
    check(expected, &mut fired, &mut lines, AT_THE_END.to_owned(), case.place.to_string());
    failures
}

/// `step 2, builds/completed`.
fn described(index: usize, step: &Step) -> String {
    let number = index + 1;
    match &step.given {
        Some(Given { key, .. }) => format!("step {number}, {}/{}", key.source, key.name),
        None => format!("step {number}"),
    }
}
