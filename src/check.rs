//! `tripline check`: every mistake in files, without running anything.

use tripline_config::{Diagnostic, Input, Severity, output};

use crate::codes;
use crate::engine::definitions::Definitions;
use crate::load::{self, Configuration};
use crate::sensor_test;

/// How findings are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Format {
    /// For people.
    #[default]
    Human,
    /// A JSON array.
    Json,
    /// Workflow commands of GitHub Actions.
    Github,
    /// SARIF 2.1.0.
    Sarif,
}

/// What was found.
pub struct Report {
    configuration: Configuration,
    strict: bool,
    /// How many cases the tests have.
    cases: usize,
}

/// Checks everything that `inputs` hold. Under `strict` a warning is an error.
pub fn check(inputs: &[Input], strict: bool) -> Report {
    let mut configuration = load::load(inputs, &Definitions::default());
    let suites = sensor_test::compile::suites(inputs, &mut configuration);
    let cases = suites.iter().map(|suite| suite.cases.len()).sum();
    Report { configuration, strict, cases }
}

impl Report {
    /// Nothing is refused.
    pub fn is_ok(&self) -> bool {
        let refused = |diagnostic: &Diagnostic| diagnostic.is_error() || self.strict;
        !self.configuration.diagnostics.iter().any(refused)
    }

    /// All findings, sorted by place.
    pub fn diagnostics(&self) -> &[Diagnostic] {
        &self.configuration.diagnostics
    }

    /// The findings as text, and for people a line that sums up.
    pub fn render(&self, format: Format, colour: bool) -> String {
        let diagnostics = &self.configuration.diagnostics;
        match format {
            Format::Human => {
                let mut text = output::human(diagnostics, &self.configuration.texts, colour);
                text.push_str(&self.summary());
                text
            }
            Format::Json => output::json(diagnostics),
            Format::Github => output::github(diagnostics),
            Format::Sarif => output::sarif(diagnostics, &codes::explain),
        }
    }

    fn summary(&self) -> String {
        let Configuration { diagnostics, skipped, files, sensors, sources, .. } =
            &self.configuration;
        let count = |severity| {
            diagnostics.iter().filter(|diagnostic| diagnostic.severity == severity).count()
        };
        let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
        let mut text = format!(
            "{}: {}, {} in use; {}, {}\n",
            several(*files, "file"),
            several(sources.len(), "event source"),
            several(sensors.len(), "sensor"),
            several(errors, "error"),
            several(warnings, "warning"),
        );
        if self.cases > 0 {
            text.push_str(&format!(
                "{} to run with `tripline test`\n",
                several(self.cases, "case")
            ));
        }
        if !skipped.is_empty() {
            let kinds: Vec<String> =
                skipped.iter().map(|(kind, count)| format!("{kind} ({count})")).collect();
            text.push_str(&format!(
                "skipped, since they are not Tripline's: {}\n",
                kinds.join(", ")
            ));
        }
        text
    }
}

fn several(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}
