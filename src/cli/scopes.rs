//! What can be typed for `pause`, `resume`, `drop` and `actions drop`.

use std::time::Duration;

use clap::{Args, Subcommand};
use tripline_event::name::DEFAULT_NAMESPACE;

use super::args::{AskArgs, ListArgs};
use super::when::duration;
use crate::control::steering::Choice;

/// What a command steers.
#[derive(Args, Clone, Debug)]
#[group(id = "scope", required = true, multiple = false, args = ["what", "all", "sensor", "trigger", "target"])]
pub struct ScopeArgs {
    /// all, sensor/[NAMESPACE/]NAME, trigger/[NAMESPACE/]SENSOR/NAME, or target/NAME.
    pub what: Option<String>,
    /// Everything.
    #[arg(long)]
    pub all: bool,
    /// One sensor: [NAMESPACE/]NAME.
    #[arg(long, value_name = "NAME")]
    pub sensor: Option<String>,
    /// One trigger: [NAMESPACE/]SENSOR/NAME.
    #[arg(long, value_name = "NAME")]
    pub trigger: Option<String>,
    /// What goes to one target: a cluster, `local`, or scheme, host and port.
    #[arg(long, value_name = "NAME")]
    pub target: Option<String>,
    /// The namespace, where none is named.
    #[arg(short, long, default_value = DEFAULT_NAMESPACE, value_name = "NAME")]
    pub namespace: String,
}

/// `resume`.
#[derive(Args, Clone, Debug)]
pub struct ResumeArgs {
    /// What.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// What becomes of the actions that wait; to be said where there are more than 20.
    #[arg(long, value_enum, value_name = "CHOICE")]
    pub waiting: Option<Choice>,
    /// Why: others will see it.
    #[arg(long)]
    pub reason: Option<String>,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `drop`.
#[derive(Args, Clone, Debug)]
pub struct DropArgs {
    /// What.
    #[command(flatten)]
    pub scope: ScopeArgs,
    /// Only what has been waiting longer than this, such as 2h.
    #[arg(long, value_parser = duration, value_name = "SPAN")]
    pub older: Option<Duration>,
    /// Why.
    #[arg(long)]
    pub reason: Option<String>,
    /// Do it; without this it is only said what would be dropped.
    #[arg(long)]
    pub yes: bool,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}

/// `actions`.
#[derive(Args, Clone, Debug)]
#[command(args_conflicts_with_subcommands = true)]
pub struct ActionsArgs {
    /// What is done about them; nothing: they are listed.
    #[command(subcommand)]
    pub command: Option<ActionsCommand>,
    /// Which are listed.
    #[command(flatten)]
    pub list: ListArgs,
}

/// What can be done about actions.
#[derive(Clone, Debug, Subcommand)]
pub enum ActionsCommand {
    /// Drops actions that have been waiting for long.
    #[command(
        after_help = "Examples:\n  tripline actions drop --older 2h --dry-run\n  tripline actions drop --older 2h --sensor deploy --reason 'the release is off'"
    )]
    Drop(DropActionsArgs),
}

/// `actions drop`.
#[derive(Args, Clone, Debug)]
pub struct DropActionsArgs {
    /// What has been waiting longer than this, such as 2h.
    #[arg(long, value_parser = duration, value_name = "SPAN")]
    pub older: Duration,
    /// Of this namespace; here and below, * and ? stand for any text and any character.
    #[arg(short, long, value_name = "NAME")]
    pub namespace: Option<String>,
    /// Of this sensor.
    #[arg(long, value_name = "NAME")]
    pub sensor: Option<String>,
    /// Of this trigger.
    #[arg(long, value_name = "NAME")]
    pub trigger: Option<String>,
    /// Of the chain with this correlation id.
    #[arg(long, value_name = "ID")]
    pub correlation: Option<String>,
    /// Why: others will see it.
    #[arg(long)]
    pub reason: Option<String>,
    /// Only say what would be dropped.
    #[arg(long)]
    pub dry_run: bool,
    /// Who is asked.
    #[command(flatten)]
    pub ask: AskArgs,
}
