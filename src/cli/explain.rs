//! `explain`.

use std::io::Read as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::value::RawValue;
use tripline_bus::Log;
use tripline_event::name::DEFAULT_NAMESPACE;
use tripline_event::{Clock as _, EventKey, SystemClock};

use super::args::AskArgs;
use super::dispatch::asked;
use super::output::Output;
use super::when::When;
use super::{CommandError, Exit, Programs, reach};
use crate::control::{Backend, ControlError, MAX_BODY_BYTES};
use crate::explain::{Answer as Explained, Arrival, Explanation, Question};

type Answer = Result<Exit, CommandError>;

/// How far is looked back for the events of a sensor, where it is not said.
const SINCE: jiff::SignedDuration = jiff::SignedDuration::from_hours(1);

/// `explain`.
#[derive(Args, Clone, Debug)]
pub struct ExplainArgs {
    /// Any id of the chain: a correlation id, an event's or upstream message's id, an action's
    /// id or its beginning, a workflow's name, a position; or `-` for a body on the standard
    /// input: the latest event that has it is explained.
    #[arg(required_unless_present_any = ["files", "sensor"], conflicts_with = "files")]
    pub handle: Option<String>,
    /// Only this sensor: [NAMESPACE/]NAME. Without HANDLE: how far its events got since
    /// --since, and where they stopped.
    #[arg(long, value_name = "NAME")]
    pub sensor: Option<String>,
    /// Of --sensor without HANDLE: from when on; an hour, if not given.
    #[arg(long, value_name = "WHEN", requires = "sensor", conflicts_with = "handle")]
    pub since: Option<When>,
    /// With `-`: what would become of the body, if it came in now as an event of this event
    /// source: [NAMESPACE/]NAME. Nothing is stored or carried out.
    #[arg(long, value_name = "NAME", requires = "event_name")]
    pub source: Option<String>,
    /// The name of that event.
    #[arg(long, value_name = "NAME", requires = "source")]
    pub event_name: Option<String>,
    /// Without a daemon: sensors in these files or folders, and --event.
    #[arg(long, value_name = "PATH", num_args = 1.., requires = "events")]
    pub files: Vec<PathBuf>,
    /// With --files: an event, as `render` has it: a line of `tripline events --output json`,
    /// or the data of one alone, in a file. May be given several times.
    #[arg(short, long = "event", value_name = "[DEPENDENCY=]FILE", requires = "files")]
    pub events: Vec<String>,
    /// The namespace of --source, where it names none.
    #[arg(short, long, default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    pub namespace: String,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `explain`.
pub(super) fn explain(args: ExplainArgs, programs: &dyn Programs) -> Answer {
    if !args.files.is_empty() {
        let explanation = programs.explain(&args)?;
        let mut output = Output::stdout(args.ask.output);
        if output.is_json() {
            output.json(&explanation)?;
        } else {
            output.text(&explanation.text(output.has_colour()))?;
        }
        return Ok(exit(&explanation, true));
    }
    let ask = args.ask.clone();
    match args.handle.as_deref() {
        None => asked(&ask, progress(args)),
        Some("-") => {
            let arrival = arrival(&args)?;
            let would = arrival.key.is_some();
            asked(&ask, async |backend: &Backend, output: &mut Output| {
                shown(backend.explain_body(&arrival).await?, backend, output, would).await
            })
        }
        Some(handle) => {
            let question = Question { handle: handle.to_owned(), sensor: args.sensor.clone() };
            asked(&ask, async |backend: &Backend, output: &mut Output| {
                shown(backend.explain(&question).await?, backend, output, false).await
            })
        }
    }
}

fn progress(args: ExplainArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let now = SystemClock.now();
        let since = args.since.map_or(now.saturating_sub(SINCE).unwrap_or(now), |w| w.before(now));
        let sensor = args.sensor.unwrap_or_default();
        let progress = backend.progress(&sensor, since).await?;
        let text = |output: &mut Output| output.text(&progress.text(output.has_colour()));
        reach::below(backend, output, &Log::ALL, &progress, text).await?;
        Ok(Exit::Done)
    }
}

/// The body on the standard input, and what it is to be evaluated as.
fn arrival(args: &ExplainArgs) -> Result<Arrival, CommandError> {
    let mut text = String::new();
    let most = MAX_BODY_BYTES as u64 / 2;
    std::io::stdin().take(most + 1).read_to_string(&mut text)?;
    if text.len() as u64 > most {
        let text = format!("the body is longer than the {most} bytes that are taken");
        return Err(ControlError::Invalid(text).into());
    }
    let body: Box<RawValue> = serde_json::from_str(text.trim())
        .map_err(|error| ControlError::Invalid(format!("the body is no JSON: {error}")))?;
    let key = args.source.as_ref().zip(args.event_name.as_ref()).map(|(source, event)| {
        let (namespace, source) =
            source.split_once('/').unwrap_or((args.namespace.as_str(), source.as_str()));
        EventKey::new(namespace, source, event)
    });
    Ok(Arrival { body, key, sensor: args.sensor.clone() })
}

async fn shown(answer: Explained, backend: &Backend, output: &mut Output, would: bool) -> Answer {
    match answer {
        Explained::Found(explanation) => {
            let text = |output: &mut Output| output.text(&explanation.text(output.has_colour()));
            reach::below(backend, output, &Log::ALL, &explanation, text).await?;
            Ok(exit(&explanation, would))
        }
        Explained::Unknown(unknown) => {
            if output.is_json() {
                output.json(&unknown)?;
            }
            Err(ControlError::NotFound(super::listing::looked(&unknown)).into())
        }
    }
}

/// `would`: nothing happened yet, and it is said by the exit code whether anything would.
fn exit(explanation: &Explanation, would: bool) -> Exit {
    if would && !explanation.fires() { Exit::Findings } else { Exit::Done }
}
