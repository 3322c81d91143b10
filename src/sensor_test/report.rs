//! What came of the cases, for people.

use std::fmt::Write as _;
use std::time::Duration;

use super::case::{CaseResult, Failure};
use crate::query::item::shortened;

/// The most lines of an explanation that are shown.
const MAX_LINES: usize = 20;

/// One case that failed, as text that ends its lines.
pub fn failed(result: &CaseResult) -> String {
    let mut text = format!("{}: {}  {}\n", result.suite, result.case, result.place);
    for failure in &result.failures {
        write_failure(&mut text, failure);
    }
    text
}

fn write_failure(text: &mut String, failure: &Failure) {
    line(text, format_args!("  {}  {}", failure.step, failure.place));
    line(text, format_args!("    expected  {}", failure.expected));
    line(text, format_args!("    got       {}", failure.got));
    for difference in &failure.differences {
        line(text, format_args!("    {}", difference.path));
        line(text, format_args!("      expected  {}", difference.expected));
        line(text, format_args!("      got       {}", difference.got));
    }
    if !failure.because.is_empty() {
        line(text, format_args!("    since"));
    }
    for because in failure.because.iter().take(MAX_LINES) {
        // What is said holds values of events: they must not control the terminal.
        let indent = because.len() - because.trim_start().len();
        let because = shortened(because.trim_start(), 400);
        line(text, format_args!("      {:indent$}{because}", ""));
    }
    if let Some(more) = failure.because.len().checked_sub(MAX_LINES).filter(|more| *more > 0) {
        line(text, format_args!("      … and {more} lines more"));
    }
}

/// What came of all: `3 cases: 2 passed, 1 failed, in 1.2 ms (2500 cases/s)`.
pub fn summary(results: &[CaseResult], took: Duration) -> String {
    let passed = results.iter().filter(|result| result.passed).count();
    let cases =
        if results.len() == 1 { "1 case".to_owned() } else { format!("{} cases", results.len()) };
    let failed = results.len() - passed;
    let seconds = took.as_secs_f64();
    let rate = if seconds > 0.0 { results.len() as f64 / seconds } else { 0.0 };
    format!(
        "{cases}: {passed} passed, {failed} failed, in {:.1} ms ({rate:.0} cases/s)",
        seconds * 1e3
    )
}

fn line(text: &mut String, args: std::fmt::Arguments<'_>) {
    #[expect(clippy::expect_used, reason = "a String takes everything that is written to it")]
    writeln!(text, "{args}").expect("a String can be written to");
}
