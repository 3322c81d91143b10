//! Which function carries which command out.

use std::future::Future;
use std::path::Path;

use clap::CommandFactory as _;

use super::args::{
    AskArgs, BackupArgs, Cli, Command, GraphArgs, GraphFormat, InitArgs, RestoreArgs, ServerArgs,
};
use super::output::{Format, Output};
use super::scopes::{ActionsArgs, ActionsCommand};
use super::{
    CommandError, Exit, Programs, help, init, letters, listing, overview, sensor, steering,
};
use crate::control::{Address, Backend, ControlError};
use crate::query::Graph;

type Answer = Result<Exit, CommandError>;

/// Carries a command out.
pub fn dispatch(cli: Cli, programs: &dyn Programs) -> Answer {
    match cli.command {
        Command::Demo(args) => Ok(programs.demo(args)?),
        Command::Run(args) => Ok(programs.run(args)?),
        Command::Check(args) => Ok(programs.check(args)?),
        Command::Doctor(args) => Ok(programs.doctor(args)?),
        Command::Init(args) => start(&args),
        Command::Render(args) => {
            let outcome = programs.render(&args)?;
            super::render::print(&outcome, args.output, &mut Output::stdout(Format::Human))
        }
        Command::Schema(args) => super::render::schema(&args, &mut Output::stdout(Format::Human)),
        Command::Test(args) => super::test::test(&args),
        Command::Backtest(args) => super::backtest::backtest(&args),
        Command::Import(args) => super::import::import(&args),
        Command::Shadow(args) => super::shadow::shadow(&args),
        Command::Restore(args) => restore(&args),
        Command::Upgrade(ask) => {
            let is_here = ask.server.server.is_none();
            asked(&ask, super::upgrade::upgrade(is_here))
        }
        Command::Graph(args) if !args.paths.is_empty() => {
            let config = programs.graph(&args.paths)?;
            graph(&Graph::of_config(config), &args)
        }
        Command::Completions { shell } => completions(shell),
        Command::Help { topic } => help::help(&topic, &mut Output::stdout(Format::Human)),
        Command::Version => {
            let version = super::args::long_version();
            Output::stdout(Format::Human).line(format_args!("tripline {version}"))?;
            Ok(Exit::Done)
        }
        Command::Bus(command) => super::bus::bus(command),
        Command::Publish(args) if args.bus.nats.is_some() => super::bus::publish(&args),
        Command::Publish(args) => asked(&args.ask.clone(), steering::publish(args)),
        Command::Status(ask) => asked(&ask, overview::status),
        Command::Sensors(ask) => asked(&ask, overview::sensors),
        Command::Sensor(args) => asked(&args.ask.clone(), sensor::sensor(args)),
        Command::Clear(args) => asked(&args.ask.clone(), sensor::clear(args)),
        Command::Events(args) => asked(&args.ask.clone(), listing::events(args)),
        Command::Actions(ActionsArgs { command: Some(ActionsCommand::Drop(args)), .. }) => {
            asked(&args.ask.clone(), steering::drop_actions(args))
        }
        Command::Actions(ActionsArgs { command: None, list }) => {
            asked(&list.ask.clone(), listing::actions(list))
        }
        Command::Replay(args) => asked(&args.ask.clone(), super::replay::replay(args)),
        Command::Audit(args) => asked(&args.ask.clone(), super::replay::audit(args)),
        Command::Outcomes(args) => asked(&args.ask.clone(), listing::outcomes(args)),
        Command::Explain(args) => super::explain::explain(args, programs),
        Command::Trace(args) => asked(&args.ask.clone(), listing::trace(args)),
        Command::Workflows(command) => listing::workflows(command),
        Command::Schedule(command) => super::schedule::schedule(command),
        Command::Dlq(command) => letters::dlq(command),
        Command::Pause(args) => asked(&args.ask.clone(), steering::pause(args)),
        Command::Resume(args) => asked(&args.ask.clone(), steering::resume(args)),
        Command::Drop(args) => asked(&args.ask.clone(), steering::drop(args)),
        Command::Reload(args) => asked(&args.ask.clone(), steering::reload(args)),
        Command::Graph(args) => asked(&args.ask.clone(), overview::graph(args)),
        Command::Backup(args) => asked(&args.ask.clone(), backup(args)),
    }
}

/// Asks whoever answers, on a runtime of its own, and prints.
pub(super) fn asked<F>(ask: &AskArgs, question: F) -> Answer
where
    F: AsyncFnOnce(&Backend, &mut Output) -> Answer,
{
    let address = address(&ask.server)?;
    let mut output = Output::stdout(ask.output);
    block_on(async {
        let backend = Backend::open(&address).await?;
        question(&backend, &mut output).await
    })
}

fn block_on(future: impl Future<Output = Answer>) -> Answer {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(CommandError::Io)?.block_on(future)
}

fn address(args: &ServerArgs) -> Result<Address, CommandError> {
    let Some(url) = &args.server else { return Ok(Address::Directory(args.data.path())) };
    let token = match &args.token_file {
        None => None,
        Some(path) => Some(token(path)?),
    };
    Ok(Address::Url { url: url.clone(), token })
}

fn token(path: &Path) -> Result<String, ControlError> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        ControlError::Invalid(format!("token file {}: {error}", path.display()))
    })?;
    Ok(text.trim().to_owned())
}

fn start(args: &InitArgs) -> Answer {
    let mut output = Output::stdout(Format::Human);
    for path in init::init(args.usage, &args.dir)? {
        output.line(format_args!("wrote {}", path.display()))?;
    }
    let dir = args.dir.display();
    output.line(format_args!(
        "\nNext:\n  tripline check {dir}\n  tripline test {dir}\n  tripline run {dir}\n  curl -H 'Content-Type: application/json' -d '{{\"action\": \"completed\", \"correlation_id\": \"build-1\"}}' http://localhost:12000/builds"
    ))?;
    Ok(Exit::Done)
}

fn completions(shell: clap_complete::Shell) -> Answer {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "tripline", &mut text);
    Output::stdout(Format::Human).text(&String::from_utf8_lossy(&text))?;
    Ok(Exit::Done)
}

fn restore(args: &RestoreArgs) -> Answer {
    use tripline_bus::embedded::{OpenOptions, restore};
    let data = args.data.path();
    restore(&args.file, &data, &OpenOptions::default(), args.force)
        .map_err(|error| ControlError::Failed(error.to_string()))?;
    Output::stdout(Format::Human).line(format_args!(
        "{} holds what {} held",
        data.display(),
        args.file.display()
    ))?;
    Ok(Exit::Done)
}

fn backup(args: BackupArgs) -> impl AsyncFnOnce(&Backend, &mut Output) -> Answer {
    async move |backend: &Backend, output: &mut Output| {
        let path = std::path::absolute(&args.file)?;
        let bytes = backend.backup(&path).await?;
        if output.is_json() {
            output.json(&serde_json::json!({"path": path, "bytes": bytes}))?;
        } else {
            output.line(format_args!("wrote {} ({bytes} bytes)", path.display()))?;
        }
        Ok(Exit::Done)
    }
}

fn graph(graph: &Graph, args: &GraphArgs) -> Answer {
    draw(graph, args.format, &mut Output::stdout(args.ask.output))?;
    Ok(Exit::Done)
}

/// Prints a graph.
pub(super) fn draw(graph: &Graph, format: GraphFormat, output: &mut Output) -> std::io::Result<()> {
    if output.is_json() {
        return output.json(graph);
    }
    output.text(&match format {
        GraphFormat::Text => graph.text(),
        GraphFormat::Dot => graph.dot(),
        GraphFormat::Mermaid => graph.mermaid(),
    })
}
