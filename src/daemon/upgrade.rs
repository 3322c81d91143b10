//! Replacing the program while it runs.
//!
//! The daemon stops in its grace period as it always does, and the process then becomes the
//! program that is at its path by now: with the same process id, the same arguments and the
//! same listening sockets. What connects in between waits in the queues of the sockets, so
//! that nobody is refused. Sockets are passed as systemd passes them (`LISTEN_FDS`), which
//! is also how a daemon is started by a socket unit.

use std::ffi::OsString;
use std::net::TcpListener;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, bail};
use command_fds::{CommandFdExt as _, FdMapping};
use rustix::io::{FdFlags, fcntl_setfd};

/// The first socket that is passed has this number (sd_listen_fds(3)).
const FIRST_SOCKET: i32 = 3;
/// How long a program may take to say its version.
const SOON: Duration = Duration::from_secs(10);
/// The program that runs, whatever has become of its file.
const MYSELF: &str = "/proc/self/exe";

/// The program that the process became, and becomes again.
#[derive(Clone, Debug)]
pub struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    /// The one that runs. Must be asked at the start, as long as nobody has replaced its file.
    ///
    /// # Errors
    /// The system does not say where it is.
    pub fn current() -> anyhow::Result<Self> {
        let path = std::env::current_exe().context("the path of the program is not known")?;
        Ok(Self { path, arguments: std::env::args_os().skip(1).collect() })
    }

    /// The version of what is at the path now.
    ///
    /// # Errors
    /// It cannot be run, or is not Tripline.
    pub async fn version(&self) -> anyhow::Result<String> {
        let path = self.path.display();
        let mut command = tokio::process::Command::new(&self.path);
        command.arg("version").kill_on_drop(true);
        let output = tokio::time::timeout(SOON, command.output())
            .await
            .with_context(|| format!("{path} did not say its version within {SOON:?}"))?
            .with_context(|| format!("{path} cannot be run"))?;
        let text = String::from_utf8_lossy(&output.stdout);
        let words = text.strip_prefix("tripline ").and_then(|rest| rest.split_whitespace().next());
        match words {
            Some(version) if output.status.success() => Ok(version.to_owned()),
            _ => bail!("{path} is not Tripline: `{path} version` did not say a version"),
        }
    }

    /// Becomes the program at the path, which listens on these sockets. Where that cannot be
    /// run, the process becomes the program that it is. Returns only if that fails, too.
    pub fn replace(&self, sockets: &[TcpListener]) -> anyhow::Error {
        let error = become_program(&self.path, &self.arguments, sockets);
        tracing::error!(error = format!("{error:#}"), "the same program is run again");
        become_program(Path::new(MYSELF), &self.arguments, sockets)
    }
}

fn become_program(path: &Path, arguments: &[OsString], sockets: &[TcpListener]) -> anyhow::Error {
    let mut command = Command::new(path);
    command.args(arguments);
    command.env("LISTEN_FDS", sockets.len().to_string());
    command.env("LISTEN_PID", std::process::id().to_string());
    let passed = sockets.iter().zip(FIRST_SOCKET..).map(|(socket, child_fd)| {
        Ok(FdMapping { parent_fd: OwnedFd::from(socket.try_clone()?), child_fd })
    });
    let exec = || -> anyhow::Result<std::convert::Infallible> {
        command.fd_mappings(passed.collect::<std::io::Result<_>>()?)?;
        Err(command.exec().into())
    };
    let Err(error) = { exec }();
    error.context(format!("{} cannot be run", path.display()))
}

/// The sockets that this process was given, by the program that it was before or by systemd.
///
/// # Errors
/// One of them is no listening TCP socket.
pub fn sockets_given() -> anyhow::Result<Vec<TcpListener>> {
    let mut given = listenfd::ListenFd::from_env();
    let mut sockets = Vec::new();
    for index in 0..given.len() {
        let socket = given.take_tcp_listener(index).with_context(|| {
            format!("LISTEN_FDS: descriptor {} is no TCP socket", FIRST_SOCKET as usize + index)
        })?;
        let Some(socket) = socket else { continue };
        // Programs that are run for credentials have no use for it.
        fcntl_setfd(&socket, FdFlags::CLOEXEC)?;
        sockets.push(socket);
    }
    Ok(sockets)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn program(path: &str) -> Program {
        Program { path: path.into(), arguments: Vec::new() }
    }

    #[tokio::test]
    async fn a_program_that_cannot_be_run_or_is_another_one_is_refused_before_anything_stops() {
        for (path, error) in [
            ("/nonexistent/tripline", "cannot be run"),
            ("/bin/true", "is not Tripline"),
            ("/bin/false", "is not Tripline"),
        ] {
            let refused = program(path).version().await.unwrap_err();
            assert!(format!("{refused:#}").contains(error), "{path}: {refused:#}");
        }
    }
}
