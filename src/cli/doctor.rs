//! `doctor`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use super::args::DataArgs;
use super::bus::BusArgs;
use super::output::Format;

/// `doctor`.
#[derive(Args, Clone, Debug)]
pub struct DoctorArgs {
    /// Files, folders, or `-` for the standard input; without any, only the event bus is asked.
    #[arg(value_name = "PATH")]
    pub paths: Vec<PathBuf>,
    /// Where everything durable is.
    #[command(flatten)]
    pub data: DataArgs,
    /// The address that webhooks listen on.
    #[arg(long, default_value = "127.0.0.1", value_name = "ADDRESS")]
    pub bind: IpAddr,
    /// As for `run`.
    #[arg(long, value_name = "TARGET")]
    pub target: Option<String>,
    /// As for `run`.
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// As for `run`.
    #[arg(long)]
    pub no_impersonation: bool,
    /// The event bus.
    #[command(flatten)]
    pub bus: BusArgs,
    /// A folder of secrets, in the shape of mounted Secrets: NAME/KEY.
    #[arg(long, value_name = "DIR")]
    pub secrets: Option<PathBuf>,
    /// Secrets may also be TRIPLINE_SECRET_NAME_KEY in the environment.
    #[arg(long)]
    pub secrets_from_env: bool,
    /// How to print.
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
}
