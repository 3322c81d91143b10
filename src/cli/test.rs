//! `tripline test`.

use std::path::PathBuf;
use std::time::Instant;

use clap::Args;

use super::args::AskArgs;
use super::dispatch::asked;
use super::output::{Output, note};
use super::{CommandError, Exit, yaml};
use crate::control::{Backend, ControlError};
use crate::query::glob;
use crate::sensor_test::{Tests, junit, record, report};

type Answer = Result<Exit, CommandError>;

/// `test`.
#[derive(Args, Clone, Debug)]
pub struct TestArgs {
    /// Files and folders with tests and the sensors that they are about, or `-` for the
    /// standard input.
    #[arg(required_unless_present = "record", value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Only cases whose title, NAMESPACE/TEST: CASE, holds this text; * and ? stand for any
    /// text and any character of the whole title.
    #[arg(long, value_name = "TEXT")]
    pub filter: Option<String>,
    /// Write a report in JUnit's XML there too.
    #[arg(long, value_name = "FILE")]
    pub junit: Option<PathBuf>,
    /// Run nothing: write a test from what happened to HANDLE (an event's, action's or
    /// correlation id, the name of a workflow), to be kept beside the sensors.
    #[arg(long, value_name = "HANDLE", conflicts_with_all = ["paths", "filter", "junit"])]
    pub record: Option<String>,
    /// Who is asked, with --record.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `test`.
pub(super) fn test(args: &TestArgs) -> Answer {
    if let Some(handle) = &args.record {
        return asked(&args.ask, recorded(handle));
    }
    let tests = Tests::load(&crate::program::inputs(&args.paths)?);
    for diagnostic in tests.diagnostics.iter().filter(|diagnostic| diagnostic.is_error()) {
        note(&diagnostic.to_string());
    }
    let filter = args.filter.as_deref();
    let begin = Instant::now();
    let results = tests.run(|title| filter.is_none_or(|filter| fits(filter, title)));
    let took = begin.elapsed();
    if let Some(path) = &args.junit {
        std::fs::write(path, junit::xml(&results))
            .map_err(|error| ControlError::Failed(format!("{}: {error}", path.display())))?;
    }
    let mut output = Output::stdout(args.ask.output);
    for result in &results {
        if output.is_json() {
            output.json(result)?;
        } else if !result.passed {
            let failed = output.bad("failed");
            output.text(&format!("{failed}  {}\n", report::failed(result)))?;
        }
    }
    if !output.is_json() {
        output.line(report::summary(&results, took))?;
    }
    if tests.has_errors() {
        return Ok(Exit::Usage);
    }
    if results.is_empty() {
        let why = match filter {
            Some(filter) => format!("no case fits `{filter}`"),
            None => "these files have no SensorTest".to_owned(),
        };
        return Err(ControlError::Invalid(why).into());
    }
    let passed = results.iter().all(|result| result.passed);
    Ok(if passed { Exit::Done } else { Exit::Findings })
}

fn fits(filter: &str, title: &str) -> bool {
    if filter.contains(['*', '?']) { glob::fits(filter, title) } else { title.contains(filter) }
}

fn recorded(handle: &str) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let recording = backend.record(handle).await?;
        if output.is_json() {
            output.json(&recording)?;
            return Ok(Exit::Done);
        }
        for remark in &recording.remarks {
            output.line(format_args!("# {remark}"))?;
        }
        output.text(&yaml::text(&record::object(&recording)))?;
        Ok(Exit::Done)
    }
}
