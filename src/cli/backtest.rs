//! `tripline backtest`.

use std::path::PathBuf;

use clap::Args;
use tripline_bus::Log;
use tripline_config::Input;
use tripline_event::{Clock as _, SystemClock};

use super::args::AskArgs;
use super::dispatch::asked;
use super::output::{Output, note};
use super::when::When;
use super::{CommandError, Exit, reach};
use crate::backtest::{self, Budget, Changes, EXAMPLES, MAX_EXAMPLES};
use crate::control::{Backend, ControlError};

type Answer = Result<Exit, CommandError>;

/// `backtest`.
#[derive(Args, Clone, Debug)]
pub struct BacktestArgs {
    /// Files or folders with the changed sensors, or `-` for the standard input.
    #[arg(required = true, value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// On events since then: a span (7d) or a time; all that are kept, where it is not given.
    #[arg(long, value_name = "WHEN")]
    pub since: Option<When>,
    /// Only this sensor of the files: [NAMESPACE/]NAME.
    #[arg(long, value_name = "NAME")]
    pub sensor: Option<String>,
    /// Exit with 1 where more differs: a number, or one for each of fired, lost and changed
    /// (fired=0,lost=0).
    #[arg(long, value_name = "BUDGET")]
    pub budget: Option<Budget>,
    /// How many examples of each kind are shown.
    #[arg(long, default_value_t = EXAMPLES, value_name = "COUNT")]
    pub examples: usize,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `backtest`.
pub(super) fn backtest(args: &BacktestArgs) -> Answer {
    let inputs = crate::program::inputs(&args.paths)?;
    asked(&args.ask, compared(args, &inputs))
}

fn compared(
    args: &BacktestArgs,
    inputs: &[Input],
) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let loaded = Changes::load(inputs, args.sensor.as_deref(), backend).await?;
        let changes = match loaded {
            Ok(changes) => changes,
            Err(errors) => {
                errors.iter().for_each(|error| note(&error.to_string()));
                return Err(ControlError::Invalid("the files have mistakes".to_owned()).into());
            }
        };
        let since = args.since.map(|when| when.before(SystemClock.now()));
        let events = backend.history(since).await?;
        let examples = args.examples.min(MAX_EXAMPLES);
        let report = backtest::run(&changes, events, since, examples).await?;
        let over = args.budget.map(|budget| budget.exceeded(&report)).unwrap_or_default();
        let text = |output: &mut Output| output.text(&report.text());
        reach::below(backend, output, &[Log::Events], &report, text).await?;
        for line in &over {
            note(&format!("over the budget: {line}"));
        }
        Ok(if over.is_empty() { Exit::Done } else { Exit::Findings })
    }
}
