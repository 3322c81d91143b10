//! The command line.
//!
//! Commands that look or operate ask a [`crate::control::Backend`]; those that run
//! something are handed to [`Programs`].
//!
//! Exit codes: 0 done; 1 something was found or failed; 2 the command line makes no sense;
//! 3 the daemon, its bus or its data directory cannot be reached; 4 there is no such thing.
//!
//! Not here: the daemon, checking, the demonstration.

pub mod args;
mod backtest;
pub mod bus;
pub mod dispatch;
pub mod doctor;
pub mod explain;
mod help;
mod import;
pub mod init;
mod letters;
mod listing;
pub mod output;
mod overview;
mod reach;
pub mod render;
pub mod replay;
pub mod schedule;
pub mod scopes;
pub mod sensor;
mod shadow;
mod steering;
mod test;
mod upgrade;
pub mod when;
mod yaml;

#[cfg(test)]
mod tests;

use std::process::ExitCode;

use clap::{CommandFactory as _, FromArgMatches as _};

pub use args::{CheckArgs, Cli, Command, DemoArgs, RunArgs};
pub use output::Output;

use crate::control::ControlError;
use crate::query::GraphConfig;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Done.
    Done = 0,
    /// Something was found, or failed.
    Findings = 1,
    /// The command line makes no sense.
    Usage = 2,
    /// The daemon, its bus or its data directory cannot be reached.
    Unreachable = 3,
    /// There is no such thing.
    NotFound = 4,
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit as u8)
    }
}

/// What is run by a command, and is more than a question to a daemon. Each builds the
/// runtime that it needs.
pub trait Programs {
    /// `tripline run`.
    fn run(&self, args: RunArgs) -> anyhow::Result<Exit>;

    /// `tripline check`.
    fn check(&self, args: CheckArgs) -> anyhow::Result<Exit>;

    /// `tripline doctor`.
    fn doctor(&self, args: doctor::DoctorArgs) -> anyhow::Result<Exit>;

    /// `tripline demo`.
    fn demo(&self, args: DemoArgs) -> anyhow::Result<Exit>;

    /// `tripline render`: what triggers would create for these events.
    fn render(&self, args: &render::RenderArgs) -> anyhow::Result<crate::render::Outcome>;

    /// `tripline explain --files`: what sensors in files make of events in files.
    fn explain(&self, args: &explain::ExplainArgs) -> anyhow::Result<crate::explain::Explanation>;

    /// The connections that these files make: `tripline graph FILE…`.
    fn graph(&self, paths: &[std::path::PathBuf]) -> anyhow::Result<GraphConfig>;
}

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// By a daemon, or about one.
    #[error(transparent)]
    Control(#[from] ControlError),
    /// Nobody reads the output any more.
    #[error("the output was closed")]
    Closed,
    /// The output, or a file, cannot be written or read.
    #[error(transparent)]
    Io(std::io::Error),
    /// Whatever else.
    #[error("{0:#}")]
    Other(#[from] anyhow::Error),
}

impl From<std::io::Error> for CommandError {
    fn from(error: std::io::Error) -> Self {
        match error.kind() {
            std::io::ErrorKind::BrokenPipe => Self::Closed,
            _ => Self::Io(error),
        }
    }
}

impl CommandError {
    /// The exit code that says the same.
    pub const fn exit(&self) -> Exit {
        match self {
            Self::Control(ControlError::Invalid(_)) => Exit::Usage,
            Self::Control(ControlError::NotFound(_)) => Exit::NotFound,
            Self::Control(ControlError::Unreachable(_)) => Exit::Unreachable,
            // Whoever closed a pipe (`| head`) has what they wanted.
            Self::Closed => Exit::Done,
            _ => Exit::Findings,
        }
    }
}

/// Reads the command line, carries the command out, and says how it ended.
pub fn main(programs: &dyn Programs) -> ExitCode {
    let matches = match Cli::command().try_get_matches() {
        Ok(matches) => matches,
        Err(error) => return shown(&error),
    };
    let cli = match Cli::from_arg_matches(&matches) {
        Ok(cli) => cli,
        Err(error) => return shown(&error),
    };
    match dispatch::dispatch(cli, programs) {
        Ok(exit) => exit.into(),
        Err(error) => {
            if !matches!(error, CommandError::Closed) {
                output::complain(&error);
            }
            error.exit().into()
        }
    }
}

/// Help and version are asked for, and no errors.
fn shown(error: &clap::Error) -> ExitCode {
    // There is nobody left to tell that it could not be written.
    drop(error.print());
    if error.use_stderr() { Exit::Usage.into() } else { Exit::Done.into() }
}
